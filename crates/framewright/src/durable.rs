//! Files that are either there whole or not there at all.
//!
//! Invariant: nothing partial ever stands under a final name. Temporary name in the same
//! folder, fsync, rename, fsync of the folder; only then is a file "done".

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Moves a finished file to its final name, replacing what is there, so that after a
/// power cut either the old or the new file is found. Both are in one file system.
///
/// # Errors
/// The I/O error of the first step that failed; `from` is then still there.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    sync_folder(to)
}

/// As [`publish`], but fails where the final name has been taken meanwhile, instead of replacing what is there.
///
/// # Errors
/// The I/O error of the first step that failed; `from` is then still there.
pub fn publish_new(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows the flag.
        Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => fs::rename(from, to)?,
        renamed => renamed?,
    }
    sync_folder(to)
}

/// Writes a whole file in one step. What is not a plain file (`/dev/stderr`, a pipe) is
/// written to directly: a rename would replace the device by a file.
///
/// # Errors
/// The I/O error of the first step that failed; nothing is left behind then.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    // A link keeps pointing where it points; its target is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return File::options().write(true).open(path)?.write_all(content);
    }
    let temp = temp_name(path)?;
    let written = write_new(&temp, content).and_then(|()| publish(&temp, path));
    if written.is_err() {
        let _ = fs::remove_file(&temp);
    }
    written
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    File::create(path)?.write_all(content)
}

/// `dir/.name.partial.PID`: hidden, in the same folder, and no other run's.
fn temp_name(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let mut temp = OsString::from(".");
    temp.push(name);
    temp.push(format!(".partial.{}", process::id()));
    Ok(path.with_file_name(temp))
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_written_file_is_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        write(&path, b"old and longer").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["report.json"]);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), b"x").unwrap();
        // A folder cannot be replaced by a file: the rename fails after the write.
        write(&taken, b"new").unwrap_err();
        assert_eq!(names(folder.path()), ["taken"]);
        write(&folder.path().join("none/report.json"), b"new").unwrap_err();
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let link = folder.path().join("link");
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn a_pipe_is_written_to_and_not_replaced() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        use std::{io::Read as _, os::unix::fs::FileTypeExt as _};
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // Opened both ways, a pipe waits for nobody.
        let mut reader = File::options().read(true).write(true).open(&pipe).unwrap();
        write(&pipe, b"new").unwrap();
        let mut content = [0; 3];
        reader.read_exact(&mut content).unwrap();
        assert_eq!(&content, b"new");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(names(folder.path()), ["pipe"]);
    }
}
