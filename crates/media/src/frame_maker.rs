//! From planar RGB to frames.
#![expect(unsafe_code, reason = "owns a buffer pool and lays out frames in it")]

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::check;
use crate::colour::{self, Format, PlanesMut};
use crate::frame::Frame;
use crate::pixel_format::PixelFormat;
use crate::region::Region;
use crate::rgb::PlanarRgb;
use crate::tags::ColourTags;

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
        let whole = Region::whole(rgb.width(), rgb.height());
        self.write_part(rgb, &whole, &whole, &mut frame);
        Ok(frame)
    }

    /// Writes the region `want` of `frame`, with the bits that [`frame_from_rgb`](Self::frame_from_rgb) of the whole
    /// picture would give there, in time proportional to the region; the rest of the frame is left alone.
    ///
    /// `rgb` holds the picture's values for the region `have` only, which reaches at least
    /// [`CHROMA_REACH`](crate::CHROMA_REACH) pixels beyond `want` where the picture goes on. The edges of `want` are
    /// even or at the picture's edge ([`Region::aligned`]). Both are in pixels of `frame`.
    ///
    /// # Panics
    /// If `frame` is shared or not of this maker's format, if `rgb` has not the size of `have`, or if the regions are
    /// not as described.
    pub fn write_part(&self, rgb: &PlanarRgb, have: &Region, want: &Region, frame: &mut Frame) {
        assert_eq!(
            frame.pixel_format(),
            self.format,
            "a frame of another format"
        );
        let mut planes = PlanesMut {
            width: frame.width(),
            height: frame.height(),
            stride: [0, 1, 2].map(|plane| frame.stride(plane)),
            planes: frame.planes_mut(),
        };
        colour::from_rgb_part(rgb, have, &self.conversion, want, &mut planes);
    }

    /// An unshared frame with the pixels of `frame` and the properties of one from
    /// [`frame_from_rgb`](Self::frame_from_rgb): this maker's colour tags, no timestamp, no duration.
    ///
    /// # Errors
    /// [`Error::Av`] when there is no memory.
    ///
    /// # Panics
    /// If `frame` is not of this maker's format.
    pub fn copy(&mut self, frame: &Frame) -> Result<Frame, Error> {
        let (width, height) = (frame.width(), frame.height());
        let mut copy = self.frame(width, height)?;
        copy.copy_part(frame, &Region::whole(width, height));
        Ok(copy)
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
