//! From planar RGB to frames.

use crate::Error;
use crate::colour::{self, Format, PlanesMut};
use crate::frame::Frame;
use crate::frame_pool::FramePool;
use crate::pixel_format::PixelFormat;
use crate::region::Region;
use crate::rgb::PlanarRgb;
use crate::tags::ColourTags;

/// Makes frames of one format out of planar RGB.
pub struct FrameMaker {
    format: PixelFormat,
    tags: ColourTags,
    conversion: Format,
    pool: FramePool,
}

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
            pool: FramePool::default(),
        })
    }

    /// Converts a picture.
    ///
    /// # Errors
    /// [`Error::Av`] when there is no memory.
    pub fn frame_from_rgb(&mut self, rgb: &PlanarRgb) -> Result<Frame, Error> {
        let mut frame = self.blank(rgb.width(), rgb.height())?;
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

    /// A frame with undefined pixels, to be written in parts.
    ///
    /// # Errors
    /// [`Error::Av`] when there is no memory.
    pub fn blank(&mut self, width: usize, height: usize) -> Result<Frame, Error> {
        let mut frame = self.pool.blank(self.format, width, height)?;
        self.tags.put_on(&mut frame);
        Ok(frame)
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
