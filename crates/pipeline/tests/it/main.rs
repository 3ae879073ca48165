//! The promises of the pipeline, each from outside.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod budget;
mod control;
mod failure;
mod false_end;
mod order;
mod shapes;

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
fn start<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(f)
}

/// Runs `f`; a deadlock fails the test instead of hanging it.
fn in_time<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::sync_channel(1);
    let thread = start(move || {
        let value = f();
        let _ = done.send(());
        value
    });
    let end = is_done.recv_timeout(Duration::from_mins(4));
    assert_ne!(
        end,
        Err(mpsc::RecvTimeoutError::Timeout),
        "still not done: a deadlock"
    );
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits until `condition` holds.
fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "waited too long until {what}"
        );
        thread::sleep(Duration::from_millis(1));
    }
}
