//! Threads for work beside the stages: helpers of a caller who is busy himself, and calls that nobody can interrupt.
//!
//! Invariants: a helper has ended when [`with_helpers`] returns; a thread that [`abandonable`] leaves behind owns
//! everything that it still touches.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::{Builder, Scope, scope};
use std::time::Duration;

use crate::stages::thread_name;

/// How often a caller who waits looks whether he still wants the result.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Starts helpers; a helper may start others.
#[derive(Clone, Copy)]
pub struct Helpers<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
}

/// Runs `work` on the calling thread, beside the helpers that it starts, and waits for all of them. `work` has to tell
/// its helpers when to end.
#[expect(
    clippy::disallowed_methods,
    reason = "helpers are no stages: they serve a caller who blocks in another call"
)]
pub fn with_helpers<'env, R>(work: impl for<'scope> FnOnce(Helpers<'scope, 'env>) -> R) -> R {
    scope(|scope| work(Helpers { scope }))
}

impl<'scope> Helpers<'scope, '_> {
    /// Starts a helper. One that panics ends alone, and drops what it owns.
    ///
    /// # Errors
    /// The system gives no thread.
    #[expect(clippy::disallowed_methods, reason = "named, and joined by the scope")]
    pub fn start(self, name: &str, body: impl FnOnce() + Send + 'scope) -> io::Result<()> {
        let body = || {
            // The panic hook has said it.
            let _ = catch_unwind(AssertUnwindSafe(body));
        };
        let named = Builder::new().name(thread_name(name));
        named.spawn_scoped(self.scope, body).map(drop)
    }
}

/// Makes a call that cannot be interrupted, such as resolving a name, on a thread of its own. `None` as soon as `wanted`
/// says that nobody wants the result any more; the thread then ends by itself.
///
/// # Errors
/// The system gives no thread, or `work` panics.
#[expect(
    clippy::disallowed_methods,
    reason = "it has to outlive a caller who is stopped"
)]
pub fn abandonable<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
    wanted: impl Fn() -> bool,
) -> io::Result<Option<T>> {
    let (sender, result) = sync_channel(1);
    let body = move || {
        // Nobody listens any more where the caller has left.
        let _ = sender.send(work());
    };
    Builder::new().name(thread_name(name)).spawn(body)?;
    loop {
        match result.recv_timeout(LOOK_EVERY) {
            Ok(result) => return Ok(Some(result)),
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("it panicked")),
            Err(RecvTimeoutError::Timeout) if wanted() => {}
            Err(RecvTimeoutError::Timeout) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn all_helpers_have_ended_when_the_work_is_over() {
        let ended = AtomicUsize::new(0);
        let result = with_helpers(|helpers| {
            let ended = &ended;
            helpers
                .start("first", move || {
                    let second = move || {
                        std::thread::sleep(Duration::from_millis(20));
                        ended.fetch_add(1, Ordering::Relaxed);
                    };
                    helpers.start("second", second).unwrap();
                    ended.fetch_add(1, Ordering::Relaxed);
                })
                .unwrap();
            helpers.start("broken", || panic!("a bug")).unwrap();
            7
        });
        assert_eq!((result, ended.load(Ordering::Relaxed)), (7, 2));
    }

    #[test]
    fn a_call_is_waited_for_only_as_long_as_it_is_wanted() {
        assert_eq!(abandonable("call", || 7, || true).unwrap(), Some(7));
        let (release, waiting) = sync_channel::<()>(0);
        let work = move || {
            let _ = waiting.recv();
        };
        assert_eq!(abandonable("call", work, || false).unwrap(), None);
        drop(release);
        assert!(abandonable("call", || panic!("a bug"), || true).is_err());
    }
}
