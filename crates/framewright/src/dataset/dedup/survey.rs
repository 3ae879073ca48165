//! What a dry run shows before anything is dropped: how far every frame is from the nearest leader before it, and the
//! pairs on both sides of the thresholds.

use std::fmt::Write as _;

use framewright_hash::{Hash256, Index, Nearest, Thresholds};
use framewright_pipeline::{Control, Failure};

use super::{
    Candidate, Earlier, across, fingerprint, fingerprint_of_earlier, members, query, spread,
    thresholds, within_video,
};
use crate::dataset::config::DedupConfig;
use crate::dataset::record::Drop;

/// Rows of the histogram: 0, 1–8, 9–16, … 249–256 bits.
const ROWS: usize = 33;
/// Pairs shown of each kind on each side of its threshold.
const SAMPLES: usize = 8;

/// What a dry run has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The thresholds it was made with.
    pub thresholds: Thresholds,
    /// Distances to the nearest leader of the same video.
    pub within: Distances,
    /// Distances of what is left of each video to the nearest leader of the videos and datasets before it.
    pub across: Distances,
    /// Frames that are featureless: nothing is said of them here.
    pub featureless: u64,
    /// Frames that would be dropped, within videos and across them.
    pub dropped: [u64; 2],
    /// Pairs on both sides of each threshold, the nearest to it first.
    pub pairs: Vec<Pair>,
}

/// Numbers of frames by the distance to the nearest leader: 0 bits, 1 to 8, 9 to 16, … 249 to 256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distances {
    /// By the DCT hash.
    pub dct: [u64; ROWS],
    /// By the gradient hash.
    pub dhash: [u64; ROWS],
}

/// One of the two hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// The low frequencies.
    Dct,
    /// The gradients.
    Dhash,
}

impl Hash {
    /// Its word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dct => "dct",
            Self::Dhash => "dhash",
        }
    }
}

/// A frame and the nearest leader before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Whether both are of one video.
    pub within: bool,
    /// The hash by which it is the nearest.
    pub hash: Hash,
    /// Differing bits of that hash.
    pub distance: u32,
    /// Whether the thresholds take them for the same, by either hash.
    pub same: bool,
    /// The frame.
    pub image_id: String,
    /// The leader.
    pub leader: String,
}

/// Distances and sample pairs of all frames that are good enough, in input order, as [`within_video`] and [`across`] would
/// meet them. None when `control` has ended it before its end, or nothing is to be dropped at all.
///
/// # Errors
/// A thread that cannot be started.
pub fn survey(
    candidates: &[Candidate<'_>],
    earlier: &[Earlier],
    config: &DedupConfig,
    min_contrast: f32,
    workers: usize,
    control: &Control,
) -> Result<Option<Survey>, Failure> {
    let Some(thresholds) = thresholds(config, min_contrast) else {
        return Ok(None);
    };
    let videos: Vec<&[Candidate<'_>]> = candidates.chunk_by(|a, b| a.video == b.video).collect();
    let Some(within) = spread(&videos, workers, control, |frames| {
        let drops = within_video(frames, config, min_contrast);
        let is_leader: Vec<bool> = drops.iter().map(Option::is_none).collect();
        let leaders = Leaders::new(thresholds, &[], frames, &is_leader);
        let nearest = |n: usize| leaders.nearest(leaders.before[n], frames[n], config.flip);
        let steps = (0..frames.len()).map(nearest).collect::<Vec<_>>();
        let steps = steps
            .into_iter()
            .map(|step| step.map(|step| leaders.named(step)));
        (drops, steps.collect::<Vec<_>>())
    })?
    else {
        return Ok(None);
    };
    let (drops, within): (Vec<_>, Vec<_>) = within.into_iter().unzip();
    let drops: Vec<Option<Drop>> = drops.into_iter().flatten().collect();
    let is_leader: Vec<bool> = drops.iter().map(Option::is_none).collect();
    let within: Vec<_> = within.into_iter().flatten().collect();

    let left: Vec<_> = candidates
        .iter()
        .zip(&is_leader)
        .filter(|(_, leads)| **leads)
        .map(|(one, _)| *one)
        .collect();
    let judged = candidates.iter().zip(&drops);
    let stands_for = members(judged.map(|(one, drop)| (one.frame, drop.as_ref())), &left);
    let (all, gate) = (&left, min_contrast);
    let Some(drops) = across(all, &stands_for, earlier, config, gate, workers, control)? else {
        return Ok(None);
    };
    let is_kept: Vec<bool> = drops.iter().map(Option::is_none).collect();
    let leaders = Leaders::new(thresholds, earlier, &left, &is_kept);
    let mut first_of_video = Vec::with_capacity(left.len());
    for (n, candidate) in left.iter().enumerate() {
        let same = n > 0 && left[n - 1].video == candidate.video;
        first_of_video.push(if same { first_of_video[n - 1] } else { n });
    }
    let numbers: Vec<usize> = (0..left.len()).collect();
    let Some(across) = spread(&numbers, workers, control, |&n| {
        leaders.nearest(leaders.before[first_of_video[n]], left[n], config.flip)
    })?
    else {
        return Ok(None);
    };
    let across: Vec<_> = across
        .into_iter()
        .map(|step| step.map(|step| leaders.named(step)))
        .collect();

    let telling =
        |candidate: &&Candidate<'_>| thresholds.has_features(&fingerprint(candidate.frame));
    let count = |flags: &[bool]| flags.iter().filter(|leads| !**leads).count() as u64;
    let mut pairs = samples(&thresholds, true, candidates, &within);
    pairs.extend(samples(&thresholds, false, &left, &across));
    Ok(Some(Survey {
        thresholds,
        within: Distances::of(&within),
        across: Distances::of(&across),
        featureless: candidates.iter().filter(|one| !telling(one)).count() as u64,
        dropped: [count(&is_leader), count(&is_kept)],
        pairs,
    }))
}

/// An index of the leaders among some frames, which knows how many of them there were before each frame.
struct Leaders<'a> {
    thresholds: Thresholds,
    index: Index,
    names: Vec<&'a str>,
    hashes: Vec<[Hash256; 2]>,
    before: Vec<usize>,
}

/// The nearest leader by one hash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    distance: u32,
    leader: String,
    same: bool,
}

impl<'a> Leaders<'a> {
    fn new(
        thresholds: Thresholds,
        earlier: &'a [Earlier],
        frames: &[Candidate<'a>],
        leads: &[bool],
    ) -> Self {
        let mut leaders = Self {
            thresholds,
            index: Index::new(thresholds),
            names: Vec::new(),
            hashes: Vec::new(),
            before: Vec::new(),
        };
        for earlier in earlier {
            leaders.push(&earlier.image_id, &fingerprint_of_earlier(earlier));
        }
        for (candidate, leads) in frames.iter().zip(leads) {
            leaders.before.push(leaders.index.len());
            if *leads {
                leaders.push(&candidate.frame.image_id, &fingerprint(candidate.frame));
            }
        }
        leaders
    }

    fn push(&mut self, name: &'a str, print: &framewright_hash::Fingerprint) {
        self.index.push(print);
        self.names.push(name);
        self.hashes.push([print.dct, print.dhash]);
    }

    /// The nearest of the first `end` leaders by both hashes, and whether it counts as the same.
    fn nearest(
        &self,
        end: usize,
        candidate: Candidate<'_>,
        flip: bool,
    ) -> Option<(Nearest, [bool; 2])> {
        let query = query(candidate.frame, flip);
        let nearest = self.index.nearest_before(end, &query)?;
        let same = [nearest.dct.1, nearest.dhash.1].map(|leader| {
            let [dct, dhash] = &self.hashes[leader];
            let mut prints = std::iter::once(&query.upright).chain(&query.mirrored);
            prints.any(|print| {
                self.thresholds
                    .compare([dct, dhash], [&print.dct, &print.dhash])
                    .is_some()
            })
        });
        Some((nearest, same))
    }

    fn named(&self, (nearest, same): (Nearest, [bool; 2])) -> [Step; 2] {
        let step = |(distance, leader): (u32, usize), same| Step {
            distance,
            leader: self.names[leader].to_owned(),
            same,
        };
        [step(nearest.dct, same[0]), step(nearest.dhash, same[1])]
    }
}

impl Distances {
    fn of(steps: &[Option<[Step; 2]>]) -> Self {
        let mut rows = [[0; ROWS]; 2];
        for steps in steps.iter().flatten() {
            for (rows, step) in rows.iter_mut().zip(steps) {
                rows[step.distance.div_ceil(8) as usize] += 1;
            }
        }
        let [dct, dhash] = rows;
        Self { dct, dhash }
    }
}

/// The pairs nearest to the thresholds, on both sides.
fn samples(
    thresholds: &Thresholds,
    within: bool,
    frames: &[Candidate<'_>],
    steps: &[Option<[Step; 2]>],
) -> Vec<Pair> {
    let mut chosen = Vec::new();
    for (n, hash, threshold) in [
        (0, Hash::Dct, thresholds.dct),
        (1, Hash::Dhash, thresholds.dhash),
    ] {
        let all = || {
            let steps = frames.iter().zip(steps);
            steps.filter_map(move |(candidate, steps)| Some((candidate, &steps.as_ref()?[n])))
        };
        let mut below: Vec<_> = all()
            .filter(|(_, step)| step.distance <= threshold)
            .collect();
        below.sort_by_key(|(_, step)| threshold - step.distance);
        let mut above: Vec<_> = all()
            .filter(|(_, step)| step.distance > threshold && !step.same)
            .collect();
        above.sort_by_key(|(_, step)| step.distance);
        for (candidate, step) in below
            .into_iter()
            .take(SAMPLES)
            .chain(above.into_iter().take(SAMPLES))
        {
            chosen.push(Pair {
                within,
                hash,
                distance: step.distance,
                same: step.same,
                image_id: candidate.frame.image_id.clone(),
                leader: step.leader.clone(),
            });
        }
    }
    chosen
}

impl Survey {
    /// The distances as a table: one line per 8 bits, up to the last that has a frame.
    pub fn histogram(&self) -> String {
        let columns = [
            &self.within.dct,
            &self.within.dhash,
            &self.across.dct,
            &self.across.dhash,
        ];
        let last = (0..ROWS)
            .rev()
            .find(|row| columns.iter().any(|column| column[*row] > 0));
        let mut table = format!(
            "frames by distance to the nearest leader before them, in bits of 256\n\
             {:>9}  {:>10}  {:>12}  {:>10}  {:>12}\n",
            "bits", "dct within", "dhash within", "dct across", "dhash across"
        );
        for row in 0..=last.unwrap_or(0) {
            let bits = match row {
                0 => "0".to_owned(),
                _ => format!("{}-{}", 8 * row - 7, 8 * row),
            };
            let [a, b, c, d] = columns.map(|column| column[row]);
            let _ = write!(table, "{bits:>9}  {a:>10}  {b:>12}  {c:>10}  {d:>12}");
            for (hash, threshold) in [
                (Hash::Dct, self.thresholds.dct),
                (Hash::Dhash, self.thresholds.dhash),
            ] {
                if threshold.div_ceil(8) as usize == row {
                    let _ = write!(table, "  {} up to {threshold} is the same", hash.word());
                }
            }
            table.push('\n');
        }
        let [within, across] = self.dropped;
        let _ = writeln!(
            table,
            "would be dropped: {within} within videos, {across} across them; featureless: {}",
            self.featureless
        );
        table
    }
}
