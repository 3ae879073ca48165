//! What keeps a decoder that was taken over by its input from the rest of the machine: limits of the process, Landlock,
//! and a list of system calls. Set before the file is opened, and never lifted.
//!
//! | | may |
//! |---|---|
//! | read | the video |
//! | write | files in one folder, of at most 1 GiB each |
//! | connect | nowhere |
//! | start | threads; no process, no code that was not loaded before |
//! | memory | 4 GiB of data; shared mappings are refused, and the address space is limited beside |
//! | time | half an hour and a second for each 50 kB of the file, of the processor |
//!
//! The run watches the rest from outside: time by the clock, output, threads and what the folder holds.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, RestrictionStatus,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::dataset::config::SandboxMode;
use crate::exit::{Exit, fail};

mod system_calls;

/// Most memory of the worker's own data.
pub(super) const DATA_BYTES: u64 = 4 << 30;
/// Addresses beside those of data: libraries, and what is reserved and never touched.
const OTHER_BYTES: u64 = 2 << 30;
/// Addresses for each thread of the decoder, with its share of the others: their stacks, and heaps of 128 MiB that glibc
/// reserves to use a part of.
const THREAD_BYTES: u64 = 256 << 20;
/// Largest file it may write: a picture, or the rows of all frames.
const FILE_BYTES: u64 = 1 << 30;
const OPEN_FILES: u64 = 64;

/// Seconds of the processor for a video of so many bytes.
pub(super) fn cpu_secs(file_bytes: u64) -> u64 {
    1800 + file_bytes / 50_000
}

/// Limits of this process, for a video of so many bytes that so many threads decode.
///
/// # Errors
/// The system refuses a limit.
pub(super) fn limit(file_bytes: u64, threads: usize) -> anyhow::Result<()> {
    // A write beyond the limit is then an error and not the end.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::<AtomicBool>::default())
        .context("cannot watch for SIGXFSZ")?;
    let addresses = DATA_BYTES + OTHER_BYTES + THREAD_BYTES.saturating_mul(threads as u64);
    let secs = cpu_secs(file_bytes);
    for (resource, limit, last) in [
        (Resource::Core, 0, 0),
        (Resource::Nofile, OPEN_FILES, OPEN_FILES),
        (Resource::Fsize, FILE_BYTES, FILE_BYTES),
        (Resource::Data, DATA_BYTES, DATA_BYTES),
        // Counts shared mappings as well, where the kernel does not refuse them.
        (Resource::As, addresses, addresses),
        // The signal of the first limit says what it is for; that of the last cannot be ignored.
        (Resource::Cpu, secs, secs + 5),
    ] {
        // One that we were started with may be lower, and not everybody may raise it.
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let both = Rlimit {
            current: Some(limit.min(most)),
            maximum: Some(last.min(most)),
        };
        setrlimit(resource, both).with_context(|| format!("cannot limit {resource:?}"))?;
    }
    Ok(())
}

/// Fences in this process, which must not have started a thread: `file` may be read, `folder`, if any, written to, and only the
/// system calls be made that decoding needs. Gives what of it the system does not have.
///
/// # Errors
/// With [`SandboxMode::Require`], when anything is missing ([`Exit::Unavailable`]).
pub(super) fn enclose(
    file: &Path,
    folder: Option<&Path>,
    mode: SandboxMode,
) -> anyhow::Result<Option<String>> {
    if mode == SandboxMode::Off {
        return Ok(None);
    }
    let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let files = enclose_files(file, folder).or_else(|| {
        // Landlock holds for the calling thread and those it starts.
        (threads > 1)
            .then(|| "a library started threads that may read and write all that you may".into())
    });
    let calls = system_calls::restrict()
        .err()
        .map(|error| format!("the decoder may make any system call: {error:#}"));
    let missing: Vec<String> = files.into_iter().chain(calls).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    let missing = missing.join("; ");
    if mode == SandboxMode::Require {
        let message = format!("{missing}; allow that with sandbox = \"auto\" in [extract]");
        return Err(fail(Exit::Unavailable, message));
    }
    Ok(Some(missing))
}

/// Gives what of the fence around files and connections the kernel does not have.
fn enclose_files(file: &Path, folder: Option<&Path>) -> Option<String> {
    match restrict(file, folder).map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => None,
        Ok(RulesetStatus::PartiallyEnforced) => Some(
            "this kernel fences in the decoder in part only; it needs Linux 6.12 for all of it"
                .into(),
        ),
        Ok(RulesetStatus::NotEnforced) => Some(
            "this kernel has no Landlock: the decoder may read and write all that you may".into(),
        ),
        Err(error) => Some(format!("the decoder is not fenced in: {error}")),
    }
}

fn restrict(file: &Path, folder: Option<&Path>) -> Result<RestrictionStatus, RulesetError> {
    let writing = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Truncate;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        // A path that is not there gives no rule: opening it tells why.
        .add_rules(path_beneath_rules([file], AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(folder, writing))?
        .restrict_self()
}

/// The size of the video, for [`limit`]; 0 where it is not there, which its opening will tell.
pub(super) fn size_of(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Landlock holds for a thread, so this test fences in itself and no other.
    #[test]
    fn what_is_fenced_in_reads_one_file_and_writes_to_one_folder() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("frames");
        fs::create_dir(&folder).unwrap();
        let [video, secret] = ["video.mp4", "secret.txt"].map(|name| outside.path().join(name));
        fs::write(&video, "video").unwrap();
        fs::write(&secret, "secret").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        match enclose_files(&video, Some(&folder)) {
            None => {}
            Some(missing) => return println!("skipped: {missing}"),
        }
        let denied = |result: std::io::Result<()>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
        };
        assert_eq!(fs::read(&video).unwrap(), b"video");
        fs::write(folder.join("1.jpg"), "picture").unwrap();
        assert_eq!(fs::read(folder.join("1.jpg")).unwrap(), b"picture");
        fs::remove_file(folder.join("1.jpg")).unwrap();
        denied(fs::read_dir("/usr").map(drop));
        denied(fs::read(&secret).map(drop));
        denied(fs::read("/etc/passwd").map(drop));
        denied(fs::read_dir(outside.path()).map(drop));
        denied(fs::write(outside.path().join("new"), ""));
        denied(fs::write(&video, "other"));
        denied(fs::remove_file(&secret));
        denied(std::os::unix::fs::symlink(&secret, folder.join("link")));
        assert!(fs::hard_link(&secret, folder.join("link")).is_err());
        denied(TcpStream::connect(address).map(drop));
        denied(TcpListener::bind("127.0.0.1:0").map(drop));
    }

    #[test]
    fn no_fence_is_asked_for_and_none_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let missing = enclose(
            &folder.path().join("none"),
            Some(folder.path()),
            SandboxMode::Off,
        );
        assert_eq!(missing.unwrap(), None);
        assert!(fs::read("/etc/passwd").is_ok());
    }
}
