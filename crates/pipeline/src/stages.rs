//! Declaring a run and running it: each stage's body on its own named thread.
//!
//! Invariants: this is the only place that starts threads, and all have ended when [`run`] returns; a stage's queue is
//! ended in [`Stage::conclude`] only, after its bodies have returned well; a failure is recorded before either end of
//! the stage's queues changes.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::budget::Budget;
use crate::control::{Control, StopGuard};
use crate::failure::{BoxError, Cause, Failure, comes_from_stopped};
use crate::gauge::{AtWork, Gauge, Gauges, StageStats};
use crate::queue::{Port, Queue, Rx, Tx};
use crate::sync::{Mutex, lock};

/// How a run that did not fail came to its end, and what its stages did.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub ending: Ending,
    /// The stages, in the order in which they were declared.
    pub stages: Vec<StageStats>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The sources came to their end, or a sink had enough.
    Completed,
    /// A source ended early because [`Control::finish`] asked; all it had sent was completed.
    Finished,
    /// [`Control::stop`] came before the end; what was in flight is gone.
    Stopped,
}

pub(crate) type Body<'env> = Box<dyn FnOnce() -> Result<(), BoxError> + Send + 'env>;

/// What [`run`]'s builder declares the stages on.
///
/// Bodies may borrow whatever outlives the run (`'env`); items own what they carry. A capacity or window of 0 counts
/// as 1. Bodies start after the builder has returned.
pub struct Stages<'env> {
    control: Control,
    gauges: Gauges,
    finished: Arc<AtomicBool>,
    threads: RefCell<Vec<Thread<'env>>>,
    wakers: RefCell<Vec<StopGuard>>,
}

struct Thread<'env> {
    stage: Arc<Stage>,
    // Not moved into the thread before it runs: if it cannot be started, nothing is dropped before that is recorded.
    body: Mutex<Option<Body<'env>>>,
}

/// Runs the stages that `build` declares until all of them have ended.
///
/// # Errors
/// The first [`Failure`] of a stage; a thread that cannot be started is its stage's failure.
pub fn run<'env>(control: &Control, build: impl FnOnce(&Stages<'env>)) -> Result<Run, Failure> {
    let stages = Stages {
        control: control.clone(),
        gauges: Gauges::default(),
        finished: Arc::default(),
        threads: RefCell::default(),
        wakers: RefCell::default(),
    };
    build(&stages);
    start_and_join(control, &stages.threads.take());
    drop(stages.wakers.take());
    if let Some(failure) = control.take_failure() {
        return Err(failure);
    }
    let ending = if control.is_stopped() {
        Ending::Stopped
    } else if stages.finished.load(Ordering::Relaxed) {
        Ending::Finished
    } else {
        Ending::Completed
    };
    Ok(Run {
        ending,
        stages: stages.gauges.sample(),
    })
}

#[expect(clippy::disallowed_methods, reason = "the one home of thread spawns")]
fn start_and_join(control: &Control, threads: &[Thread<'_>]) {
    std::thread::scope(|scope| {
        let mut started = Vec::with_capacity(threads.len());
        for thread in threads {
            let named = std::thread::Builder::new().name(thread_name(&thread.stage.name));
            match named.spawn_scoped(scope, || thread.work()) {
                Ok(handle) => started.push(handle),
                Err(error) => {
                    let cause = Cause::Error(error.into());
                    control.fail(Failure {
                        stage: thread.stage.name.clone(),
                        cause,
                    });
                    break;
                }
            }
        }
        for (thread, handle) in threads.iter().zip(started) {
            // A body's panic is caught in its thread; what is left is an item that panics while it is dropped.
            if let Err(payload) = handle.join() {
                control.fail(Failure {
                    stage: thread.stage.name.clone(),
                    cause: Cause::from_panic(&*payload),
                });
            }
        }
    });
}

/// Linux keeps 15 bytes of a thread's name.
pub(crate) fn thread_name(stage: &str) -> String {
    let mut name = String::from("fw-");
    for c in stage.chars().filter(|c| *c != '\0') {
        if name.len() + c.len_utf8() > 15 {
            break;
        }
        name.push(c);
    }
    name
}

impl Thread<'_> {
    fn work(&self) {
        let body = lock(&self.body).take().expect("a body runs once");
        let at_work = AtWork::on(&self.stage.gauge);
        let outcome = catch_unwind(AssertUnwindSafe(body));
        drop(at_work);
        self.stage.conclude(match outcome {
            Ok(result) => result.map_err(Cause::Error),
            Err(payload) => Err(Cause::from_panic(&*payload)),
        });
    }
}

/// What the threads of one stage share.
pub struct Stage {
    name: String,
    control: Control,
    gauge: Arc<Gauge>,
    output: Option<Arc<dyn Port>>,
    open: Mutex<Open>,
}

struct Open {
    bodies: usize,
    // Held until the stage is concluded: the stage before it learns of the end only after a failure is recorded.
    input: Option<Arc<dyn Send + Sync>>,
}

impl Stage {
    /// A stage of `bodies` threads that holds `input` until the last of them is concluded, and then ends `output`.
    pub fn new(
        control: &Control,
        name: &str,
        input: Option<Arc<dyn Send + Sync>>,
        output: Option<Arc<dyn Port>>,
        bodies: usize,
    ) -> Self {
        let gauge = Arc::new(Gauge::new(name, bodies, output.is_none()));
        let open = Mutex::new(Open { bodies, input });
        Self {
            name: name.to_owned(),
            control: control.clone(),
            gauge,
            output,
            open,
        }
    }

    /// Called for each body of the stage, after it has returned and all that it owned is gone.
    pub fn conclude(&self, outcome: Result<(), Cause>) {
        match outcome {
            Err(Cause::Error(error)) if self.is_unread() && comes_from_stopped(&*error) => {}
            Err(cause) => self.control.fail(Failure {
                stage: self.name.clone(),
                cause,
            }),
            Ok(()) => {}
        }
        let input = {
            let mut open = lock(&self.open);
            open.bodies -= 1;
            if open.bodies > 0 {
                return;
            }
            open.input.take()
        };
        // Not stopped: so no body has failed, and none that returned well has only taken `Stopped` for an end.
        if let Some(output) = &self.output
            && !self.control.is_stopped()
        {
            output.end();
        }
        drop(input);
    }

    fn is_unread(&self) -> bool {
        self.output.as_ref().is_some_and(|queue| queue.is_stopped())
    }
}

impl<'env> Stages<'env> {
    /// Declares a stage without input: `next` is called until it returns `None`, or [`Control::finish`] is asked.
    ///
    /// A pause holds before the next call of `next`, and only here.
    pub fn source<T: Send + 'static>(
        &self,
        name: &str,
        capacity: usize,
        mut next: impl FnMut() -> Result<Option<T>, BoxError> + Send + 'env,
    ) -> Rx<T> {
        let queue = self.queue(capacity);
        let tx = queue.tx();
        let (control, finished) = (self.control.clone(), Arc::clone(&self.finished));
        let body = move || {
            while control.may_go_on()? {
                match next()? {
                    Some(item) => tx.send(item)?,
                    None => return Ok(()),
                }
            }
            finished.store(true, Ordering::Relaxed);
            Ok(())
        };
        self.add(name, None, Some(queue.clone()), vec![Box::new(body)]);
        queue.rx()
    }

    /// Declares a stage of one thread, which may keep state. Its queue ends when `body` has returned `Ok`.
    pub fn stage<T: Send + 'static, U: Send + 'static>(
        &self,
        name: &str,
        capacity: usize,
        rx: Rx<T>,
        body: impl FnOnce(Rx<T>, Tx<U>) -> Result<(), BoxError> + Send + 'env,
    ) -> Rx<U> {
        let queue = self.queue(capacity);
        let tx = queue.tx();
        self.add(
            name,
            Some(rx.keep()),
            Some(queue.clone()),
            vec![Box::new(move || body(rx, tx))],
        );
        queue.rx()
    }

    /// Declares the end of a line of stages. A `body` that returns `Ok` before the end of its input has had enough:
    /// the stages before it end, and the run has not failed.
    pub fn sink<T: Send + 'static>(
        &self,
        name: &str,
        rx: Rx<T>,
        body: impl FnOnce(Rx<T>) -> Result<(), BoxError> + Send + 'env,
    ) {
        self.add(
            name,
            Some(rx.keep()),
            None,
            vec![Box::new(move || body(rx))],
        );
    }

    /// A [`Budget`] whose waiters are woken when this run stops.
    pub fn budget(&self, limit_bytes: u64) -> Budget {
        let budget = Budget::new(limit_bytes);
        let waiters = budget.clone();
        self.wakers
            .borrow_mut()
            .push(self.control.wake_on_stop(move || waiters.stop()));
        budget
    }

    /// The gauges of this run; they may be kept and sampled before, while and after it goes.
    pub fn gauges(&self) -> Gauges {
        self.gauges.clone()
    }

    pub(crate) fn queue<T: Send + 'static>(&self, capacity: usize) -> Arc<Queue<T>> {
        let queue = Arc::new(Queue::new(capacity));
        let waiters = Arc::clone(&queue);
        self.wakers
            .borrow_mut()
            .push(self.control.wake_on_stop(move || waiters.stop()));
        queue
    }

    /// Adds a stage with one thread for each of `bodies`.
    pub(crate) fn add(
        &self,
        name: &str,
        input: Option<Arc<dyn Send + Sync>>,
        output: Option<Arc<dyn Port>>,
        bodies: Vec<Body<'env>>,
    ) {
        assert!(!bodies.is_empty(), "stage {name} has no worker");
        let stage = Arc::new(Stage::new(&self.control, name, input, output, bodies.len()));
        self.gauges.add(Arc::clone(&stage.gauge));
        let threads = bodies.into_iter().map(|body| Thread {
            stage: Arc::clone(&stage),
            body: Mutex::new(Some(body)),
        });
        self.threads.borrow_mut().extend(threads);
    }
}
