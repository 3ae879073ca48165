use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::native::safetensors;

mod changed;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compact")
}

fn fixture(name: &str) -> Vec<u8> {
    let path = fixtures().join(name);
    fs::read(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// A published model, or `None` with a message where the assets are not there.
fn published(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/assets/models")
        .join(name);
    fs::read(&path)
        .inspect_err(|cause| println!("skipped: {}: {cause}", path.display()))
        .ok()
}

#[test]
fn every_form_of_a_network_is_read_as_the_same_network() {
    let mut forms = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".onnx") else {
            continue;
        };
        let (base, form) = name.split_once('.').unwrap_or((name, ""));
        let mut expected = safetensors::read(&fixture(&format!("{base}.safetensors"))).unwrap();
        expected.resize = match form {
            "cubic-x2" => Some(Resize { scale: 2, a: -0.75 }),
            "cubic-x3" => Some(Resize { scale: 3, a: -0.5 }),
            "cubic-sizes-x1" => Some(Resize { scale: 1, a: -0.75 }),
            _ => None,
        };
        expected.clamp = match form {
            "clip" | "clip-attributes" => Some((0.0, 1.0)),
            "clip-below" => Some((0.0, f32::MAX)),
            _ => None,
        };
        let found =
            read(&fixture(&file)).unwrap_or_else(|NotCompact(problem)| panic!("{file}: {problem}"));
        assert!(found == expected, "{file}");
        forms += 1;
    }
    assert!(
        forms >= 35,
        "only {forms} files in {}",
        fixtures().display()
    );
}

#[test]
fn published_files_hold_the_same_weights() {
    let (Some(reference), Some(x4), Some(half)) = (
        published("realesr-animevideov3-x4.safetensors"),
        published("realesr-animevideov3-x4.onnx"),
        published("realesr-animevideov3-x4.fp16.onnx"),
    ) else {
        return;
    };
    let reference = safetensors::read(&reference).unwrap();
    assert_eq!((reference.convs.len(), reference.shuffle), (18, 4));
    assert!(read(&x4).unwrap() == reference);

    let half = read(&half).unwrap();
    assert_eq!((half.shuffle, half.resize, half.clamp), (4, None, None));
    for (half, full) in half.convs.iter().zip(&reference.convs) {
        let parts = |conv: &Conv| {
            [
                conv.weights.clone(),
                conv.bias.clone(),
                conv.slope.clone().unwrap_or_default(),
            ]
        };
        for (half, full) in parts(half).concat().iter().zip(parts(full).concat()) {
            // Half a unit in the last of 11 bits, or of the smallest number.
            assert!(
                (half - full).abs() <= full.abs() / 2048.0 + 3e-8,
                "{half} {full}"
            );
        }
    }
    for scale in [2, 3] {
        let Some(file) = published(&format!("realesr-animevideov3-x{scale}.onnx")) else {
            return;
        };
        let mut network = read(&file).unwrap();
        assert_eq!(network.scale(), scale);
        assert_eq!(network.resize.take(), Some(Resize { scale, a: -0.75 }));
        assert!(network == reference);
    }
}

#[test]
fn other_networks_are_refused_with_the_node() {
    for (name, sentence) in [
        (
            "waifu2x-upconv7-anime-noise1-x2.onnx",
            "node conv7_layer (ConvTranspose) stands where a Compact network has the sum with the enlarged picture",
        ),
        (
            "yolox_nano_416.onnx",
            "node Transpose_423 (Transpose) stands where a Compact network has the sum with the enlarged picture",
        ),
        (
            "fastestdet_352.onnx",
            "node Concat_264 (Concat) stands where a Compact network has the sum with the enlarged picture",
        ),
    ] {
        let Some(file) = published(name) else {
            continue;
        };
        assert_eq!(read(&file), Err(NotCompact(sentence.to_owned())), "{name}");
    }
}

#[test]
fn what_is_no_onnx_file_is_said_to_be_none() {
    for (file, sentence) in [
        (Vec::new(), "not an ONNX file: it holds no graph"),
        (b"version https://git-lfs".to_vec(), "not an ONNX file: "),
        (fixture("x2.safetensors"), "not an ONNX file: "),
        (
            fixture("x2.onnx")[..1500].to_vec(),
            "the ONNX file is damaged or cut short: ",
        ),
    ] {
        let NotCompact(problem) = read(&file).unwrap_err();
        assert!(problem.starts_with(sentence), "{problem}");
    }
}

/// What is read from a damaged file is a network all the same: sizes fit each other and everything is finite.
fn check(network: &Network) {
    let outputs = network.convs.last().unwrap().n_out;
    assert_eq!(outputs, 3 * network.shuffle * network.shuffle);
    assert!((1..=4).contains(&network.shuffle) && network.convs.len() >= 2);
    let mut n_in = 3;
    for conv in &network.convs {
        assert_eq!(
            (conv.n_in, conv.weights.len(), conv.bias.len()),
            (n_in, conv.n_out * n_in * 9, conv.n_out)
        );
        assert!(
            conv.weights
                .iter()
                .chain(&conv.bias)
                .chain(conv.slope.iter().flatten())
                .all(|x| x.is_finite())
        );
        n_in = conv.n_out;
    }
    assert!(
        network
            .resize
            .is_none_or(|resize| (1..network.shuffle).contains(&resize.scale))
    );
    assert!(network.clamp.is_none_or(|(min, max)| min <= max));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_read_or_refused(
        file in prop::sample::select(vec![
            "x2.onnx", "x4.cubic-x3.onnx", "x2.resize-sizes.onnx", "x2.reshaped-computed.onnx", "x2.constants.onnx",
            "x2.fp16-int32-data.onnx", "x2.slope-unsqueezed.onnx", "x1.clip-attributes.onnx",
            "x2.safetensors", "x2.bf16.safetensors",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = fixture(file);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let network = if file.contains(".onnx") { read(&bytes) } else { safetensors::read(&bytes) };
        if let Ok(network) = network {
            check(&network);
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
        prop_assert!(safetensors::read(&bytes).is_err());
    }
}
