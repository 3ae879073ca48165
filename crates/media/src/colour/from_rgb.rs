//! RGB to codes, row by row.
//!
//! Invariant: every RGB row is read once; chroma waits at half width in a ring of four rows, no picture-sized scratch.
//! Invariant: a sample has the same bits in every part of the picture; only the picture's own edges repeat pixels.
//! Rows and columns are counted in the whole picture everywhere.

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

use std::ops::Range;

use super::chroma::{Taps, halve};
use super::isa::{Isa, for_every_isa};
use super::levels::Encoding;
use super::sample::{Sample, clamp};
use super::{CHROMA_REACH, Format, Matrix, PlanesMut, Subsampling};
use crate::{PlanarRgb, Region};

for_every_isa!(frame, rows, (src: &Source, format: Format, want: &Region, dst: &mut PlanesMut));

/// A picture of which one region is there.
pub(super) struct Source<'a> {
    /// The values of the region.
    pub(super) rgb: &'a PlanarRgb,
    /// Where they stand in the picture.
    pub(super) have: &'a Region,
}

impl Source<'_> {
    /// R, G and B of the columns `x` of row `y`.
    #[inline(always)]
    fn row(&self, x: Range<usize>, y: usize) -> [&[f32]; 3] {
        let start = (y - self.have.y.start) * self.rgb.width() + x.start - self.have.x.start;
        self.rgb.planes().map(|plane| &plane[start..][..x.len()])
    }
}

#[inline(always)]
fn rows<S: Sample>(src: &Source, format: Format, want: &Region, dst: &mut PlanesMut) {
    let encoding = Encoding::new(format);
    if format.matrix == Matrix::Rgb && format.subsampling == Subsampling::Yuv444 {
        return copy_rows::<S>(src, &encoding, want, dst);
    }
    let mut chroma = ChromaRows::new(format, want, dst.width, dst.height);
    let read = match format.subsampling {
        Subsampling::Yuv420 => want.grown(CHROMA_REACH, dst.width, dst.height).y,
        _ => want.y.clone(),
    };
    for y in read {
        if want.y.contains(&y) {
            luma_row::<S>(&encoding, y, src, &mut chroma, dst);
        } else {
            chroma_row(&encoding, y, src, &mut chroma);
        }
        match format.subsampling {
            Subsampling::Gray => {}
            Subsampling::Yuv444 => chroma.store_full::<S>(&encoding, y, dst),
            Subsampling::Yuv422 => {
                chroma.halve(&encoding, y, src);
                chroma.store::<S>(&encoding, [y; 4], [1.0, 0.0, 0.0, 0.0], y, dst);
            }
            Subsampling::Yuv420 => {
                chroma.halve(&encoding, y, src);
                chroma.store_complete::<S>(&encoding, y, dst);
            }
        }
    }
}

/// G, B and R to planes 0, 1 and 2.
#[inline(always)]
fn copy_rows<S: Sample>(src: &Source, encoding: &Encoding, want: &Region, dst: &mut PlanesMut) {
    for y in want.y.clone() {
        let [r, g, b] = src.row(want.x.clone(), y);
        for (index, values) in [g, b, r].into_iter().enumerate() {
            let out = row_mut::<S>(dst, index, want.x.start, y);
            for (out, &value) in out.iter_mut().zip(values) {
                *out = S::store(
                    clamp(value, 0.0, 1.0) * encoding.luma_scale + encoding.luma_offset,
                    encoding.max,
                );
            }
        }
    }
}

/// Chroma of the RGB rows read so far, in codes around zero.
struct ChromaRows<'a> {
    /// The last RGB row's chroma at full width: one sample before the wanted columns, those, two behind them.
    u: Vec<f32>,
    v: Vec<f32>,
    /// Rows at half width; row `y` lies at `y % 4`.
    ring: [HalfRow; 4],
    across: Taps,
    down: Taps,
    want: &'a Region,
    /// Last column and row of the picture.
    last: (usize, usize),
}

struct HalfRow {
    u: Vec<f32>,
    v: Vec<f32>,
}

impl<'a> ChromaRows<'a> {
    fn new(format: Format, want: &'a Region, width: usize, height: usize) -> Self {
        let n = want.width();
        let half = || HalfRow {
            u: vec![0.0; n.div_ceil(2)],
            v: vec![0.0; n.div_ceil(2)],
        };
        Self {
            u: vec![0.0; n + 3],
            v: vec![0.0; n + 3],
            ring: [half(), half(), half(), half()],
            across: Taps::across(format.siting),
            down: Taps::down(format.siting),
            want,
            last: (width - 1, height - 1),
        }
    }

    /// The wanted columns of the last RGB row's chroma.
    #[inline(always)]
    fn full(&mut self) -> [&mut [f32]; 2] {
        let n = self.want.width();
        [&mut self.u[1..=n], &mut self.v[1..=n]]
    }

    /// Brings the chroma of RGB row `y`, the last one read, to half width.
    #[inline(always)]
    fn halve(&mut self, encoding: &Encoding, y: usize, src: &Source) {
        let (n, x) = (self.want.width(), &self.want.x);
        // the pixels beside the wanted ones; beyond an edge of the picture, those at the edge
        for (at, x) in [
            (0, x.start.saturating_sub(1)),
            (n + 1, x.end.min(self.last.0)),
        ] {
            let [r, g, b] = src.row(x..x + 1, y);
            [_, self.u[at], self.v[at]] = yuv(encoding, r[0], g[0], b[0]);
        }
        let row = &mut self.ring[y % 4];
        for (full, half) in [(&mut self.u, &mut row.u), (&mut self.v, &mut row.v)] {
            // looked at where the picture's width is odd, and repeats the last pixel once more
            full[n + 2] = full[n + 1];
            halve(full, &self.across, half);
        }
    }

    /// Writes the wanted chroma rows for which RGB row `y` was the last one missing.
    #[inline(always)]
    fn store_complete<S: Sample>(&self, encoding: &Encoding, y: usize, dst: &mut PlanesMut) {
        let rows = &self.want.y;
        if y >= rows.start + 2 && y.is_multiple_of(2) {
            self.store_halved::<S>(encoding, y / 2 - 1, dst);
        }
        if y == self.last.1 && rows.contains(&y) {
            self.store_halved::<S>(encoding, y / 2, dst);
        }
    }

    /// Writes chroma row `k` of 4:2:0; rows beyond an edge are those at the edge.
    #[inline(always)]
    fn store_halved<S: Sample>(&self, encoding: &Encoding, k: usize, dst: &mut PlanesMut) {
        let last = self.last.1;
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
        let (rows, x) = (at.map(|y| &self.ring[y % 4]), self.want.x.start / 2);
        store_blend(
            encoding,
            rows.map(|row| row.u.as_slice()),
            weights,
            row_mut::<S>(dst, 1, x, k),
        );
        store_blend(
            encoding,
            rows.map(|row| row.v.as_slice()),
            weights,
            row_mut::<S>(dst, 2, x, k),
        );
    }

    /// Writes row `y` of 4:4:4.
    #[inline(always)]
    fn store_full<S: Sample>(&self, encoding: &Encoding, y: usize, dst: &mut PlanesMut) {
        for (index, full) in [(1, &self.u), (2, &self.v)] {
            let values = &full[1..=self.want.width()];
            let out = row_mut::<S>(dst, index, self.want.x.start, y);
            for (out, &value) in out.iter_mut().zip(values) {
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
    src: &Source,
    chroma: &mut ChromaRows,
    dst: &mut PlanesMut,
) {
    let x = chroma.want.x.clone();
    let luma = row_mut::<S>(dst, 0, x.start, y);
    let [u, v] = chroma.full();
    matrix_row(encoding, src.row(x, y), luma, u, v);
}

/// Leaves the chroma of row `y`, above or below the wanted rows, in `chroma`.
#[inline(always)]
fn chroma_row(encoding: &Encoding, y: usize, src: &Source, chroma: &mut ChromaRows) {
    let [r, g, b] = src.row(chroma.want.x.clone(), y);
    let [u, v] = chroma.full();
    for x in 0..u.len() {
        [_, u[x], v[x]] = yuv(encoding, r[x], g[x], b[x]);
    }
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
        let y;
        [y, u[x], v[x]] = yuv(encoding, r[x], g[x], b[x]);
        luma[x] = S::store(y * encoding.luma_scale + encoding.luma_offset, encoding.max);
    }
}

/// Luma of a pixel, 0..=1, and its chroma in codes around zero.
#[inline(always)]
fn yuv(encoding: &Encoding, r: f32, g: f32, b: f32) -> [f32; 3] {
    let [r, g, b] = [r, g, b].map(|value| clamp(value, 0.0, 1.0));
    let y = g + encoding.kr * (r - g) + encoding.kb * (b - g);
    [y, (b - y) * encoding.u_scale, (r - y) * encoding.v_scale]
}

/// The samples of plane `index` from column `x` of row `y` on; those of the row come first.
#[inline(always)]
fn row_mut<'a, S: Sample>(dst: &'a mut PlanesMut, index: usize, x: usize, y: usize) -> &'a mut [S] {
    S::row_mut(&mut dst.planes[index][y * dst.stride[index] + x * size_of::<S>()..])
}
