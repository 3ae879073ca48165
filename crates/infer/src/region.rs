//! Parts of a picture, and how much of every layer they need.

use std::ops::Range;

/// A rectangle of pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Columns.
    pub x: Range<usize>,
    /// Rows.
    pub y: Range<usize>,
}

impl Region {
    /// A whole picture.
    pub fn whole(width: usize, height: usize) -> Self {
        Self {
            x: 0..width,
            y: 0..height,
        }
    }

    /// This region and all pixels of a `width` × `height` picture not farther than `n` from it.
    pub fn grown(&self, n: usize, width: usize, height: usize) -> Self {
        let grown = |range: &Range<usize>, end: usize| {
            range.start.saturating_sub(n)..end.min(range.end + n)
        };
        Self {
            x: grown(&self.x, width),
            y: grown(&self.y, height),
        }
    }

    /// True where it has pixels and all of them lie in a `width` × `height` picture.
    pub fn is_inside(&self, width: usize, height: usize) -> bool {
        !self.x.is_empty() && !self.y.is_empty() && self.x.end <= width && self.y.end <= height
    }
}
