//! What a child has started that left its process group. Every watched child gets a variable of its own, which whatever
//! it starts inherits; build servers find what their jobs leave behind in the same way.
//!
//! Invariant: nothing is ended but what has the variable. A program that gives another environment to what it starts, or
//! hides its own, hides from this.

use std::fs;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::LOOK_EVERY;

/// The variable.
pub(super) const MARK: &str = "FRAMEWRIGHT_CHILD";
/// What is being ended may start more meanwhile.
const ROUNDS: usize = 50;

/// A value for [`MARK`] that no other child has.
pub(super) fn new_mark() -> String {
    static CHILDREN: AtomicU64 = AtomicU64::new(0);
    let n = CHILDREN.fetch_add(1, Ordering::Relaxed);
    format!("{}.{n}", process::id())
}

/// Ends all that has this mark.
pub(super) fn end(mark: &str) {
    let marked = format!("{MARK}={mark}");
    for _ in 0..ROUNDS {
        let Ok(processes) = fs::read_dir("/proc") else {
            return;
        };
        let names = processes.flatten().map(|entry| entry.file_name());
        let pids = names.filter_map(|name| Pid::from_raw(name.to_str()?.parse().ok()?));
        let ended = pids.filter(|&pid| end_if_marked(pid, marked.as_bytes()));
        if ended.count() == 0 {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Whether there was such a process, and it was told to end.
fn end_if_marked(pid: Pid, marked: &[u8]) -> bool {
    // Held before it is looked at, so that no other process of this number is hit.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    environment.is_ok_and(|it| {
        it.split(|&byte| byte == 0)
            .any(|variable| variable == marked)
    }) && pidfd_send_signal(&process, Signal::KILL).is_ok()
}
