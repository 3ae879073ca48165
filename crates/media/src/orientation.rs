//! How a stored picture is turned to stand upright: what players make of a display matrix.

/// A turn by a multiple of 90 degrees, mirrored or not: first rows and columns change places, then the result is turned
/// over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orientation {
    /// Rows become columns.
    pub swap: bool,
    /// The right side comes to the left, after the swap.
    pub flip_x: bool,
    /// The lower side comes to the top, after the swap.
    pub flip_y: bool,
}

impl Orientation {
    /// What a display matrix says, in FFmpeg's layout: a point `(x, y)` is shown at `(x·m0 + y·m3, x·m1 + y·m4)`. Angles
    /// between the multiples of 90 degrees count as the nearest of them.
    pub(crate) fn from_matrix(m: &[i32]) -> Self {
        let size = |n: i32| i64::from(n).abs();
        if size(m[0]) + size(m[4]) >= size(m[1]) + size(m[3]) {
            Self {
                swap: false,
                flip_x: m[0] < 0,
                flip_y: m[4] < 0,
            }
        } else {
            Self {
                swap: true,
                flip_x: m[3] < 0,
                flip_y: m[1] < 0,
            }
        }
    }

    /// Whether the picture stands upright as it is stored.
    pub fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// Width and height of the upright picture.
    pub fn turned_size(self, width: usize, height: usize) -> (usize, usize) {
        if self.swap {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// The upright picture of `from`, rows of `width` pixels without a gap.
    ///
    /// # Panics
    /// When `from` does not hold `width * height` pixels.
    pub fn turn<T: Copy>(self, from: &[T], width: usize, height: usize) -> Vec<T> {
        assert_eq!(from.len(), width * height);
        let (to_width, to_height) = self.turned_size(width, height);
        let mut to = Vec::with_capacity(from.len());
        for y in 0..to_height {
            let y = if self.flip_y { to_height - 1 - y } else { y };
            for x in 0..to_width {
                let x = if self.flip_x { to_width - 1 - x } else { x };
                to.push(if self.swap {
                    from[x * width + y]
                } else {
                    from[y * width + x]
                });
            }
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i32 = 1 << 16;

    /// `a b c / d e f` turned by a matrix, as rows.
    fn turned(m: [i32; 4]) -> (String, usize) {
        let orientation = Orientation::from_matrix(&[m[0], m[1], 0, m[2], m[3], 0, 0, 0, 1 << 30]);
        let to = orientation.turn(&['a', 'b', 'c', 'd', 'e', 'f'], 3, 2);
        (to.into_iter().collect(), orientation.turned_size(3, 2).0)
    }

    #[test]
    fn a_display_matrix_turns_the_picture_as_players_do() {
        assert_eq!(turned([ONE, 0, 0, ONE]), ("abcdef".into(), 3));
        // A quarter turn clockwise, as phones write it.
        assert_eq!(turned([0, ONE, -ONE, 0]), ("daebfc".into(), 2));
        assert_eq!(turned([0, -ONE, ONE, 0]), ("cfbead".into(), 2));
        assert_eq!(turned([-ONE, 0, 0, -ONE]), ("fedcba".into(), 3));
        assert_eq!(turned([-ONE, 0, 0, ONE]), ("cbafed".into(), 3));
        assert_eq!(turned([ONE, 0, 0, -ONE]), ("defabc".into(), 3));
        assert_eq!(turned([0, ONE, ONE, 0]), ("adbecf".into(), 2));
        assert_eq!(turned([0, -ONE, -ONE, 0]), ("fcebda".into(), 2));
        // A hand that was not quite steady, and a matrix of nothing.
        assert_eq!(
            turned([60_000, 20_000, -20_000, 60_000]),
            ("abcdef".into(), 3)
        );
        assert_eq!(turned([0; 4]), ("abcdef".into(), 3));
        assert_eq!(turned([i32::MIN, 0, 0, i32::MIN]), ("fedcba".into(), 3));
    }
}
