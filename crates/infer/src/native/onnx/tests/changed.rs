//! A network of the family, changed in one place, is refused with a sentence that names the place.

use super::super::proto::{
    AttributeProto, GraphProto, OperatorSetIdProto, TensorProto, ValueInfoProto, data_type,
};
use super::*;

fn decode(name: &str) -> ModelProto {
    ModelProto::decode(fixture(name).as_slice()).unwrap()
}

/// The sentence for a fixture after a change.
#[track_caller]
fn refused(name: &str, change: impl FnOnce(&mut GraphProto)) -> String {
    let mut model = decode(name);
    change(model.graph.as_mut().unwrap());
    let NotCompact(problem) = read(&model.encode_to_vec()).expect_err("the change is not noticed");
    problem
}

/// The only node, or the first of several, with the operator.
fn node<'a>(graph: &'a mut GraphProto, operator: &str) -> &'a mut NodeProto {
    graph
        .node
        .iter_mut()
        .find(|node| node.op_type == operator)
        .unwrap()
}

/// Sets an attribute of the first node with the operator.
fn set(operator: &str, attribute: AttributeProto) -> impl FnOnce(&mut GraphProto) {
    move |graph| {
        let node = node(graph, operator);
        node.attribute.retain(|other| other.name != attribute.name);
        node.attribute.push(attribute);
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i,
        ..AttributeProto::default()
    }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f,
        ..AttributeProto::default()
    }
}

fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        s: text.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

#[test]
fn a_convolution_of_another_kind_is_refused() {
    let conv = |attribute| refused("x2.onnx", set("Conv", attribute));
    let start = "node Conv_3 (Conv) has";
    assert_eq!(
        conv(ints("strides", &[2, 2])),
        format!("{start} strides [2, 2], a Compact network [1, 1]")
    );
    assert_eq!(
        conv(ints("dilations", &[2, 1])),
        format!("{start} dilations [2, 1], a Compact network [1, 1]")
    );
    assert_eq!(
        conv(ints("pads", &[0; 4])),
        format!("{start} pads [0, 0, 0, 0], a Compact network [1, 1, 1, 1]")
    );
    assert_eq!(
        conv(ints("pads", &[])),
        format!("{start} pads [], a Compact network [1, 1, 1, 1]")
    );
    assert_eq!(
        conv(int("group", 3)),
        format!("{start} 3 groups, a Compact network 1")
    );
    assert_eq!(
        conv(text("auto_pad", "VALID")),
        format!("{start} auto_pad VALID, a Compact network a padding of one pixel")
    );
    let reshape = |dims: &[i64]| {
        let dims = dims.to_vec();
        refused("x2.onnx", |graph| graph.initializer[0].dims = dims)
    };
    assert_eq!(
        reshape(&[2, 27, 1, 1]),
        "node Conv_3 (Conv) has weights of the shape [2, 27, 1, 1], a Compact network [outputs, inputs, 3, 3]"
    );
    assert_eq!(
        reshape(&[3, 2, 3, 3]),
        "node Conv_3 (Conv) has 2 biases for 3 outputs"
    );
    assert_eq!(
        reshape(&[6, 1, 3, 3]),
        "node Conv_3 (Conv) has 2 biases for 6 outputs"
    );
    assert_eq!(
        refused("x2.onnx", |graph| {
            graph.initializer[0].dims = vec![1, 6, 3, 3];
            graph.initializer[1].dims = vec![1];
            graph.initializer[1].raw_data.truncate(4);
            graph.initializer[2].dims = vec![1];
            graph.initializer[2].raw_data.truncate(4);
        }),
        "node Conv_3 (Conv) gives 1 channels to a convolution that takes 2"
    );
    assert_eq!(
        refused("x2.onnx", |graph| {
            graph.initializer[0].dims = vec![2, 1, 3, 3];
            graph.initializer[0].raw_data.truncate(72);
        }),
        "node Conv_3 (Conv) has 1 input channels, a Compact network 3 in its first convolution"
    );
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "Conv").input.truncate(1)),
        "node Conv_3 (Conv) has no weights"
    );
}

#[test]
fn weights_that_are_not_usable_are_refused() {
    let tensor = |change: fn(&mut TensorProto)| {
        refused("x2.onnx", |graph| change(&mut graph.initializer[0]))
    };
    assert_eq!(
        tensor(|tensor| tensor.data_location = 1),
        "the weights a1 are in another file (external data), which only ONNX Runtime reads"
    );
    assert_eq!(
        tensor(|tensor| tensor.data_type = 11),
        "the weights a1 are float64, a Compact network's float32, float16 or bfloat16"
    );
    assert_eq!(
        tensor(|tensor| tensor.raw_data.truncate(100)),
        "the weights a1 are damaged: 100 bytes where 216 are needed"
    );
    assert_eq!(
        tensor(|tensor| tensor.raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
        "the weights a1 hold a number that is NaN or infinite"
    );
    for dims in [vec![i64::MAX; 4], vec![-1, 3, 3, 3], vec![1 << 40, 1, 3, 3]] {
        let problem = refused("x2.onnx", |graph| graph.initializer[0].dims = dims);
        assert_eq!(
            problem,
            "the dimensions of the weights a1 are damaged or those of more weights than a network has"
        );
    }
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "PRelu").input[1] =
            "input".to_owned()),
        "node PRelu_5 (PRelu) takes its slope from the input"
    );
    assert_eq!(
        refused("x2.onnx", |graph| graph.node[3].input[1] = "v3".to_owned()),
        "node PRelu_10 (PRelu) computes its slope: node Conv_3 (Conv)"
    );
    assert_eq!(
        refused("x2.onnx", |graph| graph.initializer[2].dims = vec![1, 1, 2]),
        "node PRelu_5 (PRelu) has a slope of the shape [1, 1, 2], a Compact network [2, 1, 1] or [1]"
    );
    assert_eq!(
        refused(
            "leaky.onnx",
            set("LeakyRelu", float("alpha", f32::INFINITY))
        ),
        "node LeakyRelu_4 (LeakyRelu) has a slope that is NaN or infinite"
    );
    assert_eq!(
        refused(
            "x2.bf16-weights.onnx",
            set("Cast", int("to", i64::from(data_type::INT32)))
        ),
        "node Cast_2 (Cast) casts weights to int32"
    );
}

#[test]
fn another_pixel_shuffle_is_refused() {
    assert_eq!(
        refused("x2.onnx", set("DepthToSpace", text("mode", "DCR"))),
        "node DepthToSpace_14 (DepthToSpace) has the mode DCR, \
         a Compact network CRD, the order of PyTorch's PixelShuffle"
    );
    assert_eq!(
        refused("x2.onnx", set("DepthToSpace", int("blocksize", 4))),
        "node DepthToSpace_14 (DepthToSpace) shuffles 12 channels by 4, a Compact network 3 · 4 · 4"
    );
    assert_eq!(
        refused(
            "x2.reshaped.onnx",
            set("Transpose", ints("perm", &[0, 1, 2, 4, 3, 5]))
        ),
        "node Transpose_17 (Transpose) has the order [0, 1, 2, 4, 3, 5], a Compact network 0, 1, 4, 2, 5, 3"
    );
    let unclear = "reshapes in a way that does not show the pixel shuffle of a Compact network";
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "DepthToSpace").op_type =
            "Reshape".to_owned()),
        "node Conv_13 (Conv) stands where a Compact network has the transposition of a pixel shuffle"
    );
    let sizes = |dims: &[i64]| {
        let sizes: Vec<u8> = dims.iter().flat_map(|size| size.to_le_bytes()).collect();
        refused("x2.reshaped.onnx", |graph| {
            graph
                .initializer
                .iter_mut()
                .find(|tensor| tensor.dims == [6])
                .unwrap()
                .raw_data = sizes;
        })
    };
    for wrong in [
        [-1, 2, 2, 3, 6, 5],
        [-1, 3, 2, 2, 5, 6],
        [1, 3, 2, 2, -1, -1],
        [1, 3, 2, 2, 0, 5],
    ] {
        assert_eq!(
            sizes(&wrong),
            format!("node Reshape_16 (Reshape) {unclear}"),
            "{wrong:?}"
        );
    }
    // Without fixed sizes of the picture, fixed sizes of the shuffle prove nothing.
    let problem = refused("x2.reshaped.onnx", |graph| {
        let kind = graph.input[0]
            .r#type
            .as_mut()
            .unwrap()
            .tensor_type
            .as_mut()
            .unwrap();
        kind.shape = None;
    });
    assert_eq!(problem, format!("node Reshape_16 (Reshape) {unclear}"));
    let computed = refused("x2.reshaped-computed.onnx", |graph| {
        graph
            .node
            .iter_mut()
            .filter(|node| node.op_type == "Floor")
            .for_each(|node| node.op_type = "Sqrt".to_owned());
    });
    assert!(computed.ends_with(unclear), "{computed}");
}

#[test]
fn another_sum_is_refused() {
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "Add").op_type =
            "Mul".to_owned()),
        "node Add_17 (Mul) stands where a Compact network has the sum with the enlarged picture"
    );
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "Add").input[1] =
            "v14".to_owned()),
        "node Add_17 (Add) does not add the enlarged input, as the last sum of a Compact network does"
    );
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "Add").input[1] =
            "input".to_owned()),
        "node Add_17 (Add) adds a picture enlarged by 1 to one enlarged by 2, a Compact network by the same"
    );
    let resize = |attribute| refused("x2.onnx", set("Resize", attribute));
    let start = "node Resize_16 (Resize) has";
    assert_eq!(
        resize(text("mode", "linear")),
        format!("{start} the mode linear, a Compact network nearest")
    );
    assert_eq!(
        resize(text("coordinate_transformation_mode", "align_corners")),
        format!(
            "{start} coordinate_transformation_mode align_corners and nearest_mode floor, \
             a Compact network a rule that repeats every pixel 2 times"
        )
    );
    for wrong in ["ceil", "round_prefer_ceil"] {
        assert!(
            resize(text("nearest_mode", wrong)).contains("repeats every pixel 2 times"),
            "{wrong}"
        );
    }
    assert!(
        resize(text("coordinate_transformation_mode", "half_pixel"))
            .contains("repeats every pixel 2 times")
    );
    let scales = |scales: [f32; 4]| {
        let data = scales
            .iter()
            .flat_map(|scale| scale.to_le_bytes())
            .collect();
        refused("x2.onnx", |graph| {
            graph.initializer.last_mut().unwrap().raw_data = data;
        })
    };
    assert_eq!(
        scales([1.0, 1.0, 1.5, 1.5]),
        format!("{start} a factor of 1.5, a Compact network 1, 2, 3 or 4")
    );
    assert_eq!(
        scales([1.0, 1.0, 2.0, 3.0]),
        format!(
            "{start} the factors 1, 1, 2, 3, a Compact network the same for height and width, 1 for others"
        )
    );
    assert_eq!(
        scales([1.0, 1.0, 4.0, 4.0]),
        "node Add_17 (Add) adds a picture enlarged by 4 to one enlarged by 2, a Compact network by the same"
    );
    assert_eq!(
        refused("x2.resize-sizes.onnx", |graph| node(graph, "Floor")
            .op_type =
            "Sqrt".to_owned()),
        "node Resize_41 (Resize) computes its result's size in a way that shows no constant factor"
    );
}

#[test]
fn another_resize_of_the_result_is_refused() {
    let resize = |attribute: AttributeProto| {
        refused("x4.cubic-x3.onnx", |graph| {
            let last = graph.node.last_mut().unwrap();
            last.attribute.retain(|other| other.name != attribute.name);
            last.attribute.push(attribute);
        })
    };
    let start = "node Resize_19 (Resize) has";
    assert_eq!(
        resize(text("coordinate_transformation_mode", "asymmetric")),
        format!("{start} coordinate_transformation_mode asymmetric, a Compact network half_pixel")
    );
    assert_eq!(
        resize(int("antialias", 1)),
        format!("{start} antialias, a Compact network no antialias")
    );
    assert_eq!(
        resize(int("exclude_outside", 1)),
        format!("{start} exclude_outside, a Compact network no exclude_outside")
    );
    assert_eq!(
        resize(text("keep_aspect_ratio_policy", "not_larger")),
        format!("{start} keep_aspect_ratio_policy not_larger, a Compact network stretch")
    );
    assert_eq!(
        resize(float("cubic_coeff_a", f32::NAN)),
        format!("{start} a cubic_coeff_a that is NaN or infinite")
    );
    assert_eq!(
        resize(text("mode", "linear")),
        "node Resize_19 (Resize) stands where a Compact network has the sum with the enlarged picture"
    );
    for factor in [0.7f32, 1.0, 2.0, 0.0, -0.5, f32::MAX] {
        let problem = refused("x4.cubic-x3.onnx", |graph| {
            graph.initializer.last_mut().unwrap().raw_data = [1.0, 1.0, factor, factor]
                .iter()
                .flat_map(|scale| scale.to_le_bytes())
                .collect();
        });
        let expected = format!(
            "{start} a factor of {} after an enlargement by 4, a Compact network one that gives a scale from 1 to 3",
            f64::from(factor)
        );
        assert_eq!(problem, expected);
    }
}

#[test]
fn bounds_that_are_none_are_refused() {
    assert_eq!(
        refused("x1.clip-attributes.onnx", set("Clip", float("max", -1.0))),
        "node Clip_15 (Clip) clips to at least 0 and at most -1"
    );
    assert_eq!(
        refused(
            "x1.clip-attributes.onnx",
            set("Clip", float("min", f32::NAN))
        ),
        "node Clip_15 (Clip) clips to at least NaN and at most 1"
    );
    assert_eq!(
        refused("x2.clip.onnx", |graph| node(graph, "Clip").input[1] =
            "v17".to_owned()),
        "node Clip_20 (Clip) computes its min: node Add_17 (Add)"
    );
}

#[test]
fn another_order_of_nodes_is_refused() {
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "PRelu").op_type =
            "Sigmoid".to_owned()),
        "node PRelu_5 (Sigmoid) stands where a Compact network has a PRelu"
    );
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "PRelu").domain =
            "com.example".to_owned()),
        "node PRelu_5 (com.example.PRelu) stands where a Compact network has a PRelu"
    );
    // The second convolution takes the first one's result.
    assert_eq!(
        refused("x2.onnx", |graph| graph.node[2].input[0] = "v3".to_owned()),
        "node Conv_3 (Conv) stands where a Compact network has a PRelu"
    );
    assert_eq!(
        refused("x2.onnx", |graph| graph.node[3].input[0] = "v5".to_owned()),
        "node PRelu_5 (PRelu) stands where a Compact network has a convolution"
    );
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "Conv").input[0] =
            "a1".to_owned()),
        "a constant stands where a Compact network has an activation"
    );
    assert_eq!(
        refused("x2.onnx", |graph| node(graph, "PRelu").input[0] =
            "input".to_owned()),
        "the input stands where a Compact network has a convolution"
    );
    assert_eq!(
        refused("x2.onnx", |graph| {
            // One convolution from 3 to 12 channels.
            let weights: Vec<u8> = [0; 4 * 12 * 3 * 9].to_vec();
            let last = graph
                .node
                .iter_mut()
                .rfind(|node| node.op_type == "Conv")
                .unwrap();
            last.input[0] = "input".to_owned();
            let name = last.input[1].clone();
            let tensor = graph
                .initializer
                .iter_mut()
                .find(|tensor| tensor.name == name)
                .unwrap();
            (tensor.dims, tensor.raw_data) = (vec![12, 3, 3, 3], weights);
        }),
        "the network has one convolution, a Compact network at least two"
    );
    assert_eq!(
        refused("x2.onnx", |graph| {
            let node = node(graph, "Add");
            (node.op_type, node.name) = ("Sub".to_owned(), String::new());
        }),
        "the unnamed node of value output (Sub) stands where a Compact network has the sum with the enlarged picture"
    );
}

#[test]
fn another_interface_is_refused() {
    let more = ValueInfoProto {
        name: "noise".to_owned(),
        r#type: None,
    };
    assert_eq!(
        refused("x2.onnx", |graph| graph.input.push(more.clone())),
        "the network takes 2 inputs, a Compact network one picture"
    );
    assert_eq!(
        refused("x2.onnx", |graph| graph.input.clear()),
        "the network takes 0 inputs, a Compact network one picture"
    );
    assert_eq!(
        refused("x2.onnx", |graph| graph.output.push(more)),
        "the network gives 2 results, a Compact network one"
    );
    let kind = |change: fn(&mut proto::TensorTypeProto)| {
        refused("x2.onnx", |graph| {
            change(
                graph.input[0]
                    .r#type
                    .as_mut()
                    .unwrap()
                    .tensor_type
                    .as_mut()
                    .unwrap(),
            );
        })
    };
    assert_eq!(
        kind(|kind| kind.elem_type = 2),
        "the network takes uint8, a Compact network floats"
    );
    assert_eq!(
        kind(|kind| kind.shape.as_mut().unwrap().dim.truncate(3)),
        "the network takes 3 dimensions, a Compact network 4: batch, channels, height, width"
    );
    assert_eq!(
        kind(|kind| kind.shape.as_mut().unwrap().dim[1].dim_value = Some(1)),
        "the network takes 1 channels, a Compact network 3"
    );
    let mut old = decode("x2.onnx");
    old.opset_import = vec![OperatorSetIdProto {
        domain: String::new(),
        version: 6,
    }];
    let sentence = "the file uses version 6 of ONNX's operators, the oldest that is read is 7";
    assert_eq!(
        read(&old.encode_to_vec()),
        Err(NotCompact(sentence.to_owned()))
    );
}

#[test]
fn a_graph_in_disorder_is_damaged() {
    assert_eq!(
        refused("x2.onnx", |graph| graph.node.swap(0, 1)),
        "the ONNX file is damaged: node PRelu_5 (PRelu) uses v3, which nothing before it gives"
    );
    assert_eq!(
        refused("x2.onnx", |graph| graph.node[1].output[0] = "v3".to_owned()),
        "the ONNX file is damaged: node PRelu_5 (PRelu) gives v3, which exists already"
    );
    // A ring would be walked for ever.
    assert_eq!(
        refused("x2.identities.onnx", |graph| {
            let ring = graph.node.last_mut().unwrap();
            ring.input = ring.output.clone();
        }),
        "the ONNX file is damaged: node Identity_21 (Identity) uses output, which nothing before it gives"
    );
    assert_eq!(
        refused("x2.onnx", |graph| graph.output[0].name =
            "elsewhere".to_owned()),
        "the ONNX file is damaged: nothing gives its result"
    );
}

#[test]
fn names_in_messages_are_fit_for_a_terminal() {
    let problem = refused("x2.onnx", |graph| {
        let node = node(graph, "Add");
        (node.op_type, node.name) = ("\x1b[2J".to_owned(), "n".repeat(5000));
    });
    assert!(
        problem.len() < 300 && !problem.contains('\x1b'),
        "{problem}"
    );
}

#[test]
fn the_same_weights_named_many_times_are_not_read_many_times() {
    let mut model = decode("x2.onnx");
    let graph = model.graph.as_mut().unwrap();
    let (conv, act) = (graph.node[2].clone(), graph.node[3].clone());
    // A chain of 300 convolutions between the second and the third.
    let mut value = graph.node[3].output[0].clone();
    for i in 0..300 {
        let (mut conv, mut act) = (conv.clone(), act.clone());
        (conv.input[0], conv.output[0]) = (value, format!("c{i}"));
        value = format!("p{i}");
        (act.input[0], act.output[0]) = (format!("c{i}"), value.clone());
        graph.node.splice(4 + 2 * i..4 + 2 * i, [conv, act]);
    }
    graph.node[604].input[0] = value;
    let sentence =
        "the network has more than 256 convolutions or 67108864 weights, no Compact network has";
    assert_eq!(
        read(&model.encode_to_vec()),
        Err(NotCompact(sentence.to_owned()))
    );
}
