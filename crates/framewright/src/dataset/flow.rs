//! The two ways of joining the stages. Both are declared over the same functions, so the dataset is the same.
//!
//! ```text
//! per video:  take ─▶ work (workers; download, extract, filter, detect) ─▶ registry
//! per stage:  take ─▶ download ─▶ extract ─▶ filter and detect ─▶ registry
//!                     workers     workers    workers, each with its models
//! ```
//! What travels is a video's name; its folder holds the rest. A video with trouble travels on to the registry and is no
//! error of the run.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use framewright_pipeline::{BoxError, Failure as RunFailure, Run, run};

use super::config::{Mode, Stage};
use super::disk::{Room, Share};
use super::models::ModelWorker;
use super::record::Video;
use super::registry::{Failure, Registry, row_of};
use super::trouble::{Setback, Trouble};
use super::work::{FAILURE, Job, PER_VIDEO, is_local};
use crate::exit::{Exit, boxed, fail};

/// Videos that wait between two stages; the disk's bound counts more.
const QUEUE: usize = 2;
/// How often it is looked whether there is room on the disk again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// First wait before a video that failed is tried again by another run, in seconds; doubled with each attempt.
const FIRST_RETRY_SECS: f64 = 30.0;
/// Longest such wait.
const LONGEST_RETRY_SECS: f64 = 3600.0;

/// A video on its way.
struct Item {
    video: Video,
    trouble: Option<(Stage, Trouble)>,
    /// Held until the video has come to its end.
    share: Option<Share>,
}

/// Works on `videos`, in order, and writes down how each ended; those that have trouble already are only written down.
/// `workers` holds one entry for each that may run at a time.
///
/// # Errors
/// What keeps the run, not a video, from going on.
pub fn work_on(
    job: &Job,
    videos: Vec<(Video, Option<Trouble>)>,
    workers: Vec<ModelWorker>,
    registry: &Registry,
) -> Result<Run, RunFailure> {
    let mut waiting: VecDeque<(Video, Option<Trouble>)> = videos.into();
    let n_workers = workers.len();
    run(&job.control, |p| {
        let taken = p.source("take", 1, move || Ok(take(job, &mut waiting)));
        let done = match job.config.run.mode {
            Mode::PerVideo => p.par_map_unordered("work", QUEUE, taken, workers, |worker, item| {
                through(job, &PER_VIDEO, worker, item)
            }),
            Mode::PerStage => {
                let no_models = || (0..n_workers).map(|_| ModelWorker::default()).collect();
                let step = |stages: &'static [Stage]| {
                    move |worker: &mut ModelWorker, item: Item| through(job, stages, worker, item)
                };
                let fetched = p.par_map_unordered(
                    "download",
                    QUEUE,
                    taken,
                    no_models(),
                    step(&PER_VIDEO[..1]),
                );
                let taken_apart = p.par_map_unordered(
                    "extract",
                    QUEUE,
                    fetched,
                    no_models(),
                    step(&PER_VIDEO[1..2]),
                );
                p.par_map_unordered("models", QUEUE, taken_apart, workers, step(&PER_VIDEO[2..]))
            }
        };
        p.sink("registry", done, move |rx| {
            while let Some(item) = rx.recv()? {
                note_end(job, &item, registry).map_err(boxed)?;
            }
            Ok(())
        });
    })
}

/// The next video that is worth working on, as soon as there is room for it.
fn take(job: &Job, waiting: &mut VecDeque<(Video, Option<Trouble>)>) -> Option<Item> {
    let (video, trouble) = waiting.pop_front()?;
    let mut item = Item {
        video,
        trouble: trouble.map(|trouble| (Stage::Download, trouble)),
        share: None,
    };
    if item.trouble.is_none() {
        match wait_for_room(job, &item.video) {
            Ok(share) => item.share = Some(share),
            Err(Some(trouble)) => item.trouble = Some((Stage::Download, trouble)),
            Err(None) => return None,
        }
    }
    Some(item)
}

/// A share of the disk, or why there will be none in this run; no reason when it is being stopped.
fn wait_for_room(job: &Job, video: &Video) -> Result<Share, Option<Trouble>> {
    loop {
        match job.disk.room(&video.video_id, !is_local(video)) {
            Room::Yes(share) => return Ok(share),
            Room::Never(trouble) => return Err(Some(trouble)),
            Room::Later if job.control.is_stopped() => return Err(None),
            Room::Later => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Takes a video through some stages, up to the first that has trouble.
fn through(
    job: &Job,
    stages: &[Stage],
    worker: &mut ModelWorker,
    mut item: Item,
) -> Result<Item, BoxError> {
    for &stage in stages {
        if item.trouble.is_some() {
            break;
        }
        match job.stage(stage, worker, &item.video) {
            Ok(()) => {}
            Err(Setback::Video(trouble)) => item.trouble = Some((stage, trouble)),
            // The run is stopping, so this is no cause.
            Err(Setback::Stopped) => return Err("stopped".into()),
            Err(Setback::Run(error)) => return Err(boxed(error)),
        }
    }
    Ok(item)
}

/// Writes down how a video ended.
///
/// # Errors
/// It cannot be written, or the disk is full: every other video would end alike.
fn note_end(job: &Job, item: &Item, registry: &Registry) -> anyhow::Result<()> {
    let folder = job.folder.video(&item.video.video_id);
    let noted = match &item.trouble {
        Some((stage, trouble)) => {
            let before = folder.read(FAILURE, &item.video).unwrap_or_default();
            let failure = failure_of(job, item, *stage, trouble, before);
            if trouble.is_full_disk() {
                job.disk.found_full();
            }
            job.tally.failed.fetch_add(1, Relaxed);
            job.notes.warn(format!("{}: {trouble}", item.video.source));
            folder.write(FAILURE, &failure)
        }
        None => folder.remove(FAILURE),
    };
    match noted {
        // Its folder cannot be written in, and that is the trouble that its row shows.
        Ok(()) | Err(Setback::Video(_)) => {}
        Err(Setback::Stopped) => anyhow::bail!("stopped"),
        Err(Setback::Run(error)) => return Err(error),
    }
    job.tally.ended.fetch_add(1, Relaxed);
    registry.put(&row_of(&job.folder, &item.video, &job.config))?;
    match job.disk.full() {
        Some(full) => Err(fail(Exit::Io, full)),
        None => Ok(()),
    }
}

fn failure_of(
    job: &Job,
    item: &Item,
    stage: Stage,
    trouble: &Trouble,
    before: Option<Failure>,
) -> Failure {
    let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
    let doubled = FIRST_RETRY_SECS * f64::from(1_u32 << attempts.min(10));
    let wait = trouble
        .retry_after_secs
        .unwrap_or(doubled)
        .min(LONGEST_RETRY_SECS);
    let at = unix_secs() + wait as u64;
    Failure {
        stage,
        key: job.key(stage, &item.video).unwrap_or_default(),
        trouble: trouble.clone(),
        attempts,
        next_try_unix_secs: trouble.class.is_transient().then_some(at),
    }
}

/// Seconds since 1970; only ever advice, never a reason to lose something.
pub fn unix_secs() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
