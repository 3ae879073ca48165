//! Which names are one file, whatever they are called.
//!
//! Invariant: a file that exists is compared by device and inode, so links, hard links and bind mounts hide nothing; one
//! that does not exist yet, by its folder and its name there.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file by device and inode: the same for all its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// Number of the file system.
    pub dev: u64,
    /// Number of the file in it.
    pub ino: u64,
}

impl FileId {
    /// The file that `metadata` is of.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        }
    }
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To a file that is there.
    File(FileId),
    /// To a name that is free, in a folder that is there.
    Name(FileId, OsString),
}

impl Place {
    /// Follows `path` and its links. None for what cannot be destroyed by being written: a device, a pipe, and a file in
    /// a folder that is not there.
    pub fn of(path: &Path) -> Option<Self> {
        if let Ok(found) = fs::metadata(path) {
            return (found.is_file() || found.is_dir()).then(|| Self::File(FileId::of(&found)));
        }
        let folder = fs::metadata(folder_of(path)).ok()?;
        Some(Self::Name(
            FileId::of(&folder),
            path.file_name()?.to_owned(),
        ))
    }
}

/// The folder that a file is in; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("film"), b"x").unwrap();
        fs::write(at("other"), b"x").unwrap();
        fs::hard_link(at("film"), at("hard")).unwrap();
        std::os::unix::fs::symlink(at("film"), at("soft")).unwrap();
        std::os::unix::fs::symlink(folder.path(), at("here")).unwrap();
        for name in ["hard", "soft", "here/film", "here/here/hard"] {
            assert_eq!(Place::of(&at(name)), Place::of(&at("film")), "{name}");
        }
        assert_ne!(Place::of(&at("other")), Place::of(&at("film")));
        assert_eq!(Place::of(&at("here/new")), Place::of(&at("new")));
        assert_ne!(Place::of(&at("new")), Place::of(&at("newer")));
        assert_eq!(Place::of(&at("none/new")), None);
        assert_eq!(Place::of(Path::new("/dev/null")), None);
    }
}
