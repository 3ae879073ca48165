//! The locks of the protocol: `std`'s, or loom's when the crate is built to be model-checked (`--cfg loom`).
//!
//! Invariant: no code of a caller runs while one of these locks is held, so none is ever poisoned.

#[cfg(loom)]
pub(crate) use loom::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(not(loom))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

const NOT_POISONED: &str = "nothing panics while it holds a lock of the pipeline";

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect(NOT_POISONED)
}

pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).expect(NOT_POISONED)
}
