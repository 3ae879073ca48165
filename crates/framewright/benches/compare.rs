//! What comparing a 720p frame costs: one that repeats the picture shown last, one in which a mouth moves, with fifteen
//! other mouths to look at, noise, and a pan of a picture that is drawn all over.

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

/// A window on a drawing in blocks of that size, `x` pixels from its left edge, where that is even.
fn window(format: &str, x: usize, block: usize) -> Frame {
    let mut frame = frame(format, 100);
    let format = frame.pixel_format();
    let sample_bytes = if format.depth() > 8 { 2 } else { 1 };
    let strides = [0, 1, 2].map(|plane| frame.stride(plane));
    for (plane, samples) in frame.planes_mut().into_iter().enumerate() {
        let shift = if plane == 0 {
            0
        } else {
            format.chroma_shift().0
        };
        for (y, row) in samples.chunks_mut(strides[plane]).enumerate() {
            for (at, sample) in row.chunks_exact_mut(sample_bytes).enumerate() {
                let number = y / block * 131_071 + (at + (x >> shift)) / block;
                sample[0] = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8 & 127;
            }
        }
    }
    frame
}

fn compare(tolerance: f32) -> Compare {
    Compare::new(Some(Rule {
        tolerance,
        reach: Some(10),
        shift_step: Some(2),
        keeps_state: false,
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
        let mut pan = compare(0.5);
        let mut index = 0;
        let windows: Vec<_> = (0..24).map(|n| window(format, 4 * n, 6)).collect();
        c.bench_function(&format!("a pan, {format}"), |b| {
            b.iter(|| {
                let next = &windows[index as usize % windows.len()];
                index += 1;
                pan.judge(index, next, false).map(|found| found.moved)
            });
        });
        let mut noise = compare(0.5);
        for n in 0..16 {
            noise
                .judge(n, &window(format, 4000 * n as usize, 1), false)
                .expect("there is memory");
        }
        let mut index = 16;
        let levels: Vec<_> = (20..24).map(|n| window(format, 4000 * n, 1)).collect();
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
