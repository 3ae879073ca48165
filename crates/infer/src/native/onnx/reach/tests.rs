use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::native::onnx::proto::{
    AttributeProto, GraphProto, OperatorSetIdProto, TensorProto, ValueInfoProto, data_type,
};

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/reach")
        .join(folder)
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// The networks of a folder of fixtures by name.
fn all(folder: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(fixtures(folder)).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, read(&path))
        })
        .collect()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "to be compared with what reach returns"
)]
fn found(pixels: usize, period: usize) -> Result<Reach, String> {
    Ok(Reach { pixels, period })
}

#[test]
fn the_reach_is_that_of_the_layers_together() {
    let known = [
        // Pixels and period.
        ("dilated", 5, 1),
        ("uneven-kernel", 3, 1),
        ("even-kernel", 2, 1),
        ("same-upper", 2, 1),
        ("reflected", 4, 1),
        ("padded-thrice", 4 + 2, 1),
        ("u-net", 7, 2),
        ("quarter", 9, 4),
        ("folded", 3, 2),
        ("focus", 3, 2),
        ("linear", 1, 1),
        ("cubic", 2, 1),
        ("cubic-half", 2, 1),
        ("nearest-ceil", 1, 1),
        ("nearest-round", 1, 1),
        ("upsample-9", 2, 1),
        ("sizes", 1, 1),
        ("elementwise", 2, 1),
        ("cropped", 3, 1),
    ];
    let files = all("limited");
    for (name, file) in &files {
        let Some((_, pixels, period)) = known.iter().find(|known| known.0 == name) else {
            panic!("{name} is not listed")
        };
        assert_eq!(reach(file, 2), found(*pixels, *period), "{name}");
        let why = reach(file, 3).unwrap_err();
        assert_eq!(why, "its result is not in step with the picture", "{name}");
    }
    assert_eq!(files.len(), known.len());
}

#[test]
fn what_looks_at_the_whole_picture_is_unlimited_and_said_to_be_so() {
    let known = [
        ("squeeze-excite", "GlobalAveragePool looks at all of it"),
        ("instance-norm", "InstanceNormalization looks at all of it"),
        ("reduced", "ReduceMean looks at all of it"),
        ("transposed", "how far Transpose looks is not known here"),
        ("align-corners", "how far Resize looks is not known here"),
        ("thirds", "how far Resize looks is not known here"),
        ("same-strided", "how far Conv looks is not known here"),
        ("cut-at-200", "how far Slice looks is not known here"),
        ("last-200", "how far Slice looks is not known here"),
        ("first-row", "how far Slice looks is not known here"),
        ("softmax", "Softmax looks at all of it"),
        ("dynamic-weights", "ReduceMean looks at all of it"),
        ("reflected-inside", "how far Pad looks is not known here"),
    ];
    let files = all("unlimited");
    for (name, file) in &files {
        let Some((_, why)) = known.iter().find(|known| known.0 == name) else {
            panic!("{name} is not listed")
        };
        assert_eq!(reach(file, 2), Err((*why).to_owned()), "{name}");
    }
    assert_eq!(files.len(), known.len());
}

#[test]
fn the_reach_of_published_networks_is_known() {
    for (name, scale, expected) in [
        // 18 convolutions, and a cubic resize that reaches into the next pixel.
        ("realesr-animevideov3-x2.onnx", 2, found(19, 1)),
        ("realesr-animevideov3-x3.onnx", 3, found(19, 1)),
        ("realesr-animevideov3-x4.onnx", 4, found(18, 1)),
        ("realesr-animevideov3-x4.fp16.onnx", 4, found(18, 1)),
        ("waifu2x-upconv7-anime-noise1-x2.onnx", 2, found(7, 1)),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/assets/models")
            .join(name);
        match fs::read(&path) {
            Ok(file) => assert_eq!(reach(&file, scale), expected, "{name}"),
            Err(cause) => println!("skipped: {}: {cause}", path.display()),
        }
    }
}

/// A network of those nodes between `input` and `output`.
fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Vec<u8> {
    let value = |name: &str| ValueInfoProto {
        name: name.to_owned(),
        ..ValueInfoProto::default()
    };
    ModelProto {
        opset_import: vec![OperatorSetIdProto {
            version: 17,
            ..OperatorSetIdProto::default()
        }],
        graph: Some(GraphProto {
            name: String::new(),
            node,
            initializer,
            input: vec![value("input")],
            output: vec![value("output")],
        }),
        ..ModelProto::default()
    }
    .encode_to_vec()
}

fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}

fn constant(name: &str, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        ..TensorProto::default()
    }
}

#[test]
fn a_constant_that_differs_from_pixel_to_pixel_is_none_of_a_crop() {
    let sum = |dims: &[i64]| {
        let nodes = vec![node("Add", &["c", "input"], "output", Vec::new())];
        reach(&model(nodes, vec![constant("c", dims)]), 1)
    };
    for dims in [&[][..], &[1], &[1, 1], &[3, 1, 1], &[1, 3, 1, 1]] {
        assert_eq!(sum(dims), found(0, 1), "{dims:?}");
    }
    for dims in [
        &[64][..],
        &[64, 1],
        &[1, 3, 1, 64],
        &[1, 3, 64, 64],
        &[1, 1, 3, 1, 1],
    ] {
        let unknown = Err("how far Add looks is not known here".to_owned());
        assert_eq!(sum(dims), unknown, "{dims:?}");
    }
}

#[test]
fn operators_of_others_second_results_and_values_made_up_are_not_known() {
    let foreign = NodeProto {
        domain: "com.microsoft".to_owned(),
        ..node("Gelu", &["input"], "output", Vec::new())
    };
    let why = reach(&model(vec![foreign], Vec::new()), 1).unwrap_err();
    assert_eq!(why, "how far com.microsoft.Gelu looks is not known here");

    let pool = NodeProto {
        output: vec!["first".to_owned(), "output".to_owned()],
        ..node(
            "MaxPool",
            &["input"],
            "first",
            vec![ints("kernel_shape", &[1, 1])],
        )
    };
    let why = reach(&model(vec![pool], Vec::new()), 1).unwrap_err();
    assert_eq!(why, "how far MaxPool looks is not known here");

    let noise = vec![
        node("RandomNormal", &[], "noise", Vec::new()),
        node("Add", &["input", "noise"], "output", Vec::new()),
    ];
    let why = reach(&model(noise, Vec::new()), 1).unwrap_err();
    assert_eq!(why, "how far RandomNormal looks is not known here");
}

#[test]
fn numbers_of_no_network_are_refused_and_long_graphs_take_no_long_time() {
    const N: usize = 20_000;
    let weights = || vec![constant("w", &[3, 3, 3, 3])];
    for bad in [0, -1, 5000, i64::MAX, i64::MIN] {
        for name in ["kernel_shape", "strides", "dilations"] {
            for operator in ["Conv", "ConvTranspose"] {
                let nodes = vec![node(
                    operator,
                    &["input", "w"],
                    "output",
                    vec![ints(name, &[bad, 1])],
                )];
                assert!(
                    reach(&model(nodes, weights()), 1).is_err(),
                    "{operator} {name} {bad}"
                );
            }
        }
    }
    let chain =
        |operator: &str, inputs: &dyn Fn(usize) -> Vec<String>, attribute: &[AttributeProto]| {
            let nodes = (0..N).map(|i| {
                let (inputs, output) = (
                    inputs(i),
                    if i == N - 1 {
                        "output".to_owned()
                    } else {
                        i.to_string()
                    },
                );
                let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
                node(operator, &inputs, &output, attribute.to_vec())
            });
            reach(&model(nodes.collect(), weights()), 1)
        };
    let before = |i: usize| {
        if i == 0 {
            "input".to_owned()
        } else {
            (i - 1).to_string()
        }
    };
    let started = Instant::now();
    assert_eq!(
        chain("Add", &|i| vec![before(i), before(i)], &[]),
        found(0, 1)
    );
    let conv = chain(
        "Conv",
        &|i| vec![before(i), "w".to_owned()],
        &[ints("pads", &[1; 4])],
    );
    assert_eq!(conv, Err("it looks 20000 pixels around".to_owned()));
    // Without a repetition that comes out even.
    assert!(
        chain(
            "Conv",
            &|i| vec![before(i), "w".to_owned()],
            &[ints("strides", &[7, 63])]
        )
        .is_err()
    );
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_have_a_bounded_reach_or_none(
        file in prop::sample::select(all("limited")), scale in 1_u32..9,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = file.1;
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(Reach { pixels, period }) = reach(&bytes, scale) {
            prop_assert!(pixels <= 1024 && (1..=64 * 64).contains(&period));
        }
    }
}
