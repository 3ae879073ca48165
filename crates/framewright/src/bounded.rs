//! Reading files of which nothing is known: plain ones only, and no more of them than expected.
//!
//! Invariant: nothing here waits for another program or reads without an end: a pipe, a device and a folder are refused
//! before a byte is read.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// The content of a plain file of at most `max_bytes` bytes; links are followed.
///
/// # Errors
/// It cannot be read, is no plain file, or is larger; the message says which, without the path.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for somebody to write to it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        let message = format!("it is {}, not a plain file", kind(&about));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut content = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max_bytes {
        let message = format!("it holds more than {max_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(content)
}

/// As [`read`], for text in UTF-8.
///
/// # Errors
/// As [`read`], or it is not UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> io::Result<String> {
    let not_text = || io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(read(path, max_bytes)?).map_err(|_| not_text())
}

fn kind(about: &fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = about.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_are_read_and_nothing_is_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let (file, pipe) = (folder.path().join("file"), folder.path().join("pipe"));
        fs::write(&file, "abc").unwrap();
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(read_text(&file, 3).unwrap(), "abc");
        let said = |path: &Path| read(path, 2).unwrap_err().to_string();
        assert_eq!(said(&file), "it holds more than 2 bytes");
        assert_eq!(said(&pipe), "it is a pipe, not a plain file");
        assert_eq!(said(folder.path()), "it is a folder, not a plain file");
        assert_eq!(
            said(Path::new("/dev/zero")),
            "it is a device, not a plain file"
        );
        fs::write(&file, b"\xff").unwrap();
        assert!(read_text(&file, 3).is_err());
    }
}
