//! RGB to codes, row by row.
//!
//! Invariant: every RGB row is read once; chroma waits at half width in a ring of four rows, no picture-sized scratch.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calls functions compiled for instructions that the machine was seen to have"
    )
)]
#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the caller's instruction set"
)]

use super::chroma::{Taps, halve};
use super::isa::{Isa, for_every_isa};
use super::levels::Encoding;
use super::sample::{Sample, clamp};
use super::{Format, Matrix, PlanesMut, Subsampling};
use crate::PlanarRgb;

for_every_isa!(frame, rows, (src: &PlanarRgb, format: Format, dst: &mut PlanesMut));

#[inline(always)]
fn rows<S: Sample>(src: &PlanarRgb, format: Format, dst: &mut PlanesMut) {
    let encoding = Encoding::new(format);
    if format.matrix == Matrix::Rgb && format.subsampling == Subsampling::Yuv444 {
        return copy_rows::<S>(src, &encoding, dst);
    }
    let mut chroma = ChromaRows::new(format, src.width());
    for y in 0..src.height() {
        luma_row::<S>(&encoding, y, src, &mut chroma, dst);
        match format.subsampling {
            Subsampling::Gray => {}
            Subsampling::Yuv444 => chroma.store_full::<S>(&encoding, y, dst),
            Subsampling::Yuv422 => {
                chroma.halve(y);
                chroma.store::<S>(&encoding, [y; 4], [1.0, 0.0, 0.0, 0.0], y, dst);
            }
            Subsampling::Yuv420 => {
                chroma.halve(y);
                chroma.store_complete::<S>(&encoding, y, dst);
            }
        }
    }
}

/// G, B and R to planes 0, 1 and 2.
#[inline(always)]
fn copy_rows<S: Sample>(src: &PlanarRgb, encoding: &Encoding, dst: &mut PlanesMut) {
    let [r, g, b] = src.planes();
    for (index, plane) in [g, b, r].into_iter().enumerate() {
        for (y, values) in plane.chunks_exact(src.width()).enumerate() {
            for (out, &value) in row_mut::<S>(dst, index, y).iter_mut().zip(values) {
                *out = S::store(
                    clamp(value, 0.0, 1.0) * encoding.luma_scale + encoding.luma_offset,
                    encoding.max,
                );
            }
        }
    }
}

/// Chroma of the RGB rows read so far, in codes around zero.
struct ChromaRows {
    /// The last RGB row's chroma at full width: one repeated sample, the row, two repeated samples.
    u: Vec<f32>,
    v: Vec<f32>,
    /// Rows at half width; row `y` lies at `y % 4`.
    ring: [HalfRow; 4],
    across: Taps,
    down: Taps,
    width: usize,
}

struct HalfRow {
    u: Vec<f32>,
    v: Vec<f32>,
}

impl ChromaRows {
    fn new(format: Format, width: usize) -> Self {
        let half = || HalfRow {
            u: vec![0.0; width.div_ceil(2)],
            v: vec![0.0; width.div_ceil(2)],
        };
        Self {
            u: vec![0.0; width + 3],
            v: vec![0.0; width + 3],
            ring: [half(), half(), half(), half()],
            across: Taps::across(format.siting),
            down: Taps::down(format.siting),
            width,
        }
    }

    /// Brings the last RGB row's chroma to half width, as row `y` of the ring.
    #[inline(always)]
    fn halve(&mut self, y: usize) {
        let row = &mut self.ring[y % 4];
        for (full, half) in [(&mut self.u, &mut row.u), (&mut self.v, &mut row.v)] {
            full[0] = full[1];
            full[self.width + 1] = full[self.width];
            full[self.width + 2] = full[self.width];
            halve(full, &self.across, half);
        }
    }

    /// Writes the chroma rows for which RGB row `y` was the last one missing.
    #[inline(always)]
    fn store_complete<S: Sample>(&self, encoding: &Encoding, y: usize, dst: &mut PlanesMut) {
        let last = dst.height - 1;
        if y >= 2 && y.is_multiple_of(2) {
            self.store_halved::<S>(encoding, y / 2 - 1, last, dst);
        }
        if y == last {
            self.store_halved::<S>(encoding, y / 2, last, dst);
        }
    }

    /// Writes chroma row `k` of 4:2:0; rows beyond an edge are those at the edge.
    #[inline(always)]
    fn store_halved<S: Sample>(
        &self,
        encoding: &Encoding,
        k: usize,
        last: usize,
        dst: &mut PlanesMut,
    ) {
        let at = [
            (2 * k).saturating_sub(1),
            2 * k,
            (2 * k + 1).min(last),
            (2 * k + 2).min(last),
        ];
        self.store::<S>(encoding, at, self.down.down, k, dst);
    }

    /// Writes chroma row `k` from the ring's rows `at`.
    #[inline(always)]
    fn store<S: Sample>(
        &self,
        encoding: &Encoding,
        at: [usize; 4],
        weights: [f32; 4],
        k: usize,
        dst: &mut PlanesMut,
    ) {
        let rows = at.map(|y| &self.ring[y % 4]);
        store_blend(
            encoding,
            rows.map(|row| row.u.as_slice()),
            weights,
            row_mut::<S>(dst, 1, k),
        );
        store_blend(
            encoding,
            rows.map(|row| row.v.as_slice()),
            weights,
            row_mut::<S>(dst, 2, k),
        );
    }

    /// Writes row `y` of 4:4:4.
    #[inline(always)]
    fn store_full<S: Sample>(&self, encoding: &Encoding, y: usize, dst: &mut PlanesMut) {
        for (index, full) in [(1, &self.u), (2, &self.v)] {
            let values = &full[1..=self.width];
            for (out, &value) in row_mut::<S>(dst, index, y).iter_mut().zip(values) {
                *out = S::store(value + encoding.chroma_offset, encoding.max);
            }
        }
    }
}

#[inline(always)]
fn store_blend<S: Sample>(
    encoding: &Encoding,
    rows: [&[f32]; 4],
    weights: [f32; 4],
    out: &mut [S],
) {
    let n = rows[0].len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    let out = &mut out[..n];
    for x in 0..n {
        let value = a[x] * weights[0] + b[x] * weights[1] + c[x] * weights[2] + d[x] * weights[3];
        out[x] = S::store(value + encoding.chroma_offset, encoding.max);
    }
}

/// Writes luma row `y` and leaves the row's chroma in `chroma`.
#[inline(always)]
fn luma_row<S: Sample>(
    encoding: &Encoding,
    y: usize,
    src: &PlanarRgb,
    chroma: &mut ChromaRows,
    dst: &mut PlanesMut,
) {
    let width = src.width();
    let [r, g, b] = src.planes().map(|plane| &plane[y * width..][..width]);
    let (u, v) = (&mut chroma.u[1..=width], &mut chroma.v[1..=width]);
    matrix_row(encoding, [r, g, b], row_mut::<S>(dst, 0, y), u, v);
}

#[inline(always)]
fn matrix_row<S: Sample>(
    encoding: &Encoding,
    rgb: [&[f32]; 3],
    luma: &mut [S],
    u: &mut [f32],
    v: &mut [f32],
) {
    let n = u.len();
    let [r, g, b] = rgb.map(|row| &row[..n]);
    let (luma, v) = (&mut luma[..n], &mut v[..n]);
    for x in 0..n {
        let [r, g, b] = [r[x], g[x], b[x]].map(|value| clamp(value, 0.0, 1.0));
        let y = g + encoding.kr * (r - g) + encoding.kb * (b - g);
        luma[x] = S::store(y * encoding.luma_scale + encoding.luma_offset, encoding.max);
        u[x] = (b - y) * encoding.u_scale;
        v[x] = (r - y) * encoding.v_scale;
    }
}

/// The samples of plane `index` from row `y` on; the row's columns come first.
#[inline(always)]
fn row_mut<'a, S: Sample>(dst: &'a mut PlanesMut, index: usize, y: usize) -> &'a mut [S] {
    S::row_mut(&mut dst.planes[index][y * dst.stride[index]..])
}
