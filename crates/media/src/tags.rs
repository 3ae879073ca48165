//! Colour tags: what a frame says about its matrix, range and chroma siting, and what is assumed where it says nothing.
#![expect(unsafe_code, reason = "reads FFmpeg's names of enum values")]

use ffmpeg_sys_the_third as ffi;

use crate::av;
use crate::colour::{Format, Matrix, Range, Siting, Subsampling};
use crate::frame::Frame;
use crate::pixel_format::PixelFormat;

/// Matrix, primaries, transfer, range and chroma location, as FFmpeg (and ITU-T H.273) number them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColourTags {
    pub(crate) space: ffi::AVColorSpace,
    pub(crate) primaries: ffi::AVColorPrimaries,
    pub(crate) transfer: ffi::AVColorTransferCharacteristic,
    pub(crate) range: ffi::AVColorRange,
    pub(crate) location: ffi::AVChromaLocation,
}

impl ColourTags {
    /// The tags of a decoded frame, unspecified ones included.
    pub fn of(frame: &Frame) -> Self {
        let raw = frame.raw();
        Self {
            space: raw.colorspace,
            primaries: raw.color_primaries,
            transfer: raw.color_trc,
            range: raw.color_range,
            location: raw.chroma_location,
        }
    }

    /// Tags a frame.
    pub(crate) fn put_on(self, frame: &mut Frame) {
        let raw = frame.raw_mut();
        raw.colorspace = self.space;
        raw.color_primaries = self.primaries;
        raw.color_trc = self.transfer;
        raw.color_range = self.range;
        raw.chroma_location = self.location;
    }

    /// Fills in what is unspecified for a picture of this size and format, and says what was assumed.
    ///
    /// Matrix: BT.709 above 576 lines or from 1280 px on, else BT.601 – what players do. Range: full for `yuvj*` and
    /// RGB, else limited. Siting: left, as MPEG-2 and H.264 default to.
    pub fn complete(
        mut self,
        format: PixelFormat,
        width: usize,
        height: usize,
    ) -> (Self, Vec<String>) {
        let mut assumed = Vec::new();
        let hd = height > 576 || width >= 1280;
        if format.is_rgb() {
            self.space = ffi::AVColorSpace::RGB;
            self.range = ffi::AVColorRange::JPEG;
        }
        // RGB on subsampled planes is a wrong tag, seen in the wild: the equations are then unknown.
        let mistagged = self.space == ffi::AVColorSpace::RGB && !format.is_rgb();
        if self.space == ffi::AVColorSpace::UNSPECIFIED || mistagged {
            self.space = if hd {
                ffi::AVColorSpace::BT709
            } else {
                ffi::AVColorSpace::SMPTE170M
            };
            assumed.push(format!(
                "matrix {} (not tagged; by size)",
                self.space_name()
            ));
        }
        if self.range == ffi::AVColorRange::UNSPECIFIED {
            self.range = if format.is_yuvj() {
                ffi::AVColorRange::JPEG
            } else {
                ffi::AVColorRange::MPEG
            };
            if !format.is_yuvj() {
                assumed.push("range limited (not tagged)".into());
            }
        }
        if self.location == ffi::AVChromaLocation::UNSPECIFIED && format.chroma_shift() != (0, 0) {
            self.location = ffi::AVChromaLocation::LEFT;
            assumed.push("chroma location left (not tagged)".into());
        }
        (self, assumed)
    }

    /// The tags the output carries: these, with the matrix of YUV where the source was RGB and the output is not.
    pub fn for_output(mut self, format: PixelFormat, width: usize, height: usize) -> Self {
        if self.space == ffi::AVColorSpace::RGB && !format.is_rgb() {
            self.space = ffi::AVColorSpace::UNSPECIFIED;
            self.range = ffi::AVColorRange::MPEG;
            (self, _) = self.complete(format, width, height);
        }
        if format.chroma_shift() == (0, 0) {
            self.location = ffi::AVChromaLocation::UNSPECIFIED;
        } else if self.location == ffi::AVChromaLocation::UNSPECIFIED {
            self.location = ffi::AVChromaLocation::LEFT;
        }
        self
    }

    /// How the colour conversion reads or writes `format` with these (complete) tags. `None` for a matrix that is not
    /// a plain 3×3 one of YUV (`YCgCo`, `ICtCp`, constant luminance).
    pub fn conversion(self, format: PixelFormat) -> Option<Format> {
        let planar = format.planar();
        let subsampling = match (planar.is_grey(), planar.chroma_shift()) {
            (true, _) => Subsampling::Gray,
            (false, (1, 1)) => Subsampling::Yuv420,
            (false, (1, 0)) => Subsampling::Yuv422,
            _ => Subsampling::Yuv444,
        };
        Some(Format {
            subsampling,
            depth: planar.depth(),
            matrix: self.matrix()?,
            range: if self.range == ffi::AVColorRange::JPEG {
                Range::Full
            } else {
                Range::Limited
            },
            siting: self.siting(),
        })
    }

    fn matrix(self) -> Option<Matrix> {
        Some(match self.space {
            ffi::AVColorSpace::RGB => Matrix::Rgb,
            ffi::AVColorSpace::BT709 => Matrix::Bt709,
            ffi::AVColorSpace::SMPTE170M | ffi::AVColorSpace::BT470BG => Matrix::Bt601,
            ffi::AVColorSpace::BT2020_NCL => Matrix::Bt2020Ncl,
            ffi::AVColorSpace::FCC => Matrix::Fcc,
            ffi::AVColorSpace::SMPTE240M => Matrix::Smpte240m,
            _ => return None,
        })
    }

    fn siting(self) -> Siting {
        match self.location {
            ffi::AVChromaLocation::CENTER => Siting::CENTRE,
            ffi::AVChromaLocation::TOPLEFT => Siting::TOP_LEFT,
            ffi::AVChromaLocation::TOP => Siting::TOP,
            ffi::AVChromaLocation::BOTTOMLEFT => Siting::BOTTOM_LEFT,
            ffi::AVChromaLocation::BOTTOM => Siting::BOTTOM,
            _ => Siting::LEFT,
        }
    }

    /// FFmpeg's name of the matrix.
    pub fn space_name(self) -> String {
        // SAFETY: returns null or a static string, as do the four below.
        unsafe { av::text(ffi::av_color_space_name(self.space)) }.unwrap_or_default()
    }

    /// Whether the tag says that the samples use all values.
    pub(crate) fn is_full_range(self) -> bool {
        self.range == ffi::AVColorRange::JPEG
    }

    /// FFmpeg's name of the range: `tv` (limited) or `pc` (full).
    pub fn range_name(self) -> String {
        // SAFETY: see `space_name`.
        unsafe { av::text(ffi::av_color_range_name(self.range)) }.unwrap_or_default()
    }

    /// FFmpeg's name of the primaries.
    pub fn primaries_name(self) -> String {
        // SAFETY: see `space_name`.
        unsafe { av::text(ffi::av_color_primaries_name(self.primaries)) }.unwrap_or_default()
    }

    /// FFmpeg's name of the transfer curve.
    pub fn transfer_name(self) -> String {
        // SAFETY: see `space_name`.
        unsafe { av::text(ffi::av_color_transfer_name(self.transfer)) }.unwrap_or_default()
    }

    /// FFmpeg's name of the chroma sample location.
    pub fn location_name(self) -> String {
        // SAFETY: see `space_name`.
        unsafe { av::text(ffi::av_chroma_location_name(self.location)) }.unwrap_or_default()
    }

    /// PQ or HLG: values that an SDR-trained network was not made for.
    pub fn is_hdr(self) -> bool {
        matches!(
            self.transfer,
            ffi::AVColorTransferCharacteristic::SMPTE2084
                | ffi::AVColorTransferCharacteristic::ARIB_STD_B67
        )
    }
}
