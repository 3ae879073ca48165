//! Chroma between its own grid and luma's, along a row; and the weights of both directions.
//!
//! A chroma sample `k` stands at luma position `2k + offset`; the offset is 0 (left, top), ½ (centre) or 1 (bottom).

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the caller's instruction set"
)]

use super::sample::Sample;
use super::{Horizontal, Siting, Vertical};

/// Weights along one direction in which chroma has half the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Taps {
    /// Weight of chroma `k - 1` at luma `2k`; chroma `k` has the rest.
    pub(super) before: f32,
    /// Weight of chroma `k + 1` at luma `2k + 1`; chroma `k` has the rest.
    pub(super) after: f32,
    /// Weights of luma `2k - 1` to `2k + 2` at chroma `k`.
    pub(super) down: [f32; 4],
}

impl Taps {
    const AT_FIRST: Self = Self {
        before: 0.0,
        after: 0.5,
        down: [0.25, 0.5, 0.25, 0.0],
    };
    const BETWEEN: Self = Self {
        before: 0.25,
        after: 0.25,
        down: [0.125, 0.375, 0.375, 0.125],
    };
    const AT_SECOND: Self = Self {
        before: 0.5,
        after: 0.0,
        down: [0.0, 0.25, 0.5, 0.25],
    };

    pub(super) fn across(siting: Siting) -> Self {
        match siting.horizontal {
            Horizontal::Left => Self::AT_FIRST,
            Horizontal::Centre => Self::BETWEEN,
        }
    }

    pub(super) fn down(siting: Siting) -> Self {
        match siting.vertical {
            Vertical::Top => Self::AT_FIRST,
            Vertical::Centre => Self::BETWEEN,
            Vertical::Bottom => Self::AT_SECOND,
        }
    }

    /// The two chroma rows (of `rows`) at luma row `y`, and the weight of the second.
    pub(super) fn rows_at(&self, y: usize, rows: usize) -> (usize, usize, f32) {
        let k = y / 2;
        if y.is_multiple_of(2) {
            (k.saturating_sub(1), k, 1.0 - self.before)
        } else {
            (k, (k + 1).min(rows - 1), self.after)
        }
    }
}

/// Codes less `offset`.
#[inline(always)]
pub(super) fn centre<S: Sample>(codes: &[S], offset: f32, out: &mut [f32]) {
    for (out, code) in out.iter_mut().zip(codes) {
        *out = code.load() - offset;
    }
}

/// A chroma row to twice its samples. `padded` has one repeated sample at each end.
#[inline(always)]
pub(super) fn double(padded: &[f32], taps: &Taps, out: &mut [f32]) {
    let n = padded.len() - 2;
    let (left, here, right) = (&padded[..n], &padded[1..=n], &padded[2..]);
    let pairs = &mut out.as_chunks_mut::<2>().0[..n];
    for k in 0..n {
        pairs[k] = [
            left[k] * taps.before + here[k] * (1.0 - taps.before),
            here[k] * (1.0 - taps.after) + right[k] * taps.after,
        ];
    }
}

/// A row at luma's width to `out`, half as wide. `padded` starts with one repeated sample and ends with at least two.
#[inline(always)]
pub(super) fn halve(padded: &[f32], taps: &Taps, out: &mut [f32]) {
    let n = out.len();
    let pairs = padded.as_chunks::<2>().0;
    let (first, second) = (&pairs[..n], &pairs[1..=n]);
    for k in 0..n {
        let [a, b] = first[k];
        let [c, d] = second[k];
        out[k] = a * taps.down[0] + b * taps.down[1] + c * taps.down[2] + d * taps.down[3];
    }
}
