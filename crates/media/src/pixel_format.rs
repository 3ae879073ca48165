//! FFmpeg's pixel formats, by name and by what they hold.
#![expect(unsafe_code, reason = "reads FFmpeg's static descriptors")]

use ffmpeg_sys_the_third as ffi;

use crate::av;

/// One of FFmpeg's pixel formats, such as `yuv420p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelFormat(pub(crate) ffi::AVPixelFormat);

impl PixelFormat {
    /// The format called `name`, if this FFmpeg knows it.
    pub fn from_name(name: &str) -> Option<Self> {
        // SAFETY: the string lives through the call.
        let format = unsafe { ffi::av_get_pix_fmt(av::cstr(name).as_ptr()) };
        (format != ffi::AVPixelFormat::NONE).then_some(Self(format))
    }

    /// FFmpeg's name for it.
    pub fn name(self) -> String {
        // SAFETY: returns null or a static string.
        unsafe { av::text(ffi::av_get_pix_fmt_name(self.0)) }.unwrap_or_else(|| "unknown".into())
    }

    fn descriptor(self) -> Option<&'static ffi::AVPixFmtDescriptor> {
        // SAFETY: returns null or a pointer into a static table.
        unsafe { ffi::av_pix_fmt_desc_get(self.0).as_ref() }
    }

    fn has(self, flag: u64) -> bool {
        self.descriptor().is_some_and(|d| d.flags & flag != 0)
    }

    /// Bits per sample of the first component.
    pub fn depth(self) -> u8 {
        self.descriptor().map_or(8, |d| d.comp[0].depth as u8)
    }

    /// log2 of the chroma subsampling, horizontal and vertical: (1, 1) for 4:2:0.
    pub fn chroma_shift(self) -> (u8, u8) {
        self.descriptor()
            .map_or((0, 0), |d| (d.log2_chroma_w, d.log2_chroma_h))
    }

    /// Bytes of the samples of a frame of `width` × `height` pixels, without padding.
    pub fn frame_bytes(self, width: usize, height: usize) -> u64 {
        // SAFETY: plain numbers in, a size or an error code out.
        let bytes =
            unsafe { ffi::av_image_get_buffer_size(self.0, width as i32, height as i32, 1) };
        // What FFmpeg cannot lay out, by its format or its size, counts with the largest samples there are.
        u64::try_from(bytes).unwrap_or_else(|_| 8 * (width as u64).saturating_mul(height as u64))
    }

    /// RGB rather than YUV or grey, palettes included.
    pub fn is_rgb(self) -> bool {
        self.has(ffi::AV_PIX_FMT_FLAG_RGB as u64) || self.has(ffi::AV_PIX_FMT_FLAG_PAL as u64)
    }

    /// One luma or palette plane only.
    pub fn is_grey(self) -> bool {
        self.descriptor().is_some_and(|d| d.nb_components <= 2) && !self.is_rgb()
    }

    /// Carries transparency.
    pub fn has_alpha(self) -> bool {
        self.has(ffi::AV_PIX_FMT_FLAG_ALPHA as u64) || self.has(ffi::AV_PIX_FMT_FLAG_PAL as u64)
    }

    /// One of the deprecated `yuvj*` formats, which mean "full range".
    pub fn is_yuvj(self) -> bool {
        self.name().starts_with("yuvj")
    }

    /// The planar format with the same samples that the colour conversion reads and writes: itself if it is one,
    /// otherwise the nearest that loses nothing but transparency.
    pub fn planar(self) -> Self {
        let depth = match self.depth() {
            0..=8 => 8,
            depth @ (9 | 10 | 12 | 14) => depth,
            11..=12 => 12,
            _ => 16,
        };
        let family = if self.is_rgb() {
            "gbrp"
        } else if self.is_grey() {
            "gray"
        } else {
            match self.chroma_shift() {
                (1, 1) => "yuv420p",
                (1, 0) => "yuv422p",
                // 4:4:0, 4:1:1 and 4:1:0 keep every chroma sample in 4:4:4.
                _ => "yuv444p",
            }
        };
        let name = if depth == 8 {
            family.to_string()
        } else {
            format!("{family}{depth}le")
        };
        Self::from_name(&name).unwrap_or(Self(ffi::AVPixelFormat::YUV444P))
    }

    /// Whether frames of this format can be read plane by plane as those of [`planar`](Self::planar): equal, or
    /// different by the range in the name (`yuvj420p`) or an alpha plane behind (`yuva420p`).
    pub fn reads_as_planar(self) -> bool {
        let (name, planar) = (self.name(), self.planar().name());
        name == planar
            || name.replacen("yuvj", "yuv", 1) == planar
            || name.replacen("yuva", "yuv", 1) == planar
            || name.replacen("gbrap", "gbrp", 1) == planar
    }
}

impl std::fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_counted_as_they_are() {
        let bytes = |name, width, height| {
            PixelFormat::from_name(name)
                .unwrap()
                .frame_bytes(width, height)
        };
        assert_eq!(bytes("yuv420p", 4, 4), 24);
        assert_eq!(bytes("yuv420p", 5, 3), 15 + 2 * 6);
        assert_eq!(bytes("yuv444p10le", 4, 4), 96);
        assert_eq!(bytes("gray", 4, 4), 16);
        assert_eq!(bytes("gbrp", 4, 4), 48);
        // More than FFmpeg lays out.
        assert_eq!(bytes("yuv420p", 61_440, 34_560), 8 * 61_440 * 34_560);
    }

    fn planar_of(name: &str) -> String {
        PixelFormat::from_name(name).unwrap().planar().name()
    }

    #[test]
    fn the_planar_twin_keeps_depth_and_subsampling() {
        for (format, planar) in [
            ("yuv420p", "yuv420p"),
            ("yuvj420p", "yuv420p"),
            ("nv12", "yuv420p"),
            ("p010le", "yuv420p10le"),
            ("yuv422p10be", "yuv422p10le"),
            ("yuv411p", "yuv444p"),
            ("yuva420p", "yuv420p"),
            ("bgra", "gbrp"),
            ("pal8", "gbrp"),
            ("rgb48le", "gbrp16le"),
            ("gray", "gray"),
            ("gray10le", "gray10le"),
            ("yuyv422", "yuv422p"),
        ] {
            assert_eq!(planar_of(format), planar, "{format}");
        }
    }

    #[test]
    fn only_equal_layouts_are_read_without_conversion() {
        let reads = |name| PixelFormat::from_name(name).unwrap().reads_as_planar();
        assert!(reads("yuv420p") && reads("yuvj444p") && reads("yuva420p") && reads("gbrp10le"));
        assert!(!reads("nv12") && !reads("bgra") && !reads("yuv420p10be") && !reads("yuv411p"));
    }
}
