//! How much memory a network's activations take for each pixel of its picture, read off the graph.
//!
//! For each value it is followed how many numbers it holds for one pixel of the picture: channels, times result pixels for
//! each. A convolution tells its channels by its weights, a reshape changes nothing. At each node the values count that a
//! later node still reads; the largest sum is what ONNX Runtime holds at once, but for what its allocator rounds up.
//!
//! An estimate: where an operator is not understood its result counts as large as its largest input. Invariant: a weight or
//! a factor that the file states is never left out, so that no file makes itself look small by stating large ones.

use std::collections::HashMap;

use prost::Message;

use super::graph::Graph;
use super::proto::{ModelProto, NodeProto, TensorProto, data_type};

/// What ONNX Runtime's allocator takes over what is in use (measured with 1.31 on a network of 64 channels).
const ROUNDED_UP: f64 = 2.5;

/// Numbers that count at least: five layers of 64 channels are alive at once, whatever the graph looks like.
const LEAST_NUMBERS: f64 = 2.0 * 64.0;

/// What a network takes beside its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Activations {
    /// Bytes for each pixel of the picture.
    pub(crate) bytes_per_pixel: u64,
    /// Bytes of constants that the graph makes by stating a shape, which takes a few bytes of the file.
    pub(crate) constant_bytes: u64,
}

/// Reads them off a file; none where it has no sound graph of one picture.
pub(crate) fn activations(bytes: &[u8]) -> Option<Activations> {
    let model = ModelProto::decode(bytes).ok()?;
    let graph = Graph::new(&model).ok()?;
    let numbers = most_alive(&graph).max(LEAST_NUMBERS);
    Some(Activations {
        bytes_per_pixel: (ROUNDED_UP * numbers * size_of::<f32>() as f64) as u64,
        constant_bytes: (made_up(&graph) * size_of::<f32>() as f64) as u64,
    })
}

/// Numbers of all constants that are made by their shape.
fn made_up(graph: &Graph) -> f64 {
    let numbers = |node: &NodeProto| match node.operator() {
        "ConstantOfShape" => stated(graph, node.input(0)).map(product),
        "Expand" | "Tile" => {
            let repeated = stated(graph, node.input(0))?;
            let dims = repeated.dims.iter().map(|&dim| dim.max(1) as f64);
            let of_source = dims.product::<f64>();
            stated(graph, node.input(1)).map(|shape| of_source * product(shape))
        }
        _ => None,
    };
    graph.nodes.iter().filter_map(numbers).sum()
}

/// The constant `value`, as the file has it: what a cast or a scale makes of it has its dimensions.
fn stated<'a>(graph: &Graph<'a>, value: &str) -> Option<&'a TensorProto> {
    let mut value = value;
    loop {
        if let Some(tensor) = graph.initializers.get(value) {
            return Some(tensor);
        }
        // Every node uses only what stands before it, so this ends.
        let node = graph.direct_producer(value)?;
        match node.operator() {
            "Constant" => return node.attribute("value")?.t.as_deref(),
            "Identity" | "Cast" | "DequantizeLinear" => value = node.input(0),
            _ => return None,
        }
    }
}

/// The largest sum of numbers of a pixel that are alive at once.
fn most_alive(graph: &Graph) -> f64 {
    let mut last_use: HashMap<&str, usize> = HashMap::new();
    for (place, node) in graph.nodes.iter().enumerate() {
        last_use.extend(node.input.iter().map(|name| (name.as_str(), place)));
    }
    last_use.insert(graph.output, usize::MAX);
    let mut numbers: HashMap<&str, f64> = HashMap::from([(graph.input, 3.0)]);
    let (mut alive, mut most) = (3.0, 3.0_f64);
    for (place, node) in graph.nodes.iter().enumerate() {
        let found = result(graph, node, &numbers);
        for name in &node.output {
            alive += found;
            numbers.insert(name, found);
        }
        most = most.max(alive);
        let read = node.input.iter().chain(&node.output).map(String::as_str);
        for name in read {
            let ends = last_use.get(name).is_none_or(|&last| last == place);
            if ends && let Some(found) = numbers.remove(name) {
                alive -= found;
            }
        }
    }
    most
}

/// Numbers of a node's result for each pixel of the picture; 0 for what does not depend on it.
fn result(graph: &Graph, node: &NodeProto, numbers: &HashMap<&str, f64>) -> f64 {
    let of = |name: &String| numbers.get(name.as_str()).copied().unwrap_or(0.0);
    let largest = node.input.iter().map(of).fold(0.0, f64::max);
    if largest == 0.0 {
        return 0.0;
    }
    let first = node.input.first().map_or(0.0, of);
    let dims = |index: usize| {
        let tensor = stated(graph, node.input(index))?;
        let dims = tensor.dims.iter().map(|&dim| dim.max(1) as f64);
        Some(dims.collect::<Vec<f64>>())
    };
    let strides = |default: &[i64]| {
        let strides = node.ints("strides");
        let strides = if strides.is_empty() { default } else { strides };
        strides
            .iter()
            .map(|&stride| stride.max(1) as f64)
            .product::<f64>()
    };
    let groups = node.int("group", 1).max(1) as f64;
    match (node.operator(), dims(1).as_deref()) {
        ("Conv", Some([outputs, inputs, ..])) => first / (inputs * groups) * outputs / strides(&[]),
        ("ConvTranspose", Some([inputs, outputs, ..])) => {
            first / inputs * outputs * groups * strides(&[])
        }
        ("MatMul" | "Gemm", Some([rows, columns])) => {
            let (inputs, outputs) = match node.int("transB", 0) {
                0 => (rows, columns),
                _ => (columns, rows),
            };
            first / inputs * outputs
        }
        ("MaxPool" | "AveragePool" | "LpPool", _) => first / strides(&[]),
        ("Concat", _) => node.input.iter().map(of).sum(),
        ("Resize", _) => first * factor(graph, node, 2),
        ("Upsample", _) => first * factor(graph, node, 1),
        ("Tile" | "Expand", _) => first * factor(graph, node, 1).max(1.0),
        _ => largest,
    }
}

/// The product of the factors, or sizes, that an input of a node states; 4 where they are computed.
fn factor(graph: &Graph, node: &NodeProto, index: usize) -> f64 {
    stated(graph, node.input(index)).map_or(4.0, product)
}

/// The product of a list of factors or sizes; those that are no number above 0 stand for "as it is" and count as 1.
fn product(tensor: &TensorProto) -> f64 {
    let raw = &tensor.raw_data;
    let list: Vec<f64> = match tensor.data_type {
        data_type::FLOAT if raw.is_empty() => tensor
            .float_data
            .iter()
            .map(|&number| f64::from(number))
            .collect(),
        data_type::FLOAT => {
            let numbers = raw.as_chunks().0.iter();
            numbers
                .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
                .collect()
        }
        _ if raw.is_empty() => tensor
            .int64_data
            .iter()
            .map(|&number| number as f64)
            .collect(),
        _ => {
            let numbers = raw.as_chunks().0.iter();
            numbers
                .map(|&bytes| i64::from_le_bytes(bytes) as f64)
                .collect()
        }
    };
    let factors = list.into_iter().filter(|&number| number > 0.0);
    factors.product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::onnx::proto::{
        AttributeProto, GraphProto, OperatorSetIdProto, ValueInfoProto,
    };

    fn tensor(name: &str, dims: &[i64]) -> TensorProto {
        TensorProto {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data_type: data_type::FLOAT,
            ..TensorProto::default()
        }
    }

    fn node(
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, &[i64])],
    ) -> NodeProto {
        let attribute = |&(name, ints): &(&str, &[i64])| AttributeProto {
            name: name.to_owned(),
            ints: ints.to_vec(),
            i: ints.first().copied().unwrap_or(0),
            ..AttributeProto::default()
        };
        NodeProto {
            op_type: operator.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes.iter().map(attribute).collect(),
            ..NodeProto::default()
        }
    }

    /// The numbers of a graph of these nodes from `in` to `out`.
    fn numbers(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> f64 {
        most_alive(&Graph::new(&model(nodes, initializers)).unwrap())
    }

    fn model(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> ModelProto {
        let value = |name: &str| ValueInfoProto {
            name: name.to_owned(),
            r#type: None,
        };
        ModelProto {
            graph: Some(GraphProto {
                node: nodes,
                initializer: initializers,
                input: vec![value("in")],
                output: vec![value("out")],
                ..GraphProto::default()
            }),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 17,
            }],
            ..ModelProto::default()
        }
    }

    #[test]
    fn weights_made_of_a_shape_count_with_all_their_numbers() {
        let nodes = vec![
            node("ConstantOfShape", &["shape"], "w", &[]),
            node("Conv", &["in", "w"], "out", &[]),
        ];
        let mut shape = tensor("shape", &[4]);
        shape.data_type = data_type::INT64;
        shape.int64_data = vec![1 << 20, 3, 3, 3];
        let model = model(nodes, vec![shape]);
        let found = activations(&model.encode_to_vec()).unwrap();
        assert_eq!(found.constant_bytes, 27 << 22);
    }

    #[test]
    fn convolutions_count_by_their_weights_and_shuffles_keep_what_there_is() {
        let nodes = vec![
            node("Conv", &["in", "wide"], "a", &[]),
            node("Conv", &["a", "narrow"], "b", &[]),
            node("DepthToSpace", &["b"], "c", &[("blocksize", &[2])]),
            // At twice the size: 16 channels on 4 pixels.
            node("Conv", &["c", "large"], "out", &[]),
        ];
        let wide = tensor("wide", &[1000, 3, 3, 3]);
        let narrow = tensor("narrow", &[12, 1000, 3, 3]);
        let large = tensor("large", &[16, 3, 3, 3]);
        assert!((numbers(nodes, vec![wide, narrow, large]) - 1012.0).abs() < 1e-9);
    }

    #[test]
    fn strides_make_less_and_factors_more() {
        let nodes = vec![
            node("Conv", &["in", "down"], "a", &[("strides", &[2, 2])]),
            node("Resize", &["a", "", "factors"], "b", &[]),
            node("Conv", &["b", "up"], "out", &[]),
        ];
        let mut factors = tensor("factors", &[4]);
        factors.float_data = vec![1.0, 1.0, 100.0, 100.0];
        let (down, up) = (tensor("down", &[8, 3, 3, 3]), tensor("up", &[3, 8, 3, 3]));
        // 8 channels on a quarter of the pixels, 10,000 times as many of them, and 3 channels of those.
        assert!((numbers(nodes, vec![factors, down, up]) - (20_000.0 + 7500.0)).abs() < 1e-6);
    }

    #[test]
    fn what_is_still_read_counts_and_what_is_not_does_not() {
        let chain = |long: bool| {
            let mut nodes = vec![node("Conv", &["in", "w"], "first", &[])];
            nodes.push(node("Conv", &["first", "v"], "a", &[]));
            nodes.push(node("Conv", &["a", "v"], "b", &[]));
            nodes.push(node(
                "Concat",
                &["b", if long { "first" } else { "b" }],
                "c",
                &[],
            ));
            nodes.push(node("Conv", &["c", "u"], "out", &[]));
            let (w, v) = (tensor("w", &[10, 3, 3, 3]), tensor("v", &[10, 10, 3, 3]));
            numbers(nodes, vec![w, v, tensor("u", &[3, 20, 3, 3])])
        };
        assert!((chain(true) - 40.0).abs() < 1e-9);
        assert!((chain(false) - 30.0).abs() < 1e-9);
    }
}
