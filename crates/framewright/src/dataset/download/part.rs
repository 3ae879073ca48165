//! A file that is being fetched, and the journal that says which one it is a part of.
//!
//! `download.part` holds the bytes, `download.json.part` what they belong to: the address, what the server said of its
//! version, its size, and how many bytes are surely on the disk. Only with a version can a later request ask for "the
//! rest, if it is still the same"; without one a part is worth nothing.
//!
//! Invariant: a byte of a part is used again only under the address and the version it came with, and only up to where
//! it was on the disk for certain.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::durable;

/// The bytes so far, in the video's folder.
pub const PART: &str = "download.part";
/// What they belong to.
pub const JOURNAL: &str = "download.json.part";
/// How much may be lost by a power cut.
const SYNC_BYTES: u64 = 64 << 20;
const SYNC_EVERY: Duration = Duration::from_secs(10);

/// What a part belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The address as it was given, before redirects.
    pub url: String,
    /// The server's `ETag`, when it is a strong one.
    pub etag: Option<String>,
    /// The server's `Last-Modified`.
    pub last_modified: Option<String>,
    /// Size of the whole file.
    pub total_bytes: Option<u64>,
    /// Bytes that are surely on the disk.
    pub synced_bytes: u64,
}

impl Journal {
    /// What `If-Range` takes: the strong `ETag`, else the date.
    pub fn version(&self) -> Option<&str> {
        self.etag.as_deref().or(self.last_modified.as_deref())
    }
}

/// A file that is being fetched.
pub struct Part {
    journal_path: PathBuf,
    file: File,
    /// What it belongs to.
    pub journal: Journal,
    /// Bytes of it that are there.
    pub len: u64,
    synced: Instant,
}

impl Part {
    /// Goes on with what is there for this address, or begins anew.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(folder: &Path, url: &str) -> io::Result<Self> {
        let (path, journal_path) = (folder.join(PART), folder.join(JOURNAL));
        let journal = fs::read(&journal_path)
            .ok()
            .and_then(|text| serde_json::from_slice::<Journal>(&text).ok())
            .filter(|journal| journal.url == url);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let there = file.metadata()?.len();
        let mut part = Self {
            journal_path,
            file,
            journal: Journal::default(),
            len: 0,
            synced: Instant::now(),
        };
        let known = journal.filter(|journal| {
            // A complete file needs no version: nothing will be asked for.
            journal.version().is_some() || journal.total_bytes == Some(journal.synced_bytes)
        });
        match known {
            Some(journal) if journal.synced_bytes <= there => {
                part.len = journal.synced_bytes;
                part.journal = journal;
                part.file.set_len(part.len)?;
                part.file.seek(SeekFrom::Start(part.len))?;
            }
            _ => part.restart(Journal {
                url: url.to_owned(),
                ..Journal::default()
            })?,
        }
        Ok(part)
    }

    /// Forgets all bytes and begins anew.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn restart(&mut self, journal: Journal) -> io::Result<()> {
        remove(&self.journal_path)?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.len = 0;
        self.journal = Journal {
            synced_bytes: 0,
            ..journal
        };
        Ok(())
    }

    /// Whether all bytes are there, as far as it is known how many there are.
    pub fn is_complete(&self) -> bool {
        self.len > 0 && self.journal.total_bytes == Some(self.len)
    }

    /// Adds bytes, and makes sure of them now and then.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        let unsure = self.len - self.journal.synced_bytes;
        if unsure >= SYNC_BYTES || self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes sure of all bytes, and notes how many there are.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = Instant::now();
        self.journal.synced_bytes = self.len;
        let text = serde_json::to_vec(&self.journal).map_err(io::Error::other)?;
        durable::write(&self.journal_path, &text)
    }

    /// The first bytes, at most `most`.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn head(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(most as u64).read_to_end(&mut head)?;
        self.file.seek(SeekFrom::Start(self.len))?;
        Ok(head)
    }
}

/// Deletes what is left of a download in a folder.
///
/// # Errors
/// It cannot be deleted.
pub fn discard(folder: &Path) -> io::Result<()> {
    // The journal first: bytes without one are worth nothing, and a journal without its bytes may find others.
    remove(&folder.join(JOURNAL))?;
    remove(&folder.join(PART))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versioned(url: &str) -> Journal {
        Journal {
            url: url.into(),
            etag: Some("\"1\"".into()),
            total_bytes: Some(10),
            ..Journal::default()
        }
    }

    fn begun(folder: &Path, journal: Journal) {
        let mut part = Part::open(folder, &journal.url.clone()).unwrap();
        part.restart(journal).unwrap();
        part.append(b"abcd").unwrap();
        part.sync().unwrap();
    }

    #[test]
    fn a_part_goes_on_only_under_its_address_and_with_a_version() {
        let folder = tempfile::tempdir().unwrap();
        begun(folder.path(), versioned("u"));
        assert_eq!(Part::open(folder.path(), "u").unwrap().len, 4);
        assert_eq!(Part::open(folder.path(), "other").unwrap().len, 0);
        let unversioned = Journal {
            etag: None,
            ..versioned("u")
        };
        begun(folder.path(), unversioned);
        assert_eq!(Part::open(folder.path(), "u").unwrap().len, 0);
    }

    #[test]
    fn bytes_that_may_not_have_reached_the_disk_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        begun(folder.path(), versioned("u"));
        let path = folder.path().join(PART);
        fs::write(&path, b"abcd\0\0\0").unwrap();
        assert_eq!(Part::open(folder.path(), "u").unwrap().len, 4);
        assert_eq!(fs::read(&path).unwrap(), b"abcd");
        // Shorter than the journal says: something else has happened to it.
        fs::write(&path, b"ab").unwrap();
        assert_eq!(Part::open(folder.path(), "u").unwrap().len, 0);
    }

    #[test]
    fn an_odd_journal_is_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        begun(folder.path(), versioned("u"));
        fs::write(folder.path().join(JOURNAL), b"{\"url\":").unwrap();
        assert_eq!(Part::open(folder.path(), "u").unwrap().len, 0);
    }
}
