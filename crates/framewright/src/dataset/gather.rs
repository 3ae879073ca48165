//! The end of a run: everything that is done is read, decided on and written as a dataset.
//!
//! Videos whose results cannot be used are left out, with the reason; they come in when a later run has finished them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::bounds::MOST_WORKERS;
use super::config::{Config, Stage};
use super::decide::{Context, Gathered, candidates, decide, drops_of_video};
use super::dedup::{self, Earlier, Survey};
use super::export;
use super::folder::{Folder, read_json, write_json};
use super::page::{self, FailedVideo, RunFacts, StageFacts};
use super::record::{Dataset, Downloaded, DropReason, Extracted, Split, Video, VideoId};
use super::registry::{Registry, Row, rows_of};
use super::results::Absence;
use super::trouble::Trouble;
use super::work::Job;
use crate::upscale::trouble::from_failure;

/// What came of a run, for its last lines and for `--json`.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Outcome {
    /// Frames looked at.
    pub frames: u64,
    /// Frames in the dataset.
    pub kept: u64,
    /// Dropped frames by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Pictures by part.
    pub splits: BTreeMap<&'static str, u64>,
    /// What was written, relative to the folder.
    pub written: Vec<String>,
    /// What the user should know of the division and of the videos.
    pub notes: Vec<String>,
}

/// What there is to put together.
#[derive(Default)]
pub struct Gathering {
    /// The videos whose results can be used, in input order.
    pub videos: Vec<Gathered>,
    /// Why those of the others cannot.
    pub left_out: BTreeMap<VideoId, Absence>,
}

/// Reads what the stages have left of `videos`.
pub fn gather(job: &Job, videos: &[Video]) -> Gathering {
    let gathered = |video: &Video| -> Result<Gathered, Absence> {
        Ok(Gathered {
            video: video.clone(),
            downloaded: job.look::<Downloaded>(Stage::Download, video)?,
            extracted: job.look::<Extracted>(Stage::Extract, video)?,
            labelled: job.labelled(video)?,
        })
    };
    let mut gathering = Gathering::default();
    for video in videos {
        match gathered(video) {
            Ok(gathered) => gathering.videos.push(gathered),
            Err(absence) => {
                gathering.left_out.insert(video.video_id.clone(), absence);
            }
        }
    }
    gathering
}

/// The dataset, and to which part each group goes; `None` when the run is being stopped.
pub type Decided = Option<(Dataset, BTreeMap<String, Split>)>;

/// Decides on all frames of the gathered videos. One whose pictures cannot be used is left out, and what it stood for is
/// decided anew.
///
/// # Errors
/// An earlier dataset cannot be read, or the search for duplicates not be run.
pub fn decided(job: &Job, gathering: &mut Gathering) -> anyhow::Result<Decided> {
    let earlier = earlier(&job.config)?;
    let splits = splits_before(job);
    let context = Context {
        config: &job.config,
        names: job.models.names(),
        earlier: &earlier,
        splits: &splits,
        folder_of: &|video_id| job.folder.video(video_id),
        workers: workers(&job.config),
        control: &job.control,
    };
    let mut decided = loop {
        let decided = decide(&gathering.videos, &context)?;
        let without = match &decided {
            Some((dataset, _)) => without_pictures(job, dataset),
            None => BTreeMap::new(),
        };
        if without.is_empty() {
            break decided;
        }
        let videos = &mut gathering.videos;
        videos.retain(|gathered| !without.contains_key(&gathered.video.video_id));
        gathering.left_out.extend(without);
    };
    if let (Some((dataset, _)), Some(licence)) = (&mut decided, job.models.licence()) {
        dataset.notes.push(format!(
            "the file of the detector that made the labels states this licence: {licence}"
        ));
    }
    Ok(decided)
}

/// The videos with kept frames whose pictures are not there, or lie elsewhere.
fn without_pictures(job: &Job, dataset: &Dataset) -> BTreeMap<VideoId, Absence> {
    let mut without = BTreeMap::new();
    for frames in dataset.frames.chunk_by(|a, b| a.video == b.video) {
        let id = &dataset.videos[frames[0].video].video.video_id;
        // A kept frame that names no picture is one whose picture is not there.
        let kept = frames.iter().filter(|frame| frame.is_kept());
        let files = kept.map(|frame| frame.frame.file.as_deref().unwrap_or_default());
        if let Err(trouble) = job.folder.video(id).check_pictures(files) {
            without.insert(id.clone(), Absence::Unusable(trouble));
        }
    }
    without
}

/// To which parts the groups went before.
fn splits_before(job: &Job) -> BTreeMap<String, Split> {
    match read_json(&splits_path(&job.folder)) {
        Ok(splits) => splits.unwrap_or_default(),
        Err(why) => {
            job.notes.warn(format!(
                "state/splits.json cannot be used ({why}), so videos may go to other parts than before"
            ));
            BTreeMap::new()
        }
    }
}

/// How far apart the frames are that the filter lets pass.
///
/// # Errors
/// As [`decided`].
pub fn surveyed(job: &Job, videos: &[Gathered]) -> anyhow::Result<Option<Survey>> {
    let config = &job.config;
    let off = Config {
        dedup: super::config::DedupConfig {
            preset: super::config::Preset::Off,
            embedding: None,
            ..config.dedup.clone()
        },
        ..config.clone()
    };
    let drops: Vec<_> = videos
        .iter()
        .map(|video| drops_of_video(&video.extracted, &video.labelled, &off, job.models.names()))
        .collect();
    let candidates = candidates(videos, &drops);
    let (gate, workers) = (config.filter.min_contrast, workers(config));
    let earlier = earlier(config)?;
    dedup::survey(
        &candidates,
        &earlier,
        &config.dedup,
        gate,
        workers,
        &job.control,
    )
    .map_err(from_failure)
}

/// Threads for what is computed across videos.
pub fn workers(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.run.workers.unwrap_or(cores).min(MOST_WORKERS)
}

fn splits_path(folder: &Folder) -> PathBuf {
    folder.state().join("splits.json")
}

fn earlier(config: &Config) -> anyhow::Result<Vec<Earlier>> {
    let mut earlier = Vec::new();
    for dataset in &config.dedup.against {
        earlier.extend(kept_before(dataset)?);
    }
    Ok(earlier)
}

fn kept_before(dataset: &Path) -> anyhow::Result<Vec<Earlier>> {
    let table = dataset.join("frames.parquet");
    let rows = export::read_provenance(&table)
        .with_context(|| format!("cannot read the earlier dataset {}", dataset.display()))?;
    let kept = rows.into_iter().filter(|row| row.kept);
    Ok(kept
        .map(|row| Earlier {
            image_id: row.image_id,
            dct: row.dct,
            dhash: row.dhash,
            contrast: row.contrast,
            brightness: row.brightness,
        })
        .collect())
}

/// Writes the dataset where that is asked for; none when the run is being stopped, and everything is then as it was.
///
/// # Errors
/// Something cannot be written; what was there before is still there.
pub fn write(
    job: &Job,
    dataset: &Dataset,
    splits: &BTreeMap<String, Split>,
    rows: &[Row],
    elapsed: Duration,
) -> anyhow::Result<Option<Vec<String>>> {
    if !job.config.runs(Stage::Export) {
        return Ok(Some(Vec::new()));
    }
    let root = job.folder.root();
    let stopped = || job.control.is_stopped();
    job.disk
        .fits(export::gain_bytes(dataset, &job.config, root)?)?;
    let Some(written) = export::write(dataset, &job.config, root, &stopped)? else {
        return Ok(None);
    };
    write_json(&splits_path(&job.folder), splits)?;
    let page = page::write(dataset, &job.config, root, &facts(job, rows, elapsed))?;
    let mut paths: Vec<PathBuf> = written.into_iter().map(|written| written.path).collect();
    paths.push(page);
    let relative = |path: &PathBuf| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    Ok(Some(paths.iter().map(relative).collect()))
}

fn facts(job: &Job, rows: &[Row], elapsed: Duration) -> RunFacts {
    let stages = job.tally.stages().into_iter().map(|stage| StageFacts {
        name: stage.name.to_owned(),
        items: stage.videos,
        busy_secs: stage.busy_secs,
        waiting_secs: 0.0,
    });
    let failed = rows.iter().filter_map(|row| {
        Some(FailedVideo {
            source: row.source.clone(),
            trouble: Trouble::new(row.class?, row.message.clone().unwrap_or_default()),
        })
    });
    RunFacts {
        stages: stages.collect(),
        failed: failed.collect(),
        elapsed_secs: elapsed.as_secs_f64(),
    }
}

/// Counts what was decided.
pub fn outcome(dataset: &Dataset, written: Vec<String>) -> Outcome {
    let mut outcome = Outcome {
        frames: dataset.frames.len() as u64,
        written,
        notes: dataset.notes.clone(),
        ..Outcome::default()
    };
    for frame in &dataset.frames {
        match (&frame.dropped, frame.split) {
            (Some(drop), _) => {
                *outcome
                    .dropped
                    .entry(DropReason::word(drop.reason))
                    .or_default() += 1;
            }
            (None, split) => {
                outcome.kept += 1;
                if let Some(split) = split {
                    *outcome.splits.entry(split.word()).or_default() += 1;
                }
            }
        }
    }
    outcome
}

/// Writes into the registry how many frames of each video are in the dataset.
///
/// # Errors
/// The registry cannot be written.
pub fn register(
    job: &Job,
    dataset: &Dataset,
    listed: &[Video],
    registry: &Registry,
) -> anyhow::Result<()> {
    let mut kept: BTreeMap<&str, u64> = BTreeMap::new();
    for frame in &dataset.frames {
        let video_id = dataset.videos[frame.video].video.video_id.as_str();
        *kept.entry(video_id).or_default() += u64::from(frame.is_kept());
    }
    let mut rows = rows_of(&job.folder, &job.config)?;
    let listed: BTreeSet<&str> = listed.iter().map(|video| video.video_id.as_str()).collect();
    rows.retain(|row| listed.contains(row.video_id.as_str()));
    for row in &mut rows {
        row.kept = kept.get(row.video_id.as_str()).copied();
    }
    registry.replace(&rows)
}
