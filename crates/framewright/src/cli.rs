//! The command line: what can be asked, and its help.
//!
//! Invariant: clap's types stay in this module. The rest of the program sees [`Options`],
//! plain values that were checked as far as that goes without opening a file.
//!
//! `upscale` and `bench` declare what their commands take, `shared` what both do, `options` is what comes out, `check`
//! refuses what does not go together.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use crate::exit::Exit;
use check::{check, check_encoding};

pub use bench::BenchOptions;
pub use dataset::{DatasetAction, RunOptions, ScreenOptions};
pub(crate) use shared::bytes_of_size;

pub use options::{Device, Encoder, Engine, Options, Precision, ProgressMode, Reuse};

mod bench;
mod check;
mod dataset;
mod options;
mod shared;
mod upscale;

/// Tolerance of `--reuse` in 8-bit levels: mean difference of the worst 8×8 cell.
pub const DEFAULT_TOLERANCE: f32 = 0.5;

/// What the process is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `framewright upscale`.
    Upscale(Box<Options>),
    /// `framewright bench`.
    Bench(Box<BenchOptions>),
    /// `framewright dataset`.
    Dataset(DatasetAction),
    /// The process of its own in which a video is decoded; started by `framewright dataset`.
    DatasetWorker(WorkerArgs),
    /// `framewright setup`.
    Setup {
        /// Whether yt-dlp is fetched, instead of ONNX Runtime.
        yt_dlp: bool,
    },
    /// `framewright models list`.
    ListModels {
        /// Whether as JSON.
        json: bool,
    },
}

/// Upscales video with neural networks and turns videos into picture datasets
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
    #[command(after_help = exit_codes(), after_long_help = upscale::help())]
    Upscale(Box<upscale::UpscaleArgs>),
    /// Turn videos into a picture dataset
    #[command(subcommand, disable_help_subcommand = true)]
    Dataset(dataset::DatasetCommand),
    /// Measure on a part of a video what speed and quality to expect here
    #[command(long_about = bench::ABOUT, after_help = exit_codes())]
    Bench(Box<bench::BenchArgs>),
    /// The models that come with the program
    #[command(subcommand, disable_help_subcommand = true)]
    Models(ModelsCommand),
    /// Fetch ONNX Runtime's library with pip into the data folder
    #[command(long_about = SETUP, after_help = exit_codes())]
    Setup {
        /// Fetch yt-dlp instead, for videos that are behind web pages
        #[arg(long)]
        yt_dlp: bool,
    },
    /// Decode a video for `framewright dataset`
    #[command(hide = true)]
    DatasetWorker(WorkerArgs),
}

/// What the decoding process of `framewright dataset` is told.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct WorkerArgs {
    /// What to do, as JSON
    pub request: String,
    /// The video
    pub file: PathBuf,
    /// The folder to write to
    pub folder: Option<PathBuf>,
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

const SETUP: &str = "\
Fetch ONNX Runtime's library with pip into the data folder

Needs python3 and pip, and uses the package index that pip is set up for. The library goes
to $XDG_DATA_HOME/framewright, else ~/.local/share/framewright. Does nothing when it is
there already. Not needed for networks of the Compact family, nor when FRAMEWRIGHT_ORT names
a library of your own.

With --yt-dlp, fetches yt-dlp in its newest version into a folder of its own there; running it
again brings it up to date. It is used before one on PATH.";

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
        Command::Setup { yt_dlp } => Ok(Action::Setup { yt_dlp }),
        Command::DatasetWorker(args) => Ok(Action::DatasetWorker(args)),
        Command::Models(ModelsCommand::List { json }) => Ok(Action::ListModels { json }),
        Command::Dataset(command) => Ok(Action::Dataset(command.into_action())),
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

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:");
    for exit in Exit::ALL {
        let _ = write!(text, "\n  {:>3}  {}", exit.code(), exit.meaning());
    }
    text
}

#[cfg(test)]
mod tests;
