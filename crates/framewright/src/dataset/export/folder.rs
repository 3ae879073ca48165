//! Folders that are there whole or not at all.
//!
//! A format is written into `.<word>.new` beside its place. When all formats are written and on disk, each takes its
//! place by one rename that exchanges old and new; what was there is then removed. A kill in between leaves the old or
//! the new folder under the name, and hidden ones that the next run removes.
//!
//! Invariant: pictures may lie in the old folders while the new ones are written, so all are written before the first
//! takes its place. The caller makes sure that one run at a time writes in the folder of the dataset.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::dataset::readback;
use crate::durable;
use crate::exit::{Exit, OrExit as _};

/// A folder that is being written. Dropped without [`take_place`](Self::take_place), it is removed.
pub(super) struct NewFolder {
    path: PathBuf,
    place: PathBuf,
}

impl NewFolder {
    /// Makes the empty hidden folder for `root/word`.
    pub(super) fn create(root: &Path, word: &str) -> anyhow::Result<Self> {
        let folder = Self {
            path: hidden(root, word, "new"),
            place: root.join(word),
        };
        remove(&folder.path).or_exit(Exit::CannotCreate)?;
        folder.make("")?;
        Ok(folder)
    }

    /// Where `name` is written for now.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a folder in it.
    pub(super) fn make(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::create_dir_all(&path)
            .with_context(|| format!("cannot create the folder {}", path.display()))
            .or_exit(Exit::CannotCreate)
    }

    /// Creates a file in it.
    pub(super) fn file(&self, name: &str) -> anyhow::Result<BufWriter<File>> {
        let path = self.path(name);
        let file = File::create_new(&path)
            .with_context(|| format!("cannot create {}", path.display()))
            .or_exit(Exit::CannotCreate)?;
        Ok(BufWriter::with_capacity(1 << 16, file))
    }

    /// Writes a small file in it.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::write(&path, content)
            .with_context(|| format!("cannot write {}", path.display()))
            .or_exit(Exit::Io)
    }

    /// Gives a picture another name in it: a link, so that it takes no room, or a copy where the file system has none.
    pub(super) fn link(&self, picture: &Path, name: &str) -> anyhow::Result<()> {
        let path = self.path(name);
        if fs::hard_link(picture, &path).is_ok() {
            return Ok(());
        }
        copy(picture, &path)
            .with_context(|| format!("cannot copy {} to {}", picture.display(), path.display()))
            .or_exit(Exit::Io)
    }

    /// Gives a file of it its place in the folder of the dataset.
    pub(super) fn publish(&self, name: &str) -> anyhow::Result<PathBuf> {
        let place = self.place.with_file_name(name);
        durable::publish(&self.path(name), &place)
            .with_context(|| format!("cannot replace {}", place.display()))
            .or_exit(Exit::CannotCreate)?;
        Ok(place)
    }

    /// Puts it under its name in place of what is there. What is in it must be on disk already.
    pub(super) fn take_place(self) -> anyhow::Result<PathBuf> {
        swap(&self.path, &self.place)
            .with_context(|| format!("cannot replace {}", self.place.display()))
            .or_exit(Exit::CannotCreate)?;
        // Dropping removes what now has the hidden name: the old folder.
        Ok(self.place.clone())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = remove(&self.path);
    }
}

fn copy(picture: &Path, to: &Path) -> io::Result<()> {
    let mut from = readback::open_plain(picture)?;
    io::copy(&mut from, &mut File::create_new(to)?).map(drop)
}

fn hidden(root: &Path, word: &str, age: &str) -> PathBuf {
    root.join(format!(".{word}.{age}"))
}

/// Exchanges two folders, or gives `new` the name of `place` where nothing is there.
fn swap(new: &Path, place: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => fs::rename(new, place),
        // Not every file system can exchange: then there is a moment without the folder, which `recover` repairs.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => swap_by_two(new, place),
        Err(error) => Err(error.into()),
    }
}

fn swap_by_two(new: &Path, place: &Path) -> io::Result<()> {
    if fs::symlink_metadata(place).is_err() {
        return fs::rename(new, place);
    }
    let old = new.with_extension("old");
    remove(&old)?;
    fs::rename(place, &old)?;
    fs::rename(new, place)?;
    remove(&old)
}

/// Tidies up after a run that was killed while it wrote `root/word`.
pub(super) fn recover(root: &Path, word: &str) -> io::Result<()> {
    let (old, place) = (hidden(root, word, "old"), root.join(word));
    if old.exists() && fs::symlink_metadata(&place).is_err() {
        fs::rename(&old, &place)?;
    }
    remove(&old)?;
    remove(&hidden(root, word, "new"))
}

/// Removes a folder with all that is in it, or a link to one without following it.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Waits until everything written in the file system of `root` is on disk: one call instead of one per picture.
pub(super) fn sync(root: &Path) -> anyhow::Result<()> {
    let folder = File::open(root)?;
    rustix::fs::syncfs(&folder).map_err(io::Error::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).unwrap()).collect();
        names.sort();
        names
    }

    fn content(root: &Path) -> String {
        fs::read_to_string(root.join("coco/a")).unwrap()
    }

    fn begin(root: &Path, content: &str) -> NewFolder {
        let folder = NewFolder::create(root, "coco").unwrap();
        folder.write("a", content.as_bytes()).unwrap();
        folder
    }

    #[test]
    fn a_folder_takes_the_place_of_the_old_one() {
        let root = tempfile::tempdir().unwrap();
        for text in ["first", "second"] {
            begin(root.path(), text).take_place().unwrap();
            assert_eq!(content(root.path()), text);
            assert_eq!(names(root.path()), ["coco"]);
        }
    }

    #[test]
    fn without_an_exchange_it_takes_two_steps() {
        let root = tempfile::tempdir().unwrap();
        for text in ["first", "second"] {
            let folder = begin(root.path(), text);
            swap_by_two(&folder.path, &folder.place).unwrap();
            drop(folder);
            assert_eq!(content(root.path()), text);
            assert_eq!(names(root.path()), ["coco"]);
        }
    }

    #[test]
    fn a_folder_given_up_leaves_the_old_one() {
        let root = tempfile::tempdir().unwrap();
        begin(root.path(), "first").take_place().unwrap();
        drop(begin(root.path(), "second"));
        assert_eq!(content(root.path()), "first");
        assert_eq!(names(root.path()), ["coco"]);
    }

    #[test]
    fn what_a_killed_run_left_is_put_right() {
        let root = tempfile::tempdir().unwrap();
        begin(root.path(), "first").take_place().unwrap();
        // Killed while writing, and between the two steps.
        std::mem::forget(begin(root.path(), "second"));
        fs::rename(root.path().join("coco"), root.path().join(".coco.old")).unwrap();
        recover(root.path(), "coco").unwrap();
        assert_eq!(content(root.path()), "first");
        assert_eq!(names(root.path()), ["coco"]);
        // Killed after them.
        fs::create_dir(root.path().join(".coco.old")).unwrap();
        recover(root.path(), "coco").unwrap();
        assert_eq!(names(root.path()), ["coco"]);
    }

    #[test]
    fn a_link_to_elsewhere_is_replaced_and_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("mine"), b"x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("coco")).unwrap();
        begin(root.path(), "first").take_place().unwrap();
        assert_eq!(content(root.path()), "first");
        assert_eq!(names(elsewhere.path()), ["mine"]);
    }
}
