//! From the last layer's rows to the result: pixel shuffle, the repeated picture added, and the resize of networks that
//! have one.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use framewright_media::PlanarRgb;

use super::flow::Flow;
use super::packed::Packed;
use super::resize::{OVERHANG, Taps, resize_column, resize_row, taps};
use crate::{Error, Region};

/// Memory for the rows between the last layer and the result.
#[derive(Default)]
pub(super) struct Finish {
    /// A row of shuffled pixels, from the first tile on.
    aligned: Vec<f32>,
    /// For the resize.
    kept: Kept,
    /// A row of the result at the width of the shuffled rows.
    column: Vec<f32>,
}

/// What a run works on.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) packed: &'a Packed,
    pub(super) picture: &'a PlanarRgb,
    pub(super) region: &'a Region,
    pub(super) cancelled: &'a AtomicBool,
}

impl Finish {
    /// Bytes for a region of `columns` columns.
    pub(super) fn size_bytes(packed: &Packed, columns: usize) -> usize {
        // The resize needs one column more on each side, and the first tile may begin before that.
        let row = 4 * packed.shuffle * (columns + 4);
        match packed.resize {
            None => row,
            Some(_) => row * (Kept::n_rows(packed.shuffle) + 2),
        }
    }

    /// Runs `flow` and writes every row of `output`, which is as large as the region's result.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(super) fn run(
        &mut self,
        job: Job,
        flow: &mut Flow,
        output: &mut PlanarRgb,
    ) -> Result<(), Error> {
        flow.restart();
        match job.packed.resize {
            None => self.shuffle(job, flow, output),
            Some(resize) => self.resize(job, flow, output, &taps(job.packed.shuffle, resize)),
        }
    }

    fn shuffle(&mut self, job: Job, flow: &mut Flow, output: &mut PlanarRgb) -> Result<(), Error> {
        let (shuffle, width) = (job.packed.shuffle, output.width());
        for (i, y) in job.region.y.clone().enumerate() {
            flow.advance(job.packed, job.picture, y, job.cancelled)?;
            for (channel, plane) in output.planes_mut().into_iter().enumerate() {
                let rows = plane[i * shuffle * width..][..shuffle * width].chunks_exact_mut(width);
                for (row, to) in (y * shuffle..).zip(rows) {
                    shuffle_row(
                        job,
                        flow,
                        (channel, row),
                        &job.region.x,
                        &mut self.aligned,
                        to,
                    );
                }
            }
        }
        Ok(())
    }

    fn resize(
        &mut self,
        job: Job,
        flow: &mut Flow,
        output: &mut PlanarRgb,
        taps: &[Taps],
    ) -> Result<(), Error> {
        let (scale, width) = (taps.len(), output.width());
        let needed = flow.needed().clone();
        self.kept.fit(job.packed.shuffle, needed.x.len());
        self.column.resize(self.kept.len + 2 * OVERHANG, 0.0);
        let mut next = needed.y.start;
        for (i, y) in job.region.y.clone().enumerate() {
            while next < needed.y.end.min(y + 2) {
                flow.advance(job.packed, job.picture, next, job.cancelled)?;
                self.keep(job, flow, next, &needed.x);
                next += 1;
            }
            for (channel, plane) in output.planes_mut().into_iter().enumerate() {
                let rows = plane[i * scale * width..][..scale * width].chunks_exact_mut(width);
                for (row_taps, to) in taps.iter().zip(rows) {
                    self.between_rows(job, channel, y, row_taps);
                    let first = (job.region.x.start - needed.x.start) * job.packed.shuffle;
                    resize_row(&self.column[first..], job.packed.shuffle, taps, to);
                }
            }
        }
        Ok(())
    }

    /// Shuffles row `y` of the picture and keeps what comes of it.
    fn keep(&mut self, job: Job, flow: &Flow, y: usize, columns: &Range<usize>) {
        for channel in 0..3 {
            for row in y * job.packed.shuffle..(y + 1) * job.packed.shuffle {
                let to = self.kept.row_mut(channel, row);
                shuffle_row(job, flow, (channel, row), columns, &mut self.aligned, to);
            }
        }
    }

    /// Makes `column` the row between shuffled rows that `taps` of row `y` say, with its borders repeated.
    fn between_rows(&mut self, job: Job, channel: usize, y: usize, taps: &Taps) {
        let shuffle = job.packed.shuffle;
        let last_row = shuffle * job.picture.height() - 1;
        let row = |k| {
            (y * shuffle)
                .saturating_add_signed(taps.first + k)
                .min(last_row)
        };
        let rows = [0, 1, 2, 3].map(|k| self.kept.row(channel, row(k)));
        let last = OVERHANG + self.kept.len;
        resize_column(rows, taps.weights, &mut self.column[OVERHANG..last]);
        // They count where the first or the last pixel lies at the picture's border; elsewhere no result needs them.
        let (first_pixel, last_pixel) = (self.column[OVERHANG], self.column[last - 1]);
        self.column[..OVERHANG].fill(first_pixel);
        self.column[last..].fill(last_pixel);
    }
}

/// The shuffled rows of the last three rows of the picture: `[y % 3][channel][row][x]`.
#[derive(Default)]
struct Kept {
    rows: Vec<f32>,
    shuffle: usize,
    /// Pixels of a row.
    len: usize,
}

impl Kept {
    fn n_rows(shuffle: usize) -> usize {
        3 * 3 * shuffle
    }

    fn fit(&mut self, shuffle: usize, columns: usize) {
        (self.shuffle, self.len) = (shuffle, shuffle * columns);
        self.rows.resize(Self::n_rows(shuffle) * self.len, 0.0);
    }

    /// Row `row` of the shuffled picture.
    fn row(&self, channel: usize, row: usize) -> &[f32] {
        &self.rows[self.start(channel, row)..][..self.len]
    }

    fn row_mut(&mut self, channel: usize, row: usize) -> &mut [f32] {
        let start = self.start(channel, row);
        &mut self.rows[start..][..self.len]
    }

    fn start(&self, channel: usize, row: usize) -> usize {
        let y = row / self.shuffle;
        ((y % 3 * 3 + channel) * self.shuffle + row % self.shuffle) * self.len
    }
}

/// Row `row` of the shuffled picture, at `columns` of the picture, from the last layer's results.
fn shuffle_row(
    job: Job,
    flow: &Flow,
    (channel, row): (usize, usize),
    columns: &Range<usize>,
    aligned: &mut Vec<f32>,
    to: &mut [f32],
) {
    let shuffle = job.packed.shuffle;
    let (y, first) = (row / shuffle, (channel * shuffle + row % shuffle) * shuffle);
    match shuffle {
        1 => interleave::<1>(flow, y, first, aligned),
        2 => interleave::<2>(flow, y, first, aligned),
        3 => interleave::<3>(flow, y, first, aligned),
        _ => interleave::<4>(flow, y, first, aligned),
    }
    let aligned = &aligned[(columns.start - flow.last_row_x()) * shuffle..];
    let base = &job.picture.planes()[channel][y * job.picture.width()..][columns.clone()];
    match shuffle {
        1 => add_repeated::<1>(aligned, base, to),
        2 => add_repeated::<2>(aligned, base, to),
        3 => add_repeated::<3>(aligned, base, to),
        _ => add_repeated::<4>(aligned, base, to),
    }
}

/// Channels `first` to `first + S` of a row of results, side by side for each pixel, from the first tile on.
fn interleave<const S: usize>(flow: &Flow, y: usize, first: usize, to: &mut Vec<f32>) {
    let planes: [[&[u32]; 2]; S] = std::array::from_fn(|j| flow.last_row(y, first + j));
    let n_tiles = planes[0][0].len();
    to.resize(n_tiles * 2 * S, 0.0);
    for (tile, to) in to.chunks_exact_mut(2 * S).enumerate() {
        for j in 0..S {
            to[j] = f32::from_bits(planes[j][0][tile]);
            to[S + j] = f32::from_bits(planes[j][1][tile]);
        }
    }
}

/// `S` values for each of `base`, which is added to them.
fn add_repeated<const S: usize>(values: &[f32], base: &[f32], to: &mut [f32]) {
    let pixels = values
        .as_chunks::<S>()
        .0
        .iter()
        .zip(to.as_chunks_mut::<S>().0);
    for ((values, to), base) in pixels.zip(base) {
        for j in 0..S {
            to[j] = values[j] + base;
        }
    }
}
