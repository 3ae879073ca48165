//! SIGINT, SIGTERM and SIGHUP: first finish, then stop, then die.
//!
//! Ctrl-C leaves as much time as its user wants to give; who sends SIGTERM, or hangs up, sends it once and soon kills.
//!
//! Invariant: a signal only calls a closure on the watcher's thread; what it means for
//! files and stages is the run's affair.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{Handle, Signals},
    low_level,
};

use crate::exit::Exit;

/// How long a run may go on after one SIGTERM or SIGHUP before it is stopped: with what stopping takes, less than the 5 s
/// that are promised.
pub const GRACE: Duration = Duration::from_secs(3);

/// How often signals are looked for while a grace runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Watches until dropped. Keep it to the end of the process: the default reaction to a
/// signal does not come back.
pub struct Watch {
    handle: Handle,
    first: Arc<AtomicI32>,
    thread: Option<JoinHandle<()>>,
}

/// Watches for signals. The first one calls `finish` (take no new input, complete what is
/// in flight), the second `stop` (drop what is in flight), the third ends the process on
/// the spot. After a first SIGTERM or SIGHUP, `stop` is called after [`GRACE`] at the latest.
/// Both closures run on the watcher's thread and return soon, and are told what the process
/// is to end with.
///
/// # Errors
/// The system refuses a handler or a thread.
pub fn watch(
    finish: impl FnOnce(Exit) + Send + 'static,
    stop: impl FnOnce(Exit) + Send + 'static,
) -> anyhow::Result<Watch> {
    let signals = Signals::new(wanted()).context("cannot watch for signals")?;
    let handle = signals.handle();
    let first = Arc::new(AtomicI32::new(0));
    let remembered = Arc::clone(&first);
    let thread = spawn(move || react(signals, &remembered, finish, stop))
        .context("cannot start the signal watcher")?;
    Ok(Watch {
        handle,
        first,
        thread: Some(thread),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the watcher is no part of a pipeline: it waits for the system, and joins in drop"
)]
fn spawn(body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("signals".into()).spawn(body)
}

fn react(
    mut signals: Signals,
    first: &AtomicI32,
    finish: impl FnOnce(Exit),
    stop: impl FnOnce(Exit),
) {
    let Some(signal) = signals.forever().next() else {
        return;
    };
    let came = Instant::now();
    first.store(signal, Ordering::SeqCst);
    finish(exit_for(signal));
    if signal == SIGINT {
        if signals.forever().next().is_none() {
            return;
        }
    } else if !another_comes(&mut signals, came + GRACE) && signals.is_closed() {
        return;
    }
    stop(exit_for(signal));
    if let Some(signal) = signals.forever().next() {
        // Never returns for these three; a failure leaves the run stopping as it was.
        let _ = low_level::emulate_default_handler(signal);
    }
}

/// Whether a signal comes in time, and before the watcher is closed.
fn another_comes(signals: &mut Signals, until: Instant) -> bool {
    while Instant::now() < until && !signals.is_closed() {
        if signals.pending().next().is_some() {
            return true;
        }
        thread::sleep(LOOK_EVERY);
    }
    false
}

/// SIGHUP only if it is not ignored already: under `nohup` it has to stay so.
fn wanted() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut signals = vec![SIGINT, SIGTERM];
    if !ignores_hangup(&status) {
        signals.push(SIGHUP);
    }
    signals
}

/// Bit n - 1 of the mask is signal n.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Ends the process with this code after `time`, unless it has ended by then: for runs of which everything that is left
/// undone is done again by the next one, whatever they are waiting for.
///
/// # Errors
/// The system gives no thread.
#[expect(
    clippy::disallowed_methods,
    reason = "it waits for nothing but the time, and the process ends with it or before it"
)]
pub fn end_within(time: Duration, exit: Exit) -> io::Result<()> {
    let end = move || {
        thread::sleep(time);
        // No destructor and no buffer is waited for: one of them may be what does not end.
        low_level::exit(exit.code().into());
    };
    thread::Builder::new()
        .name("deadline".into())
        .spawn(end)
        .map(drop)
}

impl Watch {
    /// What the process is to end with if a signal has come, by the first one.
    pub fn caught(&self) -> Option<Exit> {
        match self.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(exit_for(signal)),
        }
    }
}

const fn exit_for(signal: i32) -> Exit {
    match signal {
        SIGINT => Exit::Interrupted,
        _ => Exit::Terminated,
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A closure's panic has been printed by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    /// Signals go to the whole process, so everything that raises one is in one test.
    #[test]
    fn the_first_signal_finishes_the_second_or_time_stops_and_the_first_names_the_exit() {
        for (signal, exit) in [
            (SIGINT, Exit::Interrupted),
            (SIGTERM, Exit::Terminated),
            (SIGHUP, Exit::Terminated),
        ] {
            let (called, calls) = sync_channel(2);
            let also_called = called.clone();
            let watch = watch(
                move |told| {
                    assert_eq!(told, exit);
                    called.send("finish").unwrap();
                },
                move |told| {
                    assert_eq!(told, exit);
                    also_called.send("stop").unwrap();
                },
            )
            .unwrap();
            let next = || calls.recv_timeout(Duration::from_secs(20));
            assert_eq!(watch.caught(), None);
            low_level::raise(signal).unwrap();
            assert_eq!(next(), Ok("finish"));
            assert_eq!(watch.caught(), Some(exit));
            assert_eq!(calls.try_recv().ok(), None);
            low_level::raise(SIGTERM).unwrap();
            assert_eq!(next(), Ok("stop"));
            assert_eq!(watch.caught(), Some(exit));
        }
        let (called, calls) = sync_channel(2);
        let also_called = called.clone();
        let watch = watch(
            move |_| called.send("finish").unwrap(),
            move |_| also_called.send("stop").unwrap(),
        )
        .unwrap();
        low_level::raise(SIGTERM).unwrap();
        for step in ["finish", "stop"] {
            assert_eq!(calls.recv_timeout(Duration::from_mins(1)), Ok(step));
        }
        assert_eq!(watch.caught(), Some(Exit::Terminated));
    }

    #[test]
    fn nohup_is_seen() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
