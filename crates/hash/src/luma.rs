//! The picture that is measured: one plane of 8-bit luma.

/// A plane of 8-bit luma as decoders have it.
#[derive(Debug, Clone, Copy)]
pub struct Luma<'a> {
    /// Width in pixels, 1 to 65 535.
    pub width: usize,
    /// Height in pixels, 1 to 65 535.
    pub height: usize,
    /// Bytes from one row to the next, at least `width`.
    pub stride: usize,
    /// The rows; the last may end with its last pixel.
    pub data: &'a [u8],
    /// Whether black is 0 and white 255; else 16 and 235. What is measured is in levels of 0 to 255 for both.
    pub full_range: bool,
}

impl<'a> Luma<'a> {
    /// Row `y`.
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width]
    }

    /// # Panics
    /// When the plane does not hold what its fields say, or is too large.
    pub(crate) fn check(&self) {
        let (width, height) = (self.width, self.height);
        assert!(
            width >= 1
                && height >= 1
                && width.checked_mul(height).is_some_and(|all| all <= 1 << 31),
            "a picture of {width}x{height}"
        );
        let end = self
            .stride
            .checked_mul(height - 1)
            .and_then(|rows| rows.checked_add(width));
        assert!(
            self.stride >= width && end.is_some_and(|end| end <= self.data.len()),
            "a plane of {} bytes is too small for {width}x{height} in rows of {}",
            self.data.len(),
            self.stride
        );
    }

    /// The largest code that is no brighter than `level` of 0 to 255.
    pub(crate) fn code_at(&self, level: u32) -> u8 {
        if self.full_range {
            level.min(255) as u8
        } else {
            (16 + level.min(255) * 219 / 255) as u8
        }
    }

    /// How many levels of 0 to 255 one code is.
    pub(crate) fn levels_per_code(&self) -> f64 {
        if self.full_range { 1.0 } else { 255.0 / 219.0 }
    }
}
