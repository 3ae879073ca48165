//! What a dataset is to be: the TOML file, its defaults, and what is checked before anything starts.
//!
//! Invariant: a word that is not known is an error with its place, never ignored.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::shard::Shard;

/// The whole configuration of a run. Every table and key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Films, folders, patterns and addresses.
    pub inputs: Vec<String>,
    /// Folder that relative inputs are relative to; that of the configuration file when left out.
    pub folder: Option<PathBuf>,
    /// Files with one input per line; empty lines and lines that begin with `#` are skipped.
    pub lists: Vec<PathBuf>,
    /// The folder of the dataset.
    pub output: Option<PathBuf>,
    /// How the work is done.
    pub run: RunConfig,
    /// How videos are fetched.
    pub download: DownloadConfig,
    /// Which frames become pictures.
    pub extract: ExtractConfig,
    /// Which pictures are good enough.
    pub filter: FilterConfig,
    /// Which pictures count as the same.
    pub dedup: DedupConfig,
    /// What is looked for in the pictures.
    pub detect: DetectConfig,
    /// How the pictures are divided.
    pub split: SplitConfig,
    /// What is written.
    pub export: ExportConfig,
}

/// How the work is done; nothing here changes the dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Stages to run, all when empty.
    pub stages: Vec<Stage>,
    /// How the stages are joined.
    pub mode: Mode,
    /// Videos worked on at the same time; none for one per core.
    pub workers: Option<usize>,
    /// Most bytes that the folder may take on the disk, all of it.
    #[serde(with = "size")]
    pub max_disk: Option<u64>,
    /// Keep downloaded videos and the pictures of dropped frames.
    pub keep: bool,
    /// Only the videos of this part.
    pub shard: Option<Shard>,
}

/// A stage of the work on a video.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Fetch and verify the file.
    Download,
    /// Choose frames, measure them, write pictures.
    Extract,
    /// Drop what is not wanted.
    Filter,
    /// Drop what is there already.
    Dedup,
    /// Find objects.
    Detect,
    /// Divide and write the dataset.
    Export,
}

impl Stage {
    /// All, in the order of the work.
    pub const ALL: [Self; 6] = [
        Self::Download,
        Self::Extract,
        Self::Filter,
        Self::Dedup,
        Self::Detect,
        Self::Export,
    ];

    /// Its word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Extract => "extract",
            Self::Filter => "filter",
            Self::Dedup => "dedup",
            Self::Detect => "detect",
            Self::Export => "export",
        }
    }
}

/// How the stages are joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Each worker takes a video through all stages.
    #[default]
    PerVideo,
    /// Each stage has workers of its own, joined by bounded queues of folders.
    PerStage,
}

/// How videos are fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DownloadConfig {
    /// Largest file, in bytes.
    #[serde(with = "size")]
    pub max_file_size: Option<u64>,
    /// Longest video, in seconds.
    pub max_duration: Option<f64>,
    /// Seconds without a byte after which a download counts as stuck.
    pub stall_timeout: f64,
    /// Seconds a download may take in all, its waits for the host and between tries apart.
    pub total_timeout: f64,
    /// Least bytes per second, on average over each `stall_timeout`; 0 for none.
    #[serde(with = "size")]
    pub min_speed: Option<u64>,
    /// Private and loopback addresses that may be fetched from: `HOST` or `HOST:PORT`.
    pub allow_hosts: Vec<String>,
    /// Downloads at the same time from one host.
    pub per_host: usize,
    /// Tries for what may work the next time.
    pub tries: u32,
    /// Most bytes per second of one download.
    #[serde(with = "size")]
    pub rate_limit: Option<u64>,
    /// Largest height in pixels that yt-dlp is to fetch.
    pub height: u32,
    /// Cookie file in Netscape's format, for yt-dlp; copied, never written to.
    pub cookies: Option<PathBuf>,
    /// Least seconds between two requests of yt-dlp to one site.
    pub sleep: f64,
    /// Most entries of one playlist or channel.
    pub max_entries: usize,
}

/// Which frames become pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExtractConfig {
    /// How frames are chosen: `0.5s`, `30f`, `keyframes` or `scenes`.
    pub every: Every,
    /// The kind of picture file.
    pub format: PictureFormat,
    /// Quality of JPEG files, 1 to 100.
    pub quality: u8,
    /// Most frames of one video.
    pub max_frames: Option<u64>,
    /// Keep frames that were decoded with errors, or depend on a packet that was.
    pub keep_damaged: bool,
    /// Seconds without progress after which the decoding of a video counts as stuck.
    pub stall_timeout: f64,
    /// Whether decoding is fenced in.
    pub sandbox: SandboxMode,
}

/// How frames are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Every {
    /// Every n-th frame, the first included.
    Frames(u64),
    /// The first frame at or after 0, t, 2t … seconds from the first one.
    Seconds(f64),
    /// The frames marked as key frames.
    Keyframes,
    /// The first frame of every scene.
    Scenes,
}

/// The kind of picture file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureFormat {
    /// JPEG, 4:2:0 below quality 95, else 4:4:4.
    #[default]
    Jpeg,
    /// PNG, lossless.
    Png,
    /// WebP, lossless.
    Webp,
}

impl PictureFormat {
    /// The file extension, without a dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

/// Whether decoding is fenced in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// As far as the system can; what it cannot is said once.
    #[default]
    Auto,
    /// In full, or the run fails.
    Require,
    /// A process of its own without a fence.
    Off,
}

/// Which pictures are good enough. A bound of 0 (or 255, or 1) lets everything pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// Least sharpness: variance of the Laplacian.
    pub min_sharpness: f32,
    /// Least mean luma, 0 to 255.
    pub min_brightness: f32,
    /// Greatest mean luma, 0 to 255.
    pub max_brightness: f32,
    /// Least standard deviation of the luma of the thumbnail; below it a frame is featureless.
    pub min_contrast: f32,
    /// Largest share of black border.
    pub max_border: f32,
    /// Keep only pictures with at least one of these classes; needs a detector.
    pub classes: Vec<String>,
    /// Keep only pictures like one of these texts; needs `text_model`.
    pub text: Vec<String>,
    /// Least cosine similarity with the text.
    pub min_text_score: f32,
    /// The models that compare pictures with text.
    pub text_model: Option<TextModel>,
    /// Score everything, drop nothing.
    pub score_only: bool,
}

/// A CLIP or `SigLIP` pair of ONNX files with their tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextModel {
    /// ONNX file of the picture's side.
    pub vision: PathBuf,
    /// ONNX file of the text's side.
    pub text: PathBuf,
    /// `tokenizer.json` of Hugging Face's tokenizers.
    pub tokenizer: PathBuf,
}

/// Which pictures count as the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DedupConfig {
    /// How alike they are.
    pub preset: Preset,
    /// Most differing bits of the DCT hash, instead of the preset's.
    pub dct: Option<u32>,
    /// Most differing bits of the gradient hash, instead of the preset's.
    pub dhash: Option<u32>,
    /// Whether a mirrored picture counts as the same.
    pub flip: bool,
    /// Folders of earlier datasets whose pictures are not wanted again.
    pub against: Vec<PathBuf>,
    /// Compare by meaning as well.
    pub embedding: Option<EmbeddingConfig>,
}

/// How alike pictures are that count as the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The same hash.
    Exact,
    /// 16 bits of the DCT hash, none of the gradient hash.
    Strict,
    /// 48 and 32 bits.
    #[default]
    Normal,
    /// 64 and 40 bits.
    Loose,
    /// Nothing is dropped.
    Off,
}

/// Near duplicates by meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// An ONNX file that makes a vector of a picture.
    pub model: PathBuf,
    /// Least cosine similarity that counts as the same.
    #[serde(default = "min_cosine")]
    pub min_cosine: f32,
}

fn min_cosine() -> f32 {
    0.95
}

/// What is looked for in the pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectConfig {
    /// ONNX file of the detector; without one no labels are written.
    pub model: Option<PathBuf>,
    /// Text file with one class name per line, where the model has none.
    pub names: Option<PathBuf>,
    /// Least confidence of an object.
    pub min_score: f32,
    /// Overlap above which the weaker of two boxes of a class is dropped.
    pub iou: f32,
    /// The family of the model, instead of what its graph says.
    pub format: Option<String>,
    /// Colour order and scale of the model's input, instead of its family's.
    pub norm: Option<String>,
    /// Keep only objects of these classes in the labels; all when empty.
    pub classes: Vec<String>,
}

/// How the pictures are divided. Shares are relative to their sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplitConfig {
    /// Share to learn from.
    pub train: f64,
    /// Share to choose by.
    pub val: f64,
    /// Share to judge by.
    pub test: f64,
    /// Another number gives another division.
    pub seed: u64,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportConfig {
    /// The kinds of dataset; none for what fits: `imagefolder`, and `coco` and `yolo` with a detector.
    pub formats: Vec<Format>,
    /// Name of the dataset; none for that of the folder.
    pub name: Option<String>,
    /// Licence of the dataset, for its card.
    pub licence: Option<String>,
    /// What it is, for its card.
    pub description: Option<String>,
    /// Most pictures in one `WebDataset` or Parquet file.
    pub shard_size: usize,
}

/// A kind of dataset.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Format {
    /// Common Objects in Context: JSON.
    Coco,
    /// Ultralytics' layout with `data.yaml`.
    Yolo,
    /// Pascal VOC: XML.
    Voc,
    /// Tar files.
    WebDataset,
    /// Hugging Face's folders with `metadata.jsonl`.
    ImageFolder,
    /// Parquet with the pictures inside.
    Parquet,
    /// Croissant's description of the provenance table and the pictures.
    Croissant,
}

impl Format {
    /// Its word on the command line, and its folder.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Coco => "coco",
            Self::Yolo => "yolo",
            Self::Voc => "voc",
            Self::WebDataset => "webdataset",
            Self::ImageFolder => "imagefolder",
            Self::Parquet => "parquet",
            Self::Croissant => "croissant",
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            stages: Vec::new(),
            mode: Mode::PerVideo,
            workers: None,
            max_disk: None,
            keep: false,
            shard: None,
        }
    }
}

impl Default for DownloadConfig {
    fn default() -> Self {
        Self {
            max_file_size: None,
            max_duration: None,
            stall_timeout: 60.0,
            total_timeout: 6.0 * 3600.0,
            min_speed: Some(4 << 10),
            allow_hosts: Vec::new(),
            per_host: 4,
            tries: 5,
            rate_limit: None,
            height: 1080,
            cookies: None,
            sleep: 1.0,
            max_entries: 10_000,
        }
    }
}

impl Default for ExtractConfig {
    fn default() -> Self {
        Self {
            every: Every::Seconds(1.0),
            format: PictureFormat::Jpeg,
            quality: 92,
            max_frames: None,
            keep_damaged: false,
            stall_timeout: 60.0,
            sandbox: SandboxMode::Auto,
        }
    }
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self {
            min_sharpness: 0.0,
            min_brightness: 0.0,
            max_brightness: 255.0,
            min_contrast: 3.0,
            max_border: 1.0,
            classes: Vec::new(),
            text: Vec::new(),
            min_text_score: 0.2,
            text_model: None,
            score_only: false,
        }
    }
}

impl Default for DedupConfig {
    fn default() -> Self {
        Self {
            preset: Preset::Normal,
            dct: None,
            dhash: None,
            flip: false,
            against: Vec::new(),
            embedding: None,
        }
    }
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self {
            model: None,
            names: None,
            min_score: 0.3,
            iou: 0.6,
            format: None,
            norm: None,
            classes: Vec::new(),
        }
    }
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self {
            train: 0.8,
            val: 0.1,
            test: 0.1,
            seed: 0,
        }
    }
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self {
            formats: Vec::new(),
            name: None,
            licence: None,
            description: None,
            shard_size: 10_000,
        }
    }
}

impl TryFrom<String> for Every {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Every {
    /// Least seconds between two frames.
    pub const LEAST_SECS: f64 = 1e-3;
    /// Most seconds or frames between two.
    pub const MOST: f64 = 1e9;
}

impl std::str::FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "frames are chosen by 0.001s to 1000000000s, 1f to 1000000000f, keyframes or scenes"
                .to_owned()
        };
        match text {
            "keyframes" => return Ok(Self::Keyframes),
            "scenes" => return Ok(Self::Scenes),
            _ => {}
        }
        if let Some(frames) = text.strip_suffix('f') {
            let frames: u64 = frames.parse().map_err(|_| wrong())?;
            return if (1..=Self::MOST as u64).contains(&frames) {
                Ok(Self::Frames(frames))
            } else {
                Err(wrong())
            };
        }
        let secs: f64 = text
            .strip_suffix('s')
            .ok_or_else(wrong)?
            .parse()
            .map_err(|_| wrong())?;
        if (Self::LEAST_SECS..=Self::MOST).contains(&secs) {
            Ok(Self::Seconds(secs))
        } else {
            Err(wrong())
        }
    }
}

impl std::fmt::Display for Every {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frames(n) => write!(f, "{n}f"),
            Self::Seconds(secs) => write!(f, "{secs}s"),
            Self::Keyframes => f.write_str("keyframes"),
            Self::Scenes => f.write_str("scenes"),
        }
    }
}

impl From<Every> for String {
    fn from(every: Every) -> Self {
        every.to_string()
    }
}

/// Sizes in TOML: a number of bytes, or text such as `"4G"`.
mod size {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de::Error as _};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(u64),
        Text(String),
    }

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        bytes.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        match Option::<Size>::deserialize(from)? {
            None => Ok(None),
            Some(Size::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Size::Text(text)) => {
                let bytes = crate::cli::bytes_of_size(&text);
                bytes
                    .map(Some)
                    .ok_or_else(|| D::Error::custom("a size such as \"4G\" or \"800M\""))
            }
        }
    }
}
