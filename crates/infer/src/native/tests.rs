//! The engine against the definition of its network in f64, and against itself cut to pieces.

#![expect(
    clippy::disallowed_methods,
    reason = "tests run workers on threads of their own"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use framewright_media::PlanarRgb;
use proptest::prelude::*;

use super::network::{Conv, Network, Resize};
use super::{Arithmetic, Isa, NativeModel};
use crate::{Error, Region, Upscaler};

/// Every instruction set of this machine with every arithmetic it has.
pub(super) fn variants() -> Vec<(Isa, Arithmetic)> {
    let both = |isa: Isa| [(isa, Arithmetic::Fp32), (isa, Arithmetic::Bf16)];
    Isa::available()
        .flat_map(both)
        .filter(|(isa, arithmetic)| isa.kernels(*arithmetic).is_some())
        .collect()
}

/// Numbers that look random and are the same every time.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}

/// A network whose activations stay about as large as its input.
pub(super) fn network(
    features: usize,
    n_layers: usize,
    shuffle: usize,
    resize: Option<Resize>,
    seed: u64,
) -> Network {
    let mut numbers = Numbers(seed);
    let convs = (0..n_layers).map(|i| {
        let n_in = if i == 0 { 3 } else { features };
        let last = i == n_layers - 1;
        let n_out = if last {
            3 * shuffle * shuffle
        } else {
            features
        };
        let size = (3.0 / (9.0 * n_in as f32)).sqrt() * 1.5;
        Conv {
            n_in,
            n_out,
            weights: (0..n_in * n_out * 9)
                .map(|_| size * numbers.next())
                .collect(),
            bias: (0..n_out).map(|_| 0.1 * numbers.next()).collect(),
            slope: (!last).then(|| (0..n_out).map(|_| 0.3 * numbers.next()).collect()),
        }
    });
    Network {
        convs: convs.collect(),
        shuffle,
        resize,
        clamp: None,
    }
}

pub(super) fn picture(width: usize, height: usize, seed: u64) -> PlanarRgb {
    let mut numbers = Numbers(seed);
    let mut picture = PlanarRgb::new(width, height);
    picture.data_mut().fill_with(|| 0.5 + 0.5 * numbers.next());
    picture
}

/// `[channel][y][x]` in f64.
struct Planes {
    width: usize,
    height: usize,
    data: Vec<Vec<f64>>,
}

impl Planes {
    fn at(&self, channel: usize, y: isize, x: isize) -> f64 {
        let inside =
            (0..self.height as isize).contains(&y) && (0..self.width as isize).contains(&x);
        if inside {
            self.data[channel][y as usize * self.width + x as usize]
        } else {
            0.0
        }
    }

    fn clamped(&self, channel: usize, y: isize, x: isize) -> f64 {
        self.at(
            channel,
            y.clamp(0, self.height as isize - 1),
            x.clamp(0, self.width as isize - 1),
        )
    }
}

/// The network by its definition: no Winograd, no f32, no rows.
fn reference(network: &Network, picture: &PlanarRgb) -> Planes {
    let (width, height) = (picture.width(), picture.height());
    let mut planes = Planes {
        width,
        height,
        data: picture
            .planes()
            .iter()
            .map(|plane| plane.iter().map(|&v| f64::from(v)).collect())
            .collect(),
    };
    for conv in &network.convs {
        let mut data = vec![vec![0.0; width * height]; conv.n_out];
        for (o, plane) in data.iter_mut().enumerate() {
            for (i, value) in plane.iter_mut().enumerate() {
                let (y, x) = ((i / width) as isize, (i % width) as isize);
                let mut sum = f64::from(conv.bias[o]);
                for c in 0..conv.n_in {
                    for (k, weight) in conv.weights[(o * conv.n_in + c) * 9..][..9]
                        .iter()
                        .enumerate()
                    {
                        sum += f64::from(*weight)
                            * planes.at(c, y + k as isize / 3 - 1, x + k as isize % 3 - 1);
                    }
                }
                let slope = conv.slope.as_ref().map_or(1.0, |slope| f64::from(slope[o]));
                *value = if sum < 0.0 { slope * sum } else { sum };
            }
        }
        planes = Planes {
            width,
            height,
            data,
        };
    }
    let s = network.shuffle;
    let mut shuffled = Planes {
        width: s * width,
        height: s * height,
        data: vec![vec![0.0; s * s * width * height]; 3],
    };
    for (c, plane) in shuffled.data.iter_mut().enumerate() {
        for (i, value) in plane.iter_mut().enumerate() {
            let (y, x) = (i / (s * width), i % (s * width));
            let source = (y / s * width) + x / s;
            *value = planes.data[(c * s + y % s) * s + x % s][source]
                + f64::from(picture.planes()[c][source]);
        }
    }
    match network.resize {
        None => shuffled,
        Some(resize) => resized(
            &shuffled,
            resize.scale as f64 / s as f64,
            f64::from(resize.a),
        ),
    }
}

fn resized(from: &Planes, factor: f64, a: f64) -> Planes {
    let (width, height) = (
        (from.width as f64 * factor).round() as usize,
        (from.height as f64 * factor).round() as usize,
    );
    let keys = |x: f64| match x.abs() {
        x if x <= 1.0 => (a + 2.0) * x.powi(3) - (a + 3.0) * x.powi(2) + 1.0,
        x if x < 2.0 => a * x.powi(3) - 5.0 * a * x.powi(2) + 8.0 * a * x - 4.0 * a,
        _ => 0.0,
    };
    let data = (0..3).map(|c| {
        (0..width * height)
            .map(|i| {
                let at = |o: usize| (o as f64 + 0.5) / factor - 0.5;
                let (y, x) = (at(i / width), at(i % width));
                let mut sum = 0.0;
                for v in y.floor() as isize - 1..=y.floor() as isize + 2 {
                    for u in x.floor() as isize - 1..=x.floor() as isize + 2 {
                        sum += keys(y - v as f64) * keys(x - u as f64) * from.clamped(c, v, u);
                    }
                }
                sum
            })
            .collect()
    });
    Planes {
        width,
        height,
        data: data.collect(),
    }
}

fn model(network: &Network, (isa, arithmetic): (Isa, Arithmetic)) -> NativeModel {
    NativeModel::new(network, isa, arithmetic, "test".to_owned(), String::new()).unwrap()
}

fn run(network: &Network, variant: (Isa, Arithmetic), picture: &PlanarRgb) -> PlanarRgb {
    let mut output = PlanarRgb::default();
    model(network, variant)
        .upscaler()
        .run(picture, &mut output)
        .unwrap();
    output
}

fn bits(picture: &PlanarRgb) -> Vec<u32> {
    picture.data().iter().map(|value| value.to_bits()).collect()
}

/// The part of a result that belongs to `region` of the input.
fn cut(whole: &PlanarRgb, region: &Region, scale: usize) -> PlanarRgb {
    let mut part = PlanarRgb::new(region.x.len() * scale, region.y.len() * scale);
    let width = part.width();
    for (from, to) in whole.planes().into_iter().zip(part.planes_mut()) {
        for (i, value) in to.iter_mut().enumerate() {
            *value = from[(region.y.start * scale + i / width) * whole.width()
                + region.x.start * scale
                + i % width];
        }
    }
    part
}

fn resizes() -> impl Strategy<Value = (usize, Option<Resize>)> {
    prop_oneof![
        3 => (1_usize..=4).prop_map(|shuffle| (shuffle, None)),
        1 => Just((4, Some(Resize { scale: 2, a: -0.75 }))),
        1 => Just((4, Some(Resize { scale: 3, a: -0.75 }))),
        1 => Just((4, Some(Resize { scale: 1, a: -0.5 }))),
        1 => Just((3, Some(Resize { scale: 2, a: -0.6 }))),
        1 => Just((2, Some(Resize { scale: 1, a: -0.75 }))),
    ]
}

fn ranges(end: usize) -> impl Strategy<Value = std::ops::Range<usize>> {
    (0..end, 1..=end).prop_map(move |(start, len)| start..end.min(start + len))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_instruction_set_computes_the_network_by_its_definition(
        width in 1_usize..70, height in 1_usize..12, features in 1_usize..40, n_layers in 2_usize..5,
        (shuffle, resize) in resizes(), seed in any::<u64>()
    ) {
        let network = network(features, n_layers, shuffle, resize, seed);
        let picture = picture(width, height, seed ^ 1);
        let expected = reference(&network, &picture);
        for variant in variants() {
            let output = run(&network, variant, &picture);
            prop_assert_eq!((output.width(), output.height()), (expected.width, expected.height));
            let most = match variant.1 { Arithmetic::Fp32 => 3e-5, Arithmetic::Bf16 => 0.08 };
            for (plane, expected) in output.planes().iter().zip(&expected.data) {
                for (i, (got, expected)) in plane.iter().zip(expected).enumerate() {
                    let difference = (f64::from(*got) - expected).abs();
                    prop_assert!(
                        difference < most * expected.abs().max(1.0),
                        "{:?} at x {} y {}: {} instead of {}", variant, i % output.width(), i / output.width(), got, expected
                    );
                }
            }
        }
    }

    #[test]
    fn a_region_has_the_same_bits_as_the_whole_picture_has_there(
        (width, height, x, y) in (1_usize..90, 1_usize..40).prop_flat_map(|(width, height)| {
            (Just(width), Just(height), ranges(width), ranges(height))
        }),
        features in 1_usize..20, n_layers in 2_usize..7, (shuffle, resize) in resizes(), seed in any::<u64>()
    ) {
        let network = network(features, n_layers, shuffle, resize, seed);
        let picture = picture(width, height, seed ^ 1);
        let region = Region { x, y };
        for variant in variants() {
            let whole = run(&network, variant, &picture);
            // A worker that has just run something else: rows of that must not show.
            let mut worker = model(&network, variant).upscaler();
            let mut output = PlanarRgb::default();
            worker.run(&self::picture(height, width, seed ^ 2), &mut output).unwrap();
            for _ in 0..2 {
                worker.run_region(&picture, &region, &mut output).unwrap();
                prop_assert_eq!(bits(&output), bits(&cut(&whole, &region, network.scale())), "{:?} {:?}", variant, region);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_outside_the_reach_of_a_region_is_read(
        (width, height, x, y) in (1_usize..60, 1_usize..50).prop_flat_map(|(width, height)| {
            (Just(width), Just(height), ranges(width), ranges(height))
        }),
        features in 1_usize..20, n_layers in 2_usize..7, (shuffle, resize) in resizes(), seed in any::<u64>(),
        garbage in prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -7.0]),
    ) {
        let network = network(features, n_layers, shuffle, resize, seed);
        let picture = picture(width, height, seed ^ 1);
        let region = Region { x, y };
        for variant in variants() {
            let mut worker = model(&network, variant).upscaler();
            let read = region.grown(worker.model().reach.unwrap(), width, height);
            let mut rest = PlanarRgb::new(width, height);
            rest.data_mut().fill(garbage);
            let mut part = PlanarRgb::default();
            picture.cut(&read, &mut part);
            rest.put(&read, &part);
            worker.run_region(&rest, &region, &mut part).unwrap();
            let whole = run(&network, variant, &picture);
            prop_assert_eq!(bits(&part), bits(&cut(&whole, &region, network.scale())), "{:?} {:?}", variant, region);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_picture_moved_by_whole_tiles_gives_the_same_bits_moved(
        (width, height) in (1_usize..90, 1_usize..40), (x, y) in (0_usize..20, 0_usize..10),
        features in 1_usize..20, n_layers in 2_usize..5, (shuffle, resize) in resizes(), seed in any::<u64>()
    ) {
        let network = network(features, n_layers, shuffle, resize, seed);
        // Two windows on one scene.
        let scene = picture(width + 2 * x, height + 2 * y, seed ^ 1);
        let (mut before, mut after) = (PlanarRgb::default(), PlanarRgb::default());
        scene.cut(&Region::whole(width, height), &mut before);
        scene.cut(&Region { x: 2 * x..2 * x + width, y: 2 * y..2 * y + height }, &mut after);
        for variant in variants() {
            let info = model(&network, variant).info().clone();
            prop_assert_eq!(info.shift_step, Some(2));
            let reach = info.reach.unwrap();
            // Of `after`, what both show and what lies farther than the reach from the borders of both.
            let inner = |length: usize, by: usize| reach..length.saturating_sub(reach + 2 * by);
            let seen = Region { x: inner(width, x), y: inner(height, y) };
            if !seen.is_inside(width, height) {
                continue;
            }
            let there = Region {
                x: seen.x.start + 2 * x..seen.x.end + 2 * x,
                y: seen.y.start + 2 * y..seen.y.end + 2 * y,
            };
            let scale = network.scale();
            let (now, then) = (run(&network, variant, &after), run(&network, variant, &before));
            prop_assert_eq!(
                bits(&cut(&now, &seen, scale)), bits(&cut(&then, &there, scale)), "{:?} {:?}", variant, seen
            );
        }
    }
}

#[test]
fn work_is_the_share_of_multiply_adds_of_all_layers_with_what_they_need_around_the_region() {
    let network = network(8, 3, 2, None, 3);
    let model = model(&network, (Isa::Portable, Arithmetic::Fp32));
    let lanes = model.packed.layers[0].kernel.lanes;
    assert!(lanes >= 3, "tiles of a vector");
    let worker = model.upscaler();
    let work = |x, y| worker.work(&Region { x, y }, 40, 30);
    let exactly =
        |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    // Channels in times channels out of the layers, times pairs of rows, times tiles in whole vectors; a tile and a pair
    // of rows are four pixels, a pixel nine products.
    let sum = |tiles: usize, pairs: [usize; 3]| {
        let layers = 3 * 8 * pairs[0] + 8 * 8 * pairs[1] + 8 * 12 * pairs[2];
        (9 * 4 * tiles.next_multiple_of(lanes) * layers) as f64
    };
    let whole = sum(20, [15; 3]);
    // One pixel: the last layer computes row 15, the one before rows 14 to 16, the first 13 to 17.
    exactly(work(20..21, 15..16), sum(3, [3, 2, 1]) / whole);
    // In a corner only what lies inside the picture: rows 0 to 2 of the first layer.
    exactly(work(39..40, 0..1), sum(2, [2, 1, 1]) / whole);
    assert_eq!(work(0..40, 0..30).to_bits(), 1_f64.to_bits());
    assert!(work(0..20, 0..30) + work(20..40, 0..30) > 1.0);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let network = network(24, 5, 2, None, 7);
    let picture = picture(131, 77, 8);
    for variant in variants() {
        let model = model(&network, variant);
        let whole = run(&network, variant, &picture);
        // Uneven tiles, taken by whichever thread comes first.
        let starts = |end: usize, step: usize| {
            (0..end)
                .step_by(step)
                .map(move |start| start..end.min(start + step))
        };
        let regions: Vec<_> = starts(77, 13)
            .flat_map(|y| starts(131, 37).map(move |x| Region { x, y: y.clone() }))
            .collect();
        for n_threads in [1, 2, 5] {
            let next = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..n_threads {
                    scope.spawn(|| {
                        let mut worker = model.upscaler();
                        let mut output = PlanarRgb::default();
                        while let Some(region) = regions.get(next.fetch_add(1, Ordering::Relaxed)) {
                            worker.run_region(&picture, region, &mut output).unwrap();
                            assert_eq!(
                                bits(&output),
                                bits(&cut(&whole, region, 2)),
                                "{variant:?} {region:?}"
                            );
                        }
                    });
                }
            });
        }
    }
}

#[test]
fn a_far_pixel_changes_no_bit_and_one_within_reach_does() {
    let network = network(8, 4, 2, None, 3);
    for variant in variants() {
        let reach = model(&network, variant).info().reach.unwrap();
        assert_eq!(reach, 4);
        let before = picture(40, 30, 4);
        let mut after = before.clone();
        after.planes_mut()[1][15 * 40 + 20] += 0.25;
        let (a, b) = (
            run(&network, variant, &before),
            run(&network, variant, &after),
        );
        let changed = |x: usize, y: usize| {
            a.planes()[0][y * 80 + x].to_bits() != b.planes()[0][y * 80 + x].to_bits()
        };
        for y in 0..60_usize {
            for x in 0..80_usize {
                if (x / 2).abs_diff(20) > reach || (y / 2).abs_diff(15) > reach {
                    assert!(!changed(x, y), "{variant:?} at x {x} y {y}");
                }
            }
        }
        assert!(changed(40, 30));
    }
}

#[test]
fn a_result_that_is_not_a_number_is_an_error_with_its_place() {
    let network = network(8, 3, 2, None, 5);
    for variant in variants() {
        let mut worker = model(&network, variant).upscaler();
        let mut input = picture(20, 20, 6);
        input.planes_mut()[0][10 * 20 + 10] = f32::NAN;
        let mut output = PlanarRgb::default();
        let error = worker.run(&input, &mut output).unwrap_err();
        let Error::NotFinite { count, x, y, .. } = error else {
            panic!("{error}")
        };
        // Three layers: everything within three pixels, in three channels, and nothing else.
        assert_eq!((count, x, y), (3 * 14 * 14, 14, 14), "{variant:?}");
        // The next picture is not poisoned.
        worker.run(&picture(20, 20, 7), &mut output).unwrap();
    }
}

#[test]
fn the_memory_stated_is_the_memory_taken() {
    let network = network(24, 6, 4, Some(Resize { scale: 2, a: -0.75 }), 5);
    for variant in variants() {
        let model = model(&network, variant);
        let stated = model.worker_bytes(320, 180);
        // Six rows of 24 channels in each of five layers, at least.
        let least = 5 * 6 * 320 * 24 * if variant.1 == Arithmetic::Bf16 { 2 } else { 4 };
        assert!(
            stated > least && stated < 4 * least,
            "{stated} bytes, {least} expected at least"
        );
    }
}

#[test]
fn pictures_of_no_pixels_give_results_of_no_pixels() {
    let network = network(4, 2, 3, None, 5);
    let mut output = PlanarRgb::new(2, 2);
    let mut worker = model(&network, (Isa::Portable, Arithmetic::Fp32)).upscaler();
    worker.run(&PlanarRgb::new(0, 5), &mut output).unwrap();
    assert_eq!((output.width(), output.height()), (0, 15));
}

#[test]
fn clamped_networks_stay_within_their_bounds() {
    let mut network = network(8, 3, 2, None, 9);
    let picture = picture(30, 20, 10);
    let free = run(&network, (Isa::best(), Arithmetic::Fp32), &picture);
    assert!(
        free.data().iter().any(|v| !(0.0..=1.0).contains(v)),
        "the bounds must have something to do"
    );
    network.clamp = Some((0.0, 1.0));
    let clamped = run(&network, (Isa::best(), Arithmetic::Fp32), &picture);
    for (free, clamped) in free.data().iter().zip(clamped.data()) {
        assert_eq!(free.clamp(0.0, 1.0).to_bits(), clamped.to_bits());
    }
}
