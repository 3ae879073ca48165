//! How far a network looks around: which pixels of the picture a pixel of the result depends on, read off the graph.
//!
//! The nodes are gone through once, in order. For each value that depends on the picture it is kept what each of its
//! positions depends on ([`Axis`]), for rows and columns; `operators.rs` says what the operators make of that. Whatever
//! is not certain – an operator that is not known, sizes that are computed, a shape that is not a picture's – has an
//! unlimited reach, and so has what follows from it. The sentence that comes out names the operator.
//!
//! This is for the engine `ort`, which runs any graph. It stands here because it reads the same messages.

mod axis;
mod operators;
mod resize;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;

use prost::Message;

use super::graph::Graph;
use super::proto::{ModelProto, NodeProto};
use super::sizes::{Size, Sizes};
use crate::native::network::{NotCompact, readable};
use axis::Axis;

/// What has to be run for a part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Pixels around a pixel on which its result depends.
    pub(crate) pixels: usize,
    /// A crop begins, and ends inside the picture, at multiples of so many pixels; then strides fall into step with
    /// those of the whole picture.
    pub(crate) period: usize,
}

/// A larger reach is not worth the while: little is left outside of it.
const FARTHEST: i64 = 1024;

/// Finds the reach of the network in an `.onnx` file, whose result is `scale` times its picture.
///
/// # Errors
/// Why parts of a picture cannot be computed alone, in words: lowercase, without a full stop.
pub(crate) fn reach(bytes: &[u8], scale: u32) -> Result<Reach, String> {
    let model =
        ModelProto::decode(bytes).map_err(|cause| format!("its graph is damaged: {cause}"))?;
    let graph = Graph::new(&model).map_err(|NotCompact(why)| why)?;
    match Walk::new(&graph).value(graph.output) {
        Value::Picture(axes) => {
            let [rows, columns] = &**axes;
            let scale = i64::from(scale);
            let pixels = rows.reach(scale).zip(columns.reach(scale));
            let pixels = pixels.map(|(rows, columns)| rows.max(columns));
            let pixels = pixels.ok_or("its result is not in step with the picture")?;
            if pixels > FARTHEST {
                return Err(format!("it looks {pixels} pixels around"));
            }
            Ok(Reach {
                pixels: pixels as usize,
                period: lcm(rows.period() as usize, columns.period() as usize),
            })
        }
        Value::Constant(_) => Err("its result does not depend on the picture".to_owned()),
        Value::Unlimited(why) => Err(why.to_string()),
    }
}

/// What is known of a value.
#[derive(Debug, Clone)]
enum Value {
    /// Four dimensions, of which the rows and columns are these.
    Picture(Rc<[Axis; 2]>),
    /// The same for every picture; its dimensions if they are known.
    Constant(Option<Vec<i64>>),
    /// Depends on all of the picture, or it is not known on what, and why.
    Unlimited(Rc<str>),
}

/// What is known of the values of a graph, up to a node.
struct Walk<'a> {
    graph: &'a Graph<'a>,
    sizes: Sizes<'a>,
    values: HashMap<&'a str, Value>,
    unknown: Value,
}

impl<'a> Walk<'a> {
    /// Goes through all nodes.
    fn new(graph: &'a Graph<'a>) -> Self {
        let input = Rc::new([Axis::input(), Axis::input()]);
        let constants = graph.initializers.iter();
        let constants =
            constants.map(|(&name, tensor)| (name, Value::Constant(Some(tensor.dims.clone()))));
        let mut walk = Self {
            graph,
            sizes: Sizes::new(graph),
            values: constants.collect(),
            unknown: Value::Unlimited("its graph is in disorder".into()),
        };
        walk.values.insert(graph.input, Value::Picture(input));
        for node in graph.nodes {
            let value = walk
                .node(node)
                .unwrap_or_else(|why| Value::Unlimited(why.into()));
            let mut outputs = node.output.iter();
            if let Some(first) = outputs.next() {
                walk.values.insert(first, value.clone());
            }
            for other in outputs {
                let value = match node.operator() {
                    "Split" => value.clone(),
                    _ => Value::Unlimited(unknown(node).into()),
                };
                walk.values.insert(other, value);
            }
        }
        walk
    }

    fn value(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or(&self.unknown)
    }

    /// The picture that a node takes as its first input.
    fn picture(&self, node: &NodeProto) -> Result<&Rc<[Axis; 2]>, String> {
        match self.value(node.input(0)) {
            Value::Picture(axes) => Ok(axes),
            Value::Unlimited(why) => Err(why.to_string()),
            Value::Constant(_) => Err(unknown(node)),
        }
    }

    /// The same constant for each pixel of a picture: a number, or one for each channel.
    fn is_the_same_everywhere(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Constant(Some(dims)) => {
                dims.len() <= 4 && dims.iter().rev().take(2).all(|&size| size == 1)
            }
            _ => false,
        }
    }

    /// What a node makes of several values that it joins position by position.
    fn elementwise(&self, node: &NodeProto) -> Result<Value, String> {
        let mut joined: Option<Rc<[Axis; 2]>> = None;
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            match self.value(name) {
                Value::Picture(axes) => {
                    joined = Some(match joined {
                        None => Rc::clone(axes),
                        Some(before) => {
                            let [rows, columns] = [0, 1]
                                .map(|i| before[i].joined(&axes[i]).ok_or_else(|| unknown(node)));
                            Rc::new([rows?, columns?])
                        }
                    });
                }
                Value::Constant(_) if self.is_the_same_everywhere(name) => {}
                Value::Constant(_) => return Err(unknown(node)),
                Value::Unlimited(why) => return Err(why.to_string()),
            }
        }
        joined.map(Value::Picture).ok_or_else(|| unknown(node))
    }

    /// What a node gives that takes nothing but constants: a constant, unless the operator makes something up.
    fn constant(&self, node: &NodeProto) -> Option<Value> {
        if node.operator() == "Constant" {
            let attribute = node.attribute.first()?;
            let dims = match attribute.name.as_str() {
                "value" => attribute.t.as_ref()?.dims.clone(),
                "value_float" | "value_int" => Vec::new(),
                "value_floats" => vec![attribute.floats.len() as i64],
                "value_ints" => vec![attribute.ints.len() as i64],
                _ => return None,
            };
            return Some(Value::Constant(Some(dims)));
        }
        let mut inputs = node.input.iter().filter(|name| !name.is_empty());
        let constants = inputs.all(|name| matches!(self.value(name), Value::Constant(_)));
        if node.input.is_empty() || !constants {
            return None;
        }
        let Value::Constant(dims) = self.value(node.input(0)) else {
            return None;
        };
        match node.operator() {
            "DequantizeLinear" => Some(Value::Constant(dims.clone())),
            "Unsqueeze" => Some(Value::Constant(
                dims.as_ref().and_then(|dims| self.unsqueezed(node, dims)),
            )),
            operator if operators::is_unary(operator) => Some(Value::Constant(dims.clone())),
            "Squeeze" | "Reshape" | "Transpose" | "Concat" | "Slice" | "Gather" | "Expand"
            | "Tile" | "ConstantOfShape" | "Range" => Some(Value::Constant(None)),
            operator if operators::is_elementwise(operator) => Some(Value::Constant(None)),
            _ => None,
        }
    }

    /// Dimensions with those of 1 that an `Unsqueeze` adds.
    fn unsqueezed(&self, node: &NodeProto, dims: &[i64]) -> Option<Vec<i64>> {
        let mut axes = self.numbers(node, 1, "axes")?;
        let rank = (dims.len() + axes.len()) as i64;
        for axis in &mut axes {
            *axis += if *axis < 0 { rank } else { 0 };
        }
        axes.sort_unstable();
        let mut dims = dims.to_vec();
        for axis in axes {
            let axis = usize::try_from(axis)
                .ok()
                .filter(|&axis| axis <= dims.len())?;
            dims.insert(axis, 1);
        }
        Some(dims)
    }

    /// A short list of whole numbers that does not depend on the picture: an input of the node, or for older files an
    /// attribute.
    fn numbers(&self, node: &NodeProto, index: usize, name: &str) -> Option<Vec<i64>> {
        if let Some(attribute) = node.attribute(name) {
            return Some(attribute.ints.clone());
        }
        let number = |&size: &Size| match size {
            Size::Number(number) => Some(number as i64),
            _ => None,
        };
        self.sizes
            .list(node.input(index))?
            .iter()
            .map(number)
            .collect()
    }
}

/// The sentence for a node whose result depends on more than what is around a pixel, or on nobody knows what.
fn unknown(node: &NodeProto) -> String {
    let domain = match node.operator() {
        "" if !node.domain.is_empty() => readable(&node.domain) + ".",
        _ => String::new(),
    };
    let operator = domain + &readable(&node.op_type);
    if operators::is_global(node.operator()) {
        format!("{operator} looks at all of it")
    } else {
        format!("how far {operator} looks is not known here")
    }
}

/// The least common multiple of two positive numbers.
pub(crate) fn lcm(a: usize, b: usize) -> usize {
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    a / divisor * b
}
