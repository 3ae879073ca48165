//! What the run and its decoding process say to each other: one request, lines of JSON on standard output, and for the
//! frames a file in the folder.

use serde::{Deserialize, Serialize};

use crate::dataset::config::{DedupConfig, Every, FilterConfig, PictureFormat, SandboxMode};
use crate::dataset::trouble::Trouble;

/// The file in the folder of pictures in which the worker leaves a [`crate::dataset::record::Extracted`].
pub(super) const RESULT_FILE: &str = "extracted.json";

/// What the worker is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub sandbox: SandboxMode,
    pub task: Task,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    /// Whether the file is a whole video; says [`Line::Verified`].
    Verify,
    /// Pictures and measures.
    Extract(Extract),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extract {
    pub video_id: String,
    pub every: Every,
    pub max_frames: Option<u64>,
    pub format: PictureFormat,
    pub quality: u8,
    pub keep_damaged: bool,
    pub mirrored: bool,
    pub threads: usize,
    pub write: Write,
}

/// Which frames get a picture; all get a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// All of them.
    All,
    /// Those that keep the bounds of quality, and that no earlier frame of the video stands for.
    Survivors {
        /// The bounds.
        filter: Box<FilterConfig>,
        /// What counts as the same; none where that is not to be decided here, because models drop frames before.
        dedup: Option<Box<DedupConfig>>,
    },
}

/// What the worker says while it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// It goes on.
    Progress(Said),
    /// What of the fence the system does not have.
    Unfenced(String),
    /// The video has trouble; the last line.
    Trouble(Trouble),
    /// The file is a video; the last line.
    Verified(Verified),
}

/// How far it says that it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    /// Steps of its work, such as packets read.
    pub steps: u64,
    /// Frames looked at.
    pub frames: u64,
    /// Pictures written.
    pub pictures: u64,
}

impl Said {
    /// Whether more is done than before, and nothing undone.
    pub(super) fn goes_on_from(self, before: Self) -> bool {
        self.steps > before.steps
            && self.frames >= before.frames
            && self.pictures >= before.pictures
    }
}

/// What is known of a file that was read to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Width in pixels, as stored.
    pub width: usize,
    /// Height in pixels, as stored.
    pub height: usize,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// What the container says about the duration, in seconds.
    pub duration_secs: Option<f64>,
    /// Where the last packet ends, in seconds; what a page announces is compared with this.
    pub read_until_secs: f64,
    /// Packets of the video.
    pub video_packets: u64,
    /// Damage in its first and last seconds.
    pub notes: Vec<String>,
}
