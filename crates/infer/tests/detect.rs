//! Published detectors on photographs, against an implementation in Python (`fixtures/detect/reference.py`).
//!
//! Skipped, with a line that says so, where ONNX Runtime or the assets are not there.

#![expect(
    clippy::disallowed_methods,
    reason = "a test starts threads to share a detector, another one the reference"
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

use framewright_infer::Error;
use framewright_infer::detect::{Detection, Detector, DetectorOptions};
use framewright_media::Picture;
use serde_json::Value;

use library::library_is_here;

fn assets() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/assets");
    if !path.exists() {
        println!("skipped: ../shared/assets is not here");
        return None;
    }
    library_is_here().then_some(path)
}

fn photo(assets: &Path, name: &str) -> Picture {
    let path = assets.join("images/photo").join(format!("{name}.jpg"));
    let reader = image::ImageReader::open(path).unwrap();
    let image = reader
        .with_guessed_format()
        .unwrap()
        .decode()
        .unwrap()
        .into_rgb8();
    Picture {
        width: image.width() as usize,
        height: image.height() as usize,
        data: image.into_raw(),
    }
}

fn open(assets: &Path, model: &str) -> Detector {
    let path = assets.join("models").join(model);
    Detector::open(path, &DetectorOptions::default()).unwrap()
}

/// What the reference sees in the same pixels; none where Python lacks what it needs.
fn reference(assets: &Path, names: &[&str]) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let written = names.iter().map(|name| {
        let photo = photo(assets, name);
        let path = folder.path().join(format!("{name}.ppm"));
        let mut file = format!("P6 {} {} 255\n", photo.width, photo.height).into_bytes();
        file.extend(&photo.data);
        std::fs::write(&path, file).unwrap();
        path
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/detect/reference.py");
    let run = Command::new("python3")
        .arg(script)
        .arg(assets.join("models"))
        .args(written)
        .output()
        .unwrap();
    if String::from_utf8_lossy(&run.stderr).contains("ModuleNotFoundError") {
        println!("skipped: Python lacks numpy, onnxruntime or pillow");
        return None;
    }
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    Some(serde_json::from_slice(&run.stdout).unwrap())
}

fn detections(seen: &Value) -> Vec<Detection> {
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    let detection = |value: &Value| Detection {
        class: value["class"].as_u64().unwrap() as u32,
        score: number(&value["score"]),
        bbox: std::array::from_fn(|i| number(&value["bbox"][i])),
    };
    seen.as_array().unwrap().iter().map(detection).collect()
}

/// Every object of `wanted` that scores more than a little above the threshold is among `found`; returns the largest
/// differences of boxes, in pixels, and of scores.
fn compare(found: &[Detection], wanted: &[Detection]) -> (f32, f32) {
    let mut most = (0f32, 0f32);
    for wanted in wanted.iter().filter(|wanted| wanted.score > 0.33) {
        let far = |one: &Detection| {
            let sides = one.bbox.iter().zip(wanted.bbox);
            sides.fold(0f32, |far, (a, b)| far.max((a - b).abs()))
        };
        let same = found.iter().filter(|one| one.class == wanted.class);
        let best = same.min_by(|a, b| far(a).total_cmp(&far(b)));
        let best = best.unwrap_or_else(|| panic!("{wanted:?} is not among {found:?}"));
        most.0 = most.0.max(far(best));
        most.1 = most.1.max((best.score - wanted.score).abs());
    }
    most
}

#[test]
fn published_detectors_see_what_the_reference_sees() {
    let Some(assets) = assets() else { return };
    let names = ["dog", "person", "two_people_3072"];
    let Some(seen) = reference(&assets, &names) else {
        return;
    };
    for (model, family) in [
        ("yolox_nano_416", "yolox"),
        ("fastestdet_352", "fastestdet"),
    ] {
        let detector = open(&assets, &format!("{model}.onnx"));
        assert_eq!(detector.info().family, family, "{:?}", detector.info());
        let mut session = detector.session().unwrap();
        for name in names {
            let photo = photo(&assets, name);
            let found = session.detect(&photo).unwrap();
            let wanted = detections(&seen[format!("{model} {name}")]);
            for (one, other) in [(&found, &wanted), (&wanted, &found)] {
                let (pixels, score) = compare(one, other);
                println!(
                    "{model} {name}: {} objects, boxes within {pixels} px, scores within {score}",
                    one.len()
                );
                assert!(pixels <= 2.0 && score <= 0.02, "{model} {name}: {found:?}");
            }
        }
    }
}

#[test]
fn yolox_finds_the_objects_of_the_photographs() {
    let Some(assets) = assets() else { return };
    let detector = open(&assets, "yolox_nano_416.onnx");
    let info = detector.info();
    assert_eq!(
        (info.input, info.names.len(), info.norm),
        ([416, 416], 80, "bgr-255")
    );
    assert_eq!(
        info.sha256,
        "e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd"
    );
    assert!(
        info.notes.iter().any(|note| note.contains("COCO")),
        "{:?}",
        info.notes
    );
    let mut session = detector.session().unwrap();
    for (name, wanted) in [
        (
            "dog",
            &[("dog", 0.83), ("car", 0.81), ("bicycle", 0.81)][..],
        ),
        (
            "person",
            &[("person", 0.88), ("dog", 0.88), ("horse", 0.86)],
        ),
        ("two_people_3072", &[("person", 0.86), ("person", 0.76)]),
    ] {
        let found = session.detect(&photo(&assets, name)).unwrap();
        assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        for (i, &(class, score)) in wanted.iter().enumerate() {
            let near = |one: &&Detection| {
                info.names[one.class as usize] == class && (one.score - score).abs() < 0.07
            };
            assert!(
                found.iter().find(near).is_some(),
                "{name}, object {i}: {class} {score} in {found:?}"
            );
        }
    }
}

#[test]
fn sessions_of_many_threads_give_the_same() {
    let Some(assets) = assets() else { return };
    let detector = open(&assets, "fastestdet_352.onnx");
    let picture = photo(&assets, "dog");
    let once = detector.session().unwrap().detect(&picture).unwrap();
    assert!(once.len() >= 3, "{once:?}");
    thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| detector.session().unwrap().detect(&picture).unwrap()))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), once);
        }
    });
}

#[test]
fn a_cancelled_session_says_so() {
    let Some(assets) = assets() else { return };
    let mut session = open(&assets, "fastestdet_352.onnx").session().unwrap();
    session.canceller().cancel();
    let result = session.detect(&photo(&assets, "dog"));
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
}

#[test]
fn an_upscaler_is_no_detector() {
    let Some(assets) = assets() else { return };
    let path = assets.join("models/realesr-animevideov3-x2.onnx");
    let error = Detector::open(path, &DetectorOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("no detector of a known kind") && error.contains("--detector-format"),
        "{error}"
    );
}
