//! Reducing a plane to 128×128 by the area filter: each target pixel is the mean of the area of the source that it covers,
//! parts of pixels included.
//!
//! Lengths are counted in 1/128 of a source pixel, so that the borders of all target pixels are whole numbers. Rows are
//! summed first, as that reads the source in order and in wide vectors; only a fifth of the values is left for the columns.
//! These sums are rounded to 15 bits (never for up to 128 rows), 1/64 to 1/128 of a level, so that the columns can be
//! weighted by multiplying 16 bits; everything else is exact up to the final rounding.

#![expect(
    clippy::inline_always,
    reason = "to be compiled for each instruction set"
)]

use crate::isa::{Isa, for_every_isa};
use crate::luma::Luma;

use super::{PARTS, Reduced, SIDE};

/// Columns summed at a time, in registers.
const BLOCK: usize = 128;
/// 16 bits hold the sum of so many codes.
const MOST_ROWS: usize = 257;
/// Columns weighted at a time.
const LANES: usize = 16;

/// What one of `target` pixels covers of `source` pixels, in units of which a source pixel has `target`: a part of the
/// first, all between, and a part of the last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub first: usize,
    pub last: usize,
    pub first_weight: u32,
    /// 0 where the first pixel is the last.
    pub last_weight: u32,
}

impl Span {
    pub(super) fn new(n: usize, source: usize, target: usize) -> Self {
        let (start, end) = (n * source, (n + 1) * source);
        let (first, last) = (start / target, (end - 1) / target);
        let (first_weight, last_weight) = if first == last {
            (source, 0)
        } else {
            (target * (first + 1) - start, end - target * last)
        };
        Self {
            first,
            last,
            first_weight: first_weight as u32,
            last_weight: last_weight as u32,
        }
    }
}

/// Memory for reducing, and what the size seen last needs.
#[derive(Debug, Default)]
pub(super) struct Reducer {
    size: (usize, usize),
    columns: Columns,
    /// A row of sums, and zeros behind it for the last window.
    sums: Vec<i16>,
}

/// The weights of the columns, as many for each target pixel, in windows of full vectors.
#[derive(Debug, Default)]
pub(super) struct Columns {
    first: Vec<usize>,
    weights: Vec<i16>,
    /// Vectors in a window.
    vectors: usize,
}

impl Columns {
    fn new(width: usize) -> Self {
        let spans: Vec<_> = (0..SIDE).map(|n| Span::new(n, width, SIDE)).collect();
        let longest = spans.iter().map(|span| span.last - span.first + 1).max();
        let vectors = longest.unwrap_or(1).div_ceil(LANES);
        let mut weights = vec![0; SIDE * vectors * LANES];
        for (span, weights) in spans.iter().zip(weights.chunks_exact_mut(vectors * LANES)) {
            let last = span.last - span.first;
            weights[..last].fill(SIDE as i16);
            weights[last] = span.last_weight as i16;
            weights[0] = span.first_weight as i16;
        }
        Self {
            first: spans.iter().map(|span| span.first).collect(),
            weights,
            vectors,
        }
    }
}

impl Reducer {
    pub(super) fn reduce(&mut self, isa: Isa, luma: &Luma<'_>, out: &mut Reduced) {
        let size = (luma.width, luma.height);
        if self.size != size {
            self.size = size;
            self.columns = Columns::new(luma.width);
            self.sums = vec![0; luma.width + self.columns.vectors * LANES];
        }
        let scale = Scale::new(luma);
        for (n, out) in out.chunks_exact_mut(SIDE).enumerate() {
            let rows = Span::new(n, luma.height, SIDE);
            sum_rows(isa, luma, rows, scale.shift, &mut self.sums);
            sum_columns(isa, &self.sums, &self.columns, scale, out);
        }
    }
}

for_every_isa!(sum_rows, sum_rows_inline, (luma: &Luma<'_>, rows: Span, shift: u32, sums: &mut [i16]));
for_every_isa!(
    sum_columns,
    sum_columns_inline,
    (sums: &[i16], columns: &Columns, scale: Scale, out: &mut [u16])
);

#[inline(always)]
fn sum_rows_inline(luma: &Luma<'_>, rows: Span, shift: u32, sums: &mut [i16]) {
    let blocks = luma.width / BLOCK * BLOCK;
    for x in (0..blocks).step_by(BLOCK) {
        sum_block::<BLOCK>(luma, rows, shift, x, sums);
    }
    for x in blocks..luma.width {
        sum_block::<1>(luma, rows, shift, x, sums);
    }
}

#[inline(always)]
fn sum_block<const N: usize>(luma: &Luma<'_>, rows: Span, shift: u32, x: usize, sums: &mut [i16]) {
    let at = |y: usize| -> &[u8; N] {
        let row = &luma.data[y * luma.stride + x..][..N];
        row.try_into().expect("N bytes")
    };
    let between = rows.first + 1..rows.last;
    let mut whole = [0_u32; N];
    if between.len() <= MOST_ROWS {
        let mut sum = [0_u16; N];
        for y in between {
            for (sum, &code) in sum.iter_mut().zip(at(y)) {
                *sum += u16::from(code);
            }
        }
        whole = sum.map(u32::from);
    } else {
        for y in between {
            for (sum, &code) in whole.iter_mut().zip(at(y)) {
                *sum += u32::from(code);
            }
        }
    }
    let (first, last) = (at(rows.first), at(rows.last));
    // both weights are at most 128, so 16 bits hold their products
    let (first_weight, last_weight) = (rows.first_weight as u16, rows.last_weight as u16);
    let half = (1 << shift) >> 1;
    let sums = &mut sums[x..x + N];
    for i in 0..N {
        let edges = u16::from(first[i]) * first_weight + u16::from(last[i]) * last_weight;
        sums[i] = ((whole[i] * SIDE as u32 + u32::from(edges) + half) >> shift) as i16;
    }
}

#[inline(always)]
fn sum_columns_inline(sums: &[i16], columns: &Columns, scale: Scale, out: &mut [u16]) {
    let vectors = columns.vectors;
    let mut totals = [0; SIDE];
    let weights = columns.weights.chunks_exact(vectors * LANES);
    for ((total, &first), weights) in totals.iter_mut().zip(&columns.first).zip(weights) {
        let sums = sums[first..][..vectors * LANES].chunks_exact(LANES);
        for (sums, weights) in sums.zip(weights.chunks_exact(LANES)) {
            // at most 32 767 × 65 535 in all
            let mut sum = 0_i32;
            for i in 0..LANES {
                sum += i32::from(sums[i]) * i32::from(weights[i]);
            }
            *total += sum;
        }
    }
    for (out, total) in out.iter_mut().zip(totals) {
        *out = scale.level(total as u32);
    }
}

/// From sums over an area to levels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    /// Bits that the sums over rows lose.
    shift: u32,
    /// What a sum is multiplied by, in 1 / 2^`fraction`.
    factor: u64,
    fraction: u32,
    full_range: bool,
}

impl Scale {
    fn new(luma: &Luma<'_>) -> Self {
        let white = 255 * luma.height as u64;
        let shift = (u64::BITS - white.leading_zeros()).saturating_sub(15);
        let (numerator, area) = (u64::from(PARTS) << shift, (luma.width * luma.height) as u64);
        // as many bits as leave the factor below 2^32, so that products fit 64
        let fraction = (31 + area.ilog2())
            .saturating_sub(numerator.ilog2())
            .min(56);
        let factor =
            ((u128::from(numerator) << fraction) + u128::from(area) / 2) / u128::from(area);
        Self {
            shift,
            factor: factor as u64,
            fraction,
            full_range: luma.full_range,
        }
    }

    /// The mean code in 1/64, rounded, brought to the full range. A division per pixel would take as long as all else.
    #[inline(always)]
    fn level(self, total: u32) -> u16 {
        let code =
            ((u64::from(total) * self.factor + (1 << (self.fraction - 1))) >> self.fraction) as u32;
        let level = if self.full_range {
            code
        } else {
            (code.saturating_sub(16 * PARTS) * 255 + 109) / 219
        };
        level.min(255 * PARTS) as u16
    }
}
