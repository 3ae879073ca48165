//! Movements of whole pictures.

use crate::region::Region;

/// By how many pixels a picture is moved: to the right and down, or to the left and up where negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift {
    /// To the right.
    pub x: isize,
    /// Down.
    pub y: isize,
}

impl Shift {
    /// True where nothing moves.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The same movement of the picture `by` times as large.
    pub fn scaled(self, by: usize) -> Self {
        Self {
            x: self.x * by as isize,
            y: self.y * by as isize,
        }
    }

    /// What a `width` × `height` picture still shows of itself after it; without pixels where it has moved out.
    pub fn covered(self, width: usize, height: usize) -> Region {
        let covered = |by: isize, length: usize| {
            let gone = by.unsigned_abs().min(length);
            if by > 0 {
                gone..length
            } else {
                0..length - gone
            }
        };
        Region {
            x: covered(self.x, width),
            y: covered(self.y, height),
        }
    }

    /// The strips of a `width` × `height` picture that it does not show of itself after it. Two overlap in their corner.
    pub fn uncovered(self, width: usize, height: usize) -> impl Iterator<Item = Region> {
        let covered = self.covered(width, height);
        let strip = |covered: &std::ops::Range<usize>, end: usize| {
            if covered.start > 0 {
                0..covered.start
            } else {
                covered.end..end
            }
        };
        let whole = Region::whole(width, height);
        let strips = [
            Region {
                x: strip(&covered.x, width),
                ..whole.clone()
            },
            Region {
                y: strip(&covered.y, height),
                ..whole
            },
        ];
        strips
            .into_iter()
            .filter(move |strip| strip.is_inside(width, height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_pixel_is_either_covered_or_in_a_strip(
            (width, height) in (1_usize..20, 1_usize..20), (x, y) in (-24_isize..24, -24_isize..24)
        ) {
            let shift = Shift { x, y };
            let covered = shift.covered(width, height);
            let strips: Vec<_> = shift.uncovered(width, height).collect();
            prop_assert_eq!(strips.is_empty(), shift.is_none());
            for py in 0..height {
                for px in 0..width {
                    let pixel = Region { x: px..px + 1, y: py..py + 1 };
                    let from = (px as isize - x, py as isize - y);
                    let shown = (0..width as isize).contains(&from.0) && (0..height as isize).contains(&from.1);
                    prop_assert_eq!(covered.contains(&pixel), shown);
                    prop_assert_eq!(!shown, strips.iter().any(|strip| strip.contains(&pixel)));
                }
            }
        }
    }
}
