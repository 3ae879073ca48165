//! Colour: planar YUV (or GBR) codes to planar RGB f32 and back, in float arithmetic at the true chroma siting.
//!
//! ```text
//! to_rgb:    codes ─▶ chroma to full width ─▶ blend two chroma rows ─▶ matrix ─▶ R, G, B
//! from_rgb:  R, G, B ─▶ clamp 0..=1 ─▶ matrix ─▶ luma codes
//!                                        └─▶ chroma to half width ─▶ blend four rows ─▶ chroma codes
//! ```
//!
//! Invariant: the result depends on the arguments alone, not on the machine. Every instruction set runs the same source
//! without fused multiply-add, so all of them give the same bits.
//!
//! Odd sizes: a 4:2:0 chroma plane has ⌈w/2⌉ × ⌈h/2⌉ samples and sample `k` stays at luma position `2k` plus the siting's
//! offset; the samples are not spread over the odd size. Beyond an edge the last sample repeats.

mod chroma;
mod from_rgb;
mod isa;
mod levels;
mod sample;
mod to_rgb;

use crate::{PlanarRgb, Region};
use from_rgb::Source;
use isa::Isa;

/// How far subsampled chroma carries beyond the 2 pixels across (and, in 4:2:0, down) that a sample is over: 1 pixel at
/// each side, at every siting and in both directions.
///
/// [`from_rgb`] makes a sample of these pixels and of no others; [`to_rgb`] lets a sample touch these and no others. So
/// a part whose edges are even needs 1 pixel more around it to be written, and where samples have changed, RGB differs
/// in their pixels and at most 1 beyond.
pub const CHROMA_REACH: usize = 1;

/// The equations between R′G′B′ and Y′CbCr: `MatrixCoefficients` of ITU-T H.273, table 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// Identity (value 0): the planes are G, B, R as in FFmpeg's `gbrp`, all three with luma levels; 4:4:4 only.
    Rgb,
    /// ITU-R BT.709 (value 1).
    Bt709,
    /// United States FCC 73.682 (value 4).
    Fcc,
    /// ITU-R BT.601, 625 and 525 lines (values 5 and 6: `bt470bg`, `smpte170m`).
    Bt601,
    /// SMPTE ST 240 (value 7).
    Smpte240m,
    /// ITU-R BT.2020 with non-constant luminance (value 9).
    Bt2020Ncl,
}

impl Matrix {
    /// The luma coefficients (`KR`, `KB`) of H.273, table 4; none for [`Rgb`](Self::Rgb).
    pub const fn luma_coefficients(self) -> Option<(f64, f64)> {
        match self {
            Self::Rgb => None,
            Self::Bt709 => Some((0.2126, 0.0722)),
            Self::Fcc => Some((0.30, 0.11)),
            Self::Bt601 => Some((0.299, 0.114)),
            Self::Smpte240m => Some((0.212, 0.087)),
            Self::Bt2020Ncl => Some((0.2627, 0.0593)),
        }
    }
}

/// Which codes stand for black and white: `VideoFullRangeFlag` of ITU-T H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16..=235, chroma 16..=240 at 8 bits (FFmpeg's `tv`).
    Limited,
    /// Luma 0..=255, chroma 0..=255 around 128 at 8 bits (FFmpeg's `pc`).
    Full,
}

/// Where a chroma sample stands across the two luma samples it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Horizontal {
    /// On the left luma sample.
    Left,
    /// Midway between the two.
    Centre,
}

/// Where a chroma sample stands down the two luma rows it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vertical {
    /// On the upper luma row.
    Top,
    /// Midway between the two.
    Centre,
    /// On the lower luma row.
    Bottom,
}

/// Chroma sample position: `ChromaSampleLocType` of ITU-T H.273, `AVChromaLocation` in FFmpeg.
///
/// A direction that is not subsampled ignores its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Siting {
    /// Position across; matters for 4:2:0 and 4:2:2.
    pub horizontal: Horizontal,
    /// Position down; matters for 4:2:0.
    pub vertical: Vertical,
}

impl Siting {
    /// MPEG-2, H.264 and HEVC unless tagged otherwise (type 0).
    pub const LEFT: Self = Self::new(Horizontal::Left, Vertical::Centre);
    /// JPEG and MPEG-1 (type 1).
    pub const CENTRE: Self = Self::new(Horizontal::Centre, Vertical::Centre);
    /// Common for BT.2020 video (type 2).
    pub const TOP_LEFT: Self = Self::new(Horizontal::Left, Vertical::Top);
    /// Type 3.
    pub const TOP: Self = Self::new(Horizontal::Centre, Vertical::Top);
    /// Type 4.
    pub const BOTTOM_LEFT: Self = Self::new(Horizontal::Left, Vertical::Bottom);
    /// Type 5.
    pub const BOTTOM: Self = Self::new(Horizontal::Centre, Vertical::Bottom);

    const fn new(horizontal: Horizontal, vertical: Vertical) -> Self {
        Self {
            horizontal,
            vertical,
        }
    }
}

/// How many chroma samples there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subsampling {
    /// 4:2:0, half the columns and half the rows.
    Yuv420,
    /// 4:2:2, half the columns.
    Yuv422,
    /// 4:4:4, all of them.
    Yuv444,
    /// Luma only; planes 1 and 2 are not looked at.
    Gray,
}

impl Subsampling {
    /// Columns and rows of a chroma plane beside `width` × `height` luma samples; halves are rounded up.
    pub const fn chroma_size(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::Yuv420 => (width.div_ceil(2), height.div_ceil(2)),
            Self::Yuv422 => (width.div_ceil(2), height),
            Self::Yuv444 => (width, height),
            Self::Gray => (0, 0),
        }
    }
}

/// What the samples of a picture mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// Number of chroma samples.
    pub subsampling: Subsampling,
    /// Bits per sample. 8: bytes. 9 to 16: little-endian `u16` with the value in the low bits (`yuv420p10le`).
    /// [`FLOAT`](Self::FLOAT): little-endian `f32`, luma 0..=1, chroma −0.5..=0.5, no quantisation, any `range`.
    pub depth: u8,
    /// Equations; [`Matrix::Rgb`] with [`Subsampling::Gray`] weighs luma as BT.709 does.
    pub matrix: Matrix,
    /// Levels.
    pub range: Range,
    /// Chroma sample position.
    pub siting: Siting,
}

impl Format {
    /// The `depth` of unquantised samples.
    pub const FLOAT: u8 = 32;

    /// Bytes of one sample: 1, 2 or 4.
    pub const fn sample_bytes(self) -> usize {
        match self.depth {
            8 => 1,
            Self::FLOAT => 4,
            _ => 2,
        }
    }

    /// Panics on a format that has no meaning.
    fn check(self) {
        assert!(
            matches!(self.depth, 8..=16 | Self::FLOAT),
            "a depth of {} bits",
            self.depth
        );
        let subsampled = matches!(self.subsampling, Subsampling::Yuv420 | Subsampling::Yuv422);
        assert!(
            !(subsampled && self.matrix == Matrix::Rgb),
            "subsampled RGB"
        );
    }

    /// Columns and rows of plane `index`.
    const fn plane_size(self, index: usize, width: usize, height: usize) -> (usize, usize) {
        if index == 0 {
            (width, height)
        } else {
            self.subsampling.chroma_size(width, height)
        }
    }
}

/// A picture to read: Y, U, V (or G, B, R) planes.
#[derive(Debug, Clone, Copy)]
pub struct Planes<'a> {
    /// Luma columns.
    pub width: usize,
    /// Luma rows.
    pub height: usize,
    /// The bytes of each plane, at least `stride * (rows - 1)` and one row's samples.
    pub planes: [&'a [u8]; 3],
    /// Bytes from one row to the next.
    pub stride: [usize; 3],
}

/// A picture to write: Y, U, V (or G, B, R) planes. Bytes between the rows are left alone.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Luma columns.
    pub width: usize,
    /// Luma rows.
    pub height: usize,
    /// The bytes of each plane, at least `stride * (rows - 1)` and one row's samples.
    pub planes: [&'a mut [u8]; 3],
    /// Bytes from one row to the next.
    pub stride: [usize; 3],
}

/// Converts `src` to RGB and resizes `dst` to it.
///
/// Chroma is interpolated bilinearly. Nothing is clamped: codes outside the nominal range and YUV colours outside the
/// RGB cube give values outside 0..=1. Chroma at its zero gives R, G and B with the same bits.
///
/// # Panics
/// If a plane is too short for its size and stride, if the depth is neither 8..=16 nor [`Format::FLOAT`], or if
/// [`Matrix::Rgb`] comes with subsampled chroma.
pub fn to_rgb(src: &Planes, format: &Format, dst: &mut PlanarRgb) {
    to_rgb_part(src, format, &Region::whole(src.width, src.height), dst);
}

/// Converts `part` of `src` to RGB, with the bits that [`to_rgb`] gives there, and resizes `dst` to the part.
///
/// # Panics
/// As [`to_rgb`], and if `part` is not inside the picture.
pub fn to_rgb_part(src: &Planes, format: &Format, part: &Region, dst: &mut PlanarRgb) {
    to_rgb_on(Isa::best(), src, *format, part, dst);
}

fn to_rgb_on(isa: Isa, src: &Planes, format: Format, part: &Region, dst: &mut PlanarRgb) {
    format.check();
    check_planes(
        format,
        (src.width, src.height),
        src.planes.map(<[u8]>::len),
        src.stride,
    );
    dst.resize(part.width(), part.height());
    if src.width == 0 || src.height == 0 {
        return;
    }
    check_inside(part, src.width, src.height);
    match format.sample_bytes() {
        1 => to_rgb::frame::<[u8; 1]>(isa, src, format, part, dst),
        2 => to_rgb::frame::<[u8; 2]>(isa, src, format, part, dst),
        _ => to_rgb::frame::<[u8; 4]>(isa, src, format, part, dst),
    }
}

/// Converts `src` to the codes of `format`, rounded to the nearest.
///
/// RGB is clamped to 0..=1 first, since networks overshoot; NaN counts as 0. Chroma is filtered with the triangle of
/// bilinear interpolation widened to the coarser grid: ¼ ½ ¼ where a chroma sample stands on a luma sample, ⅛ ⅜ ⅜ ⅛
/// where it stands between two.
///
/// # Panics
/// As [`to_rgb`], and if the sizes of `src` and `dst` differ.
pub fn from_rgb(src: &PlanarRgb, format: &Format, dst: &mut PlanesMut) {
    let whole = Region::whole(dst.width, dst.height);
    from_rgb_part(src, &whole, format, &whole, dst);
}

/// Writes the region `want` of `dst`, with the bits that [`from_rgb`] would give there, and nothing else of it.
///
/// `src` holds the picture's values for the region `have` only, which reaches at least [`CHROMA_REACH`] pixels beyond
/// `want` where the picture goes on. The edges of `want` are even or at the picture's edge, so that its chroma samples
/// are over no other pixels.
///
/// # Panics
/// As [`to_rgb`], and if `src` has not the size of `have` or the regions are not as described.
pub fn from_rgb_part(
    src: &PlanarRgb,
    have: &Region,
    format: &Format,
    want: &Region,
    dst: &mut PlanesMut,
) {
    from_rgb_on(Isa::best(), &Source { rgb: src, have }, *format, want, dst);
}

fn from_rgb_on(isa: Isa, src: &Source, format: Format, want: &Region, dst: &mut PlanesMut) {
    format.check();
    assert_eq!(
        (src.rgb.width(), src.rgb.height()),
        (src.have.width(), src.have.height()),
        "the pictures differ in size"
    );
    let lengths = dst.planes.each_ref().map(|plane| plane.len());
    let (width, height) = (dst.width, dst.height);
    check_planes(format, (width, height), lengths, dst.stride);
    if width == 0 || height == 0 {
        return;
    }
    check_inside(src.have, width, height);
    check_inside(want, width, height);
    assert_eq!(
        *want,
        want.aligned(2, width, height),
        "edges within chroma samples"
    );
    assert!(
        src.have.contains(&want.grown(CHROMA_REACH, width, height)),
        "{:?} is not enough for {want:?}",
        src.have
    );
    match format.sample_bytes() {
        1 => from_rgb::frame::<[u8; 1]>(isa, src, format, want, dst),
        2 => from_rgb::frame::<[u8; 2]>(isa, src, format, want, dst),
        _ => from_rgb::frame::<[u8; 4]>(isa, src, format, want, dst),
    }
}

fn check_inside(region: &Region, width: usize, height: usize) {
    assert!(
        region.is_inside(width, height),
        "{region:?} is not inside {width} x {height} pixels"
    );
}

fn check_planes(
    format: Format,
    (width, height): (usize, usize),
    lengths: [usize; 3],
    strides: [usize; 3],
) {
    for (index, (length, stride)) in lengths.into_iter().zip(strides).enumerate() {
        let (columns, rows) = format.plane_size(index, width, height);
        if columns == 0 || rows == 0 {
            continue;
        }
        let row_bytes = columns * format.sample_bytes();
        assert!(
            stride >= row_bytes,
            "plane {index}: a stride of {stride} bytes for rows of {row_bytes}"
        );
        let needed = stride * (rows - 1) + row_bytes;
        assert!(
            length >= needed,
            "plane {index}: {length} bytes where {needed} are needed"
        );
    }
}

#[cfg(test)]
mod tests;
