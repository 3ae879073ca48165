//! Several passes against the same network run by hand, and against a scaler whose result is known.

use std::path::Path;
use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::*;
use crate::{Choice, DEFAULT_MODEL, Model, Region};

/// Numbers from `low` to `low + spread` that look random.
fn noise(width: usize, height: usize, low: f32, spread: f32) -> PlanarRgb {
    let mut picture = PlanarRgb::new(width, height);
    for (i, value) in picture.data_mut().iter_mut().enumerate() {
        let number = (i as u32 + 1).wrapping_mul(2_654_435_761) >> 8;
        *value = low + spread * number as f32 / (1 << 24) as f32;
    }
    picture
}

fn open(name: &str) -> Model {
    Model::open(Path::new(name), Choice::default()).unwrap()
}

fn worker(model: &Model) -> Box<dyn Upscaler> {
    model.upscalers(1).unwrap().remove(0)
}

fn run(upscaler: &mut dyn Upscaler, input: &PlanarRgb) -> PlanarRgb {
    let mut output = PlanarRgb::default();
    upscaler.run(input, &mut output).unwrap();
    output
}

#[test]
fn two_passes_have_the_bits_of_the_network_run_twice_by_hand() {
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/compact/x2.safetensors"
    );
    for name in [DEFAULT_MODEL, fixture] {
        let mut by_hand = worker(&open(name));
        let mut passes = worker(&open(name).with_scale(4).unwrap());
        // One worker for all of them: a new size must not keep anything of the last.
        for (width, height) in [(33, 17), (16, 40), (1, 1), (33, 17)] {
            let input = noise(width, height, -0.2, 1.4);
            let mut between = run(&mut *by_hand, &input);
            let outside = |value: &f32| !(0.0..=1.0).contains(value);
            if name == fixture && width > 1 {
                assert!(between.data().iter().any(outside), "nothing to clamp");
            }
            for value in between.data_mut() {
                *value = value.clamp(0.0, 1.0);
            }
            let expected = run(&mut *by_hand, &between);
            assert_eq!(run(&mut *passes, &input), expected, "{width}x{height}");
        }
    }
}

#[test]
fn a_picture_moved_by_its_step_gives_the_same_bits_moved_through_all_passes() {
    let model = open(DEFAULT_MODEL).with_scale(4).unwrap();
    let (reach, step) = (
        model.info().reach.unwrap(),
        model.info().shift_step.unwrap(),
    );
    let scene = noise(80, 60, 0.0, 1.0);
    let mut passes = worker(&model);
    let mut window = |x: usize, y: usize| {
        let (mut input, mut inner) = (PlanarRgb::default(), PlanarRgb::default());
        let place = Region {
            x: x..x + 60,
            y: y..y + 50,
        };
        scene.cut(&place, &mut input);
        // What every window shows farther than the reach from its borders.
        let seen = Region {
            x: reach + 20 - x..60 - reach - x,
            y: reach + 10 - y..50 - reach - y,
        };
        run(&mut *passes, &input).cut(&seen.scaled(4), &mut inner);
        inner
    };
    let first = window(0, 0);
    for n in [1, 3, 5] {
        assert_eq!(window(n * step, step), first, "{n} steps");
    }
}

#[test]
fn every_pass_of_nearest_x2_doubles_each_pixel() {
    for (scale, width, height) in [(4, 7, 5), (8, 3, 4), (16, 2, 1), (4, 0, 3)] {
        let mut passes = worker(&open("nearest-x2").with_scale(scale).unwrap());
        let (scale, input) = (scale as usize, noise(width, height, 0.0, 1.0));
        let output = run(&mut *passes, &input);
        assert_eq!(
            (output.width(), output.height()),
            (scale * width, scale * height)
        );
        for (from, to) in input.planes().into_iter().zip(output.planes()) {
            for (i, value) in to.iter().enumerate() {
                let (x, y) = (i % (scale * width), i / (scale * width));
                let expected = from[y / scale * width + x / scale];
                assert_eq!(value.to_bits(), expected.to_bits(), "x {x}, y {y}");
            }
        }
    }
}

#[test]
fn a_region_has_the_bits_of_the_whole() {
    let mut passes = worker(&open(DEFAULT_MODEL).with_scale(4).unwrap());
    let input = noise(24, 19, 0.0, 1.0);
    let whole = run(&mut *passes, &input);
    let region = Region { x: 5..12, y: 3..19 };
    let mut part = PlanarRgb::default();
    passes.run_region(&input, &region, &mut part).unwrap();
    assert_eq!((part.width(), part.height()), (28, 64));
    for (part, whole_plane) in part.planes().into_iter().zip(whole.planes()) {
        for (y, row) in (12..).zip(part.chunks_exact(28)) {
            assert_eq!(row, &whole_plane[y * 96 + 20..][..28], "row {y}");
        }
    }
}

fn ranges(end: usize) -> impl Strategy<Value = Range<usize>> {
    (0..end, 1..=end).prop_map(move |(start, len)| start..end.min(start + len))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_part_has_the_bits_of_the_whole_whatever_stands_beyond_its_reach(
        (width, height, x, y) in (1_usize..40, 1_usize..30).prop_flat_map(|(width, height)| {
            (Just(width), Just(height), ranges(width), ranges(height))
        }),
        n in 2_u32..=3, is_network in any::<bool>(),
        garbage in prop::sample::select(vec![f32::NAN, f32::INFINITY, 1e30, -7.0]),
    ) {
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/compact/x2.safetensors");
        let one = open(if is_network { fixture } else { "nearest-x2" });
        let info = super::info(one.info(), n);
        let (reach, scale) = (info.reach.unwrap(), info.scale as usize);
        let mut passes = Passes::new(worker(&one), info);
        let (picture, region) = (noise(width, height, -0.2, 1.4), Region { x, y });
        let (mut expected, mut part) = (PlanarRgb::default(), PlanarRgb::default());
        run(&mut passes, &picture).cut(&region.scaled(scale), &mut expected);

        let mut rest = PlanarRgb::new(width, height);
        rest.data_mut().fill(garbage);
        let read = region.grown(reach, width, height);
        picture.cut(&read, &mut part);
        rest.put(&read, &part);
        // What is left of another picture must not show either.
        for between in &mut passes.between {
            between.data_mut().fill(garbage);
        }
        passes.run_region(&rest, &region, &mut part).unwrap();
        let bits = |picture: &PlanarRgb| picture.data().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!((part.width(), part.height()), (expected.width(), expected.height()));
        prop_assert_eq!(bits(&part), bits(&expected), "{:?}", region);
        let whole = passes.work(&Region::whole(width, height), width, height);
        prop_assert_eq!(whole.to_bits(), 1_f64.to_bits());
    }
}

#[test]
fn work_is_weighted_by_the_pixels_of_each_pass() {
    let one = worker(&open(DEFAULT_MODEL));
    let reach = one.model().reach.unwrap();
    let passes = worker(&open(DEFAULT_MODEL).with_scale(4).unwrap());
    let (width, height) = (64, 48);
    let region = Region {
        x: 20..30,
        y: 8..12,
    };
    let first = region.grown(reach.div_ceil(2), width, height);
    let expected =
        one.work(&first, width, height) + 4.0 * one.work(&region.scaled(2), 2 * width, 2 * height);
    let found = passes.work(&region, width, height);
    assert!((found - expected / 5.0).abs() < 1e-12, "{found}");
}

#[test]
fn no_result_depends_on_a_pixel_farther_away_than_the_reach() {
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/compact/x2.safetensors"
    );
    let own = open(fixture).info().reach.unwrap();
    let model = open(fixture).with_scale(8).unwrap();
    let reach = model.info().reach.unwrap();
    assert_eq!(reach, own + (own + own.div_ceil(2)).div_ceil(2));
    let (mut passes, side) = (worker(&model), 2 * reach + 9);
    let mut input = noise(side, side, 0.2, 0.6);
    let before = run(&mut *passes, &input);
    let middle = side / 2;
    input.data_mut()[middle * side + middle] = 1.0;
    let after = run(&mut *passes, &input);
    let mut changed = 0;
    for (before, after) in before.planes().into_iter().zip(after.planes()) {
        for (i, (before, after)) in before.iter().zip(after).enumerate() {
            let (x, y) = (i % (8 * side) / 8, i / (8 * side) / 8);
            if before.to_bits() != after.to_bits() {
                let distance = x.abs_diff(middle).max(y.abs_diff(middle));
                assert!(distance <= reach, "{distance} from the pixel, not {reach}");
                changed += 1;
            }
        }
    }
    assert!(changed > 0);
}

#[test]
fn the_note_for_the_plan_says_what_runs_how_often() {
    let model = open("nearest-x2").with_scale(4).unwrap();
    let note = "scale 4: two passes of nearest-x2, 2 times each";
    assert_eq!(model.info().notes.last().unwrap(), note);
    assert_eq!(model.info().reach, Some(0));
}

/// An engine whose first run is cancelled just before it ends well, or gives something that is no number.
struct Scripted {
    info: ModelInfo,
    runs: Arc<AtomicUsize>,
    first: First,
}

#[derive(Clone)]
enum First {
    Cancelled(Arc<AtomicBool>),
    NotFinite,
}

impl Upscaler for Scripted {
    fn model(&self) -> &ModelInfo {
        &self.info
    }

    fn run(&mut self, input: &PlanarRgb, output: &mut PlanarRgb) -> Result<(), Error> {
        output.resize(2 * input.width(), 2 * input.height());
        self.runs.fetch_add(1, Ordering::Relaxed);
        match &self.first {
            First::Cancelled(cancelled) => cancelled.store(true, Ordering::Release),
            First::NotFinite => {
                return Err(Error::NotFinite {
                    count: 1,
                    x: 3,
                    y: 5,
                    model: self.info.name.clone(),
                });
            }
        }
        Ok(())
    }

    fn canceller(&self) -> Canceller {
        Canceller::new(|| {})
    }
}

#[test]
fn a_cancel_between_passes_ends_the_run_before_the_next() {
    let info = crate::nearest::info();
    let (runs, cancelled) = (Arc::default(), Arc::default());
    let inner = Scripted {
        info: info.clone(),
        runs: Arc::clone(&runs),
        first: First::Cancelled(Arc::clone(&cancelled)),
    };
    let mut passes = Passes::new(Box::new(inner), super::info(&info, 2));
    passes.cancelled = cancelled;
    let mut output = PlanarRgb::default();
    for n in 1..=2 {
        let result = passes.run(&PlanarRgb::new(4, 4), &mut output);
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        assert_eq!(runs.load(Ordering::Relaxed), n);
    }
}

#[test]
fn cancel_holds_for_every_later_run() {
    let mut passes = worker(&open(DEFAULT_MODEL).with_scale(8).unwrap());
    let (input, mut output) = (PlanarRgb::new(8, 8), PlanarRgb::default());
    passes.run(&input, &mut output).unwrap();
    passes.canceller().cancel();
    let region = Region { x: 2..3, y: 0..1 };
    for _ in 0..2 {
        let result = passes.run(&input, &mut output);
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        let result = passes.run_region(&input, &region, &mut output);
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    }
}

#[test]
fn what_is_no_number_is_placed_in_the_final_result() {
    let info = crate::nearest::info();
    let inner = Scripted {
        info: info.clone(),
        runs: Arc::default(),
        first: First::NotFinite,
    };
    let mut passes = Passes::new(Box::new(inner), super::info(&info, 3));
    let result = passes.run(&PlanarRgb::new(4, 4), &mut PlanarRgb::default());
    assert!(
        matches!(result, Err(Error::NotFinite { x: 12, y: 20, .. })),
        "{result:?}"
    );
}

#[test]
fn what_is_no_number_in_a_part_is_placed_in_the_result_of_the_part() {
    let info = ModelInfo {
        reach: None,
        ..crate::nearest::info()
    };
    let inner = || Scripted {
        info: info.clone(),
        runs: Arc::default(),
        first: First::NotFinite,
    };
    let mut passes = Passes::new(Box::new(inner()), super::info(&info, 3));
    // At 12, 20 of the whole result, as above.
    for (x, y, expected) in [
        (1..2, 2..4, (4, 4)),
        (0..1, 0..1, (7, 7)),
        (3..4, 3..4, (0, 0)),
    ] {
        let region = Region { x, y };
        let result = passes.run_region(&PlanarRgb::new(4, 4), &region, &mut PlanarRgb::default());
        let Err(Error::NotFinite { x, y, .. }) = result else {
            panic!("{result:?}")
        };
        assert_eq!((x, y), expected, "{region:?}");
    }
}

#[test]
fn known_scales_are_these() {
    assert_eq!(scales(1), [1]);
    assert_eq!(scales(2), [2, 4, 8, 16]);
    assert_eq!(scales(3), [3, 9]);
    assert_eq!(scales(4), [4, 16]);
    assert_eq!(scales(5), [5]);
    assert_eq!(scales(8), [8]);
}

proptest! {
    #[test]
    fn a_scale_is_given_exactly_when_it_is_the_own_or_a_power_up_to_16(own in 1_u32..=8, asked in 0_u32..70) {
        let known = scales(own);
        let powers: Vec<u32> = (1..8).map(|n| own.pow(n)).filter(|&power| power == own || power <= 16).collect();
        prop_assert_eq!(known.contains(&asked), powers.contains(&asked));
        for (place, scale) in known.iter().enumerate() {
            prop_assert_eq!(own.pow(place as u32 + 1), *scale);
        }
    }
}
