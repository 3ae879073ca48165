//! What an `.onnx` file says of itself: its metadata, which operations it has, and whether it prepares the colours itself.

use std::collections::{HashMap, HashSet};

use prost::Message;

use crate::native::onnx::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::native::onnx::tensor::small;

/// What helps to recognise a detector.
#[derive(Debug, Default)]
pub(super) struct Facts {
    metadata: HashMap<String, String>,
    operators: HashSet<String>,
    /// The file begins with arithmetic on colours.
    pub(super) baked: Option<Baked>,
}

/// Arithmetic on the input with one number, or one for each colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Baked {
    /// The operations, such as `Sub, Div`.
    pub(super) operators: String,
    /// Its constants are those of values from 0 to 255.
    pub(super) bytes: bool,
}

impl Facts {
    /// Reads `file`.
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        let model = ModelProto::decode(file)
            .map_err(|cause| format!("not an ONNX file, or damaged: {cause}"))?;
        let graph = model.graph.ok_or("not an ONNX file: it holds no graph")?;
        Ok(Self {
            metadata: model
                .metadata_props
                .into_iter()
                .map(|entry| (entry.key, entry.value))
                .collect(),
            operators: graph.node.iter().map(|node| node.op_type.clone()).collect(),
            baked: baked(&graph),
        })
    }

    /// The value of a metadata key.
    pub(super) fn said(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// True where the graph has such a node.
    pub(super) fn has(&self, operator: &str) -> bool {
        self.operators.contains(operator)
    }
}

/// Arithmetic between the first input and the first layer.
fn baked(graph: &GraphProto) -> Option<Baked> {
    let mut constants: HashMap<&str, &TensorProto> = HashMap::new();
    for tensor in &graph.initializer {
        constants.insert(&tensor.name, tensor);
    }
    for node in graph.node.iter().filter(|node| node.op_type == "Constant") {
        let value = node.attribute.iter().find(|a| a.name == "value");
        if let (Some(name), Some(tensor)) =
            (node.output.first(), value.and_then(|a| a.t.as_deref()))
        {
            constants.insert(name, tensor);
        }
    }
    let picture = |input: &str| !constants.contains_key(input);
    let mut value = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .find(|name| picture(name))?;
    let mut found: Option<Baked> = None;
    // Each step goes to a later node, so there are at most as many as nodes.
    for _ in 0..graph.node.len() {
        let mut users = graph
            .node
            .iter()
            .filter(|node| node.input.iter().any(|input| input == value));
        let (Some(user), None) = (users.next(), users.next()) else {
            break;
        };
        match user.op_type.as_str() {
            "Identity" | "Cast" | "Transpose" => {}
            "Sub" | "Div" | "Mul" | "Add" => {
                let Some(numbers) = constant(user, value, &constants) else {
                    break;
                };
                let baked = found.get_or_insert_with(|| Baked {
                    operators: String::new(),
                    bytes: false,
                });
                baked.operators += if baked.operators.is_empty() { "" } else { ", " };
                baked.operators += &user.op_type;
                // Means and deviations of values from 0 to 1 are below 1.
                let largest = numbers
                    .iter()
                    .fold(0f64, |most, number| most.max(number.abs()));
                baked.bytes |= match user.op_type.as_str() {
                    "Mul" => largest < 0.1,
                    _ => largest > 2.0,
                };
            }
            _ => break,
        }
        let Some(output) = user.output.first() else {
            break;
        };
        value = output;
    }
    found
}

/// The one number or the three that `node` takes beside `value`.
fn constant(
    node: &NodeProto,
    value: &str,
    constants: &HashMap<&str, &TensorProto>,
) -> Option<Vec<f64>> {
    let other = node.input.iter().find(|input| *input != value)?;
    let numbers = small(constants.get(other.as_str())?)?;
    matches!(numbers.len(), 1 | 3).then_some(numbers)
}
