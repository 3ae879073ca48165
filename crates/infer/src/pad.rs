//! Fits pictures to what a network takes and its answers to what was asked.
//!
//! A picture that is too small or of an odd size is continued to the right and below with its last column and row; the
//! network's answer is cropped to `scale` times the picture. So the result has exactly the size that was asked for,
//! and differs from an unpadded run only within the network's reach of those two edges.

use framewright_media::PlanarRgb;

use crate::finite::{NotFinite, all_finite, not_finite};

/// The side a network is run with: at least `min_size` and a multiple of `alignment`.
pub(crate) fn padded(side: usize, alignment: u32, min_size: u32) -> usize {
    side.max(min_size as usize)
        .next_multiple_of(alignment as usize)
}

/// Writes `input`, continued to `width` × `height`, as the tensor `[1, 3, height, width]`.
///
/// `convert` writes a row of f32 in the tensor's type, as [`copy_from_slice`](slice::copy_from_slice) does for f32. `input` must not be empty.
pub(crate) fn pad_into<T: Copy + Default>(
    input: &PlanarRgb,
    width: usize,
    height: usize,
    tensor: &mut Vec<T>,
    convert: impl Fn(&mut [T], &[f32]),
) {
    tensor.resize(3 * width * height, T::default());
    for (plane, target) in input
        .planes()
        .into_iter()
        .zip(tensor.chunks_exact_mut(width * height))
    {
        for (y, target) in target.chunks_exact_mut(width).enumerate() {
            let from = y.min(input.height() - 1) * input.width();
            let (inside, right) = target.split_at_mut(input.width());
            convert(inside, &plane[from..from + input.width()]);
            right.fill(inside[input.width() - 1]);
        }
    }
}

/// Fills `output` with the top left part of `tensor`, which is `[1, 3, _, width]`, and checks every value on the way,
/// while its row is still in the L1 cache.
pub(crate) fn crop_into<T>(
    tensor: &[T],
    width: usize,
    output: &mut PlanarRgb,
    convert: impl Fn(&mut [f32], &[T]),
) -> Result<(), NotFinite> {
    let (out_width, plane) = (output.width(), tensor.len() / 3);
    let mut finite = true;
    for (source, target) in tensor.chunks_exact(plane).zip(output.planes_mut()) {
        for (source, target) in source
            .chunks_exact(width)
            .zip(target.chunks_exact_mut(out_width))
        {
            convert(target, &source[..out_width]);
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
            pad_into(&picture, w, h, &mut tensor, <[f32]>::copy_from_slice);
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
        fn cropping_undoes_padding(
            width in 1_usize..20, height in 1_usize..20, right in 0_usize..9, below in 0_usize..9
        ) {
            let picture = counted(width, height);
            let mut tensor = Vec::new();
            pad_into(&picture, width + right, height + below, &mut tensor, <[f32]>::copy_from_slice);
            let mut back = PlanarRgb::new(width, height);
            crop_into(&tensor, width + right, &mut back, <[f32]>::copy_from_slice).unwrap();
            prop_assert_eq!(back, picture);
        }
    }

    #[test]
    fn bad_values_are_counted_and_the_topmost_is_named() {
        let mut picture = counted(6, 5);
        picture.planes_mut()[0][4 * 6 + 1] = f32::NAN;
        picture.planes_mut()[2][2 * 6 + 3] = f32::INFINITY;
        let mut output = PlanarRgb::new(6, 5);
        let found = crop_into(picture.data(), 6, &mut output, <[f32]>::copy_from_slice);
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
        let found = crop_into(picture.data(), 6, &mut output, <[f32]>::copy_from_slice);
        assert_eq!(found, Ok(()));
    }
}
