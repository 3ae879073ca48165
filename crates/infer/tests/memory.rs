//! Memory over many frames, alone in its process so that nothing else is counted.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test may panic as the test does"
)]

use std::path::Path;

use framewright_infer::{Choice, Engine, Error, Model, find_library};
use framewright_media::PlanarRgb;

#[test]
fn memory_stays_flat_over_many_frames_of_one_size() {
    if let Err(Error::MissingLibrary { .. }) = find_library() {
        println!("skipped: ONNX Runtime is not here");
        return;
    }
    // Convolution, shuffle and enlargement on a picture whose result is 25 MB: anything that is kept would show.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pixel-shuffle-x3.onnx");
    let mut upscaler = Model::open(
        path,
        Choice {
            engine: Engine::Ort,
            ..Choice::default()
        },
    )
    .unwrap()
    .upscalers(1)
    .unwrap()
    .remove(0);
    let mut input = PlanarRgb::new(640, 360);
    input.data_mut().fill(0.5);
    let mut output = PlanarRgb::default();
    let mut run = |frames| {
        for _ in 0..frames {
            upscaler.run(&input, &mut output).unwrap();
        }
        resident_bytes()
    };
    let warm = run(5);
    let later = run(60);
    assert!(
        later < warm + 2_000_000,
        "{warm} bytes after 5 frames, {later} after 65"
    );
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}
