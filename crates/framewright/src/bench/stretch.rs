//! Which frames are measured.

use std::path::Path;

use framewright_media::{Decoder, Error, Interrupt};

use super::modes::Measured;
use crate::upscale::plan::Input;

/// Time that all runs together should take.
const BUDGET_SECS: f64 = 60.0;
/// Frames that are measured where nobody says how many.
const FRAMES: std::ops::RangeInclusive<u64> = 24..=480;

/// Frames of the film, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// Where it begins, in seconds from the first frame.
    pub start_secs: f64,
    /// How many frames, at most: the film may end before.
    pub frames: u64,
}

impl Stretch {
    /// A stretch.
    pub fn new(start_secs: f64, frames: u64) -> Self {
        Self { start_secs, frames }
    }

    /// A reader of its frames, and of nothing else, with that many threads (0 = one per core).
    ///
    /// # Errors
    /// As of [`Decoder::open`] and [`Decoder::seek`].
    pub fn open(
        &self,
        path: &Path,
        threads: usize,
        interrupt: &Interrupt,
    ) -> Result<Decoder, Error> {
        let mut decoder = Decoder::open(path, threads, interrupt)?;
        let video = decoder.clip().video.index;
        for stream in (0..decoder.clip().streams.len()).filter(|&stream| stream != video) {
            decoder.leave_out(stream);
        }
        decoder.seek(self.start_secs)?;
        decoder.end_after(self.frames);
        Ok(decoder)
    }
}

/// What a few frames took.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Seconds per frame, one after the other.
    one_at_a_time: f64,
    /// Seconds per frame in the pipeline.
    pipelined: f64,
}

impl Pace {
    /// Of a run in the pipeline without reuse.
    pub fn of(run: &Measured) -> Self {
        let frames = run.frames.max(1) as f64;
        Self {
            one_at_a_time: run.busy_secs / frames,
            pipelined: run.wall_secs / frames,
        }
    }

    /// Of all runs: one at a time, three times in the pipeline, and a fourth time in which all three results are computed;
    /// how much reuse saves is what is to be found out.
    pub fn all_runs_secs(&self, frames: u64) -> f64 {
        frames as f64 * (self.one_at_a_time + 4.3 * self.pipelined)
    }

    fn frames_that_fit(&self) -> u64 {
        let fit = BUDGET_SECS / self.all_runs_secs(1);
        (fit as u64).clamp(*FRAMES.start(), *FRAMES.end())
    }
}

/// What is known of the film's length.
#[derive(Debug, Clone, Copy)]
pub struct Film {
    frames: Option<u64>,
    secs: Option<f64>,
}

impl Film {
    /// By what the container says.
    pub fn of(input: &Input) -> Self {
        Self {
            frames: input.frames,
            secs: input.duration_secs,
        }
    }

    /// The start of a film is often titles.
    pub fn third_secs(&self) -> f64 {
        self.secs.map_or(0.0, |secs| secs / 3.0)
    }

    /// The frames to measure: as asked, else what fits in the time. Without a start that was asked for, a film that ends too
    /// soon after `start_secs` is measured from its beginning.
    pub fn stretch(
        &self,
        asked_start: Option<f64>,
        start_secs: f64,
        length_secs: Option<f64>,
        pace: &Pace,
    ) -> Stretch {
        let frames = match length_secs {
            Some(secs) => (secs * self.rate()).round().max(1.0) as u64,
            None => pace.frames_that_fit(),
        };
        let frames_behind = |start: f64| {
            self.frames
                .map(|all| (all as f64 - (start * self.rate()).floor()).max(1.0) as u64)
        };
        let fits = |start: f64| frames_behind(start).is_none_or(|behind| frames <= behind);
        let start_secs = match asked_start {
            None if !fits(start_secs) => 0.0,
            _ => start_secs,
        };
        let frames = frames.min(frames_behind(start_secs).unwrap_or(u64::MAX));
        Stretch { start_secs, frames }
    }

    /// Frames per second; 25 where nothing is known, which only decides how many frames are measured.
    fn rate(&self) -> f64 {
        match (self.frames, self.secs) {
            (Some(frames), Some(secs)) if frames > 0 && secs > 0.0 => frames as f64 / secs,
            _ => 25.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILM: Film = Film {
        frames: Some(2400),
        secs: Some(100.0),
    };

    fn pace(one_at_a_time: f64, pipelined: f64) -> Pace {
        Pace {
            one_at_a_time,
            pipelined,
        }
    }

    #[test]
    fn without_a_wish_all_runs_take_about_a_minute() {
        let medium = pace(0.2, 0.1);
        let stretch = FILM.stretch(None, FILM.third_secs(), None, &medium);
        assert_eq!(stretch.frames, 95);
        assert!((stretch.start_secs - 100.0 / 3.0).abs() < 1e-9);
        assert!((55.0..=60.0).contains(&medium.all_runs_secs(stretch.frames)));
    }

    #[test]
    fn a_slow_network_gets_a_second_of_film_and_a_fast_one_twenty() {
        let frames = |pace: &Pace| FILM.stretch(None, 30.0, None, pace).frames;
        assert_eq!(
            (frames(&pace(20.0, 10.0)), frames(&pace(0.0, 1e-9))),
            (24, 480)
        );
    }

    #[test]
    fn what_is_asked_for_is_measured_as_far_as_the_film_goes() {
        let slow = pace(20.0, 10.0);
        assert_eq!(
            FILM.stretch(Some(50.0), 50.0, Some(10.0), &slow),
            Stretch::new(50.0, 240)
        );
        assert_eq!(
            FILM.stretch(Some(95.0), 95.0, Some(10.0), &slow),
            Stretch::new(95.0, 120)
        );
        assert_eq!(
            FILM.stretch(Some(0.0), 0.0, Some(0.001), &slow),
            Stretch::new(0.0, 1)
        );
    }

    #[test]
    fn a_short_film_is_measured_from_its_beginning() {
        let film = Film {
            frames: Some(30),
            secs: Some(1.25),
        };
        let third = film.third_secs();
        assert_eq!(
            film.stretch(None, third, None, &pace(0.0, 1e-9)),
            Stretch::new(0.0, 30)
        );
        let unknown = Film {
            frames: None,
            secs: None,
        };
        assert_eq!(unknown.third_secs().to_bits(), 0);
        assert_eq!(
            unknown
                .stretch(None, 0.0, Some(2.0), &pace(1.0, 1.0))
                .frames,
            50
        );
    }
}
