//! Files that are either there whole or not there at all.
//!
//! Invariant: nothing partial ever stands under a final name. Temporary name in the same
//! folder, fsync, rename, fsync of the folder; only then is a file "done".
//! Invariant: a temporary file is made exclusively and never through a link (`hidden`).
//! Invariant: no open waits, and no write for longer than `PATIENCE`: a pipe that nobody reads is an error.

pub(crate) mod hidden;
pub(crate) mod owner;
pub(crate) mod parent;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::same_file::folder_of;
use hidden::{Hidden, remove_leftovers};
use parent::Parent;

/// How long a pipe or a device may take to accept anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// Moves a finished file to its final name, replacing what is there, so that after a
/// power cut either the old or the new file is found. Both are in one file system.
///
/// # Errors
/// The I/O error of the first step that failed; `from` is then still there.
pub fn publish(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    File::open(folder_of(to))?.sync_all()
}

/// Writes a whole file in one step, and removes what killed processes left of such a step. What is not a plain file
/// (`/dev/stderr`, a pipe) is written to directly: a rename would replace the device by a file.
///
/// # Errors
/// The I/O error of the first step that failed; nothing is left behind then.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let is_special = fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir());
    if is_special || is_open_file(path) {
        return write_directly(path, content);
    }
    // A link keeps pointing where it points; its target is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (parent, name) = Parent::of(path)?;
    remove_leftovers(&parent, &name, &[]);
    let mut hidden = Hidden::create(&parent, &name)?;
    hidden.file().write_all(content)?;
    hidden.file().sync_all()?;
    hidden.replace(&name)?;
    parent.sync()
}

/// Whether a path names what this process has open, such as `/dev/stderr`: also where that is a plain file, others write
/// to it, and it keeps its name.
pub fn is_open_file(path: &Path) -> bool {
    let named = ["/dev/stdin", "/dev/stdout", "/dev/stderr"].map(Path::new);
    named.contains(&path) || path.starts_with("/dev/fd") || path.starts_with("/proc")
}

fn write_directly(path: &Path, mut content: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    options.append(true).custom_flags(flags.cast_signed());
    let mut file = options.open(path).map_err(|error| {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NXIO) => io::Error::other("nobody reads the pipe"),
            _ => error,
        }
    })?;
    while !content.is_empty() {
        match file.write(content) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => content = &content[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !accepts(&file, PATIENCE) {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "nobody reads what is written",
                    ));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until `file` accepts at least a little, for `patience` at most; whether it does.
pub(crate) fn accepts(file: &impl std::os::fd::AsFd, patience: Duration) -> bool {
    let began = Instant::now();
    loop {
        let left = patience.saturating_sub(began.elapsed());
        let left = Timespec::try_from(left).ok();
        let mut asked = [PollFd::new(file, PollFlags::OUT)];
        match poll(&mut asked, left.as_ref()) {
            Err(Errno::INTR) => {}
            // What cannot be asked never waits.
            Err(_) => return true,
            // Also where the reader has gone: the write then says so.
            Ok(n) => return n > 0,
        }
    }
}

#[cfg(test)]
mod tests;
