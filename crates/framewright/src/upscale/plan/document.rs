//! What the plan says of the files: the clip that is read and the film that is written.

use std::path::PathBuf;

use framewright_media::{Clip, ColourTags};
use serde::Serialize;

use crate::visible;

/// The clip, as far as decisions rest on it.
#[derive(Debug, Clone, Serialize)]
pub struct Input {
    /// The file.
    #[serde(serialize_with = "visible::lossy")]
    pub path: PathBuf,
    /// FFmpeg's names of its container.
    pub container: String,
    /// FFmpeg's name of its video codec.
    pub codec: String,
    /// Size in pixels, as stored.
    pub width: usize,
    /// Size in pixels, as stored.
    pub height: usize,
    /// FFmpeg's name of its pixel format.
    pub pix_fmt: String,
    /// Unit of its timestamps.
    pub time_base: String,
    /// Average rate, where known.
    pub frame_rate: Option<String>,
    /// Frames, counted by the container's index or estimated.
    pub frames: Option<u64>,
    /// Whether `frames` is exact.
    pub frames_exact: bool,
    /// Duration of the file in seconds.
    pub duration_secs: Option<f64>,
    /// Shape of a pixel.
    pub sample_aspect_ratio: Option<String>,
    /// Rotation that players apply, in degrees counter-clockwise; carried over, not applied.
    pub rotation: Option<i32>,
    /// The colour tags it was read with.
    pub colour: Colour,
}

/// The file to write.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    /// Its final name.
    #[serde(serialize_with = "visible::lossy")]
    pub path: PathBuf,
    /// FFmpeg's name of its container.
    pub container: String,
    /// FFmpeg's name of the encoder.
    pub encoder: &'static str,
    /// Quality; none for a lossless encoder.
    pub crf: Option<u8>,
    /// Preset; none for the encoder's own default.
    pub preset: Option<String>,
    /// FFmpeg's name of the pixel format.
    pub pix_fmt: String,
    /// The colour tags it is written with.
    pub colour: Colour,
}

/// Colour tags by FFmpeg's names.
#[derive(Debug, Clone, Serialize)]
pub struct Colour {
    /// The equations between YUV and RGB.
    pub matrix: String,
    /// `tv` (limited) or `pc` (full).
    pub range: String,
    /// The colours of R, G and B.
    pub primaries: String,
    /// The transfer curve.
    pub transfer: String,
    /// Where chroma samples stand.
    pub chroma_location: String,
}

impl From<ColourTags> for Colour {
    fn from(tags: ColourTags) -> Self {
        Self {
            matrix: tags.space_name(),
            range: tags.range_name(),
            primaries: tags.primaries_name(),
            transfer: tags.transfer_name(),
            chroma_location: tags.location_name(),
        }
    }
}

/// The clip in the plan's words. `tags`: those it is read with, none unknown.
pub(super) fn describe_input(clip: &Clip, tags: ColourTags) -> Input {
    let video = &clip.video;
    Input {
        path: clip.path.clone(),
        container: clip.container.clone(),
        codec: video.codec.clone(),
        width: video.width,
        height: video.height,
        pix_fmt: video.pixel_format.name(),
        time_base: video.time_base.to_string(),
        frame_rate: video.frame_rate.map(|rate| rate.to_string()),
        frames: video.n_frames.map(|count| count.frames),
        frames_exact: video.n_frames.is_some_and(|count| count.exact),
        duration_secs: clip.duration_secs,
        sample_aspect_ratio: video.sample_aspect_ratio.map(|ratio| ratio.to_string()),
        rotation: video.rotation,
        colour: tags.into(),
    }
}
