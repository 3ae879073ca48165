//! How far every video is: a database file for people and scripts to ask.
//!
//! Invariant: it holds nothing that cannot be told from the files under `state/videos`; one that is missing or
//! damaged is made again from them.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::{Connection, ErrorCode, params};
use serde::Serialize;

use super::config::{Config, Stage};
use super::folder::Folder;
use super::record::{Extracted, Order, Video, VideoId};
use super::results::Kept;
use super::run::config_of;
use super::trouble::{Class, Trouble};
use super::work::{FAILURE, PER_VIDEO, file_of};
use crate::exit::{Exit, OrExit as _, fail};
use crate::notes::Notes;

/// Rises with the table.
const VERSION: i64 = 1;

const TABLE: &str = "\
CREATE TABLE IF NOT EXISTS videos (
  video_id TEXT PRIMARY KEY,
  line INTEGER NOT NULL,
  entry INTEGER NOT NULL,
  source TEXT NOT NULL,
  state TEXT NOT NULL,
  stage TEXT,
  class TEXT,
  message TEXT,
  attempts INTEGER NOT NULL,
  next_try_unix_secs INTEGER,
  frames INTEGER,
  kept INTEGER
) WITHOUT ROWID";

/// How a video failed last; the content of `failure.json`.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Failure {
    /// The stage that failed.
    pub stage: Stage,
    /// What its result would have been made from; another key is another try.
    pub key: String,
    /// What happened.
    pub trouble: Trouble,
    /// Tries so far, of all runs.
    pub attempts: u32,
    /// Not before this second since 1970.
    pub next_try_unix_secs: Option<u64>,
}

/// How far a video is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not begun, or interrupted.
    Pending,
    /// All stages that were asked for are done.
    Done,
    /// It has trouble.
    Failed,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A video in the registry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Our name for it.
    pub video_id: String,
    /// Its place in the inputs.
    #[serde(flatten)]
    pub order: Order,
    /// As the user gave it.
    pub source: String,
    /// How far it is.
    pub state: State,
    /// The stage it came to.
    pub stage: Option<Stage>,
    /// What kind of trouble it has.
    pub class: Option<Class>,
    /// What happened.
    pub message: Option<String>,
    /// Tries that failed so far.
    pub attempts: u32,
    /// Not tried before this second since 1970.
    pub next_try_unix_secs: Option<u64>,
    /// Frames looked at.
    pub frames: Option<u64>,
    /// Frames in the dataset; none before all videos were put together.
    pub kept: Option<u64>,
}

/// The open registry.
pub struct Registry {
    connection: Mutex<Connection>,
}

impl Registry {
    /// Opens the registry of a dataset, or makes it from the files.
    ///
    /// # Errors
    /// [`Exit::Config`] when a newer program made it; or it cannot be written.
    pub fn open(folder: &Folder, notes: &Notes) -> anyhow::Result<Self> {
        let path = folder.registry();
        let was_there = path.exists();
        let registry = match Self::open_file(&path) {
            Ok(registry) => registry,
            Err(error) if is_damage(&error) => {
                set_aside(&path)?;
                notes.warn("the registry was damaged and was made again from the files beside it");
                Self::open_file(&path)?
            }
            Err(error) => return Err(error),
        };
        if !was_there || registry.rows()?.is_empty() {
            registry.rebuild(folder)?;
        }
        Ok(registry)
    }

    fn open_file(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot use the registry {}", path.display());
        let connection = Connection::open(path).with_context(cannot)?;
        // Parts of one run write side by side.
        connection
            .busy_timeout(Duration::from_secs(30))
            .with_context(cannot)?;
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .with_context(cannot)?;
        connection
            .pragma_update(None, "synchronous", "NORMAL")
            .with_context(cannot)?;
        let version: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .with_context(cannot)?;
        if version > VERSION {
            let message = format!("a newer framewright made {}; use that one", path.display());
            return Err(fail(Exit::Config, message));
        }
        let check: String = connection
            .pragma_query_value(None, "quick_check", |row| row.get(0))
            .with_context(cannot)?;
        if check != "ok" {
            return Err(anyhow::Error::new(damaged()).context(cannot()));
        }
        connection.execute(TABLE, []).with_context(cannot)?;
        connection
            .pragma_update(None, "user_version", VERSION)
            .with_context(cannot)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // SQLite keeps its file whole whatever a thread that panicked was about to do.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the table anew from what lies under `state/videos`.
    fn rebuild(&self, folder: &Folder) -> anyhow::Result<()> {
        // Without its configuration a dataset counts as one of all stages.
        let config = config_of(folder).unwrap_or_default();
        for row in rows_of(folder, &config)? {
            self.put(&row)?;
        }
        Ok(())
    }

    /// Writes how far a video is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&self, row: &Row) -> anyhow::Result<()> {
        let put = "INSERT INTO videos VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) \
                   ON CONFLICT (video_id) DO UPDATE SET line=?2, entry=?3, source=?4, state=?5, stage=?6, class=?7, \
                   message=?8, attempts=?9, next_try_unix_secs=?10, frames=?11, kept=?12";
        let values = params![
            row.video_id,
            row.order.line,
            row.order.entry,
            row.source,
            row.state.word(),
            row.stage.map(Stage::word),
            row.class.map(Class::word),
            row.message,
            row.attempts,
            row.next_try_unix_secs,
            row.frames,
            row.kept,
        ];
        self.connection()
            .execute(put, values)
            .context("cannot write the registry")
            .or_exit(Exit::Io)?;
        Ok(())
    }

    /// Writes many rows in one step, and takes out every other.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn replace(&self, rows: &[Row]) -> anyhow::Result<()> {
        let write = |what: &str| {
            self.connection()
                .execute_batch(what)
                .context("cannot write the registry")
                .or_exit(Exit::Io)
        };
        write("BEGIN IMMEDIATE; DELETE FROM videos;")?;
        let put = rows.iter().try_for_each(|row| self.put(row));
        write(if put.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        put
    }

    /// Every video, in input order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let ask = "SELECT video_id, line, entry, source, state, stage, class, message, attempts, next_try_unix_secs, \
                   frames, kept FROM videos ORDER BY line, entry, video_id";
        let connection = self.connection();
        let mut asked = connection
            .prepare(ask)
            .context("cannot read the registry")?;
        let rows = asked.query_map([], |row| {
            let (state, stage, class): (String, Option<String>, Option<String>) =
                (row.get(4)?, row.get(5)?, row.get(6)?);
            Ok(Row {
                video_id: row.get(0)?,
                order: Order {
                    line: row.get(1)?,
                    entry: row.get(2)?,
                },
                source: row.get(3)?,
                state: match state.as_str() {
                    "done" => State::Done,
                    "failed" => State::Failed,
                    _ => State::Pending,
                },
                stage: stage
                    .and_then(|word| Stage::ALL.into_iter().find(|stage| stage.word() == word)),
                class: class
                    .and_then(|word| Class::ALL.into_iter().find(|class| class.word() == word)),
                message: row.get(7)?,
                attempts: row.get(8)?,
                next_try_unix_secs: row.get(9)?,
                frames: row.get(10)?,
                kept: row.get(11)?,
            })
        });
        let rows: Result<Vec<Row>, _> = rows.context("cannot read the registry")?.collect();
        rows.context("cannot read the registry")
    }
}

fn damaged() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, None)
}

fn is_damage(error: &anyhow::Error) -> bool {
    let of = |error: &rusqlite::Error| error.sqlite_error_code();
    let code = error.chain().find_map(|cause| of(cause.downcast_ref()?));
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn set_aside(path: &Path) -> anyhow::Result<()> {
    let aside = path.with_extension("sqlite.damaged");
    fs::rename(path, &aside).with_context(|| format!("cannot set {} aside", path.display()))?;
    for beside in ["sqlite-wal", "sqlite-shm"] {
        // They belong to the file that is set aside.
        let _ = fs::remove_file(path.with_extension(beside));
    }
    Ok(())
}

/// How far every video is under a configuration, from the files alone. A folder that does not say whose it is has no row.
///
/// # Errors
/// The folder cannot be read.
pub fn rows_of(folder: &Folder, config: &Config) -> anyhow::Result<Vec<Row>> {
    let ids = folder
        .video_ids()
        .with_context(|| format!("cannot read {}", folder.videos().display()))?;
    let source = |id: &VideoId| folder.video(id).source(id).ok().flatten();
    let videos = ids.iter().filter_map(source);
    let mut rows: Vec<Row> = videos.map(|video| row_of(folder, &video, config)).collect();
    rows.sort_by(|a, b| (a.order, &a.video_id).cmp(&(b.order, &b.video_id)));
    Ok(rows)
}

/// How far a video is under a configuration.
pub fn row_of(folder: &Folder, video: &Video, config: &Config) -> Row {
    let its = folder.video(&video.video_id);
    // A failure that cannot be read back is tried again, and so is none.
    let failure: Option<Failure> = its.read(FAILURE, video).unwrap_or_default();
    let extracted = its.read::<Kept<Extracted>>(file_of(Stage::Extract), video);
    // A run of what comes after them all needs what they have written.
    let any = PER_VIDEO.into_iter().any(|stage| config.runs(stage));
    let counts = |stage: &Stage| config.writes(*stage) && (!any || config.runs(*stage));
    let is_there = |stage: &Stage| its.has(file_of(*stage));
    let mut stages = PER_VIDEO.into_iter().filter(counts);
    let reached = stages.clone().take_while(is_there).last();
    let last = stages.next_back();
    let row = Row {
        state: match &failure {
            Some(_) => State::Failed,
            None if reached == last => State::Done,
            None => State::Pending,
        },
        stage: failure.as_ref().map(|failure| failure.stage).or(reached),
        attempts: failure.as_ref().map_or(0, |failure| failure.attempts),
        next_try_unix_secs: failure
            .as_ref()
            .and_then(|failure| failure.next_try_unix_secs),
        ..Row::pending(video)
    };
    match (failure, extracted) {
        (Some(failure), _) => row.with_trouble(&failure.trouble),
        (None, Err(trouble)) => row.with_trouble(&trouble),
        (None, Ok(extracted)) => Row {
            frames: extracted.map(|kept| kept.value.frames.len() as u64),
            ..row
        },
    }
}

impl Row {
    /// A video of which nothing is there yet.
    pub fn pending(video: &Video) -> Self {
        Self {
            video_id: video.video_id.to_string(),
            order: video.order,
            source: video.source.clone(),
            state: State::Pending,
            stage: None,
            class: None,
            message: None,
            attempts: 0,
            next_try_unix_secs: None,
            frames: None,
            kept: None,
        }
    }

    /// The same video, failed by this trouble.
    #[must_use]
    pub fn with_trouble(self, trouble: &Trouble) -> Self {
        Self {
            state: State::Failed,
            class: Some(trouble.class),
            message: Some(trouble.message.clone()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::inputs::video_id;
    use crate::dataset::record::Location;
    use crate::screen::Screen;

    fn folder_with_videos(n: u32) -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("set")).unwrap();
        for line in 0..n {
            let address = format!("http://example.com/{line}.mp4");
            let location = Location::Http(address.clone());
            let video = Video {
                video_id: video_id(&location),
                order: Order { line, entry: 0 },
                source: address,
                location,
            };
            let its = folder.video(&video.video_id);
            its.begin(&video).unwrap();
            if line % 2 == 1 {
                let failure = Failure {
                    stage: Stage::Download,
                    key: "0".into(),
                    trouble: Trouble::new(Class::Network, "no route"),
                    attempts: 2,
                    next_try_unix_secs: None,
                };
                its.write(FAILURE, &failure).unwrap();
            }
        }
        (dir, folder)
    }

    fn notes() -> Notes {
        Notes::new(Screen::silent())
    }

    #[test]
    fn a_registry_that_is_lost_or_damaged_is_made_again_from_the_files() {
        let (_dir, folder) = folder_with_videos(3);
        let first = Registry::open(&folder, &notes()).unwrap().rows().unwrap();
        assert_eq!(first.len(), 3);
        assert_eq!(
            (first[1].state, first[1].class),
            (State::Failed, Some(Class::Network))
        );
        fs::remove_file(folder.registry()).unwrap();
        assert_eq!(
            Registry::open(&folder, &notes()).unwrap().rows().unwrap(),
            first
        );
        fs::write(
            folder.registry(),
            "this is no database at all, but it is long enough to be looked at",
        )
        .unwrap();
        let notes = notes();
        assert_eq!(
            Registry::open(&folder, &notes).unwrap().rows().unwrap(),
            first
        );
        assert_eq!(notes.warnings().len(), 1);
    }

    #[test]
    fn a_row_is_written_over_and_read_back() {
        let (_dir, folder) = folder_with_videos(1);
        let registry = Registry::open(&folder, &notes()).unwrap();
        let mut row = registry.rows().unwrap().remove(0);
        row.state = State::Done;
        row.stage = Some(Stage::Extract);
        row.kept = Some(12);
        registry.put(&row).unwrap();
        assert_eq!(registry.rows().unwrap(), [row]);
    }

    #[test]
    fn a_registry_of_a_newer_program_is_refused() {
        let (_dir, folder) = folder_with_videos(1);
        drop(Registry::open(&folder, &notes()).unwrap());
        let connection = Connection::open(folder.registry()).unwrap();
        connection
            .pragma_update(None, "user_version", VERSION + 1)
            .unwrap();
        let error = Registry::open(&folder, &notes()).err().unwrap();
        assert_eq!(Exit::of(&error), Exit::Config);
    }
}
