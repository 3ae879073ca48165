//! Finds out a network's scale and the sizes it takes by running it on a few small pictures.
//!
//! Declared shapes are not trusted: exporters leave them out or fix them to the size of their example.

use ort::session::RunOptions;

use framewright_media::PlanarRgb;

use super::one_line;
use super::session::{Input, Network};
use crate::Region;

/// What a network takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) scale: u32,
    pub(super) alignment: u32,
    pub(super) min_size: u32,
}

/// Largest scale that counts as an upscaler.
const MAX_SCALE: usize = 8;

/// Alignments to try, the most welcome first.
const ALIGNMENTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Width and height of the first runs: large enough for any minimum met in practice, cheap for every network (2 kpx),
/// and different from each other so that a network that swaps them is noticed. The second is for networks that want
/// multiples of 32 or 64.
const BASES: [(usize, usize); 2] = [(48, 32), (128, 64)];

/// Probes `network` with pictures of at most so many pixels; the error says why it is no upscaler.
pub(super) fn probe(network: &mut Network, most_pixels: u64) -> Result<Sizes, String> {
    let mut probe = Probe {
        input: Input::new(network.input),
        network,
        most_pixels,
    };
    let (base, scale) = probe.base()?;
    let takes = |probe: &mut Probe, width, height| probe.scale(width, height) == Ok(scale);

    // base + a is a multiple of a and, for a below the base's own alignment, not of 2a.
    let grown = |a: &usize| {
        (
            base.0.next_multiple_of(*a) + a,
            base.1.next_multiple_of(*a) + a,
        )
    };
    let alignment = ALIGNMENTS.iter().find(|a| {
        let (width, height) = grown(a);
        takes(&mut probe, width, height)
    });
    let Some(&alignment) = alignment else {
        return Err(format!(
            "the model takes {}x{} and no size near it, its rule was not found",
            base.0, base.1
        ));
    };

    let smaller = ALIGNMENTS
        .iter()
        .copied()
        .filter(|side| *side >= alignment && *side < base.1);
    let min_size = smaller
        .into_iter()
        .find(|&side| takes(&mut probe, side, side))
        .unwrap_or(base.1);
    Ok(Sizes {
        scale: scale as u32,
        alignment: alignment as u32,
        min_size: min_size as u32,
    })
}

struct Probe<'a> {
    network: &'a mut Network,
    input: Input,
    /// More do not fit in memory.
    most_pixels: u64,
}

impl Probe<'_> {
    /// The first base size that works, and the scale there.
    fn base(&mut self) -> Result<((usize, usize), usize), String> {
        let mut first = None;
        for base in BASES {
            match self.scale(base.0, base.1) {
                Ok(scale) => return Ok((base, scale)),
                Err(problem) => first = first.or(Some(problem)),
            }
        }
        Err(first.expect("there is a base"))
    }

    /// Runs one picture and returns result size over input size.
    fn scale(&mut self, width: usize, height: usize) -> Result<usize, String> {
        if (width * height) as u64 > self.most_pixels {
            return Err(format!(
                "the model would take more memory for a {width}x{height} picture than there is (--memory decides)"
            ));
        }
        let whole = Region::whole(width, height);
        self.input.fill(&pattern(width, height), &whole, &whole);
        let options = RunOptions::new().map_err(|error| one_line(error.message()))?;
        self.network
            .run(&self.input, &options, |output| {
                let scale = scale_of(output.shape, width, height)?;
                let mut picture = PlanarRgb::new(scale * width, scale * height);
                match output.crop_into([0, 0], &mut picture) {
                    Ok(()) => Ok(scale),
                    Err(bad) => Err(not_finite(&bad, picture.data().len())),
                }
            })
            .unwrap_or_else(|error| {
                Err(format!(
                    "the model fails on a {width}x{height} picture: {}",
                    one_line(error.message())
                ))
            })
    }
}

fn not_finite(bad: &crate::finite::NotFinite, total: usize) -> String {
    format!(
        "the model gives NaN or infinity ({} of {total} values) for an ordinary picture",
        bad.count
    )
}

fn scale_of(shape: &[i64], width: usize, height: usize) -> Result<usize, String> {
    let unfit = |what: &str| {
        format!("the model answers a {width}x{height} picture with a tensor {shape:?}, {what}")
    };
    let &[1, 3, out_height, out_width] = shape else {
        return Err(unfit("which is not one RGB picture"));
    };
    let (out_width, out_height) = (out_width as usize, out_height as usize);
    let scale = out_width / width;
    if (scale * width, scale * height) != (out_width, out_height)
        || !(1..=MAX_SCALE).contains(&scale)
    {
        return Err(unfit("which is not 1 to 8 times its size on both axes"));
    }
    Ok(scale)
}

/// Every value from black to white in steps of 1 %, without visible order.
fn pattern(width: usize, height: usize) -> PlanarRgb {
    let mut picture = PlanarRgb::new(width, height);
    for (c, plane) in picture.planes_mut().into_iter().enumerate() {
        for (i, value) in plane.iter_mut().enumerate() {
            let (x, y) = (i % width, i / width);
            *value = ((x * 37 + y * 59 + c * 83 + x * y * 7) % 101) as f32 / 100.0;
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_the_same_whole_number_on_both_axes() {
        assert_eq!(scale_of(&[1, 3, 64, 96], 48, 32), Ok(2));
        assert_eq!(scale_of(&[1, 3, 32, 48], 48, 32), Ok(1));
        assert_eq!(scale_of(&[1, 3, 8 * 32, 8 * 48], 48, 32), Ok(8));
        for shape in [
            &[1, 3, 96, 64][..],
            &[1, 3, 64, 144],
            &[1, 3, 48, 72],
            &[1, 3, 63, 96],
            &[1, 3, 16, 24],
            &[1, 3, 9 * 32, 9 * 48],
            &[1, 1, 64, 96],
            &[2, 3, 64, 96],
            &[3, 64, 96],
            &[],
        ] {
            let problem = scale_of(shape, 48, 32).unwrap_err();
            assert!(problem.contains("48x32"), "{problem}");
        }
    }
}
