//! Between decoder frames and the planar RGB that networks see.
//!
//! Frames whose samples are not already planar (NV12, BGRA, palettes, 4:1:1) are first rearranged by libswscale into the
//! planar format that holds the same samples; no colour matrix is ever left to libswscale.
#![expect(unsafe_code, reason = "owns an SwsContext")]

use std::ptr;

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::check;
use crate::clip::Video;
use crate::colour::{self, Planes, PlanesMut};
use crate::frame::Frame;
use crate::pixel_format::PixelFormat;
use crate::rgb::PlanarRgb;
use crate::tags::ColourTags;

/// Brings every frame of a clip to one planar format and one size.
pub struct Normaliser {
    format: PixelFormat,
    width: usize,
    height: usize,
    /// The rearrangement in use, for frames of this (format, width, height).
    scaler: Option<((PixelFormat, usize, usize), *mut ffi::SwsContext)>,
}

// SAFETY: the scaler is used by whoever owns this value, one thread at a time.
unsafe impl Send for Normaliser {}

impl Normaliser {
    /// For the clip whose first frame `video` describes.
    pub fn new(video: &Video) -> Self {
        Self {
            format: video.pixel_format.planar(),
            width: video.width,
            height: video.height,
            scaler: None,
        }
    }

    /// The frame itself where its planes can be read as they are, else a rearranged (and, where the size of the video
    /// changes in its middle, resized) copy.
    ///
    /// # Errors
    /// When libswscale does not know the format.
    pub fn normalise(&mut self, frame: Frame) -> Result<Frame, Error> {
        let format = frame.pixel_format();
        let same_size = (frame.width(), frame.height()) == (self.width, self.height);
        if same_size
            && frame.is_top_down()
            && format.reads_as_planar()
            && format.planar() == self.format
        {
            return Ok(frame);
        }
        let scaler = self.scaler_for((format, frame.width(), frame.height()))?;
        let mut planar = Frame::alloc(self.format, self.width as u32, self.height as u32)?;
        // SAFETY: both frames have the formats and sizes the scaler was made for.
        check(unsafe {
            ffi::av_frame_copy_props(planar.as_ptr(), frame.as_ptr());
            let (source, target) = (frame.raw(), planar.raw());
            ffi::sws_scale(
                scaler,
                source.data.as_ptr().cast(),
                source.linesize.as_ptr(),
                0,
                source.height,
                target.data.as_ptr(),
                target.linesize.as_ptr(),
            )
        })
        .map_err(Error::av("rearranging a frame"))?;
        if format.is_yuvj() {
            planar.raw_mut().color_range = ffi::AVColorRange::JPEG;
        }
        planar.duration = frame.duration;
        Ok(planar)
    }

    fn scaler_for(
        &mut self,
        key: (PixelFormat, usize, usize),
    ) -> Result<*mut ffi::SwsContext, Error> {
        if let Some((current, scaler)) = self.scaler
            && current == key
        {
            return Ok(scaler);
        }
        self.free();
        let flags = ffi::SWS_BICUBIC
            | ffi::SWS_ACCURATE_RND
            | ffi::SWS_BITEXACT
            | ffi::SWS_FULL_CHR_H_INT
            | ffi::SWS_FULL_CHR_H_INP;
        let (from, width, height) = key;
        // SAFETY: plain numbers in, an owned context or null out. The range is set equal on both sides, so that a
        // `yuvj` format is not squeezed into limited range on the way.
        let scaler = unsafe {
            let scaler = ffi::sws_getContext(
                width as i32,
                height as i32,
                from.0,
                self.width as i32,
                self.height as i32,
                self.format.0,
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            );
            if !scaler.is_null() {
                let table = ffi::sws_getCoefficients(ffi::SWS_CS_ITU709 as i32);
                ffi::sws_setColorspaceDetails(scaler, table, 1, table, 1, 0, 1 << 16, 1 << 16);
            }
            scaler
        };
        if scaler.is_null() {
            return Err(Error::Unsupported(format!(
                "frames of format {from} cannot be read"
            )));
        }
        self.scaler = Some((key, scaler));
        Ok(scaler)
    }

    fn free(&mut self) {
        if let Some((_, scaler)) = self.scaler.take() {
            // SAFETY: frees the context this value owns.
            unsafe { ffi::sws_freeContext(scaler) }
        }
    }
}

impl Drop for Normaliser {
    fn drop(&mut self) {
        self.free();
    }
}

/// Whether the colour conversion knows the matrix of `video`.
///
/// # Errors
/// [`Error::Unsupported`] names the matrix that it does not know.
pub fn check_colour(video: &Video) -> Result<(), Error> {
    let (tags, _) = video
        .tags
        .complete(video.pixel_format, video.width, video.height);
    match tags.conversion(video.pixel_format) {
        Some(_) => Ok(()),
        None => Err(Error::Unsupported(format!(
            "the colour matrix {} is not supported; convert the video to bt709 first",
            tags.space_name()
        ))),
    }
}

/// Converts a normalised frame, by its own colour tags, to planar RGB.
///
/// # Errors
/// [`Error::Unsupported`] for a matrix that turns up in the middle of a clip and is not known.
pub fn rgb_from_frame(frame: &Frame, rgb: &mut PlanarRgb) -> Result<(), Error> {
    let format = frame.pixel_format();
    let (tags, _) = ColourTags::of(frame).complete(format, frame.width(), frame.height());
    let conversion = tags.conversion(format).ok_or_else(|| {
        Error::Unsupported(format!(
            "the colour matrix {} is not supported",
            tags.space_name()
        ))
    })?;
    let planes = Planes {
        width: frame.width(),
        height: frame.height(),
        planes: frame.planes(),
        stride: [0, 1, 2].map(|plane| frame.stride(plane)),
    };
    colour::to_rgb(&planes, &conversion, rgb);
    Ok(())
}

/// Converts planar RGB to a new frame of `format` with `tags`.
///
/// # Errors
/// [`Error::Unsupported`] when `format` is not planar or the matrix is not known; no memory.
pub fn frame_from_rgb(
    rgb: &PlanarRgb,
    format: PixelFormat,
    tags: ColourTags,
) -> Result<Frame, Error> {
    let conversion = tags
        .conversion(format)
        .filter(|_| format.reads_as_planar())
        .ok_or_else(|| {
            Error::Unsupported(format!(
                "{format} with matrix {} cannot be written",
                tags.space_name()
            ))
        })?;
    let mut frame = Frame::alloc(format, rgb.width() as u32, rgb.height() as u32)?;
    let raw = frame.raw_mut();
    raw.colorspace = tags.space;
    raw.color_primaries = tags.primaries;
    raw.color_trc = tags.transfer;
    raw.color_range = tags.range;
    raw.chroma_location = tags.location;
    let stride = [0, 1, 2].map(|plane| frame.stride(plane));
    let mut planes = PlanesMut {
        width: rgb.width(),
        height: rgb.height(),
        planes: frame.planes_mut(),
        stride,
    };
    colour::from_rgb(rgb, &conversion, &mut planes);
    Ok(frame)
}
