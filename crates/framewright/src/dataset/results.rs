//! What the stages have left of a video, and whether it still holds.
//!
//! Invariant: that does not depend on which stages a run runs. A run of later stages uses what earlier ones have left; what
//! it cannot use has a reason.

use serde::{Deserialize, Serialize};

use super::config::{Config, Stage};
use super::keys::{self, Written};
use super::readback::fits::OfVideo;
use super::record::{Downloaded, Extracted, Labelled, Location, Video};
use super::trouble::{Setback, Trouble};
use super::work::{Job, file_of};

/// A result with the key of what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept<T> {
    /// What it was made from.
    pub key: String,
    /// The result.
    pub value: T,
}

/// The key alone, for results that need not be read whole.
#[derive(Debug, Deserialize)]
pub struct KeyOf {
    key: String,
}

/// Why a result cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub enum Absence {
    /// Its stage has not come to an end with the video.
    NotDone(Stage),
    /// It was made with other settings, by another model or of another file.
    Outdated(Stage),
    /// It cannot be read back.
    Unusable(Trouble),
}

impl Absence {
    /// What happened, in words for the user.
    pub fn message(&self) -> String {
        match self {
            Self::NotDone(stage) => format!("the stage {} is not done", stage.word()),
            Self::Outdated(stage) => format!(
                "its {} was made with other settings or of another file; run the stage {} again",
                file_of(*stage),
                stage.word()
            ),
            Self::Unusable(trouble) => trouble.message.clone(),
        }
    }
}

/// Which pictures this run writes of a video: all of them where the stages that choose among them are left to a later run,
/// which may choose otherwise.
pub fn to_write(config: &Config) -> Written {
    let decides = config.runs(Stage::Filter) && config.runs(Stage::Dedup);
    if config.run.keep || !decides {
        Written::All
    } else {
        Written::Survivors
    }
}

impl Job {
    /// The key that a stage's result would have now; `None` where the stage before has no result.
    pub fn key(&self, stage: Stage, video: &Video) -> Option<String> {
        match stage {
            Stage::Download => Some(keys::download(video, &self.config)),
            // The same, whichever pictures of it are there.
            Stage::Extract => self.extract_key(video, Written::All).ok(),
            Stage::Filter => {
                self.pictures_there(video).ok()?;
                let extract = self.key(Stage::Extract, video)?;
                Some(keys::filter(&extract, &self.config, self.models.digests()))
            }
            Stage::Detect => {
                let filter = self.key(Stage::Filter, video)?;
                Some(keys::detect(&filter, &self.config, self.models.digests()))
            }
            Stage::Dedup | Stage::Export => None,
        }
    }

    fn extract_key(&self, video: &Video, written: Written) -> Result<String, Absence> {
        let downloaded: Downloaded = self.look(Stage::Download, video)?;
        Ok(keys::extract(&downloaded.sha256, &self.config, written))
    }

    /// Which pictures of a video are there, of those that the configuration may ask for.
    ///
    /// # Errors
    /// None that it may ask for.
    pub fn pictures_there(&self, video: &Video) -> Result<Written, Absence> {
        let kept: KeyOf = self.kept(Stage::Extract, video)?;
        self.written_of(&kept.key, video)
    }

    fn written_of(&self, key: &str, video: &Video) -> Result<Written, Absence> {
        for written in [Written::All, Written::Survivors] {
            if self.extract_key(video, written)? == key {
                return Ok(written);
            }
        }
        Err(Absence::Outdated(Stage::Extract))
    }

    fn kept<T: OfVideo>(&self, stage: Stage, video: &Video) -> Result<T, Absence> {
        let folder = self.folder.video(&video.video_id);
        match folder.read(file_of(stage), video) {
            Ok(Some(kept)) => Ok(kept),
            Ok(None) => Err(Absence::NotDone(stage)),
            Err(trouble) => Err(Absence::Unusable(trouble)),
        }
    }

    /// The result of a stage.
    ///
    /// # Errors
    /// It is not there, cannot be read, or was made from something else than it would be made from now.
    pub fn look<T: OfVideo>(&self, stage: Stage, video: &Video) -> Result<T, Absence> {
        let kept: Kept<T> = self.kept(stage, video)?;
        let holds = match stage {
            // What was taken from a film holds when the film is gone: it cannot have become another one.
            Stage::Download if is_gone(video) => true,
            Stage::Extract => self.written_of(&kept.key, video).map(|_| true)?,
            stage => self.key(stage, video) == Some(kept.key),
        };
        if holds {
            Ok(kept.value)
        } else {
            Err(Absence::Outdated(stage))
        }
    }

    /// As [`Job::look`]; a result that cannot be read is said, for it is about to be made again.
    pub fn result<T: OfVideo>(&self, stage: Stage, video: &Video) -> Option<T> {
        match self.look(stage, video) {
            Ok(value) => Some(value),
            Err(Absence::Unusable(trouble)) => {
                let source = &video.source;
                self.notes.warn(format!("{source}: {}", trouble.message));
                None
            }
            Err(Absence::NotDone(_) | Absence::Outdated(_)) => None,
        }
    }

    /// Whether the result of a stage is there and holds.
    pub fn has(&self, stage: Stage, video: &Video) -> bool {
        match stage {
            Stage::Download => self.result::<Downloaded>(stage, video).is_some(),
            Stage::Extract => self.result::<Extracted>(stage, video).is_some(),
            Stage::Filter | Stage::Detect => self.result::<Labelled>(stage, video).is_some(),
            Stage::Dedup | Stage::Export => false,
        }
    }

    /// Whether a stage has nothing left to do for a video. Pictures of dropped frames count only where they were asked for
    /// by name; that all of them are written where later stages are not run yet is only foresight.
    pub fn is_done(&self, stage: Stage, video: &Video) -> bool {
        let has_pictures = || match self.pictures_there(video) {
            Ok(Written::All) => true,
            Ok(Written::Survivors) => !self.config.run.keep,
            Err(_) => false,
        };
        self.has(stage, video) && (stage != Stage::Extract || has_pictures())
    }

    /// What the models said of a video: of what is left where the detector ran, else of what was filtered. A stage that is
    /// neither asked for nor done has said nothing.
    ///
    /// # Errors
    /// What a stage said cannot be used, or it was asked for and is not done.
    pub fn labelled(&self, video: &Video) -> Result<Labelled, Absence> {
        let mut labelled = Labelled::default();
        let writing = [Stage::Filter, Stage::Detect].into_iter();
        for stage in writing.filter(|stage| self.config.writes(*stage)) {
            match self.look::<Labelled>(stage, video) {
                Ok(more) => labelled.pictures.extend(more.pictures),
                Err(Absence::NotDone(_)) if !self.config.runs(stage) => {
                    self.notes.warn(format!(
                        "{}: the stage {} was not run, so its pictures go without",
                        video.source,
                        stage.word()
                    ));
                }
                Err(absence) => return Err(absence),
            }
        }
        Ok(labelled)
    }

    /// Keeps the result of a stage under its key.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep<T: Serialize>(
        &self,
        stage: Stage,
        video: &Video,
        value: &T,
    ) -> Result<(), Setback> {
        let key = match stage {
            Stage::Extract => self.extract_key(video, to_write(&self.config)).ok(),
            stage => self.key(stage, video),
        };
        let key = key.ok_or_else(|| anyhow::anyhow!("the stage before has no result"))?;
        let folder = self.folder.video(&video.video_id);
        folder.write(file_of(stage), &Kept { key, value })
    }
}

/// Whether a video was a file of this machine that is not there any more.
fn is_gone(video: &Video) -> bool {
    match &video.location {
        Location::File(path) => matches!(path.try_exists(), Ok(false)),
        Location::Http(_) | Location::Page(_) => false,
    }
}
