//! Parts of a picture.

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

    /// Columns in it.
    pub fn width(&self) -> usize {
        self.x.len()
    }

    /// Rows in it.
    pub fn height(&self) -> usize {
        self.y.len()
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

    /// The smallest region around this one whose edges are multiples of `to` or the edges of a `width` × `height`
    /// picture. With 2 it holds whole chroma samples.
    pub fn aligned(&self, to: usize, width: usize, height: usize) -> Self {
        let aligned = |range: &Range<usize>, end: usize| {
            range.start / to * to..range.end.next_multiple_of(to).min(end)
        };
        Self {
            x: aligned(&self.x, width),
            y: aligned(&self.y, height),
        }
    }

    /// The same part of the picture `by` times as large.
    pub fn scaled(&self, by: usize) -> Self {
        Self {
            x: self.x.start * by..self.x.end * by,
            y: self.y.start * by..self.y.end * by,
        }
    }

    /// True where it has pixels and all of them lie in a `width` × `height` picture.
    pub fn is_inside(&self, width: usize, height: usize) -> bool {
        !self.x.is_empty() && !self.y.is_empty() && self.x.end <= width && self.y.end <= height
    }

    /// True where every pixel of `other` lies in this region.
    pub fn contains(&self, other: &Self) -> bool {
        let within = |inner: &Range<usize>, outer: &Range<usize>| {
            outer.start <= inner.start && inner.end <= outer.end
        };
        within(&other.x, &self.x) && within(&other.y, &self.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn region(x: Range<usize>, y: Range<usize>) -> Region {
        Region { x, y }
    }

    #[test]
    fn growing_and_aligning_end_at_the_edges_of_the_picture() {
        let part = region(3..6, 1..9);
        assert_eq!(part.grown(2, 7, 9), region(1..7, 0..9));
        assert_eq!(part.aligned(2, 7, 9), region(2..6, 0..9));
        assert_eq!(part.aligned(4, 7, 20), region(0..7, 0..12));
        assert_eq!(part.scaled(2), region(6..12, 2..18));
    }

    #[test]
    fn a_region_contains_itself_and_nothing_that_sticks_out() {
        let part = region(3..6, 1..9);
        assert!(part.contains(&part) && part.grown(1, 9, 9).contains(&part));
        assert!(!part.contains(&region(3..7, 1..9)) && !part.contains(&region(3..6, 0..9)));
        assert!(part.is_inside(6, 9) && !part.is_inside(6, 8));
        assert!(!region(3..3, 1..9).is_inside(6, 9));
    }
}
