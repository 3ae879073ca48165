use proptest::prelude::*;

use super::*;
use crate::upscale::cells::CELL;
use crate::upscale::test_film::{SIZE, events, film};
use framewright_media::PixelFormat;

fn format(name: &str) -> PixelFormat {
    PixelFormat::from_name(name).unwrap()
}

fn grey(name: &str, width: u32, height: u32) -> Frame {
    let mut frame = Frame::alloc(format(name), width, height).unwrap();
    for plane in frame.planes_mut() {
        plane.fill(100);
    }
    frame
}

/// A grey picture of 40×24 with one byte of a plane changed.
fn with_byte(name: &str, plane: usize, x: usize, y: usize, value: u8) -> Frame {
    let mut frame = grey(name, 40, 24);
    let stride = frame.stride(plane);
    frame.planes_mut()[plane][y * stride + x] = value;
    frame
}

fn rule(tolerance: f32, reach: Option<usize>) -> Rule {
    Rule {
        tolerance,
        reach,
        shift_step: Some(2),
        keeps_state: false,
        n_composites: 4,
    }
}

/// What is said about the second of two frames.
fn second(tolerance: f32, first: &Frame, second: &Frame) -> Judgement {
    let mut compare = Compare::new(Some(rule(tolerance, Some(0))));
    let verdict = compare.judge(0, first, false).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Whole { kept: true }));
    compare.judge(1, second, false).unwrap()
}

fn is_repeat(tolerance: f32, first: &Frame, other: &Frame) -> bool {
    matches!(second(tolerance, first, other).verdict, Verdict::Repeat(0))
}

#[test]
fn an_identical_frame_repeats_and_reuse_off_finds_none() {
    let frame = grey("yuv420p", 40, 24);
    assert!(is_repeat(0.0, &frame, &frame.share()));
    let mut off = Compare::new(None);
    for index in 0..2 {
        let verdict = off.judge(index, &frame, false).unwrap().verdict;
        assert!(matches!(verdict, Verdict::Whole { kept: false }));
    }
}

#[test]
fn tolerance_zero_sees_one_level_of_one_sample_in_any_plane_and_corner() {
    let first = grey("yuv420p", 40, 24);
    for (plane, x, y) in [(0, 0, 0), (0, 39, 23), (1, 19, 11), (2, 0, 11)] {
        let other = with_byte("yuv420p", plane, x, y, 101);
        let judgement = second(0.0, &first, &other);
        assert_eq!(judgement.cells_changed, 1, "{plane} {x} {y}");
        let Verdict::Part { base, changed, .. } = judgement.verdict else {
            panic!("{plane} {x} {y}");
        };
        let cell = CELL >> usize::from(plane > 0);
        let runs: Vec<_> = changed.runs().collect();
        assert_eq!((base, runs), (0, vec![(x / cell..x / cell + 1, y / cell)]));
    }
}

#[test]
fn the_tolerance_is_the_mean_of_a_cell() {
    let first = grey("yuv420p", 40, 24);
    // 64 luma samples to a cell: 32 levels in one of them are 0.5 in the mean. 16 chroma samples: 8 levels.
    for (plane, x, y, just) in [(0, 12, 12, 132), (1, 6, 6, 108)] {
        let tolerated = with_byte("yuv420p", plane, x, y, just);
        let judgement = second(0.5, &first, &tolerated);
        assert!(matches!(judgement.verdict, Verdict::Repeat(0)));
        assert!((judgement.worst_difference - 0.5).abs() < 1e-6);
        assert!(!is_repeat(
            0.5,
            &first,
            &with_byte("yuv420p", plane, x, y, just + 1)
        ));
    }
}

#[test]
fn ten_bit_samples_count_in_eight_bit_levels() {
    // The low byte of a sample: 128 of its levels are 32 of 8 bits.
    let first = grey("yuv420p10le", 40, 24);
    assert!(is_repeat(
        0.5,
        &first,
        &with_byte("yuv420p10le", 0, 0, 0, 228)
    ));
    assert!(!is_repeat(
        0.5,
        &first,
        &with_byte("yuv420p10le", 0, 0, 0, 229)
    ));
}

#[test]
fn cells_cut_by_the_edge_are_judged_by_their_own_size() {
    let first = grey("gray", 9, 9);
    let raised = |value| {
        let mut frame = grey("gray", 9, 9);
        let stride = frame.stride(0);
        frame.planes_mut()[0][8 * stride + 8] = value;
        frame
    };
    assert!(is_repeat(3.0, &first, &raised(103)));
    assert!(!is_repeat(3.0, &first, &raised(104)));
}

/// A flat picture.
fn level(value: u8) -> Frame {
    let mut frame = grey("gray", 16, 16);
    frame.planes_mut()[0].fill(value);
    frame
}

/// The composites that frames of these levels show, by index.
fn shown(compare: &mut Compare, levels: impl IntoIterator<Item = u8>) -> Vec<u64> {
    let judge = |(index, value)| match compare.judge(index, &level(value), false).unwrap().verdict {
        Verdict::Repeat(of) => of,
        _ => index,
    };
    (0..).zip(levels).map(judge).collect()
}

#[test]
fn small_steps_do_not_add_up() {
    let mut compare = Compare::new(Some(rule(1.0, None)));
    // From 102 on an older picture may be as close as the one shown last, never farther than the tolerance.
    assert_eq!(shown(&mut compare, 100..106), [0, 0, 2, 2, 4, 4]);
}

#[test]
fn pictures_that_come_back_are_shown_again_as_long_as_there_is_room() {
    for reach in [None, Some(0)] {
        let mut compare = Compare::new(Some(rule(0.5, reach)));
        assert_eq!(
            shown(&mut compare, [10, 20, 30, 10, 20, 40, 50, 60, 30]),
            [0, 1, 2, 0, 1, 5, 6, 7, 8]
        );
    }
}

#[test]
fn what_is_forgotten_is_said_once_and_never_referred_to_again() {
    let mut compare = Compare::new(Some(rule(0.5, Some(0))));
    let mut alive = Vec::new();
    for (index, value) in (0..).zip([10, 20, 30, 40, 50, 10, 60, 50, 70, 80, 40]) {
        let judgement = compare.judge(index, &level(value), false).unwrap();
        match judgement.verdict {
            Verdict::Repeat(of) => assert!(alive.contains(&of)),
            Verdict::Part { base, .. } => assert!(alive.contains(&base)),
            Verdict::Whole { kept } => assert!(kept),
        }
        if !matches!(judgement.verdict, Verdict::Repeat(_)) {
            alive.push(index);
        }
        for old in judgement.forgotten {
            let place = alive.iter().position(|&id| id == old);
            alive.remove(place.expect("only what is kept is forgotten"));
        }
        assert!(alive.len() <= 4);
    }
}

#[test]
fn a_damaged_frame_is_shown_once_and_never_built_upon() {
    let (clean, other) = (level(10), level(50));
    let mut compare = Compare::new(Some(rule(0.5, Some(0))));
    compare.judge(0, &clean, false).unwrap();
    let judgement = compare.judge(1, &other, true).unwrap();
    assert!(matches!(judgement.verdict, Verdict::Whole { kept: false }));
    // The same picture without damage is new, and the one before the damage is still there.
    let verdict = compare.judge(2, &other, false).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Whole { kept: true }));
    let verdict = compare.judge(3, &clean, false).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Repeat(0)));
}

/// The mean difference of the worst cell, sample by sample.
fn worst_cell(a: &Frame, b: &Frame) -> f64 {
    let mut worst = 0.0_f64;
    for plane in 0..3 {
        let (cell, width) = if plane == 0 {
            (8, SIZE.0)
        } else {
            (4, SIZE.0.div_ceil(2))
        };
        for top in (0..a.rows(plane)).step_by(cell) {
            for left in (0..width).step_by(cell) {
                let (mut sum, mut n) = (0_u32, 0_u32);
                for y in top..a.rows(plane).min(top + cell) {
                    for x in left..width.min(left + cell) {
                        let sample =
                            |frame: &Frame| frame.planes()[plane][y * frame.stride(plane) + x];
                        sum += u32::from(sample(a).abs_diff(sample(b)));
                        n += 1;
                    }
                }
                worst = worst.max(f64::from(sum) / f64::from(n));
            }
        }
    }
    worst
}

proptest! {
    #[test]
    fn what_is_shown_differs_in_no_cell_by_more_than_the_tolerance(
        events in events(), tolerance in prop_oneof![Just(0.0_f32), 0.0_f32..20.0], reach in proptest::option::of(0_usize..20), n in 1_usize..6
    ) {
        let mut compare = Compare::new(Some(Rule { tolerance, reach, shift_step: Some(2), keeps_state: false, n_composites: n }));
        for (index, frame) in (0..).zip(&film(&events)) {
            let judgement = compare.judge(index, frame, false).unwrap();
            let composite = compare.shown(&judgement).unwrap();
            let worst = worst_cell(composite, frame);
            prop_assert!(worst <= f64::from(tolerance) * 1.000_001, "{worst} of {tolerance}");
            prop_assert!((worst - f64::from(judgement.worst_difference)).abs() < 1e-4);
        }
    }

    #[test]
    fn a_composite_differs_from_its_base_in_changed_cells_only(events in events(), tolerance in 0.0_f32..4.0) {
        let mut compare = Compare::new(Some(rule(tolerance, Some(0))));
        let mut composites: Vec<(u64, Frame)> = Vec::new();
        for (index, frame) in (0..).zip(&film(&events)) {
            let judgement = compare.judge(index, frame, false).unwrap();
            let shown = compare.shown(&judgement).unwrap().share();
            if let Verdict::Part { base, changed, .. } = &judgement.verdict {
                let base = &composites.iter().find(|(id, _)| id == base).unwrap().1;
                // What the base does not cover after it has moved is undefined in the copy.
                let mut rebuilt = FramePool::default().copy_moved(base, changed.moved()).unwrap();
                prop_assert_eq!(judgement.moved, !changed.moved().is_none());
                for (columns, row) in changed.runs() {
                    rebuilt.copy_part(frame, &changed.grid().region(&columns, row));
                }
                prop_assert!(worst_cell(&rebuilt, &shown) < 1e-9);
            }
            composites.push((index, shown));
        }
    }
}
