//! `Resize` and `Upsample` of any value: by which factors, and which positions a new one is made from.

use super::Walk;
use super::axis::Axis;
use super::operators::spatial;
use crate::native::onnx::proto::NodeProto;
use crate::native::onnx::sizes::Size;

impl Walk<'_> {
    /// A `Resize` or `Upsample` by constant factors that are exact in f32 (so that a crop is resized as the whole is).
    pub(super) fn resize(&self, node: &NodeProto, axes: &[Axis; 2]) -> Option<Resize> {
        let upsample = node.operator() == "Upsample";
        if node.int("antialias", 0) != 0
            || node.text("keep_aspect_ratio_policy", "stretch") != "stretch"
        {
            return None;
        }
        let named = match node.ints("axes") {
            [] => vec![0, 1, 2, 3],
            axes => axes.to_vec(),
        };
        let list = |index: usize| {
            self.sizes
                .list(node.input(index))
                .filter(|list| !list.is_empty())
        };
        let mut factors = [[1, 1]; 2];
        let mut set = |axis: i64, factor: f64| match spatial(axis) {
            Some(place) => {
                factors[place] = fraction(factor)?;
                Some(())
            }
            // Another number of channels or pictures would be none of an upscaler.
            None => (factor.to_bits() == 1_f64.to_bits()).then_some(()),
        };
        let attribute = node.attribute("scales").filter(|_| upsample);
        let scales = if upsample || self.graph.opset < 11 {
            list(1)
        } else {
            list(2)
        };
        if let Some(scales) = attribute {
            if scales.floats.len() != named.len() {
                return None;
            }
            for (&axis, &scale) in named.iter().zip(&scales.floats) {
                set(axis, scale.into())?;
            }
        } else {
            let sizes = scales.or_else(|| list(3))?;
            if sizes.len() != named.len() {
                return None;
            }
            for (&axis, &size) in named.iter().zip(sizes) {
                match (size, scales.is_some(), spatial(axis)) {
                    (Size::Number(scale), true, _) => set(axis, scale)?,
                    (_, true, _) => return None,
                    (size, false, Some(place)) => {
                        let [len, pixels] = axes[place].ratio();
                        let times = self.sizes.times(size, place + 2)?;
                        set(axis, times * pixels as f64 / len as f64)?;
                    }
                    // Sizes of the other two are those that the picture has.
                    (_, false, None) => {}
                }
            }
        }
        let old = self.graph.opset < 11 || upsample;
        let centres = match node.text("coordinate_transformation_mode", "half_pixel") {
            _ if old => Centres::Asymmetric,
            "half_pixel" | "pytorch_half_pixel" => Centres::HalfPixel,
            "asymmetric" => Centres::Asymmetric,
            "tf_half_pixel_for_nn" => Centres::ForNearest,
            _ => return None,
        };
        let taps = match node.text("mode", "nearest") {
            "nearest" if old => Taps::Floor,
            "nearest" => match node.text("nearest_mode", "round_prefer_floor") {
                "floor" => Taps::Floor,
                "ceil" => Taps::Ceil,
                "round_prefer_floor" => Taps::RoundPreferFloor,
                "round_prefer_ceil" => Taps::RoundPreferCeil,
                _ => return None,
            },
            "linear" | "bilinear" => Taps::Linear,
            "cubic" => Taps::Cubic,
            _ => return None,
        };
        Some(Resize {
            factors,
            centres,
            taps,
        })
    }
}

/// Where `Resize` takes a position from.
pub(super) struct Resize {
    /// Up and down for rows and columns.
    pub(super) factors: [[i64; 2]; 2],
    centres: Centres,
    taps: Taps,
}

/// `coordinate_transformation_mode`.
enum Centres {
    HalfPixel,
    Asymmetric,
    ForNearest,
}

/// `mode` and `nearest_mode`.
enum Taps {
    Floor,
    Ceil,
    RoundPreferFloor,
    RoundPreferCeil,
    Linear,
    Cubic,
}

impl Resize {
    /// The first and the last position that a new one is made from.
    pub(super) fn reads(&self, axis: usize, position: i64) -> (i64, i64) {
        let [up, down] = self.factors[axis];
        // The coordinate is x / d, exactly.
        let d = 2 * up;
        let x = match self.centres {
            Centres::HalfPixel => (2 * position + 1) * down - up,
            Centres::Asymmetric => 2 * position * down,
            Centres::ForNearest => (2 * position + 1) * down,
        };
        let floor = |x: i64| x.div_euclid(d);
        let ceil = |x: i64| -(-x).div_euclid(d);
        let one = |position| (position, position);
        match self.taps {
            Taps::Floor => one(floor(x)),
            Taps::Ceil => one(ceil(x)),
            Taps::RoundPreferFloor => one(ceil(x - up)),
            Taps::RoundPreferCeil => one(floor(x + up)),
            Taps::Linear => (floor(x), floor(x) + 1),
            Taps::Cubic => (floor(x) - 1, floor(x) + 2),
        }
    }
}

/// Up and down of a factor: any whole number up, or a number of sixteenths.
fn fraction(factor: f64) -> Option<[i64; 2]> {
    let whole = |down: &i64| (factor * *down as f64).fract() == 0.0;
    let down = [1, 2, 4, 8, 16].into_iter().find(whole)?;
    let up = factor * down as f64;
    (1.0..=64.0).contains(&up).then_some([up as i64, down])
}
