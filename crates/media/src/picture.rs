//! Pictures as files hold them and as detectors take them: interleaved 8-bit RGB.
//!
//! ```text
//! Frame ─▶ rgb_from_part, some rows at a time ─▶ rounded and interleaved ─▶ turned upright ─▶ encode ─▶ file
//! ```
//! `files` are the kinds of files.

use crate::Error;
use crate::convert::rgb_from_part;
use crate::frame::Frame;
use crate::orientation::Orientation;
use crate::region::Region;
use crate::rgb::PlanarRgb;

pub use files::{PictureError, PictureKind};

mod files;

/// A picture of interleaved 8-bit RGB, non-linear as in the video; rows follow each other without a gap (stride
/// `3 * width` bytes).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub data: Vec<u8>,
}

/// Rows converted at a time: their floats stay in a core's cache. Even, for chroma.
const BAND_ROWS: usize = 16;

impl Picture {
    /// The picture of a normalised frame as players show it: the float conversion of the upscaler, rounded to 8 bits and
    /// cut to their range, and turned upright. `scratch` is used again.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a colour matrix that is not known.
    pub fn from_frame(
        frame: &Frame,
        orientation: Orientation,
        scratch: &mut PlanarRgb,
    ) -> Result<Self, Error> {
        let (width, height) = (frame.width(), frame.height());
        let mut pixels = vec![[0; 3]; width * height];
        for top in (0..height).step_by(BAND_ROWS) {
            let y = top..(top + BAND_ROWS).min(height);
            let band = Region {
                x: 0..width,
                y: y.clone(),
            };
            rgb_from_part(frame, &band, scratch)?;
            interleave(scratch, &mut pixels[y.start * width..y.end * width]);
        }
        if !orientation.is_upright() {
            pixels = orientation.turn(&pixels, width, height);
        }
        let (width, height) = orientation.turned_size(width, height);
        Ok(Self {
            width,
            height,
            data: pixels.into_flattened(),
        })
    }
}

fn interleave(from: &PlanarRgb, to: &mut [[u8; 3]]) {
    // Whole vectors are rounded before they are interleaved, which compilers do not find out by themselves.
    const CHUNK: usize = 64;
    let planes = from.planes();
    let mut bytes = [[0; CHUNK]; 3];
    for (n, to) in to.chunks_mut(CHUNK).enumerate() {
        for (bytes, plane) in bytes.iter_mut().zip(planes) {
            let values = &plane[n * CHUNK..][..to.len()];
            for (byte, value) in bytes.iter_mut().zip(values) {
                *byte = to_byte(*value);
            }
        }
        let [r, g, b] = &bytes;
        for (((to, r), g), b) in to.iter_mut().zip(r).zip(g).zip(b) {
            *to = [*r, *g, *b];
        }
    }
}

/// 0.0 to 1.0 as 0 to 255, rounded; what lies outside is cut.
fn to_byte(value: f32) -> u8 {
    // From 2^23 on floats are whole numbers, so adding it rounds, and the lowest bits are the result. A conversion with `as`
    // checks for more than can come here, and no vector instruction does that.
    const WHOLE: f32 = 8_388_608.0;
    ((value * 255.0).clamp(0.0, 255.0) + WHOLE).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::rgb_from_frame;
    use crate::{PixelFormat, noise};

    #[test]
    fn values_are_rounded_and_cut() {
        for (value, byte) in [
            (-0.1, 0),
            (0.0, 0),
            (0.499 / 255.0, 0),
            (0.501 / 255.0, 1),
            (1.0, 255),
            (1.2, 255),
        ] {
            assert_eq!(to_byte(value), byte, "{value}");
        }
        for byte in 0..=255_u8 {
            assert_eq!(to_byte(f32::from(byte) / 255.0), byte);
        }
    }

    #[test]
    fn a_picture_has_the_pixels_of_the_whole_conversion() {
        let format = PixelFormat::from_name("yuv420p").unwrap();
        let mut frame = Frame::alloc(format, 37, 51).unwrap();
        for (plane, seed) in frame.planes_mut().into_iter().zip(5..) {
            for (byte, n) in plane.iter_mut().zip(noise::noise(seed)) {
                *byte = n as u8;
            }
        }
        let (mut whole, mut scratch) = (PlanarRgb::default(), PlanarRgb::default());
        rgb_from_frame(&frame, &mut whole).unwrap();
        let picture = Picture::from_frame(&frame, Orientation::default(), &mut scratch).unwrap();
        assert_eq!((picture.width, picture.height), (37, 51));
        let mut expected = vec![[0; 3]; 37 * 51];
        interleave(&whole, &mut expected);
        assert_eq!(picture.data.as_chunks::<3>().0, expected);
        let turn = Orientation {
            swap: true,
            flip_x: true,
            flip_y: false,
        };
        let turned = Picture::from_frame(&frame, turn, &mut scratch).unwrap();
        assert_eq!((turned.width, turned.height), (51, 37));
        assert_eq!(turned.data.as_chunks::<3>().0[0], expected[50 * 37]);
    }
}
