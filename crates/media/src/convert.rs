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
use crate::colour::{self, Format, Planes, PlanesMut};
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

/// Makes frames of one format out of planar RGB, in memory that is used again when nobody holds a frame any more.
///
/// Without that, frames allocated here and freed at the other end of a pipeline leave holes, and a long film slowly takes
/// more memory than a short one.
pub struct FrameMaker {
    format: PixelFormat,
    tags: ColourTags,
    conversion: Format,
    /// Buffers for frames of this width and height.
    pool: Option<((usize, usize), *mut ffi::AVBufferPool)>,
}

// SAFETY: FFmpeg's buffer pools are thread safe, and this value is used by its owner alone.
unsafe impl Send for FrameMaker {}

/// Rows start at multiples of this many bytes, as wide vector loads like it; also the room behind the last row, since
/// some encoders read a little further.
const ALIGNMENT: i32 = 64;

impl FrameMaker {
    /// For frames of `format` with (complete) `tags`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when `format` is not planar or the matrix is not known.
    pub fn new(format: PixelFormat, tags: ColourTags) -> Result<Self, Error> {
        let conversion = tags.conversion(format).filter(|_| format.reads_as_planar());
        let conversion = conversion.ok_or_else(|| {
            let matrix = tags.space_name();
            Error::Unsupported(format!("{format} with matrix {matrix} cannot be written"))
        })?;
        Ok(Self {
            format,
            tags,
            conversion,
            pool: None,
        })
    }

    /// Converts a picture.
    ///
    /// # Errors
    /// [`Error::Av`] when there is no memory.
    pub fn frame_from_rgb(&mut self, rgb: &PlanarRgb) -> Result<Frame, Error> {
        let mut frame = self.frame(rgb.width(), rgb.height())?;
        let stride = [0, 1, 2].map(|plane| frame.stride(plane));
        let mut planes = PlanesMut {
            width: rgb.width(),
            height: rgb.height(),
            planes: frame.planes_mut(),
            stride,
        };
        colour::from_rgb(rgb, &self.conversion, &mut planes);
        Ok(frame)
    }

    fn frame(&mut self, width: usize, height: usize) -> Result<Frame, Error> {
        let pool = self.pool(width, height)?;
        let mut frame = Frame::empty();
        let raw = frame.raw_mut();
        (raw.width, raw.height) = (width as i32, height as i32);
        raw.format = self.format.0.0;
        raw.colorspace = self.tags.space;
        raw.color_primaries = self.tags.primaries;
        raw.color_trc = self.tags.transfer;
        raw.color_range = self.tags.range;
        raw.chroma_location = self.tags.location;
        // SAFETY: the pool is alive; the buffer becomes the frame's and has the size that the same alignment gave.
        check(unsafe {
            raw.buf[0] = ffi::av_buffer_pool_get(pool);
            assert!(!raw.buf[0].is_null(), "out of memory");
            ffi::av_image_fill_arrays(
                raw.data.as_mut_ptr(),
                raw.linesize.as_mut_ptr(),
                (*raw.buf[0]).data,
                self.format.0,
                raw.width,
                raw.height,
                ALIGNMENT,
            )
        })
        .map_err(Error::av("laying out a frame"))?;
        Ok(frame)
    }

    fn pool(&mut self, width: usize, height: usize) -> Result<*mut ffi::AVBufferPool, Error> {
        if let Some((size, pool)) = self.pool
            && size == (width, height)
        {
            return Ok(pool);
        }
        self.free();
        // SAFETY: plain numbers in, a size or an error code out.
        let size = check(unsafe {
            ffi::av_image_get_buffer_size(self.format.0, width as i32, height as i32, ALIGNMENT)
        })
        .map_err(Error::av("measuring a frame"))?;
        // SAFETY: zeroed memory, so that padding between rows is never uninitialised; null is checked.
        let pool = unsafe {
            ffi::av_buffer_pool_init((size + ALIGNMENT) as usize, Some(ffi::av_buffer_allocz))
        };
        assert!(!pool.is_null(), "out of memory");
        self.pool = Some(((width, height), pool));
        Ok(pool)
    }

    fn free(&mut self) {
        if let Some((_, mut pool)) = self.pool.take() {
            // SAFETY: gives up our reference; the pool goes when its last frame does.
            unsafe { ffi::av_buffer_pool_uninit(&raw mut pool) }
        }
    }
}

impl Drop for FrameMaker {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker() -> FrameMaker {
        let format = PixelFormat::from_name("yuv420p").unwrap();
        let blank = Frame::alloc(format, 2, 2).unwrap();
        let (tags, _) = ColourTags::of(&blank).complete(format, 1920, 1080);
        FrameMaker::new(format, tags).unwrap()
    }

    #[test]
    fn memory_is_used_again_only_when_nobody_holds_the_frame() {
        let mut maker = maker();
        let rgb = PlanarRgb::new(70, 50);
        let first = maker.frame_from_rgb(&rgb).unwrap();
        let address = first.planes()[0].as_ptr() as usize;
        let held = first.share();
        drop(first);
        let second = maker.frame_from_rgb(&rgb).unwrap();
        assert_ne!(second.planes()[0].as_ptr() as usize, address);
        drop(held);
        let third = maker.frame_from_rgb(&rgb).unwrap();
        assert_eq!(third.planes()[0].as_ptr() as usize, address);
    }

    #[test]
    fn frames_outlive_their_maker_and_a_change_of_size() {
        let mut maker = maker();
        let small = maker.frame_from_rgb(&PlanarRgb::new(5, 3)).unwrap();
        let large = maker.frame_from_rgb(&PlanarRgb::new(64, 64)).unwrap();
        drop(maker);
        // Black in limited range, in both.
        assert_eq!((small.planes()[0][4], large.planes()[0][63]), (16, 16));
        assert_eq!((small.width(), small.height(), small.rows(1)), (5, 3, 2));
    }
}
