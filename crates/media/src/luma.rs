//! The 8-bit luma of a frame: what hashes and measures of a picture are computed from.

use std::borrow::Cow;

use crate::Orientation;
use crate::frame::Frame;
use crate::tags::ColourTags;

/// A plane of 8-bit luma; borrowed from the frame where it holds just that.
#[derive(Debug, Clone)]
pub struct Luma8<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Distance between rows in bytes.
    pub stride: usize,
    /// `height` rows; the last one may end with its last pixel.
    pub data: Cow<'a, [u8]>,
    /// Whether 0 is black and 255 white, rather than 16 and 235.
    pub full_range: bool,
}

impl Frame {
    /// The luma of a normalised frame, rounded to 8 bits; of RGB the luma of BT.601, in full range.
    ///
    /// # Panics
    /// When the frame is not planar.
    pub fn luma8(&self) -> Luma8<'_> {
        let format = self.pixel_format();
        assert!(format.reads_as_planar(), "{format} is not planar");
        let (width, height) = (self.width(), self.height());
        let (tags, _) = ColourTags::of(self).complete(format, width, height);
        let (planes, depth) = (self.planes(), format.depth());
        let (data, stride) = if format.is_rgb() {
            let strides = [0, 1, 2].map(|plane| self.stride(plane));
            (
                Cow::Owned(luma_of_gbr(planes, strides, width, height, depth)),
                width,
            )
        } else if depth > 8 {
            let rows = planes[0].chunks(self.stride(0)).take(height);
            let rows = rows.flat_map(|row| samples(row, width, depth));
            (Cow::Owned(rows.collect()), width)
        } else {
            (Cow::Borrowed(planes[0]), self.stride(0))
        };
        Luma8 {
            width,
            height,
            stride,
            data,
            full_range: format.is_rgb() || tags.is_full_range(),
        }
    }
}

impl Luma8<'_> {
    /// The luma of the picture as players show it.
    pub fn upright(self, orientation: Orientation) -> Self {
        if orientation.is_upright() {
            return self;
        }
        let rows = self.data.chunks(self.stride).take(self.height);
        let packed: Vec<u8> = rows.flat_map(|row| &row[..self.width]).copied().collect();
        let turned = orientation.turn(&packed, self.width, self.height);
        let (width, height) = orientation.turned_size(self.width, self.height);
        Self {
            width,
            height,
            stride: width,
            data: Cow::Owned(turned),
            full_range: self.full_range,
        }
    }
}

/// The first `width` samples of a row of 16-bit little-endian ones, rounded to 8 bits.
fn samples(row: &[u8], width: usize, depth: u8) -> impl Iterator<Item = u8> {
    let (half, shift) = (1_u32 << (depth - 9), depth - 8);
    let samples = row.as_chunks::<2>().0.iter().take(width);
    samples
        .map(move |bytes| ((u32::from(u16::from_le_bytes(*bytes)) + half) >> shift).min(255) as u8)
}

fn luma_of_gbr(
    planes: [&[u8]; 3],
    strides: [usize; 3],
    width: usize,
    height: usize,
    depth: u8,
) -> Vec<u8> {
    let mut luma = Vec::with_capacity(width * height);
    for y in 0..height {
        let [g, b, r] = [0, 1, 2].map(|plane| {
            let row = &planes[plane][y * strides[plane]..];
            if depth > 8 {
                samples(row, width, depth).collect()
            } else {
                row[..width].to_vec()
            }
        });
        // 0.299, 0.587, 0.114 in 16 bits, adding up to one.
        luma.extend(g.iter().zip(&b).zip(&r).map(|((&g, &b), &r)| {
            let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b);
            ((sum + 32_768) >> 16) as u8
        }));
    }
    luma
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelFormat;

    fn frame(format: &str, fill: [&[u8]; 3]) -> Frame {
        let mut frame = Frame::alloc(PixelFormat::from_name(format).unwrap(), 3, 2).unwrap();
        for (plane, fill) in frame.planes_mut().into_iter().zip(fill) {
            for (byte, fill) in plane.iter_mut().zip(fill.iter().cycle()) {
                *byte = *fill;
            }
        }
        frame
    }

    fn first_row(luma: &Luma8<'_>) -> Vec<u8> {
        luma.data[..luma.width].to_vec()
    }

    #[test]
    fn eight_bits_are_borrowed_and_more_are_rounded() {
        let plain = frame("yuv420p", [&[7], &[1], &[1]]);
        let luma = plain.luma8();
        assert!(matches!(luma.data, Cow::Borrowed(_)) && !luma.full_range);
        assert_eq!(first_row(&luma), [7; 3]);
        let deep = frame("yuv420p10le", [&1023_u16.to_le_bytes(), &[0], &[0]]);
        assert_eq!(first_row(&deep.luma8()), [255; 3]);
        let deep = frame("yuv420p10le", [&66_u16.to_le_bytes(), &[0], &[0]]);
        assert_eq!(first_row(&deep.luma8()), [17; 3]);
        assert!(frame("yuvj420p", [&[7], &[1], &[1]]).luma8().full_range);
    }

    #[test]
    fn rgb_gives_its_luma() {
        let white = frame("gbrp", [&[255], &[255], &[255]]);
        assert_eq!(first_row(&white.luma8()), [255; 3]);
        assert!(white.luma8().full_range);
        let green = frame("gbrp", [&[255], &[0], &[0]]);
        assert_eq!(first_row(&green.luma8()), [150; 3]);
    }

    #[test]
    fn a_turned_picture_has_turned_luma() {
        let plain = frame("gray", [&[7], &[], &[]]);
        let turn = Orientation {
            swap: true,
            ..Orientation::default()
        };
        let luma = plain.luma8().upright(turn);
        assert_eq!((luma.width, luma.height, luma.data.len()), (2, 3, 6));
    }
}
