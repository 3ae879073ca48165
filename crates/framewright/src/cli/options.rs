//! What was asked, as plain values: what the rest of the program sees of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

/// What was asked of `framewright upscale`.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Options {
    /// The source file.
    pub input: PathBuf,
    /// The file to write; none with the null encoder and where only a plan is asked for.
    pub output: Option<PathBuf>,
    /// Name of a model or path of a model file; none for the default model.
    pub model: Option<OsString>,
    /// Result size over source size, 1 to 16; none for the model's own.
    pub scale: Option<u32>,
    /// Where the network runs.
    pub device: Device,
    /// What runs the network.
    pub engine: Engine,
    /// The arithmetic of the network.
    pub precision: Precision,
    /// Workers that run the network, at least 1; none for the plan's choice.
    pub workers: Option<usize>,
    /// Memory to plan with, in bytes; none for what this process may use.
    pub memory_bytes: Option<u64>,
    /// Which results are used again.
    pub reuse: Option<Reuse>,
    /// In 8-bit levels, finite and at least 0.
    pub tolerance: f32,
    /// The video encoder.
    pub encoder: Encoder,
    /// Quality, 0 to 63; none for the encoder's default.
    pub crf: Option<u8>,
    /// Name of an encoder preset; none for the encoder's default.
    pub preset: Option<String>,
    /// ffmpeg's name of a pixel format; none for the plan's choice.
    pub pix_fmt: Option<String>,
    /// Whether an existing output may be replaced.
    pub overwrite: bool,
    /// Whether to end after the plan.
    pub plan_only: bool,
    /// Where to write the plan.
    pub plan_out: Option<PathBuf>,
    /// Where to write the report.
    pub report: Option<PathBuf>,
    /// Where to write the film that shows what was computed.
    pub reuse_map: Option<PathBuf>,
    /// Where to write the pictures that the network is taken to have seen.
    pub dump_composite: Option<PathBuf>,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// Whether standard output gets JSON.
    pub json: bool,
    /// Whether only errors are shown.
    pub quiet: bool,
    /// Whether decisions and their reasons are shown.
    pub verbose: bool,
}

/// Where the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The fastest that is there
    Auto,
    /// The processor
    Cpu,
}

/// What runs the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Native for networks of the Compact family, ONNX Runtime for any other ONNX file
    Auto,
    /// The program's own, for the Compact family only; needs no library
    Native,
    /// ONNX Runtime, for any ONNX file
    Ort,
}

/// The arithmetic of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// The fastest: bf16 where the processor has it and the engine uses it, else fp32
    Auto,
    /// 32-bit floating point
    Fp32,
    /// Products in bfloat16, sums in fp32; a few 8-bit levels from fp32 at most
    Bf16,
}

/// Which results are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reuse {
    /// Every frame is computed
    Off,
    /// A frame that shows the same as an earlier one takes its result
    Frame,
    /// Only what depends on a changed part of a frame is computed
    Region,
    /// The same, layer by layer, from what the network made of the frame before
    Incremental,
}

/// The video encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoder {
    /// H.264, plays everywhere
    Libx264,
    /// H.265, smaller and slower
    Libx265,
    /// AV1, smaller still
    Libsvtav1,
    /// Lossless, for archives and comparisons
    Ffv1,
    /// Writes no file, for measuring
    Null,
}

impl Encoder {
    /// ffmpeg's name of it; `null` for none.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Libx264 => "libx264",
            Self::Libx265 => "libx265",
            Self::Libsvtav1 => "libsvtav1",
            Self::Ffv1 => "ffv1",
            Self::Null => "null",
        }
    }

    /// Whether quality and preset mean anything to it.
    pub(super) const fn is_lossy(self) -> bool {
        matches!(self, Self::Libx264 | Self::Libx265 | Self::Libsvtav1)
    }
}

/// How progress is shown, on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressMode {
    /// A bar on a terminal, else a line every 10 seconds
    Auto,
    /// A bar
    Bar,
    /// One JSON object per line, for programs
    Json,
    /// Nothing
    None,
}
