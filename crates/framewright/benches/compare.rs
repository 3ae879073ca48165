//! What it costs to see that a 720p frame repeats the kept one: every cell is looked at. A frame that differs ends the
//! search at the first cell that does.

use criterion::{Criterion, criterion_group, criterion_main};
use framewright::upscale::compare::{Compare, Verdict};
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

fn benches(c: &mut Criterion) {
    for format in ["yuv420p", "yuv444p", "yuv420p10le"] {
        // Every sample is off by one, so that no row is equal and every cell is summed.
        let (kept, repeat) = (frame(format, 100), frame(format, 101));
        let mut compare = Compare::new(Some(300.0));
        assert_eq!(compare.judge(0, &kept), Verdict::New);
        c.bench_function(&format!("compare 720p {format}"), |b| {
            b.iter(|| assert_eq!(compare.judge(1, &repeat), Verdict::RepeatOf(0)));
        });
    }
}

criterion_group!(compare, benches);
criterion_main!(compare);
