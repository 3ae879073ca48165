//! The command line: what can be asked, and its help.
//!
//! Invariant: clap's types stay in this module. The rest of the program sees [`Options`],
//! plain values that were checked as far as that goes without opening a file.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use clap::{
    Args, CommandFactory as _, Parser, Subcommand, ValueEnum, error::ErrorKind, value_parser,
};
use serde::Serialize;

use crate::exit::Exit;
pub use bench::BenchOptions;

mod bench;

/// Tolerance of `--reuse` in 8-bit levels: mean difference of the worst 8×8 cell.
pub const DEFAULT_TOLERANCE: f32 = 0.5;

/// What the process is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `framewright upscale`.
    Upscale(Box<Options>),
    /// `framewright bench`.
    Bench(Box<BenchOptions>),
    /// `framewright setup`.
    Setup,
    /// `framewright models list`.
    ListModels {
        /// Whether as JSON.
        json: bool,
    },
}

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
    /// Which results are used again.
    pub reuse: Reuse,
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
    const fn is_lossy(self) -> bool {
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

/// Upscales video with neural networks
#[derive(Debug, Parser)]
#[command(name = "framewright", version, after_help = exit_codes())]
#[command(arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a video larger: every frame, timestamp and stream in place
    #[command(after_help = exit_codes(), after_long_help = upscale_help())]
    Upscale(Box<UpscaleArgs>),
    /// Measure on a part of a video what speed and quality to expect here
    #[command(long_about = bench::ABOUT, after_help = exit_codes())]
    Bench(Box<bench::BenchArgs>),
    /// The models that come with the program
    #[command(subcommand, disable_help_subcommand = true)]
    Models(ModelsCommand),
    /// Fetch ONNX Runtime's library with pip into the data folder
    #[command(long_about = SETUP, after_help = exit_codes())]
    Setup,
}

#[derive(Debug, Subcommand)]
enum ModelsCommand {
    /// Show them: scale, size, licence, and what each is for
    List {
        /// Print an array of objects, with the whole SHA-256
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
struct UpscaleArgs {
    /// The video to read
    input: PathBuf,

    /// The file to write (.mkv, .mp4, .mov), or a folder to write it into
    ///
    /// In a folder it takes the name and the kind of the source, or MKV where that kind cannot hold
    /// everything. It appears when it is complete; after Ctrl-C the part that was done is beside
    /// it, NAME.partial.EXT. Not needed with --encoder null or --plan-only.
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,

    #[command(flatten)]
    network: NetworkArgs,

    /// Which results are used again
    #[arg(long, value_enum, default_value_t = Reuse::Region, help_heading = NETWORK)]
    reuse: Reuse,

    #[command(flatten)]
    likeness: LikenessArgs,

    #[command(flatten)]
    encoding: EncodingArgs,

    /// Pixel format of the output, such as yuv420p10le [default: from the source]
    #[arg(long, value_name = "FMT", help_heading = ENCODING)]
    pix_fmt: Option<String>,

    /// Replace an existing output
    #[arg(long)]
    overwrite: bool,

    /// Read and compare the video, print the plan, and end
    #[arg(long, help_heading = DOCUMENTS)]
    plan_only: bool,

    /// Write the plan as JSON
    #[arg(long, value_name = "FILE", help_heading = DOCUMENTS)]
    plan_out: Option<PathBuf>,

    /// Write what was done as JSON, at the end
    #[arg(long, value_name = "FILE", help_heading = DOCUMENTS)]
    report: Option<PathBuf>,

    /// Also write a film (.mp4, .mkv, .mov) that shows what was computed: the source, those parts tinted
    #[arg(long, value_name = "FILE", help_heading = DOCUMENTS)]
    reuse_map: Option<PathBuf>,

    /// Also write the pictures that the network is taken to have seen, losslessly (.mkv); for tests
    #[arg(long, value_name = "FILE", hide = true)]
    dump_composite: Option<PathBuf>,

    /// Print JSON on standard output: the report, or the plan with --plan-only
    #[arg(long, help_heading = DOCUMENTS)]
    json: bool,

    /// How progress is shown, on standard error
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressMode::Auto)]
    #[arg(help_heading = MESSAGES)]
    progress: ProgressMode,

    /// Only errors: no bar, no warnings (the report keeps them)
    #[arg(short, long, help_heading = MESSAGES)]
    quiet: bool,

    /// Also what was decided, and why
    #[arg(short, long, conflicts_with = "quiet", help_heading = MESSAGES)]
    verbose: bool,
}

/// Which network, and where it runs.
#[derive(Debug, Args)]
struct NetworkArgs {
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
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    #[arg(help_heading = NETWORK)]
    workers: Option<u16>,
}

/// What counts as the same.
#[derive(Debug, Args)]
struct LikenessArgs {
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
struct EncodingArgs {
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

const SETUP: &str = "\
Fetch ONNX Runtime's library with pip into the data folder

Needs python3 and pip, and uses the package index that pip is set up for. The library goes
to $XDG_DATA_HOME/framewright, else ~/.local/share/framewright. Does nothing when it is
there already. Not needed for networks of the Compact family, nor when FRAMEWRIGHT_ORT names
a library of your own.";

const NETWORK: &str = "Network";
const ENCODING: &str = "Encoding";
const DOCUMENTS: &str = "Plan and report";
const MESSAGES: &str = "Messages";

/// Reads the command line. The error is printed with `print` and has its exit code; help
/// and version are such errors too, with code 0.
///
/// # Errors
/// The command line is wrong, or asks for help.
pub fn parse<A: Into<OsString> + Clone>(
    args: impl IntoIterator<Item = A>,
) -> Result<Action, clap::Error> {
    match Cli::try_parse_from(args)?.command {
        Command::Setup => Ok(Action::Setup),
        Command::Models(ModelsCommand::List { json }) => Ok(Action::ListModels { json }),
        Command::Upscale(args) => {
            let options = args.into_options();
            match check(&options) {
                Ok(()) => Ok(Action::Upscale(Box::new(options))),
                Err((kind, message)) => Err(usage_error("upscale", kind, &message)),
            }
        }
        Command::Bench(args) => {
            let options = args.into_options();
            match check_encoding(&options.upscale) {
                Ok(()) => Ok(Action::Bench(Box::new(options))),
                Err((kind, message)) => Err(usage_error("bench", kind, &message)),
            }
        }
    }
}

fn usage_error(command: &str, kind: ErrorKind, message: &str) -> clap::Error {
    let mut cli = Cli::command();
    cli.build();
    let command = cli.find_subcommand_mut(command);
    command.expect("it is declared above").error(kind, message)
}

impl UpscaleArgs {
    fn into_options(self) -> Options {
        Options {
            input: self.input,
            output: self.output,
            reuse: self.reuse,
            pix_fmt: self.pix_fmt,
            overwrite: self.overwrite,
            plan_only: self.plan_only,
            plan_out: self.plan_out,
            report: self.report,
            reuse_map: self.reuse_map,
            dump_composite: self.dump_composite,
            progress: self.progress,
            json: self.json,
            quiet: self.quiet,
            verbose: self.verbose,
            ..shared(self.network, &self.likeness, self.encoding)
        }
    }
}

/// What is asked for by the arguments that commands share; everything else as if it was not given.
fn shared(network: NetworkArgs, likeness: &LikenessArgs, encoding: EncodingArgs) -> Options {
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
        reuse: Reuse::Region,
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

/// What clap cannot check by itself. An option that would have no effect is refused: the
/// user would believe in it.
fn check(options: &Options) -> Result<(), (ErrorKind, String)> {
    let conflict = |message: String| Err((ErrorKind::ArgumentConflict, message));
    let encoder = options.encoder;
    if options.output.is_none() && encoder != Encoder::Null && !options.plan_only {
        let message = "an output is needed: give -o FILE, or --encoder null to only measure";
        return Err((ErrorKind::MissingRequiredArgument, message.to_owned()));
    }
    check_encoding(options)?;
    if options.pix_fmt.is_some() && encoder == Encoder::Null {
        return conflict("--pix-fmt has no effect on null".to_owned());
    }
    if options.plan_only && options.report.is_some() {
        return conflict("--plan-only gives no report: leave out --report".to_owned());
    }
    let films = [
        ("--reuse-map", options.reuse_map.as_ref()),
        ("--dump-composite", options.dump_composite.as_ref()),
    ];
    if let Some((option, _)) = films
        .iter()
        .find(|(_, path)| options.plan_only && path.is_some())
    {
        return conflict(format!("--plan-only computes nothing: leave out {option}"));
    }
    match same_file(options) {
        Some((one, other)) => conflict(format!("{one} and {other} are the same file")),
        None => Ok(()),
    }
}

/// Quality and preset only for an encoder that knows them.
fn check_encoding(options: &Options) -> Result<(), (ErrorKind, String)> {
    let lossy_only = [
        ("--crf", options.crf.is_some()),
        ("--preset", options.preset.is_some()),
    ];
    for (option, given) in lossy_only {
        if given && !options.encoder.is_lossy() {
            let message = format!("{option} has no effect on {}", options.encoder.name());
            return Err((ErrorKind::ArgumentConflict, message));
        }
    }
    Ok(())
}

/// Two of the files that are one: writing one of them would destroy the other.
fn same_file(options: &Options) -> Option<(&'static str, &'static str)> {
    let files = [
        ("INPUT", Some(&options.input)),
        ("--output", options.output.as_ref()),
        ("--plan-out", options.plan_out.as_ref()),
        ("--report", options.report.as_ref()),
        ("--reuse-map", options.reuse_map.as_ref()),
        ("--dump-composite", options.dump_composite.as_ref()),
    ];
    let files = files.map(|(name, path)| (name, path.map(|path| identity(path))));
    for (index, (name, file)) in files.iter().enumerate() {
        let same = |other: &&(&str, Option<PathBuf>)| file.is_some() && other.1 == *file;
        if let Some((earlier, _)) = files[..index].iter().find(same) {
            return Some((earlier, name));
        }
    }
    None
}

/// The path without links and dots, as far as it exists.
fn identity(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn tolerance(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(levels) if (0.0..=255.0).contains(&levels) => Ok(levels),
        _ => Err("a number of levels from 0 to 255".to_owned()),
    }
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:");
    for exit in Exit::ALL {
        let _ = write!(text, "\n  {:>3}  {}", exit.code(), exit.meaning());
    }
    text
}

fn upscale_help() -> String {
    let examples = "\
Examples:
  framewright upscale in.mp4 -o out.mp4
  framewright upscale in.mkv -o out.mkv --scale 4
  framewright upscale in.mkv -o out.mkv -m model-x2.onnx
  framewright upscale in.mp4 -o out.mkv --encoder libx265 --crf 18
  framewright upscale in.mkv -o out.mkv --report report.json -q
  framewright upscale in.mkv --plan-only --json

Ctrl-C once completes the frames in flight and leaves a playable file of what is done;
twice stops at once and leaves nothing.

Environment:
  FRAMEWRIGHT_MODEL  the model, where --model is not given
  FRAMEWRIGHT_ORT    path of ONNX Runtime's library; framewright setup fetches one
                     (not needed for networks of the Compact family)
  FRAMEWRIGHT_ISA    the instruction set of the engine native: portable, avx2, avx512 or
                     avx512-bf16; for the same bits on machines that differ";
    format!("{examples}\n\n{}", exit_codes())
}

#[cfg(test)]
mod tests;
