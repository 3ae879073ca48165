//! The folder that a file is made in, held open, and what is done to the names in it.
//!
//! Invariant: no name that is a link is followed, and no open waits: a pipe or a device at a name is an error at once.
//! Held open, the folder stays the same one when it is renamed and when another one takes its path.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;

use crate::same_file::{FileId, folder_of};

/// An open folder.
pub struct Parent {
    folder: File,
    path: PathBuf,
}

impl Parent {
    /// Opens the folder of `file`, and gives the file's name in it.
    ///
    /// # Errors
    /// The folder is missing or must not be read, or the path ends in no name.
    pub fn of(file: &Path) -> io::Result<(Arc<Self>, OsString)> {
        let name = file
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
        let path = folder_of(file).to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
        Ok((Arc::new(Self { folder, path }), name.to_owned()))
    }

    /// The path of a name in the folder, as the folder was called when it was opened.
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        match self.path.to_str() {
            Some(".") => PathBuf::from(name),
            _ => self.path.join(name),
        }
    }

    /// Makes a file of a name that is free.
    ///
    /// # Errors
    /// `AlreadyExists` also for a link that leads nowhere; what the system says.
    pub fn create_new(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::RDWR
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        Ok(File::from(openat(&self.folder, name, flags, mode)?))
    }

    /// Opens a plain file to read and to lock it.
    ///
    /// # Errors
    /// It is a link, a folder, a pipe or a device; what the system says.
    pub fn open(&self, name: &OsStr) -> io::Result<File> {
        let not_plain = || io::Error::other("not a plain file");
        // Looked at before it is opened: opening a device can be enough to do something.
        let found = statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(not_plain());
        }
        let flags =
            OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(openat(&self.folder, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(not_plain());
        }
        Ok(file)
    }

    /// Every name in the folder that can be read.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> io::Result<impl Iterator<Item = OsString>> {
        let entries = Dir::read_from(&self.folder)?;
        Ok(entries.filter_map(|entry| {
            let name = entry.ok()?;
            Some(OsStr::from_bytes(name.file_name().to_bytes()).to_owned())
        }))
    }

    /// Renames a file, replacing what has the other name.
    ///
    /// # Errors
    /// What the system says; both names are then as they were.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.folder, from, &self.folder, to)?)
    }

    /// Renames a file to a name that must be free.
    ///
    /// # Errors
    /// `AlreadyExists`; `Unsupported` where the file system has no way to do this in one step; what the system says.
    pub fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match renameat_with(&self.folder, from, &self.folder, to, RenameFlags::NOREPLACE) {
            // Not every file system knows the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.link_new(from, to),
            renamed => Ok(renamed?),
        }
    }

    /// As [`rename_new`](Self::rename_new), by a second name that takes the place of the first.
    fn link_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match linkat(&self.folder, from, &self.folder, to, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::MLINK) => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(unlinkat(&self.folder, from, AtFlags::empty())?)
    }

    /// Makes the names in the folder last through a power cut, on file systems that can.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync(&self) -> io::Result<()> {
        match self.folder.sync_all() {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            synced => synced,
        }
    }
}

/// A name that this process gave to a file it made.
#[derive(Clone)]
pub struct Entry {
    parent: Arc<Parent>,
    name: OsString,
    id: FileId,
}

impl Entry {
    /// The name of `file` in `parent`.
    ///
    /// # Errors
    /// What the system says of the open file.
    pub fn new(parent: &Arc<Parent>, name: OsString, file: &File) -> io::Result<Self> {
        Ok(Self {
            parent: Arc::clone(parent),
            name,
            id: FileId::of(&file.metadata()?),
        })
    }

    /// The name in its folder.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The file.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// The folder.
    pub fn parent(&self) -> &Arc<Parent> {
        &self.parent
    }

    /// The path of the name.
    pub fn path(&self) -> PathBuf {
        self.parent.path_of(&self.name)
    }

    /// Whether the path still leads to the file: neither was it removed or replaced, nor its folder moved. True where
    /// that cannot be told.
    pub fn is_in_place(&self) -> bool {
        match fs::symlink_metadata(self.path()) {
            Ok(found) => FileId::of(&found) == self.id,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ),
        }
    }

    /// Removes the name, also from a folder that was moved; leaves it where it is another file's by now.
    pub fn remove(&self) {
        let folder = &self.parent.folder;
        let found = statat(folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        let is_ours =
            found.is_ok_and(|found| (found.st_dev, found.st_ino) == (self.id.dev, self.id.ino));
        if is_ours {
            // One that cannot be removed harms nothing; the next run tries again.
            let _ = unlinkat(folder, &self.name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_flag_a_taken_name_is_not_replaced_either() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (parent, from) = Parent::of(&at("from")).unwrap();
        fs::write(at("from"), b"new").unwrap();
        fs::write(at("taken"), b"old").unwrap();
        let refused = parent.link_new(&from, OsStr::new("taken")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(at("taken")).unwrap(), b"old");
        parent.link_new(&from, OsStr::new("free")).unwrap();
        assert_eq!(fs::read(at("free")).unwrap(), b"new");
        assert!(!at("from").exists());
    }

    #[test]
    fn a_name_is_removed_only_while_it_is_the_files_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (parent, name) = Parent::of(&path).unwrap();
        let file = parent.create_new(&name).unwrap();
        let entry = Entry::new(&parent, name, &file).unwrap();
        assert!(entry.is_in_place());
        fs::rename(&path, folder.path().join("moved")).unwrap();
        fs::write(&path, b"another's").unwrap();
        assert!(!entry.is_in_place());
        entry.remove();
        assert_eq!(fs::read(&path).unwrap(), b"another's");
    }

    #[test]
    fn a_folder_that_was_moved_is_still_cleaned() {
        let root = tempfile::tempdir().unwrap();
        let (before, after) = (root.path().join("before"), root.path().join("after"));
        fs::create_dir(&before).unwrap();
        let (parent, name) = Parent::of(&before.join("file")).unwrap();
        let file = parent.create_new(&name).unwrap();
        let entry = Entry::new(&parent, name, &file).unwrap();
        fs::rename(&before, &after).unwrap();
        assert!(!entry.is_in_place());
        entry.remove();
        assert!(!after.join("file").exists());
    }
}
