//! Engine `native` on real weights and real frames.
//!
//! Skipped, with a line that says so, where the assets or ONNX Runtime are not there.

#![expect(
    clippy::disallowed_methods,
    reason = "a test starts a thread to cancel from"
)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test may panic and print as the test does"
)]

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use framewright_infer::{
    Choice, DEFAULT_MODEL, Engine, Error, Model, Precision, Region, find_library,
};
use framewright_media::{Decoder, Interrupt, Normaliser, PlanarRgb, rgb_from_frame};

fn asset(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/assets")
        .join(name);
    if !path.exists() {
        println!("skipped: ../shared/assets is not here");
        return None;
    }
    Some(path)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn choice(engine: Engine, precision: Precision) -> Choice {
    Choice { engine, precision }
}

fn upscale(path: &Path, choice: Choice, picture: &PlanarRgb) -> PlanarRgb {
    let mut upscaler = Model::open(path, choice)
        .unwrap()
        .upscalers(1)
        .unwrap()
        .remove(0);
    let mut output = PlanarRgb::default();
    upscaler.run(picture, &mut output).unwrap();
    output
}

/// The middle of frame `n` of a clip.
fn frame(clip: &Path, n: usize, width: usize, height: usize) -> PlanarRgb {
    let mut decoder = Decoder::open(clip, 0, &Interrupt::default()).unwrap();
    let mut normaliser = Normaliser::new(&decoder.clip().video);
    let mut frames = 0;
    loop {
        let unit = decoder
            .next_unit()
            .unwrap()
            .expect("the clip is long enough");
        let Some(frame) = unit.frame else { continue };
        frames += 1;
        if frames <= n {
            continue;
        }
        let frame = normaliser.normalise(frame).unwrap();
        let mut whole = PlanarRgb::default();
        rgb_from_frame(&frame, &mut whole).unwrap();
        let (left, top) = ((whole.width() - width) / 2, (whole.height() - height) / 2);
        let mut middle = PlanarRgb::new(width, height);
        for (from, to) in whole.planes().into_iter().zip(middle.planes_mut()) {
            for (y, to) in to.chunks_exact_mut(width).enumerate() {
                to.copy_from_slice(&from[(top + y) * whole.width() + left..][..width]);
            }
        }
        return middle;
    }
}

/// PSNR in dB of values clamped to 0..=1, and the largest difference in 8-bit levels.
fn compare(a: &PlanarRgb, b: &PlanarRgb) -> (f64, f64) {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let differences = a
        .data()
        .iter()
        .zip(b.data())
        .map(|(a, b)| f64::from(a.clamp(0.0, 1.0) - b.clamp(0.0, 1.0)));
    let (mut sum, mut most) = (0.0, 0_f64);
    for difference in differences {
        sum += difference * difference;
        most = most.max(difference.abs());
    }
    (-10.0 * (sum / a.data().len() as f64).log10(), 255.0 * most)
}

#[test]
fn real_frames_come_out_as_onnx_runtime_computes_them() {
    let Some(models) = asset("models") else {
        return;
    };
    if find_library().is_err() {
        println!("skipped: ONNX Runtime is not here");
        return;
    }
    let clips = [
        ("2d/dialogue_limited.mp4", 24),
        ("2d/dialogue_limited_grain.mp4", 200),
        ("2d/pennychip_reading.mp4", 72),
        ("2d/popeye_b_dvd.mkv", 100),
        ("3d/bbb_5s_720p.mp4", 60),
        ("live/flower_cc0.mp4", 10),
    ];
    let has_bf16 = Model::open(
        models.join("realesr-animevideov3-x4.onnx"),
        choice(Engine::Native, Precision::Bf16),
    )
    .is_ok();
    if !has_bf16 {
        println!("skipped: bf16, which this processor does not have");
    }
    for (i, (clip, n)) in clips.into_iter().enumerate() {
        let picture = frame(&clips_path(&models, clip), n, 320, 180);
        let scale = [2, 4, 3][i % 3];
        let model = models.join(format!("realesr-animevideov3-x{scale}.onnx"));
        let expected = upscale(&model, choice(Engine::Ort, Precision::Auto), &picture);
        let fp32 = upscale(&model, choice(Engine::Native, Precision::Fp32), &picture);
        let (psnr, most) = compare(&fp32, &expected);
        println!("{clip} x{scale} fp32: {psnr:.1} dB, {most:.5} levels");
        assert!(psnr >= 100.0, "{clip}: {psnr} dB");
        if has_bf16 {
            let bf16 = upscale(&model, choice(Engine::Native, Precision::Bf16), &picture);
            let (psnr, most) = compare(&bf16, &expected);
            println!("{clip} x{scale} bf16: {psnr:.1} dB, {most:.2} levels");
            assert!(psnr >= 56.0, "{clip}: {psnr} dB");
            assert!(most <= 4.0, "{clip}: {most} levels");
        }
    }
}

fn clips_path(models: &Path, clip: &str) -> PathBuf {
    models.with_file_name("clips").join(clip)
}

#[test]
fn every_form_of_the_same_weights_gives_the_same_bits() {
    let Some(models) = asset("models") else {
        return;
    };
    let onnx = models.join("realesr-animevideov3-x4.onnx");
    let picture = frame(&clips_path(&models, "2d/dialogue_limited.mp4"), 24, 101, 67);
    let expected = upscale(&onnx, Choice::default(), &picture);
    let safetensors = upscale(
        &onnx.with_extension("safetensors"),
        Choice::default(),
        &picture,
    );
    assert_eq!(expected, safetensors);
}

#[test]
fn regions_of_a_real_frame_have_the_bits_of_the_whole() {
    let Some(models) = asset("models") else {
        return;
    };
    let picture = frame(
        &clips_path(&models, "2d/dialogue_limited.mp4"),
        24,
        160,
        120,
    );
    for (file, precision) in [
        ("x2", Precision::Auto),
        ("x4", Precision::Auto),
        ("x2", Precision::Fp32),
    ] {
        let path = models.join(format!("realesr-animevideov3-{file}.onnx"));
        let model = Model::open(path, choice(Engine::Native, precision)).unwrap();
        let mut worker = model.upscalers(1).unwrap().remove(0);
        let scale = model.info().scale as usize;
        let (mut whole, mut part) = (PlanarRgb::default(), PlanarRgb::default());
        worker.run(&picture, &mut whole).unwrap();
        for region in [
            Region { x: 0..17, y: 0..9 },
            Region {
                x: 63..96,
                y: 41..75,
            },
            Region {
                x: 143..160,
                y: 119..120,
            },
            Region {
                x: 0..160,
                y: 50..51,
            },
        ] {
            worker.run_region(&picture, &region, &mut part).unwrap();
            for (part, whole_plane) in part.planes().into_iter().zip(whole.planes()) {
                for (y, row) in part.chunks_exact(region.x.len() * scale).enumerate() {
                    let at = (region.y.start * scale + y) * whole.width() + region.x.start * scale;
                    assert_eq!(row, &whole_plane[at..][..row.len()], "{region:?} row {y}");
                }
            }
        }
    }
}

#[test]
fn cancel_ends_a_run_within_50_ms_for_good() {
    let Some(models) = asset("models") else {
        return;
    };
    let path = models.join("realesr-animevideov3-x2.onnx");
    let model = Model::open(path, choice(Engine::Native, Precision::Fp32)).unwrap();
    assert_cancels(&model, 1920, 1080);
}

#[test]
fn cancel_ends_every_pass_within_50_ms_for_good() {
    let model = Model::open(DEFAULT_MODEL, choice(Engine::Native, Precision::Fp32)).unwrap();
    assert_cancels(&model.with_scale(16).unwrap(), 480, 270);
}

/// Cancels runs on black pictures of that size, which have to take longer than a third of a second.
#[track_caller]
fn assert_cancels(model: &Model, width: usize, height: usize) {
    // The middle of three, so that one moment in which the machine is busy elsewhere does not count.
    let mut latencies = [50, 200, 330].map(|wait_ms| {
        let mut upscaler = model.upscalers(1).unwrap().remove(0);
        let canceller = upscaler.canceller();
        let run = thread::spawn(move || {
            let mut output = PlanarRgb::default();
            let result = upscaler.run(&PlanarRgb::new(width, height), &mut output);
            let returned = Instant::now();
            assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
            let again = upscaler.run(&PlanarRgb::new(8, 8), &mut output);
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
    assert!(latencies[1] <= Duration::from_millis(50), "{latencies:?}");
}

#[test]
fn the_engine_is_chosen_by_the_file_and_by_what_is_asked() {
    let compact = fixture("compact/x2.onnx");
    let other = fixture("nearest-x2.onnx");
    let engine =
        |path: &Path, choice: Choice| Model::open(path, choice).map(|model| model.info().engine);
    assert_eq!(engine(&compact, Choice::default()).unwrap(), "native");
    assert_eq!(
        engine(&compact, choice(Engine::Native, Precision::Fp32)).unwrap(),
        "native"
    );
    assert_eq!(
        engine(&compact.with_extension("safetensors"), Choice::default()).unwrap(),
        "native"
    );

    let text = |path: &Path, choice: Choice| engine(path, choice).unwrap_err().to_string();
    let refused = text(&other, choice(Engine::Native, Precision::Auto));
    assert!(
        refused.contains("Compact") && refused.contains("leave out --engine native"),
        "{refused}"
    );
    assert!(refused.ends_with("nearest-x2.onnx"), "{refused}");
    let refused = text(
        &compact.with_extension("safetensors"),
        choice(Engine::Ort, Precision::Auto),
    );
    assert!(refused.contains(".onnx files only"), "{refused}");
    let refused = text(&other, choice(Engine::Auto, Precision::Bf16));
    assert!(
        refused.contains("use --precision auto or fp32"),
        "{refused}"
    );

    if find_library().is_err() {
        println!("skipped: ONNX Runtime is not here");
        return;
    }
    assert_eq!(
        engine(&compact, choice(Engine::Ort, Precision::Auto)).unwrap(),
        "ort"
    );
    let model = Model::open(&other, Choice::default()).unwrap();
    assert_eq!(model.info().engine, "ort");
    let why = model.info().notes.join("; ");
    assert!(why.contains("engine ort: "), "{why}");
}

#[test]
fn the_precision_is_bf16_exactly_where_the_processor_has_it() {
    let path = fixture("compact/x2.onnx");
    let auto = Model::open(&path, Choice::default()).unwrap();
    match Model::open(&path, choice(Engine::Auto, Precision::Bf16)) {
        Ok(model) => assert_eq!(
            (model.info().precision, auto.info().precision),
            ("bf16", "bf16")
        ),
        Err(error) => {
            assert!(matches!(error, Error::Precision { .. }), "{error}");
            assert_eq!(auto.info().precision, "fp32");
        }
    }
}
