//! Fits pictures to what a network takes and its answers to what was asked.
//!
//! A part of a picture is run as a crop with what its result depends on around it, enlarged to a size that is likely to
//! come again; what else is in the crop does not matter and repeats the nearest pixel that does.
//!
//! A picture that is too small or of an odd size is continued to the right and below with its last column and row; the
//! network's answer is cropped to `scale` times the picture. So the result has exactly the size that was asked for,
//! and differs from an unpadded run only within the network's reach of those two edges.

use std::ops::Range;

use framewright_media::PlanarRgb;

use crate::Region;
use crate::finite::{NotFinite, all_finite, not_finite};

/// The side a network is run with: at least `min_size` and a multiple of `alignment`.
pub(crate) fn padded(side: usize, alignment: u32, min_size: u32) -> usize {
    side.max(min_size as usize)
        .next_multiple_of(alignment as usize)
}

/// Where a crop around `needed` begins and ends on an axis of `side` pixels, which is padded already.
///
/// It begins, and ends unless it ends with the axis, at a multiple of `step`, and its length is at least `min_size` and
/// one of few: a multiple of 64, as far as there is room. Work is saved for every pixel less; but ONNX Runtime plans its
/// memory anew for each size.
pub(crate) fn crop(
    needed: &Range<usize>,
    side: usize,
    step: usize,
    min_size: usize,
) -> Range<usize> {
    let start = needed.start / step * step;
    let len = (needed.end - start).max(min_size);
    let len = len.next_multiple_of(64.max(step).next_multiple_of(step));
    if start + len <= side {
        return start..start + len;
    }
    // At the far border there is room on the near side only.
    side.saturating_sub(len) / step * step..side
}

/// Writes the part `read` of `picture`, continued on all sides to `place`, as a tensor `[1, 3, _, _]` of the size of
/// `place`. Nothing else of `picture` is read.
///
/// `place` may reach beyond the picture on the right and below; `read`, which is not empty, lies in both.
/// `convert` writes a row of f32 in the tensor's type, as [`copy_from_slice`](slice::copy_from_slice) does for f32.
pub(crate) fn pad_into<T: Copy + Default>(
    picture: &PlanarRgb,
    read: &Region,
    place: &Region,
    tensor: &mut Vec<T>,
    convert: impl Fn(&mut [T], &[f32]),
) {
    let (width, height) = (place.width(), place.height());
    let left = read.x.start - place.x.start;
    tensor.resize(3 * width * height, T::default());
    for (plane, target) in picture
        .planes()
        .into_iter()
        .zip(tensor.chunks_exact_mut(width * height))
    {
        for (y, target) in place.y.clone().zip(target.chunks_exact_mut(width)) {
            let row = &plane[y.clamp(read.y.start, read.y.end - 1) * picture.width()..];
            let (before, rest) = target.split_at_mut(left);
            let (inside, behind) = rest.split_at_mut(read.width());
            convert(inside, &row[read.x.clone()]);
            before.fill(inside[0]);
            behind.fill(inside[read.width() - 1]);
        }
    }
}

/// Fills `output` with the part of `tensor`, which is `[1, 3, _, width]`, that begins at column `left` and row `top`, and
/// checks every value on the way, while its row is still in the L1 cache.
pub(crate) fn crop_into<T>(
    tensor: &[T],
    width: usize,
    [left, top]: [usize; 2],
    output: &mut PlanarRgb,
    convert: impl Fn(&mut [f32], &[T]),
) -> Result<(), NotFinite> {
    let (out_width, plane) = (output.width(), tensor.len() / 3);
    let mut finite = true;
    for (source, target) in tensor.chunks_exact(plane).zip(output.planes_mut()) {
        for (source, target) in source
            .chunks_exact(width)
            .skip(top)
            .zip(target.chunks_exact_mut(out_width))
        {
            convert(target, &source[left..left + out_width]);
            finite &= all_finite(target);
        }
    }
    if finite {
        Ok(())
    } else {
        Err(not_finite(output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(width: usize, height: usize) -> PlanarRgb {
        let mut picture = PlanarRgb::new(width, height);
        for (i, value) in picture.data_mut().iter_mut().enumerate() {
            *value = i as f32;
        }
        picture
    }

    #[test]
    fn a_side_grows_to_the_minimum_and_then_to_the_alignment() {
        assert_eq!(padded(17, 1, 1), 17);
        assert_eq!(padded(17, 4, 1), 20);
        assert_eq!(padded(3, 4, 18), 20);
        assert_eq!(padded(20, 4, 18), 20);
    }

    proptest! {
        #[test]
        fn outside_pixels_repeat_the_nearest_pixel_inside(
            width in 1_usize..20, height in 1_usize..20, right in 0_usize..9, below in 0_usize..9
        ) {
            let picture = counted(width, height);
            let (w, h) = (width + right, height + below);
            let mut tensor = vec![-1.0; 5];
            pad_into(&picture, &Region::whole(width, height), &Region::whole(w, h), &mut tensor, <[f32]>::copy_from_slice);
            prop_assert_eq!(tensor.len(), 3 * w * h);
            for (c, plane) in picture.planes().into_iter().enumerate() {
                for y in 0..h {
                    for x in 0..w {
                        let inside = plane[y.min(height - 1) * width + x.min(width - 1)];
                        prop_assert_eq!(tensor[(c * h + y) * w + x].to_bits(), inside.to_bits());
                    }
                }
            }
        }

        #[test]
        fn a_part_is_cut_out_of_what_was_made_of_it_and_nothing_else_is_read(
            width in 1_usize..30, height in 1_usize..30, a in any::<[u8; 4]>(), b in any::<[u8; 4]>()
        ) {
            // Two ranges of an axis, one in the other.
            let range = |at: u8, len: u8, end: usize| {
                let start = usize::from(at) % end;
                start..start + 1 + usize::from(len) % (end - start)
            };
            let read = Region { x: range(a[0], a[1], width), y: range(a[2], a[3], height) };
            let around = |read: &Range<usize>, less: u8, more: u8| {
                read.start - usize::from(less) % (read.start + 1)..read.end + usize::from(more) % 9
            };
            let place = Region { x: around(&read.x, b[0], b[1]), y: around(&read.y, b[2], b[3]) };
            let mut picture = PlanarRgb::new(width, height);
            picture.data_mut().fill(f32::NAN);
            let part = counted(read.width(), read.height());
            picture.put(&read, &part);
            let mut tensor = Vec::new();
            pad_into(&picture, &read, &place, &mut tensor, <[f32]>::copy_from_slice);
            prop_assert!(all_finite(&tensor));
            prop_assert_eq!(tensor[0].to_bits(), 0.0_f32.to_bits());
            let mut back = PlanarRgb::new(read.width(), read.height());
            let from = [read.x.start - place.x.start, read.y.start - place.y.start];
            crop_into(&tensor, place.width(), from, &mut back, <[f32]>::copy_from_slice).unwrap();
            prop_assert_eq!(back, part);
        }

        #[test]
        fn a_crop_holds_what_is_needed_in_step_and_in_few_sizes(
            side in 1_usize..700, at in any::<u16>(), len in any::<u16>(),
            step in prop::sample::select(vec![1_usize, 2, 4, 6, 8, 48, 64]), min_size in 1_usize..40
        ) {
            let side = side.max(min_size);
            let start = usize::from(at) % side;
            let needed = start..start + 1 + usize::from(len) % (side - start);
            let crop = crop(&needed, side, step, min_size);
            prop_assert!(crop.start <= needed.start && needed.end <= crop.end && crop.end <= side);
            prop_assert!(crop.start.is_multiple_of(step) && (crop.end.is_multiple_of(step) || crop.end == side));
            prop_assert!(crop.len() >= min_size);
            let unit = if step == 6 { 66 } else if step == 48 { 96 } else { 64 };
            let more = crop.len() % unit;
            prop_assert!(more == 0 || crop.start == 0 || (crop.end == side && more < step), "{:?}", crop);
        }

        #[test]
        fn cropping_undoes_padding(
            width in 1_usize..20, height in 1_usize..20, right in 0_usize..9, below in 0_usize..9
        ) {
            let picture = counted(width, height);
            let mut tensor = Vec::new();
            let (whole, place) = (Region::whole(width, height), Region::whole(width + right, height + below));
            pad_into(&picture, &whole, &place, &mut tensor, <[f32]>::copy_from_slice);
            let mut back = PlanarRgb::new(width, height);
            crop_into(&tensor, width + right, [0, 0], &mut back, <[f32]>::copy_from_slice).unwrap();
            prop_assert_eq!(back, picture);
        }
    }

    #[test]
    fn bad_values_are_counted_and_the_topmost_is_named() {
        let mut picture = counted(6, 5);
        picture.planes_mut()[0][4 * 6 + 1] = f32::NAN;
        picture.planes_mut()[2][2 * 6 + 3] = f32::INFINITY;
        let mut output = PlanarRgb::new(6, 5);
        let found = crop_into(
            picture.data(),
            6,
            [0, 0],
            &mut output,
            <[f32]>::copy_from_slice,
        );
        assert_eq!(
            found,
            Err(NotFinite {
                count: 2,
                x: 3,
                y: 2
            })
        );
    }

    #[test]
    fn bad_values_in_the_part_that_is_cropped_do_not_count() {
        let mut picture = counted(6, 5);
        picture.planes_mut()[1][5] = f32::NAN;
        picture.planes_mut()[1][4 * 6] = f32::NAN;
        let mut output = PlanarRgb::new(5, 4);
        let found = crop_into(
            picture.data(),
            6,
            [0, 0],
            &mut output,
            <[f32]>::copy_from_slice,
        );
        assert_eq!(found, Ok(()));
    }
}
