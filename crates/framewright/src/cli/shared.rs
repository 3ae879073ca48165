//! The arguments that `upscale` and `bench` share, and how their values are read.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, value_parser};

use super::{
    DEFAULT_TOLERANCE, Device, ENCODING, Encoder, Engine, NETWORK, Options, Precision, ProgressMode,
};
use crate::dataset::bounds::MOST_BYTES;

/// Which network, and where it runs.
#[derive(Debug, Args)]
pub(super) struct NetworkArgs {
    /// Name of a built-in model, or path of an .onnx or .safetensors file [default: lite-x2]
    ///
    /// `framewright models list` shows the built-in ones. The network of a file takes and gives
    /// RGB pictures; its scale is found out. A .safetensors file holds a network of the Compact
    /// family. `nearest-x2` enlarges without a network, for tests and measurements.
    #[arg(short, long, value_name = "NAME|PATH", env = "FRAMEWRIGHT_MODEL")]
    #[arg(hide_env_values = true)]
    model: Option<OsString>,

    /// How many times as large in each direction [default: the model's own scale]
    ///
    /// Larger scales take several passes, in which the network runs on its own result: 4, 8 and
    /// 16 with one that enlarges 2 times. Any other scale is refused: nothing is resized.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=16))]
    #[arg(help_heading = NETWORK)]
    scale: Option<u32>,

    /// Where the network runs
    #[arg(long, value_enum, default_value_t = Device::Auto, help_heading = NETWORK)]
    device: Device,

    /// What runs the network
    #[arg(long, value_enum, default_value_t = Engine::Auto, help_heading = NETWORK)]
    engine: Engine,

    /// The arithmetic of the network
    #[arg(long, value_enum, default_value_t = Precision::Auto, help_heading = NETWORK)]
    precision: Precision,

    /// Frames computed at the same time [default: by cores and memory]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    #[arg(help_heading = NETWORK)]
    workers: Option<u16>,

    /// Plan as if the machine had this much memory, such as 4G or 800M [default: what is there]
    ///
    /// Decides how many frames are computed at the same time, how many wait, and how many pictures
    /// are kept to be used again. K, M and G are powers of 1024. A run that would take more by its
    /// plan, the decoder and the encoder included, is made smaller or refused.
    #[arg(long, value_name = "SIZE", value_parser = memory, help_heading = NETWORK)]
    memory: Option<u64>,
}

/// What counts as the same.
#[derive(Debug, Args)]
pub(super) struct LikenessArgs {
    /// How much a cell of 8×8 pixels may differ and count as unchanged, in 8-bit levels
    ///
    /// The mean difference of the cell. What is shown is the network's answer to a picture that
    /// differs from the frame by no more than this in any cell; 0 computes whatever differs at all.
    #[arg(long, value_name = "LEVELS", default_value_t = DEFAULT_TOLERANCE)]
    #[arg(value_parser = tolerance, help_heading = NETWORK)]
    tolerance: f32,
}

/// How the result is encoded.
#[derive(Debug, Args)]
pub(super) struct EncodingArgs {
    /// The video encoder
    #[arg(long, value_enum, default_value_t = Encoder::Libx264, help_heading = ENCODING)]
    encoder: Encoder,

    /// Quality: lower is better and larger [default: 18, x265 20, AV1 24]
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(0..=63))]
    #[arg(help_heading = ENCODING)]
    crf: Option<u8>,

    /// The encoder's preset, such as slow, or 6 for AV1 [default: medium, AV1 8]
    #[arg(long, value_name = "P", help_heading = ENCODING)]
    preset: Option<String>,
}

/// What is asked for by the arguments that commands share; everything else as if it was not given.
pub(super) fn shared(
    network: NetworkArgs,
    likeness: &LikenessArgs,
    encoding: EncodingArgs,
) -> Options {
    Options {
        input: PathBuf::new(),
        output: None,
        // An empty variable is how scripts unset one.
        model: network.model.filter(|model| !model.is_empty()),
        scale: network.scale,
        device: network.device,
        engine: network.engine,
        precision: network.precision,
        workers: network.workers.map(usize::from),
        memory_bytes: network.memory,
        reuse: None,
        tolerance: likeness.tolerance,
        encoder: encoding.encoder,
        crf: encoding.crf,
        preset: encoding.preset,
        pix_fmt: None,
        overwrite: false,
        plan_only: false,
        plan_out: None,
        report: None,
        reuse_map: None,
        dump_composite: None,
        progress: ProgressMode::Auto,
        json: false,
        quiet: false,
        verbose: false,
    }
}

fn tolerance(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(levels) if (0.0..=255.0).contains(&levels) => Ok(levels),
        _ => Err("a number of levels from 0 to 255".to_owned()),
    }
}

/// Below this no video is worth a plan; and who leaves out the unit meant another number.
const MIN_MEMORY_BYTES: u64 = 64 << 20;

fn memory(text: &str) -> Result<u64, String> {
    match bytes_of_size(text) {
        Some(bytes) if bytes > MOST_BYTES => Err("at most 1048576T".to_owned()),
        Some(bytes) if bytes >= MIN_MEMORY_BYTES => Ok(bytes),
        Some(_) => Err("at least 64M; without K, M or G it is in bytes".to_owned()),
        None => Err("a size such as 4G or 800M".to_owned()),
    }
}

/// Bytes of a size such as `800M`, `4G`, `4GiB` or `4gb`; without a unit it is in bytes.
pub(crate) fn bytes_of_size(text: &str) -> Option<u64> {
    let unit_at = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}
