//! What a file holds, as far as it is known before its frames are read.

use std::path::PathBuf;

use ffmpeg_sys_the_third as ffi;

use crate::av::Rational;
use crate::pixel_format::PixelFormat;
use crate::tags::ColourTags;

/// A file with one video stream to work on and any number of others to carry along.
#[derive(Debug, Clone)]
pub struct Clip {
    /// The file.
    pub path: PathBuf,
    /// FFmpeg's names of the container format, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// What the container says about the duration of the whole file, in seconds.
    pub duration_secs: Option<f64>,
    /// The video stream to work on.
    pub video: Video,
    /// All streams in file order, the video included.
    pub streams: Vec<Stream>,
    /// Number of chapters.
    pub n_chapters: usize,
}

/// The video stream a [`Clip`] is about; facts of its first decoded frame where the container may be wrong.
#[derive(Debug, Clone)]
pub struct Video {
    /// Index among the file's streams.
    pub index: usize,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Width in pixels, as stored (before rotation and sample aspect ratio).
    pub width: usize,
    /// Height in pixels, as stored.
    pub height: usize,
    /// Layout of the decoded frames.
    pub pixel_format: PixelFormat,
    /// Colour tags of the first frame, unspecified ones included.
    pub tags: ColourTags,
    /// Unit of all its timestamps, in seconds.
    pub time_base: Rational,
    /// Average frame rate, where it is known; a hint, never used to compute timestamps.
    pub frame_rate: Option<Rational>,
    /// Number of frames: exact where the container has an index, else estimated from duration and rate.
    pub n_frames: Option<FrameCount>,
    /// Shape of a pixel, width to height; `None` = unknown or square.
    pub sample_aspect_ratio: Option<Rational>,
    /// Rotation that players apply, in degrees counter-clockwise.
    pub rotation: Option<i32>,
    /// Fields rather than frames.
    pub interlaced: bool,
    /// Dolby Vision configuration, which a new encode cannot keep.
    pub dolby_vision: bool,
}

/// How many frames a stream has, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameCount {
    /// The number.
    pub frames: u64,
    /// Counted by the container's index rather than estimated.
    pub exact: bool,
}

/// One stream of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Index in the file.
    pub index: usize,
    /// What it carries.
    pub kind: StreamKind,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Bytes that its header holds: a whole file where that is attached.
    pub header_bytes: u64,
    pub(crate) codec_id: ffi::AVCodecID,
}

impl Stream {
    /// Whether FFmpeg knows what its packets are; unknown ones cannot be written to any container.
    pub fn is_known(&self) -> bool {
        self.codec_id != ffi::AVCodecID::NONE
    }
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Pictures; cover pictures included.
    Video,
    /// Sound.
    Audio,
    /// Text or picture subtitles.
    Subtitle,
    /// A file, such as a font.
    Attachment,
    /// Anything else: time codes, sensor data.
    Data,
}

impl StreamKind {
    pub(crate) fn of(kind: ffi::AVMediaType) -> Self {
        match kind {
            ffi::AVMediaType::VIDEO => Self::Video,
            ffi::AVMediaType::AUDIO => Self::Audio,
            ffi::AVMediaType::SUBTITLE => Self::Subtitle,
            ffi::AVMediaType::ATTACHMENT => Self::Attachment,
            _ => Self::Data,
        }
    }
}

impl std::fmt::Display for StreamKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Subtitle => "subtitle",
            Self::Attachment => "attachment",
            Self::Data => "data",
        })
    }
}
