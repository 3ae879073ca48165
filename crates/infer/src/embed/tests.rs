//! Pairs of tiny networks whose vectors can be computed by hand.

use std::fs;
use std::path::Path;

use framewright_media::Picture;

use super::*;
use crate::native::onnx::proto::data_type::{FLOAT, INT32, INT64};
use crate::sample::{Sample, library_is_here};

/// The mean of each colour after normalising, as the vector of a picture.
fn vision(folder: &Path, side: i64) -> PathBuf {
    Sample::default()
        .input("pixel_values", FLOAT, &[-1, 3, side, side])
        .integers("axes", &[2], &[2, 3])
        .node("ReduceMean", &["pixel_values", "axes"], "means")
        .integers("all", &[2], &[2, 3])
        .node("Squeeze", &["means", "all"], "image_embeds")
        .output("image_embeds", FLOAT, &[-1, 3])
        .save(folder, "vision.onnx")
}

/// The sum of the vectors of the tokens under the mask.
fn text(folder: &Path, element: i32, length: i64) -> PathBuf {
    let vectors = [
        [0.0, 0.0, 100.0],
        [3.0, 0.0, 0.0],
        [0.0, 4.0, 0.0],
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.5],
    ];
    Sample::default()
        .input("input_ids", element, &[-1, length])
        .input("attention_mask", FLOAT, &[-1, length])
        .floats("vectors", &[5, 3], vectors.as_flattened())
        .integers("last", &[1], &[2])
        .integers("middle", &[1], &[1])
        .node("Gather", &["vectors", "input_ids"], "tokens")
        .node("Unsqueeze", &["attention_mask", "last"], "mask")
        .node("Mul", &["tokens", "mask"], "seen")
        .node("ReduceSum", &["seen", "middle"], "sum")
        .node("Squeeze", &["sum", "middle"], "text_embeds")
        .output("text_embeds", FLOAT, &[-1, 3])
        .save(folder, "text.onnx")
}

/// A tokenizer of words that adds the token `end` (number 3) at the end and knows one for padding (number 4).
fn tokenizer(folder: &Path, end: &str) -> PathBuf {
    let json = format!(
        r#"{{
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
            "added_tokens": [{{"id": 3, "content": "{end}", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true}}],
            "pre_tokenizer": {{"type": "Whitespace"}},
            "post_processor": {{"type": "TemplateProcessing",
                "single": [{{"Sequence": {{"id": "A", "type_id": 0}}}}, {{"SpecialToken": {{"id": "{end}", "type_id": 0}}}}],
                "pair": [{{"Sequence": {{"id": "A", "type_id": 0}}}}, {{"Sequence": {{"id": "B", "type_id": 0}}}}],
                "special_tokens": {{"{end}": {{"id": "{end}", "ids": [3], "tokens": ["{end}"]}}}}}},
            "model": {{"type": "WordLevel", "unk_token": "unknown",
                "vocab": {{"unknown": 0, "red": 1, "green": 2, "{end}": 3, "<pad>": 4}}}}
        }}"#
    );
    let path = folder.join("tokenizer.json");
    fs::write(&path, json).unwrap();
    path
}

fn picture(width: usize, height: usize, colour: impl Fn(usize, usize) -> [u8; 3]) -> Picture {
    let pixels = (0..width * height).flat_map(|i| colour(i % width, i / width));
    Picture {
        width,
        height,
        data: pixels.collect(),
    }
}

#[track_caller]
fn assert_near(found: &[f32], wanted: &[f32]) {
    let near =
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(near, "{found:?} is not {wanted:?}");
}

fn scaled(vector: [f32; 3]) -> [f32; 3] {
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    vector.map(|v| v / length)
}

/// What CLIP makes of a picture of one colour.
fn clip_of(colour: [u8; 3]) -> [f32; 3] {
    let (mean, deviation) = (
        [0.481_454_67, 0.457_827_5, 0.408_210_72],
        [0.268_629_55, 0.261_302_6, 0.275_777_1],
    );
    scaled(std::array::from_fn(|i| {
        (f32::from(colour[i]) / 255.0 - mean[i]) / deviation[i]
    }))
}

#[test]
fn clip_compares_texts_with_the_middle_of_pictures() {
    if !library_is_here() {
        return;
    }
    for (element, length) in [(INT64, -1), (INT32, 77), (INT64, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (vision, text) = (vision(folder, 8), text(folder, element, length));
        let model = TextModel::open(vision, text, tokenizer(folder, "<|endoftext|>")).unwrap();
        let info = model.info();
        assert_eq!(
            (info.kind, info.dimensions, info.input),
            ("clip", 3, [8, 8])
        );
        assert_eq!(info.sha256.len(), 64);
        assert_ne!(info.text_sha256.as_ref(), Some(&info.sha256));

        let texts = ["red green", "red", "green", "RED"].map(str::to_owned);
        let vectors = model.embed_texts(&texts).unwrap();
        assert_near(&vectors[0], &[0.6, 0.8, 0.0]);
        assert_near(&vectors[1], &[1.0, 0.0, 0.0]);
        assert_near(&vectors[3], &[0.0, 0.0, 1.0]);
        assert!((similarity(&vectors[0], &vectors[2]) - 0.8).abs() < 1e-6);
        // Cut to the length of the input, with the end kept.
        let long = ["green ".repeat(100)];
        assert_near(&model.embed_texts(&long).unwrap()[0], &[0.0, 1.0, 0.0]);

        // Red in the middle third, blue beside it, where nobody looks; no pixel near the seam is kept.
        let wide = picture(96, 32, |x, _| {
            if (30..66).contains(&x) {
                [255, 0, 0]
            } else {
                [0, 0, 255]
            }
        });
        let vector = model.session().unwrap().embed(&wide).unwrap();
        assert_near(&vector, &clip_of([255, 0, 0]));
        assert!(similarity(&vector, &vectors[1]) > similarity(&vector, &vectors[2]));
    }
}

#[test]
fn siglip_pads_texts_and_stretches_pictures() {
    if !library_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (vision, text) = (vision(folder, 8), text(folder, INT64, -1));
    let tokenizer = tokenizer(folder, "<eos>");
    let model = TextModel::open(vision, text, tokenizer).unwrap();
    assert_eq!(model.info().kind, "siglip");
    // "red" and its end, then 62 times the token of padding, which counts; in lower case.
    let vectors = model
        .embed_texts(&["RED".to_owned(), "red".to_owned()])
        .unwrap();
    assert_eq!(vectors[0], vectors[1]);
    assert_near(&vectors[0], &scaled([3.0, 0.0, 31.0]));

    // Half white, half black: -1 to 1 is 0 on average, so only the green that is everywhere counts.
    let half = picture(
        64,
        16,
        |x, _| if x < 32 { [255, 255, 255] } else { [0, 255, 0] },
    );
    assert_near(
        &model.session().unwrap().embed(&half).unwrap(),
        &[0.0, 1.0, 0.0],
    );
}

#[test]
fn a_file_beside_the_model_says_how_pictures_are_prepared() {
    if !library_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("onnx");
    fs::create_dir(&inner).unwrap();
    let config = r#"{"do_center_crop": false, "size": {"height": 8, "width": 8}, "image_mean": [0, 0, 0],
        "image_std": [1, 0.5, 1], "resample": 2}"#;
    fs::write(folder.path().join("preprocessor_config.json"), config).unwrap();
    let embedder = PictureEmbedder::open(vision(&inner, -1)).unwrap();
    let info = embedder.info();
    assert_eq!((info.kind, info.input), ("clip", [8, 8]));
    assert!(
        info.notes
            .iter()
            .any(|note| note.contains("preprocessor_config.json")),
        "{:?}",
        info.notes
    );
    let half = picture(
        64,
        16,
        |x, _| if x < 32 { [255, 255, 0] } else { [0, 255, 0] },
    );
    assert_near(
        &embedder.session().unwrap().embed(&half).unwrap(),
        &scaled([0.5, 2.0, 0.0]),
    );
}

#[test]
fn any_network_that_makes_a_vector_of_a_picture_will_do() {
    if !library_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = Sample::default()
        .input("data", FLOAT, &[1, 3, 7, 7])
        .integers("axes", &[2], &[2, 3])
        .node("ReduceMean", &["data", "axes"], "features")
        .output("features", FLOAT, &[1, 3, 1, 1])
        .save(folder.path(), "net.onnx");
    let embedder = PictureEmbedder::open(path).unwrap();
    let info = embedder.info();
    assert_eq!(
        (info.kind, info.dimensions, info.name.as_str()),
        ("pictures", 3, "net")
    );
    assert!(
        info.notes.iter().any(|note| note.contains("does not say")),
        "{:?}",
        info.notes
    );
    let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let wanted: [f32; 3] = std::array::from_fn(|i| (1.0 - mean[i]) / deviation[i]);
    let white = picture(5, 9, |_, _| [255; 3]);
    let mut session = embedder.session().unwrap();
    assert_near(&session.embed(&white).unwrap(), &scaled(wanted));
    let none = session.embed(&Picture::default()).unwrap_err();
    assert!(matches!(none, Error::Run { .. }), "{none:?}");
    session.canceller().cancel();
    assert!(matches!(session.embed(&white), Err(Error::Cancelled)));
}

#[test]
fn of_a_sequence_the_first_vector_is_taken_and_said() {
    if !library_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = Sample::default()
        .input("pixel_values", FLOAT, &[1, 3, 8, 8])
        .answers("last_hidden_state", &[1, 2, 2], &[3.0, 4.0, 9.0, 9.0])
        .save(folder.path(), "net.onnx");
    let embedder = PictureEmbedder::open(path).unwrap();
    assert!(
        embedder
            .info()
            .notes
            .iter()
            .any(|note| note.contains("last_hidden_state"))
    );
    let vector = embedder
        .session()
        .unwrap()
        .embed(&picture(9, 9, |_, _| [1; 3]))
        .unwrap();
    assert_near(&vector, &[0.6, 0.8]);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    if !library_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = text(folder, INT64, -1);
    let tokenizer = tokenizer(folder, "<|endoftext|>");
    let refused = |vision: &Path, text: &Path, tokenizer: &Path| {
        let error = TextModel::open(vision, text, tokenizer)
            .err()
            .expect("must not open");
        assert!(matches!(error, Error::Model { .. }), "{error:?}");
        error.to_string()
    };
    let two = Sample::default()
        .input("pixel_values", FLOAT, &[1, 3, 8, 8])
        .answers("image_embeds", &[1, 2], &[3.0, 4.0])
        .save(folder, "two.onnx");
    let said = refused(&two, &text, &tokenizer);
    assert!(
        said.contains("have 2 numbers and those of texts 3"),
        "{said}"
    );
    let zero = Sample::default()
        .input("pixel_values", FLOAT, &[1, 3, 8, 8])
        .answers("image_embeds", &[1, 3], &[0.0; 3])
        .save(folder, "zero.onnx");
    let said = refused(&zero, &text, &tokenizer);
    assert!(said.contains("vector zero"), "{said}");
    let said = refused(&two, &two, &tokenizer);
    assert!(said.contains("does not take the tokens"), "{said}");
    let said = refused(&text, &text, &tokenizer);
    assert!(said.contains("input_ids, attention_mask"), "{said}");
    let said = refused(&two, &text, &two);
    assert!(said.contains("no tokenizer.json"), "{said}");
}

#[test]
fn vectors_have_length_one_or_an_error() {
    assert_eq!(unit(&[3.0, -4.0]).unwrap(), [0.6, -0.8]);
    assert_near(&unit(&[3e30, 4e30]).unwrap(), &[0.6, 0.8]);
    assert!(unit(&[0.0, 0.0]).unwrap_err().contains("zero"));
    assert!(unit(&[1.0, f32::NAN]).unwrap_err().contains("NaN"));
    assert!(
        unit(&[1.0, f32::INFINITY])
            .unwrap_err()
            .contains("infinity")
    );
    assert!(unit(&[]).is_err());
}
