//! What is measured against its definitions, and the same bits from all instruction sets.

use proptest::prelude::*;

use super::*;

/// A plane with a few soft shapes and noise.
#[derive(Debug, Clone)]
struct Plane {
    width: usize,
    height: usize,
    stride: usize,
    data: Vec<u8>,
}

impl Plane {
    fn new(width: usize, height: usize, level: impl Fn(usize, usize) -> f64) -> Self {
        let stride = width + 7;
        let data = (0..stride * height).map(|i| match i % stride {
            x if x < width => level(x, i / stride).round().clamp(0.0, 255.0) as u8,
            _ => 77,
        });
        Self {
            width,
            height,
            stride,
            data: data.collect(),
        }
    }

    fn picture(width: usize, height: usize, seed: u64) -> Self {
        let angle = |n: u64| (noise(seed + n) % 1000) as f64 / 100.0;
        Self::new(width, height, |x, y| {
            let (u, v) = (x as f64 / width as f64, y as f64 / height as f64);
            let wave = |n: u64| (angle(n) * u + angle(n + 1) * v + angle(n + 2)).sin();
            let grain = noise(seed ^ (y * width + x) as u64) % 8;
            120.0 + 50.0 * wave(1) + 40.0 * wave(4) * wave(7) + grain as f64
        })
    }

    fn luma(&self, full_range: bool) -> Luma<'_> {
        Luma {
            width: self.width,
            height: self.height,
            stride: self.stride,
            data: &self.data,
            full_range,
        }
    }

    fn at(&self, x: usize, y: usize) -> f64 {
        f64::from(self.data[y * self.stride + x])
    }
}

fn noise(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (n ^ n >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
}

fn planes() -> impl Strategy<Value = Plane> {
    let size = || prop_oneof![1_usize..20, 100_usize..300];
    (size(), size(), any::<u32>())
        .prop_map(|(width, height, seed)| Plane::picture(width, height, seed.into()))
}

/// The area filter by its definition, in f64.
fn reduced(plane: &Plane) -> Vec<f64> {
    let share = |n: usize, i: usize, source: usize| {
        let (start, end) = (
            n as f64 * source as f64 / SIDE as f64,
            (n + 1) as f64 * source as f64 / SIDE as f64,
        );
        ((i + 1) as f64).min(end) - (i as f64).max(start)
    };
    let covered = |n: usize, source: usize| n * source / SIDE..((n + 1) * source).div_ceil(SIDE);
    let mut out = Vec::new();
    for row in 0..SIDE {
        for column in 0..SIDE {
            let mut sum = 0.0;
            for y in covered(row, plane.height) {
                for x in covered(column, plane.width) {
                    sum += plane.at(x, y)
                        * share(row, y, plane.height)
                        * share(column, x, plane.width);
                }
            }
            out.push(sum * (SIDE * SIDE) as f64 / (plane.width * plane.height) as f64);
        }
    }
    out
}

fn reduce(isa: Isa, plane: &Plane) -> Box<Reduced> {
    let mut out = new_reduced();
    resize::Reducer::default().reduce(isa, &plane.luma(true), &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_reduced_picture_is_the_mean_of_the_areas(plane in planes()) {
        for (found, expected) in reduce(Isa::best(), &plane).iter().zip(reduced(&plane)) {
            let found = f64::from(*found) / f64::from(PARTS);
            prop_assert!((found - expected).abs() <= 1.0 / f64::from(PARTS), "{found} {expected}");
        }
    }

    #[test]
    fn every_instruction_set_measures_the_same(plane in planes(), full_range: bool) {
        let all = |isa| {
            let mut measurer = Measurer::with(isa);
            let mut seen = measurer.see(&plane.luma(full_range));
            (seen.fingerprint(), seen.mirrored(), seen.scores(), *seen.thumbnail())
        };
        for isa in Isa::available() {
            prop_assert_eq!(all(isa), all(Isa::Portable), "{:?}", isa);
        }
    }

    #[test]
    fn the_mirrored_fingerprint_is_that_of_the_mirrored_picture(plane in planes(), full_range: bool) {
        let mirrored = Plane::new(plane.width, plane.height, |x, y| plane.at(plane.width - 1 - x, y));
        let mut measurer = Measurer::new();
        let expected = measurer.fingerprint(&mirrored.luma(full_range));
        prop_assert_eq!(measurer.see(&plane.luma(full_range)).mirrored(), expected);
    }

    #[test]
    fn a_measurer_remembers_nothing_of_the_picture_before(first in planes(), second in planes()) {
        let mut measurer = Measurer::new();
        measurer.see(&first.luma(true)).scores();
        let mut seen = measurer.see(&second.luma(true));
        let found = (seen.fingerprint(), seen.scores());
        let mut fresh = Measurer::new();
        let mut seen = fresh.see(&second.luma(true));
        prop_assert_eq!(found, (seen.fingerprint(), seen.scores()));
    }

    #[test]
    fn sharpness_is_the_variance_of_the_laplacian(plane in planes()) {
        let mut values = Vec::new();
        for y in 1..plane.height.max(1) - 1 {
            for x in 1..plane.width.max(1) - 1 {
                let around = plane.at(x - 1, y) + plane.at(x + 1, y) + plane.at(x, y - 1) + plane.at(x, y + 1);
                values.push(4.0 * plane.at(x, y) - around);
            }
        }
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let expected = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        let found = f64::from(Measurer::new().scores(&plane.luma(true)).sharpness);
        prop_assert!((found - expected).abs() <= 1e-5 * expected.max(1.0), "{found} {expected}");
    }

    #[test]
    fn brightness_and_contrast_are_those_of_the_thumbnail(plane in planes()) {
        let mut measurer = Measurer::new();
        let mut seen = measurer.see(&plane.luma(true));
        let levels: Vec<f64> = seen.thumbnail().iter().map(|level| f64::from(*level)).collect();
        let mean = levels.iter().sum::<f64>() / levels.len() as f64;
        let variance = levels.iter().map(|level| (level - mean).powi(2)).sum::<f64>() / levels.len() as f64;
        let scores = seen.scores();
        prop_assert!((f64::from(scores.brightness) - mean).abs() < 0.5);
        prop_assert!((f64::from(scores.contrast) - variance.sqrt()).abs() < 0.5);
    }
}

/// The coefficients by their definition, in f64 and in levels, summed over all pixels: 16 are a wave of 1/256 of a level.
#[test]
fn the_coefficients_are_those_of_the_dct() {
    let plane = Plane::picture(640, 360, 5);
    let reduced = reduce(Isa::best(), &plane);
    let found = dct::coefficients(Isa::best(), &reduced);
    let cosine =
        |k: usize, n: usize| (std::f64::consts::PI * (k * (2 * n + 1)) as f64 / 256.0).cos();
    for k in 1..=16 {
        for j in 1..=16 {
            let mut expected = 0.0;
            for (i, level) in reduced.iter().enumerate() {
                expected += f64::from(*level) / 64.0 * cosine(k, i / SIDE) * cosine(j, i % SIDE);
            }
            // both cosines are scaled by 2^11, the levels by 2^6, and 2^16 is divided out
            let found = f64::from(found[(k - 1) * 16 + j - 1]) / 4096.0;
            assert!(
                (found - expected).abs() < 16.0,
                "{k} {j}: {found} {expected}"
            );
        }
    }
}

#[test]
fn the_hashes_of_a_picture_have_both_kinds_of_bits() {
    let print = Measurer::new().fingerprint(&Plane::picture(320, 180, 3).luma(false));
    assert_eq!(print.dct.ones(), 128);
    assert!((40..216).contains(&print.dhash.ones()));
}

#[test]
fn both_ranges_of_a_picture_measure_alike() {
    let full = Plane::picture(400, 300, 9);
    let limited = Plane::new(400, 300, |x, y| 16.0 + full.at(x, y) * 219.0 / 255.0);
    let mut measurer = Measurer::new();
    let mut seen = measurer.see(&full.luma(true));
    let (print, scores) = (seen.fingerprint(), seen.scores());
    let mut seen = measurer.see(&limited.luma(false));
    let (other, other_scores) = (seen.fingerprint(), seen.scores());
    assert!(
        print.dct.distance(&other.dct) <= 8,
        "{}",
        print.dct.distance(&other.dct)
    );
    assert!(
        print.dhash.distance(&other.dhash) <= 4,
        "{}",
        print.dhash.distance(&other.dhash)
    );
    assert!((scores.brightness - other_scores.brightness).abs() < 0.1);
    assert!((scores.contrast - other_scores.contrast).abs() < 0.1);
    assert!((scores.sharpness / other_scores.sharpness - 1.0).abs() < 0.02);
}

#[test]
fn extremes_fit_the_integers() {
    let mut measurer = Measurer::new();
    for plane in [
        Plane::new(2000, 700, |x, y| if (x + y) % 2 == 0 { 255.0 } else { 0.0 }),
        Plane::new(256, 256, |_, y| if y < 128 { 255.0 } else { 0.0 }),
        Plane::new(256, 256, |x, _| if x < 128 { 255.0 } else { 0.0 }),
        Plane::new(
            256,
            256,
            |x, y| if x < 128 && y < 128 { 255.0 } else { 0.0 },
        ),
        Plane::new(3, 40_000, |_, _| 255.0),
    ] {
        for full_range in [false, true] {
            let mut seen = measurer.see(&plane.luma(full_range));
            seen.fingerprint();
            seen.scores();
        }
    }
    let chequered = Plane::new(2000, 700, |x, y| if (x + y) % 2 == 0 { 255.0 } else { 0.0 });
    let sharpness = measurer.scores(&chequered.luma(true)).sharpness;
    assert!((sharpness - 1020.0 * 1020.0).abs() < 1.0, "{sharpness}");
}

#[test]
fn one_colour_is_featureless() {
    let plane = Plane::new(300, 200, |_, _| 126.0);
    let print = Measurer::new().fingerprint(&plane.luma(true));
    assert_eq!((print.dct.ones(), print.dhash.ones()), (0, 0));
    assert!(print.contrast < 1e-6 && (print.brightness - 126.0).abs() < 1e-6);
}

#[test]
fn black_bars_are_measured_and_dark_pictures_are_not_bars() {
    let border = |plane: &Plane| Measurer::new().scores(&plane.luma(false)).border;
    let picture = Plane::picture(400, 300, 11);
    let inner = |left: usize, right: usize, top: usize, bottom: usize| {
        Plane::new(400, 300, |x, y| {
            let inside = (left..400 - right).contains(&x) && (top..300 - bottom).contains(&y);
            if inside {
                picture.at(x, y)
            } else {
                16.0 + (x * 7 + y) as f64 % 3.0
            }
        })
    };
    let close =
        |found: f32, expected: f32| assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    close(border(&picture), 0.0);
    close(border(&inner(0, 0, 40, 35)), 0.25);
    close(border(&inner(50, 50, 0, 0)), 0.25);
    close(border(&inner(50, 50, 40, 35)), 1.0 - 0.75 * 0.75);
    close(border(&inner(0, 1, 0, 0)), 1.0 / 400.0);
    close(border(&Plane::new(400, 300, |_, _| 17.0)), 1.0);
    // night, with lights everywhere
    close(
        border(&Plane::new(400, 300, |x, y| {
            if x % 19 < 2 && y % 9 < 4 { 90.0 } else { 18.0 }
        })),
        0.0,
    );
}

#[test]
#[should_panic(expected = "too small")]
fn a_plane_that_does_not_hold_the_picture_is_refused() {
    Measurer::new().fingerprint(&Luma {
        width: 64,
        height: 64,
        stride: 64,
        data: &[0; 4000],
        full_range: true,
    });
}
