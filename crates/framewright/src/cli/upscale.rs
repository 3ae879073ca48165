//! The arguments of `framewright upscale`, and the end of its help.

use std::path::PathBuf;

use clap::Args;

use super::shared::{EncodingArgs, LikenessArgs, NetworkArgs, shared};
use super::{DOCUMENTS, ENCODING, MESSAGES, NETWORK, Options, ProgressMode, Reuse, exit_codes};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(super) struct UpscaleArgs {
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

    /// Which results are used again [default: incremental, or region where no state fits]
    #[arg(long, value_enum, help_heading = NETWORK)]
    reuse: Option<Reuse>,

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

impl UpscaleArgs {
    pub(super) fn into_options(self) -> Options {
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

/// What follows the options in the long help.
pub(super) fn help() -> String {
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
