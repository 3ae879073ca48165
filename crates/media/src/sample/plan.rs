//! Which packets have to be decoded for the frames that are wanted. Pure: from numbers to numbers.
//!
//! ```text
//! file order   I P B b b P B b b │ I P B b b P … │ I …       a start begins a group
//! wanted               ^                             ^
//! decoded      x x x - x                             R        - as references only; R the decoder is emptied first
//! ```
//! A group is decoded up to its last wanted frame, others not at all. A frame that is shown before the start of its
//! group may be predicted from the group before, which is then decoded to its end, and on from there.

use super::choose::{Chooser, Sampling};
use super::scan::{Scan, Seen};
use crate::decode::Action;

/// A frame that has to come out of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) pts: i64,
    /// Its number in the order of presentation.
    pub(super) index: u64,
}

/// What is decoded, and what has to come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// One for each packet of the video.
    pub(super) actions: Vec<Action>,
    /// In the order of presentation.
    pub(super) wanted: Vec<Wanted>,
}

/// The plan for what `chooser` takes, or why there is none.
pub(super) fn plan(
    scan: &Scan,
    sampling: Sampling,
    chooser: Chooser,
) -> Result<Plan, &'static str> {
    if let Some(why) = scan.unsure {
        return Err(why);
    }
    match sampling {
        Sampling::Scenes => return Err("scenes are found by looking at every frame"),
        Sampling::Keyframes if scan.has_recovery_points => {
            return Err("decoding cannot begin at all of its key frames");
        }
        _ => {}
    }
    Ok(plan_packets(&scan.packets, scan.may_skip_unused, chooser))
}

fn plan_packets(packets: &[Seen], may_skip_unused: bool, mut chooser: Chooser) -> Plan {
    let mut shown: Vec<usize> = (0..packets.len())
        .filter(|&n| packets[n].is_shown)
        .collect();
    shown.sort_unstable_by_key(|&n| packets[n].pts);
    let mut is_wanted = vec![false; packets.len()];
    let mut wanted = Vec::new();
    for (index, &n) in (0..).zip(&shown) {
        if chooser.takes(index, packets[n].pts, packets[n].is_start) {
            is_wanted[n] = true;
            let pts = packets[n].pts;
            wanted.push(Wanted { pts, index });
        }
    }
    let mut actions = vec![Action::Skip; packets.len()];
    let mut end = packets.len();
    // From the last group to the first: what a group needs of the one before is known when that one's turn comes.
    let mut is_needed_whole = false;
    while end > 0 {
        let start = (0..end).rev().find(|&n| packets[n].is_start).unwrap_or(0);
        let last = (start..end).rev().find(|&n| is_wanted[n]);
        let until = if is_needed_whole { Some(end - 1) } else { last };
        let Some(until) = until else {
            end = start;
            continue;
        };
        let is_leading = |n: usize| packets[n].pts < packets[start].pts;
        is_needed_whole = start > 0 && (start..end).any(|n| is_wanted[n] && is_leading(n));
        for n in start..=until {
            actions[n] = if n == start && !is_needed_whole {
                Action::Restart
            } else if is_wanted[n] || !may_skip_unused {
                Action::Decode
            } else {
                Action::DecodeIfReference
            };
            // Without the group before, such a frame cannot be decoded.
            if !is_needed_whole && is_leading(n) {
                actions[n] = Action::Skip;
            }
        }
        end = start;
    }
    join_groups(&mut actions);
    Plan { actions, wanted }
}

/// Behind a group that is decoded to its end the decoder goes on as it would anyway.
fn join_groups(actions: &mut [Action]) {
    for n in 1..actions.len() {
        if actions[n] == Action::Restart && actions[n - 1] != Action::Skip {
            actions[n] = Action::Decode;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Letters in file order: `I` a start, `p` any other frame, `h` one that is hidden; numbers are timestamps.
    fn packets(kinds: &str, pts: &[i64]) -> Vec<Seen> {
        let packet = |(kind, &pts): (char, &i64)| Seen {
            pts,
            is_start: kind == 'I',
            is_shown: kind != 'h',
        };
        kinds.chars().zip(pts).map(packet).collect()
    }

    fn letters(plan: &Plan) -> String {
        let letter = |action: &Action| match action {
            Action::Skip => '.',
            Action::DecodeIfReference => 'r',
            Action::Decode => 'x',
            Action::Restart => 'R',
        };
        plan.actions.iter().map(letter).collect()
    }

    fn planned(kinds: &str, pts: &[i64], sampling: Sampling) -> (String, Vec<u64>) {
        let plan = plan_packets(
            &packets(kinds, pts),
            true,
            Chooser::new(sampling, 1.0, None),
        );
        (
            letters(&plan),
            plan.wanted.iter().map(|it| it.index).collect(),
        )
    }

    #[test]
    fn groups_without_a_wanted_frame_are_left_out_and_others_end_with_it() {
        let pts = [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11];
        let (actions, wanted) = planned("IpppIpppIppp", &pts, Sampling::Frames(9));
        assert_eq!((actions.as_str(), wanted), ("R.......Rrx.", vec![0, 9]));
        let (actions, _) = planned("IpppIpppIppp", &pts, Sampling::Frames(3));
        assert_eq!(actions, "Rrrxxx..Rrx.");
    }

    #[test]
    fn a_wanted_frame_before_its_start_needs_the_group_before() {
        // Frame 7 is shown before the start that stands before it in the file; so may be what it is predicted from.
        let pts = [0, 1, 2, 5, 3, 4, 8, 6, 7, 9];
        let (actions, wanted) = planned("IppIppIppp", &pts, Sampling::Frames(7));
        assert_eq!((actions.as_str(), wanted), ("R..R..rrx.", vec![0, 7]));
    }

    #[test]
    fn key_frames_alone_are_decoded_alone_and_hidden_frames_are_not_counted() {
        let pts = [0, 1, 2, 3, 4, 5];
        assert_eq!(
            planned("IhpIpp", &pts, Sampling::Keyframes),
            ("R..R..".into(), vec![0, 2])
        );
        assert_eq!(planned("Ihphpp", &pts, Sampling::Frames(2)).1, [0, 2]);
    }

    proptest! {
        /// Made-up films in which every frame says what it is predicted from: nothing wanted may miss anything.
        #[test]
        fn all_that_a_wanted_frame_is_predicted_from_is_decoded(
            groups in prop::collection::vec((0_usize..3, 0_usize..6), 1..12),
            step in 1_u64..20,
        ) {
            let (mut seen, mut next) = (Vec::new(), 0);
            for (n, &(leading, trailing)) in groups.iter().enumerate() {
                let leading = if n == 0 { 0 } else { leading as i64 };
                seen.push(Seen { pts: next + leading, is_start: true, is_shown: true });
                seen.extend((0..leading).map(|n| Seen { pts: next + n, is_start: false, is_shown: true }));
                next += leading + 1;
                seen.extend((0..trailing as i64).map(|n| Seen { pts: next + n, is_start: false, is_shown: true }));
                next += trailing as i64;
            }
            let plan = plan_packets(&seen, false, Chooser::new(Sampling::Frames(step), 1.0, None));
            let is_wanted = |pts| plan.wanted.iter().any(|it| it.pts == pts);
            prop_assert_eq!(plan.wanted.len() as u64, (seen.len() as u64).div_ceil(step));
            let mut start = 0;
            for n in 0..seen.len() {
                if seen[n].is_start { start = n; }
                if is_wanted(seen[n].pts) {
                    // Its group up to it without a gap, but for leading frames, and the group before of a leading one.
                    let from = if seen[n].pts < seen[start].pts {
                        (0..start).rev().find(|&n| seen[n].is_start).unwrap()
                    } else { start };
                    for m in from..=n {
                        let is_of_group_before = m < start;
                        let group = if is_of_group_before { from } else { start };
                        if seen[m].pts >= seen[group].pts || (!is_of_group_before && from < start) {
                            prop_assert_ne!(plan.actions[m], Action::Skip);
                        }
                        if m > from { prop_assert_ne!(plan.actions[m], Action::Restart); }
                    }
                    // Decoding begins there, or goes on from the group before.
                    let before = (0..from).rev().find(|&n| seen[n].is_start);
                    prop_assert!(plan.actions[from] == Action::Restart
                        || before.is_some_and(|before| plan.actions[before] != Action::Skip));
                }
            }
        }
    }
}
