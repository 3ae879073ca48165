//! Which frame shows which result: what the comparison found, in the field names that plans of this kind have had since
//! before framewright (`frames_to_process`, `frame_output_mapping`, `duplicate_mapping`, `stats`).

use serde::{Serialize, Serializer};

use crate::upscale::plan::Plan;

/// For every frame the frame whose result it shows, itself if it is unique. Four bytes per frame.
#[derive(Debug, Default, Clone)]
pub struct Mapping(Vec<u32>);

impl Mapping {
    /// Adds the next frame; `shows` is its own index or that of the frame it repeats.
    pub fn push(&mut self, shows: u64) {
        self.0
            .push(u32::try_from(shows).expect("no film has four thousand million frames"));
    }

    /// Forgets the frames from the `n`-th on: an interrupted film ends there.
    pub fn truncate(&mut self, n: u64) {
        self.0.truncate(usize::try_from(n).unwrap_or(usize::MAX));
    }

    /// Frames seen.
    pub fn n_frames(&self) -> u64 {
        self.0.len() as u64
    }

    /// Frames that show their own result.
    pub fn n_unique(&self) -> u64 {
        self.unique().count() as u64
    }

    fn unique(&self) -> impl Iterator<Item = u32> {
        self.pairs()
            .filter(|(frame, shows)| frame == shows)
            .map(|(frame, _)| frame)
    }

    fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..).zip(self.0.iter().copied())
    }
}

/// `repeats` of `frames` in per cent; 0 for none.
pub fn percentage(repeats: u64, frames: u64) -> f64 {
    if frames == 0 {
        0.0
    } else {
        100.0 * repeats as f64 / frames as f64
    }
}

/// `plan.json`: the decisions, and what they come to frame by frame.
#[derive(Serialize)]
pub struct Document<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    frames_to_process: Vec<u32>,
    #[serde(serialize_with = "as_object")]
    frame_output_mapping: Vec<(u32, u32)>,
    #[serde(serialize_with = "as_object")]
    duplicate_mapping: Vec<(u32, u32)>,
    stats: Stats,
}

#[derive(Serialize)]
struct Stats {
    total_frames: u64,
    unique_frames: u64,
    duplicates: u64,
    duplicate_percentage: f64,
    parallel_jobs: usize,
}

impl<'a> Document<'a> {
    /// Joins the two.
    pub fn new(plan: &'a Plan, mapping: &Mapping) -> Self {
        let (total_frames, unique_frames) = (mapping.n_frames(), mapping.n_unique());
        let duplicates = total_frames - unique_frames;
        Self {
            plan,
            frames_to_process: mapping.unique().collect(),
            frame_output_mapping: mapping.pairs().collect(),
            duplicate_mapping: mapping
                .pairs()
                .filter(|(frame, shows)| frame != shows)
                .collect(),
            stats: Stats {
                total_frames,
                unique_frames,
                duplicates,
                duplicate_percentage: percentage(duplicates, total_frames),
                parallel_jobs: plan.workers,
            },
        }
    }
}

fn as_object<S: Serializer>(pairs: &[(u32, u32)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_point_to_the_frame_whose_result_they_show() {
        let mut mapping = Mapping::default();
        for shows in [0, 0, 2, 2, 2, 5] {
            mapping.push(shows);
        }
        assert_eq!((mapping.n_frames(), mapping.n_unique()), (6, 3));
        assert_eq!(mapping.unique().collect::<Vec<_>>(), [0, 2, 5]);
        let pairs: Vec<_> = mapping.pairs().collect();
        let mut json = Vec::new();
        as_object(&pairs, &mut serde_json::Serializer::new(&mut json)).unwrap();
        assert_eq!(json, br#"{"0":0,"1":0,"2":2,"3":2,"4":2,"5":5}"#);
    }

    #[test]
    fn the_percentage_of_an_empty_clip_is_a_number() {
        assert!(percentage(0, 0).abs() < f64::EPSILON);
        assert!((percentage(1, 4) - 25.0).abs() < f64::EPSILON);
    }
}
