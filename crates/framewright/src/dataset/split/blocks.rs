//! Too few videos to keep them whole: each is cut in time.
//!
//! ```text
//! video ──│ val │ gap │        train        │ gap │ test │──▶ time
//! ```
//! The largest part lies in the middle, so that the gaps take frames only from it. Within a gap, pictures would be
//! nearly those beyond the cut: it is 2 s wide, or 2 % of the duration, at most 30 s.

use crate::dataset::record::{Dataset, Drop, DropReason, Split};
use crate::dataset::split::Shares;

const LEAST_GAP_SECS: f64 = 2.0;
const GAP_OF_DURATION: f64 = 0.02;
const MOST_GAP_SECS: f64 = 30.0;

/// Gives every kept frame its part by its time, and drops those in the gaps.
pub(super) fn divide(
    dataset: &mut Dataset,
    shares: &Shares,
    groups: usize,
    notes: &mut Vec<String>,
) {
    let order = order(shares);
    let mut by_video: Vec<Vec<usize>> = vec![Vec::new(); dataset.videos.len()];
    for (place, frame) in dataset.frames.iter().enumerate() {
        if frame.is_kept() {
            by_video[frame.video].push(place);
        }
    }
    let pts = |dataset: &Dataset, place: usize| dataset.frames[place].frame.pts_secs;
    let mut dropped = 0;
    for (video, mut places) in by_video.into_iter().enumerate() {
        places.sort_by(|&a, &b| pts(dataset, a).total_cmp(&pts(dataset, b)));
        let times: Vec<f64> = places.iter().map(|&place| pts(dataset, place)).collect();
        let gap = gap(dataset.videos[video].duration_secs, &times);
        for (&place, part) in places.iter().zip(cut(&times, &order, shares, gap)) {
            let frame = &mut dataset.frames[place];
            frame.split = part;
            if part.is_none() {
                frame.dropped = Some(Drop {
                    reason: DropReason::GuardGap,
                    duplicate_of: None,
                    distance: None,
                    kind: None,
                });
                dropped += 1;
            }
        }
    }
    let are = match groups {
        0 => return,
        1 => "there is only one group of videos".to_owned(),
        n => format!("there are only {n} groups of videos"),
    };
    notes.push(format!(
        "{are}, so the parts are cut out of the same videos, with gaps that cost {dropped} frames: results on val and test \
         will look better than they are; add videos"
    ));
    for part in shares.parts() {
        if !dataset.frames.iter().any(|frame| frame.split == Some(part)) {
            notes.push(format!(
                "no pictures are left for {}: add videos",
                part.word()
            ));
        }
    }
}

/// The parts in the order of time.
fn order(shares: &Shares) -> Vec<Split> {
    let mut parts = shares.parts();
    // The first of equals stays the largest.
    let largest = (1..parts.len()).fold(0, |best, n| {
        if shares.of(parts[n]) > shares.of(parts[best]) {
            n
        } else {
            best
        }
    });
    let largest = parts.remove(largest);
    parts.insert(1.min(parts.len()), largest);
    parts
}

fn gap(duration_secs: Option<f64>, times: &[f64]) -> f64 {
    let seen = times.last().copied().unwrap_or(0.0);
    let duration = duration_secs
        .filter(|secs| secs.is_finite())
        .unwrap_or(seen);
    (duration * GAP_OF_DURATION).clamp(LEAST_GAP_SECS, MOST_GAP_SECS)
}

/// The part of each of a video's frames, given by rising times; none in a gap. A video too short to be cut is one part.
fn cut(times: &[f64], order: &[Split], shares: &Shares, gap: f64) -> Vec<Option<Split>> {
    let middle = order[1.min(order.len() - 1)];
    let whole = || vec![Some(middle); times.len()];
    let n = times.len();
    if n < order.len() {
        return whole();
    }
    let count = |split: Split| ((shares.of(split) * n as f64).round() as usize).max(1);
    let before = if order.len() > 1 { count(order[0]) } else { 0 };
    let after = if order.len() > 2 { count(order[2]) } else { 0 };
    if before + after >= n {
        return whole();
    }
    let (first, last) = (times[..before].last(), times[n - after..].first());
    let is_far = |time: f64| {
        first.is_none_or(|first| time - first >= gap) && last.is_none_or(|last| last - time >= gap)
    };
    if !times[before..n - after].iter().any(|&time| is_far(time)) {
        return whole();
    }
    let part = |(place, &time): (usize, &f64)| match place {
        place if place < before => Some(order[0]),
        place if place >= n - after => Some(order[2]),
        _ => is_far(time).then_some(middle),
    };
    times.iter().enumerate().map(part).collect()
}
