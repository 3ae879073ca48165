use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/compact")
            .join(name),
    )
    .unwrap()
}

#[test]
fn the_network_is_as_the_file_says() {
    let network = read(&fixture("x3.safetensors")).unwrap();
    let sizes: Vec<_> = network
        .convs
        .iter()
        .map(|conv| (conv.n_in, conv.n_out, conv.slope.is_some()))
        .collect();
    assert_eq!(sizes, [(3, 2, true), (2, 2, true), (2, 27, false)]);
    assert_eq!(
        (
            network.shuffle,
            network.scale(),
            network.resize,
            network.clamp
        ),
        (3, 3, None, None)
    );
    // The first array of the file is body.0.bias.
    let bytes = fixture("x3.safetensors");
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let first = f32::from_le_bytes(bytes[start..start + 4].try_into().unwrap());
    assert_eq!(network.convs[0].bias[0].to_bits(), first.to_bits());
}

#[test]
fn prefixes_and_half_precision_change_nothing() {
    let expected = read(&fixture("x2.safetensors")).unwrap();
    for name in ["x2.fp16.safetensors", "x2.bf16.safetensors"] {
        assert!(read(&fixture(name)).unwrap() == expected, "{name}");
    }
}

/// x2.safetensors with another header or data.
fn changed(
    change: impl FnOnce(&mut serde_json::Map<String, Value>, &mut Vec<u8>),
) -> Result<Network, NotCompact> {
    let bytes = fixture("x2.safetensors");
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header = serde_json::from_slice(&bytes[8..start]).unwrap();
    let mut data = bytes[start..].to_vec();
    change(&mut header, &mut data);
    let header = serde_json::to_vec(&header).unwrap();
    read(
        &[
            &(header.len() as u64).to_le_bytes(),
            header.as_slice(),
            &data,
        ]
        .concat(),
    )
}

#[track_caller]
fn refused(change: impl FnOnce(&mut serde_json::Map<String, Value>, &mut Vec<u8>)) -> String {
    let NotCompact(problem) = changed(change).expect_err("the change is not noticed");
    problem
}

#[test]
fn a_shared_slope_counts_for_every_channel() {
    let network = changed(|header, _| {
        let start = header["body.1.weight"]["data_offsets"][0].as_u64().unwrap();
        header["body.1.weight"] =
            json!({"dtype": "F32", "shape": [1], "data_offsets": [start, start + 4]});
    });
    let slope = network.unwrap().convs.swap_remove(0).slope.unwrap();
    assert_eq!(
        slope,
        [read(&fixture("x2.safetensors")).unwrap().convs[0]
            .slope
            .as_ref()
            .unwrap()[0]; 2]
    );
}

#[test]
fn what_is_no_safetensors_file_is_said_to_be_none() {
    for (bytes, sentence) in [
        (&b""[..], "not a safetensors file, or one that is cut short"),
        (
            b"version https://git-lfs",
            "not a safetensors file, or one that is cut short",
        ),
        (
            &fixture("x2.onnx"),
            "not a safetensors file, or one that is cut short",
        ),
        (
            &fixture("x2.safetensors")[..300],
            "not a safetensors file, or one that is cut short",
        ),
        (
            &u64::MAX.to_le_bytes(),
            "not a safetensors file, or one that is cut short",
        ),
        (
            b"\x02\0\0\0\0\0\0\0[]",
            "not a safetensors file: its header is not readable: ",
        ),
        (
            b"\x02\0\0\0\0\0\0\0{}",
            "the file has no body.0.weight, which a Compact network has",
        ),
    ] {
        let NotCompact(problem) = read(bytes).unwrap_err();
        assert!(problem.starts_with(sentence), "{problem}");
    }
}

#[test]
fn damaged_files_are_refused() {
    assert_eq!(
        refused(|_, data| data.truncate(100)),
        "the safetensors file is damaged: body.0.weight does not lie within it"
    );
    for offsets in [
        json!([8, 0]),
        json!([0, u64::MAX]),
        json!([-1, 4]),
        json!([0]),
        json!("0"),
    ] {
        let problem = refused(|header, _| header["body.0.bias"]["data_offsets"] = offsets);
        assert_eq!(
            problem,
            "the safetensors file is damaged: body.0.bias does not lie within it"
        );
    }
    assert_eq!(
        refused(|header, _| header["body.0.bias"]["data_offsets"] = json!([0, 4])),
        "the safetensors file is damaged: body.0.bias has 4 bytes, which does not fit the shape [2]"
    );
    assert_eq!(
        refused(|_, data| data[..4].copy_from_slice(&f32::INFINITY.to_le_bytes())),
        "body.0.bias holds a number that is NaN or infinite"
    );
}

#[test]
fn other_networks_are_refused_with_the_array() {
    assert_eq!(
        refused(|header, _| header["body.0.weight"]["shape"] = json!([2, 3, 9, 1])),
        "body.0.weight has the shape [2, 3, 9, 1], a Compact network [1 to 1024, 3, 3, 3]"
    );
    assert_eq!(
        refused(|header, _| header["body.2.weight"]["shape"] = json!([1, 4, 3, 3])),
        "body.2.weight has the shape [1, 4, 3, 3], a Compact network [1 to 1024, 2, 3, 3]"
    );
    assert_eq!(
        refused(|header, _| header["body.0.weight"]["shape"] = json!([1u64 << 40, 3, 3, 3])),
        "body.0.weight has the shape [1099511627776, 3, 3, 3], a Compact network [1 to 1024, 3, 3, 3]"
    );
    assert_eq!(
        refused(|header, _| header["body.1.weight"]["shape"] = json!([2, 1, 1])),
        "body.1.weight has the shape [2, 1, 1], a Compact network [2] or [1]"
    );
    assert_eq!(
        refused(|header, _| header["body.0.bias"]["shape"] = json!([1, 2])),
        "body.0.bias has the shape [1, 2], a Compact network [2]"
    );
    assert_eq!(
        refused(|header, _| header["body.0.bias"]["dtype"] = json!("F64")),
        "body.0.bias has the type F64, a Compact network F32, F16 or BF16"
    );
    assert_eq!(
        refused(|header, _| drop(header.remove("body.2.bias"))),
        "the file has no body.2.bias, which a Compact network has"
    );
    assert_eq!(
        refused(|header, _| drop(header.remove("body.3.weight"))),
        "the file has no body.3.weight, which a Compact network has"
    );
    let copy = |from: &'static str, to: &'static str| {
        refused(|header, _| {
            let entry = header[from].clone();
            header.insert(to.to_owned(), entry);
        })
    };
    assert_eq!(
        copy("body.0.weight", "conv_up1.weight"),
        "conv_up1.weight is not part of a Compact network"
    );
    assert_eq!(
        copy("body.0.weight", "body.0.rdb1.weight"),
        "body.0.rdb1.weight is not part of a Compact network"
    );
    assert_eq!(
        copy("body.0.weight", "body.00.weight"),
        "body.00.weight is not part of a Compact network"
    );
    assert_eq!(
        copy("body.0.bias", "body.1.bias"),
        "body.1.bias is not part of a Compact network, whose PReLU has none"
    );
    assert_eq!(
        copy("body.1.weight", "body.5.weight"),
        "the last layer is body.5, a Compact network ends with an even one from 2 to 510"
    );
    assert_eq!(
        copy("body.1.weight", "body.9999999.weight"),
        "the last layer is body.9999999, a Compact network ends with an even one from 2 to 510"
    );
    assert_eq!(
        refused(|header, _| {
            for (key, shape, bytes) in [
                ("body.4.weight", json!([6, 2, 3, 3]), 432),
                ("body.4.bias", json!([6]), 24),
            ] {
                header[key] = json!({"dtype": "F32", "shape": shape, "data_offsets": [0, bytes]});
            }
        }),
        "body.4 has 6 outputs, the last convolution of a Compact network 3, 12, 27 or 48"
    );
}
