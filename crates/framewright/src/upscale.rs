//! `framewright upscale`: make a video larger, every frame, timestamp and stream in place.
//!
//! ```text
//! decode ─▶ compare ─▶ upscale (workers) ─▶ compose ─▶ encode and mux
//!    └───── packets of the other streams travel along, in file order ─────┘
//! ```
//! Invariants: frames out == frames in, checked; the final name appears only for a whole film.

pub mod cells;
mod cgroup;
pub mod compare;
pub(crate) mod compose;
pub(crate) mod interruption;
pub(crate) mod mapping;
mod memory;
mod motion;
pub(crate) mod outputs;
pub mod pixel_format;
pub mod plan;
pub(crate) mod prepare;
mod regions;
mod resources;
mod reuse_map;
pub mod savings;
pub(crate) mod side_films;
pub(crate) mod stages;
mod summary;
mod target;
#[cfg(test)]
mod test_film;
pub(crate) mod trouble;
mod warm_up;
mod ways;
pub(crate) mod worker;
mod writer;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context as _;
use framewright_infer::Canceller;
use framewright_media::{Decoder, Interrupt, Normaliser, set_log_warnings};
use framewright_pipeline::{
    Budget, Control, Ending, Failure, Gauges, Run, bottleneck, run as run_stages,
};

use crate::cli::{Options, Reuse};
use crate::exit::Exit;
use crate::notes::Notes;
use crate::progress::{Progress, Snapshot};
use crate::report;
use crate::screen::{Line, Screen};
use compare::Compare;
use interruption::Interruption;
use mapping::{Document, Mapping};
use outputs::Outputs;
use plan::Plan;
use prepare::{Prepared, prepare};
use resources::frame_bytes;
use side_films::SideFilms;
use stages::{PACKETS_BYTES, PICTURES, Reader, Tally};
use trouble::{from_failure, marked};
use warm_up::{part_overhead, state_cost};
use ways::Ways;
use worker::Worker;
use writer::Writer;

/// Frames that wait between two stages; the pixels are bounded by the budget.
pub(crate) const QUEUE: usize = 4;

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
        let tally = Tally::default();
        let worker = make_workers(&mut prepared, 1)?.remove(0);
        analyse(&mut prepared, &control, worker, &tally, &mut mapping).map_err(from_failure)?;
        summary::note_health(prepared.decoder.health(), &tally, &notes);
        // Half a plan is none.
        if let Some(exit) = signals.caught() {
            return Ok(exit);
        }
        write_plan(options, &prepared.plan, &mapping, Some(&tally))?;
        return Ok(Exit::Ok);
    }

    let outputs = Outputs::claim(options, &prepared.plan)?;
    signals.removes(outputs.clean_ups());
    let (writer, side_films) = outputs.open(&prepared)?;
    let n_workers = prepared.plan.workers;
    let mut workers = make_workers(&mut prepared, n_workers)?;
    let tally = Arc::new(Tally::default());
    let gauges = Arc::new(OnceLock::new());
    let mut ended = {
        let _progress = Progress::start(screen, sampler(&prepared, &tally, &gauges));
        let Prepared { plan, decoder, .. } = &mut prepared;
        flow(
            plan,
            &control,
            decoder,
            &mut workers,
            side_films,
            writer,
            &tally,
            &mut mapping,
            &gauges,
        )
        .map_err(from_failure)?
    };
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
    let output = outputs.publish(&done, &signals, screen)?;
    if options.plan_out.is_some() {
        write_plan(options, &prepared.plan, &mapping, None)?;
    }
    summary::report(options, &prepared, &done, output, &notes, screen)?;
    if done.ended.ending != Ending::Completed {
        return Ok(signals.caught().unwrap_or(Exit::Ok));
    }
    // What there is of the film was published; a script is not to take it for the film.
    Ok(if prepared.decoder.health().has_lost_most() {
        Exit::SomeFailed
    } else {
        Exit::Ok
    })
}

/// The data flow. Each stage is one line here and one function in `stages`.
#[expect(
    clippy::too_many_arguments,
    reason = "everything that meets in a run, and nowhere else"
)]
pub(crate) fn flow(
    plan: &Plan,
    control: &Control,
    decoder: &mut Decoder,
    workers: &mut [Worker],
    side_films: SideFilms,
    writer: Writer,
    tally: &Tally,
    mapping: &mut Mapping,
    gauges: &OnceLock<Gauges>,
) -> Result<Run, Failure> {
    let cancellers: Vec<Canceller> = workers.iter().map(Worker::canceller).collect();
    let _cancel = control.on_stop(move || cancellers.iter().for_each(Canceller::cancel));
    let compare = Compare::new(plan.rule());
    let ways = Ways::new(
        plan.state_costs(),
        workers.first().map_or(0, Worker::next_turn),
    );
    let is_viewed = side_films.any();
    let workers: Vec<&mut Worker> = workers.iter_mut().collect();
    run_stages(control, |p| {
        let budgets = [plan.memory_budget_bytes, PACKETS_BYTES].map(|bytes| p.budget(bytes));
        let mut reader = reader(plan, decoder, tally, budgets);
        let may_hold = plan.memory_budget_bytes >= PICTURES * reader.frame_bytes;
        let decoded = p.source("decode", QUEUE, move || reader.next());
        let compared = p.stage("compare", QUEUE, decoded, move |rx, tx| {
            stages::compare(&rx, &tx, compare, ways, may_hold, mapping, is_viewed)
        });
        let upscaled = p.par_map("upscale", plan.window, compared, workers, |worker, item| {
            worker.upscale(item, control.is_finishing())
        });
        let composed = p.stage("compose", QUEUE, upscaled, |rx, tx| {
            stages::compose(&rx, &tx, tally, side_films)
        });
        p.sink("encode", composed, |rx| stages::write(&rx, writer, tally));
        // The progress display may look from now on.
        let _ = gauges.set(p.gauges());
    })
}

/// The first half of the flow, for `--plan-only`: what would be computed, without computing it.
fn analyse(
    prepared: &mut Prepared,
    control: &Control,
    worker: Worker,
    tally: &Tally,
    mapping: &mut Mapping,
) -> Result<Run, Failure> {
    let Prepared { plan, decoder, .. } = prepared;
    let compare = Compare::new(plan.rule());
    let ways = Ways::new(plan.state_costs(), worker.next_turn());
    run_stages(control, |p| {
        let budgets = [plan.memory_budget_bytes, PACKETS_BYTES].map(|bytes| p.budget(bytes));
        let mut reader = reader(plan, decoder, tally, budgets);
        let may_hold = plan.memory_budget_bytes >= PICTURES * reader.frame_bytes;
        let decoded = p.source("decode", QUEUE, move || reader.next());
        let compared = p.stage("compare", QUEUE, decoded, move |rx, tx| {
            stages::compare(&rx, &tx, compare, ways, may_hold, mapping, false)
        });
        p.sink("count", compared, move |rx| {
            stages::count(&rx, &worker, tally)
        });
    })
}

pub(crate) fn reader<'a>(
    plan: &Plan,
    decoder: &'a mut Decoder,
    tally: &'a Tally,
    [budget, packets]: [Budget; 2],
) -> Reader<'a> {
    let clip = decoder.clip();
    let (source, result) = frame_bytes(clip, plan.decided.pixel_format, plan.width, plan.height);
    Reader {
        normaliser: Normaliser::new(&clip.video),
        decoder,
        budget,
        frame_bytes: source + result,
        packets,
        waiting: None,
        tally,
    }
}

/// What came out of a run that did not fail.
pub(crate) struct Done<'a> {
    ended: Run,
    tally: &'a Tally,
    mapping: &'a Mapping,
    started: Instant,
}

/// Workers with their networks. Where parts are to be computed or a state is kept, what that costs is measured and becomes
/// part of the plan.
pub(crate) fn make_workers(prepared: &mut Prepared, n: usize) -> anyhow::Result<Vec<Worker>> {
    let Prepared { plan, decoder, .. } = prepared;
    let mut upscalers = prepared.model.upscalers(n).map_err(marked)?;
    let video = &decoder.clip().video;
    let (width, height) = (video.width, video.height);
    if matches!(plan.reuse, Reuse::Region | Reuse::Incremental) {
        let overhead = part_overhead(upscalers[0].as_mut(), width, height);
        plan.part_overhead = Some(overhead.map_err(marked)?);
    }
    let mut states = Vec::new();
    if plan.reuse == Reuse::Incremental {
        let cost = state_cost(&prepared.model, upscalers[0].as_mut());
        plan.state_cost = cost.map_err(marked)?;
        states = prepared
            .model
            .incremental(width, height, n)
            .unwrap_or_default();
    }
    let mut states = states.into_iter();
    let fixed_cost = plan.part_overhead.unwrap_or_default();
    let workers = upscalers
        .into_iter()
        .map(|upscaler| Worker::new(upscaler, states.next(), plan.decided, fixed_cost));
    workers.collect::<Result<_, _>>().map_err(marked)
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
        videos: None,
    }
}

/// Writes `plan.json` where it was asked for; with `--plan-only` also prints it.
fn write_plan(
    options: &Options,
    plan: &Plan,
    mapping: &Mapping,
    analysed: Option<&Tally>,
) -> anyhow::Result<()> {
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
    lines.extend(analysed.map(|tally| summary::effects_line(&tally.savings().effects())));
    report::print(&lines.join("\n"))
}
