//! Where scenes begin: hard cuts, found on thumbnails of the luma.
//!
//! The sliding window of Yeo and Liu (Rapid scene analysis on compressed video, 1995) on the mean absolute difference of
//! 32×18 thumbnails: a cut is the largest difference of its surroundings, and twice as large as any other there. What
//! moves, pans, fades or is drawn on every third frame differs about as much all the time, and is none. Beside that the
//! histogram must change, which it hardly does in a pan, and the picture before must not come back at once, as it does
//! after a flash.

use std::collections::VecDeque;

use crate::Luma8;

const WIDTH: usize = 32;
const HEIGHT: usize = 18;
const BINS: usize = 16;
/// Frames looked at on either side.
const AROUND: usize = 3;
/// Least mean difference of a cut, in 8-bit levels.
const LEAST_CHANGE: f32 = 8.0;
/// How many times the next largest difference a cut is.
const LEAST_RATIO: f32 = 2.0;
/// Least share of the histogram that moves to another bin.
const LEAST_MOVED: f32 = 0.12;
/// Shortest scene in seconds.
const SHORTEST_SECS: f64 = 0.5;

/// What is kept of a picture.
#[derive(Clone)]
struct Thumbnail {
    luma: Vec<f32>,
    histogram: [f32; BINS],
}

/// Frames on their way through the window.
pub(super) struct SceneFinder<T> {
    /// Thumbnails of the frames in `waiting` and of those looked back at.
    window: VecDeque<(Thumbnail, f32)>,
    /// Frames that are not judged yet, oldest first, with their time in seconds.
    waiting: VecDeque<(T, f64)>,
    scene_began: f64,
    has_begun: bool,
}

impl<T> SceneFinder<T> {
    pub(super) fn new() -> Self {
        Self {
            window: VecDeque::new(),
            waiting: VecDeque::new(),
            scene_began: 0.0,
            has_begun: false,
        }
    }

    /// Takes the next frame; gives the one that is judged now, and whether a scene begins with it.
    pub(super) fn push(&mut self, frame: T, luma: &Luma8<'_>, secs: f64) -> Option<(T, bool)> {
        let thumbnail = Thumbnail::of(luma);
        let change = self
            .window
            .back()
            .map_or(0.0, |(before, _)| before.difference(&thumbnail));
        self.window.push_back((thumbnail, change));
        self.waiting.push_back((frame, secs));
        if self.waiting.len() <= AROUND {
            return None;
        }
        self.judge()
    }

    /// The frames that are left behind the last one, one by one.
    pub(super) fn finish(&mut self) -> Option<(T, bool)> {
        self.judge()
    }

    fn judge(&mut self) -> Option<(T, bool)> {
        let (frame, secs) = self.waiting.pop_front()?;
        let at = self.window.len() - 1 - self.waiting.len();
        let begins =
            !self.has_begun || (self.is_cut(at) && secs - self.scene_began >= SHORTEST_SECS);
        if begins {
            (self.has_begun, self.scene_began) = (true, secs);
        }
        // One more than is looked back at: what stood before the change.
        while self.window.len() > AROUND + 1 + self.waiting.len() {
            self.window.pop_front();
        }
        Some((frame, begins))
    }

    fn is_cut(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).map(|before| &self.window[before].0) else {
            return false;
        };
        let (now, change) = &self.window[at];
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(self.window.len());
        // Differences with nothing in them, such as of repeats, say nothing of how much the film moves: but the largest
        // of a window does.
        let largest = around
            .filter(|&n| n != at)
            .map(|n| self.window[n].1)
            .fold(0.0, f32::max);
        let returns = (at + 1..self.window.len().min(at + AROUND + 1))
            .any(|n| before.difference(&self.window[n].0) < LEAST_CHANGE / 2.0);
        *change >= LEAST_CHANGE
            && *change >= LEAST_RATIO * largest
            && before.moved(now) >= LEAST_MOVED
            && !returns
    }
}

impl Thumbnail {
    /// Means over rectangles, and how the pixels are spread over levels.
    fn of(luma: &Luma8<'_>) -> Self {
        let (mut means, mut histogram) = (Vec::with_capacity(WIDTH * HEIGHT), [0.0; BINS]);
        for row in 0..HEIGHT {
            let y = cell(row, HEIGHT, luma.height);
            for column in 0..WIDTH {
                let x = cell(column, WIDTH, luma.width);
                let mut sum = 0_u64;
                for y in y.clone() {
                    let line = &luma.data[y * luma.stride..][x.clone()];
                    sum += line.iter().map(|&level| u64::from(level)).sum::<u64>();
                }
                let mean = sum as f32 / (x.len() * y.len()) as f32;
                histogram[(mean as usize * BINS / 256).min(BINS - 1)] += 1.0;
                means.push(mean);
            }
        }
        Self {
            luma: means,
            histogram,
        }
    }

    /// Mean absolute difference in levels.
    fn difference(&self, other: &Self) -> f32 {
        let pairs = self.luma.iter().zip(&other.luma);
        pairs.map(|(one, other)| (one - other).abs()).sum::<f32>() / self.luma.len() as f32
    }

    /// Share of the cells that is in another bin of the histogram.
    fn moved(&self, other: &Self) -> f32 {
        let pairs = self.histogram.iter().zip(&other.histogram);
        let sum: f32 = pairs.map(|(one, other)| (one - other).abs()).sum();
        sum / 2.0 / self.luma.len() as f32
    }
}

/// The pixels under a cell; at least one.
fn cell(n: usize, of: usize, pixels: usize) -> std::ops::Range<usize> {
    let start = (n * pixels / of).min(pixels - 1);
    start..((n + 1) * pixels / of).max(start + 1)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::noise::noise;

    /// Numbers of the frames with which scenes begin, at 10 frames per second.
    fn scenes(frames: &[Vec<u8>]) -> Vec<usize> {
        let mut finder = SceneFinder::new();
        let mut judged = Vec::new();
        for (n, data) in frames.iter().enumerate() {
            let luma = Luma8 {
                width: 64,
                height: 36,
                stride: 64,
                data: Cow::Borrowed(data),
                full_range: true,
            };
            judged.extend(finder.push(n, &luma, n as f64 / 10.0));
        }
        judged.extend(std::iter::from_fn(|| finder.finish()));
        assert!(judged.iter().map(|it| it.0).eq(0..frames.len()));
        judged
            .into_iter()
            .filter(|it| it.1)
            .map(|it| it.0)
            .collect()
    }

    /// A picture of large random squares, `shift` pixels to the right, `level` added.
    fn picture(seed: u64, shift: usize, level: i32) -> Vec<u8> {
        let squares: Vec<i32> = noise(seed)
            .take(64)
            .map(|n| (n % 150) as i32 + 20)
            .collect();
        let pixel = |n: usize| squares[(n / 64 / 9) * 16 + (n % 64 + shift) / 8 % 16] + level;
        (0..64 * 36).map(|n| pixel(n).clamp(0, 255) as u8).collect()
    }

    #[test]
    fn hard_cuts_are_found_where_they_are() {
        let frames: Vec<_> = (0..40).map(|n| picture(n / 10, 0, 0)).collect();
        assert_eq!(scenes(&frames), [0, 10, 20, 30]);
        assert_eq!(scenes(&frames[..1]), [0]);
    }

    #[test]
    fn pans_fades_flashes_and_repeats_are_no_cuts() {
        let pan: Vec<_> = (0..40).map(|n| picture(1, n, 0)).collect();
        assert_eq!(scenes(&pan), [0]);
        let fade: Vec<_> = (0..40).map(|n| picture(1, 0, n * 5 - 100)).collect();
        assert_eq!(scenes(&fade), [0]);
        let flash: Vec<_> = (0..40)
            .map(|n| picture(1, 0, if n == 20 { 90 } else { 0 }))
            .collect();
        assert_eq!(scenes(&flash), [0]);
        let threes: Vec<_> = (0..40).map(|n| picture(1, n / 3 * 3, 0)).collect();
        assert_eq!(scenes(&threes), [0]);
    }

    #[test]
    fn a_scene_is_not_shorter_than_half_a_second() {
        let frames: Vec<_> = (0..40)
            .map(|n| picture(if (10..14).contains(&n) { 7 } else { 1 }, 0, 0))
            .collect();
        assert_eq!(scenes(&frames), [0, 10]);
    }
}
