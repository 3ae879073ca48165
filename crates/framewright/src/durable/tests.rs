//! Whole or not at all, through links and pipes, and what is left behind: nothing.

use std::ffi::OsString;

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

#[test]
fn a_name_that_leads_elsewhere_is_not_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("precious"), b"old").unwrap();
    // The names that the next writes would take.
    let (parent, name) = Parent::of(&at("report.json")).unwrap();
    let probe = Hidden::create(&parent, &name).unwrap();
    let taken = probe.entry().name().to_str().unwrap().to_owned();
    drop(probe);
    let (start, count) = taken
        .strip_suffix(".partial")
        .unwrap()
        .rsplit_once('-')
        .unwrap();
    let count: u64 = count.parse().unwrap();
    for n in count + 1..count + 50 {
        let planted = at(&format!("{start}-{n}.partial"));
        std::os::unix::fs::symlink(at("precious"), planted).unwrap();
    }
    write(&at("report.json"), b"new").unwrap();
    assert_eq!(fs::read(at("precious")).unwrap(), b"old");
    assert_eq!(fs::read(at("report.json")).unwrap(), b"new");
    assert!(!at("report.json").is_symlink());
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error_and_not_a_wait() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let error = write(&pipe, b"new").unwrap_err();
    assert_eq!(error.to_string(), "nobody reads the pipe");
    let unread = File::options().read(true).write(true).open(&pipe).unwrap();
    let error = write(&pipe, &vec![0; 1 << 20]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    drop(unread);
}

#[test]
fn an_open_file_is_written_to_and_keeps_its_name() {
    use std::os::fd::AsRawFd as _;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, b"before\n").unwrap();
    let open = File::options().append(true).open(&log).unwrap();
    let path = format!("/proc/self/fd/{}", open.as_raw_fd());
    write(Path::new(&path), b"report\n").unwrap();
    (&open).write_all(b"after\n").unwrap();
    assert_eq!(fs::read(&log).unwrap(), b"before\nreport\nafter\n");
}
