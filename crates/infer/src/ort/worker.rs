//! One session on a thread of its own, so that a run can be left behind.
//!
//! ONNX Runtime stops only between two nodes of the graph, and one convolution on a 720p picture takes most of a second
//! on one thread. A cancelled `run` therefore returns at once and leaves the thread to itself: it owns everything it
//! touches – session, tensor, result – and ends after the node it is in.
//!
//! ```text
//! run():  fill tensor ─▶ state.job ─▶ [fw-ort-N: network, crop, check] ─▶ state.done ─▶ output
//!                                      cancel(): state.cancelled, terminate
//! ```
//! Invariant: at most one job is in `state` or on the thread; tensor and result travel with it and are never shared.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ort::session::RunOptions;

use framewright_media::PlanarRgb;

use super::one_line;
use super::session::{Input, Network};
use crate::pad::padded;
use crate::{Canceller, Error, ModelInfo, Upscaler};

/// A session and its thread.
pub(crate) struct OnnxUpscaler {
    info: ModelInfo,
    shared: Arc<Shared>,
    /// Kept between runs for its memory. None while it travels with a job, and for good after a job was left behind.
    input: Option<Input>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Any change of `state`; at most the caller and the thread wait for it.
    changed: Condvar,
    options: RunOptions,
}

#[derive(Default)]
struct State {
    job: Option<Job>,
    done: Option<(Job, Result<(), Error>)>,
    /// Set for good by a [`Canceller`].
    cancelled: bool,
    /// The upscaler is gone.
    closed: bool,
    /// The thread is gone.
    ended: bool,
}

struct Job {
    input: Input,
    /// Has the size of the result.
    output: PlanarRgb,
}

impl OnnxUpscaler {
    /// Starts the thread of worker number `worker`.
    pub(super) fn start(info: ModelInfo, network: Network, worker: usize) -> Result<Self, Error> {
        let failed = |problem| Error::Run {
            problem,
            model: info.name.clone(),
        };
        let options = RunOptions::new().map_err(|error| failed(one_line(error.message())))?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            options,
        });
        let input = Some(Input::new(network.input));
        let thread = spawn(format!("fw-ort-{worker}"), {
            let (shared, model) = (Arc::clone(&shared), info.name.clone());
            move || serve(network, &shared, &model)
        })
        .map_err(|error| failed(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            info,
            shared,
            input,
            thread: Some(thread),
        })
    }
}

impl Upscaler for OnnxUpscaler {
    fn model(&self) -> &ModelInfo {
        &self.info
    }

    fn run(&mut self, picture: &PlanarRgb, output: &mut PlanarRgb) -> Result<(), Error> {
        let (width, height) = (picture.width(), picture.height());
        if width == 0 || height == 0 {
            let problem = format!("a picture of {width}x{height} pixels has nothing to upscale");
            return Err(Error::Run {
                problem,
                model: self.info.name.clone(),
            });
        }
        let mut input = self.input.take().ok_or(Error::Cancelled)?;
        let ModelInfo {
            scale,
            alignment,
            min_size,
            ..
        } = self.info;
        input.fill(
            picture,
            padded(width, alignment, min_size),
            padded(height, alignment, min_size),
        );
        output.resize(scale as usize * width, scale as usize * height);

        let (job, result) = self.shared.exchange(
            Job {
                input,
                output: mem::take(output),
            },
            &self.info.name,
        )?;
        self.input = Some(job.input);
        *output = job.output;
        result
    }

    fn canceller(&self) -> Canceller {
        let shared = Arc::clone(&self.shared);
        Canceller::new(move || {
            shared.change(|state| state.cancelled = true);
            // Fails only for a null pointer; without it the thread would merely compute to the end.
            let _ = shared.options.terminate();
        })
    }
}

impl Drop for OnnxUpscaler {
    fn drop(&mut self) {
        self.shared.change(|state| state.closed = true);
        // Without an input, a job was left behind: its thread ends by itself, after the node it is in.
        if self.input.is_some()
            && let Some(thread) = self.thread.take()
        {
            // A panic of the thread was reported by the run it happened in.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and each change of the state is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Hands `job` to the thread and waits until it is done, or until nobody wants it any more.
    fn exchange(&self, job: Job, model: &str) -> Result<(Job, Result<(), Error>), Error> {
        self.change(|state| state.job = Some(job));
        let undecided =
            |state: &mut State| !state.cancelled && !state.ended && state.done.is_none();
        let mut state = self
            .changed
            .wait_while(self.lock(), undecided)
            .unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            return Err(Error::Cancelled);
        }
        state.done.take().ok_or_else(|| {
            let problem = "the thread of ONNX Runtime ended unexpectedly".to_owned();
            Error::Run {
                problem,
                model: model.to_owned(),
            }
        })
    }

    /// The next job for the thread; none when it should end.
    fn next(&self) -> Option<Job> {
        let nothing = |state: &mut State| !state.cancelled && !state.closed && state.job.is_none();
        let mut state = self
            .changed
            .wait_while(self.lock(), nothing)
            .unwrap_or_else(PoisonError::into_inner);
        if state.cancelled || state.closed {
            None
        } else {
            state.job.take()
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pipeline thread is joined when its job ends, this one must outlive a cancelled run"
)]
fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(body)
}

fn serve(mut network: Network, shared: &Shared, model: &str) {
    let _ended = Ended(shared);
    while let Some(mut job) = shared.next() {
        let result = job.run(&mut network, &shared.options, model);
        // Nobody comes for the result of a cancelled run, and its pictures are large.
        shared.change(|state| state.done = (!state.cancelled).then_some((job, result)));
    }
}

/// Tells a waiting caller that the thread is gone, also when it panicked.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.ended = true);
    }
}

impl Job {
    fn run(
        &mut self,
        network: &mut Network,
        options: &RunOptions,
        model: &str,
    ) -> Result<(), Error> {
        let failed = |problem| Error::Run {
            problem,
            model: model.to_owned(),
        };
        let output = &mut self.output;
        let answer = network.run(&self.input, options, |answer| answer.crop_into(output));
        let bad = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(bad)) => bad,
            Err(error) => return Err(failed(one_line(error.message()))),
        };
        Err(Error::NotFinite {
            count: bad.count,
            x: bad.x,
            y: bad.y,
            model: model.to_owned(),
        })
    }
}
