//! The stages of one video, each from what the one before has left on the disk.
//!
//! A stage does nothing where its result is there under the right key. Both modes call these functions; what they hand
//! each other is the video's folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use framewright_media::Picture;
use framewright_pipeline::Control;

use super::config::{Config, Stage};
use super::decide::drops_of_video;
use super::disk::{Disk, Growth};
use super::download::{Downloader, Progress};
use super::extract::{self, Event, OWN_PROGRAM, Write};
use super::filter::quality_drop;
use super::folder::Folder;
use super::keys::Written;
use super::models::{ModelWorker, Models};
use super::record::{Downloaded, Extracted, Frame, Labelled, Location, Video};
use super::results::to_write;
use super::tally::Tally;
use super::trouble::{Class, Setback, Trouble};
use super::video_folder::REMAKE;
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

    fn cancelled(&self) -> bool {
        self.control.is_stopped()
    }

    fn download(&self, video: &Video) -> Result<(), Setback> {
        let folder = self.folder.video(&video.video_id);
        if let Some(downloaded) = self.result::<Downloaded>(Stage::Download, video) {
            let is_needed =
                !self.config.runs(Stage::Extract) || !self.is_done(Stage::Extract, video);
            if !is_needed || self.film(video, &downloaded)?.is_file() {
                return Ok(());
            }
        }
        self.tally.timed(Stage::Download, || {
            let downloaded = self.fetch(video, folder.enter()?)?;
            self.keep(Stage::Download, video, &downloaded)
        })
    }

    /// Where the film of a video is: a local one where its input says, any other in the video's folder.
    fn film(&self, video: &Video, downloaded: &Downloaded) -> Result<PathBuf, Trouble> {
        match &video.location {
            Location::File(path) => Ok(path.clone()),
            Location::Http(_) | Location::Page(_) => {
                self.folder.video(&video.video_id).film(&downloaded.file)
            }
        }
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
                self.verify(path, stated_secs)
            }
        };
        let fetched = self
            .downloader
            .fetch(video, folder, &verify, &mut on_progress);
        if let Some(missing) = self.downloader.unfenced() {
            self.notes.fallback(missing);
        }
        fetched
    }

    /// Whether a fetched file is a whole video, as long as the site says it is.
    fn verify(&self, path: &Path, stated_secs: Option<f64>) -> Result<(), Setback> {
        let config = &self.config.extract;
        let cancelled = || self.cancelled();
        let mut on_event = |event| self.note_fence(event);
        let verified = extract::verify_file(OWN_PROGRAM, path, config, &cancelled, &mut on_event)?;
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
        let write = match to_write(config) {
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
        let growth = Growth::new(&self.disk, &video.video_id);
        let ends = || self.cancelled() || growth.is_too_much();
        let extracted = extract::extract(&job, &ends, &mut on_event);
        let extracted = extracted.map_err(|setback| match (setback, growth.trouble()) {
            (Setback::Stopped, Some(trouble)) => trouble.into(),
            (setback, _) => setback,
        })?;
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
        let file = self.film(video, &downloaded)?;
        if !file.is_file() {
            return Err(not_there(
                "the fetched video is not there any more",
                Stage::Download,
            ));
        }
        self.tally.timed(Stage::Extract, || {
            // Its pictures are about to be replaced, so they are none of the record's any more.
            folder.remove(file_of(Stage::Extract))?;
            let extracted = self.take_apart(video, &file, folder.enter()?)?;
            self.keep(Stage::Extract, video, &extracted)
        })?;
        // A film of the user's own is not ours to remove.
        let fetched = downloaded.file.to_str().filter(|_| !is_local(video));
        if let (Some(name), false) = (fetched, self.config.run.keep) {
            folder.remove(name)?;
        }
        self.tidy(video)
    }

    fn filter(&self, worker: &mut ModelWorker, video: &Video) -> Result<(), Setback> {
        if !self.config.writes(Stage::Filter) || self.has(Stage::Filter, video) {
            return Ok(());
        }
        let Some(extracted) = self.result::<Extracted>(Stage::Extract, video) else {
            return Err(not_there("the video has no pictures yet", Stage::Extract));
        };
        self.tally.timed(Stage::Filter, || {
            let passes = |frame: &Frame| quality_drop(&frame.scores, &self.config.filter).is_none();
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

    fn picture(&self, video: &Video, frame: &Frame) -> Result<Picture, Setback> {
        let folder = self.folder.video(&video.video_id);
        let cannot = |why: String| Setback::Video(Trouble::new(Class::Environment, why));
        let Some(file) = frame.file.as_deref() else {
            let why = format!("a frame that is left has no picture; {REMAKE}");
            return Err(cannot(why));
        };
        folder.check_pictures([file].into_iter())?;
        let path = folder.picture(file);
        Picture::read(&path)
            .map_err(|error| cannot(format!("{error}; {REMAKE}: {}", path.display())))
    }

    /// Removes the pictures of frames that are dropped for good, as soon as all that decides so is known.
    fn tidy(&self, video: &Video) -> Result<(), Setback> {
        let waits_for_filter = self.config.writes(Stage::Filter) && !self.has(Stage::Filter, video);
        if to_write(&self.config) == Written::All || waits_for_filter {
            return Ok(());
        }
        let Some(extracted) = self.result::<Extracted>(Stage::Extract, video) else {
            return Ok(());
        };
        // Said before it is done: with another filter the pictures have to be made again.
        if self.pictures_there(video) == Ok(Written::All) {
            self.keep(Stage::Extract, video, &extracted)?;
        }
        let judged: Labelled = self.look(Stage::Filter, video).unwrap_or_default();
        let drops = drops_of_video(&extracted, &judged, &self.config, self.models.names());
        let dropped = extracted
            .frames
            .iter()
            .zip(drops)
            .filter_map(|(frame, drop)| drop.and(frame.file.as_deref()));
        self.folder.video(&video.video_id).remove_pictures(dropped)
    }
}

/// What has to be done before: another run with that stage does it.
fn not_there(what: &str, stage: Stage) -> Setback {
    let message = format!("{what}; run the stage {} first", stage.word());
    Trouble::new(Class::Environment, message).into()
}

/// Whether a video is a file of this machine.
pub fn is_local(video: &Video) -> bool {
    matches!(video.location, Location::File(_))
}
