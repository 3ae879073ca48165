//! The arguments of `framewright dataset`.

use std::path::PathBuf;

use clap::{Args, Subcommand, value_parser};

use super::shared::bytes_of_size;
use super::{MESSAGES, ProgressMode, exit_codes};
use crate::dataset::bounds::MOST_BYTES;
use crate::dataset::config::{Every, Format, Mode, Stage};
use crate::dataset::shard::Shard;
use crate::dataset::trouble::Class;

const ABOUT: &str = "\
Make a picture dataset of videos: fetch, choose frames, filter, remove duplicates, find objects, export

What is done stands in DIR: run the same command again to continue after an interruption, to take in new
videos, or to change what is exported. Nothing that is done is done again.";

const USAGE: &str = "\
framewright dataset run [OPTIONS] <CONFIG>
       framewright dataset run [OPTIONS] --inputs <FILE> -o <DIR>";

const WHAT: &str = "What to make";
const HOW: &str = "How to work";
const FETCH: &str = "Fetching";

#[derive(Debug, Subcommand)]
pub(super) enum DatasetCommand {
    /// Make a dataset, or continue one
    #[command(long_about = ABOUT, after_help = exit_codes(), after_long_help = help())]
    #[command(override_usage = USAGE)]
    Run(Box<RunArgs>),
    /// Show how far the videos of a dataset are
    Status {
        /// The folder of the dataset
        dir: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try videos again that have failed
    Retry(RetryArgs),
    /// Check a configuration without starting anything
    Validate {
        /// The TOML file
        config: PathBuf,
    },
    /// Make one dataset of the folders that sharded runs have made
    Merge {
        /// Folders of `dataset run --shard`
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// The folder of the merged dataset
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        #[command(flatten)]
        screen: ScreenArgs,
    },
    /// Decide again what counts as a duplicate
    Dedup {
        /// The folder of the dataset
        dir: PathBuf,
        /// Change nothing: print how far apart pictures are, and write a sheet of sample pairs
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        screen: ScreenArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct ScreenArgs {
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto, help_heading = MESSAGES)]
    progress: ProgressMode,

    /// Say only what failed
    #[arg(short, long, help_heading = MESSAGES)]
    quiet: bool,

    /// Print what was done as JSON on standard output
    #[arg(long, help_heading = MESSAGES)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// Those that have failed
    #[arg(long, required = true)]
    failed: bool,

    /// Only those that failed like this
    #[arg(long, value_enum, value_name = "CLASS")]
    class: Option<Class>,

    /// The folder of the dataset
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    #[command(flatten)]
    screen: ScreenArgs,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// What to make, as a TOML file; flags go before it
    #[arg(required_unless_present = "inputs")]
    config: Option<PathBuf>,

    /// A text file with one video, folder, pattern or address per line
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,

    /// The folder of the dataset [default: `output` of the configuration]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Which frames: 0.5s, 30f, keyframes or scenes [default: 1s]
    #[arg(long, value_name = "RATE", help_heading = WHAT)]
    every: Option<Every>,

    /// Take frames that were decoded with errors as well
    #[arg(long, help_heading = WHAT)]
    keep_damaged: bool,

    /// An ONNX file that finds objects; its family is recognised from the graph
    #[arg(long, value_name = "ONNX", help_heading = WHAT)]
    detector: Option<PathBuf>,

    /// Class names of the detector, one per line, where the file has none
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    names: Option<PathBuf>,

    /// The family of the detector, where its graph does not show it or misleads
    #[arg(long, value_name = "FAMILY", help_heading = WHAT)]
    detector_format: Option<String>,

    /// Colour order and scale of its input, where they differ from the family's
    #[arg(long, value_name = "NORM", help_heading = WHAT)]
    detector_norm: Option<String>,

    /// Keep only pictures with one of these classes, and label only them
    #[arg(long, value_name = "A,B", value_delimiter = ',', help_heading = WHAT)]
    classes: Vec<String>,

    /// Score everything, drop nothing but duplicates
    #[arg(long, help_heading = WHAT)]
    score_only: bool,

    /// What to write [default: imagefolder; with a detector coco and yolo too]
    #[arg(long, value_enum, value_name = "KINDS", value_delimiter = ',', help_heading = WHAT)]
    format: Vec<Format>,

    /// Only these stages [default: all]
    #[arg(long, value_enum, value_name = "STAGES", value_delimiter = ',', help_heading = HOW)]
    stages: Vec<Stage>,

    /// How the stages are joined; the dataset is the same [default: per-video]
    #[arg(long, value_enum, help_heading = HOW)]
    mode: Option<Mode>,

    /// Videos worked on at the same time [default: one per core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=256), help_heading = HOW)]
    workers: Option<u16>,

    /// Only the videos of part i of n, counted from 0; `dataset merge` joins the parts
    #[arg(long, value_name = "I/N", help_heading = HOW)]
    shard: Option<Shard>,

    /// Most that the folder may take on the disk, all of it, such as 20G
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = HOW)]
    max_disk: Option<u64>,

    /// Keep downloaded videos and the pictures of dropped frames
    #[arg(long, help_heading = HOW)]
    keep: bool,

    /// Largest file to fetch, such as 2G
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = FETCH)]
    max_file_size: Option<u64>,

    /// Seconds without any progress after which a video counts as stuck [default: 60]
    #[arg(long, value_name = "SECS", value_parser = seconds, help_heading = FETCH)]
    stall_timeout: Option<f64>,

    /// A private or loopback address that may be fetched from; may be given several times
    #[arg(long, value_name = "HOST[:PORT]", help_heading = FETCH)]
    allow_host: Vec<String>,

    #[command(flatten)]
    screen: ScreenArgs,
}

/// What was asked of `framewright dataset`.
#[derive(Debug, Clone, PartialEq)]
pub enum DatasetAction {
    /// `run`.
    Run(Box<RunOptions>),
    /// `status`.
    Status {
        /// Folder of the dataset.
        dir: PathBuf,
        /// Whether as JSON.
        json: bool,
    },
    /// `retry --failed`.
    Retry {
        /// Only those that failed like this.
        class: Option<Class>,
        /// Folder of the dataset.
        output: PathBuf,
        /// How it is shown.
        screen: ScreenOptions,
    },
    /// `validate`.
    Validate {
        /// The TOML file.
        config: PathBuf,
    },
    /// `merge`.
    Merge {
        /// Folders of sharded runs.
        dirs: Vec<PathBuf>,
        /// Folder of the merged dataset.
        output: PathBuf,
        /// How it is shown.
        screen: ScreenOptions,
    },
    /// `dedup`.
    Dedup {
        /// Folder of the dataset.
        dir: PathBuf,
        /// Whether nothing is changed.
        dry_run: bool,
        /// How it is shown.
        screen: ScreenOptions,
    },
}

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScreenOptions {
    /// The progress display.
    pub progress: ProgressMode,
    /// Whether only errors are shown.
    pub quiet: bool,
    /// Whether standard output gets JSON.
    pub json: bool,
}

/// What was asked of `framewright dataset run`; what is none or empty is as the configuration says.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOptions {
    /// The TOML file.
    pub config: Option<PathBuf>,
    /// A list of inputs.
    pub inputs: Option<PathBuf>,
    /// Folder of the dataset.
    pub output: Option<PathBuf>,
    /// How frames are chosen.
    pub every: Option<Every>,
    /// Whether damaged frames are taken.
    pub keep_damaged: bool,
    /// The detector.
    pub detector: Option<PathBuf>,
    /// Its class names.
    pub names: Option<PathBuf>,
    /// Its family.
    pub detector_format: Option<String>,
    /// Colour order and scale of its input.
    pub detector_norm: Option<String>,
    /// Wanted classes.
    pub classes: Vec<String>,
    /// Whether filters only score.
    pub score_only: bool,
    /// What to write.
    pub formats: Vec<Format>,
    /// Stages to run.
    pub stages: Vec<Stage>,
    /// How they are joined.
    pub mode: Option<Mode>,
    /// Videos at the same time.
    pub workers: Option<usize>,
    /// Part of the videos.
    pub shard: Option<Shard>,
    /// Bound of the folder, in bytes.
    pub max_disk: Option<u64>,
    /// Whether raw videos and pictures stay.
    pub keep: bool,
    /// Bound of a file, in bytes.
    pub max_file_size: Option<u64>,
    /// Seconds without progress.
    pub stall_timeout: Option<f64>,
    /// Private addresses that may be fetched from.
    pub allow_hosts: Vec<String>,
    /// How it is shown.
    pub screen: ScreenOptions,
}

impl DatasetCommand {
    pub(super) fn into_action(self) -> DatasetAction {
        match self {
            Self::Run(args) => DatasetAction::Run(Box::new(args.into_options())),
            Self::Status { dir, json } => DatasetAction::Status { dir, json },
            Self::Retry(args) => DatasetAction::Retry {
                class: args.class,
                output: args.output,
                screen: args.screen.into(),
            },
            Self::Validate { config } => DatasetAction::Validate { config },
            Self::Merge {
                dirs,
                output,
                screen,
            } => DatasetAction::Merge {
                dirs,
                output,
                screen: screen.into(),
            },
            Self::Dedup {
                dir,
                dry_run,
                screen,
            } => DatasetAction::Dedup {
                dir,
                dry_run,
                screen: screen.into(),
            },
        }
    }
}

impl From<ScreenArgs> for ScreenOptions {
    fn from(args: ScreenArgs) -> Self {
        Self {
            progress: args.progress,
            quiet: args.quiet,
            json: args.json,
        }
    }
}

impl RunArgs {
    fn into_options(self) -> RunOptions {
        RunOptions {
            config: self.config,
            inputs: self.inputs,
            output: self.output,
            every: self.every,
            keep_damaged: self.keep_damaged,
            detector: self.detector,
            names: self.names,
            detector_format: self.detector_format,
            detector_norm: self.detector_norm,
            classes: self.classes,
            score_only: self.score_only,
            formats: self.format,
            stages: self.stages,
            mode: self.mode,
            workers: self.workers.map(usize::from),
            shard: self.shard,
            max_disk: self.max_disk,
            keep: self.keep,
            max_file_size: self.max_file_size,
            stall_timeout: self.stall_timeout,
            allow_hosts: self.allow_host,
            screen: self.screen.into(),
        }
    }
}

fn size(text: &str) -> Result<u64, String> {
    match bytes_of_size(text) {
        Some(0) => Err("more than nothing".to_owned()),
        Some(bytes) if bytes > MOST_BYTES => Err("at most 1048576T".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("a size such as 20G or 800M".to_owned()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(secs) if (0.1..=1e6).contains(&secs) => Ok(secs),
        _ => Err("a number of seconds from 0.1 to 1000000".to_owned()),
    }
}

fn help() -> String {
    let examples = "\
Examples:
  framewright dataset run --inputs films.txt -o frames --every 2s
  framewright dataset run --inputs films.txt -o cats --detector yolox.onnx --classes cat,dog --format coco,yolo
  framewright dataset run cats.toml --workers 4
  framewright dataset run cats.toml --shard 0/4 -o part0
  framewright dataset merge part0 part1 part2 part3 -o cats

Ctrl-C stops at once; the same command continues. What was fetched and done stays.

Environment:
  FRAMEWRIGHT_ORT    path of ONNX Runtime's library, for detectors and text; framewright setup fetches one";
    format!("{examples}\n\n{}", exit_codes())
}
