//! Reading a clip once, from its first packet to its last: frames decoded, everything else handed through.
//!
//! ```text
//! file ─▶ packets ─┬─ video ─▶ decoder ─▶ frame ─┐
//!                  └─ the rest ──────────────────┴─▶ Unit { packets, frame }, in file order
//! ```
//! Invariant: every frame the decoder holds is drained at the end of the file, with its own timestamp.
//!
//! `describe` is what the container says of itself, `dating` gives frames their timestamps, `extent` tells a file that
//! was cut from one that ends, `selection` leaves packets out, `memory` is what decoding takes.
#![expect(unsafe_code, reason = "owns an AVCodecContext")]

use std::path::Path;
use std::ptr;

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::{AvError, check};
use crate::clip::Clip;
use crate::demux::{Demuxer, Interrupt};
use crate::frame::Frame;
use crate::limits;
use crate::orientation::Orientation;
use crate::packet::Packet;
use crate::pixel_format::PixelFormat;
use crate::side_data;
use crate::tags::ColourTags;
use dating::Dating;
pub(crate) use describe::describe;
pub(crate) use extent::Extent;
use selection::Selection;
pub(crate) use selection::{Action, Actions};

mod dating;
mod describe;
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

/// What was found wrong while reading; complete once [`Decoder::next_unit`] has returned `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Frames the decoder marked as damaged, delivered all the same.
    pub corrupt_frames: u64,
    /// Video packets the decoder refused; their frames are missing.
    pub refused_packets: u64,
    /// Frames whose timestamp was missing or did not increase, and was moved behind the one before.
    pub repaired_timestamps: u64,
    /// The file ends before its own table of contents or duration says so.
    pub truncated: Option<String>,
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
    extent: Extent,
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
        let mut decoder = Self {
            clip: describe(&demuxer, index),
            demuxer,
            context,
            packets: Vec::new(),
            pending_bytes: 0,
            first: None,
            dating: Dating::default(),
            extent: Extent::default(),
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
            match self.receive()? {
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
            match self.receive()? {
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
                None => self.receive()?,
            };
            match received {
                Received::Frame(frame) => {
                    self.frames_left = self.frames_left.map(|left| left - 1);
                    return Ok(Some(self.unit(Some(frame))));
                }
                Received::NeedsPacket => self.feed()?,
                Received::End if self.packets.is_empty() => {
                    if self.at_end && self.from_start && self.health.truncated.is_none() {
                        self.health.truncated = self.extent.missing(&self.demuxer, &self.clip);
                    }
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

    fn receive(&mut self) -> Result<Received, Error> {
        let mut frame = Frame::empty();
        // SAFETY: the context is open, the frame empty and owned.
        match check(unsafe { ffi::avcodec_receive_frame(self.context, frame.as_ptr()) }) {
            Ok(_) => {
                let repaired = self.dating.date(&mut frame, &self.clip.video);
                self.health.repaired_timestamps += u64::from(repaired);
                self.health.corrupt_frames += u64::from(frame.is_corrupt());
                Ok(Received::Frame(frame))
            }
            Err(error) if error.is_again() => Ok(Received::NeedsPacket),
            Err(AvError::EOF) => self.resume(),
            // A frame that cannot be decoded at all; the decoder goes on with the next packet.
            Err(error) if is_unfit_frame(error) => {
                self.health.refused_packets += 1;
                Ok(Received::NeedsPacket)
            }
            Err(cause) => Err(Error::Av {
                call: "decoding",
                cause,
            }),
        }
    }

    /// Reads one packet: into the decoder if it is ours, else onto the pile; at the end of the file starts draining.
    fn feed(&mut self) -> Result<(), Error> {
        let Some(packet) = self.demuxer.read()? else {
            self.at_end = true;
            return self.send(ptr::null());
        };
        self.extent
            .note_packet(&packet, self.demuxer.stream(packet.stream()));
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
                return self.send(ptr::null());
            }
            selection.has_begun = true;
            self.skip_unused_frames(action == Action::DecodeIfReference);
        }
        self.dating.note_packet(&packet);
        self.send(packet.as_ptr())
    }

    /// After the last frame of what was decoded in one go: begins again with the packet that follows, if there is one.
    fn resume(&mut self) -> Result<Received, Error> {
        let Some(packet) = self.selection.as_mut().and_then(|it| it.held.take()) else {
            return Ok(Received::End);
        };
        // SAFETY: the context is open.
        unsafe { ffi::avcodec_flush_buffers(self.context) }
        self.skip_unused_frames(false);
        self.dating.note_packet(&packet);
        self.send(packet.as_ptr())?;
        Ok(Received::NeedsPacket)
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

    fn send(&mut self, packet: *const ffi::AVPacket) -> Result<(), Error> {
        // SAFETY: the context is open; the packet is null (drain) or valid through the call.
        match check(unsafe { ffi::avcodec_send_packet(self.context, packet) }) {
            Ok(_) | Err(AvError::EOF) => Ok(()),
            // Any other refusal is damage in the data: the packet is lost, the film is not.
            Err(error) if error.io_kind() != Some(std::io::ErrorKind::OutOfMemory) => {
                self.health.refused_packets += 1;
                Ok(())
            }
            Err(cause) => Err(Error::Av {
                call: "decoding",
                cause,
            }),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: frees the context this value owns.
        unsafe { ffi::avcodec_free_context(&raw mut self.context) }
    }
}

/// Damage, or a frame of more pixels than the decoder was opened for.
fn is_unfit_frame(error: AvError) -> bool {
    error == AvError::INVALID_DATA || error.io_kind() == Some(std::io::ErrorKind::InvalidInput)
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
