//! Numbers of a format: codes of black, white and zero chroma, and the matrix scaled to codes.
//!
//! Source: ITU-T H.273, the semantics of `MatrixCoefficients` (the matrix from `KR` and `KB`, the levels of both ranges).

use super::{Format, Matrix, Range};

/// `code = value * scale + offset`.
#[derive(Debug, Clone, Copy)]
struct Level {
    scale: f64,
    offset: f64,
}

fn luma(format: Format) -> Level {
    match format.range {
        _ if format.depth == Format::FLOAT => Level {
            scale: 1.0,
            offset: 0.0,
        },
        Range::Limited => Level {
            scale: 219.0 * steps(format),
            offset: 16.0 * steps(format),
        },
        Range::Full => Level {
            scale: max_code(format),
            offset: 0.0,
        },
    }
}

fn chroma(format: Format) -> Level {
    match format.range {
        _ if format.depth == Format::FLOAT => Level {
            scale: 1.0,
            offset: 0.0,
        },
        Range::Limited => Level {
            scale: 224.0 * steps(format),
            offset: 128.0 * steps(format),
        },
        Range::Full => Level {
            scale: max_code(format),
            offset: 128.0 * steps(format),
        },
    }
}

/// Codes per code of 8 bits.
fn steps(format: Format) -> f64 {
    f64::from(1_u32 << (format.depth - 8))
}

fn max_code(format: Format) -> f64 {
    256.0 * steps(format) - 1.0
}

fn luma_coefficients(format: Format) -> (f64, f64) {
    let matrix = if format.matrix == Matrix::Rgb {
        Matrix::Bt709
    } else {
        format.matrix
    };
    matrix.luma_coefficients().expect("only Rgb has none")
}

/// From codes to RGB: `value = (luma code - luma_offset) * luma_scale`, then chroma codes less `chroma_offset` times
/// the four entries of the matrix, which hold the chroma scale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoding {
    pub(super) luma_offset: f32,
    pub(super) luma_scale: f32,
    pub(super) chroma_offset: f32,
    pub(super) r_from_v: f32,
    pub(super) g_from_u: f32,
    pub(super) g_from_v: f32,
    pub(super) b_from_u: f32,
}

impl Decoding {
    pub(super) fn new(format: Format) -> Self {
        let (luma, chroma) = (luma(format), chroma(format));
        let (kr, kb) = luma_coefficients(format);
        let kg = 1.0 - kr - kb;
        Self {
            luma_offset: luma.offset as f32,
            luma_scale: (1.0 / luma.scale) as f32,
            chroma_offset: chroma.offset as f32,
            r_from_v: (2.0 * (1.0 - kr) / chroma.scale) as f32,
            g_from_u: (-2.0 * (1.0 - kb) * kb / kg / chroma.scale) as f32,
            g_from_v: (-2.0 * (1.0 - kr) * kr / kg / chroma.scale) as f32,
            b_from_u: (2.0 * (1.0 - kb) / chroma.scale) as f32,
        }
    }
}

/// From RGB to codes. Luma is `G + kr (R - G) + kb (B - G)`, which leaves grey exactly grey; chroma is `(B - Y) * u_scale`
/// and `(R - Y) * v_scale`, in codes around `chroma_offset`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoding {
    pub(super) kr: f32,
    pub(super) kb: f32,
    pub(super) luma_scale: f32,
    pub(super) luma_offset: f32,
    pub(super) u_scale: f32,
    pub(super) v_scale: f32,
    pub(super) chroma_offset: f32,
    /// The highest code. Full-range chroma of +0.5 lies half a code above it.
    pub(super) max: f32,
}

impl Encoding {
    pub(super) fn new(format: Format) -> Self {
        let (luma, chroma) = (luma(format), chroma(format));
        let (kr, kb) = luma_coefficients(format);
        Self {
            kr: kr as f32,
            kb: kb as f32,
            luma_scale: luma.scale as f32,
            luma_offset: luma.offset as f32,
            u_scale: (chroma.scale / (2.0 * (1.0 - kb))) as f32,
            v_scale: (chroma.scale / (2.0 * (1.0 - kr))) as f32,
            chroma_offset: chroma.offset as f32,
            max: if format.depth == Format::FLOAT {
                f32::INFINITY
            } else {
                max_code(format) as f32
            },
        }
    }
}
