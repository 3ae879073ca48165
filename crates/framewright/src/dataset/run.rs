//! `dataset run`, `retry` and `dedup`: prepare, work on the videos, put the dataset together, say what came of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use anyhow::Context as _;
use framewright_pipeline::{Control, Ending};

use super::config::{Config, DownloadConfig, Stage};
use super::disk::Disk;
use super::download::Downloader;
use super::folder::{Folder, Lock, read_json, size_bytes, write_json};
use super::gather::{Outcome, decided, gather, outcome, register, surveyed, workers, write};
use super::listing::{Listing, list, use_up};
use super::models::Models;
use super::record::{Location, Video};
use super::registry::{Failure, Registry, Row, State, row_of};
use super::status::{self, Summary};
use super::trouble::{Class, Trouble};
use super::work::{FAILURE, Job, PER_VIDEO};
use super::{dedup as duplicates, flow, settle};
use crate::cli::RunOptions;
use crate::exit::{Exit, OrExit as _, fail};
use crate::notes::Notes;
use crate::progress::{Progress, Snapshot, VideoCounts};
use crate::screen::{Line, Screen};
use crate::signals::{self, Watch};
use crate::upscale::trouble::from_failure;

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
    let run = Prepared::new(config, folder, lock, None, screen)?;
    write_json(&run.job.folder.config(), &run.job.config)?;
    run.go(options.screen.json, started)
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
        let path = run.job.folder.video(&video.video_id).join(FAILURE);
        let failure: Option<Failure> = read_json(&path);
        if failure.is_some_and(|failure| class.is_none_or(|class| failure.trouble.class == class)) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            again += 1;
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
    read_json(&path)
        .with_context(|| {
            format!(
                "the configuration of the dataset cannot be read: {}",
                path.display()
            )
        })
        .or_exit(Exit::Config)
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
    let mut run = Prepared::new(config, folder, lock, None, screen)?;
    if !dry_run {
        run.job.config.run.stages = vec![Stage::Dedup, Stage::Export];
        return run.finish(json, started);
    }
    let job = &run.job;
    let gathered = gather(job, run.listed());
    let Some(survey) = surveyed(job, &gathered)? else {
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
    let file = format!("{image_id}.{}", job.config.extract.format.extension());
    let path = job.folder.video(video_id).join("frames").join(file);
    path.exists().then_some(path)
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
        let watch = signals::watch(move |_| at_first.stop(), move |_| at_second.stop())?;
        let disk = disk_of(&config, &folder);
        let download = DownloadConfig {
            max_file_size: disk.largest_file().or(config.download.max_file_size),
            ..config.download.clone()
        };
        let stopped = control.clone();
        let downloader = Downloader::new(&download, Arc::new(move || stopped.is_stopped()));
        let models = Models::open(&config, &notes)?;
        let listing = match listing {
            Some(listing) => listing,
            None => list(&config, &folder, &downloader)?,
        };
        if listing.inputs.videos.is_empty() {
            return Err(fail(Exit::BadInput, "the inputs name no video"));
        }
        for note in &listing.inputs.notes {
            notes.warn(note);
        }
        let registry = Registry::open(&folder, &notes)?;
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
        let job = &self.job;
        let mine: Vec<Video> = self.mine().cloned().collect();
        for video in &mine {
            begin(job, video)?;
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

    fn stopped(&self) -> Exit {
        self.screen
            .say(&Line::Info("stopped; the same command continues".into()));
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
            let failure: Option<Failure> = read_json(&folder.join(FAILURE));
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
            if let Some(row) = row_of(&folder, &job.config) {
                self.registry.put(&row)?;
            }
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
        let n_workers = workers(&job.config);
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
        let job = &self.job;
        let puts_together = job.config.runs(Stage::Dedup) || job.config.runs(Stage::Export);
        let mut outcome = Outcome::default();
        if job.config.run.shard.is_some() {
            job.notes
                .warn("what is decided across videos is left to framewright dataset merge");
        } else if puts_together {
            match job
                .tally
                .timed(Stage::Export, || self.put_together(started))?
            {
                Some(whole) => outcome = whole,
                None => return Ok(self.stopped()),
            }
        }
        let rows = self.rows()?;
        let summary = Summary::new(job, &rows, outcome, started.elapsed());
        status::say(&summary, &self.screen, json)?;
        let all_well = rows.iter().all(|row| row.state == State::Done);
        Ok(if all_well { Exit::Ok } else { Exit::SomeFailed })
    }

    /// What the dataset is now; none when the run is being stopped.
    fn put_together(&self, started: Instant) -> anyhow::Result<Option<Outcome>> {
        let job = &self.job;
        let gathered = gather(job, self.listed());
        let Some((dataset, splits)) = decided(job, &gathered)? else {
            return Ok(None);
        };
        register(job, &dataset, self.listed(), &self.registry)?;
        let written = write(job, &dataset, &splits, &self.rows()?, started.elapsed())?;
        Ok(written.map(|written| outcome(&dataset, written)))
    }

    fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let mut rows = self.registry.rows()?;
        let mine: BTreeSet<&str> = self.mine().map(|video| video.video_id.as_str()).collect();
        rows.retain(|row| mine.contains(row.video_id.as_str()));
        Ok(rows)
    }
}

/// Bytes of a local film; of others nothing is known, and they keep their order, before those: fetching takes longer.
fn size_of(video: &Video) -> u64 {
    match &video.location {
        Location::File(path) => path.metadata().map_or(0, |about| about.len()),
        Location::Http(_) | Location::Page(_) => u64::MAX,
    }
}

/// Makes the folder of a video, with what it is.
fn begin(job: &Job, video: &Video) -> anyhow::Result<()> {
    let folder = job.folder.video(&video.video_id);
    let path = folder.join("source.json");
    if read_json::<Video>(&path).as_ref() == Some(video) {
        return Ok(());
    }
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
        .or_exit(Exit::CannotCreate)?;
    write_json(&path, video)
}

fn disk_of(config: &Config, folder: &Folder) -> Disk {
    let limit = config.run.max_disk;
    let there = limit.map_or(0, |_| size_bytes(&folder.state()));
    Disk::new(limit, config.download.max_file_size, there)
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
