//! The plan: every decision of a run as one value, made before it starts, printable and serialisable.
//!
//! [`plan`] is pure: what was asked, what the clip and the model are, what the machine and the encoder can do, in;
//! decisions with their reasons out. Running never decides again; where it has to do otherwise, it says so.
//!
//! Here are the plan and the decisions about picture, model and reuse; `document` says what the files are, `streams`
//! decides what becomes of everything beside the picture, `resources` how much of the machine is used.

use std::path::Path;

use framewright_infer::ModelInfo;
use framewright_media::{Clip, ColourTags, Container, PixelFormat};
use serde::Serialize;

use crate::cli::{Encoder, Options, Precision, Reuse};
use crate::exit::{Exit, fail};
use crate::report::Model;
use crate::upscale::compare::Rule;
use crate::upscale::memory::{Chosen, Encoding, Load, Memory, refuse};
use crate::upscale::pixel_format;
use crate::upscale::resources::{
    Machine, WINDOW_PER_WORKER, choose_workers, frame_bytes, in_flight, n_composites, rgb_bytes,
    worker_bytes,
};
use crate::upscale::ways::StateCosts;
use document::describe_input;
use streams::{choose_streams, conversions, lost_rotation, too_large};

pub use document::{Colour, Input, Output};
pub use streams::{Action, StreamPlan};

mod document;
mod reuse;
mod streams;

/// What the encoder in this FFmpeg can do.
#[derive(Debug, Clone)]
pub struct EncoderFacts {
    /// FFmpeg's name of what it writes, such as `h264`.
    pub codec: String,
    /// The pixel formats it takes.
    pub pixel_formats: Vec<PixelFormat>,
}

/// The decisions of one run. Serialised as `plan.json`, version 1.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Version of this document, 1.
    pub version: u32,
    /// What is read.
    pub input: Input,
    /// What is written; none with the null encoder.
    pub output: Option<Output>,
    /// Size of the result in pixels.
    pub width: usize,
    /// Size of the result in pixels.
    pub height: usize,
    /// The network.
    pub model: Model,
    /// What runs the network.
    pub engine: String,
    /// Where it runs.
    pub device: String,
    /// Its arithmetic.
    pub precision: String,
    /// Frames computed at the same time, each on one thread.
    pub workers: usize,
    /// Memory of each of them: its network's, and a picture and its result in RGB.
    pub worker_bytes: u64,
    /// Frames between the reader and the writer, at most.
    pub window: usize,
    /// Pixels in flight, at most.
    pub memory_budget_bytes: u64,
    /// All that the run takes, at most.
    pub memory: Memory,
    /// Threads of the encoder; none where it takes as many as it likes.
    pub encoder_threads: Option<usize>,
    /// Which results are used again.
    pub reuse: Reuse,
    /// Memory of the network's state: what every layer made of a picture; none where none is kept.
    pub state_bytes: Option<u64>,
    /// What the same arithmetic takes where the state is kept, in units of computing a picture without it: measured before
    /// the run; none where no state is kept.
    pub state_cost: Option<f64>,
    /// In 8-bit levels.
    pub tolerance: f32,
    /// Pictures that are kept to be shown again or built upon, at most.
    pub composites: usize,
    /// How far a result looks around its place, in pixels of the input; none where that is unlimited or not known.
    pub reach: Option<usize>,
    /// Pictures that have moved by multiples of this are recognised; none where their results would not move alike.
    pub shift_step: Option<usize>,
    /// What computing a part of a picture costs beside its arithmetic, in units of a whole picture: measured before the
    /// run; none where parts are not computed.
    pub part_overhead: Option<f64>,
    /// Streams of the input, in order, and what becomes of them.
    pub streams: Vec<StreamPlan>,
    /// Why it was decided so, and what was assumed.
    pub why: Vec<String>,
    /// What is done otherwise than a user would expect; said at the start of the run, too.
    pub fallbacks: Vec<String>,
    /// What the user should know before the run; said at its start, too.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(crate) decided: Decided,
}

/// Decisions in the media library's own types.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decided {
    pub(crate) container: Option<Container>,
    pub(crate) pixel_format: PixelFormat,
    pub(crate) tags: ColourTags,
}

impl Plan {
    /// What the comparison of frames goes by; none where every frame is computed.
    pub fn rule(&self) -> Option<Rule> {
        (self.reuse != Reuse::Off).then_some(Rule {
            tolerance: self.tolerance,
            reach: self.reach.filter(|_| self.reuse != Reuse::Frame),
            shift_step: self.shift_step,
            keeps_state: self.reuse == Reuse::Incremental,
            n_composites: self.composites,
        })
    }

    /// What the state costs; none where none is kept.
    pub fn state_costs(&self) -> Option<StateCosts> {
        let reach = self.reach.filter(|_| self.reuse == Reuse::Incremental)?;
        Some(StateCosts {
            reach,
            factor: self.state_cost.unwrap_or(1.0),
        })
    }
}

/// What was opened takes for frames of the clip's size.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// Memory of each worker's network.
    pub worker_bytes: u64,
    /// Memory of the state that all workers share; none where none can be kept.
    pub state_bytes: Option<u64>,
    /// Memory of the decoder.
    pub decoder_bytes: u64,
    /// Size of the file; none for a pipe.
    pub file_bytes: Option<u64>,
}

/// Decides everything about a run.
///
/// `output`: the final path with its
/// container; none with the null encoder.
///
/// # Errors
/// What was asked cannot be done: the container cannot hold a stream, the encoder does not take the pixel format, or there
/// is not enough memory.
pub fn plan(
    options: &Options,
    clip: &Clip,
    model: &ModelInfo,
    needs: Needs,
    machine: Machine,
    encoder: Option<&EncoderFacts>,
    output: Option<(&Path, Container)>,
) -> anyhow::Result<Plan> {
    let video = &clip.video;
    let scale = model.scale as usize;
    let (width, height) = (video.width * scale, video.height * scale);
    refuse_too_large(options, width, height)?;
    let (tags, assumed) = video
        .tags
        .complete(video.pixel_format, video.width, video.height);
    let mut why = Vec::new();
    if options.model.is_none() {
        why.push(format!("model {}: the default, none was named", model.name));
    }
    why.extend(model.notes.iter().cloned());
    why.extend(precision_why(options.precision, model));
    why.extend(
        assumed
            .iter()
            .map(|assumption| format!("input read with {assumption}")),
    );

    let choice = choose_pixel_format(options, clip, encoder, width, height)?;
    let pixel_format = choice.format;
    let mut fallbacks: Vec<String> = choice.fallback.into_iter().collect();
    let out_tags = tags.for_output(pixel_format, width, height);
    let (crf, preset) = choose_quality(options);
    let load = load(
        options,
        clip,
        needs,
        (pixel_format, width, height),
        machine,
        preset.as_deref(),
    );
    let least = load.memory(&Chosen::LEAST, machine);
    refuse_too_much(options, &least, clip, needs.file_bytes)?;
    let fitted = fit(
        options,
        clip,
        model,
        (&load, needs.state_bytes),
        machine,
        (pixel_format, width, height),
    );
    why.extend(machine.memory_why());
    why.extend(fitted.why);
    fallbacks.extend(fitted.fallbacks);
    let (chosen, reuse) = (fitted.chosen, fitted.reuse);
    let streams = choose_streams(clip, encoder, output)?;
    fallbacks.extend(conversions(&streams, output));
    fallbacks.extend(too_large(clip).filter(|_| output.is_some()));
    fallbacks.extend(lost_rotation(clip, output));
    Ok(Plan {
        version: 1,
        input: describe_input(clip, tags),
        output: output.map(|(path, container)| Output {
            path: path.to_owned(),
            container: container.name(),
            encoder: options.encoder.name(),
            crf,
            preset,
            pix_fmt: pixel_format.name(),
            colour: out_tags.into(),
        }),
        width,
        height,
        model: Model {
            name: model.name.clone(),
            sha256: model.sha256.clone(),
            scale: model.scale,
            passes: model.passes,
        },
        engine: model.engine.into(),
        device: model.device.into(),
        precision: model.precision.into(),
        workers: chosen.workers,
        worker_bytes: load.worker_bytes,
        window: WINDOW_PER_WORKER * chosen.workers,
        memory_budget_bytes: chosen.budget_bytes,
        memory: load.memory(&chosen, machine),
        encoder_threads: fitted.encoder_threads,
        reuse,
        state_bytes: Some(chosen.state_bytes).filter(|&bytes| bytes > 0),
        state_cost: None,
        tolerance: options.tolerance,
        composites: chosen.composites,
        reach: model.reach,
        shift_step: model.shift_step,
        part_overhead: None,
        warnings: warnings(clip, tags, &streams, output.is_some()),
        streams,
        why,
        fallbacks,
        decided: Decided {
            container: output.map(|(_, container)| container),
            pixel_format,
            tags: out_tags,
        },
    })
}

/// The encoder's pixel format; without an encoder the source's own.
fn choose_pixel_format(
    options: &Options,
    clip: &Clip,
    encoder: Option<&EncoderFacts>,
    width: usize,
    height: usize,
) -> anyhow::Result<pixel_format::Choice> {
    let source = clip.video.pixel_format;
    let Some(encoder) = encoder else {
        return Ok(pixel_format::Choice {
            format: pixel_format::of_source(source),
            fallback: None,
        });
    };
    let request = pixel_format::Request {
        source,
        asked: options.pix_fmt.as_deref(),
        encoder: options.encoder,
        width,
        height,
    };
    pixel_format::choose(&request, &encoder.pixel_formats)
}

/// As much of everything as fits in memory, with what has to be said of it.
struct Fitted {
    chosen: Chosen,
    reuse: Reuse,
    /// Set where the encoder has to do with fewer threads than it would take.
    encoder_threads: Option<usize>,
    why: Vec<String>,
    fallbacks: Vec<String>,
}

fn fit(
    options: &Options,
    clip: &Clip,
    model: &ModelInfo,
    (load, state_bytes): (&Load, Option<u64>),
    machine: Machine,
    (pixel_format, width, height): (PixelFormat, usize, usize),
) -> Fitted {
    let least = load.memory(&Chosen::LEAST, machine);
    let room =
        (machine.memory_bytes / 2).min(machine.memory_bytes.saturating_sub(least.planned_bytes));
    let reuse = reuse::choose(options.reuse, model, state_bytes, room);
    let mut why: Vec<String> = reuse.why.into_iter().collect();
    let mut fallbacks: Vec<String> = reuse.fallback.into_iter().collect();
    // The rest has to do for everything else.
    let state_bytes = reuse.state_bytes.unwrap_or(0);
    let rest = machine.without(state_bytes);
    let (workers, workers_why) = choose_workers(options.workers, rest, load.worker_bytes);
    let wanted = Chosen {
        workers,
        budget_bytes: in_flight(workers, rest, clip, pixel_format, width, height),
        composites: n_composites(rest, clip, pixel_format, width, height),
        encoder_threads: load.encoding.own_threads(machine.n_cores),
        state_bytes,
    };
    let chosen = load.fit(wanted, machine);
    if chosen.workers < workers {
        let memory = load.memory(&wanted, machine);
        fallbacks.push(format!(
            "{} instead of {workers} workers: {}",
            chosen.workers,
            memory.too_much()
        ));
    } else {
        why.push(workers_why);
    }
    let encoder_threads =
        (chosen.encoder_threads < wanted.encoder_threads).then_some(chosen.encoder_threads);
    if let Some(threads) = encoder_threads {
        why.push(format!(
            "encoder threads {threads}: more might not fit in memory"
        ));
    }
    Fitted {
        chosen,
        reuse: reuse.reuse,
        encoder_threads,
        why,
        fallbacks,
    }
}

/// What the run needs, whatever is chosen.
fn load(
    options: &Options,
    clip: &Clip,
    needs: Needs,
    (pixel_format, width, height): (PixelFormat, usize, usize),
    machine: Machine,
    preset: Option<&str>,
) -> Load {
    let video = &clip.video;
    let (source_bytes, result_bytes) = frame_bytes(clip, pixel_format, width, height);
    let (composites, map) = (&options.dump_composite, &options.reuse_map);
    Load {
        source_bytes,
        result_bytes,
        worker_bytes: worker_bytes(
            needs.worker_bytes,
            video.width,
            video.height,
            width / video.width.max(1),
        ),
        rgb_result_bytes: rgb_bytes(width, height),
        decoder_bytes: needs.decoder_bytes,
        encoding: Encoding::new(options.encoder, preset),
        side_films_bytes: Encoding::side_films_bytes(
            source_bytes,
            composites.is_some(),
            map.is_some(),
            machine.n_cores,
        ),
    }
}

/// Most pixels of a result; FFmpeg lays out no more, with borders of 128 pixels (`av_image_check_size`).
const MAX_RESULT_PIXELS: usize = i32::MAX as usize / 8;

/// Refuses a result that no encoder could be given: the scale where one was asked for, else the clip.
fn refuse_too_large(options: &Options, width: usize, height: usize) -> anyhow::Result<()> {
    let padded = (width + 128).saturating_mul(height + 128);
    if padded < MAX_RESULT_PIXELS {
        return Ok(());
    }
    let megapixels = MAX_RESULT_PIXELS / 1_000_000;
    let (exit, what_to_do) = match options.scale {
        Some(_) => (Exit::Usage, "choose a smaller --scale"),
        None => (Exit::BadInput, "make the frames smaller first"),
    };
    let message = format!(
        "the result would be {width}x{height} pixels, and FFmpeg takes no more than {megapixels} million; {what_to_do}"
    );
    Err(fail(exit, message))
}

/// Refuses what does not fit even by the least that can be chosen. A mere plan has to fit as far as it reads and compares.
fn refuse_too_much(
    options: &Options,
    least: &Memory,
    clip: &Clip,
    file_bytes: Option<u64>,
) -> anyhow::Result<()> {
    let size = (clip.video.width, clip.video.height);
    if !options.plan_only {
        return refuse(least, size, file_bytes);
    }
    let reading = Memory {
        planned_bytes: least.reading_bytes(),
        encoder_bytes: 0,
        workers_bytes: 0,
        ..*least
    };
    refuse(&reading, size, file_bytes)
}

/// Why the model is computed in its precision; none where there is nothing to compute.
fn precision_why(asked: Precision, model: &ModelInfo) -> Option<String> {
    let reason = match (asked, model.engine, model.precision) {
        (_, "none", _) => return None,
        (Precision::Fp32 | Precision::Bf16, _, precision) => {
            return Some(format!("precision {precision}, as asked"));
        }
        (Precision::Auto, "native", "bf16") => {
            "this processor multiplies it faster; single values differ from fp32 by a few 8-bit levels at most \
             (--precision decides)"
        }
        (Precision::Auto, "native", _) => "no bf16 products (AVX512-BF16) are to be had here",
        (Precision::Auto, _, _) => "the only one of this engine",
    };
    Some(format!("precision {}: {reason}", model.precision))
}

/// Quality for a film that is watched, not streamed: visually transparent by each encoder's common advice.
fn choose_quality(options: &Options) -> (Option<u8>, Option<String>) {
    let (crf, preset) = match options.encoder {
        Encoder::Libx264 => (Some(18), None),
        Encoder::Libx265 => (Some(20), None),
        // FFmpeg's default is the fastest and worst preset in some versions.
        Encoder::Libsvtav1 => (Some(24), Some("8")),
        Encoder::Ffv1 | Encoder::Null => (None, None),
    };
    (
        options.crf.or(crf),
        options.preset.clone().or(preset.map(String::from)),
    )
}

fn warnings(clip: &Clip, tags: ColourTags, streams: &[StreamPlan], written: bool) -> Vec<String> {
    let video = &clip.video;
    let mut warnings = Vec::new();
    if video.interlaced {
        warnings.push(
            "the video is interlaced and is upscaled field pairs as they are; deinterlace it first"
                .into(),
        );
    }
    if tags.is_hdr() {
        warnings.push(format!(
            "the video is HDR ({}); its values pass through unchanged, but most networks were trained on SDR",
            tags.transfer_name()
        ));
    }
    if video.dolby_vision {
        warnings
            .push("dolby vision data cannot be kept; the output plays as its base layer".into());
    }
    if video.pixel_format.has_alpha() && video.pixel_format.name() != "pal8" {
        warnings.push("transparency is not kept".into());
    }
    for stream in streams
        .iter()
        .filter(|stream| written && stream.action == Action::LeaveOut)
    {
        let (kind, index, codec) = (&stream.kind, stream.index, &stream.codec);
        warnings.push(format!(
            "{kind} stream {index} ({codec}) cannot be copied and is left out"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(engine: &'static str, precision: &'static str) -> ModelInfo {
        ModelInfo {
            name: "tiny-x2".into(),
            sha256: None,
            scale: 2,
            passes: 1,
            alignment: 1,
            min_size: 1,
            reach: None,
            shift_step: None,
            engine,
            device: "cpu",
            precision,
            notes: vec![],
        }
    }

    fn why(asked: Precision, engine: &'static str, precision: &'static str) -> Option<String> {
        precision_why(asked, &info(engine, precision))
    }

    #[test]
    fn a_precision_has_a_reason_wherever_a_network_runs() {
        let auto = |engine, precision| why(Precision::Auto, engine, precision).unwrap();
        assert!(auto("native", "bf16").starts_with("precision bf16: this processor multiplies"));
        assert!(auto("native", "fp32").contains("no bf16 products"));
        assert_eq!(
            auto("ort", "fp32"),
            "precision fp32: the only one of this engine"
        );
        let asked = why(Precision::Fp32, "native", "fp32").unwrap();
        assert_eq!(asked, "precision fp32, as asked");
        assert_eq!(why(Precision::Auto, "none", "fp32"), None);
    }
}
