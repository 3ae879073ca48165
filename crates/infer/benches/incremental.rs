//! What the incremental network takes for changes of several sizes, beside a full run and beside parts with halos.
//!
//! `cargo bench -p framewright-infer --bench incremental [-- MODEL WIDTH HEIGHT THREADS]`: milliseconds, the
//! shortest of a few runs; ratios count, since machines differ.

#![expect(clippy::print_stdout, reason = "that is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "runs workers on threads of its own"
)]

use std::thread;
use std::time::Instant;

use framewright_infer::{Choice, DEFAULT_MODEL, Incremental, Model, Region, Update};
use framewright_media::PlanarRgb;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let number = |place: usize, otherwise: usize| {
        arguments
            .get(place)
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let name = arguments.first().map_or(DEFAULT_MODEL, String::as_str);
    let (width, height, n_threads) = (number(1, 854), number(2, 480), number(3, 1));
    let model = Model::open(name, Choice::default()).expect("a model");
    let mut upscaler = model.upscalers(1).expect("it opened").remove(0);
    let mut pictures = [1, 2].map(|seed| picture(width, height, seed));
    let mut output = PlanarRgb::default();
    let full = shortest(3, || {
        upscaler.run(&pictures[0], &mut output).expect("it runs");
    });
    let state = model
        .incremental_bytes(width, height)
        .expect("engine native")
        / 1_000_000;
    println!("{name}, {width}x{height}: full run on one thread {full:.1} ms, state {state} MB");

    let mut workers = model
        .incremental(width, height, n_threads)
        .expect("engine native");
    let mut turn = 0;
    let whole = [Region::whole(width, height)];
    let mut all = |pictures: &[PlanarRgb; 2], regions: &[Region]| {
        turn += 1;
        update(
            &mut workers,
            turn - 1,
            &pictures[turn as usize % 2],
            regions,
        )
    };
    all(&pictures, &whole);
    let (ms, work) = shortest_update(7, || all(&pictures, &whole));
    println!(
        "all pixels: {ms:.1} ms on {n_threads} threads, work {work:.3}; x{:.3} of a full run",
        ms * n_threads as f64 / full
    );
    for (edge, n) in [(8, 1), (8, 40), (32, 1), (32, 10), (128, 1), (8, 400)] {
        let regions = squares(edge, n, width, height);
        let parts: f64 = regions
            .iter()
            .map(|region| upscaler.work(region, width, height))
            .sum();
        pictures[1] = pictures[0].clone();
        for region in &regions {
            let mut part = PlanarRgb::default();
            picture(width, height, 3).cut(region, &mut part);
            pictures[1].put(region, &part);
        }
        all(&pictures, &whole);
        all(&pictures, &whole);
        let (ms, work) = shortest_update(7, || all(&pictures, &regions));
        let efficiency = work * full / (ms * n_threads as f64);
        println!(
            "{n:3} squares of {edge:3}: {ms:6.2} ms, work {:5.1} % (as parts {:5.1} %), {efficiency:.2} of a full run's arithmetic per second",
            100.0 * work,
            100.0 * parts
        );
    }
}

/// Brings all workers to the picture, as threads that help the one whose turn it is.
fn update(
    workers: &mut [Incremental],
    turn: u64,
    picture: &PlanarRgb,
    regions: &[Region],
) -> (f64, f64) {
    let start = Instant::now();
    let update = |turn| Update {
        turn,
        picture,
        regions,
        margin: 1,
        whole: false,
    };
    let [first, others @ ..] = workers else {
        unreachable!("at least one worker")
    };
    let work = thread::scope(|threads| {
        for other in others {
            // They wait for the next turn, and leave.
            threads.spawn(move || other.help_until(turn + 1));
        }
        let updated = first
            .update(&update(turn))
            .expect("it runs")
            .expect("nothing was left out");
        updated.work
    });
    (start.elapsed().as_secs_f64() * 1e3, work)
}

fn shortest(n: usize, mut run: impl FnMut()) -> f64 {
    let times = (0..n).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e3
    });
    times.fold(f64::INFINITY, f64::min)
}

fn shortest_update(n: usize, mut run: impl FnMut() -> (f64, f64)) -> (f64, f64) {
    let times = (0..n).map(|_| run());
    times.min_by(|a, b| a.0.total_cmp(&b.0)).expect("some runs")
}

fn squares(edge: usize, n: usize, width: usize, height: usize) -> Vec<Region> {
    let across = (n as f64).sqrt().ceil() as usize;
    let square = |i: usize| {
        let x = (i % across) * (width - edge) / across + 3;
        let y = (i / across) * (height - edge) / across + 5;
        Region {
            x: x..x + edge,
            y: y..y + edge,
        }
    };
    (0..n).map(square).collect()
}

/// Smooth shapes with some noise.
fn picture(width: usize, height: usize, seed: u32) -> PlanarRgb {
    let mut picture = PlanarRgb::new(width, height);
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    for (channel, plane) in picture.planes_mut().into_iter().enumerate() {
        for (i, value) in plane.iter_mut().enumerate() {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let wave = ((x / 31.0 + channel as f32).sin() + (y / 17.0 + seed as f32).cos()) * 0.2;
            *value = 0.5 + wave + (state % 1000) as f32 / 20_000.0;
        }
    }
    picture
}
