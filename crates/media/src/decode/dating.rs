//! The timestamps of decoded frames: those of the file, moved only where they are missing or do not increase.

use std::collections::BTreeMap;

use ffmpeg_sys_the_third as ffi;

use crate::clip::Video;
use crate::frame::Frame;
use crate::packet::Packet;

/// What the timestamp of the next frame depends on.
#[derive(Debug, Default)]
pub(super) struct Dating {
    /// Duration of each packet still in the decoder, by timestamp.
    durations: BTreeMap<i64, i64>,
    last_pts: Option<i64>,
    last_duration: i64,
}

impl Dating {
    /// Remembers how long the frame of a video packet is shown; decoders forget it.
    pub(super) fn note_packet(&mut self, packet: &Packet) {
        let raw = packet.raw();
        if raw.pts != ffi::AV_NOPTS_VALUE {
            self.durations.insert(raw.pts, raw.duration);
        }
    }

    /// Gives the frame its timestamp and duration; true where the timestamp had to be repaired.
    pub(super) fn date(&mut self, frame: &mut Frame, video: &Video) -> bool {
        let best =
            Some(frame.raw().best_effort_timestamp).filter(|&pts| pts != ffi::AV_NOPTS_VALUE);
        let (pts, duration) = self.next(best, usual_duration(video));
        frame.set_pts(pts);
        frame.duration = duration;
        best != Some(pts)
    }

    /// Timestamp and duration of the next frame, in ticks. Timestamps strictly increase: containers demand it, and a
    /// film that repeats one has no other order than that of its frames.
    fn next(&mut self, best: Option<i64>, usual_duration: i64) -> (i64, i64) {
        let duration = best
            .and_then(|pts| self.durations.remove(&pts))
            .filter(|&duration| duration > 0)
            .unwrap_or(usual_duration);
        // Entries of packets that gave no frame must not pile up.
        if let Some(pts) = best {
            self.durations = self.durations.split_off(&pts);
        }
        let next = self.last_pts.map(|last| last + 1);
        let pts = match (best, next) {
            (Some(best), Some(next)) if best < next => next,
            (Some(best), _) => best,
            (None, Some(next)) => next - 1 + self.last_duration.max(1),
            (None, None) => 0,
        };
        self.last_pts = Some(pts);
        self.last_duration = duration;
        (pts, duration)
    }
}

/// One frame at the average rate, in ticks; 0 where the rate is unknown.
fn usual_duration(video: &Video) -> i64 {
    video.frame_rate.map_or(0, |rate| {
        (1.0 / (rate.as_f64() * video.time_base.as_f64())).round() as i64
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_timestamps_and_durations_pass_unchanged() {
        let mut dating = Dating::default();
        dating.durations.extend([(-10, 7), (-3, 5), (40, 0)]);
        assert_eq!(dating.next(Some(-10), 9), (-10, 7));
        assert_eq!(dating.next(Some(-3), 9), (-3, 5));
        // A duration of zero says nothing.
        assert_eq!(dating.next(Some(40), 9), (40, 9));
        assert!(dating.durations.is_empty());
    }

    #[test]
    fn a_missing_timestamp_follows_the_frame_before_by_its_duration() {
        let mut dating = Dating::default();
        assert_eq!(dating.next(None, 9), (0, 9));
        assert_eq!(dating.next(None, 0), (9, 0));
        assert_eq!(dating.next(None, 0), (10, 0));
    }

    #[test]
    fn packets_that_gave_no_frame_are_forgotten() {
        let mut dating = Dating::default();
        dating
            .durations
            .extend((0..100).map(|index| (index * 10, 10)));
        dating.next(Some(905), 10);
        assert_eq!(dating.durations.len(), 9);
    }

    proptest! {
        #[test]
        fn timestamps_increase_whatever_the_file_says(
            best in prop::collection::vec(prop::option::of(-50i64..50), 1..40),
            usual in 0i64..20,
        ) {
            let mut dating = Dating::default();
            let dates: Vec<i64> = best.iter().map(|&pts| dating.next(pts, usual).0).collect();
            prop_assert!(dates.is_sorted_by(|one, other| one < other));
            prop_assert!(best[0].is_none_or(|first| first == dates[0]));
        }
    }
}
