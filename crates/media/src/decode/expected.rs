//! Frames that the packets of a video should have given, against those that came. A decoder may drop a damaged packet
//! without an error.

use ffmpeg_sys_the_third as ffi;

use crate::frame::Frame;
use crate::packet::Packet;
use crate::sample::gives_frame;

/// Counts both. Frames that are shown before the first one that came are not expected: a recording may begin in the middle
/// of a group, which no player shows.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Timestamps of packets before the first frame; `None` where they have none.
    before_first: Vec<Option<i64>>,
    first_pts: Option<i64>,
    packets: u64,
    frames: u64,
    /// A packet may be a field, half a frame, or its codec not one of those of which a packet is known to give a frame.
    is_unsure: bool,
}

impl Expected {
    /// Takes in a packet that was sent to the decoder of `codec`. One `beyond_end` has a damaged timestamp.
    pub(super) fn note_packet(&mut self, packet: &Packet, codec: ffi::AVCodecID, beyond_end: bool) {
        let raw = packet.raw();
        // An edit list leaves it out; it also does so with one whose timestamp was damaged.
        if raw.flags & ffi::AV_PKT_FLAG_DISCARD != 0 && !beyond_end {
            return;
        }
        match gives_frame(codec, packet.data()) {
            Some(true) => {}
            Some(false) => return,
            None => self.is_unsure = true,
        }
        let pts = (raw.pts != ffi::AV_NOPTS_VALUE).then_some(raw.pts);
        match self.first_pts {
            None => self.before_first.push(pts),
            Some(first) => self.packets += u64::from(pts.is_none_or(|pts| pts >= first)),
        }
    }

    /// Takes in a frame that came.
    pub(super) fn note_frame(&mut self, frame: &Frame) {
        self.frames += 1;
        self.is_unsure |= frame.is_interlaced();
        if self.first_pts.is_none() {
            let first = frame.raw().best_effort_timestamp;
            self.first_pts = Some(first);
            let before = std::mem::take(&mut self.before_first);
            let expected = before
                .iter()
                .filter(|pts| pts.is_none_or(|pts| pts >= first));
            self.packets += expected.count() as u64;
        }
    }

    /// Packets of which no frame came; complete after the last frame.
    pub(super) fn undecodable(&self) -> u64 {
        if self.is_unsure {
            0
        } else {
            self.packets.saturating_sub(self.frames)
        }
    }
}
