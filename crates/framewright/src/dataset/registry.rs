//! How far every video is: a database file for people and scripts to ask.
//!
//! Invariant: it holds nothing that cannot be told from the files under `state/videos`; one that is missing or
//! damaged is made again from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use framewright_pipeline::Control;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
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
/// How long another program may hold the file before that counts as trouble.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked for meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Damaged files that are kept.
const MOST_ASIDE: u32 = 9;

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
    folder: Folder,
    notes: Notes,
    control: Control,
    patience: Duration,
    connection: Mutex<Connection>,
}

impl Registry {
    /// Opens the registry of a dataset, or makes it from the files.
    ///
    /// # Errors
    /// [`Exit::Config`] when a newer program made it, [`Exit::Transient`] when another program holds it; or it cannot be
    /// written.
    pub fn open(folder: &Folder, notes: &Notes, control: &Control) -> anyhow::Result<Self> {
        Self::open_within(PATIENCE, folder, notes, control)
    }

    fn open_within(
        patience: Duration,
        folder: &Folder,
        notes: &Notes,
        control: &Control,
    ) -> anyhow::Result<Self> {
        let path = folder.registry();
        let opened = patiently(patience, control, || open_file(&path));
        let registry = Self {
            folder: folder.clone(),
            notes: notes.clone(),
            control: control.clone(),
            patience,
            connection: Mutex::new(match opened {
                Ok(connection) => connection,
                Err(error) if is_damage(&error) => remake(folder, notes)?,
                Err(error) => return Err(cannot("use", error)),
            }),
        };
        let version: i64 = registry.with("read", &|connection| {
            connection.pragma_query_value(None, "user_version", |row| row.get(0))
        })?;
        if version > VERSION {
            let message = format!("a newer framewright made {}; use that one", path.display());
            return Err(fail(Exit::Config, message));
        }
        if registry.rows()?.is_empty() {
            let rows = rows_anew(folder)?;
            registry.with("write", &|connection| put_all(connection, &rows))?;
        }
        Ok(registry)
    }

    /// Does something with the file, waits while another program holds it, and makes it again where it turns out to be
    /// damaged.
    fn with<T>(
        &self,
        what: &str,
        work: &dyn Fn(&Connection) -> rusqlite::Result<T>,
    ) -> anyhow::Result<T> {
        // SQLite keeps its file whole whatever a thread that panicked was about to do.
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut done = patiently(self.patience, &self.control, || work(&connection));
        if let Err(error) = &done
            && is_damage(error)
        {
            // Closed before its files are moved: it would remove those of its successor.
            *connection = Connection::open_in_memory().map_err(|error| cannot(what, error))?;
            *connection = remake(&self.folder, &self.notes)?;
            done = patiently(self.patience, &self.control, || work(&connection));
        }
        done.map_err(|error| cannot(what, error))
    }

    /// Writes how far a video is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&self, row: &Row) -> anyhow::Result<()> {
        self.with("write", &|connection| put(connection, row))
    }

    /// Writes many rows in one step, and takes out every other.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn replace(&self, rows: &[Row]) -> anyhow::Result<()> {
        self.with("write", &|connection| put_all(connection, rows))
    }

    /// Every video, in input order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn rows(&self) -> anyhow::Result<Vec<Row>> {
        self.with("read", &rows)
    }
}

/// Does something again and again while another program holds the file, for as long as is reasonable and nobody wants
/// the run to stop.
fn patiently<T>(
    patience: Duration,
    control: &Control,
    work: impl Fn() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let begun = Instant::now();
    loop {
        match work() {
            Err(error)
                if is_held(&error) && begun.elapsed() < patience && !control.is_stopped() =>
            {
                std::thread::sleep(ASK_EVERY);
            }
            done => return done,
        }
    }
}

/// Opens the file, makes the table where there is none, and reads all of it once.
fn open_file(path: &Path) -> rusqlite::Result<Connection> {
    for name in names(path) {
        // SQLite would follow a link and write to what it leads to.
        if fs::symlink_metadata(name).is_ok_and(|about| !about.is_file()) {
            return Err(damaged());
        }
    }
    // Not an address: the name may begin with `file:`.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(ASK_EVERY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Ok(connection);
    }
    let check: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if check != "ok" {
        return Err(damaged());
    }
    connection.execute(TABLE, [])?;
    // Nothing else may be in it: a trigger of somebody's would run with ours.
    let of_others = "SELECT count(*) FROM sqlite_master WHERE NOT (name = 'videos' AND sql = ?1)";
    let made = TABLE.replace(" IF NOT EXISTS", "");
    let others: i64 = connection.query_row(of_others, [made], |row| row.get(0))?;
    if others > 0 {
        return Err(damaged());
    }
    connection.pragma_update(None, "user_version", VERSION)?;
    rows(&connection)?;
    Ok(connection)
}

/// Finds all rows from what lies under `state/videos`.
///
/// # Errors
/// As [`rows_of`].
pub fn rows_anew(folder: &Folder) -> anyhow::Result<Vec<Row>> {
    // Without its configuration a dataset counts as one of all stages.
    rows_of(folder, &config_of(folder).unwrap_or_default())
}

/// Sets a damaged file aside and makes another one from the files of the videos.
fn remake(folder: &Folder, notes: &Notes) -> anyhow::Result<Connection> {
    let path = folder.registry();
    set_aside(&path)?;
    let rows = rows_anew(folder)?;
    let made = open_file(&path).and_then(|connection| {
        put_all(&connection, &rows)?;
        Ok(connection)
    });
    let connection = made.map_err(|error| cannot("make", error))?;
    notes.warn("the registry was damaged and was made again from the files beside it");
    Ok(connection)
}

fn put(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
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
    connection.execute(put, values).map(drop)
}

/// Replaces all rows in one step.
fn put_all(connection: &Connection, rows: &[Row]) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM videos;")?;
    let put = rows.iter().try_for_each(|row| put(connection, row));
    let ended = put.and_then(|()| connection.execute_batch("COMMIT"));
    if ended.is_err() {
        // What failed is told; without the step undone the next one could not begin.
        let _ = connection.execute_batch("ROLLBACK");
    }
    ended
}

fn rows(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    let ask = "SELECT video_id, line, entry, source, state, stage, class, message, attempts, next_try_unix_secs, \
               frames, kept FROM videos ORDER BY line, entry, video_id";
    let mut asked = connection.prepare(ask)?;
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
            stage: stage.and_then(|word| Stage::ALL.into_iter().find(|stage| stage.word() == word)),
            class: class.and_then(|word| Class::ALL.into_iter().find(|class| class.word() == word)),
            message: row.get(7)?,
            attempts: row.get(8)?,
            next_try_unix_secs: row.get(9)?,
            frames: row.get(10)?,
            kept: row.get(11)?,
        })
    })?;
    rows.collect()
}

fn damaged() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, None)
}

/// Whether another program holds the file just now.
fn is_held(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether the file is of no use, so that another one has to be made: everything but what another file would meet, too.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_DATA, SQLITE_IOERR_SHORT_READ};
    let Some(failure) = error.sqlite_error() else {
        // What stands in a cell is not what we write there.
        return true;
    };
    match failure.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted => false,
        // Else the disk fails, or the file may not grow.
        ErrorCode::SystemIoFailure => matches!(
            failure.extended_code,
            SQLITE_IOERR_SHORT_READ | SQLITE_IOERR_DATA | SQLITE_IOERR_CORRUPTFS
        ),
        _ => true,
    }
}

fn cannot(what: &str, error: rusqlite::Error) -> anyhow::Error {
    let exit = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Exit::Transient,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => Exit::Permission,
        Some(ErrorCode::CannotOpen) => Exit::CannotCreate,
        Some(ErrorCode::OutOfMemory) => Exit::Unavailable,
        _ => Exit::Io,
    };
    let held = match exit {
        Exit::Transient => ", another program holds it",
        _ => "",
    };
    Err::<(), _>(error)
        .with_context(|| format!("cannot {what} the registry{held}"))
        .or_exit(exit)
        .expect_err("it was an error")
}

/// The file and those that `SQLite` keeps beside it.
fn names(path: &Path) -> [PathBuf; 4] {
    ["sqlite", "sqlite-wal", "sqlite-shm", "sqlite-journal"].map(|kind| path.with_extension(kind))
}

/// Gives the file, whatever it is, a name under which nobody looks for it; what belongs to it goes the same way.
fn set_aside(path: &Path) -> anyhow::Result<()> {
    let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
    for name in names(path).into_iter().filter(is_there) {
        let aside = |n: u32| {
            let mut aside = name.clone().into_os_string();
            aside.push(match n {
                1 => ".damaged".to_owned(),
                n => format!(".damaged.{n}"),
            });
            PathBuf::from(aside)
        };
        // The last name is taken again and again.
        let free = (1..MOST_ASIDE).map(aside).find(|aside| !is_there(aside));
        let aside = free.unwrap_or_else(|| aside(MOST_ASIDE));
        fs::rename(&name, &aside)
            .with_context(|| format!("cannot set the registry aside: {}", name.display()))?;
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
mod tests;
