//! The picture the networks see: planar RGB in f32.

use crate::Region;

/// A planar RGB picture, f32, layout `NCHW` with N = 1 and C = 3 (R, G, B).
///
/// Rows are contiguous (stride = width), planes follow each other without a gap, so [`data`](Self::data) is the tensor
/// itself. Values are nominally 0..=1 (0 = black, 1 = white, non-linear light as in the video); they may leave that
/// range where the YUV colour lies outside the RGB cube.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanarRgb {
    width: usize,
    height: usize,
    data: Vec<f32>,
}

impl PlanarRgb {
    /// A black picture of `width` × `height` pixels.
    pub fn new(width: usize, height: usize) -> Self {
        let mut picture = Self::default();
        picture.resize(width, height);
        picture
    }

    /// Changes the size and keeps the allocation; the pixels are unspecified afterwards.
    pub fn resize(&mut self, width: usize, height: usize) {
        self.width = width;
        self.height = height;
        let len = 3 * width * height;
        if len > self.data.capacity() {
            // New memory comes zeroed from the system and is touched when it is written to, row by row; `Vec::resize`
            // would copy the old pixels and write all zeros at once, 60 ms for a 4K picture.
            self.data = Vec::new();
            self.data = vec![0.0; len];
        } else {
            self.data.resize(len, 0.0);
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The whole tensor, `[1, 3, height, width]`.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The whole tensor, `[1, 3, height, width]`, to write.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The R, G and B planes, each `height` rows of `width` values.
    pub fn planes(&self) -> [&[f32]; 3] {
        let n = self.width * self.height;
        [&self.data[..n], &self.data[n..2 * n], &self.data[2 * n..]]
    }

    /// The R, G and B planes to write, each `height` rows of `width` values.
    pub fn planes_mut(&mut self) -> [&mut [f32]; 3] {
        let n = self.width * self.height;
        let (r, gb) = self.data.split_at_mut(n);
        let (g, b) = gb.split_at_mut(n);
        [r, g, b]
    }

    /// Writes `part` to the place `region`, which has its size.
    ///
    /// # Panics
    /// When `region` is not inside the picture or `part` has another size.
    pub fn put(&mut self, region: &Region, part: &Self) {
        assert!(
            region.is_inside(self.width, self.height),
            "{region:?} lies in a picture of {}x{}",
            self.width,
            self.height
        );
        assert_eq!((part.width, part.height), (region.width(), region.height()));
        let width = self.width;
        for (to, from) in self.planes_mut().into_iter().zip(part.planes()) {
            for (y, from) in region.y.clone().zip(from.chunks_exact(part.width)) {
                to[y * width..][region.x.clone()].copy_from_slice(from);
            }
        }
    }

    /// Resizes `into` to `region` and fills it with the pixels there.
    ///
    /// # Panics
    /// When `region` is not inside the picture.
    pub fn cut(&self, region: &Region, into: &mut Self) {
        assert!(
            region.is_inside(self.width, self.height),
            "{region:?} lies in a picture of {}x{}",
            self.width,
            self.height
        );
        into.resize(region.width(), region.height());
        for (to, from) in into.planes_mut().into_iter().zip(self.planes()) {
            for (y, to) in region.y.clone().zip(to.chunks_exact_mut(region.width())) {
                to.copy_from_slice(&from[y * self.width..][region.x.clone()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_cut_out_and_put_elsewhere_leaves_the_rest_alone() {
        let mut picture = PlanarRgb::new(5, 4);
        for (value, n) in picture.data_mut().iter_mut().zip(0_u8..) {
            *value = f32::from(n);
        }
        let mut part = PlanarRgb::new(9, 9);
        picture.cut(&Region { x: 1..3, y: 2..4 }, &mut part);
        assert_eq!((part.width(), part.height()), (2, 2));
        assert_eq!(part.planes()[1], [31.0, 32.0, 36.0, 37.0]);
        let before = picture.clone();
        picture.put(&Region { x: 3..5, y: 0..2 }, &part);
        assert_eq!(
            picture.planes()[1][..10],
            [20.0, 21.0, 22.0, 31.0, 32.0, 25.0, 26.0, 27.0, 36.0, 37.0]
        );
        for (now, before) in picture.planes().into_iter().zip(before.planes()) {
            assert_eq!(now[10..], before[10..]);
        }
    }
}
