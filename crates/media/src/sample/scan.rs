//! A pass over the packets of a file, nothing decoded: what is there, when it is shown, and how sure that is.
#![expect(unsafe_code, reason = "reads packets")]

use std::path::Path;
use std::slice;

use ffmpeg_sys_the_third as ffi;

use super::bitstream::Syntax;
use crate::Error;
use crate::clip::Clip;
use crate::decode::{Extent, Promised, describe};
use crate::demux::{Demuxer, Interrupt};
use crate::health::Health;
use crate::packet::Packet;

/// A packet of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// When its frame is shown.
    pub(super) pts: i64,
    /// Decoding can begin with it.
    pub(super) is_start: bool,
    /// It gives a frame.
    pub(super) is_shown: bool,
}

/// What a file holds.
pub(super) struct Scan {
    /// What the container says; nothing of it was decoded.
    pub(super) clip: Clip,
    /// The packets of the video in file order; none of them any more once something is not certain.
    pub(super) packets: Vec<Seen>,
    /// Packets of the video.
    pub(super) n_packets: u64,
    /// Number of the second packet that the container marks as key frame.
    pub(super) second_marked: Option<u64>,
    /// Number of the last one.
    pub(super) last_marked: Option<u64>,
    /// How the packets are read.
    pub(super) syntax: Option<Syntax>,
    /// Frames that no other needs may be left out.
    pub(super) may_skip_unused: bool,
    /// The decoder may mark frames as key frames with which decoding cannot begin.
    pub(super) has_recovery_points: bool,
    /// Why the frames do not follow from the packets with certainty.
    pub(super) unsure: Option<&'static str>,
    /// What is missing of the file, by its own announcements.
    pub(super) truncated: Option<String>,
    /// End of the last packet, in seconds.
    pub(super) read_until_secs: f64,
}

/// Above this many packets (19 hours at 60 frames per second) everything is decoded: what is noted of them and planned for
/// them takes 50 bytes each.
const MAX_PACKETS: usize = 1 << 22;

impl Scan {
    /// Reads the whole file. `step` is called for every packet.
    pub(super) fn read(
        path: &Path,
        interrupt: &Interrupt,
        step: &mut (dyn FnMut() + Send),
    ) -> Result<Self, Error> {
        let mut demuxer = Demuxer::open(path, interrupt)?;
        let (index, _) = demuxer.best_video()?;
        let clip = describe(&demuxer, index);
        let syntax = syntax_of(&demuxer, index);
        let mut scan = Self {
            unsure: match syntax {
                None => Some("its codec is not one of those whose packets are known"),
                Some(_) if clip.video.interlaced => Some("it is interlaced"),
                Some(_) => None,
            },
            may_skip_unused: syntax.is_some_and(Syntax::has_unused_frames),
            clip,
            packets: Vec::new(),
            n_packets: 0,
            second_marked: None,
            last_marked: None,
            syntax,
            has_recovery_points: false,
            truncated: None,
            read_until_secs: 0.0,
        };
        let mut parameters = Parameters::default();
        let mut extent = Extent::default();
        let promised = Promised::of(&demuxer, &scan.clip);
        while let Some(packet) = demuxer.read()? {
            step();
            extent.note_packet(&packet, demuxer.stream(packet.stream()));
            if packet.stream() == index {
                extent.video_packets += 1;
                scan.note(&packet, &mut parameters);
            }
        }
        let mut health = Health {
            read_errors: demuxer.read_errors(),
            logged_errors: demuxer.log().kinds(),
            ..Health::default()
        };
        extent.judge(&promised, &demuxer, &mut health);
        scan.truncated = health.truncated;
        scan.read_until_secs = extent.read_until_secs();
        scan.judge(&parameters);
        Ok(scan)
    }

    fn note(&mut self, packet: &Packet, parameters: &mut Parameters) {
        let marked_key = packet.raw().flags & ffi::AV_PKT_FLAG_KEY != 0;
        if marked_key {
            if self.n_packets > 0 {
                self.second_marked.get_or_insert(self.n_packets);
            }
            self.last_marked = Some(self.n_packets);
        }
        self.n_packets += 1;
        if self.unsure.is_some() {
            return;
        }
        match self.look(packet, marked_key, parameters) {
            Ok(seen) => self.packets.push(seen),
            Err(why) => self.give_up(why),
        }
    }

    fn look(
        &mut self,
        packet: &Packet,
        marked_key: bool,
        parameters: &mut Parameters,
    ) -> Result<Seen, &'static str> {
        let raw = packet.raw();
        let flags = ffi::AV_PKT_FLAG_CORRUPT | ffi::AV_PKT_FLAG_DISCARD;
        if raw.pts == ffi::AV_NOPTS_VALUE {
            return Err("not every packet has a timestamp");
        }
        if raw.flags & flags != 0 {
            return Err("the container marks packets as damaged or not shown");
        }
        if changes_parameters(packet) {
            return Err("its parameters change in its middle");
        }
        if self.packets.len() == MAX_PACKETS {
            return Err("it has very many frames");
        }
        let data = packet.data();
        let facts = self.syntax.and_then(|syntax| syntax.read(data, marked_key));
        let facts = facts.ok_or("a packet is not one whole frame")?;
        if facts.has_parameters && !facts.is_start {
            return Err("its parameters change in its middle");
        }
        if facts.is_start {
            parameters.note(facts.has_parameters);
        }
        self.may_skip_unused &= !facts.has_layers;
        self.has_recovery_points |= facts.is_recovery_point && !facts.is_start;
        Ok(Seen {
            pts: raw.pts,
            is_start: facts.is_start,
            is_shown: facts.is_shown,
        })
    }

    fn give_up(&mut self, why: &'static str) {
        self.unsure = Some(why);
        self.packets = Vec::new();
    }

    /// What only the whole tells.
    fn judge(&mut self, parameters: &Parameters) {
        let Some(syntax) = self.syntax else { return };
        if self.unsure.is_some() {
            return;
        }
        let Some(first) = self.packets.first() else {
            return self.give_up("it has no packets");
        };
        let leading = |packets: &[Seen]| packets.iter().any(|it| it.pts < packets[0].pts);
        if !first.is_start {
            return self.give_up("it does not begin with a key frame");
        }
        let mut groups = self.packets.chunk_by(|_, next| !next.is_start);
        if groups.next().is_some_and(leading) {
            return self.give_up("frames are shown before the first key frame");
        }
        if !syntax.reorders() && groups.any(leading) {
            return self.give_up("frames are shown before the key frame they stand behind");
        }
        if parameters.are_partial() {
            return self.give_up("only some key frames have parameters");
        }
        if self.truncated.is_some() {
            return self.give_up("it is cut off");
        }
        let mut shown: Vec<i64> = self.shown().map(|it| it.pts).collect();
        shown.sort_unstable();
        if shown.is_empty() || shown.windows(2).any(|pair| pair[0] == pair[1]) {
            self.give_up("timestamps occur twice");
        }
    }

    /// The packets that give a frame, in file order.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Seen> {
        self.packets.iter().filter(|it| it.is_shown)
    }
}

/// Whether the starts behind the first one carry parameter sets: all must, or none.
#[derive(Debug, Default)]
struct Parameters {
    starts: u64,
    with: u64,
}

impl Parameters {
    fn note(&mut self, has_parameters: bool) {
        self.with += u64::from(has_parameters && self.starts > 0);
        self.starts += 1;
    }

    fn are_partial(&self) -> bool {
        self.with > 0 && self.with + 1 < self.starts
    }
}

fn syntax_of(demuxer: &Demuxer, index: usize) -> Option<Syntax> {
    let parameters = demuxer.parameters(index);
    // SAFETY: returns null or a static descriptor.
    let descriptor = unsafe { ffi::avcodec_descriptor_get(parameters.codec_id).as_ref() };
    let intra_only = descriptor.is_some_and(|it| it.props & ffi::AV_CODEC_PROP_INTRA_ONLY != 0);
    let extradata = if parameters.extradata.is_null() {
        &[]
    } else {
        // SAFETY: FFmpeg keeps `extradata_size` bytes there for as long as the stream lives.
        unsafe { slice::from_raw_parts(parameters.extradata, parameters.extradata_size as usize) }
    };
    Syntax::of(parameters.codec_id, extradata, intra_only)
}

/// Whether the packet brings a new configuration of the decoder.
fn changes_parameters(packet: &Packet) -> bool {
    use ffi::AVPacketSideDataType as Kind;
    [Kind::NEW_EXTRADATA, Kind::PARAM_CHANGE]
        .iter()
        .any(|kind| {
            let size = std::ptr::null_mut();
            // SAFETY: the packet is valid; the size may be null.
            !unsafe { ffi::av_packet_get_side_data(packet.raw(), *kind, size) }.is_null()
        })
}
