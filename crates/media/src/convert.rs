//! From decoder frames to the planar RGB that networks see.
//!
//! Frames whose samples are not already planar (NV12, BGRA, palettes, 4:1:1) are first rearranged by libswscale into the
//! planar format that holds the same samples; no colour matrix is ever left to libswscale.
#![expect(unsafe_code, reason = "owns an SwsContext")]

use std::ptr;

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::check;
use crate::clip::Video;
use crate::colour::{self, Planes};
use crate::frame::Frame;
use crate::pixel_format::PixelFormat;
use crate::region::Region;
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

    /// Whether a frame has the size of the first one.
    pub fn has_size_of(&self, frame: &Frame) -> bool {
        (frame.width(), frame.height()) == (self.width, self.height)
    }

    /// The frame itself where its planes can be read as they are, else a rearranged (and, where the size of the video
    /// changes in its middle, resized) copy.
    ///
    /// # Errors
    /// When libswscale does not know the format.
    pub fn normalise(&mut self, frame: Frame) -> Result<Frame, Error> {
        let format = frame.pixel_format();
        if self.has_size_of(&frame)
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
                let table = ffi::sws_getCoefficients(ffi::SWS_CS_ITU709);
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
    rgb_from_part(frame, &Region::whole(frame.width(), frame.height()), rgb)
}

/// Converts `part` of a normalised frame, in time proportional to the part, and resizes `rgb` to it. Every value has
/// the bits that [`rgb_from_frame`] gives at its place.
///
/// # Errors
/// As [`rgb_from_frame`].
///
/// # Panics
/// If `part` is not inside the frame.
pub fn rgb_from_part(frame: &Frame, part: &Region, rgb: &mut PlanarRgb) -> Result<(), Error> {
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
    colour::to_rgb_part(&planes, &conversion, part, rgb);
    Ok(())
}
