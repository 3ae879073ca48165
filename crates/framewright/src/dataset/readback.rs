//! Reading back what lies in the folder of a dataset, which somebody else may have made.
//!
//! ```text
//! a file ─▶ a plain one, no link, within its bound ─▶ JSON of its type ─▶ it fits its video ─▶ a record
//! ```
//! [`open_plain`], [`bytes`] and [`json`] read any file of such a folder; [`fits`] says what a record of a video has to
//! hold. `VideoFolder` puts both together.
//!
//! Invariant: no link is followed, nothing but plain files is opened, and nothing is read beyond its bound. A name that
//! leaves here is one of its own folder, and a number is finite and within what others compute with.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use serde::de::DeserializeOwned;

pub mod fits;

/// Letters of a parser's message that are passed on.
const MOST_SAID: usize = 200;

/// Opens a plain file for reading. A link is refused, and so is a device or a pipe, without waiting for its other end.
///
/// # Errors
/// It is not there, not readable or not a plain file.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a link, which is not followed")),
        Err(error) => return Err(error.into()),
    };
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a plain file"))
    }
}

/// All of a plain file of at most `most_bytes`.
///
/// # Errors
/// As [`open_plain`], or it is larger.
pub fn bytes(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open_plain(path)?;
    file.take(most_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most_bytes {
        let message = format!("it is larger than {most_bytes} bytes");
        return Err(io::Error::other(message));
    }
    Ok(bytes)
}

/// Reads a JSON file; `None` when there is none.
///
/// # Errors
/// Says why it cannot be used.
pub fn json<T: DeserializeOwned>(path: &Path, most_bytes: u64) -> Result<Option<T>, String> {
    let text = match bytes(path, most_bytes) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        // A parser repeats what it does not know, and that is foreign text.
        let said = error.to_string();
        said.chars()
            .filter(|letter| !letter.is_control())
            .take(MOST_SAID)
            .collect()
    })
}

/// Makes sure that a folder, where there is one, is no link, and that neither links nor devices lie in it.
///
/// # Errors
/// Names the first that does.
pub fn only_plain(folder: &Path) -> Result<(), String> {
    let cannot = |error: io::Error| format!("{error}, cannot read {}", folder.display());
    match fs::symlink_metadata(folder) {
        Ok(about) if about.is_dir() => {}
        Ok(_) => return Err(refused(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
    }
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        match entry.file_type() {
            Ok(kind) if kind.is_file() || kind.is_dir() => {}
            Ok(_) => return Err(refused(&entry.path())),
            // A temporary file of a run beside this one has got its name meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot(error)),
        }
    }
    Ok(())
}

fn refused(path: &Path) -> String {
    format!(
        "a link or a device is not followed within a dataset; remove it: {}",
        path.display()
    )
}

/// Whether a name stays in its folder: letters, digits, `_`, `-` and dots, the first of them no dot.
pub fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() < 256 && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_plain_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.json"), "[1, 2]").unwrap();
        symlink(at("a.json"), at("link.json")).unwrap();
        fs::create_dir(at("folder.json")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe.json"), fifo, mode, 0).unwrap();
        assert_eq!(json(&at("a.json"), 6), Ok(Some([1, 2])));
        assert_eq!(json::<[u8; 2]>(&at("none.json"), 6), Ok(None));
        for name in ["link.json", "folder.json", "pipe.json"] {
            assert!(json::<[u8; 2]>(&at(name), 6).is_err(), "{name}");
        }
        assert!(only_plain(dir.path()).is_err());
        fs::remove_file(at("link.json")).unwrap();
        assert!(only_plain(dir.path()).is_err(), "a pipe is left");
        fs::remove_file(at("pipe.json")).unwrap();
        assert_eq!(only_plain(dir.path()), Ok(()));
        assert_eq!(only_plain(&at("none")), Ok(()));
        symlink(at("folder.json"), at("link")).unwrap();
        assert!(only_plain(&at("link")).is_err());
    }

    #[test]
    fn a_file_beyond_its_bound_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(&path, "[1, 2]").unwrap();
        let error = json::<[u8; 2]>(&path, 5).unwrap_err();
        assert!(error.contains("larger"), "{error}");
        let sparse = File::create(&path).unwrap();
        sparse.set_len(1 << 40).unwrap();
        assert!(json::<[u8; 2]>(&path, 1 << 20).is_err());
    }

    #[test]
    fn names_stay_in_their_folder() {
        for name in ["a.jpg", "0123_00000001.jpg", "video.mp4"] {
            assert!(is_plain_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../a",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "a\0b",
            ".hidden",
            "a\nb",
            "é.jpg",
        ] {
            assert!(!is_plain_name(name), "{name:?}");
        }
    }
}
