//! The bounded queue between two stages: one lock holds its places, its end and its stop.
//!
//! A place can be claimed, taken in order and filled later; that is how several workers keep the order. Invariants: at
//! most `capacity` places are claimed or taken; a queue ends only because its runner says so after the stage before it
//! returned well, never because a value was dropped; once stopped it stays stopped and is empty.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use crate::failure::Stopped;
use crate::gauge::{self, Side, Wait};
use crate::sync::{self, Condvar, Mutex, MutexGuard, lock};

/// What [`Tx`] and [`Rx`] are the ends of.
pub struct Queue<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    room: Condvar,
    ready: Condvar,
}

struct State<T> {
    places: VecDeque<Option<T>>, // None: taken, not filled yet
    passed: u64,                 // places that have left at the front
    claims: usize,               // places promised, not taken yet
    ended: bool,
    stopped: bool,
    waiting_for_room: usize,
    waiting_for_item: usize,
}

/// A place in a queue, counted from the first one ever taken.
#[derive(Clone, Copy)]
pub struct Place(u64);

/// What a runner does to a queue of any type.
pub trait Port: Send + Sync {
    /// Everything has been sent, and all before it finished well.
    fn end(&self);
    /// Drops what is in it; whoever waits or comes later gets [`Stopped`].
    fn stop(&self);
    /// Whether it was stopped, by the run or because nobody reads it.
    fn is_stopped(&self) -> bool;
}

impl<T: Send> Queue<T> {
    /// A queue of `capacity` places, at least one.
    pub fn new(capacity: usize) -> Self {
        let state = State {
            places: VecDeque::new(),
            passed: 0,
            claims: 0,
            ended: false,
            stopped: false,
            waiting_for_room: 0,
            waiting_for_item: 0,
        };
        Self {
            capacity: capacity.max(1),
            state: Mutex::new(state),
            room: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    /// A sending end.
    pub fn tx(self: &Arc<Self>) -> Tx<T> {
        Tx {
            queue: Arc::clone(self),
        }
    }

    /// Its one receiving end.
    pub fn rx(self: &Arc<Self>) -> Rx<T> {
        Rx {
            end: Arc::new(ReadEnd(Arc::clone(self))),
        }
    }

    fn wait_for_room(&self) -> Result<MutexGuard<'_, State<T>>, Stopped> {
        let mut state = lock(&self.state);
        let mut wait = None;
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            if state.places.len() + state.claims < self.capacity {
                return Ok(state);
            }
            wait.get_or_insert_with(|| Wait::on(Side::Output));
            state.waiting_for_room += 1;
            state = sync::wait(&self.room, state);
            state.waiting_for_room -= 1;
        }
    }

    /// Takes the next place for `item`, after waiting for room.
    pub fn send(&self, item: T) -> Result<(), Stopped> {
        let mut state = self.wait_for_room()?;
        state.places.push_back(Some(item));
        self.unlock_and_wake(state);
        gauge::count_sent();
        Ok(())
    }

    /// Waits for room for one item to come.
    pub fn claim(&self) -> Result<(), Stopped> {
        self.wait_for_room()?.claims += 1;
        Ok(())
    }

    /// Gives a claim back.
    pub fn unclaim(&self) {
        let mut state = lock(&self.state);
        state.claims -= 1;
        self.unlock_and_wake(state);
    }

    /// Turns a claim into the next place of the queue; never waits.
    pub fn place(&self) -> Place {
        let mut state = lock(&self.state);
        let place = Place(state.passed + state.places.len() as u64);
        if !state.stopped {
            state.claims -= 1;
            state.places.push_back(None);
        }
        place
    }

    /// Puts `item` where its place is.
    pub fn fill(&self, place: Place, item: T) -> Result<(), Stopped> {
        let mut state = lock(&self.state);
        if state.stopped {
            return Err(Stopped);
        }
        let index = (place.0 - state.passed) as usize;
        state.places[index] = Some(item);
        self.unlock_and_wake(state);
        gauge::count_sent();
        Ok(())
    }

    /// Takes the item of the oldest place, after waiting for it to be filled.
    pub fn recv(&self) -> Result<Option<T>, Stopped> {
        let mut state = lock(&self.state);
        let mut wait = None;
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            if let Some(item) = state.places.front_mut().and_then(Option::take) {
                state.places.pop_front();
                state.passed += 1;
                self.unlock_and_wake(state);
                gauge::count_received();
                return Ok(Some(item));
            }
            if state.ended && state.places.is_empty() {
                return Ok(None);
            }
            wait.get_or_insert_with(|| Wait::on(Side::Input));
            state.waiting_for_item += 1;
            state = sync::wait(&self.ready, state);
            state.waiting_for_item -= 1;
        }
    }

    /// Wakes one waiter on each side that can go on, after unlocking, so that it does not run into the lock.
    fn unlock_and_wake(&self, state: MutexGuard<'_, State<T>>) {
        let room = state.waiting_for_room > 0 && state.places.len() + state.claims < self.capacity;
        let ready = state.waiting_for_item > 0 && state.places.front().is_some_and(Option::is_some);
        drop(state);
        if room {
            self.room.notify_one();
        }
        if ready {
            self.ready.notify_one();
        }
    }
}

impl<T: Send> Port for Queue<T> {
    fn end(&self) {
        lock(&self.state).ended = true;
        self.ready.notify_all();
    }

    fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        let dropped = mem::take(&mut state.places);
        drop(state);
        self.room.notify_all();
        self.ready.notify_all();
        drop(dropped); // not under the lock: an item may take its time, or hold an admission
    }

    fn is_stopped(&self) -> bool {
        lock(&self.state).stopped
    }
}

/// The sending end of a stage's queue. Dropping it does nothing: the queue ends when the body has returned `Ok`.
pub struct Tx<T> {
    queue: Arc<Queue<T>>,
}

/// The receiving end of a queue. When the stage that was given it has returned, or it is dropped without having been
/// given to one, the stage before it is told to end: its `send` returns [`Stopped`].
#[must_use = "a queue that nobody reads ends the stages before it"]
pub struct Rx<T: Send> {
    end: Arc<ReadEnd<T>>,
}

/// Stops the queue when the last who could read it is gone.
struct ReadEnd<T: Send>(Arc<Queue<T>>);

impl<T: Send> Drop for ReadEnd<T> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl<T: Send> Tx<T> {
    /// Puts `item` into the queue, after waiting for room.
    ///
    /// # Errors
    /// [`Stopped`] when the run is stopping or nobody reads the queue any more.
    pub fn send(&self, item: T) -> Result<(), Stopped> {
        self.queue.send(item)
    }
}

impl<T: Send + 'static> Rx<T> {
    /// Takes the next item, after waiting for one. `Ok(None)`: there are no more, and everything before finished well.
    ///
    /// # Errors
    /// [`Stopped`] when the run is stopping; what was sent before may then be missing.
    pub fn recv(&self) -> Result<Option<T>, Stopped> {
        self.end.0.recv()
    }

    /// Keeps the queue read, as far as the stage before it can tell, for as long as the value lives.
    pub(crate) fn keep(&self) -> Arc<dyn Send + Sync> {
        Arc::clone(&self.end) as Arc<dyn Send + Sync>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_out_in_the_order_they_were_taken() {
        let queue = Queue::new(3);
        let places: Vec<Place> = (0..3)
            .map(|_| {
                queue.claim().unwrap();
                queue.place()
            })
            .collect();
        for (i, place) in places.iter().enumerate().rev() {
            queue.fill(*place, i).unwrap();
        }
        queue.end();
        let out: Vec<usize> = std::iter::from_fn(|| queue.recv().unwrap()).collect();
        assert_eq!(out, [0, 1, 2]);
    }

    #[test]
    fn stop_drops_what_is_in_the_queue() {
        let queue = Queue::new(2);
        let item = Arc::new(());
        queue.send(Arc::clone(&item)).unwrap();
        queue.end();
        queue.stop();
        assert_eq!(Arc::strong_count(&item), 1);
        assert_eq!(queue.recv(), Err(Stopped));
        assert_eq!(queue.send(item), Err(Stopped));
    }
}
