//! The arguments of `framewright bench`.

use std::path::PathBuf;

use clap::Args;

use super::Options;
use super::shared::{EncodingArgs, LikenessArgs, NetworkArgs, shared};

pub(super) const ABOUT: &str = "\
Measure on a part of a video what speed and quality to expect here

Upscales the same frames one at a time, then with everything that makes it faster, step by step:
frames computed at the same time, repeated frames shown again, unchanged parts used again. Every
run goes the whole way from decoding to a file, which is removed again. The video is not changed.";

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// The video to measure on
    input: PathBuf,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    likeness: LikenessArgs,

    #[command(flatten)]
    encoding: EncodingArgs,

    /// Where to begin, in seconds [default: a third into the video]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    start: Option<f64>,

    /// How much of the video to measure on [default: what takes about a minute]
    #[arg(long, value_name = "SECONDS", value_parser = seconds_of_video)]
    seconds: Option<f64>,

    /// Print JSON on standard output
    #[arg(long)]
    json: bool,
}

/// What was asked of `framewright bench`.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchOptions {
    /// What to measure, as it would be asked of `upscale`; without an output.
    pub upscale: Options,
    /// Where to begin, in seconds from the first frame; none for a third into the video.
    pub start_secs: Option<f64>,
    /// How much of the video, in seconds, above 0; none for what takes about a minute.
    pub length_secs: Option<f64>,
}

impl BenchArgs {
    pub(super) fn into_options(self) -> BenchOptions {
        BenchOptions {
            upscale: Options {
                input: self.input,
                json: self.json,
                ..shared(self.network, &self.likeness, self.encoding)
            },
            start_secs: self.start,
            length_secs: self.seconds,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(secs) if (0.0..1e9).contains(&secs) => Ok(secs),
        _ => Err("a number of seconds, such as 12.5".to_owned()),
    }
}

fn seconds_of_video(text: &str) -> Result<f64, String> {
    seconds(text).and_then(|secs| match secs {
        0.0 => Err("more than 0 seconds are needed".to_owned()),
        secs => Ok(secs),
    })
}
