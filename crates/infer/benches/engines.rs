//! What a frame costs besides the network: `nearest-x2`, and the way to ONNX Runtime's thread and back.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use framewright_infer::{Choice, Engine, Model, Upscaler};
use framewright_media::PlanarRgb;

fn upscaler(name_or_path: impl AsRef<Path>) -> Box<dyn Upscaler> {
    let model = Model::open(
        name_or_path,
        Choice {
            engine: Engine::Ort,
            ..Choice::default()
        },
    )
    .expect("the model is committed and ONNX Runtime is found");
    model.upscalers(1).expect("it opened").remove(0)
}

fn frames(c: &mut Criterion, name: &str, upscaler: &mut dyn Upscaler, width: usize, height: usize) {
    let mut input = PlanarRgb::new(width, height);
    input.data_mut().fill(0.5);
    let mut output = PlanarRgb::default();
    c.bench_function(name, |bencher| {
        bencher.iter(|| {
            let result = upscaler.run(black_box(&input), black_box(&mut output));
            result.expect("a good model");
        });
    });
}

fn overhead(c: &mut Criterion) {
    frames(
        c,
        "nearest-x2 1280x720",
        &mut *upscaler("nearest-x2"),
        1280,
        720,
    );
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    // One node on 64 pixels: what is left is the handoff and ONNX Runtime's own call.
    frames(
        c,
        "ort handoff 8x8",
        &mut *upscaler(fixtures.join("nearest-x2.onnx")),
        8,
        8,
    );
    // The same at full size: what is added is one copy in, one node, one checked copy out.
    frames(
        c,
        "ort one node 1280x720",
        &mut *upscaler(fixtures.join("nearest-x2.onnx")),
        1280,
        720,
    );
    frames(
        c,
        "ort one fp16 node 1280x720",
        &mut *upscaler(fixtures.join("nearest-x2-fp16.onnx")),
        1280,
        720,
    );
}

fn network(c: &mut Criterion) {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/assets");
    let model = assets.join("models/realesr-animevideov3-x2.onnx");
    if model.exists() {
        frames(
            c,
            "ort realesr-animevideov3-x2 640x360",
            &mut *upscaler(model),
            640,
            360,
        );
    } else {
        eprintln!("skipped: ../shared/assets is not here");
    }
}

criterion_group!(cheap, overhead);
criterion_group! {
    name = slow;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(1));
    targets = network
}
criterion_main!(cheap, slow);
