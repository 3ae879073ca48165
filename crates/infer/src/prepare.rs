//! A picture as a network takes it: resized into its input, its numbers in the colour order and scale it was trained with.

use framewright_media::Picture;

use crate::resample::{Filter, resize};

/// Colour order and scale of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Norm {
    /// The word that chooses it.
    pub(crate) word: &'static str,
    /// What it is, in words.
    pub(crate) says: &'static str,
    /// Blue first.
    bgr: bool,
    /// 0 to 255 where true, else 0 to 1 before mean and deviation.
    bytes: bool,
    /// In the order red, green, blue, of values from 0 to 1.
    mean: [f32; 3],
    deviation: [f32; 3],
}

/// Means and standard deviations of `ImageNet`'s pictures.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
const AS_IS: ([f32; 3], [f32; 3]) = ([0.0; 3], [1.0; 3]);
const HALF: ([f32; 3], [f32; 3]) = ([0.5; 3], [0.5; 3]);

const fn norm(
    word: &'static str,
    says: &'static str,
    bgr: bool,
    bytes: bool,
    (mean, deviation): ([f32; 3], [f32; 3]),
) -> Norm {
    Norm {
        word,
        says,
        bgr,
        bytes,
        mean,
        deviation,
    }
}

impl Norm {
    pub(crate) const RGB_1: Self = norm("rgb-1", "RGB from 0 to 1", false, false, AS_IS);
    pub(crate) const BGR_1: Self = norm("bgr-1", "BGR from 0 to 1", true, false, AS_IS);
    pub(crate) const RGB_255: Self = norm("rgb-255", "RGB from 0 to 255", false, true, AS_IS);
    pub(crate) const BGR_255: Self = norm("bgr-255", "BGR from 0 to 255", true, true, AS_IS);
    pub(crate) const RGB_IMAGENET: Self = norm(
        "rgb-imagenet",
        "RGB with ImageNet's mean and deviation",
        false,
        false,
        IMAGENET,
    );
    pub(crate) const BGR_IMAGENET: Self = norm(
        "bgr-imagenet",
        "BGR with ImageNet's mean and deviation",
        true,
        false,
        IMAGENET,
    );
    pub(crate) const RGB_HALF: Self = norm("rgb-half", "RGB from -1 to 1", false, false, HALF);
    pub(crate) const BGR_HALF: Self = norm("bgr-half", "BGR from -1 to 1", true, false, HALF);

    const ALL: [Self; 8] = [
        Self::RGB_1,
        Self::BGR_1,
        Self::RGB_255,
        Self::BGR_255,
        Self::RGB_IMAGENET,
        Self::BGR_IMAGENET,
        Self::RGB_HALF,
        Self::BGR_HALF,
    ];

    /// The one of that word.
    pub(crate) fn from_word(word: &str) -> Result<Self, String> {
        let words = || Self::ALL.map(|norm| norm.word).join(", ");
        Self::ALL
            .into_iter()
            .find(|norm| norm.word == word)
            .ok_or_else(|| {
                format!(
                    "unknown colour order and scale {word:?}, known are {}",
                    words()
                )
            })
    }

    /// This one for a network that subtracts the mean itself: what is left is the order and the range.
    pub(crate) fn baked(self, bytes: bool) -> Self {
        match (self.bgr, bytes) {
            (false, false) => Self::RGB_1,
            (true, false) => Self::BGR_1,
            (false, true) => Self::RGB_255,
            (true, true) => Self::BGR_255,
        }
    }

    /// With this mean and deviation, RGB.
    pub(crate) fn of(mean: [f32; 3], deviation: [f32; 3]) -> Self {
        norm(
            "rgb",
            "RGB with a mean and deviation of its own",
            false,
            false,
            (mean, deviation),
        )
    }

    /// What byte `v` of red, green or blue (0, 1, 2) becomes.
    fn table(&self, channel: usize) -> [f32; 256] {
        let scale = if self.bytes { 1.0 } else { 255.0 };
        std::array::from_fn(|v| (v as f32 / scale - self.mean[channel]) / self.deviation[channel])
    }
}

/// How a picture is laid into the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Stretched to the whole input.
    Stretch(Filter),
    /// Its shape kept, in the middle of grey: Ultralytics.
    Middle,
    /// Its shape kept, in the upper left corner of grey: YOLOX.
    Corner,
}

impl Fit {
    /// In words, for the plan.
    pub(crate) const fn says(self) -> &'static str {
        match self {
            Self::Stretch(_) => "pictures are stretched to its input",
            Self::Middle => "pictures keep their shape, in the middle of grey (114)",
            Self::Corner => "pictures keep their shape, in the upper left corner of grey (114)",
        }
    }
}

/// Grey beside a picture.
const GREY: u8 = 114;

/// Where a picture lies in the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) left: usize,
    pub(crate) top: usize,
    /// Pixels of the input for one of the picture, across and down.
    pub(crate) scale: [f32; 2],
}

impl Place {
    /// For a picture of `from` in an input of `to` (width, height).
    pub(crate) fn new(fit: Fit, from: [usize; 2], to: [usize; 2]) -> Self {
        let ratio = |axis: usize| to[axis] as f64 / from[axis] as f64;
        if let Fit::Stretch(_) = fit {
            return Self {
                width: to[0],
                height: to[1],
                left: 0,
                top: 0,
                scale: [ratio(0) as f32, ratio(1) as f32],
            };
        }
        let scale = ratio(0).min(ratio(1));
        // The rounding of each reference implementation: one rounds, the other cuts.
        let side = |axis: usize| {
            let side = from[axis] as f64 * scale;
            let side = if fit == Fit::Middle {
                side.round_ties_even()
            } else {
                // A product that should be whole may lie just below.
                (side + 1e-9).floor()
            };
            (side as usize).clamp(1, to[axis])
        };
        let [width, height] = [side(0), side(1)];
        let before = |axis: usize, side: usize| match fit {
            Fit::Middle => ((to[axis] - side) as f64 / 2.0 - 0.1).round().max(0.0) as usize,
            _ => 0,
        };
        Self {
            width,
            height,
            left: before(0, width),
            top: before(1, height),
            scale: [scale as f32; 2],
        }
    }

    /// Fills `tensor`, `[3, height, width]` of the input, with `picture`.
    pub(crate) fn fill(
        &self,
        picture: &Picture,
        fit: Fit,
        norm: &Norm,
        to: [usize; 2],
        tensor: &mut Vec<f32>,
    ) {
        let filter = match fit {
            Fit::Stretch(filter) => filter,
            Fit::Middle | Fit::Corner => Filter::Linear,
        };
        let picture = resize(picture, self.width, self.height, filter);
        tensor.clear();
        for plane in 0..3 {
            let channel = if norm.bgr { 2 - plane } else { plane };
            let table = norm.table(channel);
            let start = tensor.len();
            tensor.resize(start + to[0] * to[1], table[usize::from(GREY)]);
            let rows = tensor[start..].chunks_exact_mut(to[0]).skip(self.top);
            for (to, from) in rows.zip(picture.data.chunks_exact(3 * self.width)) {
                let to = &mut to[self.left..][..self.width];
                for (to, from) in to.iter_mut().zip(from.as_chunks::<3>().0) {
                    *to = table[usize::from(from[channel])];
                }
            }
        }
    }

    /// Left, top, width and height in a picture of `size`, cut to it; none for what lies outside.
    pub(crate) fn back(&self, corners: [f32; 4], size: [usize; 2]) -> Option<[f32; 4]> {
        let at = |value: f32, axis: usize| {
            let before = [self.left, self.top][axis] as f32;
            ((value - before) / self.scale[axis]).clamp(0.0, size[axis] as f32)
        };
        let [x1, y1, x2, y2] = [
            at(corners[0], 0),
            at(corners[1], 1),
            at(corners[2], 0),
            at(corners[3], 1),
        ];
        (x2 > x1 && y2 > y1).then_some([x1, y1, x2 - x1, y2 - y1])
    }
}

/// Fills `tensor`, `[3, height, width]` of size `to`, with the middle of `picture`, which is at least as large.
pub(crate) fn fill_middle(picture: &Picture, norm: &Norm, to: [usize; 2], tensor: &mut Vec<f32>) {
    let (left, top) = ((picture.width - to[0]) / 2, (picture.height - to[1]) / 2);
    tensor.clear();
    for plane in 0..3 {
        let channel = if norm.bgr { 2 - plane } else { plane };
        let table = norm.table(channel);
        let rows = picture.data.chunks_exact(3 * picture.width).skip(top);
        for row in rows.take(to[1]) {
            let row = &row.as_chunks::<3>().0[left..][..to[0]];
            tensor.extend(row.iter().map(|pixel| table[usize::from(pixel[channel])]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_lie_where_the_reference_implementations_lay_them() {
        let place = |fit, from, to| {
            let place = Place::new(fit, from, to);
            (place.width, place.height, place.left, place.top)
        };
        assert_eq!(
            place(Fit::Middle, [768, 576], [640, 640]),
            (640, 480, 0, 80)
        );
        assert_eq!(
            place(Fit::Middle, [1280, 719], [640, 640]),
            (640, 360, 0, 140)
        );
        // 640 - 359 = 281 rows of grey: 140 above, 141 below.
        assert_eq!(
            place(Fit::Middle, [1280, 718], [640, 640]),
            (640, 359, 0, 140)
        );
        assert_eq!(place(Fit::Corner, [768, 576], [416, 416]), (416, 312, 0, 0));
        assert_eq!(place(Fit::Corner, [100, 333], [416, 416]), (124, 416, 0, 0));
        assert_eq!(place(Fit::Middle, [10_000, 1], [64, 64]), (64, 1, 0, 31));
        assert_eq!(
            place(Fit::Stretch(Filter::Linear), [10, 20], [64, 32]),
            (64, 32, 0, 0)
        );
    }

    #[test]
    fn the_input_holds_colours_in_the_order_and_scale_asked_for() {
        let picture = Picture {
            width: 2,
            height: 1,
            data: vec![255, 0, 51, 255, 0, 51],
        };
        let filled = |norm: Norm| {
            let mut tensor = Vec::new();
            let place = Place::new(Fit::Corner, [2, 1], [2, 2]);
            place.fill(&picture, Fit::Corner, &norm, [2, 2], &mut tensor);
            tensor
        };
        let grey = 114.0;
        let expected = [
            51.0, 51.0, grey, grey, 0.0, 0.0, grey, grey, 255.0, 255.0, grey, grey,
        ];
        assert_eq!(filled(Norm::BGR_255), expected);
        let rgb = filled(Norm::RGB_1);
        assert_eq!((rgb[0], rgb[4], rgb[8]), (1.0, 0.0, 0.2));
        let imagenet = filled(Norm::BGR_IMAGENET);
        assert!((imagenet[8] - (1.0 - 0.485) / 0.229).abs() < 1e-6);
    }

    #[test]
    fn boxes_come_back_into_the_picture_and_no_farther() {
        let place = Place::new(Fit::Middle, [768, 576], [640, 640]);
        let back = place.back([64.0, 104.0, 128.0, 128.0], [768, 576]).unwrap();
        let expected = [76.8, 28.8, 76.8, 28.8];
        assert!(
            back.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3),
            "{back:?}"
        );
        let cut = place.back([-50.0, 0.0, 700.0, 640.0], [768, 576]);
        assert_eq!(cut, Some([0.0, 0.0, 768.0, 576.0]));
        assert_eq!(place.back([0.0, 0.0, 640.0, 70.0], [768, 576]), None);
    }
}
