//! Which frames depend on a damaged packet: those of its group, from the packet on, until the next key frame.
//!
//! In codecs without groups every frame is a key frame, so nothing else depends on it. With a decoder
//! of several threads, an error is known later than the packet it belongs to, so the answer is exact for one thread only.

use std::collections::VecDeque;

use ffmpeg_sys_the_third as ffi;

use crate::packet::Packet;

/// Stretches of the video, by timestamp, in which frames cannot be trusted.
#[derive(Debug, Default)]
pub(super) struct Damage {
    stretches: VecDeque<Stretch>,
    /// Timestamp of the packet that was sent last.
    last: Option<i64>,
}

/// From the first timestamp that a packet from the damaged one on has, to that of the next key frame.
#[derive(Debug)]
struct Stretch {
    from: i64,
    until: Option<i64>,
}

impl Damage {
    /// Takes in a packet before it is decoded.
    pub(super) fn note_packet(&mut self, packet: &Packet) {
        let raw = packet.raw();
        let Some(pts) = [raw.pts, raw.dts]
            .into_iter()
            .find(|&it| it != ffi::AV_NOPTS_VALUE)
        else {
            self.last = None;
            return;
        };
        self.note(pts, raw.flags & ffi::AV_PKT_FLAG_KEY != 0);
        if raw.flags & ffi::AV_PKT_FLAG_CORRUPT != 0 {
            self.mark();
        }
    }

    fn note(&mut self, pts: i64, is_key: bool) {
        self.last = Some(pts);
        let Some(stretch) = self.stretches.back_mut() else {
            return;
        };
        match stretch.until {
            None if is_key => stretch.until = Some(pts),
            // Frames shown before the key frame they follow in the file are predicted from the group before.
            Some(until) if pts >= until => {}
            _ => stretch.from = stretch.from.min(pts),
        }
    }

    /// The packet that was sent last is damaged.
    pub(super) fn mark(&mut self) {
        let from = self.last.unwrap_or(i64::MIN);
        match self.stretches.back_mut() {
            Some(open) if open.until.is_none() => open.from = open.from.min(from),
            _ => self.stretches.push_back(Stretch { from, until: None }),
        }
    }

    /// Whether the frame shown at `pts` depends on damage that is known by now. Asked in rising order.
    pub(super) fn reaches(&mut self, pts: i64) -> bool {
        while self
            .stretches
            .front()
            .is_some_and(|it| it.until.is_some_and(|until| until <= pts))
        {
            self.stretches.pop_front();
        }
        self.stretches.iter().any(|it| it.from <= pts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Timestamps and marks of key frames in file order; the packet with the number `bad` is damaged.
    fn reached(packets: &[(i64, bool)], bad: usize) -> Vec<i64> {
        let mut damage = Damage::default();
        for (n, &(pts, is_key)) in packets.iter().enumerate() {
            damage.note(pts, is_key);
            if n == bad {
                damage.mark();
            }
        }
        let mut shown: Vec<i64> = packets.iter().map(|it| it.0).collect();
        shown.sort_unstable();
        shown.retain(|&pts| damage.reaches(pts));
        shown
    }

    #[test]
    fn damage_reaches_to_the_next_key_frame() {
        let packets = [
            (0, true),
            (1, false),
            (2, false),
            (3, false),
            (4, true),
            (5, false),
        ];
        assert_eq!(reached(&packets, 2), [2, 3]);
        assert_eq!(reached(&packets, 4), [4, 5]);
    }

    #[test]
    fn a_frame_that_is_shown_earlier_but_decoded_later_is_reached() {
        // I0 P3 B1 B2 │ I6 B4 B5
        let packets = [
            (0, true),
            (3, false),
            (1, false),
            (2, false),
            (6, true),
            (4, false),
            (5, false),
        ];
        assert_eq!(reached(&packets, 1), [1, 2, 3, 4, 5]);
        assert_eq!(reached(&packets, 2), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn of_pictures_that_stand_for_themselves_only_the_damaged_one_is_reached() {
        let packets = [(0, true), (1, true), (2, true)];
        assert_eq!(reached(&packets, 1), [1]);
    }
}
