//! Each family on a small file of its shapes, whose outputs are known: recognised, decoded, brought into the picture.

use framewright_media::Picture;

use super::*;
use crate::native::onnx::proto::data_type::{FLOAT, FLOAT16, INT64};
use crate::sample::{Sample, library_is_here};

mod inputs;

/// Points of the grids of strides 8, 16, 32 (and 64) in an input of 64×64.
const POINTS: usize = 64 + 16 + 4;

/// A detector and the folder of its file, which sessions load again.
struct Opened {
    detector: Detector,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Opened {
    type Target = Detector;

    fn deref(&self) -> &Detector {
        &self.detector
    }
}

fn open_with(sample: Sample, options: &DetectorOptions) -> Result<Opened, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = sample.save(folder.path(), "sample.onnx");
    let detector = Detector::open(&path, options)?;
    Ok(Opened {
        detector,
        _folder: folder,
    })
}

fn open(sample: Sample) -> Opened {
    open_with(sample, &DetectorOptions::default()).unwrap()
}

fn problem(sample: Sample) -> String {
    let error = open_with(sample, &DetectorOptions::default())
        .err()
        .expect("must not open");
    assert!(matches!(error, Error::Model { .. }), "{error:?}");
    error.to_string()
}

fn options(format: &str) -> DetectorOptions {
    DetectorOptions {
        format: Some(format.to_owned()),
        ..DetectorOptions::default()
    }
}

/// Grey, twice as wide as high: 100×50 lies in the rows 16 to 48 of a 64×64 input where it is laid into the middle.
fn picture() -> Picture {
    Picture {
        width: 100,
        height: 50,
        data: vec![128; 100 * 50 * 3],
    }
}

/// What is found in it: class, score, box.
fn found(detector: &Detector) -> Vec<(u32, f32, [f32; 4])> {
    let found = detector.session().unwrap().detect(&picture()).unwrap();
    found
        .iter()
        .map(|one| (one.class, one.score, one.bbox))
        .collect()
}

#[track_caller]
fn assert_found(detector: &Detector, wanted: &[(u32, f32, [f32; 4])]) {
    let found = found(detector);
    let near = |a: f32, b: f32| (a - b).abs() < 2e-3;
    let same = found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(a, b)| {
            a.0 == b.0 && near(a.1, b.1) && a.2.iter().zip(b.2).all(|(&a, b)| near(a, b))
        });
    assert!(same, "{found:?} is not {wanted:?}");
}

/// `count` rows of `filler`, the first of which are `rows`.
fn rows(rows: &[&[f32]], count: usize, filler: &[f32]) -> Vec<f32> {
    let mut all = rows.concat();
    all.extend(filler.repeat(count - rows.len()));
    all
}

fn columns(rows: &[f32], width: usize) -> Vec<f32> {
    let count = rows.len() / width;
    (0..width * count)
        .map(|i| rows[i % count * width + i / count])
        .collect()
}

fn ultralytics(sample: Sample, task: &str, names: &str) -> Sample {
    sample.says("task", task).says("names", names).says(
        "license",
        "AGPL-3.0 License (https://ultralytics.com/license)",
    )
}

const NAMES: &str = r#"{0: 'person', 1: "driver's \x41rm", 2: 'Hund'}"#;

/// Two boxes of one object and one of another class at the same place.
fn raw() -> Vec<f32> {
    let one: &[f32] = &[32.0, 32.0, 16.0, 8.0, 0.1, 0.9, 0.2];
    let weaker = &[33.0, 32.0, 16.0, 8.0, 0.1, 0.8, 0.2];
    let other = &[32.0, 32.0, 16.0, 8.0, 0.1, 0.0, 0.7];
    rows(
        &[weaker, other, one],
        POINTS,
        &[30.0, 30.0, 4.0, 4.0, 0.0, 0.0, 0.0],
    )
}

const MIDDLE: [f32; 4] = [37.5, 18.75, 25.0, 12.5];

#[test]
fn ultralytics_files_are_what_they_say() {
    if !library_is_here() {
        return;
    }
    let values = columns(&raw(), 7);
    let detector = open(ultralytics(
        Sample::default()
            .picture(64, 64)
            .answers("output0", &[1, 7, POINTS as i64], &values),
        "detect",
        NAMES,
    ));
    let info = detector.info();
    assert_eq!(
        (info.family, info.norm, info.input),
        ("yolo", "rgb-1", [64, 64])
    );
    assert_eq!(info.names, ["person", "driver's Arm", "Hund"]);
    assert!(info.licence.as_ref().unwrap().contains("AGPL"));
    assert!(
        info.notes.iter().any(|note| note.contains("AGPL")),
        "{:?}",
        info.notes
    );
    assert_found(&detector, &[(1, 0.9, MIDDLE), (2, 0.7, MIDDLE)]);
}

#[test]
fn of_masks_and_key_points_only_the_boxes_count() {
    if !library_is_here() {
        return;
    }
    let mut wide = Vec::new();
    for row in raw().chunks(7) {
        wide.extend_from_slice(row);
        // Coefficients of masks would be classes, were they read as such.
        wide.extend_from_slice(&[9.0, 9.0]);
    }
    let sample = Sample::default()
        .picture(64, 64)
        .answers("output0", &[1, 9, POINTS as i64], &columns(&wide, 9))
        .answers("output1", &[1, 2, 16, 16], &[0.0; 512]);
    let detector = open(ultralytics(sample, "segment", NAMES));
    assert_found(&detector, &[(1, 0.9, MIDDLE), (2, 0.7, MIDDLE)]);
}

#[test]
fn tasks_other_than_detection_and_wrong_names_are_refused() {
    if !library_is_here() {
        return;
    }
    let sample = || {
        Sample::default().picture(64, 64).answers(
            "output0",
            &[1, 7, POINTS as i64],
            &columns(&raw(), 7),
        )
    };
    let text = problem(ultralytics(sample(), "classify", NAMES));
    assert!(text.contains("\"classify\", not a detector"), "{text}");
    let text = problem(ultralytics(sample(), "obb", NAMES));
    assert!(text.contains("\"obb\""), "{text}");
    let text = problem(ultralytics(sample(), "detect", "{0: 'a', 1: 'b'}"));
    assert!(text.contains("names 2 classes and scores 3"), "{text}");
    let text = problem(ultralytics(sample(), "pose", "damaged"));
    assert!(text.contains("does not name its classes"), "{text}");
}

#[test]
fn finished_boxes_are_taken_as_they_are() {
    if !library_is_here() {
        return;
    }
    let one: &[f32] = &[24.0, 28.0, 40.0, 36.0, 0.9, 1.0];
    let same = &[25.0, 28.0, 41.0, 36.0, 0.8, 1.0];
    let values = rows(&[one, same], 300, &[0.0; 6]);
    let sample = || {
        Sample::default()
            .picture(64, 64)
            .answers("output0", &[1, 300, 6], &values)
    };
    let wanted = [(1, 0.9, MIDDLE), (1, 0.8, [39.0625, 18.75, 25.0, 12.5])];
    let detector = open(ultralytics(sample(), "detect", NAMES));
    assert_eq!(detector.info().family, "yolo-end2end");
    assert_found(&detector, &wanted);

    let detector = open(sample());
    assert_eq!(
        (detector.info().family, detector.info().names.len()),
        ("yolo-end2end", 80)
    );
    assert_found(&detector, &wanted);
}

#[test]
fn an_input_of_any_size_gets_the_size_that_the_file_names() {
    if !library_is_here() {
        return;
    }
    let sample = |size: &str| {
        Sample::default()
            .input("images", FLOAT, &[-1, 3, -1, -1])
            .floats("values", &[1, 7, POINTS as i64], &columns(&raw(), 7))
            .node("Identity", &["values"], "output0")
            .output("output0", FLOAT, &[-1, -1, -1])
            .says("imgsz", size)
    };
    let detector = open(ultralytics(sample("[96, 64]"), "detect", NAMES));
    assert_eq!(detector.info().input, [64, 96]);
    // Laid into rows 32 to 64.
    assert_found(
        &detector,
        &[
            (1, 0.9, [37.5, 0.0, 25.0, 6.25]),
            (2, 0.7, [37.5, 0.0, 25.0, 6.25]),
        ],
    );
    let detector = open(ultralytics(sample(""), "detect", NAMES));
    assert_eq!(detector.info().input, [640, 640]);
}

#[test]
fn ultralytics_rt_detr_has_parts_of_a_stretched_picture() {
    if !library_is_here() {
        return;
    }
    let one: &[f32] = &[0.5, 0.5, 0.25, 0.25, 0.9, 2.0];
    let sample = |values: &[f32], names| {
        let sample = Sample::default()
            .picture(64, 64)
            .answers("output0", &[1, 300, 6], values);
        open(ultralytics(sample, "detect", names).says("head", "RTDETRDecoder"))
    };
    let place = [37.5, 18.75, 25.0, 12.5];
    let detector = sample(&rows(&[one], 300, &[0.1, 0.1, 0.1, 0.1, 0.0, 0.0]), NAMES);
    assert_eq!(detector.info().family, "ultralytics-rtdetr");
    assert_found(&detector, &[(2, 0.9, place)]);

    // Older versions wrote the scores of all classes, here of two.
    let one: &[f32] = &[0.5, 0.5, 0.25, 0.25, 0.2, 0.9];
    let detector = sample(&rows(&[one], 300, &[0.1; 6]), "{0: 'a', 1: 'b'}");
    assert_found(&detector, &[(1, 0.9, place)]);
}

#[test]
fn deployed_detr_is_told_width_before_height() {
    if !library_is_here() {
        return;
    }
    let parts = [0.25, 0.25, 0.5, 0.5, 0.0, 0.0, 0.1, 0.1];
    let sample = Sample::default()
        .picture(128, 64)
        .input("orig_target_sizes", FLOAT, &[1, 2])
        .floats("parts", &[1, 2, 4], &parts)
        .integers("twice", &[2], &[1, 2])
        .integers("classes", &[1, 2], &[17, 3])
        .node("Tile", &["orig_target_sizes", "twice"], "sides")
        .node("Mul", &["parts", "sides"], "boxes")
        .node("Identity", &["classes"], "labels")
        .output("labels", INT64, &[1, 2])
        .output("boxes", FLOAT, &[1, 2, 4])
        .answers("scores", &[1, 2], &[0.8, 0.2]);
    let detector = open(sample);
    assert_eq!(
        (detector.info().family, detector.info().input),
        ("detr-deploy", [128, 64])
    );
    assert_found(&detector, &[(17, 0.8, [25.0, 12.5, 25.0, 12.5])]);
}

#[test]
fn queries_have_logits_or_probabilities() {
    if !library_is_here() {
        return;
    }
    let boxes = rows(&[&[0.5, 0.5, 0.25, 0.25]], 300, &[0.5; 4]);
    let place = [37.5, 18.75, 25.0, 12.5];
    let sample = |scores: &[f32]| {
        Sample::default()
            .input("input", FLOAT, &[1, 3, 56, 56])
            .answers("dets", &[1, 300, 4], &boxes)
            .answers("labels", &[1, 300, 3], scores)
    };
    // Two classes of one query both count.
    let detector = open(sample(&rows(&[&[-5.0, 2.0, 0.0]], 300, &[-9.0; 3])));
    assert_eq!(
        (detector.info().family, detector.info().norm),
        ("detr", "rgb-imagenet")
    );
    assert_found(&detector, &[(1, 0.8808, place), (2, 0.5, place)]);
    let detector = open(sample(&rows(&[&[0.0, 0.75, 0.0]], 300, &[0.0; 3])));
    assert_found(&detector, &[(1, 0.75, place)]);
}

#[test]
fn the_last_class_of_detr_is_nothing() {
    if !library_is_here() {
        return;
    }
    let mut scores = vec![0.0; 100 * 92];
    for row in scores.chunks_mut(92) {
        row[91] = 20.0;
    }
    (scores[18], scores[91]) = (10.0, 9.0);
    let sample = Sample::default()
        .picture(64, 64)
        .answers("logits", &[1, 100, 92], &scores)
        .answers("pred_boxes", &[1, 100, 4], &[0.5; 400]);
    let detector = open(sample);
    let info = detector.info();
    assert_eq!(
        (info.family, info.names.len(), info.names[18].as_str()),
        ("detr-softmax", 91, "dog")
    );
    let e = std::f32::consts::E;
    let score = e.powi(10) / (e.powi(10) + e.powi(9) + 90.0);
    assert_found(&detector, &[(18, score, [25.0, 12.5, 50.0, 25.0])]);
}

#[test]
fn yolox_is_decoded_unless_the_file_does_it() {
    if !library_is_here() {
        return;
    }
    // Laid into the upper left corner: 64×32. Point 2 of row 1 of the grid of stride 16, which follows 64 points.
    let nothing = [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0];
    let mut values = nothing.repeat(POINTS);
    values[7 * (64 + 6)..][..7].copy_from_slice(&[0.5, 0.25, 0.0, 0.5f32.ln(), 0.9, 0.2, 0.8]);
    let raw = Sample::default()
        .picture(64, 64)
        .answers("output", &[1, POINTS as i64, 7], &values);
    let detector = open(raw);
    assert_eq!(
        (detector.info().family, detector.info().norm),
        ("yolox", "bgr-255")
    );
    assert_eq!(detector.info().names, ["class 0", "class 1"]);
    // Centre (40, 20), 16×8.
    let wanted = [(1, 0.72, [50.0, 25.0, 25.0, 12.5])];
    assert_found(&detector, &wanted);

    let row: &[f32] = &[40.0, 20.0, 16.0, 8.0, 0.9, 0.2, 0.8];
    let values = rows(&[row], POINTS, &[32.0, 32.0, 8.0, 8.0, 0.0, 0.0, 0.0]);
    let decoded = || {
        Sample::default()
            .picture(64, 64)
            .answers("output", &[1, POINTS as i64, 7], &values)
    };
    let with_exp = decoded()
        .floats("one", &[1], &[1.0])
        .node("Exp", &["one"], "unused");
    let detector = open(with_exp);
    assert_eq!(detector.info().family, "yolox-decoded");
    assert_found(&detector, &wanted);

    // Without the node it is taken for YOLOv6, which is laid into the middle.
    let detector = open(decoded());
    assert_eq!(
        (detector.info().family, detector.info().norm),
        ("yolov5", "rgb-1")
    );
    assert_found(&detector, &[(1, 0.72, [50.0, 0.0, 25.0, 12.5])]);
}

#[test]
fn yolov5_multiplies_objectness_and_class() {
    if !library_is_here() {
        return;
    }
    for (unit, times) in [(1.0, "pixels"), (1.0 / 64.0, "parts")] {
        let place = [32.0, 32.0, 16.0, 8.0].map(|v| v * unit);
        let row = [&place[..], &[0.9, 0.2, 0.8]].concat();
        let other = [
            8.0 * unit,
            8.0 * unit,
            4.0 * unit,
            4.0 * unit,
            0.0,
            0.0,
            0.0,
        ];
        let values = rows(&[&row], 3 * POINTS, &other);
        let sample = Sample::default()
            .picture(64, 64)
            .answers("output0", &[1, 3 * POINTS as i64, 7], &values)
            .says("stride", "32")
            .says("names", "['a', 'b']");
        let detector = open(sample);
        assert_eq!(
            (detector.info().family, detector.info().names.as_slice()),
            ("yolov5", &["a".into(), "b".into()][..])
        );
        assert_found(&detector, &[(1, 0.72, MIDDLE)]);
        let says = detector
            .info()
            .notes
            .iter()
            .any(|note| note.contains("parts of the input"));
        assert_eq!(says, times == "parts");
    }
}

#[test]
fn yolo_without_metadata_is_told_by_its_shape() {
    if !library_is_here() {
        return;
    }
    let values = columns(&raw(), 7);
    let detector = open(Sample::default().picture(64, 64).answers(
        "out",
        &[1, 7, POINTS as i64],
        &values,
    ));
    assert_eq!(detector.info().family, "yolo");
    assert_found(&detector, &[(1, 0.9, MIDDLE), (2, 0.7, MIDDLE)]);
}

/// Logits that say "this many strides" for each of four sides.
fn distances(far: [usize; 4]) -> Vec<f32> {
    let mut logits = vec![-20.0; 32];
    for (side, far) in far.into_iter().enumerate() {
        logits[8 * side + far] = 20.0;
    }
    logits
}

#[test]
fn nanodet_and_picodet_have_distances_from_their_points() {
    if !library_is_here() {
        return;
    }
    // Point 2 of row 1 of the grid of stride 16: at (32, 16), or (40, 24) in the middle of its cell.
    let there = 64 + 6;
    let far = distances([1, 0, 1, 1]);
    let mut values = Vec::new();
    for i in 0..=POINTS {
        values.extend(if i == there { [0.1, 0.9] } else { [0.0, 0.0] });
        values.extend_from_slice(&far);
    }
    let sample = Sample::default()
        .input("data", FLOAT, &[1, 3, 64, 64])
        .answers("output", &[1, 85, 34], &values);
    let detector = open(sample);
    assert_eq!(
        (detector.info().family, detector.info().norm),
        ("nanodet", "bgr-imagenet")
    );
    // Corners (16, 16) and (48, 32), stretched by 100/64 and 50/64.
    assert_found(&detector, &[(1, 0.9, [25.0, 12.5, 50.0, 12.5])]);

    let mut sample = Sample::default().input("image", FLOAT, &[1, 3, 64, 64]);
    for (i, points) in [64, 16, 4, 1].into_iter().enumerate() {
        let mut scores = vec![0.0; 2 * points];
        if i == 1 {
            scores[2 * 6 + 1] = 0.9;
        }
        sample = sample
            .answers(&format!("s{i}"), &[1, points as i64, 2], &scores)
            .answers(
                &format!("d{i}"),
                &[1, points as i64, 32],
                &far.repeat(points),
            );
    }
    let detector = open(sample);
    assert_eq!(detector.info().family, "picodet");
    assert_found(&detector, &[(1, 0.9, [37.5, 18.75, 50.0, 12.5])]);
}

#[test]
fn yolov7_with_its_suppression_inside_has_rows_of_seven() {
    if !library_is_here() {
        return;
    }
    let sample = Sample::default()
        .picture(64, 64)
        .floats("boxes", &[1, 1, 4], &[0.0, 0.0, 1.0, 1.0])
        .floats("scores", &[1, 1, 1], &[0.5])
        .node("NonMaxSuppression", &["boxes", "scores"], "kept")
        .answers("output", &[1, 7], &[0.0, 24.0, 28.0, 40.0, 36.0, 2.0, 0.9]);
    let detector = open(sample);
    assert_eq!(detector.info().family, "yolov7-end2end");
    assert_found(&detector, &[(2, 0.9, MIDDLE)]);
}

#[test]
fn paddle_says_class_and_score_first() {
    if !library_is_here() {
        return;
    }
    let sample = Sample::default()
        .input("image", FLOAT, &[1, 3, 64, 64])
        .input("scale_factor", FLOAT, &[1, 2])
        .answers(
            "boxes",
            &[2, 6],
            &[
                5.0, 0.9, 16.0, 16.0, 48.0, 32.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0,
            ],
        );
    let detector = open(sample);
    assert_eq!(detector.info().family, "paddle");
    assert_found(&detector, &[(5, 0.9, [25.0, 12.5, 50.0, 12.5])]);
}

#[test]
fn fastestdet_has_a_map_of_cells() {
    if !library_is_here() {
        return;
    }
    let mut values = vec![0.0; 7 * 16];
    // Cell (2, 1) of 4×4; sizes are half the input.
    for (value, number) in [(0, 0.8), (1, 0.5f32.atanh()), (2, 0.0), (6, 0.9)] {
        values[16 * value + 6] = number;
    }
    let detector = open(
        Sample::default()
            .picture(64, 64)
            .answers("758", &[1, 7, 4, 4], &values),
    );
    assert_eq!(
        (detector.info().family, detector.info().norm),
        ("fastestdet", "bgr-1")
    );
    let score = 0.8f32.powf(0.6) * 0.9f32.powf(0.4);
    // Centre (2.5/4, 1/4), from 0.375 to 0.875 and from 0 to 0.5.
    assert_found(&detector, &[(1, score, [37.5, 0.0, 50.0, 25.0])]);
}
