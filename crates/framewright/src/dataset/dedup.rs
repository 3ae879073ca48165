//! Which frames are near duplicates of an earlier one.
//!
//! ```text
//! frames of a video ─▶ within_video ─▶ its leaders ─┐
//! frames of the next ─▶ within_video ─▶ its leaders ─┴▶ across ─▶ leaders of the dataset
//!                                   earlier datasets ──▶│
//! ```
//! Leader clustering both times: a frame that is nearly the same as a leader is left out and says which one; any other
//! becomes a leader. Leaders are asked in the order in which they came, those of earlier datasets first, so who stands for
//! whom follows from the order of the inputs alone.
//!
//! Invariant: the result is that of asking one frame after the other, whatever the number of workers: a batch is compared
//! with the leaders before it by all of them, and then with its own new ones in order.

mod leaders;
mod sheet;
mod spread;
mod survey;

use std::collections::HashMap;

use framewright_hash::{Fingerprint, Hash256, Query, Thresholds};
use framewright_pipeline::{Control, Failure};

use crate::dataset::config::{DedupConfig, Preset};
use crate::dataset::record::{Drop, DropReason, Frame};
use leaders::{Asked, Found, Leaders};
use spread::spread;

pub use sheet::write_sheet;
pub use survey::{Distances, Hash, Pair, Survey, survey};

/// Frames compared with the leaders before them at a time, and then among themselves by one thread.
const BATCH: usize = 2048;
/// The same where embeddings are compared, which takes a hundred times as long.
const EMBEDDING_BATCH: usize = 256;
/// Frames in one worker's piece of a batch.
const PIECE: usize = 64;
/// Pairs below which starting threads costs more than it saves.
const MIN_PAIRS: usize = 4_000_000;

/// A frame that is good enough for the dataset, if it is not there already.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Number of its video in the order of the inputs.
    pub video: usize,
    /// What was seen of it.
    pub frame: &'a Frame,
    /// Its unit vector, where embeddings are compared.
    pub embedding: Option<&'a [f32]>,
}

/// A frame of an earlier dataset, whose near duplicates are not wanted again.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// Its name.
    pub image_id: String,
    /// As [`Frame::dct`].
    pub dct: Hash256,
    /// As [`Frame::dhash`].
    pub dhash: Hash256,
    /// As in the frame's scores.
    pub contrast: f32,
    /// As in the frame's scores.
    pub brightness: f32,
}

/// What the configuration asks for, overrides applied; none when nothing is to be dropped. `min_contrast` is the least
/// contrast of a frame that is not featureless ([`crate::dataset::config::FilterConfig::min_contrast`]).
pub fn thresholds(config: &DedupConfig, min_contrast: f32) -> Option<Thresholds> {
    let preset = match config.preset {
        Preset::Off => return None,
        Preset::Exact => Thresholds::EXACT,
        Preset::Strict => Thresholds::STRICT,
        Preset::Normal => Thresholds::NORMAL,
        Preset::Loose => Thresholds::LOOSE,
    };
    Some(Thresholds {
        dct: config.dct.unwrap_or(preset.dct),
        dhash: config.dhash.unwrap_or(preset.dhash),
        min_contrast,
        ..preset
    })
}

/// Phase one: for each frame of one video, by rising timestamp, whether an earlier one of it stands for it.
pub fn within_video(
    frames: &[Candidate<'_>],
    config: &DedupConfig,
    min_contrast: f32,
) -> Vec<Option<Drop>> {
    let Some(thresholds) = thresholds(config, min_contrast) else {
        return vec![None; frames.len()];
    };
    let mut leaders = Leaders::new(thresholds, config.embedding.as_ref());
    let mut names = Vec::new();
    let mut drops = Vec::with_capacity(frames.len());
    for candidate in frames {
        let asked = asked(candidate, config);
        let found = leaders.first_from(0, &asked);
        if found.is_none() {
            leaders.push(&asked);
            names.push(candidate.frame.image_id.as_str());
        }
        drops.push(
            found.map(|found| dropped(DropReason::DuplicateInVideo, names[found.position], &found)),
        );
    }
    drops
}

/// Phase two: for each frame that phase one has left of all videos, in input order, whether a frame of an earlier dataset
/// or of an earlier video stands for it. None when `control` has ended it before its end.
///
/// `members` are, for each of `candidates`, the frames that it stands for in its own video; empty for none. What is nearly
/// the same as one of these is left out too, in favour of the leader: the copy of a frame that was thinned out is a copy
/// all the same, though it may be further from the leader than the thresholds allow. Frames of a candidate's own video
/// are not asked again, so groups do not grow along a slow movement.
///
/// # Errors
/// A thread that cannot be started.
pub fn across(
    candidates: &[Candidate<'_>],
    members: &[Vec<&Frame>],
    earlier: &[Earlier],
    config: &DedupConfig,
    min_contrast: f32,
    workers: usize,
    control: &Control,
) -> Result<Option<Vec<Option<Drop>>>, Failure> {
    let Some(thresholds) = thresholds(config, min_contrast) else {
        return Ok(Some(vec![None; candidates.len()]));
    };
    let mut leaders = Leaders::new(thresholds, config.embedding.as_ref());
    for earlier in earlier {
        leaders.push(&Asked {
            query: fingerprint_of_earlier(earlier).into(),
            embedding: None,
        });
    }
    // who stands for each entry behind those of earlier datasets
    let mut own: Vec<&Candidate<'_>> = Vec::new();
    let mut drops = Vec::with_capacity(candidates.len());
    let mut video = None;
    // entries of the videos before this one
    let mut before = 0;
    let batch = if config.embedding.is_some() {
        EMBEDDING_BATCH
    } else {
        BATCH
    };
    for candidates in candidates.chunks(batch) {
        let batch: Vec<_> = candidates
            .iter()
            .map(|candidate| asked(candidate, config))
            .collect();
        let pieces: Vec<&[Asked<'_>]> = batch.chunks(PIECE).collect();
        let known = leaders.len();
        let workers = if known * batch.len() < MIN_PAIRS {
            1
        } else {
            workers
        };
        let Some(found) = spread(&pieces, workers, control, |piece| {
            leaders.first_within_each(piece)
        })?
        else {
            return Ok(None);
        };
        let answers = candidates
            .iter()
            .zip(&batch)
            .zip(found.into_iter().flatten());
        for ((candidate, asked), found) in answers {
            if video.replace(candidate.video) != Some(candidate.video) {
                before = leaders.len();
            }
            let found = found.or_else(|| leaders.first_from(known, asked));
            // The first entry near enough is of this video: so none of the earlier ones is.
            let Some(found) = found.filter(|found| found.position < before) else {
                let stands_for = members.get(drops.len()).map_or(&[][..], Vec::as_slice);
                leaders.push(asked);
                for member in stands_for {
                    leaders.push(&Asked {
                        query: fingerprint(member).into(),
                        embedding: None,
                    });
                }
                own.extend(std::iter::repeat_n(candidate, 1 + stands_for.len()));
                drops.push(None);
                continue;
            };
            drops.push(Some(match found.position.checked_sub(earlier.len()) {
                None => {
                    let earlier = &earlier[found.position].image_id;
                    dropped(DropReason::DuplicateOfEarlierDataset, earlier, &found)
                }
                Some(n) => {
                    let leader = &own[n].frame.image_id;
                    dropped(DropReason::DuplicateAcrossVideos, leader, &found)
                }
            }));
        }
    }
    Ok(Some(drops))
}

/// For each of `leaders` the frames that it stands for: those of `frames` that were dropped in its favour.
pub fn members<'a, 'b>(
    frames: impl Iterator<Item = (&'a Frame, Option<&'b Drop>)>,
    leaders: &[Candidate<'a>],
) -> Vec<Vec<&'a Frame>> {
    let place: HashMap<&str, usize> = (leaders.iter().enumerate())
        .map(|(n, leader)| (leader.frame.image_id.as_str(), n))
        .collect();
    let mut members = vec![Vec::new(); leaders.len()];
    for (frame, drop) in frames {
        let leader = drop.and_then(|drop| drop.duplicate_of.as_deref());
        if let Some(n) = leader.and_then(|leader| place.get(leader)) {
            members[*n].push(frame);
        }
    }
    members
}

fn dropped(reason: DropReason, leader: &str, found: &Found) -> Drop {
    Drop {
        reason,
        duplicate_of: Some(leader.to_owned()),
        distance: Some(found.distance),
        kind: Some(found.kind),
    }
}

fn asked<'a>(candidate: &Candidate<'a>, config: &DedupConfig) -> Asked<'a> {
    Asked {
        query: query(candidate.frame, config.flip),
        embedding: candidate.embedding,
    }
}

/// What a frame is searched by; the mirrored hashes only where they were made.
fn query(frame: &Frame, flip: bool) -> Query {
    let upright = fingerprint(frame);
    let mirrored = frame.mirrored.filter(|_| flip);
    Query {
        upright,
        mirrored: mirrored.map(|mirrored| Fingerprint {
            dct: mirrored.dct,
            dhash: mirrored.dhash,
            ..upright
        }),
    }
}

/// What is compared of a frame.
pub fn fingerprint(frame: &Frame) -> Fingerprint {
    Fingerprint {
        dct: frame.dct,
        dhash: frame.dhash,
        contrast: frame.scores.contrast,
        brightness: frame.scores.brightness,
    }
}

fn fingerprint_of_earlier(earlier: &Earlier) -> Fingerprint {
    Fingerprint {
        dct: earlier.dct,
        dhash: earlier.dhash,
        contrast: earlier.contrast,
        brightness: earlier.brightness,
    }
}

#[cfg(test)]
mod quality;
#[cfg(test)]
mod tests;
