//! What comparing a 720p frame costs: one that repeats the picture shown last, one in which a mouth moves, with fifteen
//! other mouths to look at, and noise.

use criterion::{Criterion, criterion_group, criterion_main};
use framewright::upscale::compare::{Compare, Rule};
use framewright_media::{Frame, PixelFormat};

/// A frame of two levels in turn.
fn frame(format: &str, level: u8) -> Frame {
    let format = PixelFormat::from_name(format).expect("FFmpeg knows it");
    let mut frame = Frame::alloc(format, 1280, 720).expect("there is memory");
    for plane in frame.planes_mut() {
        for (index, sample) in plane.iter_mut().enumerate() {
            *sample = level + (index % 2) as u8;
        }
    }
    frame
}

/// The same with a patch of 64×48 in its middle.
fn mouth(format: &str, level: u8, shape: u8) -> Frame {
    let mut frame = frame(format, level);
    let stride = frame.stride(0);
    let [luma, ..] = frame.planes_mut();
    for row in luma.chunks_mut(stride).skip(400).take(48) {
        row[640..704].fill(16 * shape);
    }
    frame
}

fn compare(tolerance: f32) -> Compare {
    Compare::new(Some(Rule {
        tolerance,
        reach: Some(10),
        n_composites: 16,
    }))
}

fn benches(c: &mut Criterion) {
    for format in ["yuv420p", "yuv444p", "yuv420p10le"] {
        // Every sample is off by one, so that no row is equal and every cell is summed.
        let (kept, repeat) = (frame(format, 100), frame(format, 101));
        let mut repeats = compare(300.0);
        repeats.judge(0, &kept, false).expect("there is memory");
        c.bench_function(&format!("a repeat, {format}"), |b| {
            b.iter(|| {
                repeats
                    .judge(1, &repeat, false)
                    .map(|found| found.cells_changed)
            });
        });
        let mut talk = compare(2.0);
        for shape in 0..15 {
            let frame = mouth(format, 100, shape);
            talk.judge(shape.into(), &frame, false)
                .expect("there is memory");
        }
        let mut index = 15;
        let mouths = [15, 14, 13].map(|shape| mouth(format, 101, shape));
        c.bench_function(&format!("a mouth, {format}"), |b| {
            b.iter(|| {
                index += 1;
                let next = &mouths[index as usize % mouths.len()];
                talk.judge(index, next, false)
                    .map(|found| found.cells_changed)
            });
        });
        let mut noise = compare(0.5);
        for level in 0..16 {
            let frame = frame(format, 10 * level);
            noise
                .judge(level.into(), &frame, false)
                .expect("there is memory");
        }
        let mut index = 16;
        let levels = [3, 7].map(|level| frame(format, 10 * level + 5));
        c.bench_function(&format!("noise, {format}"), |b| {
            b.iter(|| {
                index += 1;
                let next = &levels[index as usize % levels.len()];
                noise
                    .judge(index, next, false)
                    .map(|found| found.cells_changed)
            });
        });
    }
}

criterion_group!(compare_720p, benches);
criterion_main!(compare_720p);
