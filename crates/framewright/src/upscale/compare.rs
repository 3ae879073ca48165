//! Finding repeated frames: is a frame the same picture as the one kept, within the tolerance?
//!
//! A frame is a repeat when in every plane every *cell* (8×8 luma pixels and the chroma samples over them) differs from
//! the kept frame by at most the tolerance, as a mean of absolute differences in 8-bit levels. The mean of one cell, not
//! of the picture: a blinking eye is a few cells, and nothing in the mean of a whole frame. The frame compared with is
//! the one whose result is shown, never the frame before: small steps cannot add up.

use framewright_media::{ColourTags, Frame};

/// Edge of a cell in luma pixels.
const CELL: usize = 8;

/// Decides frame by frame, in order.
pub struct Compare {
    /// In 8-bit levels; `None` = every frame is new.
    tolerance: Option<f32>,
    /// The frame whose result repeats take, with its index.
    kept: Option<(u64, Frame)>,
    /// Sums of the cells in the row being compared; kept to save allocations.
    sums: Vec<u32>,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen before: to be upscaled.
    New,
    /// The same as the frame of this index.
    RepeatOf(u64),
}

impl Compare {
    /// With a tolerance in 8-bit levels (0 = identical), or without any reuse.
    pub fn new(tolerance: Option<f32>) -> Self {
        Self {
            tolerance,
            kept: None,
            sums: Vec::new(),
        }
    }

    /// Judges frame `index`. Frames come in order and all have the same size and format.
    pub fn judge(&mut self, index: u64, frame: &Frame) -> Verdict {
        let Some(tolerance) = self.tolerance else {
            return Verdict::New;
        };
        if let Some((kept_index, kept)) = &self.kept
            && !frame.is_corrupt()
            && same_picture(kept, frame, tolerance, &mut self.sums)
        {
            return Verdict::RepeatOf(*kept_index);
        }
        // A damaged picture is shown once and never stands for another.
        self.kept = (!frame.is_corrupt()).then(|| (index, frame.share()));
        Verdict::New
    }
}

fn same_picture(a: &Frame, b: &Frame, tolerance: f32, sums: &mut Vec<u32>) -> bool {
    if ColourTags::of(a) != ColourTags::of(b) {
        return false;
    }
    let format = a.pixel_format();
    let (shift_x, shift_y) = format.chroma_shift();
    let wide = format.depth() > 8;
    // Samples of 10 bits are four times as fine as 8-bit levels.
    let tolerance = tolerance * f32::from(1_u16 << (format.depth() - 8));
    (0..3).filter(|&plane| a.rows(plane) > 0).all(|plane| {
        let (shift_x, shift_y) = if plane == 0 || format.is_rgb() {
            (0, 0)
        } else {
            (shift_x, shift_y)
        };
        let cells = Cells {
            width: a.width().div_ceil(1 << shift_x),
            rows: a.rows(plane),
            cell_width: CELL >> shift_x,
            cell_rows: CELL >> shift_y,
            tolerance,
        };
        let (a, b) = (
            (a.planes()[plane], a.stride(plane)),
            (b.planes()[plane], b.stride(plane)),
        );
        if wide {
            cells.agree::<2>(a, b, sums)
        } else {
            cells.agree::<1>(a, b, sums)
        }
    })
}

/// The cells of one plane.
struct Cells {
    /// Samples in a row.
    width: usize,
    rows: usize,
    cell_width: usize,
    cell_rows: usize,
    /// Largest mean difference, in units of the samples.
    tolerance: f32,
}

impl Cells {
    /// Whether no cell differs by more than the tolerance. Planes of `BYTES` per sample (1: `u8`, 2: little-endian
    /// `u16`), each with its stride in bytes. Ends at the first row of cells that differs.
    fn agree<const BYTES: usize>(
        &self,
        a: (&[u8], usize),
        b: (&[u8], usize),
        sums: &mut Vec<u32>,
    ) -> bool {
        let n_cells = self.width.div_ceil(self.cell_width);
        for top in (0..self.rows).step_by(self.cell_rows) {
            let rows = self.cell_rows.min(self.rows - top);
            sums.clear();
            sums.resize(n_cells, 0);
            for row in top..top + rows {
                let a = &a.0[row * a.1..][..self.width * BYTES];
                let b = &b.0[row * b.1..][..self.width * BYTES];
                if a == b {
                    continue;
                }
                match (BYTES, self.cell_width) {
                    (1, 8) => add_row_8::<8>(a, b, sums),
                    (1, 4) => add_row_8::<4>(a, b, sums),
                    (1, width) => add_row(a.chunks(width).zip(b.chunks(width)), sums, difference_8),
                    (_, width) => add_row(
                        a.chunks(2 * width).zip(b.chunks(2 * width)),
                        sums,
                        difference_16,
                    ),
                }
            }
            if !self.within(sums, rows) {
                return false;
            }
        }
        true
    }

    fn within(&self, sums: &[u32], rows: usize) -> bool {
        let limit = |cell_width: usize| self.tolerance * (cell_width * rows) as f32;
        let (last, whole) = sums.split_last().expect("a plane has at least one cell");
        let worst = whole.iter().copied().max().unwrap_or(0);
        let last_width = self.width - whole.len() * self.cell_width;
        worst as f32 <= limit(self.cell_width) && *last as f32 <= limit(last_width)
    }
}

/// Adds one row to the sums of its cells, `W` bytes wide each; written for the vectoriser.
fn add_row_8<const W: usize>(a: &[u8], b: &[u8], sums: &mut [u32]) {
    let (a, a_rest) = a.as_chunks::<W>();
    let (b, b_rest) = b.as_chunks::<W>();
    for ((a, b), sum) in a.iter().zip(b).zip(sums.iter_mut()) {
        *sum += difference_8(a, b);
    }
    if let Some(last) = sums.last_mut() {
        *last += difference_8(a_rest, b_rest);
    }
}

fn add_row<'a>(
    cells: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    sums: &mut [u32],
    difference: impl Fn(&[u8], &[u8]) -> u32,
) {
    for ((a, b), sum) in cells.zip(sums) {
        *sum += difference(a, b);
    }
}

fn difference_8(a: &[u8], b: &[u8]) -> u32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum()
}

fn difference_16(a: &[u8], b: &[u8]) -> u32 {
    let sample = |pair: &[u8; 2]| u16::from_le_bytes(*pair);
    let (a, b) = (a.as_chunks::<2>().0, b.as_chunks::<2>().0);
    a.iter()
        .zip(b)
        .map(|(a, b)| u32::from(sample(a).abs_diff(sample(b))))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewright_media::PixelFormat;

    fn grey(format: &str, width: u32, height: u32) -> Frame {
        let mut frame =
            Frame::alloc(PixelFormat::from_name(format).unwrap(), width, height).unwrap();
        for plane in frame.planes_mut() {
            plane.fill(100);
        }
        frame
    }

    /// A copy of `grey` with one sample of a plane raised.
    fn with_sample(format: &str, plane: usize, x: usize, y: usize, value: u8) -> Frame {
        let mut frame = grey(format, 40, 24);
        let stride = frame.stride(plane);
        frame.planes_mut()[plane][y * stride + x] = value;
        frame
    }

    fn is_repeat(tolerance: f32, first: &Frame, second: &Frame) -> bool {
        let mut compare = Compare::new(Some(tolerance));
        assert_eq!(compare.judge(0, first), Verdict::New);
        compare.judge(1, second) == Verdict::RepeatOf(0)
    }

    #[test]
    fn an_identical_frame_repeats_and_reuse_off_finds_none() {
        let frame = grey("yuv420p", 40, 24);
        assert!(is_repeat(0.0, &frame, &frame.share()));
        let mut off = Compare::new(None);
        assert_eq!(
            (off.judge(0, &frame), off.judge(1, &frame)),
            (Verdict::New, Verdict::New)
        );
    }

    #[test]
    fn tolerance_zero_sees_one_level_of_one_sample_in_any_plane_and_corner() {
        let first = grey("yuv420p", 40, 24);
        for (plane, x, y) in [(0, 0, 0), (0, 39, 23), (1, 19, 11), (2, 0, 11)] {
            assert!(
                !is_repeat(0.0, &first, &with_sample("yuv420p", plane, x, y, 101)),
                "{plane} {x} {y}"
            );
        }
    }

    #[test]
    fn the_tolerance_is_the_mean_of_a_cell() {
        let first = grey("yuv420p", 40, 24);
        // 64 luma samples to a cell: 32 levels in one of them are 0.5 in the mean. 16 chroma samples: 8 levels.
        assert!(is_repeat(
            0.5,
            &first,
            &with_sample("yuv420p", 0, 12, 12, 132)
        ));
        assert!(!is_repeat(
            0.5,
            &first,
            &with_sample("yuv420p", 0, 12, 12, 133)
        ));
        assert!(is_repeat(
            0.5,
            &first,
            &with_sample("yuv420p", 1, 6, 6, 108)
        ));
        assert!(!is_repeat(
            0.5,
            &first,
            &with_sample("yuv420p", 1, 6, 6, 109)
        ));
    }

    #[test]
    fn ten_bit_samples_count_in_eight_bit_levels() {
        let frame = grey("yuv420p10le", 40, 24);
        let mut other = frame_of_10_bit(&frame, 128);
        assert!(is_repeat(0.5, &frame, &other));
        other = frame_of_10_bit(&frame, 129);
        assert!(!is_repeat(0.5, &frame, &other));
    }

    /// One luma sample raised by `step` (at most 155, so that the low byte takes it).
    fn frame_of_10_bit(like: &Frame, step: u8) -> Frame {
        let mut frame = grey("yuv420p10le", like.width() as u32, like.height() as u32);
        frame.planes_mut()[0][0] = 100 + step;
        frame
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

    #[test]
    fn small_steps_do_not_add_up() {
        let level = |value: u8| {
            let mut frame = grey("gray", 16, 16);
            frame.planes_mut()[0].fill(value);
            frame
        };
        let mut compare = Compare::new(Some(1.0));
        let verdicts: Vec<_> = (0..6)
            .map(|i| compare.judge(i, &level(100 + i as u8)))
            .collect();
        let (new, repeat) = (Verdict::New, Verdict::RepeatOf);
        assert_eq!(verdicts, [new, repeat(0), new, repeat(2), new, repeat(4)]);
    }
}
