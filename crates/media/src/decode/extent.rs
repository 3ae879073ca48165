//! How far a file was read, against what it announces. FFmpeg itself reports a cut file as a normal end.

use ffmpeg_sys_the_third as ffi;

use crate::clip::Clip;
use crate::demux::Demuxer;
use crate::packet::Packet;

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// End of the furthest packet of any stream, in seconds.
    read_until_secs: f64,
    /// Packets of the video.
    pub(crate) video_packets: u64,
}

impl Extent {
    /// Takes in where a packet of `stream` ends.
    pub(crate) fn note_packet(&mut self, packet: &Packet, stream: &ffi::AVStream) {
        let raw = packet.raw();
        let start = if raw.pts == ffi::AV_NOPTS_VALUE {
            raw.dts
        } else {
            raw.pts
        };
        if start != ffi::AV_NOPTS_VALUE {
            let tick = f64::from(stream.time_base.num) / f64::from(stream.time_base.den);
            let end = (start + raw.duration) as f64 * tick;
            self.read_until_secs = self.read_until_secs.max(end);
        }
    }

    /// End of the furthest packet of any stream, in seconds.
    pub(crate) fn read_until_secs(&self) -> f64 {
        self.read_until_secs
    }

    /// What is missing of a file that was read to its end, by its own announcements; none where it is whole.
    pub(crate) fn missing(&self, demuxer: &Demuxer, clip: &Clip) -> Option<String> {
        let raw = demuxer.raw();
        let start = if raw.start_time == ffi::AV_NOPTS_VALUE {
            0.0
        } else {
            raw.start_time as f64 / 1e6
        };
        // MP4 counts from the beginning of its time line, of which an empty edit may leave a part without packets.
        let start = if clip.container.starts_with("mov") {
            start.min(0.0)
        } else {
            start
        };
        let announced = clip.duration_secs.map(|duration| start + duration);
        let indexed = clip
            .video
            .n_frames
            .filter(|count| count.exact)
            .map(|count| count.frames);
        let missing_secs = announced.map(|end| end - self.read_until_secs);
        match (missing_secs, indexed) {
            // An index alone proves nothing: an edit list may leave packets out, and the duration knows.
            (None | Some(0.1..), Some(frames)) if self.video_packets < frames => Some(format!(
                "{} of {frames} video packets are there",
                self.video_packets
            )),
            // A second, or one per cent: durations in headers are rounded and may count a last subtitle.
            (Some(missing), _) if missing > (0.01 * self.read_until_secs).max(1.0) => {
                Some(format!(
                    "it ends at {:.1} of {:.1} seconds",
                    self.read_until_secs,
                    self.read_until_secs + missing
                ))
            }
            _ if demuxer.ended_badly() => Some("its data cannot be read on".into()),
            _ => None,
        }
    }
}
