//! Frames in memory that is used again.
#![expect(unsafe_code, reason = "owns a buffer pool and lays out frames in it")]

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::check;
use crate::frame::Frame;
use crate::pixel_format::PixelFormat;
use crate::shift::Shift;
use crate::tags::ColourTags;

/// Makes frames in memory that is used again when nobody holds a frame any more.
///
/// Without that, frames allocated at one end of a pipeline and freed at the other leave holes, and a long film slowly
/// takes more memory than a short one.
#[derive(Default)]
pub struct FramePool {
    /// Buffers for frames of this format, width and height.
    pool: Option<((PixelFormat, usize, usize), *mut ffi::AVBufferPool)>,
}

// SAFETY: FFmpeg's buffer pools are thread safe, and this value is used by its owner alone.
unsafe impl Send for FramePool {}

/// Rows start at multiples of this many bytes, as wide vector loads like it; also the room behind the last row, since
/// some encoders read a little further.
const ALIGNMENT: i32 = 64;

impl FramePool {
    /// An unshared frame with the pixels of the first three planes and the colour tags of `frame`; no timestamp, no
    /// duration, no damage.
    ///
    /// # Errors
    /// [`Error::Av`] when there is no memory.
    ///
    /// # Panics
    /// If the format of `frame` is not planar.
    pub fn copy(&mut self, frame: &Frame) -> Result<Frame, Error> {
        self.copy_moved(frame, Shift::default())
    }

    /// As [`copy`](Self::copy), moved. What `frame` does not cover then ([`Shift::uncovered`]) is undefined, chroma
    /// samples that are only over such pixels included.
    ///
    /// # Errors
    /// As `copy`.
    ///
    /// # Panics
    /// As `copy`, and where the movement is not by whole samples of subsampled chroma.
    pub fn copy_moved(&mut self, frame: &Frame, moved: Shift) -> Result<Frame, Error> {
        let (width, height) = (frame.width(), frame.height());
        let mut copy = self.blank(frame.pixel_format(), width, height)?;
        ColourTags::of(frame).put_on(&mut copy);
        let covered = moved.covered(width, height);
        if covered.is_inside(width, height) {
            copy.copy_moved_part(frame, &covered, moved);
        }
        Ok(copy)
    }

    /// An unshared frame with undefined pixels.
    pub(crate) fn blank(
        &mut self,
        format: PixelFormat,
        width: usize,
        height: usize,
    ) -> Result<Frame, Error> {
        let pool = self.pool(format, width, height)?;
        let mut frame = Frame::empty();
        let raw = frame.raw_mut();
        (raw.width, raw.height) = (width as i32, height as i32);
        raw.format = format.0.0;
        // SAFETY: the pool is alive; the buffer becomes the frame's and has the size that the same alignment gave.
        check(unsafe {
            raw.buf[0] = ffi::av_buffer_pool_get(pool);
            assert!(!raw.buf[0].is_null(), "out of memory");
            ffi::av_image_fill_arrays(
                raw.data.as_mut_ptr(),
                raw.linesize.as_mut_ptr(),
                (*raw.buf[0]).data,
                format.0,
                raw.width,
                raw.height,
                ALIGNMENT,
            )
        })
        .map_err(Error::av("laying out a frame"))?;
        Ok(frame)
    }

    fn pool(
        &mut self,
        format: PixelFormat,
        width: usize,
        height: usize,
    ) -> Result<*mut ffi::AVBufferPool, Error> {
        let key = (format, width, height);
        if let Some((of, pool)) = self.pool
            && of == key
        {
            return Ok(pool);
        }
        self.free();
        // SAFETY: plain numbers in, a size or an error code out.
        let size = check(unsafe {
            ffi::av_image_get_buffer_size(format.0, width as i32, height as i32, ALIGNMENT)
        })
        .map_err(Error::av("measuring a frame"))?;
        // SAFETY: zeroed memory, so that padding between rows is never uninitialised; null is checked.
        let pool = unsafe {
            ffi::av_buffer_pool_init((size + ALIGNMENT) as usize, Some(ffi::av_buffer_allocz))
        };
        assert!(!pool.is_null(), "out of memory");
        self.pool = Some((key, pool));
        Ok(pool)
    }

    fn free(&mut self) {
        if let Some((_, mut pool)) = self.pool.take() {
            // SAFETY: gives up our reference; the pool goes when its last frame does.
            unsafe { ffi::av_buffer_pool_uninit(&raw mut pool) }
        }
    }
}

impl Drop for FramePool {
    fn drop(&mut self) {
        self.free();
    }
}
