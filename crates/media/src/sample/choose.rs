//! Which frames are taken, given one after the other as they are shown.

/// How frames are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// Those whose number, from 0, is a multiple.
    Frames(u64),
    /// The first frame at or after 0, t, 2t … seconds from the first one; a frame is taken once.
    Seconds(f64),
    /// Those that the decoder marks as key frames.
    Keyframes,
    /// The first of every scene.
    Scenes,
}

/// A timestamp may be this much early, in seconds: containers round to milliseconds.
const MOST_EARLY_SECS: f64 = 1e-3;

/// Takes frames or not. The same frames give the same choice, whatever was decoded of them.
#[derive(Debug, Clone)]
pub(super) struct Chooser {
    sampling: Sampling,
    tick_secs: f64,
    /// The first timestamp, in ticks.
    zero: Option<i64>,
    /// The next multiple of the step in seconds.
    target: f64,
    frames_left: u64,
}

impl Chooser {
    pub(super) fn new(sampling: Sampling, tick_secs: f64, max_frames: Option<u64>) -> Self {
        Self {
            sampling,
            tick_secs,
            zero: None,
            target: 0.0,
            frames_left: max_frames.unwrap_or(u64::MAX),
        }
    }

    /// Whether no more frames are wanted.
    pub(super) fn has_enough(&self) -> bool {
        self.frames_left == 0
    }

    /// Seconds from the first frame.
    pub(super) fn secs(&mut self, pts: i64) -> f64 {
        let zero = *self.zero.get_or_insert(pts);
        pts.saturating_sub(zero) as f64 * self.tick_secs
    }

    /// Whether the next frame is taken. `begins` is what the two samplings by content ask for: that it is a key frame,
    /// or begins a scene.
    pub(super) fn takes(&mut self, index: u64, pts: i64, begins: bool) -> bool {
        let secs = self.secs(pts);
        if self.has_enough() {
            return false;
        }
        let taken = match self.sampling {
            Sampling::Frames(n) => index.is_multiple_of(n.max(1)),
            Sampling::Seconds(step) => self.is_at_target(secs, step),
            Sampling::Keyframes | Sampling::Scenes => begins,
        };
        self.frames_left -= u64::from(taken);
        taken
    }

    fn is_at_target(&mut self, secs: f64, step: f64) -> bool {
        let reached = secs + self.tick_secs.min(MOST_EARLY_SECS);
        if reached < self.target * step {
            return false;
        }
        self.target = (reached / step).floor() + 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(sampling: Sampling, tick: f64, max: Option<u64>, pts: &[i64]) -> Vec<usize> {
        let mut chooser = Chooser::new(sampling, tick, max);
        let is_taken = |&n: &usize| chooser.takes(n as u64, pts[n], n % 3 == 1);
        (0..pts.len()).filter(is_taken).collect()
    }

    #[test]
    fn seconds_count_from_the_first_frame_and_each_frame_counts_once() {
        let ms = 1e-3;
        let steady: Vec<i64> = (0..10).map(|n| 5000 + n * 250).collect();
        assert_eq!(chosen(Sampling::Seconds(1.0), ms, None, &steady), [0, 4, 8]);
        // A hole over three targets gives one frame, and then the next target counts.
        assert_eq!(
            chosen(
                Sampling::Seconds(1.0),
                ms,
                None,
                &[0, 900, 4200, 4900, 5000, 5100]
            ),
            [0, 2, 4]
        );
        // Rounded to milliseconds, the frame of second 1 may stand at 0.999.
        assert_eq!(
            chosen(Sampling::Seconds(1.0), ms, None, &[0, 958, 999, 1041]),
            [0, 2]
        );
        assert_eq!(chosen(Sampling::Seconds(0.1), ms, Some(2), &steady), [0, 1]);
    }

    #[test]
    fn frames_and_marks_count_frames() {
        let pts: Vec<i64> = (0..8).collect();
        assert_eq!(chosen(Sampling::Frames(3), 1.0, None, &pts), [0, 3, 6]);
        assert_eq!(chosen(Sampling::Keyframes, 1.0, None, &pts), [1, 4, 7]);
        assert_eq!(chosen(Sampling::Keyframes, 1.0, Some(1), &pts), [1]);
    }

    proptest! {
        #[test]
        fn no_two_frames_are_taken_for_one_target(
            steps in prop::collection::vec(1_i64..3000, 1..60),
            step in 0.05_f64..3.0,
        ) {
            let mut pts = vec![77];
            for step in &steps { pts.push(pts[pts.len() - 1] + step); }
            let chosen = chosen(Sampling::Seconds(step), 1e-3, None, &pts);
            let place = |n: usize| (((pts[n] - 77) as f64 * 1e-3 + 1e-3) / step).floor();
            prop_assert_eq!(chosen[0], 0);
            prop_assert!(chosen.is_sorted_by(|&one, &other| place(one) < place(other)));
            // And every target up to the last frame has its frame: the first at or after it.
            for n in 1..pts.len() {
                prop_assert_eq!(chosen.contains(&n), place(n) > place(n - 1));
            }
        }
    }
}
