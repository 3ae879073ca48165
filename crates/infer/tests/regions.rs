//! Parts of pictures by the engine `ort` against the whole: fixtures of every kind of reach, and published networks.
//!
//! Skipped, with a line that says so, where ONNX Runtime or the assets are not there.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start threads to cancel from"
)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test may panic and print as the test does"
)]

#[path = "support/library.rs"]
mod library;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use framewright_infer::{Choice, Engine, Error, Model, Region, Upscaler};
use framewright_media::PlanarRgb;

use library::library_is_here;

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/reach")
        .join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// Published networks, as many as are here.
fn published() -> Vec<PathBuf> {
    [
        "realesr-animevideov3-x2.onnx",
        "waifu2x-upconv7-anime-noise1-x2.onnx",
    ]
    .map(|name| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/assets/models")
            .join(name)
    })
    .into_iter()
    .filter(|path| {
        if !path.exists() {
            println!("skipped: ../shared/assets is not here");
        }
        path.exists()
    })
    .collect()
}

fn open(path: &Path) -> Model {
    let choice = Choice {
        engine: Engine::Ort,
        ..Choice::default()
    };
    Model::open(path, choice).unwrap()
}

fn one(path: &Path) -> Box<dyn Upscaler> {
    open(path).upscalers(1).unwrap().remove(0)
}

/// Numbers from 0 to 1 that look random; the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }

    fn range(&mut self, end: usize) -> Range<usize> {
        let start = self.next() % end;
        start..start + 1 + self.next() % (end - start).min(40)
    }
}

fn noise(width: usize, height: usize, seed: u64) -> PlanarRgb {
    let mut numbers = Numbers(seed);
    let mut picture = PlanarRgb::new(width, height);
    picture
        .data_mut()
        .fill_with(|| (numbers.next() % 1001) as f32 / 1000.0);
    picture
}

/// `picture` with NaN wherever `region`'s result does not depend on it.
fn only_within(picture: &PlanarRgb, region: &Region) -> PlanarRgb {
    let mut only = PlanarRgb::new(picture.width(), picture.height());
    only.data_mut().fill(f32::NAN);
    let mut part = PlanarRgb::default();
    picture.cut(region, &mut part);
    only.put(region, &part);
    only
}

fn difference(a: &PlanarRgb, b: &PlanarRgb) -> f32 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let apart = |(a, b): (&f32, &f32)| (a - b).abs();
    a.data().iter().zip(b.data()).map(apart).fold(0.0, f32::max)
}

/// Regions of a picture: random ones, in all corners, a row, a column and all of it.
fn regions(n: usize, width: usize, height: usize) -> Vec<Region> {
    let mut numbers = Numbers(11);
    let mut regions: Vec<_> = (0..n)
        .map(|_| Region {
            x: numbers.range(width),
            y: numbers.range(height),
        })
        .collect();
    for x in [0..1, width - 1..width, 0..width] {
        for y in [0..1, height - 1..height, 0..height] {
            regions.push(Region { x: x.clone(), y });
        }
    }
    regions.push(Region {
        x: 63..65,
        y: 62..66,
    });
    regions
}

#[test]
fn a_part_is_the_whole_there_whatever_stands_beyond_its_reach() {
    if !library_is_here() {
        return;
    }
    let (small, large) = (fixtures("limited"), published());
    let networks = small
        .iter()
        .map(|path| (path, 40))
        .chain(large.iter().map(|path| (path, 5)));
    for (path, n) in networks {
        let mut worker = one(path);
        let reach = worker
            .model()
            .reach
            .unwrap_or_else(|| panic!("{:?}", worker.model()));
        let scale = worker.model().scale as usize;
        // Odd sizes, so that networks of an alignment are given padded pictures.
        for (width, height) in [(203, 147), (71, 190), (9, 5)] {
            let picture = noise(width, height, 3);
            let (mut whole, mut part, mut expected) =
                <(PlanarRgb, PlanarRgb, PlanarRgb)>::default();
            worker.run(&picture, &mut whole).unwrap();
            let regions = regions(n, width, height).into_iter();
            for region in regions.filter(|region| region.is_inside(width, height)) {
                let read = region.grown(reach, width, height);
                worker
                    .run_region(&only_within(&picture, &read), &region, &mut part)
                    .unwrap();
                whole.cut(&region.scaled(scale), &mut expected);
                let apart = difference(&part, &expected);
                let name = path.file_name().unwrap().display();
                assert!(apart <= 1e-5, "{name} {width}x{height} {region:?}: {apart}");
            }
        }
    }
}

#[test]
fn the_reach_is_how_far_a_changed_pixel_is_seen() {
    if !library_is_here() {
        return;
    }
    for path in fixtures("limited") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut worker = one(&path);
        let (reach, scale) = (worker.model().reach.unwrap(), worker.model().scale as usize);
        let side = (2 * reach + 13).next_multiple_of(8);
        let picture = noise(side, side, 5);
        let (mut before, mut after) = <(PlanarRgb, PlanarRgb)>::default();
        worker.run(&picture, &mut before).unwrap();
        let mut farthest = 0;
        // Every place of the strides there are, in the middle and at the border.
        let places = [side / 2, 0]
            .into_iter()
            .flat_map(|start| (start..start + 4).map(move |y| (start, y)));
        for (x, y) in places.flat_map(|(start, y)| (start..start + 4).map(move |x| (x, y))) {
            let mut changed = picture.clone();
            for plane in changed.planes_mut() {
                plane[y * side + x] += 0.5;
            }
            worker.run(&changed, &mut after).unwrap();
            for (before, after) in before.planes().into_iter().zip(after.planes()) {
                for (i, (before, after)) in before.iter().zip(after).enumerate() {
                    if (before - after).abs() > 1e-6 {
                        let (at_x, at_y) = (i % (scale * side) / scale, i / (scale * side) / scale);
                        farthest = farthest.max(at_x.abs_diff(x)).max(at_y.abs_diff(y));
                    }
                }
            }
        }
        // What is cropped and padded again has zeros at the border, which a crop has elsewhere; so it is taken to
        // look as far as the border is lost.
        let least = if name == "cropped" { 1 } else { reach };
        println!("{name}: {farthest} of {reach}");
        assert!(
            (least..=reach).contains(&farthest),
            "{name}: seen from {farthest} pixels, {reach} expected"
        );
    }
}

#[test]
fn a_network_without_a_reach_runs_whole_and_says_why() {
    if !library_is_here() {
        return;
    }
    let (width, height) = (41, 30);
    let picture = noise(width, height, 9);
    let mut n_run = 0;
    for path in fixtures("unlimited") {
        let choice = Choice {
            engine: Engine::Ort,
            ..Choice::default()
        };
        // Some are no upscalers for every size, so they are not opened at all.
        let Ok(model) = Model::open(&path, choice) else {
            continue;
        };
        let info = model.info();
        assert_eq!(info.reach, None, "{info:?}");
        let why = "parts of a picture cannot be computed alone: ";
        assert!(
            info.notes.iter().any(|note| note.starts_with(why)),
            "{info:?}"
        );
        let mut worker = model.upscalers(1).unwrap().remove(0);
        let (mut whole, mut part, mut expected) = <(PlanarRgb, PlanarRgb, PlanarRgb)>::default();
        worker.run(&picture, &mut whole).unwrap();
        let region = Region {
            x: 3..17,
            y: 20..30,
        };
        worker.run_region(&picture, &region, &mut part).unwrap();
        whole.cut(&region.scaled(2), &mut expected);
        assert_eq!(part, expected, "{info:?}");
        assert_eq!(
            worker.work(&region, width, height).to_bits(),
            1_f64.to_bits()
        );
        n_run += 1;
    }
    assert!(n_run >= 10, "only {n_run} networks");
}

#[test]
fn work_is_the_area_that_is_run() {
    if !library_is_here() {
        return;
    }
    // Looks 7 pixels around and takes pictures of even sizes.
    let path = fixtures("limited")
        .into_iter()
        .find(|path| path.ends_with("u-net.onnx"))
        .unwrap();
    let worker = one(&path);
    let (width, height) = (401, 299);
    let work = |x, y| worker.work(&Region { x, y }, width, height);
    let area = (402 * 300) as f64;
    let near = |found: f64, expected: usize| {
        assert!(
            (found - expected as f64 / area).abs() < 1e-12,
            "{} pixels, not {expected}",
            found * area
        );
    };
    near(work(200..201, 100..101), 64 * 64);
    near(work(200..251, 100..101), 128 * 64);
    near(work(0..401, 140..141), 402 * 64);
    near(work(400..401, 298..299), 64 * 64);
    assert_eq!(work(0..401, 0..299).to_bits(), 1_f64.to_bits());
}

#[test]
fn two_passes_of_a_part_are_those_of_the_whole_there() {
    if !library_is_here() {
        return;
    }
    let path = fixtures("limited")
        .into_iter()
        .find(|path| path.ends_with("dilated.onnx"))
        .unwrap();
    let model = open(&path).with_scale(4).unwrap();
    let reach = model.info().reach.unwrap();
    assert_eq!(reach, 5 + 3);
    let mut worker = model.upscalers(1).unwrap().remove(0);
    let (width, height) = (120, 90);
    let picture = noise(width, height, 3);
    let (mut whole, mut part, mut expected) = <(PlanarRgb, PlanarRgb, PlanarRgb)>::default();
    worker.run(&picture, &mut whole).unwrap();
    for region in regions(20, width, height) {
        let read = region.grown(reach, width, height);
        worker
            .run_region(&only_within(&picture, &read), &region, &mut part)
            .unwrap();
        whole.cut(&region.scaled(4), &mut expected);
        let apart = difference(&part, &expected);
        assert!(apart <= 1e-5, "{region:?}: {apart}");
    }
}

#[test]
fn cancel_ends_a_region_within_100_ms_for_good() {
    let path = published()
        .into_iter()
        .find(|path| path.ends_with("realesr-animevideov3-x2.onnx"));
    let Some(path) = path.filter(|_| library_is_here()) else {
        return;
    };
    let model = open(&path);
    // The middle of three, so that one moment in which the machine is busy elsewhere does not count.
    let mut latencies = [300, 500, 700].map(|wait_ms| {
        let mut upscaler = model.upscalers(1).unwrap().remove(0);
        let canceller = upscaler.canceller();
        let run = thread::spawn(move || {
            let (picture, mut output) = (PlanarRgb::new(1280, 720), PlanarRgb::default());
            let region = Region {
                x: 100..1200,
                y: 30..700,
            };
            let result = upscaler.run_region(&picture, &region, &mut output);
            let returned = Instant::now();
            assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
            let region = Region { x: 0..8, y: 0..8 };
            let again = upscaler.run_region(&picture, &region, &mut output);
            assert!(matches!(again, Err(Error::Cancelled)), "{again:?}");
            returned
        });
        thread::sleep(Duration::from_millis(wait_ms));
        let cancelled = Instant::now();
        canceller.cancel();
        run.join().unwrap().saturating_duration_since(cancelled)
    });
    println!("cancelled after {latencies:?}");
    latencies.sort();
    assert!(latencies[1] <= Duration::from_millis(100), "{latencies:?}");
}
