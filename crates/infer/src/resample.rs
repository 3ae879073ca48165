//! Resizing 8-bit pictures the ways the libraries do that networks were trained with.
//!
//! A network finds less in a picture that was resized otherwise than its training's, so each way follows its original:
//! where samples lie (half-pixel centres), how far a filter reaches, and where values are rounded to 8 bits.

use framewright_media::Picture;

/// How a picture is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Between the two nearest samples, also when shrinking: `OpenCV`'s `INTER_LINEAR`.
    Linear,
    /// A triangle that widens when shrinking: Pillow's `BILINEAR`.
    Triangle,
    /// Cubic convolution with a = -0.5 that widens when shrinking: Pillow's `BICUBIC`.
    Cubic,
}

/// `picture` at `width` × `height`. None of the sizes may be 0.
pub(crate) fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Picture {
    if (width, height) == (picture.width, picture.height) {
        return picture.clone();
    }
    let columns = Taps::new(picture.width, width, filter);
    let rows = Taps::new(picture.height, height, filter);

    // Shrunk without a widened filter, most rows are never looked at.
    let mut wanted = vec![false; picture.height];
    for (first, weights) in rows.iter() {
        wanted[first..first + weights.len()].fill(true);
    }
    let mut across = vec![0f32; 3 * width * picture.height];
    for (y, row) in across.chunks_exact_mut(3 * width).enumerate() {
        if wanted[y] {
            let from = &picture.data[3 * picture.width * y..][..3 * picture.width];
            narrow(from, &columns, row);
            if filter != Filter::Linear {
                for value in row {
                    *value = f32::from(to_byte(*value));
                }
            }
        }
    }

    let mut data = Vec::with_capacity(3 * width * height);
    let mut sum = vec![0f32; 3 * width];
    for (first, weights) in rows.iter() {
        sum.fill(0.0);
        for (row, &weight) in across[3 * width * first..]
            .chunks_exact(3 * width)
            .zip(weights)
        {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
        data.extend(sum.iter().map(|&value| to_byte(value)));
    }
    Picture {
        width,
        height,
        data,
    }
}

/// One row of pixels to another width.
fn narrow(from: &[u8], columns: &Taps, to: &mut [f32]) {
    for ((first, weights), to) in columns.iter().zip(to.as_chunks_mut::<3>().0) {
        *to = [0.0; 3];
        let from = from[3 * first..].as_chunks::<3>().0;
        for (from, &weight) in from.iter().zip(weights) {
            for (to, &from) in to.iter_mut().zip(from) {
                *to += weight * f32::from(from);
            }
        }
    }
}

fn to_byte(value: f32) -> u8 {
    // `as` saturates, which is the clamp.
    (value + 0.5).floor() as u8
}

/// Which samples make each new sample, and how much of each.
struct Taps {
    /// First sample, and where its weights begin and end in `weights`.
    places: Vec<(usize, usize, usize)>,
    weights: Vec<f32>,
}

impl Taps {
    /// From `from` samples to `to`.
    fn new(from: usize, to: usize, filter: Filter) -> Self {
        let mut taps = Self {
            places: Vec::with_capacity(to),
            weights: Vec::new(),
        };
        let scale = from as f64 / to as f64;
        for i in 0..to {
            let centre = (i as f64 + 0.5) * scale;
            let begin = taps.weights.len();
            let first = match filter {
                Filter::Linear => {
                    let place = (centre - 0.5).clamp(0.0, (from - 1) as f64);
                    let part = place.fract() as f32;
                    taps.weights.push(1.0 - part);
                    if part > 0.0 {
                        taps.weights.push(part);
                    }
                    place as usize
                }
                Filter::Triangle => taps.widened(from, centre, scale, 1.0, triangle),
                Filter::Cubic => taps.widened(from, centre, scale, 2.0, cubic),
            };
            taps.places.push((first, begin, taps.weights.len()));
        }
        taps
    }

    /// Adds the weights of a filter that reaches `support` samples of the coarser side around `centre`.
    fn widened(
        &mut self,
        from: usize,
        centre: f64,
        scale: f64,
        support: f64,
        weight: impl Fn(f64) -> f64,
    ) -> usize {
        let wide = scale.max(1.0);
        let first = (centre - support * wide + 0.5).max(0.0) as usize;
        let end = ((centre + support * wide + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end)
            .map(|x| weight((x as f64 + 0.5 - centre) / wide))
            .collect();
        let sum: f64 = weights.iter().sum();
        self.weights
            .extend(weights.iter().map(|weight| (weight / sum) as f32));
        first
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.places
            .iter()
            .map(|&(first, begin, end)| (first, &self.weights[begin..end]))
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILTERS: [Filter; 3] = [Filter::Linear, Filter::Triangle, Filter::Cubic];

    fn row(values: &[u8]) -> Picture {
        Picture {
            width: values.len(),
            height: 1,
            data: values.iter().flat_map(|&v| [v, v, v]).collect(),
        }
    }

    fn resized(values: &[u8], width: usize, filter: Filter) -> Vec<u8> {
        let picture = resize(&row(values), width, 1, filter);
        picture
            .data
            .as_chunks::<3>()
            .0
            .iter()
            .map(|p| p[0])
            .collect()
    }

    #[test]
    fn linear_takes_the_two_samples_around_half_pixel_centres() {
        assert_eq!(resized(&[0, 100], 4, Filter::Linear), [0, 25, 75, 100]);
        // 8 to 2: centres at 1.5 and 5.5, the others do not count.
        let values = [9, 10, 20, 9, 9, 40, 50, 9];
        assert_eq!(resized(&values, 2, Filter::Linear), [15, 45]);
    }

    #[test]
    fn widened_filters_give_what_pillow_gives() {
        let values = [0, 50, 100, 150, 200, 250, 0, 10];
        assert_eq!(resized(&values, 3, Filter::Triangle), [55, 168, 78]);
        assert_eq!(resized(&values, 3, Filter::Cubic), [45, 180, 75]);
        assert_eq!(
            resized(&values, 11, Filter::Cubic),
            [0, 26, 66, 102, 139, 175, 217, 254, 71, 0, 11]
        );
    }

    proptest! {
        #[test]
        fn a_picture_of_one_colour_keeps_it(
            colour: [u8; 3], from in (1usize..40, 1usize..40), to in (1usize..40, 1usize..40)
        ) {
            let picture = Picture { width: from.0, height: from.1, data: colour.repeat(from.0 * from.1) };
            for filter in FILTERS {
                let resized = resize(&picture, to.0, to.1, filter);
                prop_assert_eq!((resized.width, resized.height), to);
                prop_assert_eq!(&resized.data, &colour.repeat(to.0 * to.1));
            }
        }
    }
}
