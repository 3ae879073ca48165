//! What pictures are fed as, what names and options do, and what is refused.

use super::*;

#[test]
fn a_mean_inside_the_file_is_not_subtracted_twice() {
    if !library_is_here() {
        return;
    }
    let sample = |first: &[f32], operator: &str| {
        Sample::default()
            .picture(64, 64)
            .floats("constant", &[first.len() as i64, 1, 1], first)
            .node(operator, &["images", "constant"], "normalised")
            .answers("dets", &[1, 2, 4], &[0.5; 8])
            .answers("labels", &[1, 2, 3], &[0.0; 6])
    };
    let norm = |sample| open(sample).info().norm;
    assert_eq!(norm(sample(&[123.675, 116.28, 103.53], "Sub")), "rgb-255");
    assert_eq!(norm(sample(&[0.485, 0.456, 0.406], "Sub")), "rgb-1");
    assert_eq!(norm(sample(&[255.0], "Div")), "rgb-255");
    assert_eq!(norm(sample(&[1.0 / 255.0], "Mul")), "rgb-255");
    assert_eq!(norm(sample(&[0.5], "Max")), "rgb-imagenet");
}

#[test]
fn inputs_of_half_precision_and_of_bytes_are_fed() {
    if !library_is_here() {
        return;
    }
    let values = columns(&raw(), 7);
    for (element, norm) in [(FLOAT16, "rgb-1"), (2, "rgb-255")] {
        let sample = Sample::default()
            .input("images", element, &[1, 3, 64, 64])
            .answers("out", &[1, 7, POINTS as i64], &values);
        let detector = open(sample);
        assert_eq!(detector.info().norm, norm);
        assert_found(&detector, &[(1, 0.9, MIDDLE), (2, 0.7, MIDDLE)]);
    }
}

#[test]
fn what_is_not_known_is_refused_with_its_shapes_and_a_way_out() {
    if !library_is_here() {
        return;
    }
    // As many rows as YOLOX has, with places that no reading brings into the input.
    let sample = || {
        let values = [-900.0, 4000.0, 3.0, 3.0, 0.5, 0.5].repeat(POINTS);
        Sample::default()
            .picture(64, 64)
            .answers("what", &[1, POINTS as i64, 6], &values)
    };
    let text = problem(sample());
    for part in [
        "looks like the format yolox",
        "what [1, 84, 6]",
        "--detector-format (yolo, ",
        "sample.onnx",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let detector = open_with(sample(), &options("yolov5")).unwrap();
    assert!(
        detector
            .info()
            .notes
            .iter()
            .any(|note| note.contains("strange")),
        "{:?}",
        detector.info().notes
    );
    let refused =
        |options: &DetectorOptions| open_with(sample(), options).err().unwrap().to_string();
    assert!(refused(&options("fastestdet")).contains("cannot be of the format \"fastestdet\""));
    assert!(
        refused(&options("yolo9000"))
            .contains("unknown detector format \"yolo9000\", known are yolo, ")
    );
    let norm = DetectorOptions {
        norm: Some("cmyk".to_owned()),
        ..options("yolov5")
    };
    assert!(refused(&norm).contains("\"cmyk\", known are rgb-1, "));

    let text = problem(
        Sample::default()
            .picture(64, 64)
            .answers("what", &[1, 7], &[0.0; 7]),
    );
    assert!(
        text.contains("no detector of a known kind (input 64x64, outputs what [1, 7])"),
        "{text}"
    );
    // Seven scores of a classifier are no row of YOLOv7.
    let nan = [f32::NAN; 7 * POINTS];
    let text = problem(Sample::default().picture(64, 64).answers(
        "out",
        &[1, 7, POINTS as i64],
        &nan,
    ));
    assert!(
        text.contains("588 values that are NaN or infinite"),
        "{text}"
    );
    let last = Sample::default()
        .input("x", FLOAT, &[1, 64, 64, 3])
        .answers("what", &[1, 7], &[0.0; 7]);
    assert!(problem(last).contains("NHWC"));
    let four = Sample::default()
        .input("x", FLOAT, &[4, 3, 64, 64])
        .answers("what", &[1, 7], &[0.0; 7]);
    assert!(problem(four).contains("takes 4 pictures at a time"));
}

#[test]
fn names_and_colours_given_are_used_where_the_file_has_none() {
    if !library_is_here() {
        return;
    }
    let values = columns(&raw(), 7);
    let sample = || {
        Sample::default()
            .picture(64, 64)
            .answers("out", &[1, 7, POINTS as i64], &values)
    };
    let given = |names: &[&str]| DetectorOptions {
        names: Some(names.iter().map(|&name| name.to_owned()).collect()),
        norm: Some("bgr-half".to_owned()),
        min_score: 0.75,
        ..DetectorOptions::default()
    };
    let detector = open_with(sample(), &given(&["a", "b", "c"])).unwrap();
    assert_eq!(
        (detector.info().names.join(" "), detector.info().norm),
        ("a b c".to_owned(), "bgr-half")
    );
    assert_found(&detector, &[(1, 0.9, MIDDLE)]);
    let text = open_with(sample(), &given(&["a"]))
        .err()
        .unwrap()
        .to_string();
    assert!(
        text.contains("the list names 1 classes, the model has 3"),
        "{text}"
    );
    let detector = open_with(
        ultralytics(sample(), "detect", NAMES),
        &given(&["a", "b", "c"]),
    )
    .unwrap();
    assert_eq!(detector.info().names[2], "Hund");
}

#[test]
fn a_class_beyond_the_names_is_an_error_and_not_a_number_without_meaning() {
    if !library_is_here() {
        return;
    }
    let one: &[f32] = &[24.0, 28.0, 40.0, 36.0, 0.9, 85.0];
    let sample = Sample::default().picture(64, 64).answers(
        "out",
        &[1, 300, 6],
        &rows(&[one], 300, &[0.0; 6]),
    );
    let error = open(sample)
        .session()
        .unwrap()
        .detect(&picture())
        .unwrap_err();
    assert!(
        matches!(error, Error::Run { .. }) && error.to_string().contains("class 85"),
        "{error}"
    );
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.onnx");
    std::fs::write(&path, "this is no model").unwrap();
    let error = Detector::open(&path, &DetectorOptions::default())
        .err()
        .unwrap();
    assert!(matches!(error, Error::Model { .. }), "{error:?}");
    let error = Detector::open(folder.path().join("gone.onnx"), &DetectorOptions::default())
        .err()
        .unwrap();
    assert!(matches!(error, Error::ReadModel { .. }), "{error:?}");
}
