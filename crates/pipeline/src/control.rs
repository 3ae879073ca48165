//! Pause, finish, stop: how a run is steered from outside, and where its first failure is kept.
//!
//! Invariant: of all stops and failures exactly the first one counts; what goes wrong after it is its consequence.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::failure::{Failure, Stopped};
use crate::gauge::{Side, Wait};
use crate::sync::{self, Condvar, Mutex, MutexGuard, lock, thread};

/// Steers one run, from any thread. Clones steer the same run.
///
/// A run that fails stops its control, so give each run its own. To stop an inner run together with an outer one:
/// `let _link = outer.on_stop({ let inner = inner.clone(); move || inner.stop() });`
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// With the number it was registered under.
type Callback = (u64, Box<dyn FnOnce() + Send>);

#[derive(Default)]
struct State {
    paused: bool,
    finishing: bool,
    stopped: bool,
    failure: Option<Failure>,
    callbacks: VecDeque<Callback>,
    registered: u64,
    called_now: Option<(u64, thread::ThreadId)>,
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

impl Control {
    /// A control for a run that is neither paused nor asked to end.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::default()),
                changed: Condvar::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    fn change(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.state());
        self.shared.changed.notify_all();
    }

    /// Holds the sources before their next item; what is in flight goes on.
    pub fn pause(&self) {
        self.change(|state| state.paused = true);
    }

    /// Lets the sources go on.
    pub fn resume(&self) {
        self.change(|state| state.paused = false);
    }

    /// Whether the sources are held.
    pub fn is_paused(&self) -> bool {
        self.state().paused
    }

    /// No new input: the sources end as if theirs were at its end, also when paused, and what is in flight completes.
    pub fn finish(&self) {
        self.change(|state| state.finishing = true);
    }

    /// Whether [`finish`](Self::finish) was asked.
    pub fn is_finishing(&self) -> bool {
        self.state().finishing
    }

    /// Drops what is in flight, wakes everyone who waits, and calls the [`on_stop`](Self::on_stop) callbacks.
    pub fn stop(&self) {
        self.stop_because(None);
    }

    /// Whether the run is stopping, because it was asked to or because it failed.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Calls `f` when the run stops or fails, at once if it already has: for a thread that is blocked where no queue can
    /// wake it, such as in a read. Queues are woken before any `f`; a panic of `f` goes no further.
    ///
    /// Once the guard is dropped, `f` is not running and never will: what it uses may be closed then.
    pub fn on_stop(&self, f: impl FnOnce() + Send + 'static) -> StopGuard {
        self.register(f, VecDeque::push_back)
    }

    /// As [`on_stop`](Self::on_stop), but before those of the callers.
    pub(crate) fn wake_on_stop(&self, f: impl FnOnce() + Send + 'static) -> StopGuard {
        self.register(f, VecDeque::push_front)
    }

    fn register(
        &self,
        f: impl FnOnce() + Send + 'static,
        push: fn(&mut VecDeque<Callback>, Callback),
    ) -> StopGuard {
        let mut state = self.state();
        let id = state.registered;
        state.registered += 1;
        if state.stopped {
            drop(state);
            f();
        } else {
            push(&mut state.callbacks, (id, Box::new(f)));
        }
        StopGuard {
            control: self.clone(),
            id,
        }
    }

    /// Records why the run failed, unless it is already stopping, and stops it.
    pub(crate) fn fail(&self, failure: Failure) {
        self.stop_because(Some(failure));
    }

    fn stop_because(&self, failure: Option<Failure>) {
        let mut state = self.state();
        if mem::replace(&mut state.stopped, true) {
            return;
        }
        state.failure = failure;
        self.shared.changed.notify_all();
        while let Some((id, f)) = state.callbacks.pop_front() {
            state.called_now = Some((id, thread::current().id()));
            drop(state);
            drop(catch_unwind(AssertUnwindSafe(f)));
            state = self.state();
            state.called_now = None;
            self.shared.changed.notify_all();
        }
    }

    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.state().failure.take()
    }

    /// Waits out a pause; then, whether a source may go on to its next item.
    pub(crate) fn may_go_on(&self) -> Result<bool, Stopped> {
        let mut state = self.state();
        let mut wait = None;
        while state.paused && !state.finishing && !state.stopped {
            wait.get_or_insert_with(|| Wait::on(Side::Input));
            state = sync::wait(&self.shared.changed, state);
        }
        if state.stopped {
            Err(Stopped)
        } else {
            Ok(!state.finishing)
        }
    }
}

/// Takes back an [`on_stop`](Control::on_stop) callback when dropped; waits if it is just being called.
#[must_use = "the callback is taken back as soon as the guard is dropped"]
pub struct StopGuard {
    control: Control,
    id: u64,
}

impl Drop for StopGuard {
    fn drop(&mut self) {
        let mut state = self.control.state();
        if let Some(index) = state.callbacks.iter().position(|(id, _)| *id == self.id) {
            let callback = state.callbacks.remove(index);
            drop(state);
            drop(callback);
            return;
        }
        // A callback that drops its own guard must not wait for itself.
        let me = thread::current().id();
        while state
            .called_now
            .is_some_and(|(id, thread)| id == self.id && thread != me)
        {
            state = sync::wait(&self.control.shared.changed, state);
        }
    }
}
