//! What a stage did with its time. Anyone samples it; nothing in the hot path calls back.
//!
//! Each thread of a run knows the gauge of its stage, so that every wait counts, on whichever queue, budget or pause
//! it happens. Invariant: a clock is touched only by a thread that really waits; an item costs one atomic addition.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What one stage has done so far, or did in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageStats {
    /// Name of the stage.
    pub name: String,
    /// Threads that work in it.
    pub workers: usize,
    /// Items it has passed on; for a sink, items it has taken in.
    pub items: u64,
    /// Time in the body, summed over its workers, less its waits.
    pub busy: Duration,
    /// Time its workers waited for input, or were held by a pause, summed over them.
    pub input_wait: Duration,
    /// Time its workers waited for room in the queue after them, or in a budget, summed over them.
    pub output_wait: Duration,
}

/// The stage that holds the others back: the one with the highest busy / (workers × wall).
///
/// The wall time is the same for all of them, so busy per worker decides. None when no stage has worked yet.
pub fn bottleneck(stages: &[StageStats]) -> Option<&str> {
    let load = |stage: &StageStats| stage.busy.as_secs_f64() / stage.workers.max(1) as f64;
    let most = stages.iter().max_by(|a, b| load(a).total_cmp(&load(b)))?;
    (most.busy > Duration::ZERO).then_some(most.name.as_str())
}

/// The gauges of a run: cheap to clone, sampled from any thread while it goes and after.
#[derive(Clone, Default)]
pub struct Gauges(Arc<Mutex<Vec<Arc<Gauge>>>>);

impl Gauges {
    /// How the stages stand now, in the order in which they were declared.
    pub fn sample(&self) -> Vec<StageStats> {
        lock(&self.0).iter().map(|gauge| gauge.sample()).collect()
    }

    pub(crate) fn add(&self, gauge: Arc<Gauge>) {
        lock(&self.0).push(gauge);
    }
}

pub(crate) struct Gauge {
    name: String,
    workers: usize,
    is_sink: bool,
    epoch: Instant,
    received: AtomicU64,
    sent: AtomicU64,
    clocks: Mutex<Clocks>,
}

#[derive(Default)]
struct Clocks {
    body: Stopwatch,
    input: Stopwatch,
    output: Stopwatch,
}

/// Adds up the time of several threads, also of those that it is still running for.
#[derive(Default)]
struct Stopwatch {
    running: i128,
    nanos: i128, // less the starting time of each one running
}

impl Stopwatch {
    fn start(&mut self, now: i128) {
        self.running += 1;
        self.nanos -= now;
    }

    fn stop(&mut self, now: i128) {
        self.running -= 1;
        self.nanos += now;
    }

    fn read(&self, now: i128) -> i128 {
        self.nanos + self.running * now
    }
}

impl Gauge {
    pub(crate) fn new(name: &str, workers: usize, is_sink: bool) -> Self {
        Self {
            name: name.to_owned(),
            workers,
            is_sink,
            epoch: Instant::now(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            clocks: Mutex::default(),
        }
    }

    fn clocks(&self) -> (MutexGuard<'_, Clocks>, i128) {
        let clocks = lock(&self.clocks);
        (clocks, self.epoch.elapsed().as_nanos() as i128)
    }

    fn sample(&self) -> StageStats {
        let (clocks, now) = self.clocks();
        let (input, output) = (clocks.input.read(now), clocks.output.read(now));
        let busy = clocks.body.read(now) - input - output;
        let duration = |nanos: i128| Duration::from_nanos(nanos.max(0) as u64);
        StageStats {
            name: self.name.clone(),
            workers: self.workers,
            items: if self.is_sink {
                &self.received
            } else {
                &self.sent
            }
            .load(Relaxed),
            busy: duration(busy),
            input_wait: duration(input),
            output_wait: duration(output),
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Gauge>>> = const { RefCell::new(None) };
}

/// From here to the drop of the value, this thread works for the stage of `gauge`.
pub(crate) struct AtWork(Arc<Gauge>);

impl AtWork {
    pub(crate) fn on(gauge: &Arc<Gauge>) -> Self {
        CURRENT.set(Some(Arc::clone(gauge)));
        let (mut clocks, now) = gauge.clocks();
        clocks.body.start(now);
        Self(Arc::clone(gauge))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        CURRENT.set(None);
        let (mut clocks, now) = self.0.clocks();
        clocks.body.stop(now);
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Side {
    Input,
    Output,
}

/// From here to the drop of the value, this thread waits.
pub(crate) struct Wait(Option<Arc<Gauge>>, Side);

impl Wait {
    pub(crate) fn on(side: Side) -> Self {
        let gauge = CURRENT.with_borrow(Clone::clone);
        if let Some(gauge) = &gauge {
            let (mut clocks, now) = gauge.clocks();
            clocks.of(side).start(now);
        }
        Self(gauge, side)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            let (mut clocks, now) = gauge.clocks();
            clocks.of(self.1).stop(now);
        }
    }
}

impl Clocks {
    fn of(&mut self, side: Side) -> &mut Stopwatch {
        match side {
            Side::Input => &mut self.input,
            Side::Output => &mut self.output,
        }
    }
}

pub(crate) fn count_received() {
    CURRENT.with_borrow(|gauge| {
        gauge
            .as_ref()
            .map(|gauge| gauge.received.fetch_add(1, Relaxed))
    });
}

pub(crate) fn count_sent() {
    CURRENT.with_borrow(|gauge| gauge.as_ref().map(|gauge| gauge.sent.fetch_add(1, Relaxed)));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds a gauge")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, workers: usize, busy_secs: u64) -> StageStats {
        StageStats {
            name: name.to_owned(),
            workers,
            items: 0,
            busy: Duration::from_secs(busy_secs),
            input_wait: Duration::ZERO,
            output_wait: Duration::ZERO,
        }
    }

    #[test]
    fn the_bottleneck_is_the_busiest_stage_per_worker() {
        let stages = [
            stage("decode", 1, 4),
            stage("upscale", 4, 12),
            stage("encode", 1, 2),
        ];
        assert_eq!(bottleneck(&stages), Some("decode"));
        assert_eq!(bottleneck(&[stage("decode", 1, 0)]), None);
        assert_eq!(bottleneck(&[]), None);
    }

    #[test]
    fn a_stopwatch_counts_those_still_running() {
        let mut watch = Stopwatch::default();
        watch.start(10);
        watch.start(20);
        assert_eq!(watch.read(30), 30);
        watch.stop(40);
        assert_eq!(watch.read(50), 60);
        watch.stop(50);
        assert_eq!(watch.read(1000), 60);
    }

    #[test]
    fn a_wait_under_way_is_not_busy_time() {
        let gauge = Arc::new(Gauge::new("encode", 1, true));
        let work = AtWork::on(&gauge);
        let wait = Wait::on(Side::Input);
        std::thread::sleep(Duration::from_millis(200));
        let sample = gauge.sample();
        assert!(
            sample.input_wait >= Duration::from_millis(200),
            "{sample:?}"
        );
        assert!(sample.busy < Duration::from_millis(100), "{sample:?}");
        drop((wait, work));
    }
}
