//! What does computing a part of a picture cost beside its arithmetic?
//!
//! Every part costs the same again for filling rows of the network that nobody sees, for tensors, threads and calls. It
//! is measured once before the run, on two parts of different size, and decides how many parts are worth while; the
//! result is the same either way.

use std::time::{Duration, Instant};

use framewright_infer::{Error, Model, Update, Upscaler};
use framewright_media::{PlanarRgb, Region};

/// Edge of the smaller of the two parts, in pixels.
const SMALL: usize = 32;

/// Times that a part is computed; the shortest counts. The first one also takes memory.
const RUNS: usize = 3;

/// From this share of a whole picture on, a small part is so large by its halo that nothing else about it counts, and
/// measuring it would only take long: a network that reaches over hundreds of pixels takes a minute for it.
const LARGE: f64 = 0.05;

/// The fixed cost of a part in units of a whole picture of `width` × `height`.
///
/// # Errors
/// The network fails.
pub fn part_overhead(
    upscaler: &mut dyn Upscaler,
    width: usize,
    height: usize,
) -> Result<f64, Error> {
    let corner = |edge: usize| Region {
        x: 0..width.min(edge),
        y: 0..height.min(edge),
    };
    if upscaler.work(&corner(SMALL), width, height) > LARGE {
        return Ok(0.0);
    }
    let picture = PlanarRgb::new(width, height);
    let mut measure = |edge: usize| -> Result<(f64, f64), Error> {
        let region = corner(edge);
        let mut output = PlanarRgb::default();
        let mut shortest = f64::INFINITY;
        for _ in 0..RUNS {
            let start = Instant::now();
            upscaler.run_region(&picture, &region, &mut output)?;
            shortest = shortest.min(start.elapsed().as_secs_f64());
        }
        Ok((upscaler.work(&region, width, height), shortest))
    };
    Ok(fixed(measure(SMALL)?, measure(4 * SMALL)?))
}

/// Edge of the picture that the state's cost is measured on: large enough that fixed costs do not count, and small enough
/// that a large network takes a fraction of a second.
const EDGE: usize = 96;

/// How long that is measured at least, so that the shortest run is one that nothing disturbed.
const LONG_ENOUGH: Duration = Duration::from_millis(50);

/// What computing a whole picture takes where its state is kept, in units of computing it without; none where `model` keeps
/// none. In eighths, so that two runs on one machine most often decide alike.
///
/// # Errors
/// The network fails.
pub fn state_cost(model: &Model, upscaler: &mut dyn Upscaler) -> Result<Option<f64>, Error> {
    let Some(mut workers) = model.incremental(EDGE, EDGE, 1) else {
        return Ok(None);
    };
    let mut pictures = [PlanarRgb::new(EDGE, EDGE), PlanarRgb::new(EDGE, EDGE)];
    pictures[1].data_mut().fill(0.5);
    let mut output = PlanarRgb::default();
    let (mut with, mut without) = (f64::INFINITY, f64::INFINITY);
    let began = Instant::now();
    for (turn, picture) in (0..).zip(pictures.iter().cycle()) {
        // The first one also takes memory, on both sides; a small network is measured more often, since it is over soon.
        if turn > RUNS as u64 && began.elapsed() > LONG_ENOUGH {
            break;
        }
        let start = Instant::now();
        upscaler.run(picture, &mut output)?;
        without = without.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        workers[0].update(&Update {
            turn,
            picture,
            regions: &[Region::whole(EDGE, EDGE)],
            margin: 0,
            whole: true,
        })?;
        with = with.min(start.elapsed().as_secs_f64());
    }
    Ok(Some(((8.0 * with / without).round() / 8.0).clamp(0.5, 2.0)))
}

/// The intercept of the line through two points of (arithmetic, time), in units of arithmetic; never negative, and never
/// so large that a part of a third of the picture would not be worth while. Rounded to a power of two, so that two runs on
/// one machine most often decide alike: ONNX Runtime's results for parts differ from those for the whole in the last bits.
fn fixed(small: (f64, f64), large: (f64, f64)) -> f64 {
    let per_unit = (large.1 - small.1) / (large.0 - small.0);
    let fixed = small.1 / per_unit - small.0;
    if fixed.is_finite() && fixed > 0.0 {
        fixed.min(0.5).log2().round().exp2()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewright_infer::nearest::Nearest;
    use framewright_infer::{Canceller, ModelInfo};

    /// A network that cannot do with less than the whole picture, and must not be run for it.
    struct Global(ModelInfo);

    impl Upscaler for Global {
        fn model(&self) -> &ModelInfo {
            &self.0
        }

        fn run(&mut self, _: &PlanarRgb, _: &mut PlanarRgb) -> Result<(), Error> {
            unreachable!("nothing is to be measured")
        }

        fn work(&self, _: &Region, _: usize, _: usize) -> f64 {
            0.3
        }

        fn canceller(&self) -> Canceller {
            Canceller::new(|| ())
        }
    }

    #[test]
    fn a_network_that_looks_far_is_not_run_before_the_film() {
        let info = Nearest::new().model().clone();
        let overhead = part_overhead(&mut Global(info), 1280, 720).unwrap();
        assert!(overhead.abs() < f64::EPSILON);
    }

    #[test]
    fn the_fixed_cost_is_what_no_arithmetic_would_take() {
        // 2 s for a whole picture and 0.1 s for every part.
        let time = |work: f64| (work, 2.0 * work + 0.1);
        assert!((fixed(time(0.01), time(0.2)) - 0.0625).abs() < 1e-12);
        // Measured the wrong way round, on a busy machine or on one point.
        assert!(fixed((0.01, 0.2), (0.2, 0.1)).abs() < f64::EPSILON);
        assert!(fixed((0.2, 0.1), (0.2, 0.1)).abs() < f64::EPSILON);
    }
}
