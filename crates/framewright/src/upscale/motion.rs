//! By how much has the whole picture moved? A guess that costs little; cell by cell it is found out whether it is true.
//!
//! ```text
//! sums of columns and of rows of both pictures ─▶ the movement across and the one down that fit best
//!                                              ─▶ a few rows compared: do they show the same?
//! ```
//! Only movements by multiples of a step are looked for: those that the network's results follow bit for bit. All of it
//! is integer arithmetic on the pictures, so that every machine finds the same.

use framewright_media::{Frame, Shift};

use crate::upscale::cells::{CELL, add_samples};

/// The farthest movement in pixels, across and down.
const FARTHEST: usize = 64;

/// So many of the composites shown last are looked at: one on twos and one that moves by an odd number of pixels each
/// frame are among them.
const COMPOSITES: usize = 4;

/// One row of pixels in this many is compared.
const PROBE: usize = 16;

/// So many of those are compared first; most pictures that do not fit show it there.
const FIRST_PROBES: usize = 6;

/// The share of what is compared that has to fit.
const ENOUGH: f64 = 0.4;

/// A profile's unit: this many make an 8-bit level.
const FINENESS: u64 = 64;

/// What a picture's columns and rows look like on average.
struct Profile {
    columns: Vec<u16>,
    rows: Vec<u16>,
}

/// Finds movements; keeps what it knows of composites.
#[derive(Default)]
pub struct Finder {
    profiles: Vec<(u64, Profile)>,
}

impl Finder {
    /// Which of `composites`, the one shown last first, frame `index` may be, moved by multiples of `step`: its place, and
    /// by how much it would have moved. All have the frame's size and format, and a composite's id is the index of the
    /// frame that it was made for.
    pub fn find<'a>(
        &mut self,
        index: u64,
        frame: &Frame,
        composites: impl Iterator<Item = (u64, &'a Frame)>,
        step: usize,
        tolerance: f32,
    ) -> Option<(usize, Shift)> {
        let now = Profile::of(frame, step);
        let mut profiles = Vec::with_capacity(COMPOSITES + 1);
        let mut best = None;
        let mut best_share = ENOUGH;
        for (place, (id, composite)) in composites.take(COMPOSITES).enumerate() {
            let known = self.profiles.iter().position(|&(known, _)| known == id);
            let before = known.map_or_else(
                || Profile::of(composite, step),
                |known| self.profiles.swap_remove(known).1,
            );
            for shift in now.shifts(&before, step) {
                let share = share_alike(frame, composite, shift, tolerance);
                if share > best_share {
                    (best, best_share) = (Some((place, shift)), share);
                }
            }
            profiles.push((id, before));
        }
        // Should the frame become a composite, that will look as it does, but for what is tolerated.
        profiles.push((index, now));
        self.profiles = profiles;
        best
    }
}

impl Profile {
    /// Of the luma of every `step`th row, in bands of `step` columns.
    fn of(frame: &Frame, step: usize) -> Self {
        let (width, stride) = (frame.width(), frame.stride(0));
        let depth = frame.pixel_format().depth();
        let luma = frame.planes()[0];
        let mut columns = vec![0_u32; width];
        let mut rows = Vec::with_capacity(frame.height().div_ceil(step));
        // At most 16320 for white; codes that a depth does not have may give more.
        let mean = |sum: u64, n: usize| {
            let mean = ((sum * FINENESS) >> (depth - 8)) / n.max(1) as u64;
            u16::try_from(mean).unwrap_or(u16::MAX)
        };
        for y in (0..frame.height()).step_by(step) {
            let row = &luma[y * stride..];
            let sum = if depth > 8 {
                let samples = row[..2 * width].as_chunks::<2>().0;
                add_row(
                    samples.iter().map(|&s| u16::from_le_bytes(s).into()),
                    &mut columns,
                )
            } else {
                add_row(row[..width].iter().map(|&s| s.into()), &mut columns)
            };
            rows.push(mean(sum.into(), width));
        }
        let bands = columns.chunks(step).map(|band| {
            let sum = band.iter().map(|&sum| u64::from(sum)).sum();
            mean(sum, band.len() * rows.len())
        });
        Self {
            columns: bands.collect(),
            rows,
        }
    }

    /// By what a picture that looked like `before` may have moved: across, down, and both.
    fn shifts(&self, before: &Self, step: usize) -> impl Iterator<Item = Shift> + use<> {
        let by = |now, before| step as isize * best_shift(now, before, FARTHEST / step);
        let (x, y) = (
            by(&self.columns, &before.columns),
            by(&self.rows, &before.rows),
        );
        let across = (x != 0).then_some(Shift { x, y: 0 });
        let down = (y != 0).then_some(Shift { x: 0, y });
        let both = across.and(down).map(|_| Shift { x, y });
        [across, down, both].into_iter().flatten()
    }
}

/// Adds a row's samples to the sums of their columns, and gives the row's.
fn add_row(samples: impl Iterator<Item = u32>, columns: &mut [u32]) -> u32 {
    let mut sum = 0;
    for (sample, column) in samples.zip(columns) {
        *column += sample;
        sum += sample;
    }
    sum
}

/// By how many places `now` is `before` moved, `farthest` at most: where the mean difference of what both show is
/// smallest, the shortest way where several are alike.
fn best_shift(now: &[u16], before: &[u16], farthest: usize) -> isize {
    let farthest = farthest.min(now.len() / 2);
    let difference = |a: &[u16], b: &[u16]| {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| u32::from(a.abs_diff(b))).sum::<u32>()
    };
    let mut best = (difference(now, before), now.len(), 0);
    for by in 1..=farthest {
        let n = now.len() - by;
        for (sum, by) in [
            (difference(&now[by..], &before[..n]), by as isize),
            (difference(&now[..n], &before[by..]), -(by as isize)),
        ] {
            // sum / n < best sum / best n
            if u64::from(sum) * (best.1 as u64) < u64::from(best.0) * n as u64 {
                best = (sum, n, by);
            }
        }
    }
    best.2
}

/// How much of a few rows of `frame` shows what `composite` would, moved, in pieces as wide as a cell; 0 where hardly
/// any of the first rows do.
fn share_alike(frame: &Frame, composite: &Frame, moved: Shift, tolerance: f32) -> f64 {
    let covered = moved.covered(frame.width(), frame.height());
    let (depth, stride) = (frame.pixel_format().depth(), frame.stride(0));
    let wide = depth > 8;
    let sample_bytes = if wide { 2 } else { 1 };
    let length = covered.width() / CELL * CELL * sample_bytes;
    let (now, before) = (frame.planes()[0], composite.planes()[0]);
    let start = sample_bytes * covered.x.start;
    let start_before = sample_bytes * covered.x.start.wrapping_add_signed(-moved.x);
    // Of one row of a cell; a single row may differ more than the cell's mean does.
    let most = (2.0 * tolerance * f32::from(1_u16 << (depth - 8)) * CELL as f32) as u32;
    let mut sums = vec![0; covered.width() / CELL];
    let (mut n_alike, mut n) = (0, 0);
    let n_probes = covered.height() / PROBE;
    // Far apart first: all over the picture.
    let order = (0..FIRST_PROBES).flat_map(|first| (first..n_probes).step_by(FIRST_PROBES));
    for (n_probed, probe) in order.enumerate() {
        if n_probed == FIRST_PROBES && f64::from(n_alike) < ENOUGH / 2.0 * f64::from(n) {
            return 0.0;
        }
        let y = covered.y.start + PROBE / 2 + PROBE * probe;
        let y_before = y.wrapping_add_signed(-moved.y);
        sums.fill(0);
        add_samples(
            &now[y * stride + start..][..length],
            &before[y_before * composite.stride(0) + start_before..][..length],
            wide,
            CELL,
            &mut sums,
        );
        n_alike += sums.iter().filter(|&&sum| sum <= most).count() as u32;
        n += sums.len() as u32;
    }
    f64::from(n_alike) / f64::from(n.max(1))
}

#[cfg(test)]
mod tests;
