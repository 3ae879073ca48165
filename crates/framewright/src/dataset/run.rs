//! `dataset run`, `retry` and `dedup`: prepare, work on the videos, put the dataset together, say what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use framewright_pipeline::{Control, Ending};

use super::config::{Config, DownloadConfig, Stage};
use super::disk::Disk;
use super::download::Downloader;
use super::folder::{Folder, Lock, read_json, write_json};
use super::gather::{Outcome, decided, gather, outcome, register, surveyed, workers, write};
use super::listing::{self, Listing, list, use_up};
use super::models::Models;
use super::record::{Location, Video, VideoId};
use super::registry::{Failure, Registry, Row, State, row_of};
use super::results::Absence;
use super::status::{self, Summary};
use super::trouble::{Class, Setback, Trouble};
use super::work::{FAILURE, Job, PER_VIDEO};
use super::{dedup as duplicates, export, flow, losses, settle};
use crate::cli::RunOptions;
use crate::exit::{Exit, OrExit as _, fail};
use crate::notes::Notes;
use crate::progress::{Progress, Snapshot, VideoCounts};
use crate::screen::{Line, Screen};
use crate::signals::{self, Watch};
use crate::upscale::trouble::from_failure;

const STOPPED: &str = "stopped; the same command continues";
/// Longest time from the first signal to the end of the process.
const LONGEST_END: Duration = Duration::from_secs(4);

/// Makes a dataset, or continues one.
///
/// # Errors
/// What keeps all of it from being done.
pub fn run(options: &RunOptions, screen: &Screen) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let config = settle::settle(options)?;
    let root = config
        .output
        .clone()
        .context("the configuration was checked for a folder")?;
    let folder = Folder::create(&root)?;
    let lock = folder.lock(config.run.shard)?;
    let run = Prepared::new(config, folder.clone(), lock, None, screen)?;
    let config = run.job.config.clone();
    // A run that only puts together may be refused, and the dataset stays one of the configuration before.
    let works = PER_VIDEO.into_iter().any(|stage| config.runs(stage));
    if works {
        write_json(&folder.config(), &config)?;
    }
    let exit = run.go(options.screen.json, started)?;
    if !works {
        write_json(&folder.config(), &config)?;
    }
    Ok(exit)
}

/// Tries the videos again that have failed; those of one class only where one is given.
///
/// # Errors
/// As [`run`].
pub fn retry(
    root: &Path,
    class: Option<Class>,
    json: bool,
    screen: &Screen,
) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let folder = Folder::open(root)?;
    let mut config = config_of(&folder)?;
    let lock = folder.lock(config.run.shard)?;
    // A last run that only put things together has left the videos to another one.
    if !PER_VIDEO.into_iter().any(|stage| config.runs(stage)) {
        config.run.stages.clear();
    }
    let run = Prepared::new(config, folder, lock, None, screen)?;
    let mut again = 0;
    for video in run.listed() {
        let folder = run.job.folder.video(&video.video_id);
        let failure: Option<Failure> = folder.read(FAILURE, video).unwrap_or_default();
        if failure.is_some_and(|failure| class.is_none_or(|class| failure.trouble.class == class)) {
            match folder.remove(FAILURE) {
                Ok(()) => again += 1,
                Err(Setback::Run(error)) => return Err(error),
                Err(Setback::Video(_) | Setback::Stopped) => {}
            }
        }
    }
    screen.say(&Line::Info(format!("{again} videos are tried again")));
    run.go(json, started)
}

/// The configuration that the last run of a dataset was made with.
///
/// # Errors
/// [`Exit::Config`] when it is gone or not readable.
pub fn config_of(folder: &Folder) -> anyhow::Result<Config> {
    let path = folder.config();
    let config = read_json::<Config>(&path).and_then(|config| config.ok_or("it is gone".into()));
    let config = config.and_then(|config| match settle::out_of_bounds(&config) {
        problems if problems.is_empty() => Ok(config),
        problems => Err(problems.join("; ")),
    });
    config.map_err(|why| {
        let message = format!(
            "the configuration of the dataset cannot be used: {why}: {}",
            path.display()
        );
        fail(Exit::Config, message)
    })
}

/// Decides again about duplicates: shows how far apart pictures are, or writes the dataset anew.
///
/// # Errors
/// As [`run`].
pub fn dedup(root: &Path, dry_run: bool, json: bool, screen: &Screen) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let folder = Folder::open(root)?;
    let config = config_of(&folder)?;
    let lock = folder.lock(config.run.shard)?;
    // The videos that it was made of: a folder that has grown, or a film that was moved, is no matter of duplicates.
    let listing = listing::kept(&folder).unwrap_or_default();
    let mut run = Prepared::new(config, folder, lock, listing, screen)?;
    if !dry_run {
        run.job.config.run.stages = vec![Stage::Dedup, Stage::Export];
        return run.finish(json, started);
    }
    let job = &run.job;
    let gathering = gather(job, run.listed());
    let Some(survey) = surveyed(job, &gathering.videos)? else {
        if run.watch.caught().is_some() {
            return Ok(run.stopped());
        }
        screen.say(&Line::Info(
            "dedup.preset is off, so nothing is compared".into(),
        ));
        return Ok(Exit::Ok);
    };
    let sheet = job.folder.root().join("duplicates.html");
    let picture = |image_id: &str| picture_of(job, image_id);
    duplicates::write_sheet(&sheet, &survey, picture)
        .with_context(|| format!("cannot write {}", sheet.display()))
        .or_exit(Exit::Io)?;
    crate::report::print(&survey.histogram())?;
    screen.say(&Line::Info(format!(
        "sample pairs are in {}",
        sheet.display()
    )));
    Ok(Exit::Ok)
}

/// Where the picture of a frame lies; none where it was not kept.
fn picture_of(job: &Job, image_id: &str) -> Option<PathBuf> {
    let (video_id, _) = image_id.split_once('_')?;
    let folder = job.folder.video(&video_id.parse().ok()?);
    let file = format!("{image_id}.{}", job.config.extract.format.extension());
    folder.check_pictures([file.as_str()].into_iter()).ok()?;
    Some(folder.picture(&file))
}

/// A run that can begin.
pub struct Prepared {
    /// What all workers share.
    pub job: Job,
    /// All videos of the inputs, in order.
    pub listing: Listing,
    registry: Registry,
    screen: Screen,
    watch: Watch,
    _lock: Lock,
}

impl Prepared {
    /// Reads the inputs where they are not given, opens the models and the registry.
    ///
    /// # Errors
    /// An input list, a model or the registry cannot be used.
    pub fn new(
        config: Config,
        folder: Folder,
        lock: Lock,
        listing: Option<Listing>,
        screen: &Screen,
    ) -> anyhow::Result<Self> {
        let notes = Notes::new(screen.clone());
        let control = Control::new();
        // Whatever is in flight can be done again, so there is nothing to finish.
        let (at_first, at_second) = (control.clone(), control.clone());
        let watch = signals::watch(
            move |exit| {
                at_first.stop();
                // Without a thread the run still stops, only without a limit of time.
                let _ = signals::end_within(LONGEST_END, exit);
            },
            move |_| at_second.stop(),
        )?;
        let disk = Disk::new(config.run.max_disk, config.download.max_file_size, &folder);
        let download = DownloadConfig {
            max_file_size: disk.largest_file().or(config.download.max_file_size),
            ..config.download.clone()
        };
        let stopped = control.clone();
        let downloader = Downloader::new(&download, Arc::new(move || stopped.is_stopped()));
        let or_stopped = |error| match watch.caught() {
            Some(exit) => fail(exit, STOPPED),
            None => error,
        };
        let models = Models::open(&config, &notes).map_err(or_stopped)?;
        let listing = match listing {
            Some(listing) => listing,
            None => list(&config, &folder, &downloader).map_err(or_stopped)?,
        };
        if listing.inputs.videos.is_empty() {
            return Err(fail(Exit::BadInput, "the inputs name no video"));
        }
        refuse_own(&listing, &folder)?;
        if config.runs(Stage::Export) && config.run.shard.is_none() {
            export::refuse_foreign(&config, folder.root())?;
        }
        for note in &listing.inputs.notes {
            notes.warn(note);
        }
        let registry = Registry::open(&folder, &notes, &control).map_err(or_stopped)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let job = Job {
            // All of them for each: at the end, when one film is left, none idles.
            decoder_threads: cores,
            config,
            folder,
            downloader,
            models,
            disk,
            tally: Arc::default(),
            notes,
            control,
        };
        Ok(Self {
            job,
            listing,
            registry,
            screen: screen.clone(),
            watch,
            _lock: lock,
        })
    }

    /// All videos of the inputs, in order.
    fn listed(&self) -> &[Video] {
        &self.listing.inputs.videos
    }

    /// Those of this run's part.
    fn mine(&self) -> impl Iterator<Item = &Video> {
        let shard = self.job.config.run.shard;
        let holds = move |video: &&Video| shard.is_none_or(|shard| shard.holds(video));
        self.listed().iter().filter(holds)
    }

    /// Works on the videos, puts the dataset together and says what came of it.
    fn go(self, json: bool, started: Instant) -> anyhow::Result<Exit> {
        self.or_stopped(self.work_and_finish(json, started))
    }

    fn work_and_finish(&self, json: bool, started: Instant) -> anyhow::Result<Exit> {
        let job = &self.job;
        let mine: Vec<Video> = self.mine().cloned().collect();
        for video in &mine {
            match job.folder.video(&video.video_id).begin(video) {
                // A folder that cannot be entered is met again by its first stage.
                Ok(()) | Err(Setback::Video(_) | Setback::Stopped) => {}
                Err(Setback::Run(error)) => return Err(error),
            }
        }
        let to_do = self.choose(&mine)?;
        let any_stage = PER_VIDEO.into_iter().any(|stage| job.config.runs(stage));
        if any_stage && !to_do.is_empty() {
            self.work(to_do)?;
        }
        if self.watch.caught().is_some() {
            return Ok(self.stopped());
        }
        let exit = self.finish(json, started)?;
        use_up(&self.job.folder, &self.listing)?;
        Ok(exit)
    }

    /// What stops on the way may call that an error; a run that was told to stop ends as one.
    fn or_stopped(&self, ended: anyhow::Result<Exit>) -> anyhow::Result<Exit> {
        match ended {
            Err(_) if self.watch.caught().is_some() => Ok(self.stopped()),
            ended => ended,
        }
    }

    fn stopped(&self) -> Exit {
        self.screen.say(&Line::Info(STOPPED.into()));
        self.watch.caught().unwrap_or(Exit::Failed)
    }

    /// Videos that have something left to do, and are worth trying.
    fn choose(&self, mine: &[Video]) -> anyhow::Result<Vec<(Video, Option<Trouble>)>> {
        let job = &self.job;
        job.tally.videos.store(mine.len() as u64, Relaxed);
        let mut to_do = Vec::new();
        let mut waiting = 0;
        for video in mine {
            let folder = job.folder.video(&video.video_id);
            let failure: Option<Failure> = folder.read(FAILURE, video).unwrap_or_default();
            let stands = failure.is_some_and(|failure| {
                let is_same = job.key(failure.stage, video).unwrap_or_default() == failure.key;
                let is_early = failure.trouble.class == Class::Rate
                    && failure
                        .next_try_unix_secs
                        .is_some_and(|at| at > flow::unix_secs());
                is_same && (!failure.trouble.class.is_transient() || is_early)
            });
            if stands {
                waiting += 1;
                job.tally.failed.fetch_add(1, Relaxed);
                job.tally.ended.fetch_add(1, Relaxed);
            } else if self.is_done(video) {
                job.tally.skipped.fetch_add(1, Relaxed);
                job.tally.ended.fetch_add(1, Relaxed);
            } else {
                to_do.push((
                    video.clone(),
                    self.listing.inputs.troubles.get(&video.video_id).cloned(),
                ));
            }
            self.registry
                .put(&row_of(&job.folder, video, &job.config))?;
        }
        if waiting > 0 {
            job.notes.warn(format!(
                "{waiting} videos have failed before and are not tried again; framewright dataset retry --failed does"
            ));
        }
        // The longest first, so that not one film alone is left at the end; the result does not depend on the order.
        to_do.sort_by_key(|(video, _)| std::cmp::Reverse(size_of(video)));
        Ok(to_do)
    }

    fn is_done(&self, video: &Video) -> bool {
        let job = &self.job;
        let has = |stage: Stage| {
            !job.config.runs(stage) || !job.config.writes(stage) || job.is_done(stage, video)
        };
        PER_VIDEO.into_iter().all(has)
    }

    fn work(&self, to_do: Vec<(Video, Option<Trouble>)>) -> anyhow::Result<()> {
        let job = &self.job;
        // No more than have something to do: each takes threads and sessions.
        let n_workers = workers(&job.config).min(to_do.len());
        let workers = job.models.workers(n_workers, &job.config)?;
        let ended = {
            let _progress = Progress::start(&self.screen, {
                let tally = Arc::clone(&job.tally);
                move || snapshot(&tally)
            });
            flow::work_on(job, to_do, workers, &self.registry)
        };
        match ended {
            Ok(run) if run.ending == Ending::Stopped && self.watch.caught().is_none() => {
                Err(fail(Exit::Failed, "the run was stopped"))
            }
            Ok(_) => Ok(()),
            Err(failure) => Err(from_failure(failure)),
        }
    }

    /// Decides on everything that is done, writes it, and says what came of it.
    ///
    /// # Errors
    /// Something cannot be read or written.
    pub fn finish(&self, json: bool, started: Instant) -> anyhow::Result<Exit> {
        self.or_stopped(self.decide_and_write(json, started))
    }

    fn decide_and_write(&self, json: bool, started: Instant) -> anyhow::Result<Exit> {
        let job = &self.job;
        let puts_together = job.config.runs(Stage::Dedup) || job.config.runs(Stage::Export);
        let (mut outcome, mut left_out) = (Outcome::default(), BTreeMap::new());
        if job.config.run.shard.is_some() {
            job.notes
                .warn("what is decided across videos is left to framewright dataset merge");
        } else if puts_together {
            match job
                .tally
                .timed(Stage::Export, || self.put_together(started))?
            {
                Some(whole) => (outcome, left_out) = whole,
                None => return Ok(self.stopped()),
            }
        }
        let rows = self.rows(&left_out)?;
        let summary = Summary::new(job, &rows, outcome, started.elapsed());
        status::say(&summary, &self.screen, json)?;
        let all_well = rows.iter().all(|row| row.state == State::Done);
        Ok(if all_well { Exit::Ok } else { Exit::SomeFailed })
    }

    /// What the dataset is now, and which videos are not in it; `None` when the run is being stopped.
    fn put_together(
        &self,
        started: Instant,
    ) -> anyhow::Result<Option<(Outcome, BTreeMap<VideoId, Absence>)>> {
        let job = &self.job;
        let mut gathering = gather(job, self.listed());
        let Some((dataset, splits)) = decided(job, &mut gathering)? else {
            return Ok(None);
        };
        losses::weigh(job, self.listed(), &gathering, &dataset)?;
        register(job, &dataset, self.listed(), &self.registry)?;
        let rows = self.rows(&gathering.left_out)?;
        let written = write(job, &dataset, &splits, &rows, started.elapsed())?;
        Ok(written.map(|written| (outcome(&dataset, written), gathering.left_out)))
    }

    /// How far each video of this run is. One whose results cannot be used is not done, whatever lies there.
    fn rows(&self, left_out: &BTreeMap<VideoId, Absence>) -> anyhow::Result<Vec<Row>> {
        let known = self.registry.rows()?.into_iter();
        let mut known: BTreeMap<String, Row> =
            known.map(|row| (row.video_id.clone(), row)).collect();
        let mut rows = Vec::new();
        for video in self.mine() {
            let row = known.remove(video.video_id.as_str());
            let mut row = row.unwrap_or_else(|| Row::pending(video));
            if let (State::Done, Some(absence)) = (row.state, left_out.get(&video.video_id)) {
                row = match absence {
                    Absence::NotDone(_) => row,
                    Absence::Outdated(_) => Row {
                        state: State::Pending,
                        message: Some(absence.message()),
                        ..row
                    },
                    Absence::Unusable(trouble) => row.with_trouble(trouble),
                };
                self.registry.put(&row)?;
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// A film among the files of the dataset would be replaced with them.
fn refuse_own(listing: &Listing, folder: &Folder) -> anyhow::Result<()> {
    let own = folder.own_places();
    for video in &listing.inputs.videos {
        let Location::File(path) = &video.location else {
            continue;
        };
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        if own.iter().any(|place| path.starts_with(place)) {
            let message = format!(
                "an input lies among the files of the dataset, which replaces them; move it, or choose another folder: {}",
                path.display()
            );
            return Err(fail(Exit::BadInput, message));
        }
    }
    Ok(())
}

/// Bytes of a local film; of others nothing is known, and they keep their order, before those: fetching takes longer.
fn size_of(video: &Video) -> u64 {
    match &video.location {
        Location::File(path) => path.metadata().map_or(0, |about| about.len()),
        Location::Http(_) | Location::Page(_) => u64::MAX,
    }
}

fn snapshot(tally: &super::tally::Tally) -> Snapshot {
    Snapshot {
        done: tally.ended.load(Relaxed),
        total: Some(tally.videos.load(Relaxed)),
        bottleneck: tally.bottleneck().map(str::to_owned),
        videos: Some(VideoCounts {
            failed: tally.failed.load(Relaxed),
            bytes: tally.bytes.load(Relaxed),
            frames: tally.frames.load(Relaxed),
            shown: tally.shown.load(Relaxed),
        }),
        ..Snapshot::default()
    }
}
