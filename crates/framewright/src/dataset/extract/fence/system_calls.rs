//! The system calls that decoding needs, each with its reason. To every other one the kernel answers as if it did not
//! have it (`ENOSYS`), in all threads.
//!
//! An answer, not a signal: libraries know it from older kernels and go another way, such as glibc, which starts threads
//! by `clone` where there is no `clone3`. A decoder that only tried something loses no video by it, and one that was
//! taken over gains nothing. Another architecture's calls end the process.
//!
//! Invariant: no call here reaches another process, opens a connection, changes who we are, or makes memory executable.
//! Which files `openat` and `unlink` reach is Landlock's to say.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// A call that decoding needs.
#[cfg_attr(not(test), expect(dead_code, reason = "words for the document"))]
struct Allowed {
    name: &'static str,
    number: libc::c_long,
    /// Alternatives, of each of which all checks must hold; any arguments will do when there are none.
    rules: Vec<Vec<Check>>,
    /// The same in words.
    with: &'static str,
    why: &'static str,
}

/// `argument & mask == value`.
struct Check {
    argument: u8,
    mask: u64,
    value: u64,
}

/// The bits of an `int`.
const INT: u64 = 0xffff_ffff;
/// The flags with which glibc starts a thread: all that makes it one, and no namespace.
const THREAD: libc::c_int = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;
/// Advice that glibc gives: memory may go back, and guard pages (Linux 6.13, glibc 2.42).
const ADVICE: [libc::c_int; 3] = [libc::MADV_DONTNEED, libc::MADV_FREE, 102];
/// Bits of `mmap`'s flags that say how a mapping is shared, and that it grows without being counted.
const SHARING: u64 = 0xf | libc::MAP_GROWSDOWN as u64;
/// Set-user-ID, set-group-ID and sticky.
const SPECIAL_MODES: u64 = 0o7000;

/// Takes all other system calls from this process, for good.
///
/// # Errors
/// The kernel has no seccomp, or this processor no list.
pub(super) fn restrict() -> anyhow::Result<()> {
    let processor = TargetArch::try_from(std::env::consts::ARCH)
        .context("there is no list of system calls for this processor")?;
    // The answer that makes a caller look for another way.
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    let filter = SeccompFilter::new(rules()?, refused, SeccompAction::Allow, processor)?;
    let program: BpfProgram = filter.try_into()?;
    apply_filter_all_threads(&program)
        .map_err(|error| anyhow!("this kernel does not filter system calls: {error}"))
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let rule = |checks: &Vec<Check>| {
        let conditions = checks.iter().map(|it| {
            let equal = SeccompCmpOp::MaskedEq(it.mask);
            SeccompCondition::new(it.argument, SeccompCmpArgLen::Qword, equal, it.value)
        });
        SeccompRule::new(conditions.collect::<Result<_, _>>()?)
    };
    let all = allowed();
    all.iter()
        .map(|it| {
            Ok((
                it.number,
                it.rules.iter().map(rule).collect::<Result<_, _>>()?,
            ))
        })
        .collect()
}

/// An `int` argument that has to be one of `values`.
fn one_of(argument: u8, values: &[libc::c_int]) -> Vec<Vec<Check>> {
    let is = |&value: &libc::c_int| {
        let value = u64::from(value.cast_unsigned());
        vec![masked(argument, INT, value)]
    };
    values.iter().map(is).collect()
}

fn masked(argument: u8, mask: u64, value: u64) -> Check {
    Check {
        argument,
        mask,
        value,
    }
}

fn any(name: &'static str, number: libc::c_long, why: &'static str) -> Allowed {
    when(name, number, "", Vec::new(), why)
}

fn when(
    name: &'static str,
    number: libc::c_long,
    with: &'static str,
    rules: Vec<Vec<Check>>,
    why: &'static str,
) -> Allowed {
    Allowed {
        name,
        number,
        rules,
        with,
        why,
    }
}

/// The list. Numbers differ from processor to processor, and aarch64 lacks the older of two calls for the same.
fn allowed() -> Vec<Allowed> {
    [files(), memory(), threads(), signals_and_time()]
        .into_iter()
        .flatten()
        .collect()
}

fn files() -> Vec<Allowed> {
    vec![
        when(
            "openat",
            libc::SYS_openat,
            "no set-user-ID, set-group-ID or sticky bit in the mode",
            vec![vec![masked(3, SPECIAL_MODES, 0)]],
            "the video, and the pictures; Landlock says which files",
        ),
        any("read", libc::SYS_read, "the video"),
        any(
            "lseek",
            libc::SYS_lseek,
            "the video's index, and its frames",
        ),
        any(
            "write",
            libc::SYS_write,
            "pictures, lines to the run, FFmpeg's words",
        ),
        any(
            "writev",
            libc::SYS_writev,
            "glibc's last words before it aborts",
        ),
        any("close", libc::SYS_close, "files"),
        any("fstat", libc::SYS_fstat, "sizes of open files"),
        any(
            "newfstatat",
            libc::SYS_newfstatat,
            "the same by older glibc; tells of any path that it is there",
        ),
        any(
            "statx",
            libc::SYS_statx,
            "the same by Rust; tells of any path that it is there",
        ),
        any(
            "getdents64",
            libc::SYS_getdents64,
            "to clear the folder for a second try",
        ),
        #[cfg(target_arch = "x86_64")]
        any(
            "unlink",
            libc::SYS_unlink,
            "to clear the folder for a second try",
        ),
        any(
            "unlinkat",
            libc::SYS_unlinkat,
            "the same on other processors",
        ),
        when(
            "fcntl",
            libc::SYS_fcntl,
            "F_GETFD, F_SETFD, F_GETFL",
            one_of(1, &[libc::F_GETFD, libc::F_SETFD, libc::F_GETFL]),
            "FFmpeg and the reading of a folder mark files as not inherited",
        ),
    ]
}

fn memory() -> Vec<Allowed> {
    let not_executable = || masked(2, libc::PROT_EXEC as u64, 0);
    vec![
        when(
            "mmap",
            libc::SYS_mmap,
            "private, not executable, not growing by itself",
            vec![vec![
                not_executable(),
                masked(3, SHARING, libc::MAP_PRIVATE as u64),
            ]],
            "memory, of which the limit counts every byte",
        ),
        when(
            "mprotect",
            libc::SYS_mprotect,
            "not executable",
            vec![vec![not_executable()]],
            "heaps of threads, guard pages",
        ),
        any("mremap", libc::SYS_mremap, "growing blocks"),
        any("munmap", libc::SYS_munmap, "memory goes back"),
        any("brk", libc::SYS_brk, "the heap of the first thread"),
        when(
            "madvise",
            libc::SYS_madvise,
            "DONTNEED, FREE, GUARD_INSTALL",
            one_of(2, &ADVICE),
            "memory goes back; guard pages",
        ),
    ]
}

fn threads() -> Vec<Allowed> {
    let own_pid = std::process::id().cast_signed();
    vec![
        when(
            "clone",
            libc::SYS_clone,
            "the flags of a thread, and no others",
            one_of(0, &[THREAD]),
            "decoding and encoding threads; no process, no namespace",
        ),
        any(
            "set_robust_list",
            libc::SYS_set_robust_list,
            "glibc, at the start of a thread",
        ),
        any("rseq", libc::SYS_rseq, "glibc, at the start of a thread"),
        any(
            "sigaltstack",
            libc::SYS_sigaltstack,
            "Rust, to notice an overflowing stack",
        ),
        when(
            "prctl",
            libc::SYS_prctl,
            "PR_SET_NAME",
            one_of(0, &[libc::PR_SET_NAME]),
            "names of threads",
        ),
        any("futex", libc::SYS_futex, "locks and waiting"),
        any(
            "sched_yield",
            libc::SYS_sched_yield,
            "waiting for a lock that is about to be free",
        ),
        any(
            "sched_getaffinity",
            libc::SYS_sched_getaffinity,
            "how many processors there are",
        ),
        any("gettid", libc::SYS_gettid, "to abort"),
        any("getpid", libc::SYS_getpid, "to abort"),
        when(
            "tgkill",
            libc::SYS_tgkill,
            "its own process",
            one_of(0, &[own_pid]),
            "to abort; no other process",
        ),
        any("exit", libc::SYS_exit, "the end of a thread"),
        any("exit_group", libc::SYS_exit_group, "the end"),
    ]
}

fn signals_and_time() -> Vec<Allowed> {
    vec![
        any("rt_sigaction", libc::SYS_rt_sigaction, "to abort"),
        any(
            "rt_sigprocmask",
            libc::SYS_rt_sigprocmask,
            "glibc, around the start of a thread",
        ),
        any(
            "rt_sigreturn",
            libc::SYS_rt_sigreturn,
            "back from a signal, such as of a file that grew too large",
        ),
        any(
            "restart_syscall",
            libc::SYS_restart_syscall,
            "waiting goes on after a pause of the process",
        ),
        any(
            "clock_gettime",
            libc::SYS_clock_gettime,
            "how long something took, where the kernel's page does not tell",
        ),
        any("clock_nanosleep", libc::SYS_clock_nanosleep, "short waits"),
        any("getrandom", libc::SYS_getrandom, "seeds of hash maps"),
        when(
            "prlimit64",
            libc::SYS_prlimit64,
            "of itself, to read",
            vec![vec![masked(0, INT, 0), masked(2, u64::MAX, 0)]],
            "sizes of stacks; no limit is changed",
        ),
    ]
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table of `docs/dataset.md`.
    fn table() -> String {
        let mut table = String::from("| call | with | why |\n|---|---|---|\n");
        for it in allowed() {
            let _ = writeln!(table, "| `{}` | {} | {} |", it.name, it.with, it.why);
        }
        table
    }

    #[test]
    fn the_document_lists_what_is_allowed_and_why() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dataset.md");
        let document = std::fs::read_to_string(document).unwrap();
        assert!(
            document.contains(&table()),
            "docs/dataset.md must have this table:\n{}",
            table()
        );
    }

    #[test]
    fn every_call_is_listed_once_and_the_list_can_be_compiled_for_every_processor() {
        let calls = allowed();
        assert_eq!(rules().unwrap().len(), calls.len());
        for processor in [TargetArch::x86_64, TargetArch::aarch64] {
            let refused = SeccompAction::Errno(libc::ENOSYS as u32);
            let filter =
                SeccompFilter::new(rules().unwrap(), refused, SeccompAction::Allow, processor);
            let program: Result<BpfProgram, _> = filter.unwrap().try_into();
            assert!(program.unwrap().len() < 1000);
        }
    }
}
