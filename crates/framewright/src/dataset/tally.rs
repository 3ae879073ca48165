//! What the stages have done so far: counted by them, sampled by the display, kept in the report.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::config::Stage;

/// Counters of a run. Everything is counted where it happens, nothing waits for it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Videos of this run.
    pub videos: AtomicU64,
    /// Videos that came to their end, well or not.
    pub ended: AtomicU64,
    /// Videos that have trouble.
    pub failed: AtomicU64,
    /// Videos whose results were all there already.
    pub skipped: AtomicU64,
    /// Bytes fetched.
    pub bytes: AtomicU64,
    /// Frames looked at.
    pub frames: AtomicU64,
    /// Pictures shown to models.
    pub shown: AtomicU64,
    stages: [Clock; Stage::ALL.len()],
}

#[derive(Debug, Default)]
struct Clock {
    items: AtomicU64,
    busy_nanos: AtomicU64,
}

/// What a stage did, for the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageTime {
    /// Its word.
    pub name: &'static str,
    /// Videos it worked on.
    pub videos: u64,
    /// Time it worked, summed over its workers, in seconds.
    pub busy_secs: f64,
}

impl Tally {
    /// Counts a video of `stage` and the time until the result is there.
    pub fn timed<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        let clock = &self.stages[stage as usize];
        clock.items.fetch_add(1, Relaxed);
        clock
            .busy_nanos
            .fetch_add(started.elapsed().as_nanos() as u64, Relaxed);
        result
    }

    /// What each stage has done so far, in the order of the work.
    pub fn stages(&self) -> Vec<StageTime> {
        let time = |(stage, clock): (Stage, &Clock)| StageTime {
            name: stage.word(),
            videos: clock.items.load(Relaxed),
            busy_secs: Duration::from_nanos(clock.busy_nanos.load(Relaxed)).as_secs_f64(),
        };
        Stage::ALL.into_iter().zip(&self.stages).map(time).collect()
    }

    /// The stage that took most of the time; none before one has ended anything.
    pub fn bottleneck(&self) -> Option<&'static str> {
        let stages = self.stages();
        let most = stages
            .iter()
            .max_by(|a, b| a.busy_secs.total_cmp(&b.busy_secs))?;
        (most.busy_secs > 0.0).then_some(most.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_with_the_most_work_is_the_bottleneck() {
        let tally = Tally::default();
        assert_eq!(tally.bottleneck(), None);
        tally.timed(Stage::Download, || ());
        tally.timed(Stage::Extract, || {
            std::thread::sleep(Duration::from_millis(2));
        });
        assert_eq!(tally.bottleneck(), Some("extract"));
        assert_eq!(tally.stages()[1].videos, 1);
    }
}
