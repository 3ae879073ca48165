//! `framewright upscale`: make a video larger, every frame, timestamp and stream in place.
//!
//! ```text
//! decode ─▶ compare ─▶ upscale (workers) ─▶ encode and mux
//!    └─ packets of the other streams travel along, in file order ─┘
//! ```
//! Invariants: frames out == frames in, checked; the final name appears only for a whole film.

pub mod compare;
mod interruption;
mod mapping;
pub mod pixel_format;
pub mod plan;
mod prepare;
mod resources;
mod stages;
mod summary;
mod target;
mod trouble;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context as _;
use framewright_infer::Canceller;
use framewright_media::{
    Decoder, EncodeSettings, Encoder, Interrupt, Muxer, Normaliser, set_log_warnings,
};
use framewright_pipeline::{
    BoxError, Control, Ending, Failure, Gauges, Run, bottleneck, run as run_stages,
};

use crate::cli::{Options, Reuse};
use crate::exit::{Exit, fail};
use crate::notes::Notes;
use crate::progress::{Progress, Snapshot};
use crate::report;
use crate::screen::{Line, Screen};
use compare::Compare;
use interruption::{Interruption, STOPPED};
use mapping::{Document, Mapping};
use plan::{Action, Plan};
use prepare::{Prepared, prepare};
use resources::picture_bytes;
use stages::{Reader, Tally, Worker};
use target::Target;
use trouble::{from_failure, marked};
use writer::Writer;

/// Frames that wait between two stages; the pixels are bounded by the budget.
const QUEUE: usize = 4;

/// Runs the job to its end and says how it ended.
///
/// # Errors
/// Anything that keeps the film from being written whole; nothing is left then.
pub fn upscale(options: &Options, screen: &Screen) -> anyhow::Result<Exit> {
    let started = Instant::now();
    set_log_warnings(options.verbose);
    let notes = Notes::new(screen.clone());
    let (control, interrupt) = (Control::new(), Interrupt::default());
    let signals = Interruption::watch(&control, &interrupt, screen)?;
    let mut prepared = match (prepare(options, &interrupt, &notes), signals.caught()) {
        (Ok(prepared), _) => prepared,
        (Err(_), Some(exit)) => return Ok(exit),
        (Err(error), None) => return Err(error),
    };
    if options.verbose {
        for line in summary::plan_lines(&prepared.plan) {
            screen.say(&Line::Info(line));
        }
    }
    let mut mapping = Mapping::default();
    if options.plan_only {
        analyse(&mut prepared, &control, &mut mapping).map_err(from_failure)?;
        summary::note_health(prepared.decoder.health(), &Tally::default(), &notes);
        // Half a plan is none.
        if let Some(exit) = signals.caught() {
            return Ok(exit);
        }
        write_plan(options, &prepared.plan, &mapping)?;
        return Ok(Exit::Ok);
    }

    let target = match &prepared.plan.output {
        Some(output) => Some(Target::claim(&output.path, options.overwrite)?),
        None => None,
    };
    if let Some(target) = &target {
        signals.removes(target.hidden());
    }
    let writer = open_writer(&prepared, target.as_ref())?;
    let workers = make_workers(&prepared)?;
    let tally = Arc::new(Tally::default());
    let gauges = Arc::new(OnceLock::new());
    let mut ended = {
        let _progress = Progress::start(screen, sampler(&prepared, &tally, &gauges));
        let Prepared { plan, decoder, .. } = &mut prepared;
        flow(
            plan,
            &control,
            decoder,
            workers,
            writer,
            &tally,
            &mut mapping,
            &gauges,
        )
        .map_err(from_failure)?
    };
    signals.run_has_ended();
    let (frames_in, frames_out) = (
        tally.frames_in.load(Relaxed),
        tally.frames_out.load(Relaxed),
    );
    if control.is_finishing() && frames_out < frames_in && ended.ending == Ending::Completed {
        // All was read, but not all of it computed.
        ended.ending = Ending::Finished;
    }
    mapping.truncate(frames_out);
    let done = Done {
        ended,
        tally: &tally,
        mapping: &mapping,
        started,
    };
    summary::note_health(prepared.decoder.health(), &tally, &notes);
    let output = publish(&done, target, screen)?;
    if options.plan_out.is_some() {
        write_plan(options, &prepared.plan, &mapping)?;
    }
    summary::report(options, &prepared, &done, output, &notes, screen)?;
    Ok(signals
        .caught()
        .filter(|_| done.ended.ending != Ending::Completed)
        .unwrap_or(Exit::Ok))
}

/// The data flow. Each stage is one line here and one function in `stages`.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that meets in a run, and nowhere else"
)]
fn flow(
    plan: &Plan,
    control: &Control,
    decoder: &mut Decoder,
    workers: Vec<Worker>,
    writer: Writer,
    tally: &Tally,
    mapping: &mut Mapping,
    gauges: &OnceLock<Gauges>,
) -> Result<Run, Failure> {
    let cancellers: Vec<Canceller> = workers.iter().map(Worker::canceller).collect();
    let _cancel = control.on_stop(move || cancellers.iter().for_each(Canceller::cancel));
    let compare = Compare::new((plan.reuse == Reuse::Frame).then_some(plan.tolerance));
    run_stages(control, |p| {
        let mut reader = reader(plan, decoder, tally, p.budget(plan.memory_budget_bytes));
        let decoded = p.source("decode", QUEUE, move || reader.next());
        let compared = p.stage("compare", QUEUE, decoded, |rx, tx| {
            stages::compare(&rx, &tx, compare, mapping)
        });
        let upscaled = p.par_map("upscale", plan.window, compared, workers, |worker, item| {
            worker.upscale(item, control.is_finishing())
        });
        p.sink("encode", upscaled, |rx| stages::write(&rx, writer, tally));
        // The progress display may look from now on.
        let _ = gauges.set(p.gauges());
    })
}

/// The first half of the flow, for `--plan-only`: what would be computed, without computing it.
fn analyse(
    prepared: &mut Prepared,
    control: &Control,
    mapping: &mut Mapping,
) -> Result<Run, Failure> {
    let Prepared { plan, decoder, .. } = prepared;
    let compare = Compare::new((plan.reuse == Reuse::Frame).then_some(plan.tolerance));
    let tally = Tally::default();
    run_stages(control, |p| {
        let mut reader = reader(plan, decoder, &tally, p.budget(plan.memory_budget_bytes));
        let decoded = p.source("decode", QUEUE, move || reader.next());
        let compared = p.stage("compare", QUEUE, decoded, |rx, tx| {
            stages::compare(&rx, &tx, compare, mapping)
        });
        p.sink("count", compared, |rx| {
            while rx.recv()?.is_some() {}
            Ok::<(), BoxError>(())
        });
    })
}

fn reader<'a>(
    plan: &Plan,
    decoder: &'a mut Decoder,
    tally: &'a Tally,
    budget: framewright_pipeline::Budget,
) -> Reader<'a> {
    let video = &decoder.clip().video;
    let source = picture_bytes(video.pixel_format, video.width, video.height);
    let frame_bytes = source + picture_bytes(plan.decided.pixel_format, plan.width, plan.height);
    Reader {
        normaliser: Normaliser::new(video),
        decoder,
        budget,
        frame_bytes,
        tally,
    }
}

/// What came out of a run that did not fail.
struct Done<'a> {
    ended: Run,
    tally: &'a Tally,
    mapping: &'a Mapping,
    started: Instant,
}

/// The workers with their networks, as many as planned.
fn make_workers(prepared: &Prepared) -> anyhow::Result<Vec<Worker>> {
    let upscalers = prepared
        .model
        .upscalers(prepared.plan.workers)
        .map_err(marked)?;
    let workers = upscalers
        .into_iter()
        .map(|upscaler| Worker::new(upscaler, prepared.plan.decided));
    workers.collect::<Result<_, _>>().map_err(marked)
}

/// Opens the encoder and writes the file's headers.
fn open_writer(prepared: &Prepared, target: Option<&Target>) -> anyhow::Result<Writer> {
    let (Prepared { plan, decoder, .. }, Some(target)) = (prepared, target) else {
        return Ok(Writer::Null);
    };
    let (Some(output), Some(container)) = (&plan.output, plan.decided.container) else {
        return Ok(Writer::Null);
    };
    let video = &decoder.clip().video;
    let settings = EncodeSettings {
        encoder: output.encoder.into(),
        crf: output.crf.map(f32::from),
        preset: output.preset.clone(),
        pixel_format: plan.decided.pixel_format,
        width: plan.width,
        height: plan.height,
        time_base: video.time_base,
        frame_rate: video.frame_rate,
        sample_aspect_ratio: video.sample_aspect_ratio,
        tags: plan.decided.tags,
    };
    let encoder = Encoder::open(&settings, container).map_err(marked)?;
    let left_out: Vec<usize> = plan
        .streams
        .iter()
        .filter(|s| s.action == Action::LeaveOut)
        .map(|s| s.index)
        .collect();
    let muxer =
        Muxer::create(target.hidden(), container, decoder, &left_out, &encoder).map_err(marked)?;
    Ok(Writer::File {
        encoder,
        muxer: Box::new(muxer),
    })
}

/// Gives the file its name: the final one for a whole film, another for the playable part that an interrupted run did.
fn publish(
    done: &Done<'_>,
    target: Option<Target>,
    screen: &Screen,
) -> anyhow::Result<Option<PathBuf>> {
    let (frames_in, frames_out) = (
        done.tally.frames_in.load(Relaxed),
        done.tally.frames_out.load(Relaxed),
    );
    let say = |text: String| screen.say(&Line::Info(text));
    match done.ended.ending {
        Ending::Stopped => {
            say(STOPPED.into());
            Ok(None)
        }
        Ending::Completed if frames_in != frames_out => Err(fail(
            Exit::Failed,
            format!("{frames_in} frames went in and {frames_out} came out; nothing is kept"),
        )),
        Ending::Completed => target.map(Target::publish).transpose(),
        Ending::Finished if frames_out == 0 => {
            say("interrupted before the first frame was done: nothing is left of this run".into());
            Ok(None)
        }
        Ending::Finished => {
            let path = target.map(Target::publish_partial).transpose()?;
            if let Some(path) = &path {
                say(format!(
                    "interrupted: the first {frames_out} frames are in a playable file: {}",
                    path.display()
                ));
            }
            Ok(path)
        }
    }
}

/// What the progress display shows, sampled from the counters.
fn sampler(
    prepared: &Prepared,
    tally: &Arc<Tally>,
    gauges: &Arc<OnceLock<Gauges>>,
) -> impl Fn() -> Snapshot + Send + 'static {
    let count = prepared.decoder.clip().video.n_frames;
    let (tally, gauges) = (Arc::clone(tally), Arc::clone(gauges));
    move || Snapshot {
        done: tally.frames_out.load(Relaxed),
        total: count.map(|count| count.frames),
        total_is_estimate: count.is_some_and(|count| !count.exact),
        repeats: tally.repeats.load(Relaxed),
        bottleneck: gauges
            .get()
            .and_then(|gauges: &Gauges| bottleneck(&gauges.sample()).map(String::from)),
    }
}

/// Writes `plan.json` where it was asked for; with `--plan-only` also prints it.
fn write_plan(options: &Options, plan: &Plan, mapping: &Mapping) -> anyhow::Result<()> {
    let document = Document::new(plan, mapping);
    if let Some(path) = &options.plan_out {
        report::write_json(path, &document).context("cannot write the plan")?;
    }
    if !options.plan_only {
        return Ok(());
    }
    if options.json {
        return report::print_json(&document);
    }
    let mut lines = summary::plan_lines(plan);
    lines.push(summary::repeats_line(mapping));
    report::print(&lines.join("\n"))
}
