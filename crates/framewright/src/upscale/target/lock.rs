//! The lock file of an output, `.NAME.fw-lock`: of several runs on one output only one goes on.
//!
//! It names the process and the host of the run that made it. Where the file system has locks, the run also holds one on
//! it, and a file that nobody holds was left by a dead run. Without locks the file itself is the lock: it is made
//! exclusively, and left by a dead run if that was one of this host and has ended.
//!
//! Invariant: a file that no run of ours has written is neither changed nor removed. Invariant: nothing here waits for
//! another run. What goes wrong with a lock costs no data: every run writes a hidden file of its own.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::durable::hidden::dotted;
use crate::durable::owner::{FORM, Owner, host};
use crate::durable::parent::{Entry, Parent};

/// Without locks: how long a run may take to write into the file it has just made. An empty file that is older was left
/// by a run that was killed between the two.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// More than any record is long.
const MAX_RECORD: u64 = 1000;

/// A held lock; dropped, its file is removed.
pub struct Lock {
    entry: Entry,
    /// Holds the file system's lock.
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum Refusal {
    /// Another run has it: which.
    Held(String),
    /// A run of another host has it, or had it when it was killed: which, and the lock file.
    HeldElsewhere(String, PathBuf),
    /// What has the name of the lock file is none.
    Foreign(PathBuf),
    /// The system refuses.
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What stands in a lock file.
enum Record {
    /// Nothing yet, or the beginning of a record.
    Empty,
    Foreign,
    /// And who that is, for people.
    Of(Owner, String),
}

impl Lock {
    /// Takes the lock on `name`, also over from a dead run.
    ///
    /// # Errors
    /// Another run has it, or it cannot be made.
    pub fn take(parent: &Arc<Parent>, name: &OsStr) -> Result<Self, Refusal> {
        let lock_name = dotted(name, ".fw-lock");
        let path = parent.path_of(&lock_name);
        let mut empty_since = None;
        loop {
            match parent.create_new(&lock_name) {
                Ok(file) => match file.try_lock() {
                    Ok(()) | Err(TryLockError::Error(_)) => {
                        let entry = Entry::new(parent, lock_name.clone(), &file)?;
                        if entry.is_in_place() {
                            return Ok(Self::write(entry, file)?);
                        }
                    }
                    // Another run took it for one that was left empty.
                    Err(TryLockError::WouldBlock) => {}
                },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
            let file = match parent.open(&lock_name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::Other => {
                    return Err(Refusal::Foreign(path));
                }
                opened => opened?,
            };
            let entry = Entry::new(parent, lock_name.clone(), &file)?;
            let record = Record::read(&file)?;
            match (file.try_lock(), record) {
                (_, Record::Foreign) => return Err(Refusal::Foreign(path)),
                (Err(TryLockError::WouldBlock), record) => {
                    return Err(Refusal::Held(record.who()));
                }
                (Ok(()), _) => {
                    // The run that held it may have removed it between our open and our lock.
                    if entry.is_in_place() {
                        return Ok(Self::write(entry, file)?);
                    }
                }
                (Err(TryLockError::Error(_)), Record::Of(owner, who)) => match owner.is_running() {
                    Some(true) => return Err(Refusal::Held(who)),
                    None => return Err(Refusal::HeldElsewhere(who, path)),
                    Some(false) => entry.remove(),
                },
                (Err(TryLockError::Error(_)), Record::Empty) => {
                    if empty_since.get_or_insert_with(Instant::now).elapsed() > WRITTEN_WITHIN {
                        entry.remove();
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    fn write(entry: Entry, mut file: File) -> io::Result<Self> {
        let lock = Self {
            entry,
            _file: file.try_clone()?,
        };
        file.rewind()?;
        file.set_len(0)?;
        let (pid, host) = (std::process::id(), host());
        file.write_all(format!("{} process {pid} on {host}\n", Owner::this()).as_bytes())?;
        Ok(lock)
    }

    /// The lock file's name.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.entry.remove();
    }
}

impl Record {
    /// A file with a second name is somebody else's, too.
    fn read(file: &File) -> io::Result<Self> {
        if file.metadata()?.nlink() > 1 {
            return Ok(Self::Foreign);
        }
        let mut text = Vec::new();
        file.take(MAX_RECORD).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let (tag, who) = text.trim_end().split_once(' ').unwrap_or_default();
        Ok(match Owner::parse(tag) {
            Some(owner) => Self::Of(owner, who.to_owned()),
            // A kill or a power cut in the middle of writing.
            None if text.starts_with(FORM) || text.bytes().all(|byte| byte == 0) => Self::Empty,
            None => Self::Foreign,
        })
    }

    fn who(self) -> String {
        match self {
            Self::Of(_, who) => who,
            Self::Empty | Self::Foreign => "it has just started".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder() -> (tempfile::TempDir, Arc<Parent>, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (parent, _) = Parent::of(&folder.path().join("o.mkv")).unwrap();
        let lock = folder.path().join(".o.mkv.fw-lock");
        (folder, parent, lock)
    }

    #[test]
    fn a_held_lock_names_its_process_and_is_gone_when_dropped() {
        let (_folder, parent, path) = folder();
        let name = OsStr::new("o.mkv");
        let first = Lock::take(&parent, name).ok().unwrap();
        let pid = std::process::id();
        match Lock::take(&parent, name) {
            Err(Refusal::Held(who)) => assert_eq!(who, format!("process {pid} on {}", host())),
            _ => panic!("must be refused"),
        }
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_run_left_is_taken_over_however_far_it_came() {
        let (_folder, parent, path) = folder();
        for content in [
            "",
            "fw1-0000",
            "\0\0\0",
            "fw1-00000001-00000002-3-4 process 3 on elsewhere\n",
        ] {
            fs::write(&path, content).unwrap();
            drop(Lock::take(&parent, OsStr::new("o.mkv")).ok().unwrap());
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_is_no_lock_file_stays_as_it_is() {
        let (folder, parent, path) = folder();
        let refused = || match Lock::take(&parent, OsStr::new("o.mkv")) {
            Err(Refusal::Foreign(at)) => assert_eq!(at, path),
            _ => panic!("must be refused"),
        };
        fs::write(&path, "a film").unwrap();
        refused();
        assert_eq!(fs::read(&path).unwrap(), b"a film");
        fs::rename(&path, folder.path().join("film")).unwrap();
        std::os::unix::fs::symlink("film", &path).unwrap();
        refused();
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        fs::hard_link(folder.path().join("empty"), &path).unwrap();
        refused();
        assert_eq!(fs::read(folder.path().join("empty")).unwrap(), b"");
    }
}
