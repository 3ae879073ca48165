//! The picture the networks see: planar RGB in f32.

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
}
