//! Stages on named threads joined by bounded queues. Knows nothing of what the items are.
//!
//! A run is declared top to bottom and reads like its data flow; a wrong wiring does not compile:
//!
//! ```
//! use framewright_pipeline::{Control, Ending, run};
//!
//! let mut numbers = 1..=100_u64;
//! let mut total = 0;
//! let ended = run(&Control::new(), |p| {
//!     let numbers = p.source("count", 4, || Ok(numbers.next()));
//!     let odd = p.stage("filter", 4, numbers, |rx, tx| {
//!         while let Some(n) = rx.recv()? {
//!             if n % 2 == 1 {
//!                 tx.send(n)?;
//!             }
//!         }
//!         Ok(())
//!     });
//!     let squares = p.par_map("square", 8, odd, vec![(), ()], |(), n| Ok(n * n));
//!     p.sink("sum", squares, |rx| {
//!         while let Some(n) = rx.recv()? {
//!             total += n;
//!         }
//!         Ok(()) // everything before finished well: only here may a file be finalised
//!     });
//! })?;
//! assert_eq!((ended.ending, total), (Ending::Completed, 166_650));
//! # Ok::<(), framewright_pipeline::Failure>(())
//! ```
//!
//! # Rules
//! 1. **Order by construction.** A worker of a `par_map` takes an item and the place of its result in one turn; whoever
//!    receives waits for the oldest place. Nothing is sorted.
//! 2. **The first cause wins, and is recorded before a queue changes.** A stage's error or panic is recorded, then the
//!    run stops, then the stage's queues are let go. A queue ends only after the stage before it has returned `Ok`, so
//!    `recv() == Ok(None)` means that everything before finished well. What goes wrong after the first cause, or after
//!    [`Control::stop`], is its consequence and is not reported. [`Stopped`] is never a cause, as long as it came from
//!    a queue or budget of this run: a stage that returns one of its own making has failed.
//! 3. **A stage that stops reading and returns `Ok` has had enough.** The stages before it get [`Stopped`] from `send`
//!    and end, and the run completes. An [`Rx`] that is dropped unread in the builder does the same.
//! 4. **Every queue is bounded**, by items; a [`Budget`] bounds bytes.
//! 5. **Three verbs.** `pause` holds at the sources only. `finish` takes no new input, completes what is in flight, and
//!    the sinks see a normal end. `stop` drops what is in flight, wakes everyone who waits, and calls the
//!    [`on_stop`](Control::on_stop) callbacks for those who wait elsewhere. Finish and stop end a pause.
//! 6. **Threads** are named `fw-<stage>`, start here only, and have all ended when [`run`] returns. Panics must unwind
//!    (`panic = "abort"` would take rule 2 away).
//!
//! Beside runs, [`with_helpers`] serves a caller who blocks in another call, and [`abandonable`] makes a call that nobody
//! can interrupt.

mod budget;
mod control;
mod failure;
mod gauge;
mod helpers;
mod par_map;
mod queue;
mod stages;
mod sync;

pub use budget::{Admission, Budget};
pub use control::{Control, StopGuard};
pub use failure::{BoxError, Cause, Failure, Stopped};
pub use gauge::{Gauges, StageStats, bottleneck};
pub use helpers::{Helpers, abandonable, with_helpers};
pub use queue::{Rx, Tx};
pub use stages::{Ending, Run, Stages, run};

/// What the model tests drive without threads of `std`.
#[cfg(loom)]
#[doc(hidden)]
pub mod model {
    pub use crate::par_map::take_in_turn;
    pub use crate::queue::{Port, Queue};
    pub use crate::stages::Stage;
}
