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
//! Invariant: every `.json` appears whole or not at all, and carries the key of what it was made from.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum as _;
use serde::{Serialize, de::DeserializeOwned};

use super::config::Format;
use super::shard::Shard;
use super::{export, page};
use crate::durable;
use crate::exit::{Exit, fail};

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
        let folder = Self {
            root: root.to_owned(),
        };
        if !folder.state().is_dir() {
            refuse_others(root)?;
        }
        fs::create_dir_all(folder.videos()).map_err(|error| cannot_create(&error, root))?;
        Ok(folder)
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
    pub fn video(&self, video_id: &str) -> PathBuf {
        self.videos().join(video_id)
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
    durable::write(path, &text).map_err(|error| {
        let message = format!("{error}, cannot write {}", path.display());
        fail(Exit::of_create(&error), message)
    })
}

/// Reads a JSON file; none when it is not there or is not what it should be, for then it has to be made again.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Bytes of all files under `folder`; a file with several names counts once for each.
pub fn size_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
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
    fn half_a_json_file_counts_as_none() {
        let (_dir, folder) = folder();
        let path = folder.state().join("a.json");
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(read_json(&path), Some([1, 2]));
        fs::write(&path, "[1,").unwrap();
        assert_eq!(read_json::<[u8; 2]>(&path), None);
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
}
