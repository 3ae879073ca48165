//! Dividing the pictures so that what is alike stays together.
//!
//! ```text
//! videos ─▶ groups: same video, shared frames, same file ─▶ 3 or more: each group to a part by its hash
//!                                                        └▶ fewer: every video cut in time, with a gap
//! ```
//! A network is judged by pictures it has not seen. Frames of one video are alike, so a video is never divided while
//! there are videos enough; neither are videos that share frames or are the same file.
//!
//! A group goes where its hash with the seed falls among the shares, so each stays where it is when others come. What
//! was assigned in an earlier run stays so: the assignments are kept by the caller, by `video_id`, for every video of
//! every group. When two groups turn out to be one, the part of the video that comes first in the inputs counts.
//!
//! Invariant: the division depends on the videos in input order and on what duplicates what, never on the order of the
//! frames.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::dataset::config::SplitConfig;
use crate::dataset::record::{Dataset, Split};

mod blocks;
mod groups;
#[cfg(test)]
mod tests;

use groups::Groups;

/// With fewer groups than this a division by groups would leave a part empty or absurd.
const LEAST_GROUPS: usize = 3;
/// A group with more of the pictures than this is worth a note.
const LARGE_SHARE: f64 = 0.5;

/// Gives every kept frame its part, and every frame its group. Where there are fewer than three groups, frames near a
/// cut in time are dropped ([`DropReason::GuardGap`](crate::dataset::record::DropReason::GuardGap)).
///
/// `earlier` is what an earlier call with the same seed gave back; empty for a division from the start. Gives the assignments to keep, by `video_id`, those of videos that are not
/// here now included, and what the user should know.
pub fn divide(
    dataset: &mut Dataset,
    config: &SplitConfig,
    earlier: &BTreeMap<String, Split>,
) -> (BTreeMap<String, Split>, Vec<String>) {
    let groups = groups::find(dataset);
    let mut notes = Vec::new();
    // A group is named after its first video.
    let videos = dataset.videos.iter();
    let ids: Vec<String> = videos
        .map(|video| video.video.video_id.to_string())
        .collect();
    for frame in &mut dataset.frames {
        frame.group.clone_from(&ids[groups.of[frame.video]]);
        frame.split = None;
    }
    let present = pictures_of_groups(dataset, &groups);
    let shares = Shares::new(config);
    let settled = settled(dataset, &groups, &shares, earlier, &mut notes);
    let parts = shares.parts();
    let any_settled = present.keys().any(|group| settled.contains_key(group));
    let by_group = parts.len() == 1 || present.len() >= LEAST_GROUPS || any_settled;
    let mut assignments = earlier.clone();
    if !by_group {
        blocks::divide(dataset, &shares, present.len(), &mut notes);
        return (assignments, notes);
    }
    let assigned = assign(&present, &ids, &shares, config.seed, &settled, &mut notes);
    for frame in &mut dataset.frames {
        if frame.is_kept() {
            frame.split = assigned.get(&groups.of[frame.video]).copied();
        }
    }
    for (video, of) in dataset.videos.iter().zip(&groups.of) {
        if let Some(split) = assigned.get(of).or_else(|| settled.get(of)) {
            assignments.insert(video.video.video_id.to_string(), *split);
        }
    }
    note_large_group(&present, &ids, &groups, &mut notes);
    (assignments, notes)
}

/// The kept frames of each group that has any, by the group's number.
fn pictures_of_groups(dataset: &Dataset, groups: &Groups) -> BTreeMap<usize, usize> {
    let mut pictures = BTreeMap::new();
    for frame in dataset.frames.iter().filter(|frame| frame.is_kept()) {
        *pictures.entry(groups.of[frame.video]).or_default() += 1;
    }
    pictures
}

/// The groups that an earlier run assigned, by number: the assignment of the first video that has one.
fn settled(
    dataset: &Dataset,
    groups: &Groups,
    shares: &Shares,
    earlier: &BTreeMap<String, Split>,
    notes: &mut Vec<String>,
) -> BTreeMap<usize, Split> {
    let mut settled: BTreeMap<usize, (Split, &str)> = BTreeMap::new();
    let mut moved: BTreeSet<(&str, &str, Split, Split)> = BTreeSet::new();
    for (video, &group) in dataset.videos.iter().zip(&groups.of) {
        let id = video.video.video_id.as_str();
        let wanted = earlier.get(id).filter(|split| shares.of(**split) > 0.0);
        let Some(&split) = wanted else { continue };
        let (first, of) = *settled.entry(group).or_insert((split, id));
        if first != split {
            moved.insert((id, of, split, first));
        }
    }
    for (id, of, from, to) in moved {
        notes.push(format!(
            "video {id} moves from {} to {}: it turned out to be like video {of}",
            from.word(),
            to.word()
        ));
    }
    settled
        .into_iter()
        .map(|(group, (split, _))| (group, split))
        .collect()
}

/// Shares of the parts as bounds of an interval from 0 to 1.
pub(super) struct Shares {
    of: [f64; 3],
}

impl Shares {
    pub(super) fn new(config: &SplitConfig) -> Self {
        let usable = |share: f64| {
            if share.is_finite() {
                share.max(0.0)
            } else {
                0.0
            }
        };
        let of = [config.train, config.val, config.test].map(usable);
        let sum: f64 = of.iter().sum();
        Self {
            of: if sum > 0.0 {
                of.map(|share| share / sum)
            } else {
                [1.0, 0.0, 0.0]
            },
        }
    }

    pub(super) fn of(&self, split: Split) -> f64 {
        self.of[split as usize]
    }

    /// The parts that are to have pictures.
    pub(super) fn parts(&self) -> Vec<Split> {
        Split::ALL
            .into_iter()
            .filter(|split| self.of(*split) > 0.0)
            .collect()
    }

    /// The part's place between 0 and 1.
    fn interval(&self, split: Split) -> (f64, f64) {
        let from: f64 = self.of[..split as usize].iter().sum();
        (from, from + self.of(split))
    }

    fn at(&self, place: f64) -> Split {
        let parts = self.parts();
        let inside = |split: &Split| place < self.interval(*split).1;
        // The sum of the shares may be a little less than 1.
        let found = parts.iter().copied().find(inside).or(parts.last().copied());
        found.unwrap_or(Split::Train)
    }
}

/// A group's place between 0 and 1: the same on every machine and in every company.
fn place(seed: u64, group: &str) -> f64 {
    let digest = Sha256::digest(format!("{seed}:{group}"));
    let first = digest
        .iter()
        .take(8)
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    // 53 bits are what a float holds exactly.
    (first >> 11) as f64 / (1_u64 << 53) as f64
}

/// A part for every group that has pictures.
fn assign(
    present: &BTreeMap<usize, usize>,
    ids: &[String],
    shares: &Shares,
    seed: u64,
    settled: &BTreeMap<usize, Split>,
    notes: &mut Vec<String>,
) -> BTreeMap<usize, Split> {
    let mut assigned: BTreeMap<usize, Split> = present
        .keys()
        .map(|&group| {
            let by_hash = || shares.at(place(seed, &ids[group]));
            (group, settled.get(&group).copied().unwrap_or_else(by_hash))
        })
        .collect();
    for empty in shares.parts() {
        if assigned.values().any(|split| *split == empty) {
            continue;
        }
        let (from, to) = shares.interval(empty);
        let away = |group: usize| {
            let place = place(seed, &ids[group]);
            (from - place).max(place - to).max(0.0)
        };
        // A group that is new and not the only one of its part.
        let has_company =
            |split: Split| assigned.values().filter(|other| **other == split).count() > 1;
        let movable = assigned
            .iter()
            .filter(|(group, split)| !settled.contains_key(group) && has_company(**split));
        let nearest = movable.map(|(&group, _)| group).min_by(|&a, &b| {
            away(a)
                .total_cmp(&away(b))
                .then_with(|| ids[a].cmp(&ids[b]))
        });
        match nearest {
            Some(group) => {
                assigned.insert(group, empty);
            }
            None => notes.push(format!(
                "no pictures are left for {}: there are {} groups of videos; add videos",
                empty.word(),
                present.len()
            )),
        }
    }
    assigned
}

fn note_large_group(
    present: &BTreeMap<usize, usize>,
    ids: &[String],
    groups: &Groups,
    notes: &mut Vec<String>,
) {
    let all: usize = present.values().sum();
    let Some((&group, &pictures)) = present.iter().max_by_key(|(_, pictures)| **pictures) else {
        return;
    };
    let share = pictures as f64 / all as f64;
    let videos = groups.of.iter().filter(|of| **of == group).count();
    if share > LARGE_SHARE && present.len() > 1 {
        notes.push(format!(
            "{:.0} % of the pictures are in one group of {videos} videos ({}), which is never divided: the parts may be far \
             from their shares",
            share * 100.0,
            ids[group]
        ));
    }
}
