//! Cubic resize of a shuffled picture to fewer pixels: Keys' kernel with half-pixel centres, borders repeated.
//!
//! As ONNX's `Resize` (opset 11 on) defines it for `mode = cubic`, `coordinate_transformation_mode =
//! pytorch_half_pixel`, without antialiasing: result pixel `o` lies at `(o + ½) / factor - ½` and takes four pixels,
//! weighted as in Keys, *Cubic Convolution Interpolation for Digital Image Processing*, 1981.

use super::network::Resize;

/// Pixels that a tap may lie before or behind a pixel's part of the shuffled picture.
pub(super) const OVERHANG: usize = 2;

/// The four taps of one of the result pixels that an input pixel becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Taps {
    /// The first one, counted from the first shuffled pixel of the input pixel; at least -1.
    pub(super) first: isize,
    pub(super) weights: [f32; 4],
}

/// The taps of the result pixels of an input pixel, the same for all input pixels and both axes.
pub(super) fn taps(shuffle: usize, resize: Resize) -> Vec<Taps> {
    let taps = |o: usize| {
        let at = (o as f64 + 0.5) * shuffle as f64 / resize.scale as f64 - 0.5;
        let t = at - at.floor();
        let weights = [t + 1.0, t, 1.0 - t, 2.0 - t]
            .map(|distance| keys(distance, f64::from(resize.a)) as f32);
        Taps {
            first: at.floor() as isize - 1,
            weights,
        }
    };
    (0..resize.scale).map(taps).collect()
}

/// Keys' kernel at a distance of 0 to 2.
fn keys(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    }
}

/// A row between four rows: `result[i] = Σ weights[k] · rows[k][i]`.
pub(super) fn resize_column(rows: [&[f32]; 4], weights: [f32; 4], result: &mut [f32]) {
    let rows = rows.map(|row| &row[..result.len()]);
    for (i, result) in result.iter_mut().enumerate() {
        *result = weights[0] * rows[0][i]
            + weights[1] * rows[1][i]
            + weights[2] * rows[2][i]
            + weights[3] * rows[3][i];
    }
}

/// The results of a row of shuffled pixels, `shuffle` of them for every `taps.len()` results.
///
/// `row` has [`OVERHANG`] more pixels before the first and behind the last one.
pub(super) fn resize_row(row: &[f32], shuffle: usize, taps: &[Taps], results: &mut [f32]) {
    for (pixel, results) in results.chunks_exact_mut(taps.len()).enumerate() {
        for (result, taps) in results.iter_mut().zip(taps) {
            let first = (pixel * shuffle + OVERHANG).wrapping_add_signed(taps.first);
            let row = &row[first..first + 4];
            let w = taps.weights;
            *result = w[0] * row[0] + w[1] * row[1] + w[2] * row[2] + w[3] * row[3];
        }
    }
}
