//! The output file on its way: claimed before any work, written under a hidden name beside the final one, published
//! whole or not at all.
//!
//! The hidden file is also the lock: two runs on one output exclude each other, and one that a killed run left behind is
//! simply taken over, so nothing piles up.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::durable;
use crate::exit::{Exit, OrExit as _, fail};

/// A claimed output. Dropped without [`publish`](Self::publish), it leaves nothing.
pub struct Target {
    path: PathBuf,
    hidden: PathBuf,
    overwrite: bool,
    /// Holds the lock on the hidden file.
    _lock: File,
    published: bool,
}

impl Target {
    /// Claims `path`.
    ///
    /// # Errors
    /// The file exists (and is not to be overwritten), another run writes it, its folder is missing (73), or the system
    /// refuses to write there (77).
    pub fn claim(path: &Path, overwrite: bool) -> anyhow::Result<Self> {
        // An existing link keeps pointing where it points; its target is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let hidden = hidden_name(&path)?;
        let lock = lock(&hidden, &path)?;
        let target = Self {
            path,
            hidden,
            overwrite,
            _lock: lock,
            published: false,
        };
        target.refuse_existing()?;
        Ok(target)
    }

    fn refuse_existing(&self) -> anyhow::Result<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_dir() => Err(fail(
                Exit::CannotCreate,
                format!("the output is a folder: {}", self.path.display()),
            )),
            Ok(_) if !self.overwrite => Err(fail(
                Exit::CannotCreate,
                format!(
                    "the output exists already; add --overwrite to replace it: {}",
                    self.path.display()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where to write.
    pub fn hidden(&self) -> &Path {
        &self.hidden
    }

    /// Moves the finished file to its final name.
    ///
    /// # Errors
    /// Syncing or renaming failed, or the final name was taken meanwhile; the hidden file is then removed.
    pub fn publish(self) -> anyhow::Result<PathBuf> {
        let to = self.path.clone();
        let overwrite = self.overwrite;
        self.publish_as(&to, overwrite)
    }

    /// Moves a file that is playable but not the whole film to `NAME.partial.EXT`, replacing an older one.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_partial(self) -> anyhow::Result<PathBuf> {
        let mut name = self
            .path
            .file_stem()
            .map(OsString::from)
            .unwrap_or_default();
        name.push(".partial");
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        let to = self.path.with_file_name(name);
        self.publish_as(&to, true)
    }

    fn publish_as(mut self, to: &Path, replace: bool) -> anyhow::Result<PathBuf> {
        let moved = if replace {
            durable::publish(&self.hidden, to)
        } else {
            durable::publish_new(&self.hidden, to)
        };
        moved.map_err(|error| cannot_write(&error, to))?;
        self.published = true;
        Ok(to.to_owned())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.published {
            // Nothing more can be done about a file that cannot be removed; the next run takes it over.
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

fn cannot_write(error: &io::Error, path: &Path) -> anyhow::Error {
    fail(
        Exit::of_create(error),
        format!("cannot create the output: {error}: {}", path.display()),
    )
}

/// `dir/.name.ext.partial`.
fn hidden_name(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path
        .file_name()
        .context("the output has no file name")
        .or_exit(Exit::Usage)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".partial");
    Ok(path.with_file_name(hidden))
}

fn lock(hidden: &Path, path: &Path) -> anyhow::Result<File> {
    loop {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(hidden)
            .map_err(|error| cannot_write(&error, path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another run is writing this output: {}", path.display());
                return Err(fail(Exit::CannotCreate, message));
            }
            // A file system without locks: two runs at once are then told apart only by the final name.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
        // The run that held the lock may have renamed or removed the file between our open and our lock.
        if is_still_at(&file, hidden) {
            return Ok(file);
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    fn exit_of(result: anyhow::Result<Target>) -> Exit {
        Exit::of(&result.err().expect("must be refused"))
    }

    #[test]
    fn the_final_name_appears_only_when_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.mkv");
        let target = Target::claim(&path, false).unwrap();
        fs::write(target.hidden(), b"film").unwrap();
        assert_eq!(names(folder.path()), [".out.mkv.partial"]);
        target.publish().unwrap();
        assert_eq!(names(folder.path()), ["out.mkv"]);
    }

    #[test]
    fn a_run_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Target::claim(&folder.path().join("out.mkv"), false).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn what_an_interrupted_run_has_done_gets_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::claim(&folder.path().join("out.mkv"), false).unwrap();
        assert!(
            target
                .publish_partial()
                .unwrap()
                .ends_with("out.partial.mkv")
        );
        assert_eq!(names(folder.path()), ["out.partial.mkv"]);
    }

    #[test]
    fn two_runs_on_one_output_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.mkv");
        let first = Target::claim(&path, false).unwrap();
        assert_eq!(exit_of(Target::claim(&path, true)), Exit::CannotCreate);
        drop(first);
        Target::claim(&path, false).unwrap();
    }

    #[test]
    fn what_a_killed_run_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".out.mkv.partial"), b"half").unwrap();
        let target = Target::claim(&folder.path().join("out.mkv"), false).unwrap();
        drop(target);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn an_existing_output_stays_as_it_is_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.mkv");
        fs::write(&path, b"old").unwrap();
        assert_eq!(exit_of(Target::claim(&path, false)), Exit::CannotCreate);
        assert_eq!(names(folder.path()), ["out.mkv"]);
        let target = Target::claim(&path, true).unwrap();
        fs::write(target.hidden(), b"new").unwrap();
        target.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_name_taken_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.mkv");
        let target = Target::claim(&path, false).unwrap();
        fs::write(&path, b"somebody else's").unwrap();
        assert!(target.publish().is_err());
        assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
        assert_eq!(names(folder.path()), ["out.mkv"]);
    }

    #[test]
    fn a_missing_folder_and_a_folder_as_output_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            exit_of(Target::claim(&folder.path().join("none/out.mkv"), false)),
            Exit::CannotCreate
        );
        assert_eq!(
            exit_of(Target::claim(folder.path(), true)),
            Exit::CannotCreate
        );
    }
}
