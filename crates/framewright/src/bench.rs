//! `framewright bench`: what is it worth on this film and this machine?
//!
//! ```text
//! warm up ─▶ choose a stretch ─▶ the same frames in every mode, timed ─▶ once more in lockstep, compared
//! ```
//! Every timed run goes the whole way of the program, through the same stages as `upscale`, into a temporary file. The
//! pictures are compared in a run of their own, since comparing takes time.

mod lockstep;
mod modes;
pub mod quality;
mod stretch;
mod table;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use framewright_media::{Interrupt, set_log_warnings};
use framewright_pipeline::Control;

use crate::cli::{BenchOptions, Encoder, Options};
use crate::exit::{Exit, OrExit as _, fail};
use crate::notes::Notes;
use crate::report;
use crate::screen::{Line, Screen};
use crate::upscale::interruption::{Interruption, STOPPED};
use crate::upscale::make_workers;
use crate::upscale::plan::Action;
use crate::upscale::prepare::prepare;
use modes::{Bench, Mode};
use stretch::{Pace, Stretch};
use table::{Document, Missing};

/// A run of this length has seen all the memory that there is to see.
const WARM_SECS: f64 = 0.5;

/// Measures, and prints a table or a document. A signal ends it at once, and nothing is printed then.
///
/// # Errors
/// The input, the model or the combination of options is refused, or a run fails.
pub fn bench(options: &BenchOptions, screen: &Screen) -> anyhow::Result<Exit> {
    set_log_warnings(false);
    let (control, interrupt) = (Control::new(), Interrupt::default());
    let signals = Interruption::watch_to_stop(&control, &interrupt, screen)?;
    let measured = measure(options, &control, &interrupt, &signals, screen);
    if let Some(exit) = signals.caught() {
        screen.say(&Line::Info(STOPPED.into()));
        return Ok(exit);
    }
    let document = measured?;
    if options.upscale.json {
        report::print_json(&document)?;
    } else {
        report::print(&document.table())?;
    }
    Ok(Exit::Ok)
}

fn measure(
    options: &BenchOptions,
    control: &Control,
    interrupt: &Interrupt,
    signals: &Interruption,
    screen: &Screen,
) -> anyhow::Result<Document> {
    refuse_pipe(&options.upscale.input)?;
    let folder = tempfile::Builder::new()
        .prefix("framewright-bench-")
        .tempdir();
    let folder = folder
        .context("cannot create a temporary folder")
        .or_exit(Exit::CannotCreate)?;
    let path = folder.path().to_owned();
    signals.removes(vec![Box::new(move || {
        // What cannot be removed is in the system's folder for such files.
        let _ = fs::remove_dir_all(path);
    })]);
    let writes = options.upscale.encoder != Encoder::Null;
    let asked = Options {
        output: writes.then(|| folder.path().join("bench.mkv")),
        reuse: None,
        ..options.upscale.clone()
    };
    // Nothing is made here that anyone would look at: what `upscale` warns of is its affair.
    let mut prepared = prepare(&asked, interrupt, &Notes::new(Screen::silent()))?;
    for stream in &mut prepared.plan.streams {
        if stream.action != Action::Upscale {
            stream.action = Action::LeaveOut;
        }
    }
    let n_workers = prepared.plan.workers;
    let workers = make_workers(&mut prepared, n_workers)?;
    let mut bench = Bench::new(asked, prepared, workers, control, interrupt, screen);

    let stretch = warm_up(&mut bench, options, screen)?;
    let modes = Mode::all(bench.plan());
    let n_runs = modes.len() + 1;
    let mut measured = Vec::new();
    for (place, mode) in (1..).zip(&modes) {
        screen.say(&Line::Info(format!(
            "run {place} of {n_runs}: {}",
            mode.title()
        )));
        measured.push(bench.run(*mode, &stretch)?);
    }
    screen.say(&Line::Info(format!(
        "run {n_runs} of {n_runs}: comparing the results"
    )));
    let qualities = bench.compare(&stretch)?;
    let plan = bench.plan();
    let missing = plan.reach.is_none().then(|| Missing {
        mode: Mode::REGION.name(),
        why: format!(
            "no part of a result of {} can be computed alone",
            plan.model.name
        ),
    });
    Ok(Document::new(
        plan,
        options.upscale.encoder.name(),
        &stretch,
        measured,
        &qualities,
        missing,
    ))
}

/// A few frames first, and more of them until that takes a while: the first run of a network takes memory, and so do the
/// first frames in flight. The pace decides how many frames fit in the time.
fn warm_up(
    bench: &mut Bench<'_>,
    options: &BenchOptions,
    screen: &Screen,
) -> anyhow::Result<Stretch> {
    let plan = bench.plan();
    let mut n_frames = plan.workers.max(4) as u64;
    let film = stretch::Film::of(&plan.input);
    let mut start_secs = options.start_secs.unwrap_or_else(|| film.third_secs());
    screen.say(&Line::Info("warming up".into()));
    if let (None, Err(error)) = (
        options.start_secs,
        bench.open(&Stretch::new(start_secs, 1), 1),
    ) {
        let why = crate::exit::describe(&error);
        screen.say(&Line::Info(format!(
            "measuring at the start of the video: {why}"
        )));
        start_secs = 0.0;
    }
    let warm = loop {
        let warm = bench.run(Mode::PIPELINED, &Stretch::new(start_secs, n_frames))?;
        let film_ended = warm.frames < n_frames;
        if film_ended || warm.wall_secs > WARM_SECS || n_frames > 100 {
            break warm;
        }
        n_frames *= 4;
    };
    let pace = Pace::of(&warm);
    let length = options.length_secs;
    let stretch = film.stretch(options.start_secs, start_secs, length, &pace);
    screen.say(&Line::Info(format!(
        "measuring on {} frames from second {:.1} on: about {} for all runs, less where reuse saves much",
        stretch.frames,
        stretch.start_secs,
        table::duration(pace.all_runs_secs(stretch.frames))
    )));
    Ok(stretch)
}

/// A pipe gives its bytes once, and this reads them several times.
fn refuse_pipe(input: &Path) -> anyhow::Result<()> {
    match fs::metadata(input) {
        Ok(found) if !found.is_file() && !found.is_dir() => {
            let message = format!(
                "bench reads the video several times: it must be a file: {}",
                input.display()
            );
            Err(fail(Exit::BadInput, message))
        }
        // Whatever else is wrong with it is said by those who open it.
        _ => Ok(()),
    }
}
