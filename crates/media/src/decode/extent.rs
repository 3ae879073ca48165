//! How far a file was read, against what it announces. FFmpeg itself reports a cut file as a normal end.
//!
//! A header is rounded, an edit list leaves packets out, and one damaged timestamp may lie a year ahead. So each announcement
//! is believed as far as the rest of the file agrees, and more of it once there are other signs of damage.

use std::collections::BTreeMap;

use ffmpeg_sys_the_third as ffi;

use crate::av::Rational;
use crate::clip::Clip;
use crate::demux::Demuxer;
use crate::envelope;
use crate::health::Health;
use crate::packet::Packet;

/// Seconds by which timestamps of one stream may go back in the order of the file.
const MAX_BACK_SECS: f64 = 1.0;
/// Seconds between the decoding of a packet and its presentation, at most.
const MAX_DELAY_SECS: f64 = 10.0;
/// Seconds after the announced end from which on a timestamp is taken as damaged.
const MAX_BEYOND_SECS: f64 = 60.0;

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    streams: BTreeMap<usize, Reached>,
    /// Packets of the video.
    pub(crate) video_packets: u64,
}

/// How far a stream was read, in seconds.
#[derive(Debug, Clone, Copy)]
struct Reached {
    decoded_at: f64,
    end: f64,
}

/// What a file announces, taken when it was opened: reading changes the demuxer's own idea of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promised {
    /// Packets of the video in the demuxer's index, where that covers all of the file.
    indexed: Option<u64>,
    /// Packets of the video by the header of the stream; an edit list may leave some out.
    counted: Option<u64>,
    /// Whether the duration agrees with `counted`.
    is_count_exact: bool,
    /// End of the last packet, in seconds.
    end_secs: Option<f64>,
    frame_secs: Option<f64>,
}

impl Extent {
    /// Takes in where a packet of `stream` ends.
    pub(crate) fn note_packet(&mut self, packet: &Packet, stream: &ffi::AVStream) {
        let raw = packet.raw();
        let tick = f64::from(stream.time_base.num) / f64::from(stream.time_base.den);
        let secs = |ticks: i64| (ticks != ffi::AV_NOPTS_VALUE).then_some(ticks as f64 * tick);
        let (pts, dts) = (secs(raw.pts), secs(raw.dts));
        let (Some(shown), Some(decoded_at)) = (pts.or(dts), dts.or(pts)) else {
            return;
        };
        let shown = if (shown - decoded_at).abs() > MAX_DELAY_SECS {
            decoded_at
        } else {
            shown
        };
        self.reach(
            packet.stream(),
            decoded_at,
            shown + raw.duration as f64 * tick,
        );
    }

    fn reach(&mut self, stream: usize, decoded_at: f64, end: f64) {
        let reached = self
            .streams
            .entry(stream)
            .or_insert(Reached { decoded_at, end });
        // A clock that goes back shows that what came before was no measure.
        let went_back = decoded_at < reached.decoded_at - MAX_BACK_SECS;
        reached.end = if went_back { end } else { reached.end.max(end) };
        reached.decoded_at = decoded_at;
    }

    /// End of the furthest packet of any stream, in seconds.
    pub(crate) fn read_until_secs(&self) -> f64 {
        self.streams
            .values()
            .fold(0.0, |until, it| it.end.max(until))
    }

    /// Completes the health of a clip that was read to its end: what is missing by its own announcements.
    pub(crate) fn judge(&self, promised: &Promised, demuxer: &Demuxer, health: &mut Health) {
        // That it cannot be opened again was not so when it was opened, and changes nothing of what was read.
        let short = envelope::missing(&demuxer.path).unwrap_or_default();
        let by_bytes = short
            .as_ref()
            .and_then(|it| it.bytes)
            .map_or(0, |(len, announced)| {
                (health.frames as f64 * (announced - len) as f64 / len as f64) as u64
            });
        let is_damaged = health.is_damaged() || short.is_some();
        let (packets, missing_packets) = promised.missing_packets(self, is_damaged);
        let missing_secs = promised.missing_secs(self, is_damaged);
        health.truncated = if missing_packets > 0 {
            Some(format!(
                "{} of {packets} video packets are there",
                self.video_packets
            ))
        } else if let Some(missing) = missing_secs {
            let until = self.read_until_secs();
            Some(format!(
                "it ends at {until:.1} of {:.1} seconds",
                until + missing
            ))
        } else if let Some(short) = short {
            Some(short.how)
        } else {
            demuxer
                .gave_up()
                .then(|| "its data cannot be read on".into())
        };
        let by_time = missing_secs.map_or(0, |missing| {
            let read = self.read_until_secs() - demuxer.start_secs();
            (health.frames as f64 * missing / read.max(promised.frame_secs.unwrap_or(0.1))) as u64
        });
        let by_packets = missing_packets + health.undecodable_packets;
        health.missing_frames = by_packets.max(by_time).max(by_bytes);
    }
}

impl Promised {
    /// What the file that was just opened announces.
    pub(crate) fn of(demuxer: &Demuxer, clip: &Clip) -> Self {
        let start = demuxer.start_secs();
        // MP4 and Matroska count from the beginning of their time line, of which a first part may be without packets.
        let counts_from_zero = ["mov", "matroska"]
            .iter()
            .any(|name| clip.container.starts_with(name));
        let start = if counts_from_zero {
            start.min(0.0)
        } else {
            start
        };
        let stream = demuxer.stream(clip.video.index);
        Self {
            indexed: demuxer.indexed_packets(clip.video.index),
            counted: u64::try_from(stream.nb_frames).ok().filter(|&n| n > 0),
            is_count_exact: clip.video.n_frames.is_some_and(|count| count.exact),
            end_secs: clip.duration_secs.map(|duration| start + duration),
            frame_secs: clip
                .video
                .frame_rate
                .map(Rational::as_f64)
                .map(|rate| 1.0 / rate),
        }
    }

    /// Whether a packet is shown so long after the end that its timestamp must be damaged.
    pub(crate) fn is_beyond_end(&self, packet: &Packet, stream: &ffi::AVStream) -> bool {
        let raw = packet.raw();
        let secs =
            raw.pts as f64 * f64::from(stream.time_base.num) / f64::from(stream.time_base.den);
        raw.pts != ffi::AV_NOPTS_VALUE
            && self
                .end_secs
                .is_some_and(|end| secs > end + MAX_BEYOND_SECS)
    }

    /// Seconds that were announced and did not come.
    fn missing_secs(&self, extent: &Extent, is_damaged: bool) -> Option<f64> {
        let until = extent.read_until_secs();
        let missing = self.end_secs? - until;
        // A second, or one per cent: durations in headers are rounded and may count a last subtitle.
        let allowed = if is_damaged {
            (2.0 * self.frame_secs.unwrap_or_default()).max(0.1)
        } else {
            (0.01 * until).max(1.0)
        };
        (missing > allowed).then_some(missing)
    }

    /// Video packets that were announced, and how many of them did not come.
    fn missing_packets(&self, extent: &Extent, is_damaged: bool) -> (u64, u64) {
        let missing_secs = self.end_secs.map(|end| end - extent.read_until_secs());
        // A count alone proves nothing: an edit list may leave packets out, and the duration knows.
        let is_believed = (self.is_count_exact || is_damaged)
            && missing_secs.is_none_or(|missing| !(-MAX_BEYOND_SECS..=0.1).contains(&missing));
        let counted = self.counted.filter(|_| is_believed);
        let announced = self.indexed.max(counted).unwrap_or_default();
        (announced, announced.saturating_sub(extent.video_packets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(packets: &[(f64, f64)]) -> Extent {
        let mut extent = Extent::default();
        for &(at, end) in packets {
            extent.reach(0, at, end);
        }
        extent.video_packets = packets.len() as u64;
        extent
    }

    #[test]
    fn a_timestamp_far_off_does_not_stand_in_for_what_is_missing() {
        assert!(
            (read(&[(0.0, 1.0), (900.0, 901.0), (2.0, 3.0)]).read_until_secs() - 3.0).abs() < 1e-9
        );
        let far = read(&[(0.0, 1.0), (900.0, 901.0)]);
        let promised = Promised {
            counted: Some(10),
            is_count_exact: true,
            end_secs: Some(10.0),
            ..Promised::default()
        };
        assert_eq!(promised.missing_packets(&far, false), (10, 8));
    }

    #[test]
    fn an_edit_list_may_leave_packets_out_where_the_duration_agrees() {
        let promised = Promised {
            counted: Some(10),
            end_secs: Some(2.0),
            ..Promised::default()
        };
        let shown = read(&[(0.0, 1.0), (1.0, 2.0)]);
        assert_eq!(promised.missing_packets(&shown, true).1, 0);
        let far = read(&[(0.0, 1.0), (900.0, 901.0)]);
        assert_eq!(promised.missing_packets(&far, true).1, 8);
        assert_eq!(promised.missing_packets(&far, false).1, 0);
    }

    #[test]
    fn a_rounded_duration_is_no_loss_unless_there_is_damage() {
        let promised = Promised {
            end_secs: Some(2.5),
            frame_secs: Some(0.04),
            ..Promised::default()
        };
        let whole = read(&[(0.0, 1.0), (1.0, 2.0)]);
        assert_eq!(promised.missing_secs(&whole, false), None);
        assert_eq!(promised.missing_secs(&whole, true), Some(0.5));
    }
}
