//! What a run says for itself: the plan in words, what was wrong with the input, the report.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context as _;
use framewright_media::Health;
use framewright_pipeline::{Ending, StageStats, bottleneck};

use crate::cli::{Options, Reuse};
use crate::notes::Notes;
use crate::report::{self, Report, cpu_secs, peak_rss_bytes};
use crate::screen::{Line, Screen};
use crate::upscale::Done;
use crate::upscale::mapping::{Mapping, percentage};
use crate::upscale::plan::{Action, Plan};
use crate::upscale::prepare::Prepared;
use crate::upscale::savings::Effects;
use crate::upscale::stages::Tally;
use crate::visible;

/// The plan for people, a decision to a line.
pub fn plan_lines(plan: &Plan) -> Vec<String> {
    let Plan { input, model, .. } = plan;
    let about = if input.frames_exact { "" } else { "about " };
    let frames = input
        .frames
        .map_or(String::new(), |frames| format!(", {about}{frames} frames"));
    let passes = match model.passes {
        1 => String::new(),
        n => format!(" in {n} passes"),
    };
    let mut lines = vec![
        format!(
            "input: {}x{} {} {}, {} {}{frames}: {}",
            input.width,
            input.height,
            input.codec,
            input.pix_fmt,
            input.colour.matrix,
            input.colour.range,
            visible::path(&input.path)
        ),
        format!(
            "model: {} x{}{passes} on {} ({}, {})",
            model.name, model.scale, plan.device, plan.engine, plan.precision
        ),
        format!(
            "workers: {} of {} MB each, memory for frames {} MB",
            plan.workers,
            plan.worker_bytes / 1_000_000,
            plan.memory_budget_bytes / 1_000_000
        ),
        match plan.reuse {
            Reuse::Off => "reuse: off".into(),
            Reuse::Frame => format!(
                "reuse: repeated frames, tolerance {} levels, {} pictures kept",
                plan.tolerance, plan.composites
            ),
            Reuse::Region | Reuse::Incremental => format!(
                "reuse: {}, tolerance {} levels, {} pictures kept, reach {} px",
                match plan.state_bytes {
                    Some(bytes) => format!("incremental, a state of {} MB", bytes / 1_000_000),
                    None => "regions".to_owned(),
                },
                plan.tolerance,
                plan.composites,
                plan.reach.unwrap_or_default()
            ),
        },
    ];
    if let Some(output) = &plan.output {
        let crf = output
            .crf
            .map_or(String::new(), |crf| format!(" crf {crf}"));
        let copied = plan
            .streams
            .iter()
            .filter(|stream| stream.action == Action::Copy)
            .count();
        lines.push(format!(
            "output: {}x{} {}{crf} {}, other streams {copied}, {}: {}",
            plan.width,
            plan.height,
            output.encoder,
            output.pix_fmt,
            output.container,
            visible::path(&output.path)
        ));
    }
    lines.extend(plan.why.iter().map(|why| format!("why: {why}")));
    lines
}

/// What the comparison found, for `--plan-only`.
pub fn repeats_line(mapping: &Mapping) -> String {
    let (frames, unique) = (mapping.n_frames(), mapping.n_unique());
    let share = percentage(frames - unique, frames);
    format!(
        "frames: {frames}, {unique} to compute, {} repeats ({share:.1} %)",
        frames - unique
    )
}

/// What the comparison comes to for the network, for `--plan-only`.
pub fn effects_line(effects: &Effects) -> String {
    format!(
        "to compute: {:.1} % of full frames ({:.1} % of the cells changed; {} frames resemble an older picture most, {} one that has moved)",
        100.0 * effects.compute_fraction,
        100.0 * effects.cells_changed_fraction,
        effects.older_composite_hits,
        effects.moved_frames
    )
}

/// Warns of what was wrong with the input, and says what was done about it.
pub fn note_health(health: &Health, tally: &Tally, notes: &Notes) {
    for (how, what) in health.notes() {
        notes.warn(format!("the input is {how}: {what}"));
    }
    if health.has_lost_most() {
        notes.warn("more than half of the video is lost; what decodes is kept");
    }
    let repairs = tally.repairs.get().copied().unwrap_or_default();
    let resized = tally.resized.load(Relaxed);
    let counted = [
        (
            "damaged",
            repairs.lost_subtitles,
            "subtitle",
            "that cannot be converted, left out",
        ),
        (
            "irregular",
            repairs.long_subtitles,
            "subtitle",
            "of more than 16 KiB, which is not converted, left out",
        ),
        (
            "irregular",
            repairs.lost_chapters,
            "chapter",
            "beyond the 4096th, left out",
        ),
        (
            "irregular",
            repairs.lost_tags,
            "tag",
            "too many or too long to keep, left out",
        ),
        (
            "irregular",
            repairs.moved_packets,
            "copied packet",
            "with a timestamp that does not increase, set behind the one before",
        ),
        (
            "irregular",
            resized,
            "frame",
            "of another size than the first, brought to its size",
        ),
    ];
    for (how, n, of, what) in counted.into_iter().filter(|(_, n, _, _)| *n > 0) {
        let plural = if n == 1 { "" } else { "s" };
        notes.warn(format!("the input is {how}: {n} {of}{plural} {what}"));
    }
}

/// Writes, prints and says the report, as asked for.
///
/// # Errors
/// A place to write to refuses it.
pub fn report(
    options: &Options,
    prepared: &Prepared,
    done: &Done<'_>,
    output: Option<PathBuf>,
    notes: &Notes,
    screen: &Screen,
) -> anyhow::Result<()> {
    let report = compose(prepared, done, output, notes);
    if let Some(path) = &options.report {
        report::write_json(path, &report).context("cannot write the report")?;
    }
    if options.json {
        report::print_json(&report)?;
    }
    if done.ended.ending == Ending::Completed {
        screen.say(&Line::Info(report.summary()));
    }
    Ok(())
}

fn compose(prepared: &Prepared, done: &Done<'_>, output: Option<PathBuf>, notes: &Notes) -> Report {
    let (plan, health) = (&prepared.plan, prepared.decoder.health());
    let frames_in = done.tally.frames_in.load(Relaxed);
    let frames_out = done.tally.frames_out.load(Relaxed);
    let duplicates = done.mapping.n_frames() - done.mapping.n_unique();
    let wall_secs = done.started.elapsed().as_secs_f64();
    Report {
        version: 1,
        input: plan.input.path.clone(),
        output,
        frames_in,
        frames_out,
        unique_frames: done.mapping.n_unique(),
        duplicates,
        duplicate_percentage: percentage(duplicates, done.mapping.n_frames()),
        effects: done.tally.savings().effects(),
        wall_secs,
        cpu_secs: cpu_secs(),
        fps: frames_out as f64 / wall_secs,
        peak_rss_bytes: peak_rss_bytes(),
        engine: plan.engine.clone(),
        device: plan.device.clone(),
        precision: plan.precision.clone(),
        model: report::Model {
            name: plan.model.name.clone(),
            sha256: plan.model.sha256.clone(),
            scale: plan.model.scale,
            passes: plan.model.passes,
        },
        stages: done.ended.stages.iter().map(stage).collect(),
        bottleneck: bottleneck(&done.ended.stages).map(String::from),
        corrupt_frames: health.corrupt_frames,
        truncated: health.truncated.is_some(),
        undecodable_packets: health.undecodable_packets,
        missing_frames: health.missing_frames,
        damaged_packets: health.damaged_packets,
        read_errors: health.read_errors,
        logged_errors: health.n_logged_errors(),
        fallbacks: notes.fallbacks(),
        warnings: notes.warnings(),
    }
}

fn stage(stats: &StageStats) -> report::Stage {
    report::Stage {
        name: stats.name.clone(),
        items: stats.items,
        busy_secs: stats.busy.as_secs_f64(),
        input_wait_secs: stats.input_wait.as_secs_f64(),
        output_wait_secs: stats.output_wait.as_secs_f64(),
    }
}
