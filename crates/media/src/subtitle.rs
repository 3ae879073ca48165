//! Text subtitles for a container that does not know their format: SRT, ASS and `WebVTT` as `mov_text` for MP4, and
//! `mov_text` as SRT for Matroska. The words and their times stay; styles do as far as the new format has them.
//!
//! Invariant: converting takes time that is linear in the bytes of the stream; longer subtitles are left out and counted.
#![expect(unsafe_code, reason = "owns two AVCodecContexts")]

use std::ptr;

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::{check, cstr};
use crate::clip::Stream;
use crate::container::Container;
use crate::packet::Packet;

/// Room for the text of one subtitle in its new form; FFmpeg's own tools use as much.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// Largest subtitle that is converted. FFmpeg looks through the rest of the text at each mark of it, so its time grows
/// with the square of the length: a few milliseconds for this, minutes for a megabyte. A long one has a thousand bytes.
pub(crate) const MAX_EVENT_BYTES: usize = 16 << 10;

/// Largest header with styles that is converted. Each subtitle is looked up among them.
const MAX_HEADER_BYTES: u64 = 256 << 10;

/// FFmpeg's name of the encoder that makes the subtitles of `stream` fit into `container`, if there is one.
pub(crate) fn encoder_for(container: Container, stream: &Stream) -> Option<&'static str> {
    use ffi::AVCodecID as Id;
    if stream.header_bytes > MAX_HEADER_BYTES {
        return None;
    }
    let is_text = matches!(
        stream.codec_id,
        Id::SUBRIP | Id::ASS | Id::SSA | Id::WEBVTT | Id::TEXT | Id::MOV_TEXT
    );
    match container.name().as_str() {
        "mp4" | "mov" | "ipod" if is_text => Some("mov_text"),
        "matroska" if is_text => Some("srt"),
        _ => None,
    }
}

/// Converts the packets of one subtitle stream.
pub(crate) struct Converter {
    decoder: *mut ffi::AVCodecContext,
    encoder: *mut ffi::AVCodecContext,
    text: Vec<u8>,
    /// Subtitles that could not be read.
    pub(crate) n_lost: u64,
    /// Subtitles that were too long.
    pub(crate) n_long: u64,
}

// SAFETY: the contexts are used by whoever owns this value, one thread at a time.
unsafe impl Send for Converter {}

impl Converter {
    /// For packets of `stream`, into what the encoder called `encoder` writes.
    pub(crate) fn open(stream: &ffi::AVStream, encoder: &str) -> Result<Self, Error> {
        // SAFETY: looks up static tables; a context is owned by the value made from it, which frees it on any error.
        let (from, to) = unsafe {
            (
                ffi::avcodec_find_decoder((*stream.codecpar).codec_id),
                ffi::avcodec_find_encoder_by_name(cstr(encoder).as_ptr()),
            )
        };
        let missing = || Error::EncoderMissing {
            encoder: encoder.into(),
        };
        if from.is_null() || to.is_null() {
            return Err(missing());
        }
        // SAFETY: both codecs are static pointers.
        let (decoder, encoder) = unsafe {
            (
                ffi::avcodec_alloc_context3(from),
                ffi::avcodec_alloc_context3(to),
            )
        };
        assert!(!decoder.is_null() && !encoder.is_null(), "out of memory");
        let converter = Self {
            decoder,
            encoder,
            text: vec![0; MAX_TEXT_BYTES],
            n_lost: 0,
            n_long: 0,
        };
        // SAFETY: the contexts were just allocated. The encoder frees its header with FFmpeg's allocator, from which the
        // copy comes; one byte more for the NUL that readers of the header rely on.
        check(unsafe {
            ffi::avcodec_parameters_to_context(decoder, stream.codecpar);
            (*decoder).pkt_timebase = stream.time_base;
            let opened = ffi::avcodec_open2(decoder, from, ptr::null_mut());
            let size = usize::try_from((*decoder).subtitle_header_size).unwrap_or(0);
            if opened >= 0 && size > 0 {
                let header = ffi::av_mallocz(size + 1).cast::<u8>();
                assert!(!header.is_null(), "out of memory");
                ptr::copy_nonoverlapping((*decoder).subtitle_header, header, size);
                (*encoder).subtitle_header = header;
                (*encoder).subtitle_header_size = size as i32;
            }
            (*encoder).time_base = ffi::AVRational { num: 1, den: 1000 };
            if opened < 0 {
                opened
            } else {
                ffi::avcodec_open2(encoder, to, ptr::null_mut())
            }
        })
        .map_err(Error::av("opening the subtitle conversion"))?;
        Ok(converter)
    }

    /// Describes the new stream.
    pub(crate) fn describe(&self, stream: &mut ffi::AVStream) -> Result<(), Error> {
        // SAFETY: both are valid; FFmpeg copies the encoder's parameters.
        check(unsafe { ffi::avcodec_parameters_from_context(stream.codecpar, self.encoder) })
            .map_err(Error::av("describing subtitles"))?;
        Ok(())
    }

    /// The packet with its text in the new form and its times as they were; `None` for one without text (MP4 fills the
    /// time between two subtitles with such packets).
    pub(crate) fn convert(&mut self, packet: &Packet) -> Result<Option<Packet>, Error> {
        if packet.size_bytes() > MAX_EVENT_BYTES {
            self.n_long += 1;
            return Ok(None);
        }
        // SAFETY: an AVSubtitle is plain data, filled by the decoder and freed below.
        let mut subtitle: ffi::AVSubtitle = unsafe { std::mem::zeroed() };
        let mut found = 0;
        // SAFETY: the context is open; the packet is valid and only read.
        let decoded = check(unsafe {
            ffi::avcodec_decode_subtitle2(
                self.decoder,
                &raw mut subtitle,
                &raw mut found,
                packet.as_ptr(),
            )
        });
        let size = match decoded {
            Ok(_) if found != 0 && subtitle.num_rects > 0 => {
                // FFmpeg's encoders want times within the packet.
                subtitle.start_display_time = 0;
                // SAFETY: the context is open, the buffer is writable for its length.
                check(unsafe {
                    ffi::avcodec_encode_subtitle(
                        self.encoder,
                        self.text.as_mut_ptr(),
                        self.text.len() as i32,
                        &raw const subtitle,
                    )
                })
            }
            empty_or_damaged => empty_or_damaged.map(|_| 0),
        };
        // SAFETY: frees what the decoder allocated; harmless on an empty one.
        unsafe { ffi::avsubtitle_free(&raw mut subtitle) }
        let size = match size {
            Ok(0) => return Ok(None),
            Ok(size) => size as usize,
            // A subtitle that cannot be converted is no reason to lose the film.
            Err(_) => {
                self.n_lost += 1;
                return Ok(None);
            }
        };
        let converted = Packet::new();
        // SAFETY: the packet is empty and gets `size` bytes, which are then filled from a buffer of at least that.
        check(unsafe {
            let allocated = ffi::av_new_packet(converted.as_ptr(), size as i32);
            if allocated >= 0 {
                ptr::copy_nonoverlapping(self.text.as_ptr(), converted.raw().data, size);
                let (from, to) = (packet.raw(), &mut *converted.as_ptr());
                (to.pts, to.dts, to.duration) = (from.pts, from.dts, from.duration);
                (to.stream_index, to.flags) = (from.stream_index, from.flags);
            }
            allocated
        })
        .map_err(Error::av("converting a subtitle"))?;
        Ok(Some(converted))
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // SAFETY: frees the two contexts this value owns; the decoder's header is its own, the encoder's is a copy.
        unsafe {
            ffi::avcodec_free_context(&raw mut self.decoder);
            ffi::avcodec_free_context(&raw mut self.encoder);
        }
    }
}
