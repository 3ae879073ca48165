//! The folder of a dataset: where everything lies, and who works in it.
//!
//! ```text
//! DIR/
//!   frames.parquet  README.md  report.html  coco/ yolo/ …     the dataset
//!   state/
//!     config.json  inputs.json  splits.json  registry.sqlite
//!     videos/<video_id>/
//!       source.json  download.json  extract.json  filter.json  detect.json  failure.json
//!       video.<ext>      as long as it is needed
//!       frames/<image_id>.jpg
//! ```
//! Invariant: every `.json` appears whole or not at all, and carries the key of what it was made from. Invariant: `state`
//! and what lies in it are no links; [`VideoFolder`] holds that for the folders of the videos.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum as _;
use serde::{Serialize, de::DeserializeOwned};

use super::config::Format;
use super::record::VideoId;
use super::shard::Shard;
use super::video_folder::VideoFolder;
use super::{export, page, readback};
use crate::durable;
use crate::exit::{Exit, OrExit as _, fail};
use crate::visible;

/// Largest file of the state that is no video's, in bytes: a list of a million videos.
const MOST_STATE_BYTES: u64 = 1 << 30;

/// The folder of a dataset.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

/// Held while a run works in a folder; the system lets it go with the process.
pub struct Lock(#[expect(dead_code, reason = "held, not read")] Vec<File>);

impl Folder {
    /// An existing dataset.
    ///
    /// # Errors
    /// [`Exit::BadInput`] when there is none.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let folder = Self {
            root: root.to_owned(),
        };
        if folder.state().is_dir() {
            folder.refuse_links().or_exit(Exit::BadInput)?;
            return Ok(folder);
        }
        let message = format!(
            "this is not the folder of a dataset, it has no state: {}",
            root.display()
        );
        Err(fail(Exit::BadInput, message))
    }

    /// A dataset that is there or will be.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn create(root: &Path) -> anyhow::Result<Self> {
        // The configuration names it, and is JSON, which is UTF-8.
        if root.to_str().is_none() {
            let message = "the name of the folder is not UTF-8, choose another one: ";
            return Err(fail(
                Exit::CannotCreate,
                message.to_owned() + &visible::path(root),
            ));
        }
        let folder = Self {
            root: root.to_owned(),
        };
        if !folder.state().is_dir() {
            refuse_others(root)?;
        }
        folder.refuse_links().or_exit(Exit::CannotCreate)?;
        fs::create_dir_all(folder.videos()).map_err(|error| cannot_create(&error, root))?;
        Ok(folder)
    }

    /// A link among the videos is that video's trouble; any other would lead all of the work astray.
    fn refuse_links(&self) -> anyhow::Result<()> {
        readback::only_plain(&self.state()).map_err(anyhow::Error::msg)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the program keeps for itself.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// One folder for each video.
    pub fn videos(&self) -> PathBuf {
        self.state().join("videos")
    }

    /// The folder of a video.
    pub fn video(&self, video_id: &VideoId) -> VideoFolder {
        VideoFolder::new(&self.videos(), video_id)
    }

    /// The ids of the videos that have a folder, sorted; what has another name is none of ours.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn video_ids(&self) -> io::Result<Vec<VideoId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(self.videos())? {
            ids.extend(
                entry?
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse().ok()),
            );
        }
        ids.sort();
        Ok(ids)
    }

    /// Everything that is replaced when a dataset is written: the state, and the place of every format.
    pub fn own_places(&self) -> Vec<PathBuf> {
        let root = self.root.canonicalize();
        Self::places_in(&root.unwrap_or_else(|_| self.root.clone()))
    }

    /// As [`Folder::own_places`], of a dataset that may not be there yet.
    pub fn places_in(root: &Path) -> Vec<PathBuf> {
        let formats = Format::value_variants().iter().map(|format| format.word());
        formats
            .chain(["state"])
            .map(|name| root.join(name))
            .collect()
    }

    /// The configuration of the last run.
    pub fn config(&self) -> PathBuf {
        self.state().join("config.json")
    }

    /// The videos that the inputs of the last run came to.
    pub fn inputs(&self) -> PathBuf {
        self.state().join("inputs.json")
    }

    /// The registry.
    pub fn registry(&self) -> PathBuf {
        self.state().join("registry.sqlite")
    }

    /// One run at a time, except that parts of one may run side by side.
    ///
    /// # Errors
    /// [`Exit::CannotCreate`] when another run is at work here.
    pub fn lock(&self, shard: Option<Shard>) -> anyhow::Result<Lock> {
        let open = |name: &str| {
            let path = self.state().join(name);
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(|error| cannot_create(&error, &path))
        };
        let whole = open("lock")?;
        let Some(shard) = shard else {
            self.taken(&whole.try_lock())?;
            return Ok(Lock(vec![whole]));
        };
        self.taken(&whole.try_lock_shared())?;
        let part = open(&format!("lock-{}-of-{}", shard.index, shard.of))?;
        self.taken(&part.try_lock())?;
        Ok(Lock(vec![whole, part]))
    }

    fn taken(&self, locked: &Result<(), TryLockError>) -> anyhow::Result<()> {
        match locked {
            Err(TryLockError::WouldBlock) => Err(fail(
                Exit::CannotCreate,
                format!("another run is at work in {}", self.root.display()),
            )),
            // Some network file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        }
    }
}

/// What an export would replace must be a dataset's, not somebody's own files.
fn refuse_others(root: &Path) -> anyhow::Result<()> {
    let formats = Format::value_variants().iter().map(|format| format.word());
    let files = [
        export::PROVENANCE,
        export::CARD,
        export::CROISSANT,
        page::PAGE,
    ];
    match formats.chain(files).find(|name| root.join(name).exists()) {
        None => Ok(()),
        Some(name) => Err(fail(
            Exit::CannotCreate,
            format!(
                "there is a {name} that no dataset of ours belongs to, and it would be replaced; choose another folder \
                 than {}",
                root.display()
            ),
        )),
    }
}

fn cannot_create(error: &io::Error, path: &Path) -> anyhow::Error {
    let message = format!("{error}, cannot write in {}", path.display());
    fail(Exit::of_create(error), message)
}

/// Writes a JSON file whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_vec(value).context("cannot put into JSON")?;
    write_file(path, &text).map_err(|error| {
        let message = format!("{error}, cannot write {}", path.display());
        fail(Exit::of_create(&error), message)
    })
}

/// Writes a file of a dataset whole or not at all. A link in its place is replaced, never followed.
///
/// # Errors
/// The I/O error of the step that failed.
pub fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink()) {
        fs::remove_file(path)?;
    }
    durable::write(path, content)
}

/// Reads a JSON file of the state; `None` when it is not there.
///
/// # Errors
/// Says why it cannot be used; then it has to be made again.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    readback::json(path, MOST_STATE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("set")).unwrap();
        (dir, folder)
    }

    #[test]
    fn two_runs_do_not_share_a_folder() {
        let (_dir, folder) = folder();
        let _lock = folder.lock(None).unwrap();
        let error = folder.lock(None).err().unwrap();
        assert_eq!(Exit::of(&error), Exit::CannotCreate);
        assert!(folder.lock(Some(Shard { index: 0, of: 2 })).is_err());
    }

    #[test]
    fn different_parts_of_one_run_do() {
        let (_dir, folder) = folder();
        let _first = folder.lock(Some(Shard { index: 0, of: 2 })).unwrap();
        let _second = folder.lock(Some(Shard { index: 1, of: 2 })).unwrap();
        assert!(folder.lock(Some(Shard { index: 1, of: 2 })).is_err());
        assert!(folder.lock(None).is_err());
    }

    #[test]
    fn half_a_json_file_is_not_used() {
        let (_dir, folder) = folder();
        let path = folder.state().join("a.json");
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(read_json(&path), Ok(Some([1, 2])));
        fs::write(&path, "[1,").unwrap();
        assert!(read_json::<[u8; 2]>(&path).is_err());
    }

    #[test]
    fn files_of_others_are_not_taken_for_an_old_dataset() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("list.txt"), "a.mp4").unwrap();
        fs::create_dir(dir.path().join("coco")).unwrap();
        let error = Folder::create(dir.path()).err().unwrap();
        assert_eq!(Exit::of(&error), Exit::CannotCreate);
        fs::remove_dir(dir.path().join("coco")).unwrap();
        Folder::create(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_without_a_dataset_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Folder::open(dir.path()).err().unwrap();
        assert_eq!(Exit::of(&error), Exit::BadInput);
    }

    #[test]
    fn a_state_that_is_or_holds_a_link_is_refused() {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("videos")).unwrap();
        fs::write(outside.path().join("mine"), "mine").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str| {
            let at = dir.path().join(name);
            std::os::unix::fs::symlink(outside.path(), &at).unwrap();
            let refused = [
                Folder::open(dir.path()).err(),
                Folder::create(dir.path()).err(),
            ];
            let codes = refused.map(|error| Exit::of(&error.expect("a link is refused")));
            assert_eq!(codes, [Exit::BadInput, Exit::CannotCreate], "{name}");
            fs::remove_file(&at).unwrap();
        };
        link("state");
        Folder::create(dir.path()).unwrap();
        for name in [
            "config.json",
            "inputs.json",
            "splits.json",
            "registry.sqlite",
            "lock",
        ] {
            link(&format!("state/{name}"));
        }
        fs::remove_dir(dir.path().join("state/videos")).unwrap();
        link("state/videos");
        assert_eq!(fs::read(outside.path().join("mine")).unwrap(), b"mine");
    }

    #[test]
    fn a_link_is_replaced_by_what_is_written_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, page) = (dir.path().join("mine"), dir.path().join("report.html"));
        fs::write(&mine, "mine").unwrap();
        std::os::unix::fs::symlink(&mine, &page).unwrap();
        write_file(&page, b"page").unwrap();
        assert_eq!(fs::read(&mine).unwrap(), b"mine");
        assert_eq!(fs::read(&page).unwrap(), b"page");
    }
}
