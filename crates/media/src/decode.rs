//! Reading a clip once, from its first packet to its last: frames decoded, everything else handed through.
//!
//! ```text
//! file ─▶ packets ─┬─ video ─▶ decoder ─▶ frame ─┐
//!                  └─ the rest ──────────────────┴─▶ Unit { packets, frame }, in file order
//! ```
//! Invariant: every frame the decoder holds is drained at the end of the file, with its own timestamp.
//!
//! `describe` is what the container says of itself, `dating` gives frames their timestamps, `extent` tells a file that
//! was cut from one that ends, `expected` counts packets that gave no frame, `damage` knows which frames depend on them,
//! `selection` leaves packets out, `memory` is what decoding takes.
#![expect(unsafe_code, reason = "owns an AVCodecContext")]

use std::path::Path;
use std::ptr;

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::{AvError, check};
use crate::clip::Clip;
use crate::demux::{Demuxer, Interrupt};
use crate::frame::Frame;
use crate::health::Health;
use crate::limits;
use crate::orientation::Orientation;
use crate::packet::Packet;
use crate::pixel_format::PixelFormat;
use crate::side_data;
use crate::tags::ColourTags;
use damage::Damage;
use dating::Dating;
pub(crate) use describe::describe;
use expected::Expected;
pub(crate) use extent::{Extent, Promised};
use selection::Selection;
pub(crate) use selection::{Action, Actions};

mod damage;
mod dating;
mod describe;
mod expected;
mod extent;
mod memory;
mod selection;

/// A step through the file: the packets to copy that stand before a frame, and the frame.
pub struct Unit {
    /// Packets of the other streams, in file order.
    pub packets: Vec<Packet>,
    /// The next frame in presentation order; `None` behind the last one, or when many packets came without a frame.
    pub frame: Option<Frame>,
}

/// Packets without a frame are handed on when they reach this size, so that memory stays bounded in files that store
/// streams one behind the other.
const MAX_PENDING_BYTES: usize = 4 << 20;

/// Reads one clip. See the module for the flow.
pub struct Decoder {
    demuxer: Demuxer,
    context: *mut ffi::AVCodecContext,
    clip: Clip,
    packets: Vec<Packet>,
    pending_bytes: usize,
    /// The first frame, decoded by `open` to learn what the container does not say.
    first: Option<Frame>,
    dating: Dating,
    promised: Promised,
    extent: Extent,
    expected: Expected,
    damage: Damage,
    /// Errors logged when reading began: those of opening the file, or of what was read before a jump.
    logged_before: u64,
    /// Whether reading began where the file begins, so that what it announces can be checked.
    from_start: bool,
    /// Which packets of the video are decoded; all of them where nothing is said.
    selection: Option<Selection>,
    /// Frames that are still to be delivered; all of them where nothing is said.
    frames_left: Option<u64>,
    at_end: bool,
    health: Health,
}

// SAFETY: the codec context is used by whoever owns this value, one thread at a time.
unsafe impl Send for Decoder {}
// SAFETY: `&Decoder` gives out `&Clip` and reads stream fields only.
unsafe impl Sync for Decoder {}

impl Decoder {
    /// Opens `path`, chooses its video stream as players do, and decodes the first frame.
    ///
    /// `threads`: frame and slice threads of the decoder, 0 = one per core; large frames have fewer.
    ///
    /// # Errors
    /// [`Error::Open`] when the file cannot be read, [`Error::BadInput`] when it is not a video or no frame decodes.
    pub fn open(path: &Path, threads: usize, interrupt: &Interrupt) -> Result<Self, Error> {
        Self::open_selected(path, threads, interrupt, None)
    }

    /// As [`open`](Self::open), but of the packets of the video only those are decoded that the actions say, one for
    /// each in file order. The first frame that comes out of them is the first one then.
    pub(crate) fn open_selected(
        path: &Path,
        threads: usize,
        interrupt: &Interrupt,
        actions: Option<Actions>,
    ) -> Result<Self, Error> {
        let demuxer = Demuxer::open(path, interrupt)?;
        let (index, codec) = demuxer.best_video()?;
        let context = open_codec(&demuxer, index, codec, threads)?;
        let clip = describe(&demuxer, index);
        let mut decoder = Self {
            promised: Promised::of(&demuxer, &clip),
            clip,
            demuxer,
            context,
            packets: Vec::new(),
            pending_bytes: 0,
            first: None,
            dating: Dating::default(),
            extent: Extent::default(),
            expected: Expected::default(),
            damage: Damage::default(),
            logged_before: 0,
            from_start: true,
            selection: actions.map(Selection::new),
            frames_left: None,
            at_end: false,
            health: Health::default(),
        };
        decoder.first = decoder.decode_first()?;
        Ok(decoder)
    }

    fn decode_first(&mut self) -> Result<Option<Frame>, Error> {
        let frame = loop {
            match self.receive() {
                Received::Frame(frame) => break frame,
                Received::NeedsPacket => self.feed()?,
                Received::End => {
                    return Err(Error::BadInput {
                        reason: self.nothing_decodes(),
                        path: self.clip.path.clone(),
                    });
                }
            }
        };
        let video = &mut self.clip.video;
        (video.width, video.height) = (frame.width(), frame.height());
        video.pixel_format = frame.pixel_format();
        video.tags = ColourTags::of(&frame);
        Ok(Some(frame))
    }

    /// What the file holds.
    pub fn clip(&self) -> &Clip {
        &self.clip
    }

    /// How players turn the stored picture.
    pub fn orientation(&self) -> Orientation {
        let stream = self.demuxer.stream(self.clip.video.index);
        side_data::orientation(&side_data::of_stream(stream))
    }

    /// Stops reading the packets of a stream that is not to be copied.
    pub fn leave_out(&mut self, stream: usize) {
        self.demuxer.discard(stream);
        self.packets.retain(|packet| packet.stream() != stream);
    }

    /// Begins at the first frame that is shown `secs` after the first of the video, instead of at that one: reads from
    /// the key frame at or before it, and drops what comes between. Only before anything was read by
    /// [`next_unit`](Self::next_unit); what the container announces is not checked any more.
    ///
    /// # Errors
    /// [`Error::BadInput`] when the video ends before, or when the file cannot be searched.
    ///
    /// # Panics
    /// When the first frame was delivered already.
    pub fn seek(&mut self, secs: f64) -> Result<(), Error> {
        let first = self.first.as_ref().expect("nothing has been read yet");
        let zero = first
            .pts()
            .expect("a decoded frame was given its timestamp");
        let ticks = secs / self.clip.video.time_base.as_f64();
        let target = zero.saturating_add(ticks.round() as i64);
        if target <= zero {
            return Ok(());
        }
        let bad = |reason: String| Error::BadInput {
            reason,
            path: self.clip.path.clone(),
        };
        let unseekable =
            || bad("this file cannot be searched, it can only be read from its start".into());
        let beyond = || bad(format!("the video ends before second {secs}"));
        // Most demuxers go to the last key frame when asked for more than there is.
        if !self.demuxer.seek(self.clip.video.index, target) {
            let is_long = self.clip.duration_secs.is_none_or(|end| secs < end);
            return Err(if is_long { unseekable() } else { beyond() });
        }
        let (unseekable, beyond) = (unseekable(), beyond());
        // SAFETY: the context is open.
        unsafe { ffi::avcodec_flush_buffers(self.context) }
        self.restart();
        loop {
            match self.receive() {
                // A demuxer that moved, but not to a place it knows the time of.
                Received::Frame(frame)
                    if frame.raw().best_effort_timestamp == ffi::AV_NOPTS_VALUE =>
                {
                    return Err(unseekable);
                }
                Received::Frame(frame) if frame.pts().is_some_and(|pts| pts >= target) => {
                    self.first = Some(frame);
                    return Ok(());
                }
                Received::Frame(_) => self.packets.clear(),
                Received::NeedsPacket => self.feed()?,
                Received::End => return Err(beyond),
            }
            self.pending_bytes = 0;
        }
    }

    /// Forgets what was read before a jump.
    fn restart(&mut self) {
        self.packets.clear();
        self.pending_bytes = 0;
        self.first = None;
        self.dating = Dating::default();
        self.at_end = false;
        self.from_start = false;
        self.health = Health::default();
        self.expected = Expected::default();
        self.damage = Damage::default();
        self.logged_before = self.demuxer.log().total();
    }

    /// Ends after `frames` more frames, as if the video did.
    pub fn end_after(&mut self, frames: u64) {
        self.frames_left = Some(frames);
    }

    /// The first frame, until [`next_unit`](Self::next_unit) has delivered it.
    pub(crate) fn first(&self) -> Option<&Frame> {
        self.first.as_ref()
    }

    pub(crate) fn demuxer(&self) -> &Demuxer {
        &self.demuxer
    }

    /// The next frame with the packets before it; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Read`] when the operating system fails; damage in the data is not an error but counted in
    /// [`health`](Self::health).
    pub fn next_unit(&mut self) -> Result<Option<Unit>, Error> {
        if self.frames_left == Some(0) {
            return Ok(None);
        }
        loop {
            let received = match self.first.take() {
                Some(frame) => Received::Frame(frame),
                None => self.receive(),
            };
            match received {
                Received::Frame(frame) => {
                    self.frames_left = self.frames_left.map(|left| left - 1);
                    return Ok(Some(self.unit(Some(frame))));
                }
                Received::NeedsPacket => self.feed()?,
                Received::End if self.packets.is_empty() => {
                    self.complete_health();
                    return Ok(None);
                }
                Received::End => return Ok(Some(self.unit(None))),
            }
            let is_long = self.selection.as_ref().is_some_and(Selection::is_long);
            if self.pending_bytes > MAX_PENDING_BYTES || is_long {
                return Ok(Some(self.unit(None)));
            }
        }
    }

    /// What was found wrong so far.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Whether anything was found damaged so far, as [`Health::is_damaged`], with what FFmpeg has logged up to now.
    pub(crate) fn is_damaged(&self) -> bool {
        self.health.is_damaged() || self.demuxer.log().total() > self.logged_before
    }

    /// Judges what came once nothing more comes.
    fn complete_health(&mut self) {
        self.health.read_errors = self.demuxer.read_errors();
        if self.demuxer.log().total() > self.logged_before {
            self.health.logged_errors = self.demuxer.log().kinds();
        }
        if !self.at_end || !self.from_start || self.selection.is_some() {
            return;
        }
        let refused = self.health.undecodable_packets;
        self.health.undecodable_packets = refused.max(self.expected.undecodable());
        self.extent
            .judge(&self.promised, &self.demuxer, &mut self.health);
    }

    fn unit(&mut self, frame: Option<Frame>) -> Unit {
        self.pending_bytes = 0;
        if let Some(selection) = &mut self.selection {
            selection.packets_in_unit = 0;
        }
        Unit {
            packets: std::mem::take(&mut self.packets),
            frame,
        }
    }

    fn receive(&mut self) -> Received {
        let mut frame = Frame::empty();
        let logged = self.demuxer.log().total();
        // SAFETY: the context is open, the frame empty and owned.
        let received = check(unsafe { ffi::avcodec_receive_frame(self.context, frame.as_ptr()) });
        self.mark_damage_since(logged);
        match received {
            Ok(_) => {
                self.expected.note_frame(&frame);
                let repaired = self.dating.date(&mut frame, &self.clip.video);
                frame.depends_on_damage = self.damage.reaches(frame.raw().pts);
                self.health.frames += 1;
                self.health.repaired_timestamps += u64::from(repaired);
                self.health.corrupt_frames += u64::from(frame.is_corrupt());
                Received::Frame(frame)
            }
            Err(error) if error.is_again() => Received::NeedsPacket,
            Err(AvError::EOF) => self.resume(),
            // A frame that cannot be decoded: the film goes on with the next packet, whatever the decoder calls it.
            Err(_) => {
                self.refuse();
                Received::NeedsPacket
            }
        }
    }

    /// A packet gave an error instead of a frame.
    fn refuse(&mut self) {
        self.health.undecodable_packets += 1;
        self.damage.mark();
    }

    /// What was logged during a call is about the packet it works on.
    fn mark_damage_since(&mut self, logged: u64) {
        if self.demuxer.log().total() > logged {
            self.damage.mark();
        }
    }

    /// Reads one packet: into the decoder if it is ours, else onto the pile; at the end of the file starts draining.
    fn feed(&mut self) -> Result<(), Error> {
        let Some(packet) = self.demuxer.read()? else {
            self.at_end = true;
            self.send(ptr::null());
            return Ok(());
        };
        self.extent
            .note_packet(&packet, self.demuxer.stream(packet.stream()));
        let is_cut = packet.raw().flags & ffi::AV_PKT_FLAG_CORRUPT != 0;
        self.health.damaged_packets += u64::from(is_cut);
        if packet.stream() != self.clip.video.index {
            self.pending_bytes += packet.size_bytes();
            self.packets.push(packet);
            return Ok(());
        }
        self.extent.video_packets += 1;
        if let Some(selection) = &mut self.selection {
            let action = selection.next();
            if action == Action::Skip {
                return Ok(());
            }
            if action == Action::Restart && selection.has_begun {
                selection.held = Some(packet);
                self.send(ptr::null());
                return Ok(());
            }
            selection.has_begun = true;
            self.skip_unused_frames(action == Action::DecodeIfReference);
        }
        self.send_packet(&packet);
        Ok(())
    }

    /// After the last frame of what was decoded in one go: begins again with the packet that follows, if there is one.
    fn resume(&mut self) -> Received {
        let Some(packet) = self.selection.as_mut().and_then(|it| it.held.take()) else {
            return Received::End;
        };
        // SAFETY: the context is open.
        unsafe { ffi::avcodec_flush_buffers(self.context) }
        self.skip_unused_frames(false);
        self.send_packet(&packet);
        Received::NeedsPacket
    }

    /// Whether the decoder leaves out frames that no other is predicted from, from the next packet on.
    fn skip_unused_frames(&mut self, skip: bool) {
        let discard = if skip {
            ffi::AVDiscard::NONREF
        } else {
            ffi::AVDiscard::DEFAULT
        };
        // SAFETY: the context is open; the field is there for callers to set between packets.
        unsafe { (*self.context).skip_frame = discard }
    }

    fn send_packet(&mut self, packet: &Packet) {
        // An empty one repeats the frame before; to the decoder it would mean the end.
        if packet.size_bytes() == 0 {
            return;
        }
        self.dating.note_packet(packet);
        self.damage.note_packet(packet);
        let video = self.clip.video.index;
        let codec = self.demuxer.parameters(video).codec_id;
        let beyond_end = self
            .promised
            .is_beyond_end(packet, self.demuxer.stream(video));
        self.expected.note_packet(packet, codec, beyond_end);
        self.send(packet.as_ptr());
    }

    /// Gives the decoder a packet, or the end (null). A refusal is damage in the data: the packet is lost, the film is not.
    fn send(&mut self, packet: *const ffi::AVPacket) {
        let logged = self.demuxer.log().total();
        // SAFETY: the context is open; the packet is null (drain) or valid through the call.
        let sent = check(unsafe { ffi::avcodec_send_packet(self.context, packet) });
        self.mark_damage_since(logged);
        if sent.is_err_and(|error| error != AvError::EOF) {
            self.refuse();
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: frees the context this value owns.
        unsafe { ffi::avcodec_free_context(&raw mut self.context) }
    }
}

enum Received {
    Frame(Frame),
    NeedsPacket,
    End,
}

fn open_codec(
    demuxer: &Demuxer,
    index: usize,
    codec: *const ffi::AVCodec,
    threads: usize,
) -> Result<*mut ffi::AVCodecContext, Error> {
    // SAFETY: `codec` is a static pointer; the context is freed on every error path below.
    let mut context = unsafe { ffi::avcodec_alloc_context3(codec) };
    assert!(!context.is_null(), "out of memory");
    // SAFETY: the context was just allocated, parameters and codec match; no options dictionary.
    let opened = unsafe {
        check(ffi::avcodec_parameters_to_context(
            context,
            demuxer.parameters(index),
        ))
        .and_then(|_| {
            let (width, height) = ((*context).width, (*context).height);
            let format = PixelFormat((*context).pix_fmt);
            (*context).opaque = demuxer.log().opaque();
            (*context).thread_count =
                limits::decoder_threads(threads, format, width, height) as i32;
            (*context).max_pixels = limits::max_pixels(width, height);
            (*context).thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
            (*context).pkt_timebase = demuxer.stream(index).time_base;
            check(ffi::avcodec_open2(context, codec, ptr::null_mut()))
        })
    };
    match opened {
        Ok(_) => Ok(context),
        Err(error) => {
            // SAFETY: frees the context allocated above.
            unsafe { ffi::avcodec_free_context(&raw mut context) };
            let reason = format!("the video's decoder does not start ({error})");
            Err(Error::BadInput {
                reason,
                path: demuxer.path.clone(),
            })
        }
    }
}
