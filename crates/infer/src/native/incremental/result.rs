//! From the last layer's kept rows to the result, where it changed: pixel shuffle, the repeated picture added, and the
//! resize of networks that have one. The same operations as in `native/result.rs`, on runs of pixels.

use std::ops::Range;

use framewright_media::PlanarRgb;

use super::bits::Bits;
use super::kept::Around;
use crate::Region;
use crate::finite::all_finite;
use crate::native::packed::Packed;
use crate::native::resize::{OVERHANG, Taps, resize_column, resize_row, taps};

/// Runs of changed pixels with no more than this between them are computed as one.
const GAP: usize = 8;

/// The result of a band of the picture.
pub(super) struct ResultBand {
    /// `[channel][row][x]`
    values: Vec<f32>,
    /// For each row of the picture.
    pub(super) changed: Vec<Bits>,
}

/// What the result of a band is made of.
pub(super) struct Sources<'a> {
    pub(super) packed: &'a Packed,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Rows of the picture.
    pub(super) rows: Range<usize>,
    /// The picture, and the last layer.
    pub(super) picture: &'a Around<'a>,
    pub(super) last: &'a Around<'a>,
    /// Numbers of a pixel of both.
    pub(super) channels: [usize; 2],
}

/// Memory that the functions work in.
#[derive(Default)]
pub(super) struct ResultScratch {
    /// `[row][x]`
    shuffled: Vec<f32>,
    column: Vec<f32>,
}

impl ResultBand {
    pub(super) fn new(width: usize, n_rows: usize, scale: usize) -> Self {
        Self {
            values: vec![0.0; 3 * n_rows * scale * scale * width],
            changed: vec![Bits::new(width); n_rows],
        }
    }

    /// Bytes of all bands of a picture.
    pub(super) fn size_bytes(width: usize, height: usize, scale: usize) -> usize {
        4 * 3 * width * height * scale * scale
    }

    /// Computes the pixels that `changed` says; false where one is not a number.
    pub(super) fn compute(&mut self, sources: &Sources, scratch: &mut ResultScratch) -> bool {
        let mut finite = true;
        for row in 0..sources.rows.len() {
            let runs: Vec<_> = self.changed[row].runs(sources.width, GAP).collect();
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

    /// Row `row` of the band's result in a channel, of a picture whose result is `width` wide.
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
                shuffle_row(sources, (sources.rows.start + row, sub), channel, run, to);
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
        let y = sources.rows.start + row;
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
                let row = (place / shuffle, place % shuffle);
                shuffle_row(sources, row, channel, &columns, to);
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

    /// Copies the part of the result of the picture's rows `rows`, which are this band's, that lies in `region` of the picture to
    /// its place in `into`, the result for the region.
    pub(super) fn cut(
        &self,
        rows: &Range<usize>,
        region: &Region,
        scale: usize,
        width: usize,
        into: &mut PlanarRgb,
    ) {
        let wanted = rows.start.max(region.y.start)..rows.end.min(region.y.end);
        let columns = region.x.start * scale..region.x.end * scale;
        let (n_rows, len) = (self.changed.len() * scale, columns.len());
        for (channel, plane) in into.planes_mut().into_iter().enumerate() {
            for y in wanted.start * scale..wanted.end * scale {
                let row = channel * n_rows + y - rows.start * scale;
                let from = &self.values[row * width * scale..][columns.clone()];
                plane[(y - region.y.start * scale) * len..][..len].copy_from_slice(from);
            }
        }
    }
}

/// Row `sub` of those that the pixels `columns` of row `y` of the picture become in a channel.
fn shuffle_row(
    sources: &Sources,
    (y, sub): (usize, usize),
    channel: usize,
    columns: &Range<usize>,
    to: &mut [f32],
) {
    let shuffle = sources.packed.shuffle;
    let [n_picture, n_last] = sources.channels;
    let last = &sources.last.row(y as isize)[(columns.start + 1) * n_last..];
    let base = &sources.picture.row(y as isize)[(columns.start + 1) * n_picture..];
    let first = (channel * shuffle + sub) * shuffle;
    let pixels = last
        .chunks_exact(n_last)
        .zip(base.chunks_exact(n_picture))
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
