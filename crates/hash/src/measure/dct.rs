//! The hash of the low frequencies: the signs of 16×16 coefficients of the DCT-II about their median, as PDQ has them, but
//! of 128×128 pixels. The constant ones are left out: frequencies 1 to 16 in both directions.
//!
//! Invariant: columns are transformed first and their result is rounded; the sums along the rows are exact. So the
//! coefficients of the mirrored picture are the same ones, those of odd horizontal frequencies with the other sign.

#![expect(
    clippy::inline_always,
    reason = "to be compiled for each instruction set"
)]

use crate::Hash256;
use crate::isa::{Isa, for_every_isa};

use super::{Reduced, SIDE};

/// Frequencies in each direction.
const N: usize = 16;
/// Half of the symmetric (even frequencies) or antisymmetric (odd) cosine.
const HALF: usize = SIDE / 2;

/// Coefficients, one vertical frequency after the other, each with the horizontal frequencies 1 to 16.
pub(super) type Coefficients = [i32; N * N];

/// `COSINES[k - 1][n]`: cos(π k (2n + 1) / 256) · 2048, of which the other half is the mirror.
static COSINES: [[i32; HALF]; N] = cosines();

const fn cosines() -> [[i32; HALF]; N] {
    // Turned on step by step: the library's cosine differs between machines in the last bit, these do not.
    const STEP: (f64, f64) = (0.999_924_701_839_144_5, 0.012_271_538_285_719_925);
    let mut quarter = [0; SIDE + 1];
    let (mut cos, mut sin) = (1.0, 0.0);
    let mut n = 0;
    while n < SIDE {
        quarter[n] = (cos * 2048.0 + 0.5) as i32;
        (cos, sin) = (cos * STEP.0 - sin * STEP.1, sin * STEP.0 + cos * STEP.1);
        n += 1;
    }
    let mut table = [[0; HALF]; N];
    let mut k = 0;
    while k < N {
        let mut n = 0;
        while n < HALF {
            let angle = (k + 1) * (2 * n + 1) % (4 * SIDE);
            table[k][n] = match angle / SIDE {
                0 => quarter[angle],
                1 => -quarter[2 * SIDE - angle],
                2 => -quarter[angle - 2 * SIDE],
                _ => quarter[4 * SIDE - angle],
            };
            n += 1;
        }
        k += 1;
    }
    table
}

/// The transform of a reduced picture.
pub(super) fn coefficients(isa: Isa, reduced: &Reduced) -> Box<Coefficients> {
    let mut out = Box::new([0; N * N]);
    transform(isa, reduced, &mut out);
    out
}

for_every_isa!(transform, transform_inline, (reduced: &Reduced, out: &mut Coefficients));

/// Every sum fits 32 bits: 16 320 (white) × 64 (the positive half of a cosine's sum) × 2048 × 2 / π; what steps out of
/// them on the way comes back.
#[inline(always)]
fn transform_inline(reduced: &Reduced, out: &mut Coefficients) {
    let total: u32 = reduced.iter().map(|&level| u32::from(level)).sum();
    // Without the mean what the rounded cosines let through of it is gone.
    let mean = (total / (SIDE * SIDE) as u32) as i32;

    let mut columns = [[0_i32; SIDE]; N];
    for y in 0..HALF {
        let upper: &[u16; SIDE] = reduced[y * SIDE..][..SIDE].try_into().expect("a row");
        let lower: &[u16; SIDE] = reduced[(SIDE - 1 - y) * SIDE..][..SIDE]
            .try_into()
            .expect("a row");
        let (mut even, mut odd) = ([0_i32; SIDE], [0_i32; SIDE]);
        for x in 0..SIDE {
            let (upper, lower) = (i32::from(upper[x]), i32::from(lower[x]));
            even[x] = upper + lower - 2 * mean;
            odd[x] = upper - lower;
        }
        for k in 0..N {
            let cosine = COSINES[k][y];
            let values = if k % 2 == 0 { &odd } else { &even };
            for x in 0..SIDE {
                columns[k][x] = columns[k][x].wrapping_add(values[x].wrapping_mul(cosine));
            }
        }
    }
    for (k, column) in columns.iter_mut().enumerate() {
        for value in column.iter_mut() {
            *value = value.wrapping_add(1 << 15) >> 16;
        }
        let (mut even, mut odd) = ([0_i32; HALF], [0_i32; HALF]);
        for x in 0..HALF {
            even[x] = column[x] + column[SIDE - 1 - x];
            odd[x] = column[x] - column[SIDE - 1 - x];
        }
        for j in 0..N {
            let values = if j % 2 == 0 { &odd } else { &even };
            let mut sum = 0_i32;
            for x in 0..HALF {
                sum = sum.wrapping_add(values[x].wrapping_mul(COSINES[j][x]));
            }
            out[k * N + j] = sum;
        }
    }
}

/// One bit per coefficient: whether it is above the median.
pub(super) fn hash(coefficients: &Coefficients, mirrored: bool) -> Hash256 {
    let mut values = *coefficients;
    if mirrored {
        // the odd frequencies stand at the even places
        values
            .iter_mut()
            .step_by(2)
            .for_each(|value| *value = value.wrapping_neg());
    }
    let mut sorted = values;
    let (_, &mut median, _) = sorted.select_nth_unstable(N * N / 2 - 1);
    Hash256::from_bits(|bit| values[bit] > median)
}
