//! Decoded pictures: reference-counted `AVFrame`s with their timestamp.
#![expect(unsafe_code, reason = "owns an AVFrame and reads its planes")]

use std::slice;

use ffmpeg_sys_the_third as ffi;

use crate::Error;
use crate::av::check;
use crate::pixel_format::PixelFormat;
use crate::region::Region;
use crate::shift::Shift;

/// A picture in the decoder's or encoder's layout.
///
/// The pixels are reference counted: [`share`](Self::share) is cheap, and a frame with shared pixels is read only.
/// Timestamps are in the time base of the stream the frame came from.
pub struct Frame {
    raw: *mut ffi::AVFrame,
    /// How long it is shown, in the stream's time base; 0 = unknown.
    pub duration: i64,
    /// A packet that it is predicted from was damaged.
    pub(crate) depends_on_damage: bool,
}

// SAFETY: the AVFrame struct is owned by this value alone; the pixel buffers behind it are shared by atomic reference
// counts and written only while there is a single reference (`planes_mut` checks it).
unsafe impl Send for Frame {}
// SAFETY: `&Frame` only reads.
unsafe impl Sync for Frame {}

impl Frame {
    pub(crate) fn empty() -> Self {
        // SAFETY: plain allocation.
        let raw = unsafe { ffi::av_frame_alloc() };
        assert!(!raw.is_null(), "out of memory");
        Self {
            raw,
            duration: 0,
            depends_on_damage: false,
        }
    }

    /// A frame with uninitialised pixels.
    ///
    /// # Errors
    /// When FFmpeg refuses the size or has no memory.
    pub fn alloc(format: PixelFormat, width: u32, height: u32) -> Result<Self, Error> {
        let mut frame = Self::empty();
        let raw = frame.raw_mut();
        raw.format = format.0.0;
        raw.width = width as i32;
        raw.height = height as i32;
        // SAFETY: format and size are set; FFmpeg allocates aligned planes and owns them by reference count.
        check(unsafe { ffi::av_frame_get_buffer(frame.raw, 0) })
            .map_err(Error::av("allocating a frame"))?;
        Ok(frame)
    }

    /// Another frame over the same pixels, with its own timestamp.
    pub fn share(&self) -> Self {
        // SAFETY: clones the struct and takes a reference to each buffer.
        let raw = unsafe { ffi::av_frame_clone(self.raw) };
        assert!(!raw.is_null(), "out of memory");
        Self {
            raw,
            duration: self.duration,
            depends_on_damage: self.depends_on_damage,
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::AVFrame {
        self.raw
    }

    pub(crate) fn raw(&self) -> &ffi::AVFrame {
        // SAFETY: never null, owned by `self`.
        unsafe { &*self.raw }
    }

    pub(crate) fn raw_mut(&mut self) -> &mut ffi::AVFrame {
        // SAFETY: never null, owned by `self` alone.
        unsafe { &mut *self.raw }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.raw().width as usize
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.raw().height as usize
    }

    /// Layout of the samples.
    pub fn pixel_format(&self) -> PixelFormat {
        PixelFormat(ffi::AVPixelFormat(self.raw().format))
    }

    /// Presentation timestamp in the stream's time base; `None` = the file gives none.
    pub fn pts(&self) -> Option<i64> {
        (self.raw().pts != ffi::AV_NOPTS_VALUE).then_some(self.raw().pts)
    }

    /// Sets the presentation timestamp.
    pub fn set_pts(&mut self, pts: i64) {
        self.raw_mut().pts = pts;
    }

    /// Whether the decoder marked it as damaged: missing data or concealed errors.
    pub fn is_corrupt(&self) -> bool {
        self.raw().flags & ffi::AV_FRAME_FLAG_CORRUPT != 0 || self.raw().decode_error_flags != 0
    }

    /// Whether it is damaged, or predicted from what is.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_corrupt() || self.depends_on_damage
    }

    /// Whether the decoder marked it as two fields.
    pub(crate) fn is_interlaced(&self) -> bool {
        #[cfg(not(ffmpeg_6_1))]
        let is_interlaced = self.raw().interlaced_frame != 0;
        #[cfg(ffmpeg_6_1)]
        let is_interlaced = self.raw().flags & ffi::AV_FRAME_FLAG_INTERLACED != 0;
        is_interlaced
    }

    /// Whether the decoder marked it as a key frame.
    pub fn is_key(&self) -> bool {
        #[cfg(not(ffmpeg_6_1))]
        let is_key = self.raw().key_frame == 1;
        #[cfg(ffmpeg_6_1)]
        let is_key = self.raw().flags & ffi::AV_FRAME_FLAG_KEY != 0;
        is_key
    }

    /// Bytes of all pixel planes, padding included.
    pub fn size_bytes(&self) -> usize {
        (0..3)
            .map(|plane| self.stride(plane) * self.rows(plane))
            .sum()
    }

    /// Distance between rows of a plane, in bytes; 0 for a plane that is not there.
    pub fn stride(&self, plane: usize) -> usize {
        // Negative strides (bottom-up pictures) are turned by `Converter` before anyone reads planes.
        self.raw().linesize[plane].unsigned_abs() as usize
    }

    /// Rows of a plane; 0 for a plane that is not there.
    pub fn rows(&self, plane: usize) -> usize {
        let shift = if plane == 0 || self.pixel_format().is_rgb() {
            0
        } else {
            self.pixel_format().chroma_shift().1
        };
        if self.raw().data[plane].is_null() {
            0
        } else {
            self.height().div_ceil(1 << shift)
        }
    }

    /// Whether rows run downwards in memory in every plane.
    pub(crate) fn is_top_down(&self) -> bool {
        self.raw().linesize[..3].iter().all(|&stride| stride >= 0)
    }

    /// The bytes of the first three planes, each `rows × stride`; empty where there is none.
    pub fn planes(&self) -> [&[u8]; 3] {
        assert!(self.is_top_down(), "bottom-up frames are converted first");
        [0, 1, 2].map(|plane| {
            let (pointer, size) = (
                self.raw().data[plane],
                self.stride(plane) * self.rows(plane),
            );
            if size == 0 {
                return &[][..];
            }
            // SAFETY: FFmpeg guarantees `linesize × rows` readable bytes behind a plane's pointer, the buffer lives as
            // long as this reference, and nobody writes to a shared buffer. A cropped frame starts inside its buffer,
            // so its last row may be shorter than the stride: `readable` accounts for it.
            unsafe { slice::from_raw_parts(pointer, self.readable(plane, size)) }
        })
    }

    /// `size`, or less where the buffer behind a cropped plane ends earlier.
    fn readable(&self, plane: usize, size: usize) -> usize {
        let start = self.raw().data[plane] as usize;
        let holder = self.raw().buf.iter().map_while(|buf| {
            // SAFETY: a non-null entry is a valid buffer reference owned by the frame.
            unsafe { buf.as_ref() }
        });
        holder
            .map(|buf| (buf.data as usize, buf.size))
            .find(|&(data, len)| (data..data + len).contains(&start))
            .map_or(size, |(data, len)| size.min(data + len - start))
    }

    /// Whether another frame may have the same pixels, so that they are read only.
    pub fn is_shared(&self) -> bool {
        // SAFETY: reads the reference counts.
        unsafe { ffi::av_frame_is_writable(self.raw) != 1 }
    }

    /// The bytes of the first three planes, to write.
    ///
    /// # Panics
    /// When the pixels are shared with another frame.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        assert!(!self.is_shared(), "only an unshared frame is written to");
        [0, 1, 2].map(|plane| {
            let (pointer, size) = (
                self.raw().data[plane],
                self.stride(plane) * self.rows(plane),
            );
            if size == 0 {
                return &mut [][..];
            }
            // SAFETY: as in `planes`; there is one reference only, `&mut self` makes it exclusive, and the planes of a
            // frame do not overlap. Only frames we allocated are written to, and those are not cropped.
            unsafe { slice::from_raw_parts_mut(pointer, size) }
        })
    }

    /// Copies the pixels of `part` of `from`, in the first three planes; of subsampled chroma all samples that are over
    /// a pixel of the part. Timestamp and colour tags stay.
    ///
    /// # Panics
    /// When the pixels of `self` are shared, when format or size differ, when the format is not planar, or when `part`
    /// is not inside the frame.
    pub fn copy_part(&mut self, from: &Self, part: &Region) {
        self.copy_moved_part(from, part, Shift::default());
    }

    /// As [`copy_part`](Self::copy_part), of the picture that `from` becomes when it is moved. `part` lies in what is
    /// covered then ([`Shift::covered`]); over subsampled chroma, pictures move by whole samples.
    ///
    /// # Panics
    /// As `copy_part`, and when `part` or `moved` is not as described.
    pub fn copy_moved_part(&mut self, from: &Self, part: &Region, moved: Shift) {
        let (format, width, height) = (self.pixel_format(), self.width(), self.height());
        assert!(
            (format, width, height) == (from.pixel_format(), from.width(), from.height()),
            "only frames of one format and size are copied"
        );
        assert!(format.reads_as_planar(), "{format} is not planar");
        assert!(
            part.is_inside(width, height),
            "{part:?} is not inside the frame"
        );
        assert!(
            moved.covered(width, height).contains(part),
            "{part:?} is not covered after {moved:?}"
        );
        let sample_bytes = if format.depth() > 8 { 2 } else { 1 };
        let strides = [0, 1, 2].map(|plane| (self.stride(plane), from.stride(plane)));
        for (plane, (to, from)) in self.planes_mut().into_iter().zip(from.planes()).enumerate() {
            if to.is_empty() {
                continue;
            }
            let (across, down) = if plane == 0 {
                (0, 0)
            } else {
                format.chroma_shift()
            };
            let (right, downwards) = (moved.x >> across, moved.y >> down);
            assert!(
                (right << across, downwards << down) == (moved.x, moved.y),
                "{moved:?} is not by whole chroma samples"
            );
            let samples = part.x.start >> across..part.x.end.div_ceil(1 << across);
            let from_start = sample_bytes * samples.start.wrapping_add_signed(-right);
            let bytes = sample_bytes * samples.start..sample_bytes * samples.end;
            for y in part.y.start >> down..part.y.end.div_ceil(1 << down) {
                let (to_stride, from_stride) = strides[plane];
                let row = &from[y.wrapping_add_signed(-downwards) * from_stride..];
                let row = &row[from_start..][..bytes.len()];
                to[y * to_stride..][bytes.clone()].copy_from_slice(row);
            }
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: frees the struct and gives back its references.
        unsafe { ffi::av_frame_free(&raw mut self.raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_frame_has_the_same_pixels_and_its_own_timestamp() {
        let mut frame = Frame::alloc(PixelFormat::from_name("yuv420p").unwrap(), 5, 3).unwrap();
        frame.planes_mut()[0].fill(7);
        frame.set_pts(1);
        let mut other = frame.share();
        other.set_pts(2);
        assert_eq!((frame.pts(), other.pts()), (Some(1), Some(2)));
        assert_eq!(frame.planes()[0].as_ptr(), other.planes()[0].as_ptr());
        assert_eq!(frame.rows(1), 2);
        assert!(frame.is_shared() && other.is_shared());
        drop(other);
        assert!(!frame.is_shared());
    }

    #[test]
    #[should_panic(expected = "unshared")]
    fn shared_pixels_are_not_written() {
        let mut frame = Frame::alloc(PixelFormat::from_name("gray").unwrap(), 4, 4).unwrap();
        let _other = frame.share();
        frame.planes_mut();
    }
}
