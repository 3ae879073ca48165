//! One session on a thread of its own, so that a run can be left behind.
//!
//! ONNX Runtime stops only between two nodes of the graph, and one convolution on a 720p picture takes most of a second
//! on one thread. A cancelled `run` therefore returns at once and leaves the thread to itself: it owns everything it
//! touches – session, tensor, result – and ends after the node it is in. The process may exit meanwhile.
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
use super::session::{Input, Network, Output};
use crate::finite::NotFinite;
use crate::pad::{crop, padded};
use crate::upscaler::{area_share, assert_inside};
use crate::{Canceller, Error, ModelInfo, Region, Upscaler};

/// A session and its thread.
pub(crate) struct OnnxUpscaler {
    info: ModelInfo,
    /// Crops begin at multiples of this.
    step: usize,
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
    /// Column and row of the answer where the result begins.
    from: [usize; 2],
    /// Has the size of the result.
    output: PlanarRgb,
}

impl OnnxUpscaler {
    /// Starts the thread of worker number `worker`; `step` is what crops have to be in step with.
    pub(super) fn start(
        info: ModelInfo,
        step: usize,
        network: Network,
        worker: usize,
    ) -> Result<Self, Error> {
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
            let (shared, info) = (Arc::clone(&shared), info.clone());
            move || serve(network, &shared, &info)
        })
        .map_err(|error| failed(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            info,
            step,
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
        self.run_part(picture, &Region::whole(width, height), output)
    }

    fn run_region(
        &mut self,
        picture: &PlanarRgb,
        region: &Region,
        output: &mut PlanarRgb,
    ) -> Result<(), Error> {
        assert_inside(region, picture.width(), picture.height());
        self.run_part(picture, region, output)
    }

    fn work(&self, region: &Region, width: usize, height: usize) -> f64 {
        assert_inside(region, width, height);
        let [width, height] = [width, height].map(|side| self.padded(side));
        area_share(&self.crop(region, width, height), width, height)
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

impl OnnxUpscaler {
    /// The side of a picture as the network takes it.
    fn padded(&self, side: usize) -> usize {
        padded(side, self.info.alignment, self.info.min_size)
    }

    /// What has to be run for `region` of a picture that is padded to `width` × `height`.
    fn crop(&self, region: &Region, width: usize, height: usize) -> Region {
        let Some(reach) = self.info.reach else {
            return Region::whole(width, height);
        };
        let needed = region.grown(reach, width, height);
        let min_size = self.info.min_size as usize;
        Region {
            x: crop(&needed.x, width, self.step, min_size),
            y: crop(&needed.y, height, self.step, min_size),
        }
    }

    /// Runs `region`, which may be all of `picture`.
    fn run_part(
        &mut self,
        picture: &PlanarRgb,
        region: &Region,
        output: &mut PlanarRgb,
    ) -> Result<(), Error> {
        let mut input = self.input.take().ok_or(Error::Cancelled)?;
        let (width, height) = (picture.width(), picture.height());
        let place = self.crop(region, self.padded(width), self.padded(height));
        let read = match self.info.reach {
            Some(reach) => region.grown(reach, width, height),
            None => Region::whole(width, height),
        };
        input.fill(picture, &read, &place);
        let scale = self.info.scale as usize;
        output.resize(scale * region.width(), scale * region.height());

        let (job, result) = self.shared.exchange(
            Job {
                input,
                from: [
                    scale * (region.x.start - place.x.start),
                    scale * (region.y.start - place.y.start),
                ],
                output: mem::take(output),
            },
            &self.info.name,
        )?;
        self.input = Some(job.input);
        *output = job.output;
        result
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

fn serve(mut network: Network, shared: &Shared, info: &ModelInfo) {
    let _ended = Ended(shared);
    while let Some(mut job) = shared.next() {
        let result = job.run(&mut network, &shared.options, info);
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
        info: &ModelInfo,
    ) -> Result<(), Error> {
        let failed = |problem| Error::Run {
            problem,
            model: info.name.clone(),
        };
        let Self {
            input,
            from,
            output,
        } = self;
        let read = |answer: &Output| {
            answer
                .check(input, info.scale as usize)
                .map(|()| answer.crop_into(*from, output))
        };
        match network.run(input, options, read) {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(NotFinite { count, x, y }))) => Err(Error::NotFinite {
                count,
                x,
                y,
                model: info.name.clone(),
            }),
            Ok(Err(problem)) => Err(failed(problem)),
            Err(error) => Err(failed(one_line(error.message()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{environment, session::Element};
    use super::*;

    #[test]
    fn a_thread_that_is_gone_is_an_error_and_not_a_wait_for_ever() {
        match environment() {
            Ok(_) => {}
            Err(Error::MissingLibrary { .. }) => {
                return println!("skipped: ONNX Runtime is not here");
            }
            Err(error) => panic!("{error}"),
        }
        let options = RunOptions::new().unwrap();
        let shared = Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            options,
        };
        drop(Ended(&shared));
        let job = Job {
            input: Input::new(Element::F32),
            from: [0, 0],
            output: PlanarRgb::default(),
        };
        let result = shared.exchange(job, "some model").map(|_| ());
        assert!(matches!(result, Err(Error::Run { .. })), "{result:?}");
    }
}
