//! Pictures as files hold them and as detectors take them: interleaved 8-bit RGB.

/// A picture of interleaved 8-bit RGB, non-linear as in the video; rows follow each other without a gap (stride
/// `3 * width` bytes).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub data: Vec<u8>,
}
