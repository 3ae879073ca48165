//! Who computes what next: the bands of rows of all layers, as a wave from the picture's top to its bottom.
//!
//! A band of a layer needs the bands above, at and below it of the layer before. Taken diagonal by diagonal, two bands
//! further up for each layer, every band finds what it needs computed or nearly so, while it still lies in the cache;
//! threads take the next band whenever they are free and hardly ever wait for each other.
//!
//! ```text
//! layer 1   0  1  2  3  4  5 …       diagonal 4: band 4 of layer 1, band 2 of layer 2, band 0 of layer 3
//! layer 2         0  1  2  3 …
//! layer 3               0  1 …
//! ```

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;

/// Bands to compute, of `n_layers` layers.
pub(super) struct Wave {
    n_layers: usize,
    n_bands: usize,
    /// The task that is given out next; all of them are given out when no update is in progress.
    next: AtomicUsize,
    n_done: AtomicUsize,
    /// Numbers the updates.
    update: AtomicU32,
    /// The last update in which a band of a layer was done: `[layer][band]`.
    done: Vec<AtomicU32>,
    /// Set for good when a run is cancelled or a thread panics.
    stopped: AtomicBool,
}

/// A band of a layer, counted from 0 for the first convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) layer: usize,
    pub(super) band: usize,
}

impl Wave {
    pub(super) fn new(n_layers: usize, n_bands: usize) -> Self {
        let wave = Self {
            n_layers,
            n_bands,
            next: AtomicUsize::new(0),
            n_done: AtomicUsize::new(0),
            update: AtomicU32::new(0),
            done: (0..n_layers * n_bands).map(|_| AtomicU32::new(0)).collect(),
            stopped: AtomicBool::new(false),
        };
        wave.next.store(wave.n_tasks(), Ordering::Relaxed);
        wave
    }

    /// Places on all diagonals, also those that lie beside the picture.
    fn n_tasks(&self) -> usize {
        (self.n_bands + 2 * (self.n_layers - 1)) * self.n_layers
    }

    /// Gives out all tasks again; what was written before is seen by whoever takes one.
    pub(super) fn start(&self) {
        self.update.fetch_add(1, Ordering::Relaxed);
        self.n_done.store(0, Ordering::Relaxed);
        self.next.store(0, Ordering::Release);
    }

    /// True while there are tasks to take.
    pub(super) fn is_open(&self) -> bool {
        self.next.load(Ordering::Acquire) < self.n_tasks() && !self.is_stopped()
    }

    /// Ends everything, for good.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Takes tasks and calls `compute` with each when what it needs is done, until all are given out or all is stopped.
    pub(super) fn help(&self, mut compute: impl FnMut(Task)) {
        // Others wait for what this thread has taken.
        let _guard = StopOnPanic(self);
        while self.is_open() {
            let place = self.next.fetch_add(1, Ordering::AcqRel);
            if place >= self.n_tasks() {
                return;
            }
            if let Some(task) = self.task(place) {
                if !self.wait_for_inputs(task) {
                    return;
                }
                compute(task);
                let update = self.update.load(Ordering::Relaxed);
                self.done[task.layer * self.n_bands + task.band].store(update, Ordering::Release);
            }
            self.n_done.fetch_add(1, Ordering::Release);
        }
    }

    /// Waits until all tasks are done; false where all is stopped.
    pub(super) fn finish(&self) -> bool {
        self.wait_until(|| self.n_done.load(Ordering::Acquire) == self.n_tasks())
    }

    fn task(&self, place: usize) -> Option<Task> {
        let (diagonal, layer) = (place / self.n_layers, place % self.n_layers);
        let band = diagonal.checked_sub(2 * layer)?;
        (band < self.n_bands).then_some(Task { layer, band })
    }

    fn wait_for_inputs(&self, task: Task) -> bool {
        let Some(before) = task.layer.checked_sub(1) else {
            return true;
        };
        let update = self.update.load(Ordering::Relaxed);
        let bands = task.band.saturating_sub(1)..(task.band + 2).min(self.n_bands);
        let inputs = &self.done[before * self.n_bands..][bands];
        let is_done = |input: &AtomicU32| input.load(Ordering::Acquire) == update;
        self.wait_until(|| inputs.iter().all(is_done))
    }

    /// Spins, since what is waited for is being computed; false where all is stopped.
    fn wait_until(&self, is_so: impl Fn() -> bool) -> bool {
        let mut n_spins = 0;
        while !is_so() {
            if self.is_stopped() {
                return false;
            }
            n_spins += 1;
            if n_spins < 100 {
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
        true
    }
}

struct StopOnPanic<'a>(&'a Wave);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}
