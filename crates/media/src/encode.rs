//! Encoding frames, each with its own timestamp.
#![expect(unsafe_code, reason = "owns an AVCodecContext")]

use std::ptr;
use std::slice;

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::{self, AvError, Dict, Rational, check, cstr, text};
use crate::container::Container;
use crate::frame::Frame;
use crate::packet::Packet;
use crate::pixel_format::PixelFormat;
use crate::tags::ColourTags;

/// Everything an encoder is opened with.
#[derive(Debug, Clone)]
pub struct EncodeSettings {
    /// FFmpeg's name of the encoder, such as `libx264`.
    pub encoder: String,
    /// Constant rate factor; `None` for an encoder without one (lossless).
    pub crf: Option<f32>,
    /// The encoder's own name for a speed; `None` = its default.
    pub preset: Option<String>,
    /// Layout of the frames it will get.
    pub pixel_format: PixelFormat,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Unit of the frames' timestamps.
    pub time_base: Rational,
    /// A hint for rate control and the stream's headers; timestamps never depend on it.
    pub frame_rate: Option<Rational>,
    /// Shape of a pixel, width to height.
    pub sample_aspect_ratio: Option<Rational>,
    /// Complete colour tags, written to the stream.
    pub tags: ColourTags,
    /// Threads of the encoder; `None` = as many as it likes.
    pub threads: Option<usize>,
}

/// An open encoder.
pub struct Encoder {
    context: *mut ffi::AVCodecContext,
}

// SAFETY: the context is used by whoever owns this value, one thread at a time.
unsafe impl Send for Encoder {}

impl Encoder {
    /// Opens the encoder for a stream of `container`.
    ///
    /// # Errors
    /// [`Error::EncoderMissing`] when this FFmpeg does not have it, [`Error::EncoderRefuses`] the settings.
    pub fn open(settings: &EncodeSettings, container: Container) -> Result<Self, Error> {
        let codec = find(&settings.encoder)?;
        let refused = |reason: String| Error::EncoderRefuses {
            encoder: settings.encoder.clone(),
            reason,
        };
        // SAFETY: `codec` is a static pointer; the context is owned by the value made from it.
        let context = unsafe { ffi::avcodec_alloc_context3(codec) };
        assert!(!context.is_null(), "out of memory");
        let encoder = Self { context };
        // SAFETY: just allocated and owned by `encoder`.
        describe_picture(unsafe { &mut *context }, settings);
        if container.0.flags & ffi::AVFMT_GLOBALHEADER != 0 {
            // SAFETY: as above.
            unsafe { (*context).flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32 }
        }
        let mut options = options(settings);
        // SAFETY: the context and the dictionary are valid; FFmpeg takes out the options it understood.
        check(unsafe { ffi::avcodec_open2(context, codec, &raw mut options.0) }).map_err(
            |error| {
                refused(format!(
                    "refuses {}x{} {} with these options ({error})",
                    settings.width, settings.height, settings.pixel_format
                ))
            },
        )?;
        match options.first_key() {
            Some(key) => Err(refused(format!("has no option {key}"))),
            None => Ok(encoder),
        }
    }

    /// Takes a frame; its timestamp is in the time base of the settings. `None` = no more frames come.
    ///
    /// # Errors
    /// [`Error::Av`] when the encoder fails.
    pub fn send(&mut self, frame: Option<&Frame>) -> Result<(), Error> {
        let frame = frame.map_or(ptr::null(), |frame| frame.as_ptr().cast_const());
        // SAFETY: the context is open; the frame is null or valid through the call.
        check(unsafe { ffi::avcodec_send_frame(self.context, frame) })
            .map_err(Error::av("encoding"))?;
        Ok(())
    }

    /// The next finished packet; `None` = send more frames first, or all is out.
    ///
    /// # Errors
    /// [`Error::Av`] when the encoder fails.
    pub fn receive(&mut self) -> Result<Option<Packet>, Error> {
        let packet = Packet::new();
        // SAFETY: the context is open, the packet empty and owned.
        match check(unsafe { ffi::avcodec_receive_packet(self.context, packet.as_ptr()) }) {
            Ok(_) => Ok(Some(packet)),
            Err(AvError::EOF) => Ok(None),
            Err(error) if error.is_again() => Ok(None),
            Err(cause) => Err(Error::Av {
                call: "encoding",
                cause,
            }),
        }
    }

    pub(crate) fn raw(&self) -> &ffi::AVCodecContext {
        // SAFETY: valid until drop.
        unsafe { &*self.context }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: frees the context this value owns.
        unsafe { ffi::avcodec_free_context(&raw mut self.context) }
    }
}

fn find(name: &str) -> Result<*const ffi::AVCodec, Error> {
    // SAFETY: the string lives through the call; the result is null or static.
    let codec = unsafe { ffi::avcodec_find_encoder_by_name(cstr(name).as_ptr()) };
    if codec.is_null() {
        return Err(Error::EncoderMissing {
            encoder: name.into(),
        });
    }
    Ok(codec)
}

/// FFmpeg's name of the codec that an encoder writes: `h264` for `libx264`.
///
/// # Errors
/// [`Error::EncoderMissing`] when this FFmpeg does not have the encoder.
pub fn codec_of_encoder(encoder: &str) -> Result<String, Error> {
    let codec = find(encoder)?;
    // SAFETY: a static codec, a static string.
    Ok(unsafe { text(ffi::avcodec_get_name((*codec).id)) }.unwrap_or_default())
}

/// The pixel formats an encoder takes, in its own order of preference.
///
/// # Errors
/// [`Error::EncoderMissing`] when this FFmpeg does not have the encoder.
pub fn pixel_formats(encoder: &str) -> Result<Vec<PixelFormat>, Error> {
    let codec = find(encoder)?;
    let mut count = 0;
    #[cfg(not(ffmpeg_7_1))]
    // SAFETY: the codec is static; its list is null or ends with NONE.
    let list = unsafe {
        let list = (*codec).pix_fmts;
        while !list.is_null() && *list.add(count) != ffi::AVPixelFormat::NONE {
            count += 1;
        }
        list
    };
    #[cfg(ffmpeg_7_1)]
    // SAFETY: the codec is static; FFmpeg hands out a static list and its length.
    let list = unsafe {
        let (mut list, mut length) = (ptr::null(), 0);
        ffi::avcodec_get_supported_config(
            ptr::null(),
            codec,
            ffi::AVCodecConfig::PIX_FORMAT,
            0,
            &raw mut list,
            &raw mut length,
        );
        count = length as usize;
        list.cast::<ffi::AVPixelFormat>()
    };
    if list.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: `count` entries were counted above.
    Ok(unsafe { slice::from_raw_parts(list, count) }
        .iter()
        .map(|&format| PixelFormat(format))
        .collect())
}

fn describe_picture(context: &mut ffi::AVCodecContext, settings: &EncodeSettings) {
    context.width = settings.width as i32;
    context.height = settings.height as i32;
    context.pix_fmt = settings.pixel_format.0;
    context.time_base = settings.time_base.into();
    if let Some(rate) = settings.frame_rate {
        context.framerate = rate.into();
    }
    if let Some(aspect) = settings.sample_aspect_ratio {
        context.sample_aspect_ratio = aspect.into();
    }
    context.colorspace = settings.tags.space;
    context.color_primaries = settings.tags.primaries;
    context.color_trc = settings.tags.transfer;
    context.color_range = settings.tags.range;
    context.chroma_sample_location = settings.tags.location;
}

fn options(settings: &EncodeSettings) -> Dict {
    let mut options = av::Dict::new();
    let threads = settings.threads.map(|threads| threads.to_string());
    options.set("threads", threads.as_deref().unwrap_or("auto"));
    if let Some(crf) = settings.crf {
        options.set("crf", &crf.to_string());
    }
    if let Some(preset) = &settings.preset {
        options.set("preset", preset);
    }
    match settings.encoder.as_str() {
        // x265 takes the rate from the time base, which is far finer than the rate: 90000 frames a second would spoil
        // its rate control. It also prints to stderr by itself.
        "libx265" => {
            let rate = settings
                .frame_rate
                .map_or(String::new(), |rate| format!(":fps={rate}"));
            options.set("x265-params", &format!("log-level=error{rate}"));
        }
        // Version 3, so that every slice is protected by a checksum.
        "ffv1" => {
            options.set("level", "3");
            options.set("slicecrc", "1");
        }
        _ => {}
    }
    options
}
