//! Parts of pictures have the very bits of the whole, in every format, at every siting and place.

use ffmpeg_sys_the_third::{AVChromaLocation, AVColorRange};
use proptest::prelude::*;

use crate::noise::noise;
use crate::{
    CHROMA_REACH, ColourTags, Frame, FrameMaker, FramePool, PixelFormat, PlanarRgb, Region, Shift,
    rgb_from_frame, rgb_from_part,
};

const FORMATS: [&str; 13] = [
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "gray",
    "gbrp",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "gray10le",
    "gbrp10le",
    "yuv420p16le",
    "yuvj420p",
    "yuva420p",
];
const SITINGS: [AVChromaLocation; 6] = [
    AVChromaLocation::LEFT,
    AVChromaLocation::CENTER,
    AVChromaLocation::TOPLEFT,
    AVChromaLocation::TOP,
    AVChromaLocation::BOTTOMLEFT,
    AVChromaLocation::BOTTOM,
];

/// Pixels of a picture, and a part of it.
#[derive(Debug)]
struct Case {
    format: PixelFormat,
    siting: AVChromaLocation,
    range: AVColorRange,
    width: usize,
    height: usize,
    part: Region,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let span = |longest: usize| {
        (1..=longest)
            .prop_flat_map(|length| (Just(length), 0..length))
            .prop_flat_map(|(length, start)| (Just(length), Just(start), start + 1..=length))
    };
    (
        prop::sample::select(&FORMATS[..]),
        prop::sample::select(&SITINGS[..]),
        prop::sample::select(vec![AVColorRange::MPEG, AVColorRange::JPEG]),
        span(70),
        span(20),
        any::<u64>(),
    )
        .prop_map(
            |(format, siting, range, (width, left, right), (height, top, bottom), seed)| Case {
                format: PixelFormat::from_name(format).unwrap(),
                siting,
                range,
                width,
                height,
                part: Region {
                    x: left..right,
                    y: top..bottom,
                },
                seed,
            },
        )
}

impl Case {
    /// A frame of any codes, also between its rows; `other` makes another one.
    fn frame(&self, other: u64) -> Frame {
        let mut frame = Frame::alloc(self.format, self.width as u32, self.height as u32).unwrap();
        frame.raw_mut().chroma_location = self.siting;
        frame.raw_mut().color_range = self.range;
        let mut noise = noise(self.seed ^ other);
        for plane in frame.planes_mut() {
            plane.fill_with(|| noise.next().unwrap() as u8);
        }
        frame
    }

    fn maker(&self) -> FrameMaker {
        let tags = ColourTags::of(&self.frame(0));
        let (tags, _) = tags.complete(self.format, self.width, self.height);
        FrameMaker::new(self.format, tags).unwrap()
    }

    /// A picture like a network's, which overshoots, and worse.
    fn rgb(&self) -> PlanarRgb {
        let mut picture = PlanarRgb::new(self.width, self.height);
        for (value, n) in picture.data_mut().iter_mut().zip(noise(self.seed)) {
            *value = match n % 64 {
                0 => f32::NAN,
                1 => f32::NEG_INFINITY,
                _ => (n as f32 / (1_u64 << 31) as f32) * 1.4 - 0.2,
            };
        }
        picture
    }
}

fn crop(picture: &PlanarRgb, part: &Region) -> PlanarRgb {
    let mut cropped = PlanarRgb::default();
    picture.cut(part, &mut cropped);
    cropped
}

fn bits(picture: &PlanarRgb) -> Vec<u32> {
    picture.data().iter().map(|value| value.to_bits()).collect()
}

/// `to` where the samples over the pixels of `part` are those of `from`, by asking each byte where it lies.
fn replaced(to: &Frame, from: &Frame, part: &Region) -> [Vec<u8>; 3] {
    let format = to.pixel_format();
    let sample_bytes = usize::from(format.depth().div_ceil(8));
    let (across, down) = format.chroma_shift();
    [0, 1, 2].map(|plane| {
        let (shift_x, shift_y) = if plane == 0 { (0, 0) } else { (across, down) };
        let touches = |range: &std::ops::Range<usize>, sample: usize, shift: u8| {
            (sample << shift..(sample + 1) << shift).any(|pixel| range.contains(&pixel))
        };
        let stride = to.stride(plane);
        let bytes = to.planes()[plane].iter().zip(from.planes()[plane]);
        bytes
            .enumerate()
            .map(|(at, (&to, &from))| {
                let (x, y) = (at % stride / sample_bytes, at / stride);
                let inside = touches(&part.x, x, shift_x) && touches(&part.y, y, shift_y);
                if inside { from } else { to }
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn a_part_is_read_with_the_bits_of_the_whole(case in cases()) {
        let frame = case.frame(0);
        let (mut whole, mut part) = (PlanarRgb::default(), PlanarRgb::new(9, 9));
        rgb_from_frame(&frame, &mut whole).unwrap();
        rgb_from_part(&frame, &case.part, &mut part).unwrap();
        prop_assert_eq!((part.width(), part.height()), (case.part.width(), case.part.height()));
        prop_assert_eq!(bits(&part), bits(&crop(&whole, &case.part)));
    }

    #[test]
    fn a_part_is_written_with_the_bits_of_the_whole_and_nothing_else_is(case in cases(), more in 0_usize..4) {
        let (width, height) = (case.width, case.height);
        let (picture, mut maker) = (case.rgb(), case.maker());
        let want = case.part.aligned(2, width, height);
        let have = want.grown(CHROMA_REACH + more, width, height);
        // both in the pool, so that they have the same strides
        let whole = maker.frame_from_rgb(&picture).unwrap();
        let mut frame = FramePool::default().copy(&case.frame(1)).unwrap();
        let expected = replaced(&frame, &whole, &want);
        maker.write_part(&crop(&picture, &have), &have, &want, &mut frame);
        prop_assert_eq!(frame.planes().map(<[u8]>::to_vec), expected);
    }

    #[test]
    fn exactly_the_samples_over_a_part_are_copied(case in cases()) {
        let (from, mut to) = (case.frame(0), case.frame(1));
        let expected = replaced(&to, &from, &case.part);
        to.copy_part(&from, &case.part);
        prop_assert_eq!(to.planes().map(<[u8]>::to_vec), expected);
    }

    #[test]
    fn a_copy_has_the_pixels_and_the_colour_tags_of_the_frame(case in cases()) {
        let mut maker = case.maker();
        let mut made = maker.frame_from_rgb(&case.rgb()).unwrap();
        made.set_pts(7);
        (made.duration, made.raw_mut().color_range) = (8, AVColorRange::UNSPECIFIED);
        let tags = ColourTags::of(&made);
        let copy = FramePool::default().copy(&made).unwrap();
        prop_assert!(!copy.is_shared() && !made.is_shared());
        prop_assert_eq!((copy.pts(), copy.duration, ColourTags::of(&copy)), (None, 0, tags));
        // what lies between the rows is not looked at
        let mixed = replaced(&made, &copy, &Region::whole(case.width, case.height));
        prop_assert_eq!(made.planes().map(<[u8]>::to_vec), mixed);
    }
}

/// Movements by even numbers of pixels, some of them out of the picture.
fn even_shifts() -> impl Strategy<Value = Shift> {
    (-12_isize..=12, -8_isize..=8).prop_map(|(x, y)| Shift { x: 2 * x, y: 2 * y })
}

proptest! {
    #[test]
    fn a_moved_copy_has_every_sample_that_is_still_there_at_its_new_place(case in cases(), moved in even_shifts()) {
        let from = case.frame(0);
        let copy = FramePool::default().copy_moved(&from, moved).unwrap();
        prop_assert_eq!(ColourTags::of(&copy), ColourTags::of(&from));
        let covered = moved.covered(case.width, case.height);
        let sample_bytes = usize::from(case.format.depth().div_ceil(8));
        for plane in (0..3).filter(|&plane| from.rows(plane) > 0) {
            let (across, down) = if plane == 0 { (0, 0) } else { case.format.chroma_shift() };
            let sample = |frame: &Frame, x: usize, y: usize| {
                frame.planes()[plane][y * frame.stride(plane) + sample_bytes * x..][..sample_bytes].to_vec()
            };
            for (py, px) in covered.y.clone().flat_map(|y| covered.x.clone().map(move |x| (y, x))) {
                let before = (px.wrapping_add_signed(-moved.x), py.wrapping_add_signed(-moved.y));
                let (now, before) = (
                    sample(&copy, px >> across, py >> down),
                    sample(&from, before.0 >> across, before.1 >> down),
                );
                prop_assert_eq!(now, before, "plane {} at {}, {}", plane, px, py);
            }
        }
    }

    /// Both ways between frames and RGB, farther from the borders than chroma reaches.
    #[test]
    fn what_moves_by_an_even_number_of_pixels_converts_to_the_same_bits(case in cases(), moved in even_shifts()) {
        let (width, height) = (case.width, case.height);
        let covered = moved.covered(width, height);
        let (x, y) = (covered.x.start + 2..covered.x.end.max(2) - 2, covered.y.start + 2..covered.y.end.max(2) - 2);
        let inner = Region { x, y };
        prop_assume!(inner.is_inside(width, height));
        let there = |range: &std::ops::Range<usize>, by: isize| {
            range.start.wrapping_add_signed(-by)..range.end.wrapping_add_signed(-by)
        };
        let before = Region { x: there(&inner.x, moved.x), y: there(&inner.y, moved.y) };
        let from = case.frame(0);
        let copy = FramePool::default().copy_moved(&from, moved).unwrap();
        let rgb = |frame: &Frame, part: &Region| {
            let mut rgb = PlanarRgb::default();
            rgb_from_part(frame, part, &mut rgb).unwrap();
            rgb
        };
        prop_assert_eq!(bits(&rgb(&copy, &inner)), bits(&rgb(&from, &before)));

        let mut maker = case.maker();
        let (picture, mut there) = (case.rgb(), PlanarRgb::new(width, height));
        there.put(&covered, &crop(&picture, &Shift { x: -moved.x, y: -moved.y }.covered(width, height)));
        let mut expected = maker.frame_from_rgb(&picture).unwrap();
        expected = FramePool::default().copy_moved(&expected, moved).unwrap();
        let made = maker.frame_from_rgb(&there).unwrap();
        let mut mixed = FramePool::default().copy(&made).unwrap();
        mixed.copy_part(&expected, &inner.aligned(2, width, height));
        let whole = Region::whole(width, height);
        prop_assert_eq!(replaced(&mixed, &made, &whole), mixed.planes().map(<[u8]>::to_vec));
    }
}

/// A case of 4:2:0 to look at single samples.
fn plain(siting: AVChromaLocation) -> Case {
    Case {
        format: PixelFormat::from_name("yuv420p").unwrap(),
        siting,
        range: AVColorRange::MPEG,
        width: 12,
        height: 12,
        part: Region { x: 4..6, y: 4..6 },
        seed: 1,
    }
}

#[test]
fn chroma_reaches_as_far_as_its_constant_says_and_no_farther() {
    let (mut written, mut read) = (0, 0);
    for case in SITINGS.map(plain) {
        let mut maker = case.maker();
        let sample = |frame: &Frame| frame.planes()[1][2 * frame.stride(1) + 2];
        let mut frame = maker.frame_from_rgb(&PlanarRgb::new(12, 12)).unwrap();
        let black = sample(&frame);
        let mut before = PlanarRgb::default();
        rgb_from_frame(&frame, &mut before).unwrap();
        let stride = frame.stride(1);
        frame.planes_mut()[1][2 * stride + 2] = 200;
        let mut after = PlanarRgb::default();
        rgb_from_frame(&frame, &mut after).unwrap();
        for (y, x) in (0..12_usize).flat_map(|y| (0..12_usize).map(move |x| (y, x))) {
            let distance = |at: usize| 4_usize.saturating_sub(at).max(at.saturating_sub(5));
            let far = distance(x).max(distance(y));
            let mut picture = PlanarRgb::new(12, 12);
            picture.planes_mut()[2][12 * y + x] = 1.0;
            if sample(&maker.frame_from_rgb(&picture).unwrap()) != black {
                written = written.max(far);
            }
            if before.planes()[2][12 * y + x].to_bits() != after.planes()[2][12 * y + x].to_bits() {
                read = read.max(far);
            }
        }
    }
    assert_eq!((written, read), (CHROMA_REACH, CHROMA_REACH));
}

#[test]
#[should_panic(expected = "is not enough for")]
fn a_part_is_not_written_without_what_its_chroma_needs() {
    let case = plain(AVChromaLocation::LEFT);
    let rgb = PlanarRgb::new(2, 2);
    case.maker()
        .write_part(&rgb, &case.part, &case.part, &mut case.frame(0));
}

#[test]
#[should_panic(expected = "edges within chroma samples")]
fn a_part_is_not_written_to_the_middle_of_a_chroma_sample() {
    let case = plain(AVChromaLocation::LEFT);
    let want = Region { x: 4..7, y: 4..6 };
    let whole = Region::whole(12, 12);
    case.maker()
        .write_part(&case.rgb(), &whole, &want, &mut case.frame(0));
}

#[test]
#[should_panic(expected = "whole chroma samples")]
fn a_picture_does_not_move_by_half_a_chroma_sample() {
    let frame = plain(AVChromaLocation::LEFT).frame(0);
    let _ = FramePool::default().copy_moved(&frame, Shift { x: 0, y: 3 });
}

#[test]
#[should_panic(expected = "one format and size")]
fn frames_of_different_sizes_are_not_copied() {
    let mut case = plain(AVChromaLocation::LEFT);
    let mut frame = case.frame(0);
    case.width = 14;
    frame.copy_part(&case.frame(0), &case.part);
}
