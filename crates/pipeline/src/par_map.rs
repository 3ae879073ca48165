//! Stages of several workers, each owning its worker value (a session, a stream).
//!
//! ```text
//! rx ─▶ [ taken in turn, with a place in the queue ] ─▶ worker 0..n ─▶ [ places filled, in any order ] ─▶ rx, in order
//! ```
//!
//! Invariant: an item is taken only with room for its result, and its place is taken in the same turn; so the order is
//! that of the input, and at most `window` items are between the two queues, whatever the first of them is slow at.

use std::sync::Arc;

use crate::failure::{BoxError, Stopped};
use crate::gauge::{Side, Wait};
use crate::queue::{Place, Queue, Rx};
use crate::stages::{Body, Stages};
use crate::sync::{Mutex, lock};

impl<'env> Stages<'env> {
    /// Declares a stage that maps items with `f` on one thread for each of `workers`; results keep the order of input.
    ///
    /// At most `window` items are in flight, from taking the input to the result being received; a window as large as
    /// the number of workers keeps them busy only if the next stage never waits, twice as large is a good start.
    ///
    /// # Panics
    /// When `workers` is empty.
    pub fn par_map<T: Send + 'static, U: Send + 'static, W: Send + 'env>(
        &self,
        name: &str,
        window: usize,
        rx: Rx<T>,
        workers: Vec<W>,
        f: impl Fn(&mut W, T) -> Result<U, BoxError> + Send + Sync + 'env,
    ) -> Rx<U> {
        let queue = self.queue(window);
        let (input, f) = (rx.keep(), Arc::new(f));
        let turn = Arc::new(Mutex::new(rx));
        let body = |mut worker: W| {
            let (queue, turn, f) = (Arc::clone(&queue), Arc::clone(&turn), Arc::clone(&f));
            let body = move || {
                while let Some((item, place)) = take_in_turn(&turn, &queue)? {
                    queue.fill(place, f(&mut worker, item)?)?;
                }
                Ok(())
            };
            Box::new(body) as Body<'env>
        };
        self.add(
            name,
            Some(input),
            Some(queue.clone()),
            workers.into_iter().map(body).collect(),
        );
        queue.rx()
    }

    /// As [`par_map`](Self::par_map), but results come as they are ready; up to `capacity` of them wait, beside one item
    /// in each worker.
    ///
    /// # Panics
    /// When `workers` is empty.
    pub fn par_map_unordered<T: Send + 'static, U: Send + 'static, W: Send + 'env>(
        &self,
        name: &str,
        capacity: usize,
        rx: Rx<T>,
        workers: Vec<W>,
        f: impl Fn(&mut W, T) -> Result<U, BoxError> + Send + Sync + 'env,
    ) -> Rx<U> {
        let queue = self.queue(capacity);
        let (input, rx, f) = (rx.keep(), Arc::new(rx), Arc::new(f));
        let body = |mut worker: W| {
            let (queue, rx, f) = (Arc::clone(&queue), Arc::clone(&rx), Arc::clone(&f));
            let body = move || {
                while let Some(item) = rx.recv()? {
                    queue.send(f(&mut worker, item)?)?;
                }
                Ok(())
            };
            Box::new(body) as Body<'env>
        };
        self.add(
            name,
            Some(input),
            Some(queue.clone()),
            workers.into_iter().map(body).collect(),
        );
        queue.rx()
    }
}

/// The next item and the place for its result. Nobody's turn ever waits for room: that is claimed before.
pub fn take_in_turn<T: Send + 'static, U: Send>(
    turn: &Mutex<Rx<T>>,
    queue: &Queue<U>,
) -> Result<Option<(T, Place)>, Stopped> {
    queue.claim()?;
    let rx = turn.try_lock().unwrap_or_else(|_| {
        let _wait = Wait::on(Side::Input);
        lock(turn)
    });
    let item = rx.recv()?;
    if item.is_none() {
        queue.unclaim();
    }
    Ok(item.map(|item| (item, queue.place())))
}
