//! From the last layer's kept rows to the result, where it changed: pixel shuffle, the repeated picture added, and the
//! resize of networks that have one. The same operations as in `native/result.rs`, on runs of pixels.

use std::ops::Range;

use framewright_media::PlanarRgb;

use super::bits::Bits;
use super::kept::Pair;
use crate::Region;
use crate::finite::all_finite;
use crate::native::packed::Packed;
use crate::native::resize::{OVERHANG, Taps, resize_column, resize_row, taps};

/// Runs of changed pixels with no more than this between them are computed as one.
const GAP: usize = 8;

/// The result of two rows of the picture.
pub(super) struct ResultPair {
    /// `[channel][row][x]`
    values: Vec<f32>,
    pub(super) changed: [Bits; 2],
}

/// What the rows of a pair are made of.
pub(super) struct Sources<'a> {
    pub(super) packed: &'a Packed,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pair: usize,
    /// The pairs before, at and after it of the picture, four numbers a pixel, and of the last layer.
    pub(super) picture: [&'a Pair; 3],
    pub(super) last: [&'a Pair; 3],
    /// Numbers of a pixel of the last layer.
    pub(super) channels: usize,
}

/// Memory that the functions work in.
#[derive(Default)]
pub(super) struct ResultScratch {
    /// `[row][x]`
    shuffled: Vec<f32>,
    column: Vec<f32>,
}

impl ResultPair {
    pub(super) fn new(width: usize, scale: usize) -> Self {
        Self {
            values: vec![0.0; Self::len(width, scale)],
            changed: [0, 1].map(|_| Bits::new(width)),
        }
    }

    fn len(width: usize, scale: usize) -> usize {
        3 * 2 * scale * scale * width
    }

    /// Bytes of all pairs of a picture.
    pub(super) fn size_bytes(width: usize, height: usize, scale: usize) -> usize {
        4 * Self::len(width, scale) * height.div_ceil(2)
    }

    /// Computes the pixels that `changed` says; false where one is not a number.
    pub(super) fn compute(&mut self, sources: &Sources, scratch: &mut ResultScratch) -> bool {
        let width = sources.width;
        let n_rows = (sources.height - 2 * sources.pair).min(2);
        let mut finite = true;
        for row in 0..n_rows {
            let runs: Vec<_> = self.changed[row].runs(width, GAP).collect();
            for run in runs {
                finite &= match sources.packed.resize {
                    None => self.shuffle(sources, row, &run),
                    Some(resize) => {
                        let taps = taps(sources.packed.shuffle, resize);
                        self.resize(sources, row, &run, &taps, scratch)
                    }
                };
            }
        }
        finite
    }

    /// A row of the result of picture row `row` of the pair.
    fn row_mut(&mut self, channel: usize, row: usize, width: usize) -> &mut [f32] {
        let n_rows = self.values.len() / (3 * width);
        &mut self.values[(channel * n_rows + row) * width..][..width]
    }

    fn shuffle(&mut self, sources: &Sources, row: usize, run: &Range<usize>) -> bool {
        let shuffle = sources.packed.shuffle;
        let mut finite = true;
        for channel in 0..3 {
            for sub in 0..shuffle {
                let to = self.row_mut(channel, row * shuffle + sub, sources.width * shuffle);
                let to = &mut to[run.start * shuffle..run.end * shuffle];
                shuffle_row(sources, row + 2, channel, sub, run, to);
                finite &= clamp(to, sources.packed.clamp);
            }
        }
        finite
    }

    fn resize(
        &mut self,
        sources: &Sources,
        row: usize,
        run: &Range<usize>,
        taps: &[Taps],
        scratch: &mut ResultScratch,
    ) -> bool {
        let (shuffle, scale) = (sources.packed.shuffle, taps.len());
        let y = 2 * sources.pair + row;
        let columns = run.start.saturating_sub(1)..(run.end + 1).min(sources.width);
        let len = columns.len() * shuffle;
        let rows = y.saturating_sub(1)..(y + 2).min(sources.height);
        scratch.shuffled.resize(rows.len() * shuffle * len, 0.0);
        scratch.column.resize(len + 2 * OVERHANG, 0.0);
        let last_row = shuffle * sources.height - 1;
        let mut finite = true;
        for channel in 0..3 {
            let to = scratch.shuffled.chunks_exact_mut(len);
            for (place, to) in (rows.start * shuffle..).zip(to) {
                let near = 2 + place / shuffle - 2 * sources.pair;
                shuffle_row(sources, near, channel, place % shuffle, &columns, to);
            }
            for (sub, row_taps) in taps.iter().enumerate() {
                let rows = [0, 1, 2, 3].map(|k| {
                    let place = (y * shuffle)
                        .saturating_add_signed(row_taps.first + k)
                        .min(last_row);
                    &scratch.shuffled[(place - rows.start * shuffle) * len..][..len]
                });
                let column = &mut scratch.column;
                resize_column(
                    rows,
                    row_taps.weights,
                    &mut column[OVERHANG..OVERHANG + len],
                );
                // They count at the picture's borders only.
                let (first, last) = (column[OVERHANG], column[OVERHANG + len - 1]);
                column[..OVERHANG].fill(first);
                column[OVERHANG + len..].fill(last);
                let to = self.row_mut(channel, row * scale + sub, sources.width * scale);
                let to = &mut to[run.start * scale..run.end * scale];
                let skipped = (run.start - columns.start) * shuffle;
                resize_row(&column[skipped..], shuffle, taps, to);
                finite &= clamp(to, sources.packed.clamp);
            }
        }
        finite
    }

    /// Copies the part of the result that lies in `region` of the picture to its place in `into`, the result for the region.
    pub(super) fn cut(
        &self,
        pair: usize,
        region: &Region,
        scale: usize,
        width: usize,
        into: &mut PlanarRgb,
    ) {
        let rows = (2 * pair).max(region.y.start)..(2 * pair + 2).min(region.y.end);
        let n_rows = 2 * scale;
        let columns = region.x.start * scale..region.x.end * scale;
        let len = columns.len();
        for (channel, plane) in into.planes_mut().into_iter().enumerate() {
            for y in rows.start * scale..rows.end * scale {
                let row = y - 2 * pair * scale;
                let from =
                    &self.values[(channel * n_rows + row) * width * scale..][columns.clone()];
                plane[(y - region.y.start * scale) * len..][..len].copy_from_slice(from);
            }
        }
    }
}

/// Row `sub` of those that the pixels `columns` become in a channel. `near` counts the rows of the three pairs.
fn shuffle_row(
    sources: &Sources,
    near: usize,
    channel: usize,
    sub: usize,
    columns: &Range<usize>,
    to: &mut [f32],
) {
    let shuffle = sources.packed.shuffle;
    let last = &sources.last[near / 2].row(near % 2)[(columns.start + 1) * sources.channels..];
    let base = &sources.picture[near / 2].row(near % 2)[(columns.start + 1) * 4..];
    let first = (channel * shuffle + sub) * shuffle;
    let pixels = last
        .chunks_exact(sources.channels)
        .zip(base.chunks_exact(4))
        .zip(to.chunks_exact_mut(shuffle));
    for ((values, base), to) in pixels {
        let base = f32::from_bits(base[channel]);
        for (to, value) in to.iter_mut().zip(&values[first..]) {
            *to = f32::from_bits(*value) + base;
        }
    }
}

/// Brings values to the range that the network ends with; false where one is not a number.
fn clamp(values: &mut [f32], range: Option<(f32, f32)>) -> bool {
    if let Some((low, high)) = range {
        for value in values.iter_mut() {
            *value = value.clamp(low, high);
        }
    }
    all_finite(values)
}
