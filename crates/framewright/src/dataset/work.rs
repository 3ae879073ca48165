//! The stages of one video, each from what the one before has left on the disk.
//!
//! A stage does nothing where its result is there under the right key. Both modes call these functions; what they hand
//! each other is the video's folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context as _;
use framewright_media::Picture;
use framewright_pipeline::Control;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::config::{Config, Stage};
use super::decide::drops_of_video;
use super::disk::Disk;
use super::download::{Downloader, Progress};
use super::extract::{self, Event, OWN_PROGRAM, Write};
use super::filter::quality_drop;
use super::folder::{Folder, read_json, size_bytes, write_json};
use super::keys::{self, Written};
use super::models::{ModelWorker, Models};
use super::record::{Downloaded, Extracted, Labelled, Location, Video};
use super::tally::Tally;
use super::trouble::{Class, Setback, Trouble};
use crate::notes::Notes;

/// The stages that work on one video and leave a file.
pub const PER_VIDEO: [Stage; 4] = [
    Stage::Download,
    Stage::Extract,
    Stage::Filter,
    Stage::Detect,
];

/// What is known of a failure.
pub const FAILURE: &str = "failure.json";

/// The file of a stage in a video's folder.
pub const fn file_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Download => "download.json",
        Stage::Extract => "extract.json",
        Stage::Filter => "filter.json",
        Stage::Detect => "detect.json",
        Stage::Dedup | Stage::Export => unreachable!(),
    }
}

/// A result with the key of what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept<T> {
    /// What it was made from.
    pub key: String,
    /// The result.
    pub value: T,
}

/// The key alone, for results that need not be read whole.
#[derive(Deserialize)]
struct KeyOf {
    key: String,
}

/// What all workers of a run share.
pub struct Job {
    /// What is to be made.
    pub config: Config,
    /// Where it is made.
    pub folder: Folder,
    /// Fetches videos.
    pub downloader: Downloader,
    /// The models.
    pub models: Models,
    /// What the folder may hold.
    pub disk: Disk,
    /// What was done.
    pub tally: Arc<Tally>,
    /// What is said.
    pub notes: Notes,
    /// Pause, finish, stop.
    pub control: Control,
    /// Threads of one decoder.
    pub decoder_threads: usize,
}

impl Job {
    /// Runs a stage of a video.
    ///
    /// # Errors
    /// [`Setback::Video`] is the video's own; the run goes on.
    pub fn stage(
        &self,
        stage: Stage,
        worker: &mut ModelWorker,
        video: &Video,
    ) -> Result<(), Setback> {
        if !self.config.runs(stage) {
            return Ok(());
        }
        if self.control.is_stopped() {
            return Err(Setback::Stopped);
        }
        match stage {
            Stage::Download => self.download(video),
            Stage::Extract => self.extract(video),
            Stage::Filter => self.filter(worker, video),
            Stage::Detect => self.detect(worker, video),
            Stage::Dedup | Stage::Export => Ok(()),
        }
    }

    /// The key that a stage's result would have now; none where the stage before has none.
    pub fn key(&self, stage: Stage, video: &Video) -> Option<String> {
        match stage {
            Stage::Download => Some(keys::download(video, &self.config)),
            Stage::Extract => {
                let downloaded: Downloaded = self.result(Stage::Download, video)?;
                let written = keys::written(&self.config);
                Some(keys::extract(&downloaded.sha256, &self.config, written))
            }
            Stage::Filter => {
                let extract = self.extract_key(video)?;
                Some(keys::filter(&extract, &self.config, self.models.digests()))
            }
            Stage::Detect => {
                let filter = self.key(Stage::Filter, video)?;
                Some(keys::detect(&filter, &self.config, self.models.digests()))
            }
            Stage::Dedup | Stage::Export => None,
        }
    }

    /// Which pictures of a video are there, of those that the configuration may ask for.
    fn there(&self, video: &Video) -> Option<Written> {
        let downloaded: Downloaded = self.result(Stage::Download, video)?;
        let kept: KeyOf = read_json(&self.path(Stage::Extract, video))?;
        let is = |written| keys::extract(&downloaded.sha256, &self.config, written) == kept.key;
        [Written::All, Written::Survivors]
            .into_iter()
            .find(|written| is(*written))
    }

    /// What stands for the rows of a video in the keys of the stages after: the same, whichever pictures are there.
    fn extract_key(&self, video: &Video) -> Option<String> {
        self.there(video)?;
        let downloaded: Downloaded = self.result(Stage::Download, video)?;
        Some(keys::extract(
            &downloaded.sha256,
            &self.config,
            Written::All,
        ))
    }

    /// Whether a stage has nothing left to do for a video. Pictures of dropped frames count only where they were asked for
    /// by name; that all of them are written where later stages are not run yet is only foresight.
    pub fn is_done(&self, stage: Stage, video: &Video) -> bool {
        match stage {
            Stage::Extract => match self.there(video) {
                Some(Written::All) => true,
                Some(Written::Survivors) => !self.config.run.keep,
                None => false,
            },
            stage => self.has(stage, video),
        }
    }

    /// The result of a stage, where it is there and made from what it would be made from now.
    pub fn result<T: DeserializeOwned>(&self, stage: Stage, video: &Video) -> Option<T> {
        if !self.has(stage, video) {
            return None;
        }
        let kept: Kept<T> = read_json(&self.path(stage, video))?;
        Some(kept.value)
    }

    /// Whether the result of a stage is there and made from what it would be made from now.
    pub fn has(&self, stage: Stage, video: &Video) -> bool {
        if stage == Stage::Extract {
            return self.extract_key(video).is_some();
        }
        let kept: Option<KeyOf> = read_json(&self.path(stage, video));
        kept.is_some_and(|kept| self.key(stage, video) == Some(kept.key))
    }

    fn path(&self, stage: Stage, video: &Video) -> PathBuf {
        self.folder.video(&video.video_id).join(file_of(stage))
    }

    fn keep<T: Serialize>(&self, stage: Stage, video: &Video, value: &T) -> Result<(), Setback> {
        let key = self
            .key(stage, video)
            .context("a stage has a key when the one before is done")?;
        let path = self.path(stage, video);
        write_json(&path, &Kept { key, value })?;
        Ok(())
    }

    fn cancelled(&self) -> bool {
        self.control.is_stopped()
    }

    fn download(&self, video: &Video) -> Result<(), Setback> {
        let folder = self.folder.video(&video.video_id);
        if let Some(downloaded) = self.result::<Downloaded>(Stage::Download, video) {
            let is_needed =
                !self.config.runs(Stage::Extract) || !self.is_done(Stage::Extract, video);
            if !is_needed || folder.join(&downloaded.file).exists() {
                return Ok(());
            }
        }
        self.tally.timed(Stage::Download, || {
            let downloaded = self.fetch(video, &folder)?;
            self.keep(Stage::Download, video, &downloaded)
        })
    }

    fn fetch(&self, video: &Video, folder: &Path) -> Result<Downloaded, Setback> {
        let mut counted = 0;
        let mut on_progress = |progress: Progress| {
            // A download that starts again has fewer bytes than before.
            self.tally
                .bytes
                .fetch_add(progress.bytes.saturating_sub(counted), Relaxed);
            counted = progress.bytes;
        };
        // A local film is about to be decoded behind the same fence, which tells as much.
        let verify = |path: &Path, stated_secs: Option<f64>| {
            if is_local(video) {
                Ok(())
            } else {
                self.verify(path, folder, stated_secs)
            }
        };
        self.downloader
            .fetch(video, folder, &verify, &mut on_progress)
    }

    /// Whether a fetched file is a whole video, as long as the site says it is.
    fn verify(&self, path: &Path, folder: &Path, stated_secs: Option<f64>) -> Result<(), Setback> {
        let config = &self.config.extract;
        let cancelled = || self.cancelled();
        let mut on_event = |event| self.note_fence(event);
        let verified =
            extract::verify_file(OWN_PROGRAM, path, folder, config, &cancelled, &mut on_event)?;
        let Some(stated) = stated_secs else {
            return Ok(());
        };
        let found = verified.read_until_secs;
        // Players round, and sound may end later than the picture.
        if stated - found > (0.01 * stated).max(1.0) {
            let message = format!("the site says {stated:.1} s, what came ends at {found:.1} s");
            return Err(Trouble::new(Class::Truncated, message).into());
        }
        Ok(())
    }

    fn note_fence(&self, event: Event) {
        if let Event::Unfenced(missing) = event {
            self.notes.fallback(missing);
        }
    }

    /// Pictures and measures of a film, made by a process of its own.
    fn take_apart(&self, video: &Video, file: &Path, folder: &Path) -> Result<Extracted, Setback> {
        let config = &self.config;
        let write = match keys::written(config) {
            Written::All => Write::All,
            Written::Survivors => Write::Survivors {
                filter: Box::new(config.filter.clone()),
                dedup: (!config.filters_by_model()).then(|| Box::new(config.dedup.clone())),
            },
        };
        let job = extract::Job {
            program: OWN_PROGRAM,
            video_id: &video.video_id,
            file,
            folder,
            config: &config.extract,
            write,
            mirrored: config.dedup.flip,
            threads: self.decoder_threads,
        };
        let mut counted = 0;
        let mut on_event = |event| match event {
            Event::Progress { frames, .. } => {
                self.tally
                    .frames
                    .fetch_add(frames.saturating_sub(counted), Relaxed);
                counted = frames;
            }
            event @ Event::Unfenced(_) => self.note_fence(event),
        };
        let extracted = extract::extract(&job, &|| self.cancelled(), &mut on_event)?;
        let rest = (extracted.frames.len() as u64).saturating_sub(counted);
        self.tally.frames.fetch_add(rest, Relaxed);
        Ok(extracted)
    }

    fn extract(&self, video: &Video) -> Result<(), Setback> {
        if self.is_done(Stage::Extract, video) {
            return Ok(());
        }
        let Some(downloaded) = self.result::<Downloaded>(Stage::Download, video) else {
            return Err(not_there("the video was not fetched yet", Stage::Download));
        };
        let folder = self.folder.video(&video.video_id);
        let file = folder.join(&downloaded.file);
        if !file.exists() {
            return Err(not_there(
                "the fetched video is not there any more",
                Stage::Download,
            ));
        }
        self.tally.timed(Stage::Extract, || {
            let extracted = self.take_apart(video, &file, &folder)?;
            self.keep(Stage::Extract, video, &extracted)
        })?;
        if downloaded.file.is_relative() && !self.config.run.keep {
            remove(&file)?;
        }
        self.tidy(video)?;
        self.disk.keep(size_bytes(&folder));
        Ok(())
    }

    fn filter(&self, worker: &mut ModelWorker, video: &Video) -> Result<(), Setback> {
        if !self.config.writes(Stage::Filter) || self.has(Stage::Filter, video) {
            return Ok(());
        }
        let Some(extracted) = self.result::<Extracted>(Stage::Extract, video) else {
            return Err(not_there("the video has no pictures yet", Stage::Extract));
        };
        self.tally.timed(Stage::Filter, || {
            let passes = |frame: &super::record::Frame| {
                quality_drop(&frame.scores, &self.config.filter).is_none()
            };
            let mut labelled = Labelled::default();
            for frame in extracted.frames.iter().filter(|frame| passes(frame)) {
                let picture = self.picture(video, frame)?;
                let labels = worker.judge(&picture, &self.config).map_err(Setback::Run)?;
                labelled.pictures.insert(frame.image_id.clone(), labels);
                self.shown()?;
            }
            self.keep(Stage::Filter, video, &labelled)
        })?;
        self.tidy(video)
    }

    fn detect(&self, worker: &mut ModelWorker, video: &Video) -> Result<(), Setback> {
        if !self.config.writes(Stage::Detect) || self.has(Stage::Detect, video) {
            return Ok(());
        }
        let Some(extracted) = self.result::<Extracted>(Stage::Extract, video) else {
            return Err(not_there("the video has no pictures yet", Stage::Extract));
        };
        let judged = match self.result::<Labelled>(Stage::Filter, video) {
            Some(labelled) => labelled,
            None if self.config.writes(Stage::Filter) => {
                return Err(not_there("the video was not filtered yet", Stage::Filter));
            }
            None => Labelled::default(),
        };
        self.tally.timed(Stage::Detect, || {
            let drops = drops_of_video(&extracted, &judged, &self.config, self.models.names());
            let mut labelled = Labelled::default();
            let left = extracted
                .frames
                .iter()
                .zip(&drops)
                .filter(|(_, drop)| drop.is_none());
            for (frame, _) in left {
                let mut labels = judged
                    .pictures
                    .get(&frame.image_id)
                    .cloned()
                    .unwrap_or_default();
                // The filter has asked the same detector already.
                if labels.objects.is_none() {
                    let picture = self.picture(video, frame)?;
                    labels.objects = Some(worker.detect(&picture).map_err(Setback::Run)?);
                    self.shown()?;
                }
                labelled.pictures.insert(frame.image_id.clone(), labels);
            }
            self.keep(Stage::Detect, video, &labelled)
        })
    }

    fn shown(&self) -> Result<(), Setback> {
        self.tally.shown.fetch_add(1, Relaxed);
        if self.cancelled() {
            return Err(Setback::Stopped);
        }
        Ok(())
    }

    fn picture(&self, video: &Video, frame: &super::record::Frame) -> Result<Picture, Setback> {
        let file = frame
            .file
            .as_deref()
            .context("the picture of a frame that is left was written")?;
        let path = self.folder.video(&video.video_id).join("frames").join(file);
        let cannot = |error| {
            let message = format!(
                "{error}; remove its extract.json to have the pictures made again: {}",
                path.display()
            );
            Setback::Video(Trouble::new(Class::Environment, message))
        };
        Picture::read(&path).map_err(cannot)
    }

    /// What the models said of a video: of what is left where the detector ran, else of what was filtered.
    pub fn labelled(&self, video: &Video) -> Labelled {
        let mut labelled: Labelled = self.result(Stage::Filter, video).unwrap_or_default();
        let detected: Labelled = self.result(Stage::Detect, video).unwrap_or_default();
        labelled.pictures.extend(detected.pictures);
        labelled
    }

    /// Removes the pictures of frames that are dropped for good, as soon as all that decides so is known.
    fn tidy(&self, video: &Video) -> Result<(), Setback> {
        let waits_for_filter = self.config.writes(Stage::Filter) && !self.has(Stage::Filter, video);
        if keys::written(&self.config) == Written::All || waits_for_filter {
            return Ok(());
        }
        let Some(extracted) = self.result::<Extracted>(Stage::Extract, video) else {
            return Ok(());
        };
        // Said before it is done: with another filter the pictures have to be made again.
        if self.there(video) == Some(Written::All) {
            self.keep(Stage::Extract, video, &extracted)?;
        }
        let drops = drops_of_video(
            &extracted,
            &self.labelled(video),
            &self.config,
            self.models.names(),
        );
        let frames = self.folder.video(&video.video_id).join("frames");
        for (frame, drop) in extracted.frames.iter().zip(drops) {
            if let (Some(file), Some(_)) = (&frame.file, drop) {
                remove(&frames.join(file))?;
            }
        }
        Ok(())
    }
}

/// What has to be done before: another run with that stage does it.
fn not_there(what: &str, stage: Stage) -> Setback {
    let message = format!("{what}; run the stage {} first", stage.word());
    Trouble::new(Class::Environment, message).into()
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> Result<(), Setback> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Setback::Run(
            anyhow::Error::new(error).context(format!("cannot remove {}", path.display())),
        )),
        _ => Ok(()),
    }
}

/// Whether a video is a file of this machine.
pub fn is_local(video: &Video) -> bool {
    matches!(video.location, Location::File(_))
}
