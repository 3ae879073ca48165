//! What is known of a video and of every frame that was looked at.
//!
//! Invariant: these types are the content of the files under `state/videos/`; the registry and all exports are made from
//! them and from nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use framewright_hash::Hash256;
use serde::{Deserialize, Serialize};

pub use super::video_id::VideoId;

/// One video to work on, before anything of it was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Video {
    /// Our own name for it: 16 hexadecimal digits of the SHA-256 of what it is found by. Never a name of the server's.
    pub video_id: VideoId,
    /// Its place in the inputs.
    pub order: Order,
    /// What the user gave: the line of the list, or the path that a folder or pattern gave.
    pub source: String,
    /// Where it is found.
    pub location: Location,
}

/// Place in the inputs: the number of the line, then of the entry (of a folder, a pattern, a playlist) within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Order {
    /// Number of the input, from 0.
    pub line: u32,
    /// Number of the entry within it, from 0.
    pub entry: u32,
}

/// Where a video is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// A file of this machine, absolute; read where it is.
    File(PathBuf),
    /// An address whose answer is the video itself.
    Http(String),
    /// A page that yt-dlp knows how to get a video from.
    Page(String),
}

/// What the download stage learned: a verified file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Downloaded {
    /// The file: absolute for local files, else relative to the video's folder.
    pub file: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its content, lowercase hexadecimal.
    pub sha256: String,
    /// Title, where the source has one.
    pub title: Option<String>,
    /// yt-dlp's name of the site, `http` or `file`.
    pub extractor: String,
    /// Licence, where the source states one.
    pub licence: Option<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// What the extract stage learned: the film and every frame that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extracted {
    /// Width and height in pixels of its pictures, upright.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Duration as the container says, in seconds.
    pub duration_secs: Option<f64>,
    /// Frames in the video as far as they were counted.
    pub video_frames: u64,
    /// Every frame that was looked at, by rising timestamp.
    pub frames: Vec<Frame>,
    /// Damage and guesses: what the user should know.
    pub notes: Vec<String>,
}

/// One frame that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// `<video_id>_<frame_index, 8 digits>`; the name of its picture, without dots.
    pub image_id: String,
    /// Number of the frame in the video in the order of presentation, from 0.
    pub frame_index: u64,
    /// Timestamp in seconds from the first frame of the video.
    pub pts_secs: f64,
    /// Whether the decoder marked it as a key frame.
    pub keyframe: bool,
    /// How it looks.
    pub scores: Scores,
    /// Hash of the low frequencies.
    #[serde(with = "hex")]
    pub dct: Hash256,
    /// Hash of the gradients.
    #[serde(with = "hex")]
    pub dhash: Hash256,
    /// Hashes of the mirrored picture, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrored: Option<Mirrored>,
    /// The picture's file name in the video's `frames` folder; none where it was not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// SHA-256 of the picture's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Hashes of a picture turned left to right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mirrored {
    /// As [`Frame::dct`].
    #[serde(with = "hex")]
    pub dct: Hash256,
    /// As [`Frame::dhash`].
    #[serde(with = "hex")]
    pub dhash: Hash256,
}

/// How a picture looks, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Variance of the Laplacian of the luma, in squared 8-bit levels: low = blurred.
    pub sharpness: f32,
    /// Mean luma, 0 = black to 255 = white.
    pub brightness: f32,
    /// Standard deviation of the luma of a 64×64 thumbnail, in 8-bit levels: low = featureless.
    pub contrast: f32,
    /// Share of the picture that is black border, 0 to 1.
    pub border: f32,
}

/// What the models said of a video's pictures, by `image_id`; a picture that is not here was not shown to them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    /// What each picture was found to hold.
    pub pictures: BTreeMap<String, Labels>,
}

/// What the models said of one picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// Objects, best first; none where no detector ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<Object>>,
    /// Cosine similarity with the wanted text, the best of all texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_score: Option<f32>,
    /// Unit vector for near-duplicate search by meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
}

/// An object in a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Number of its class, from 0, in the detector's list of names.
    pub class: u32,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// Left, top, width and height in pixels of the picture; inside it.
    pub bbox: [f32; 4],
}

/// Why a frame is not in the dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// Nearly of one colour.
    Featureless,
    /// Below the least brightness.
    Dark,
    /// Above the greatest brightness.
    Bright,
    /// Below the least sharpness.
    Blurred,
    /// More black border than allowed.
    Border,
    /// None of the wanted classes was found.
    NoWantedClass,
    /// Unlike the wanted text.
    UnlikeText,
    /// Nearly the same as an earlier frame of its video.
    DuplicateInVideo,
    /// Nearly the same as a frame of an earlier video.
    DuplicateAcrossVideos,
    /// Nearly the same as a frame of an earlier dataset.
    DuplicateOfEarlierDataset,
    /// In the guard gap between two splits of one video.
    GuardGap,
}

impl DropReason {
    /// The word in tables, such as `duplicate_in_video`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Featureless => "featureless",
            Self::Dark => "dark",
            Self::Bright => "bright",
            Self::Blurred => "blurred",
            Self::Border => "border",
            Self::NoWantedClass => "no_wanted_class",
            Self::UnlikeText => "unlike_text",
            Self::DuplicateInVideo => "duplicate_in_video",
            Self::DuplicateAcrossVideos => "duplicate_across_videos",
            Self::DuplicateOfEarlierDataset => "duplicate_of_earlier_dataset",
            Self::GuardGap => "guard_gap",
        }
    }
}

/// That a frame is left out, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Drop {
    /// The reason.
    pub reason: DropReason,
    /// The frame that stands for it.
    pub duplicate_of: Option<String>,
    /// Distance to it: differing bits of 256, or 1 − cosine for embeddings.
    pub distance: Option<f32>,
    /// What found it: `dct`, `dhash`, `dct_mirrored`, `dhash_mirrored`, `featureless`, `embedding`.
    pub kind: Option<&'static str>,
}

/// Part of the dataset a picture belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by while learning.
    Val,
    /// To judge by at the end.
    Test,
}

impl Split {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// `train`, `val` or `test`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// The whole dataset as it is decided: what every export is made from.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// The videos in input order, those without frames too.
    pub videos: Vec<DatasetVideo>,
    /// Every frame looked at, by video and then by timestamp.
    pub frames: Vec<DatasetFrame>,
    /// Names of the classes, by number; empty without a detector.
    pub class_names: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A video in the decided dataset.
#[derive(Debug, Clone)]
pub struct DatasetVideo {
    /// What it is.
    pub video: Video,
    /// Its file.
    pub downloaded: Downloaded,
    /// Width and height of its pictures.
    pub size: [u32; 2],
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// Duration in seconds.
    pub duration_secs: Option<f64>,
    /// Damage and guesses.
    pub notes: Vec<String>,
}

/// A frame in the decided dataset.
#[derive(Debug, Clone)]
pub struct DatasetFrame {
    /// Number of its video in [`Dataset::videos`].
    pub video: usize,
    /// What was seen of it.
    pub frame: Frame,
    /// What the models said of it.
    pub labels: Labels,
    /// Why it is left out; none when it is kept.
    pub dropped: Option<Drop>,
    /// Its part; none when it is left out.
    pub split: Option<Split>,
    /// The group that is never cut by a split: the `video_id` of its first video.
    pub group: String,
    /// Where its picture lies now; none when it is left out or was not written.
    pub picture: Option<PathBuf>,
}

impl DatasetFrame {
    /// Whether it is in the dataset.
    pub fn is_kept(&self) -> bool {
        self.dropped.is_none()
    }
}

/// Hashes as 64 hexadecimal digits.
mod hex {
    use framewright_hash::Hash256;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(hash: &Hash256, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash256, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|()| D::Error::custom("a hash has 64 hexadecimal digits"))
    }
}
