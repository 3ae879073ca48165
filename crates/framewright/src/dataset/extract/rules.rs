//! What a worker is watched for from outside, whatever it says of itself.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::fs::statvfs;

use super::{fence, odd};
use crate::dataset::trouble::{Class, Trouble};

/// Threads of a worker beside those it was given: each of those has an encoder, and libraries start some more.
const OTHER_THREADS: usize = 32;
/// Files that it may have written since it last said how many.
const UNSAID_FILES: u64 = 4_000;
/// More than rows fit in the result.
const MOST_FILES: u64 = 1 << 20;
/// What stays free of the disk that the folder is on, unless a hundredth of it is less.
const FREE_BYTES: u64 = 256 << 20;

/// The longest time that a worker may take for a file: twice its time of the processor, for that may be shared.
pub(super) fn total(file: &Path) -> Duration {
    Duration::from_secs(2 * fence::cpu_secs(fence::size_of(file)))
}

/// The first rule that the worker with this process id breaks; it was given `threads` and says that it has written
/// `pictures`.
pub(super) fn broken(
    pid: u32,
    threads: usize,
    folder: Option<&Path>,
    pictures: u64,
) -> Option<Trouble> {
    if threads_of(pid) > 4 * threads + OTHER_THREADS {
        return Some(odd("it started threads without end"));
    }
    let folder = folder?;
    let files = fs::read_dir(folder).map_or(0, Iterator::count) as u64;
    if files > pictures.saturating_add(UNSAID_FILES).min(MOST_FILES) {
        return Some(odd("it wrote files without end"));
    }
    let disk = statvfs(folder).ok()?;
    let (free, all) = (disk.f_bavail, disk.f_blocks);
    let least = FREE_BYTES.min(all.saturating_mul(disk.f_frsize) / 100);
    (free.saturating_mul(disk.f_frsize) < least).then(|| {
        let message = "the disk of the folder is full but for a last hundredth; make room";
        Trouble::new(Class::Environment, message)
    })
}

/// Its threads; 0 when it has ended.
fn threads_of(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_with_files_that_it_does_not_speak_of_breaks_a_rule() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..=UNSAID_FILES {
            fs::write(folder.path().join(n.to_string()), "").unwrap();
        }
        let pid = std::process::id();
        let rule = |pictures| broken(pid, 1000, Some(folder.path()), pictures);
        assert_eq!(rule(1), None);
        let trouble = rule(0).unwrap();
        assert_eq!(trouble.class, Class::BadInput);
        assert!(trouble.message.ends_with("files without end"), "{trouble}");
    }

    #[test]
    fn the_time_of_a_worker_grows_with_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(total(file.path()), Duration::from_hours(1));
        file.as_file().set_len(500_000_000).unwrap();
        assert_eq!(total(file.path()), Duration::from_secs(3600 + 20_000));
    }
}
