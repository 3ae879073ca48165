//! A limit in bytes for what many items hold together, where counting items says too little (frames, video memory).
//!
//! Invariant: what is admitted stays within the limit, except that one holder alone may be larger than it, for a run
//! with one huge item must still go on.

use std::sync::Arc;

use crate::failure::Stopped;
use crate::gauge::{Side, Wait};
use crate::sync::{self, Condvar, Mutex, lock};

/// Bytes that may be held at once. Clones share one limit.
///
/// Those who wait are admitted in the order they came, so that a large one is not overtaken for ever.
///
/// An [`Admission`] may travel on inside an item, but then ask for it in a source or a stage, where items are in order.
/// A `par_map` worker may only hold one until it returns: were it to pass it on, later items could hold the whole
/// budget in the queue, waiting for an earlier one that cannot get in.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    limit_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held_bytes: u64,
    peak_bytes: u64,
    arrived: u64,
    admitted: u64,
    stopped: bool,
}

impl Budget {
    /// A budget on its own, which no stop reaches; [`Stages::budget`](crate::Stages::budget) makes one tied to a run.
    pub fn new(limit_bytes: u64) -> Self {
        let (state, changed) = (Mutex::new(State::default()), Condvar::new());
        Self {
            shared: Arc::new(Shared {
                limit_bytes,
                state,
                changed,
            }),
        }
    }

    /// Waits until `bytes` fit, or nobody else holds any, and holds them until the [`Admission`] is dropped.
    ///
    /// # Errors
    /// [`Stopped`] when the run is stopping.
    pub fn admit(&self, bytes: u64) -> Result<Admission, Stopped> {
        let shared = &self.shared;
        let mut state = lock(&shared.state);
        let turn = state.arrived;
        state.arrived += 1;
        let mut wait = None;
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let wanted = state.held_bytes.saturating_add(bytes);
            if turn == state.admitted && (wanted <= shared.limit_bytes || state.held_bytes == 0) {
                state.admitted += 1;
                state.held_bytes = wanted;
                state.peak_bytes = state.peak_bytes.max(wanted);
                drop(state);
                shared.changed.notify_all(); // the next in line may fit too
                return Ok(Admission {
                    shared: Arc::clone(shared),
                    bytes,
                });
            }
            wait.get_or_insert_with(|| Wait::on(Side::Output));
            state = sync::wait(&shared.changed, state);
        }
    }

    /// The most that was held at once so far, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        lock(&self.shared.state).peak_bytes
    }

    pub(crate) fn stop(&self) {
        lock(&self.shared.state).stopped = true;
        self.shared.changed.notify_all();
    }
}

/// Bytes held of a [`Budget`]; dropping it gives them back.
#[must_use = "the bytes are given back as soon as it is dropped"]
pub struct Admission {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Drop for Admission {
    fn drop(&mut self) {
        lock(&self.shared.state).held_bytes -= self.bytes;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oversized_holder_is_let_in_when_it_is_alone() {
        let budget = Budget::new(10);
        drop(budget.admit(25).unwrap());
        let _small = budget.admit(4).unwrap();
        let _fits = budget.admit(6).unwrap();
        assert_eq!(budget.peak_bytes(), 25);
    }
}
