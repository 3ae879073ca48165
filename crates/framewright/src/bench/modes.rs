//! The ways to upscale that are compared, and a timed run of one.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use framewright_media::{Decoder, Interrupt};
use framewright_pipeline::{Control, Ending, Gauges, Run, bottleneck};

use super::lockstep::lockstep;
use super::quality::Quality;
use super::stretch::Stretch;
use crate::cli::{Options, Reuse};
use crate::exit::{Exit, fail};
use crate::progress::{Progress, Snapshot};
use crate::screen::Screen;
use crate::upscale::compare::Rule;
use crate::upscale::flow;
use crate::upscale::mapping::Mapping;
use crate::upscale::outputs::Outputs;
use crate::upscale::plan::Plan;
use crate::upscale::prepare::Prepared;
use crate::upscale::savings::Effects;
use crate::upscale::stages::Tally;
use crate::upscale::trouble::{from_failure, marked};
use crate::upscale::worker::Worker;

/// A way to upscale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    pipelined: bool,
    reuse: Reuse,
}

impl Mode {
    /// Nothing begins before the frame before it is done.
    pub const ONE_AT_A_TIME: Self = Self {
        pipelined: false,
        reuse: Reuse::Off,
    };
    /// Stages and workers side by side, and no reuse.
    pub const PIPELINED: Self = Self {
        pipelined: true,
        reuse: Reuse::Off,
    };
    /// With repeats shown again.
    pub const FRAME: Self = Self {
        pipelined: true,
        reuse: Reuse::Frame,
    };
    /// With unchanged parts used again.
    pub const REGION: Self = Self {
        pipelined: true,
        reuse: Reuse::Region,
    };

    /// With the network's state kept.
    pub const INCREMENTAL: Self = Self {
        pipelined: true,
        reuse: Reuse::Incremental,
    };

    /// What can be compared with this model, the slowest first.
    pub fn all(plan: &Plan) -> Vec<Self> {
        let mut all = vec![Self::ONE_AT_A_TIME, Self::PIPELINED, Self::FRAME];
        all.extend(plan.reach.map(|_| Self::REGION));
        all.extend(plan.state_bytes.map(|_| Self::INCREMENTAL));
        all
    }

    /// For documents.
    pub fn name(self) -> &'static str {
        match (self.pipelined, self.reuse) {
            (false, _) => "one_at_a_time",
            (true, Reuse::Off) => "pipelined",
            (true, Reuse::Frame) => "reuse_frame",
            (true, Reuse::Region) => "reuse_region",
            (true, Reuse::Incremental) => "reuse_incremental",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match (self.pipelined, self.reuse) {
            (false, _) => "one frame at a time",
            (true, Reuse::Off) => "pipelined",
            (true, Reuse::Frame) => "pipelined, --reuse frame",
            (true, Reuse::Region) => "pipelined, --reuse region",
            (true, Reuse::Incremental) => "pipelined, --reuse incremental",
        }
    }

    /// What the comparison goes by; none without reuse.
    fn rule(self, plan: &Plan) -> Option<Rule> {
        self.plan(plan).rule()
    }

    /// The plan of a run. One frame at a time: there is room for one frame's pixels, so nothing begins with the next
    /// frame before the last one has gone into the encoder.
    fn plan(self, plan: &Plan) -> Plan {
        let mut plan = Plan {
            reuse: self.reuse,
            ..plan.clone()
        };
        let planned = (plan.workers, plan.window, plan.memory_budget_bytes);
        (plan.workers, plan.window, plan.memory_budget_bytes) = self.in_flight(planned);
        plan
    }

    /// Workers, places in the window and bytes of pixels in flight, given what is planned. A budget of one byte admits one
    /// frame, and the next when that one has been written.
    fn in_flight(self, planned: (usize, usize, u64)) -> (usize, usize, u64) {
        if self.pipelined { planned } else { (1, 1, 1) }
    }
}

/// What a timed run came to.
#[derive(Debug, Clone)]
pub struct Measured {
    /// How it was upscaled.
    pub mode: Mode,
    /// Frames that were upscaled.
    pub frames: u64,
    /// From the first frame's decoding to the finished file.
    pub wall_secs: f64,
    /// Time in all stages, summed over their threads.
    pub busy_secs: f64,
    /// What was computed, and what was not.
    pub effects: Effects,
    /// Of each stage, the share of its threads' time in which it worked.
    pub busy: Vec<(String, f64)>,
}

/// A film, a model and workers that are warm, for any number of runs.
pub struct Bench<'a> {
    options: Options,
    prepared: Prepared,
    plan: Plan,
    workers: Vec<Worker>,
    control: &'a Control,
    interrupt: &'a Interrupt,
    screen: &'a Screen,
}

impl<'a> Bench<'a> {
    /// Takes what is needed for the runs.
    pub fn new(
        options: Options,
        prepared: Prepared,
        workers: Vec<Worker>,
        control: &'a Control,
        interrupt: &'a Interrupt,
        screen: &'a Screen,
    ) -> Self {
        Self {
            options,
            plan: prepared.plan.clone(),
            prepared,
            workers,
            control,
            interrupt,
            screen,
        }
    }

    /// The plan of the fastest mode.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A reader of a stretch of the film.
    ///
    /// # Errors
    /// As of [`Stretch::open`].
    pub fn open(&self, stretch: &Stretch, threads: usize) -> anyhow::Result<Decoder> {
        let decoder = stretch.open(&self.options.input, threads, self.interrupt);
        decoder.map_err(marked)
    }

    /// Upscales a stretch and takes the time. The file that is written is removed.
    ///
    /// # Errors
    /// The run fails or is stopped.
    pub fn run(&mut self, mode: Mode, stretch: &Stretch) -> anyhow::Result<Measured> {
        self.prepared.decoder = self.open(stretch, usize::from(!mode.pipelined))?;
        self.prepared.plan = mode.plan(&self.plan);
        let outputs = Outputs::claim(&self.options, &self.prepared.plan)?;
        let (writer, side_films) = outputs.open(&self.prepared)?;
        let watched = Watched::start(self.control, self.screen, stretch);
        let Prepared { plan, decoder, .. } = &mut self.prepared;
        let workers = &mut self.workers[..plan.workers];
        let started = Instant::now();
        let ended = flow(
            plan,
            &watched.control,
            decoder,
            workers,
            side_films,
            writer,
            &watched.tally,
            &mut Mapping::default(),
            &watched.gauges,
        );
        let wall_secs = started.elapsed().as_secs_f64();
        let ended = complete(ended.map_err(from_failure)?)?;
        let busy = ended.stages.iter().map(|stage| {
            let share = stage.busy.as_secs_f64() / (wall_secs * stage.workers as f64);
            (stage.name.clone(), share)
        });
        Ok(Measured {
            mode,
            frames: watched.tally.frames_out.load(Relaxed),
            wall_secs,
            busy_secs: ended
                .stages
                .iter()
                .map(|stage| stage.busy.as_secs_f64())
                .sum(),
            effects: watched.tally.savings().effects(),
            busy: busy.collect(),
        })
    }

    /// How far the results with reuse are from those without, for every mode that has reuse.
    ///
    /// # Errors
    /// As of [`run`](Self::run).
    pub fn compare(&mut self, stretch: &Stretch) -> anyhow::Result<Vec<(Mode, Quality)>> {
        let modes: Vec<(Mode, Rule)> = Mode::all(&self.plan)
            .into_iter()
            .filter_map(|mode| Some((mode, mode.rule(&self.plan)?)))
            .collect();
        let rules: Vec<Rule> = modes.iter().map(|(_, rule)| *rule).collect();
        let mut decoder = self.open(stretch, 0)?;
        let watched = Watched::start(self.control, self.screen, stretch);
        let ended = lockstep(
            &self.plan,
            &rules,
            &mut decoder,
            &mut self.workers,
            &watched.control,
            &watched.tally,
            &watched.gauges,
        );
        let (ended, sums) = ended.map_err(from_failure)?;
        complete(ended)?;
        let qualities = modes.iter().zip(&sums);
        Ok(qualities
            .filter_map(|((mode, _), sums)| Some((*mode, sums.quality()?)))
            .collect())
    }
}

/// A run that was stopped has no result. Who stopped it ends the process with a code of its own.
fn complete(ended: Run) -> anyhow::Result<Run> {
    match ended.ending {
        Ending::Completed => Ok(ended),
        Ending::Finished | Ending::Stopped => Err(fail(Exit::Interrupted, "stopped")),
    }
}

/// What a run is steered and watched by, for as long as it goes.
struct Watched {
    /// Of this run; stops with the whole bench.
    control: Control,
    tally: Arc<Tally>,
    gauges: Arc<OnceLock<Gauges>>,
    _link: framewright_pipeline::StopGuard,
    _progress: Progress,
}

impl Watched {
    fn start(all: &Control, screen: &Screen, stretch: &Stretch) -> Self {
        let control = Control::new();
        let inner = control.clone();
        let (tally, gauges) = (Arc::new(Tally::default()), Arc::new(OnceLock::new()));
        let sample = {
            let (tally, gauges, total) = (Arc::clone(&tally), Arc::clone(&gauges), stretch.frames);
            move || Snapshot {
                done: tally.frames_out.load(Relaxed),
                total: Some(total),
                total_is_estimate: false,
                repeats: tally.repeats.load(Relaxed),
                bottleneck: gauges
                    .get()
                    .and_then(|gauges: &Gauges| bottleneck(&gauges.sample()).map(String::from)),
                videos: None,
            }
        };
        Self {
            control,
            tally,
            gauges,
            _link: all.on_stop(move || inner.stop()),
            _progress: Progress::start(screen, sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_frame_at_a_time_has_room_for_no_more() {
        let planned = (8, 128, 1 << 30);
        assert_eq!(Mode::ONE_AT_A_TIME.in_flight(planned), (1, 1, 1));
        for mode in [Mode::PIPELINED, Mode::FRAME, Mode::REGION] {
            assert_eq!(mode.in_flight(planned), planned);
        }
    }
}
