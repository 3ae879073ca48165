//! Codes to RGB, row by row.
//!
//! Invariant: a chroma row is brought to full width once and serves all luma rows around it; no picture-sized scratch.
//! Invariant: a value has the same bits in every part of the picture; only the picture's own edges repeat samples.

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

use super::chroma::{Taps, centre, double};
use super::isa::{Isa, for_every_isa};
use super::levels::Decoding;
use super::sample::Sample;
use super::{CHROMA_REACH, Format, Matrix, Planes, Subsampling};
use crate::{PlanarRgb, Region};

for_every_isa!(frame, rows, (src: &Planes, format: Format, part: &Region, dst: &mut PlanarRgb));

#[inline(always)]
fn rows<S: Sample>(src: &Planes, format: Format, part: &Region, dst: &mut PlanarRgb) {
    let decoding = Decoding::new(format);
    match (format.subsampling, format.matrix) {
        (Subsampling::Gray, _) => copy_rows::<S>(src, &decoding, [0, 0, 0], part, dst),
        (_, Matrix::Rgb) => copy_rows::<S>(src, &decoding, [2, 0, 1], part, dst),
        _ => yuv_rows::<S>(src, format, &decoding, part, dst),
    }
}

/// R, G and B each from one plane alone.
#[inline(always)]
fn copy_rows<S: Sample>(
    src: &Planes,
    decoding: &Decoding,
    from: [usize; 3],
    part: &Region,
    dst: &mut PlanarRgb,
) {
    for (out, index) in dst.planes_mut().into_iter().zip(from) {
        for (y, out) in part.y.clone().zip(out.chunks_exact_mut(part.width())) {
            for (out, code) in out.iter_mut().zip(row::<S>(src, index, part.x.start, y)) {
                *out = (code.load() - decoding.luma_offset) * decoding.luma_scale;
            }
        }
    }
}

#[inline(always)]
fn yuv_rows<S: Sample>(
    src: &Planes,
    format: Format,
    decoding: &Decoding,
    part: &Region,
    dst: &mut PlanarRgb,
) {
    let (columns, chroma_rows) = format.subsampling.chroma_size(src.width, src.height);
    let mut chroma = ChromaRows::new(format, columns, &part.x, decoding.chroma_offset);
    let down = Taps::down(format.siting);
    let [r, g, b] = dst
        .planes_mut()
        .map(|plane| plane.chunks_exact_mut(part.width()));
    for (y, ((r, g), b)) in part.y.clone().zip(r.zip(g).zip(b)) {
        let (first, second, weight) = match format.subsampling {
            Subsampling::Yuv420 => down.rows_at(y, chroma_rows),
            _ => (y, y, 0.0),
        };
        chroma.fill::<S>(src, first);
        chroma.fill::<S>(src, second);
        matrix_row(
            decoding,
            row::<S>(src, 0, part.x.start, y),
            &chroma.blend(first, second, weight),
            r,
            g,
            b,
        );
    }
}

/// Two chroma rows at full width; row `k` lies in slot `k % 2`, where its neighbours do not.
struct ChromaRows {
    slots: [Slot; 2],
    /// A row at its own width with a repeated sample at both ends.
    padded: Vec<f32>,
    /// The chroma columns that are read: those over the part and, inside the picture, one more at each side. What comes
    /// out over the outermost ones is right at the picture's edges alone, and not used elsewhere.
    columns: Range<usize>,
    /// Luma columns that the read ones begin before the part.
    ahead: usize,
    offset: f32,
    /// None: chroma has luma's width.
    across: Option<Taps>,
}

struct Slot {
    row: Option<usize>,
    u: Vec<f32>,
    v: Vec<f32>,
}

/// What one luma row needs of chroma: `first` and `second` row of each plane, at the part's width or more.
struct Blend<'a> {
    u: [&'a [f32]; 2],
    v: [&'a [f32]; 2],
    /// Weight of the second row.
    weight: f32,
}

impl ChromaRows {
    /// For the luma columns `part`, where the picture has `columns` of chroma.
    fn new(format: Format, columns: usize, part: &Range<usize>, offset: f32) -> Self {
        let halved = format.subsampling != Subsampling::Yuv444;
        let (columns, width, ahead) = if halved {
            let first = (part.start / 2).saturating_sub(CHROMA_REACH);
            let end = columns.min(part.end.div_ceil(2) + CHROMA_REACH);
            (first..end, 2 * (end - first), part.start - 2 * first)
        } else {
            (part.clone(), part.len(), 0)
        };
        let slot = || Slot {
            row: None,
            u: vec![0.0; width],
            v: vec![0.0; width],
        };
        Self {
            slots: [slot(), slot()],
            padded: vec![0.0; columns.len() + 2],
            columns,
            ahead,
            offset,
            across: halved.then(|| Taps::across(format.siting)),
        }
    }

    #[inline(always)]
    fn fill<S: Sample>(&mut self, src: &Planes, k: usize) {
        let slot = &mut self.slots[k % 2];
        if slot.row == Some(k) {
            return;
        }
        slot.row = Some(k);
        for (index, out) in [(1, &mut slot.u), (2, &mut slot.v)] {
            let codes = row::<S>(src, index, self.columns.start, k);
            let Some(taps) = &self.across else {
                centre(codes, self.offset, out);
                continue;
            };
            let n = self.padded.len() - 2;
            centre(&codes[..n], self.offset, &mut self.padded[1..=n]);
            self.padded[0] = self.padded[1];
            self.padded[n + 1] = self.padded[n];
            double(&self.padded, taps, out);
        }
    }

    #[inline(always)]
    fn blend(&self, first: usize, second: usize, weight: f32) -> Blend<'_> {
        let (first, second) = (&self.slots[first % 2], &self.slots[second % 2]);
        Blend {
            u: [&first.u[self.ahead..], &second.u[self.ahead..]],
            v: [&first.v[self.ahead..], &second.v[self.ahead..]],
            weight,
        }
    }
}

#[inline(always)]
fn matrix_row<S: Sample>(
    decoding: &Decoding,
    luma: &[S],
    chroma: &Blend,
    r: &mut [f32],
    g: &mut [f32],
    b: &mut [f32],
) {
    let n = r.len();
    let (luma, g, b) = (&luma[..n], &mut g[..n], &mut b[..n]);
    let [u0, u1] = chroma.u.map(|row| &row[..n]);
    let [v0, v1] = chroma.v.map(|row| &row[..n]);
    let (w0, w1) = (1.0 - chroma.weight, chroma.weight);
    for x in 0..n {
        let y = (luma[x].load() - decoding.luma_offset) * decoding.luma_scale;
        let u = u0[x] * w0 + u1[x] * w1;
        let v = v0[x] * w0 + v1[x] * w1;
        r[x] = y + v * decoding.r_from_v;
        g[x] = y + u * decoding.g_from_u + v * decoding.g_from_v;
        b[x] = y + u * decoding.b_from_u;
    }
}

/// The samples of plane `index` from column `x` of row `y` on; those of the row come first.
#[inline(always)]
fn row<'a, S: Sample>(src: &Planes<'a>, index: usize, x: usize, y: usize) -> &'a [S] {
    S::row(&src.planes[index][y * src.stride[index] + x * size_of::<S>()..])
}
