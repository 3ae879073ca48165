//! What is measured at full size: how sharp a picture is, and how much of it is black border.

#![expect(
    clippy::inline_always,
    reason = "to be compiled for each instruction set"
)]

use crate::isa::{Isa, for_every_isa};
use crate::luma::Luma;

/// Levels up to here count as black: bars are black to within what compressing makes of them.
const BLACK: u32 = 16;
/// One pixel in so many of a border row or column may be brighter: ringing and dirt.
const BRIGHT_ONE_IN: usize = 64;

/// Variance of 4·centre − left − right − above − below over all pixels that have four neighbours, in squared levels; 0
/// where none has.
pub(super) fn sharpness(isa: Isa, luma: &Luma<'_>) -> f32 {
    if luma.width < 3 || luma.height < 3 {
        return 0.0;
    }
    let row = |y: usize| luma.row(y);
    let inner_rows = 1..luma.height - 1;
    let squares: u64 = inner_rows
        .clone()
        .map(|y| squares(isa, [row(y - 1), row(y), row(y + 1)]))
        .sum();
    // Of the sum only the edges are left, as in every sum of differences.
    let (right, bottom) = (luma.width - 1, luma.height - 1);
    let step = |inner: u8, outer: u8| i64::from(inner) - i64::from(outer);
    let mut total = 0;
    for y in inner_rows {
        total += step(row(y)[right - 1], row(y)[0]) + step(row(y)[1], row(y)[right]);
    }
    for x in 1..right {
        total += step(row(bottom - 1)[x], row(0)[x]) + step(row(1)[x], row(bottom)[x]);
    }
    let n = ((luma.width - 2) * (luma.height - 2)) as u64;
    let spread = u128::from(n) * u128::from(squares) - u128::from(total.unsigned_abs()).pow(2);
    let variance = spread as f64 / n as f64 / n as f64;
    (variance * luma.levels_per_code() * luma.levels_per_code()) as f32
}

for_every_isa!(squares, squares_inline, (rows: [&[u8]; 3]) -> u64);

/// Sum of the squares of one row.
#[inline(always)]
fn squares_inline(rows: [&[u8]; 3]) -> u64 {
    // 1020² × 1024 fits 31 bits
    const CHUNK: usize = 1024;
    let inner = rows[1].len() - 2;
    let mut squares = 0;
    for x in (0..inner).step_by(CHUNK) {
        let n = CHUNK.min(inner - x);
        let (above, below) = (&rows[0][x + 1..][..n], &rows[2][x + 1..][..n]);
        let (left, centre, right) = (
            &rows[1][x..][..n],
            &rows[1][x + 1..][..n],
            &rows[1][x + 2..][..n],
        );
        let mut sum = 0_i32;
        for i in 0..n {
            let around = i16::from(above[i])
                + i16::from(below[i])
                + i16::from(left[i])
                + i16::from(right[i]);
            let value = 4 * i16::from(centre[i]) - around;
            sum += i32::from(value) * i32::from(value);
        }
        squares += sum as u64;
    }
    squares
}

/// Share of the picture in rows and columns that are black up to its edge.
pub(super) fn border(isa: Isa, luma: &Luma<'_>, counts: &mut Vec<u16>) -> f32 {
    let black = luma.code_at(BLACK);
    let is_black = |y: &usize| {
        let bright = luma.row(*y).iter().filter(|code| **code > black).count();
        bright * BRIGHT_ONE_IN <= luma.width
    };
    let top = (0..luma.height).take_while(is_black).count();
    if top == luma.height {
        return 1.0;
    }
    let bottom = (0..luma.height).rev().take_while(is_black).count();
    let height = luma.height - top - bottom;

    // Most pictures have no bars at the sides: their outermost columns tell.
    let tolerated = height / BRIGHT_ONE_IN;
    let is_bright = |x: usize| {
        let column = (top..top + height).filter(|y| luma.row(*y)[x] > black);
        column.take(tolerated + 1).count() > tolerated
    };
    let mut width = luma.width;
    if !is_bright(0) || !is_bright(luma.width - 1) {
        counts.clear();
        counts.resize(luma.width, 0);
        for y in top..top + height {
            count_bright(isa, luma.row(y), black, counts);
        }
        let dark = |count: &&u16| usize::from(**count) <= tolerated;
        let left = counts.iter().take_while(dark).count();
        let right = counts.iter().skip(left).rev().take_while(dark).count();
        width -= left + right;
    }
    let picture = (width * height) as f64 / (luma.width * luma.height) as f64;
    (1.0 - picture) as f32
}

for_every_isa!(count_bright, count_bright_inline, (row: &[u8], black: u8, counts: &mut [u16]));

#[inline(always)]
fn count_bright_inline(row: &[u8], black: u8, counts: &mut [u16]) {
    for (count, &code) in counts.iter_mut().zip(row) {
        *count = count.saturating_add(u16::from(code > black));
    }
}
