//! Engine `ort` against fixtures whose answers are known and against the real networks of the assets.
//!
//! Skipped, with a line that says so, where ONNX Runtime or the assets are not there.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start threads to cancel from and a child process to watch end"
)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test may panic and print as the test does"
)]

#[path = "support/library.rs"]
mod library;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use framewright_infer::{Choice, Engine, Error, Model, Upscaler};
use framewright_media::PlanarRgb;
use half::f16;

use library::library_is_here;

fn asset(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/assets/models")
        .join(name);
    if !path.exists() {
        println!("skipped: ../shared/assets is not here");
        return None;
    }
    library_is_here().then_some(path)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
    let choice = Choice {
        engine: Engine::Ort,
        ..Choice::default()
    };
    Model::open(path, choice)
}

fn one(path: &Path) -> Box<dyn Upscaler> {
    let model = open(path).unwrap();
    model.upscalers(1).unwrap().remove(0)
}

fn upscale(upscaler: &mut dyn Upscaler, input: &PlanarRgb) -> PlanarRgb {
    let mut output = PlanarRgb::default();
    upscaler.run(input, &mut output).unwrap();
    output
}

/// The pattern of `make.py`.
fn pattern(width: usize, height: usize) -> PlanarRgb {
    picture(width, height, |c, x, y| {
        ((x * 37 + y * 59 + c * 83 + x * y * 7) % 101) as f32 / 100.0
    })
}

/// Slow waves, as pictures have, with some texture.
fn waves(width: usize, height: usize) -> PlanarRgb {
    picture(width, height, |c, x, y| {
        let (x, y, c) = (x as f32, y as f32, c as f32);
        0.5 + 0.4 * (x * 0.21 + c).sin() * (y * 0.17 - c).cos() + 0.08 * (x * 1.9 + y * 1.3).sin()
    })
}

fn picture(width: usize, height: usize, value: impl Fn(usize, usize, usize) -> f32) -> PlanarRgb {
    let mut picture = PlanarRgb::new(width, height);
    for (c, plane) in picture.planes_mut().into_iter().enumerate() {
        for (i, pixel) in plane.iter_mut().enumerate() {
            *pixel = value(c, i % width, i / width);
        }
    }
    picture
}

fn pixel(picture: &PlanarRgb, c: usize, x: usize, y: usize) -> f32 {
    picture.planes()[c][y * picture.width() + x]
}

fn enlarged(input: &PlanarRgb, scale: usize) -> PlanarRgb {
    picture(scale * input.width(), scale * input.height(), |c, x, y| {
        pixel(input, c, x / scale, y / scale)
    })
}

/// Largest difference over the part that is `margin` away from the right and lower edge of both.
fn difference(a: &PlanarRgb, b: &PlanarRgb, margin: usize) -> f32 {
    let width = a.width().min(b.width()) - margin;
    let height = a.height().min(b.height()) - margin;
    let mut most = 0_f32;
    for c in 0..3 {
        for y in 0..height {
            for x in 0..width {
                most = most.max((pixel(a, c, x, y) - pixel(b, c, x, y)).abs());
            }
        }
    }
    most
}

#[test]
fn a_model_that_takes_more_memory_than_there_is_is_not_run_to_find_out() {
    if !library_is_here() {
        return;
    }
    let choice = Choice {
        engine: Engine::Ort,
        ..Choice::default()
    };
    let within = |bytes| Model::open_within(fixture("nearest-x2.onnx"), choice, bytes);
    assert!(within(64 << 20).is_ok());
    let Err(Error::Model { problem, .. }) = within(1 << 20) else {
        panic!("it takes 2 MB for the smallest picture");
    };
    assert!(
        problem.contains("more memory for a 48x32 picture"),
        "{problem}"
    );
}

#[test]
fn known_networks_give_their_exact_result_at_every_size() {
    if !library_is_here() {
        return;
    }
    // file, scale, alignment, min_size
    for (file, scale, alignment, min_size) in [
        ("nearest-x2.onnx", 2, 1, 1),
        ("nearest-x2-undeclared.onnx", 2, 1, 1),
        ("nearest-x2-batch1.onnx", 2, 1, 1),
        ("pixel-shuffle-x3.onnx", 3, 1, 1),
        ("even-only-x2.onnx", 2, 2, 2),
        ("at-least-8-x2.onnx", 2, 1, 8),
    ] {
        let mut upscaler = one(&fixture(file));
        let info = upscaler.model();
        assert_eq!(
            (info.scale, info.alignment, info.min_size),
            (scale, alignment, min_size),
            "{file}"
        );
        // One upscaler for all of them: a new size must not keep anything of the last.
        for (width, height) in [(48, 32), (1, 1), (2, 9), (33, 17), (7, 8), (64, 1), (5, 5)] {
            let input = pattern(width, height);
            let output = upscale(&mut *upscaler, &input);
            assert_eq!(
                output,
                enlarged(&input, scale as usize),
                "{file} {width}x{height}"
            );
        }
    }
}

#[test]
fn a_network_that_answers_odd_sizes_with_a_larger_picture_is_given_even_ones() {
    if !library_is_here() {
        return;
    }
    let mut upscaler = one(&fixture("grows-odd-sizes.onnx"));
    assert_eq!(upscaler.model().alignment, 2);
    assert!(
        upscaler
            .model()
            .notes
            .iter()
            .any(|note| note.contains("multiple of 2"))
    );
    let input = pattern(13, 7);
    // The largest of each 2x2 block, cut off at the edges because what is repeated there changes no maximum.
    let expected = picture(26, 14, |c, x, y| {
        let block = |i: usize, side: usize| i / 4 * 2..(i / 4 * 2 + 2).min(side);
        let pixels = block(y, 7).flat_map(|y| block(x, 13).map(move |x| (x, y)));
        pixels
            .map(|(x, y)| pixel(&input, c, x, y))
            .fold(0.0, f32::max)
    });
    assert_eq!(upscale(&mut *upscaler, &input), expected);
}

#[test]
fn fp16_tensors_are_converted_both_ways_and_said_in_the_notes() {
    if !library_is_here() {
        return;
    }
    let mut upscaler = one(&fixture("nearest-x2-fp16.onnx"));
    assert!(
        upscaler
            .model()
            .notes
            .iter()
            .any(|note| note.contains("fp16"))
    );
    let input = pattern(35, 9);
    let rounded = picture(35, 9, |c, x, y| {
        f16::from_f32(pixel(&input, c, x, y)).to_f32()
    });
    assert_eq!(upscale(&mut *upscaler, &input), enlarged(&rounded, 2));
}

#[test]
fn every_unfit_model_is_refused_with_its_reason_and_path() {
    if !library_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let whole = std::fs::read(fixture("nearest-x2.onnx")).unwrap();
    for (path, reason) in [
        (fixture("two-inputs.onnx"), "2 inputs (input, noise)"),
        (fixture("one-channel.onnx"), "takes 1 channel"),
        (fixture("channels-last.onnx"), "NHWC"),
        (fixture("three-dimensions.onnx"), "3 dimensions"),
        (fixture("uint8.onnx"), "of type uint8"),
        (fixture("fixed-size.onnx"), "fixed size 64x64"),
        (fixture("batch4.onnx"), "4 pictures at a time"),
        (fixture("scale-1.5.onnx"), "not 1 to 8 times"),
        (fixture("scale-2x3.onnx"), "not 1 to 8 times"),
        (fixture("nan-always-x2.onnx"), "NaN"),
        (
            written("text.onnx", b"this is a shopping list\n"),
            "not an ONNX model",
        ),
        (
            written("cut.onnx", &whole[..whole.len() / 2]),
            "not an ONNX model",
        ),
        (written("empty.onnx", b""), "empty"),
    ] {
        let error = open(&path)
            .err()
            .unwrap_or_else(|| panic!("{} opened", path.display()));
        assert!(matches!(error, Error::Model { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(reason), "{reason} is not in: {text}");
        assert!(
            text.ends_with(path.to_str().unwrap()) && !text.contains('\n'),
            "{text}"
        );
    }
}

#[test]
fn a_frame_that_gives_nan_is_an_error_with_its_place_and_the_next_frame_is_fine() {
    if !library_is_here() {
        return;
    }
    let mut upscaler = one(&fixture("nan-when-bright-x2.onnx"));
    let fine = pattern(20, 10);
    let mut bright = fine.clone();
    bright.planes_mut()[1][3 * 20 + 7] = 1.5;
    bright.planes_mut()[2][6 * 20 + 2] = 1.5;
    let mut output = PlanarRgb::default();
    match upscaler.run(&bright, &mut output) {
        Err(Error::NotFinite { count, x, y, model }) => {
            assert_eq!(
                (count, x, y, model.as_str()),
                (8, 14, 6, "nan-when-bright-x2")
            );
        }
        other => panic!("{other:?}"),
    }
    let expected = picture(40, 20, |c, x, y| {
        (1.25 - pixel(&fine, c, x / 2, y / 2)).sqrt()
    });
    assert!(difference(&upscale(&mut *upscaler, &fine), &expected, 0) < 1e-6);
}

#[test]
fn an_empty_picture_is_an_error_and_not_a_crash() {
    if !library_is_here() {
        return;
    }
    let mut upscaler = one(&fixture("nearest-x2.onnx"));
    for (width, height) in [(0, 0), (5, 0), (0, 5)] {
        let result = upscaler.run(&PlanarRgb::new(width, height), &mut PlanarRgb::default());
        assert!(matches!(result, Err(Error::Run { .. })), "{result:?}");
    }
    assert_eq!(upscale(&mut *upscaler, &pattern(4, 4)).width(), 8);
}

#[test]
fn an_answer_of_the_wrong_size_is_an_error_with_both_sizes() {
    if !library_is_here() {
        return;
    }
    let mut upscaler = one(&fixture("cut-at-200-x2.onnx"));
    assert_eq!(
        upscale(&mut *upscaler, &pattern(100, 60)),
        enlarged(&pattern(100, 60), 2)
    );
    match upscaler.run(&pattern(101, 60), &mut PlanarRgb::default()) {
        Err(Error::Run { problem, .. }) => assert!(
            problem.contains("101x60") && problem.contains("120, 200"),
            "{problem}"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_hash_and_name_are_those_of_the_file() {
    if !library_is_here() {
        return;
    }
    let model = open(fixture("nearest-x2.onnx")).unwrap();
    let printed = Command::new("sha256sum")
        .arg(fixture("nearest-x2.onnx"))
        .output()
        .unwrap()
        .stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(model.info().sha256.as_deref(), printed.split(' ').next());
    assert_eq!(model.info().name, "nearest-x2");
}

#[test]
fn workers_run_at_the_same_time_and_agree_bit_for_bit() {
    let Some(path) = asset("realesr-animevideov3-x2.onnx") else {
        return;
    };
    let input = waves(61, 43);
    let workers = open(path).unwrap().upscalers(3).unwrap();
    let runs: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            let input = input.clone();
            thread::spawn(move || (upscale(&mut *worker, &input), upscale(&mut *worker, &input)))
        })
        .collect();
    let results: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    for (first, second) in &results {
        assert_eq!(first, second);
        assert_eq!(first, &results[0].0);
    }
}

#[test]
fn the_real_network_equals_its_formula_computed_from_the_published_weights() {
    let Some(path) = asset("realesr-animevideov3-x4.onnx") else {
        return;
    };
    let coded = std::fs::read(fixture("animevideov3-x4-9x7.u16")).unwrap();
    let mut values = coded
        .chunks_exact(2)
        .map(|pair| (f32::from(u16::from_le_bytes([pair[0], pair[1]])) - 8192.0) / 32768.0);
    let mut expected = PlanarRgb::new(36, 28);
    expected.data_mut().fill_with(|| values.next().unwrap());
    assert_eq!(values.next(), None);
    let output = upscale(&mut *one(&path), &pattern(9, 7));
    // Half a step of the reference's 16 bits, and what float32 loses over 18 layers.
    assert!(
        difference(&output, &expected, 0) < 3e-5,
        "{}",
        difference(&output, &expected, 0)
    );
}

#[test]
fn real_networks_are_probed_right_and_take_odd_sizes() {
    for (file, scale, min_size) in [
        ("realesr-animevideov3-x2.onnx", 2, 1),
        ("realesr-animevideov3-x3.onnx", 3, 1),
        ("realesr-animevideov3-x4.onnx", 4, 1),
        ("realesr-animevideov3-x4.fp16.onnx", 4, 1),
        ("waifu2x-upconv7-anime-noise1-x2.onnx", 2, 8),
    ] {
        let Some(path) = asset(file) else { return };
        let mut upscaler = one(&path);
        let info = upscaler.model();
        assert_eq!(
            (info.scale, info.alignment, info.min_size),
            (scale, 1, min_size),
            "{file}"
        );
        for (width, height) in [(31, 23), (3, 5)] {
            let output = upscale(&mut *upscaler, &waves(width, height));
            let factor = scale as usize;
            assert_eq!(
                (output.width(), output.height()),
                (factor * width, factor * height),
                "{file}"
            );
            // An upscaler's result stays near its input: wrong channel order or range would be far off.
            let far = difference(&output, &enlarged(&waves(width, height), factor), 0);
            assert!(far < 0.5, "{file} {width}x{height}: {far}");
        }
    }
}

#[test]
fn fp16_and_fp32_versions_of_a_network_agree() {
    let (Some(full), Some(half)) = (
        asset("realesr-animevideov3-x4.onnx"),
        asset("realesr-animevideov3-x4.fp16.onnx"),
    ) else {
        return;
    };
    let input = waves(40, 30);
    let apart = difference(
        &upscale(&mut *one(&full), &input),
        &upscale(&mut *one(&half), &input),
        0,
    );
    assert!(apart > 0.0 && apart < 0.01, "{apart}");
}

#[test]
fn a_padded_picture_is_continued_with_its_last_pixels_to_the_right_and_below_only() {
    if !library_is_here() {
        return;
    }
    let (width, height) = (13, 9);
    let input = pattern(width, height);
    let mut upscaler = one(&fixture("even-blur-x2.onnx"));
    assert_eq!(upscaler.model().alignment, 2);
    // Kernel 1..9 / 64, row by row; the network itself puts zeros around what it is given, here 14x10.
    let blurred = |c: usize, x: usize, y: usize| {
        let mut sum = 0.0;
        for (i, weight) in (1..=9_u8).enumerate() {
            let (x, y) = (x + i % 3, y + i / 3);
            let outside = x == 0 || y == 0 || x > width + 1 || y > height + 1;
            if !outside {
                sum += f32::from(weight) / 64.0
                    * pixel(&input, c, (x - 1).min(width - 1), (y - 1).min(height - 1));
            }
        }
        sum
    };
    let expected = picture(2 * width, 2 * height, |c, x, y| blurred(c, x / 2, y / 2));
    let apart = difference(&upscale(&mut *upscaler, &input), &expected, 0);
    assert!(apart < 1e-6, "{apart}");
}

/// Starts a 720p run, which takes seconds, and cancels it after `wait`.
///
/// Returns how long after the call of `cancel` the run returned, and how long dropping the upscaler then took.
fn cancel_latency(model: &Model, wait: Duration) -> (Duration, Duration) {
    let mut upscaler = model.upscalers(1).unwrap().remove(0);
    let canceller = upscaler.canceller();
    let run = thread::spawn(move || {
        let result = upscaler.run(&waves(1280, 720), &mut PlanarRgb::default());
        let returned = Instant::now();
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        let again = upscaler.run(&pattern(8, 8), &mut PlanarRgb::default());
        assert!(matches!(again, Err(Error::Cancelled)), "{again:?}");
        let dropping = Instant::now();
        drop(upscaler);
        (returned, dropping.elapsed())
    });
    thread::sleep(wait);
    let cancelled = Instant::now();
    canceller.cancel();
    let (returned, dropping) = run.join().unwrap();
    (returned.saturating_duration_since(cancelled), dropping)
}

#[test]
fn cancel_ends_a_720p_run_within_100_ms_for_good_and_nothing_waits_for_what_is_left_behind() {
    let Some(path) = asset("realesr-animevideov3-x2.onnx") else {
        return;
    };
    let model = open(path).unwrap();
    // The middle of three, so that one moment in which the machine is busy elsewhere does not count.
    let latencies =
        [400, 700, 1100].map(|wait| cancel_latency(&model, Duration::from_millis(wait)));
    println!("cancelled and dropped after {latencies:?}");
    for mut times in [
        latencies.map(|(run, _)| run),
        latencies.map(|(_, dropping)| dropping),
    ] {
        times.sort();
        assert!(times[1] <= Duration::from_millis(100), "{latencies:?}");
    }
}

#[test]
fn cancel_before_the_first_run_is_kept() {
    if !library_is_here() {
        return;
    }
    let mut upscaler = one(&fixture("nearest-x2.onnx"));
    let canceller = upscaler.canceller();
    canceller.cancel();
    let mut output = PlanarRgb::default();
    assert!(matches!(
        upscaler.run(&pattern(8, 8), &mut output),
        Err(Error::Cancelled)
    ));
    drop(upscaler);
    // The thread is gone; a canceller that is still around must not mind.
    canceller.cancel();
}

#[test]
fn cancelling_at_any_moment_gives_the_result_or_cancelled_and_never_hangs() {
    if !library_is_here() {
        return;
    }
    let model = open(fixture("pixel-shuffle-x3.onnx")).unwrap();
    let input = pattern(64, 48);
    let expected = enlarged(&input, 3);
    for round in 0..60_u64 {
        let mut upscaler = model.upscalers(1).unwrap().remove(0);
        let canceller = upscaler.canceller();
        let cancel = thread::spawn(move || {
            thread::sleep(Duration::from_micros(round * 61 % 2500));
            canceller.cancel();
        });
        let mut output = PlanarRgb::default();
        loop {
            match upscaler.run(&input, &mut output) {
                Ok(()) => assert_eq!(output, expected),
                Err(Error::Cancelled) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
        cancel.join().unwrap();
    }
}

/// Not a test of its own: what the next one runs in a process of its own.
#[test]
#[ignore = "ends the process; run by the test below"]
fn child_that_exits_while_a_cancelled_run_still_computes() {
    let path = asset("realesr-animevideov3-x2.onnx").unwrap();
    let wait = std::env::var("WAIT_MS").unwrap().parse().unwrap();
    cancel_latency(&open(path).unwrap(), Duration::from_millis(wait));
    std::process::exit(7);
}

#[test]
fn the_process_exits_cleanly_while_a_cancelled_run_still_computes() {
    if asset("realesr-animevideov3-x2.onnx").is_none() {
        return;
    }
    for wait_ms in [150, 600, 1300] {
        let started = Instant::now();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "child_that_exits_while_a_cancelled_run_still_computes",
            ])
            .env("WAIT_MS", wait_ms.to_string())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.code(), Some(7), "{:?} {stderr}", child.status);
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "took {:?}",
            started.elapsed()
        );
    }
}
