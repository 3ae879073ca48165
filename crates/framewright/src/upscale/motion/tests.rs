use framewright_media::{FramePool, PixelFormat};
use proptest::prelude::*;

use super::*;
use crate::upscale::test_film::textured;

/// Like a drawing, with a margin to move it in.
fn scene(format: &str, width: u32, height: u32) -> Frame {
    textured(PixelFormat::from_name(format).unwrap(), width, height, 7)
}

/// The scene moved; what comes into the picture is black.
fn moved(scene: &Frame, x: isize, y: isize) -> Frame {
    let (width, height) = (scene.width(), scene.height());
    let mut frame = Frame::alloc(scene.pixel_format(), width as u32, height as u32).unwrap();
    for plane in frame.planes_mut() {
        plane.fill(0);
    }
    let shift = Shift { x, y };
    frame.copy_moved_part(scene, &shift.covered(width, height), shift);
    frame
}

/// What is found for a frame, given the composites, each with the index of its frame.
fn find(frame: &Frame, composites: &[&Frame], tolerance: f32) -> Option<(usize, Shift)> {
    let pictures = (0..).zip(composites.iter().copied());
    Finder::default().find(100, frame, pictures, 2, tolerance)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_movement_by_even_numbers_is_found(
        (x, y) in prop_oneof![
            (-20_isize..=20, Just(0)), (Just(0), -16_isize..=16), (-4_isize..=4, -4_isize..=4)
        ],
        format in prop::sample::select(vec!["yuv420p", "yuv444p", "yuv420p10le", "gray"])
    ) {
        prop_assume!((x, y) != (0, 0));
        let scene = scene(format, 331, 203);
        let frame = moved(&scene, 2 * x, 2 * y);
        prop_assert_eq!(find(&frame, &[&scene], 0.0), Some((0, Shift { x: 2 * x, y: 2 * y })));
    }
}

#[test]
fn what_does_not_move_by_even_numbers_is_not_found() {
    let scene = scene("yuv444p", 331, 203);
    for (x, y) in [(0, 0), (3, 0), (-5, 0), (-7, 2), (90, 0)] {
        assert_eq!(find(&moved(&scene, x, y), &[&scene], 0.5), None, "{x}, {y}");
    }
    let other = textured(scene.pixel_format(), 331, 203, 8);
    assert_eq!(find(&other, &[&scene], 0.5), None);
}

#[test]
fn the_composite_that_fits_is_chosen() {
    let scene = scene("yuv444p", 331, 203);
    let frames = [0, -3, -6, -9].map(|x| moved(&scene, x, 0));
    let [oldest, older, last, now] = &frames;
    let shift = Shift { x: -6, y: 0 };
    assert_eq!(find(now, &[last, older, oldest], 0.5), Some((1, shift)));
    assert_eq!(find(now, &[last, oldest], 0.5), None);
}

/// Noise on every sample, as a codec leaves it.
#[test]
fn a_little_noise_hides_no_movement() {
    let scene = scene("yuv420p", 331, 203);
    let mut frame = moved(&scene, -4, 2);
    for (n, sample) in frame.planes_mut()[0].iter_mut().enumerate() {
        *sample ^= u8::from(n % 3 == 0);
    }
    let shift = Shift { x: -4, y: 2 };
    assert_eq!(find(&frame, &[&scene], 0.5), Some((0, shift)));
    assert_eq!(find(&frame, &[&scene], 0.0), None);
}

#[test]
fn pictures_of_one_level_and_of_few_pixels_have_not_moved() {
    let format = PixelFormat::from_name("gray").unwrap();
    for (width, height) in [(1, 1), (9, 3), (200, 100)] {
        let level = |level| {
            let mut frame = Frame::alloc(format, width, height).unwrap();
            frame.planes_mut()[0].fill(level);
            frame
        };
        assert_eq!(find(&level(20), &[&level(20), &level(200)], 0.5), None);
    }
}

#[test]
fn what_is_known_of_a_composite_is_what_is_found_out_again() {
    let scene = scene("yuv420p", 331, 203);
    let frames: Vec<_> = (0..8).map(|n| moved(&scene, -2 * n, 2 * n)).collect();
    let mut finder = Finder::default();
    for (n, pair) in (1..).zip(frames.windows(2)) {
        let before = FramePool::default().copy(&pair[0]).unwrap();
        let composites = [(n - 1, &before)].into_iter();
        let known = finder.find(n, &pair[1], composites, 2, 0.0);
        assert_eq!(known, find(&pair[1], &[&before], 0.0));
        assert!(known.is_some());
        assert!(finder.profiles.len() <= 2);
    }
}
