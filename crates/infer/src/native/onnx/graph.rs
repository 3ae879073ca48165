//! A graph that has been found sound: what gives each value, and the attributes of a node by name.

use std::collections::HashMap;

use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, data_type,
};
use crate::native::network::{NotCompact, readable};

/// The graph of a file. Every node in it uses only what stands before it, so walking from a node to what it uses ends.
pub(super) struct Graph<'a> {
    pub(super) nodes: &'a [NodeProto],
    pub(super) initializers: HashMap<&'a str, &'a TensorProto>,
    /// The picture.
    pub(super) input: &'a str,
    /// Sizes of the picture that the file fixes, in the order of its axes; a batch that is not fixed counts as 1.
    pub(super) fixed: [Option<f64>; 4],
    pub(super) output: &'a str,
    /// Version of ONNX's own operators.
    pub(super) opset: i64,
    producers: HashMap<&'a str, &'a NodeProto>,
}

impl<'a> Graph<'a> {
    /// Finds the one picture that goes in and the one that comes out.
    pub(super) fn new(model: &'a ModelProto) -> Result<Self, NotCompact> {
        let graph = model
            .graph
            .as_ref()
            .ok_or_else(|| refusal("not an ONNX file: it holds no graph"))?;
        let opset = model
            .opset_import
            .iter()
            .find(|set| is_default_domain(&set.domain))
            .map_or(1, |set| set.version);
        if opset < 7 {
            return Err(refusal(format!(
                "the file uses version {opset} of ONNX's operators, the oldest that is read is 7"
            )));
        }
        let initializers: HashMap<_, _> = graph
            .initializer
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect();
        let inputs: Vec<_> = graph
            .input
            .iter()
            .filter(|input| !initializers.contains_key(input.name.as_str()))
            .collect();
        let [input] = inputs.as_slice() else {
            return Err(refusal(format!(
                "the network takes {} inputs, a Compact network one picture",
                inputs.len()
            )));
        };
        let [output] = graph.output.as_slice() else {
            return Err(refusal(format!(
                "the network gives {} results, a Compact network one",
                graph.output.len()
            )));
        };
        let fixed = declared(input)?;
        let producers = producers(graph, &input.name)?;
        Ok(Self {
            nodes: &graph.node,
            initializers,
            input: &input.name,
            fixed,
            output: &output.name,
            opset,
            producers,
        })
    }

    /// The value that `value` is a copy of: what stands before nodes that pass it on or only change its float format.
    pub(super) fn source(&self, value: &'a str) -> &'a str {
        let mut value = value;
        while let Some(node) = self.producers.get(value).filter(|node| passes_on(node)) {
            value = node.input(0);
        }
        value
    }

    /// The node that gives `value`.
    pub(super) fn direct_producer(&self, value: &str) -> Option<&'a NodeProto> {
        self.producers.get(value).copied()
    }

    /// The node that computes `value`, or an error that says what would stand there in a Compact network.
    pub(super) fn producer(
        &self,
        value: &'a str,
        expected: &str,
    ) -> Result<&'a NodeProto, NotCompact> {
        let source = self.source(value);
        self.producers.get(source).copied().ok_or_else(|| {
            let found = if source == self.input {
                "the input"
            } else {
                "a constant"
            };
            refusal(format!(
                "{found} stands where a Compact network has {expected}"
            ))
        })
    }
}

/// Identity, and casts between float formats: computing in f32 throughout is at least as exact.
fn passes_on(node: &NodeProto) -> bool {
    match node.operator() {
        "Identity" => true,
        "Cast" => is_float(node.int("to", 0)),
        _ => false,
    }
}

fn is_float(element: i64) -> bool {
    [data_type::FLOAT, data_type::FLOAT16, data_type::BFLOAT16]
        .iter()
        .any(|&float| i64::from(float) == element)
}

fn is_default_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Which sizes the file fixes of its picture; it has to be floats in the order N, C, H, W with 3 channels.
fn declared(input: &ValueInfoProto) -> Result<[Option<f64>; 4], NotCompact> {
    let kind = input
        .r#type
        .as_ref()
        .and_then(|kind| kind.tensor_type.as_ref());
    let mut fixed = [None; 4];
    if let Some(kind) = kind {
        if !is_float(kind.elem_type.into()) {
            return Err(refusal(format!(
                "the network takes {}, a Compact network floats",
                data_type::name(kind.elem_type)
            )));
        }
        if let Some(shape) = &kind.shape {
            if shape.dim.len() != 4 {
                return Err(refusal(format!(
                    "the network takes {} dimensions, a Compact network 4: batch, channels, height, width",
                    shape.dim.len()
                )));
            }
            for (fixed, dimension) in fixed.iter_mut().zip(&shape.dim) {
                *fixed = dimension
                    .dim_value
                    .filter(|&size| size > 0)
                    .map(|size| size as f64);
            }
        }
    }
    #[expect(clippy::float_cmp, reason = "whole numbers")]
    if let Some(channels) = fixed[1].filter(|&channels| channels != 3.0) {
        return Err(refusal(format!(
            "the network takes {channels} channels, a Compact network 3"
        )));
    }
    fixed[0] = fixed[0].or(Some(1.0));
    Ok(fixed)
}

/// Which node gives which value. Checks that the nodes stand in the order of computation, as the format demands.
fn producers<'a>(
    graph: &'a GraphProto,
    input: &'a str,
) -> Result<HashMap<&'a str, &'a NodeProto>, NotCompact> {
    let mut known: HashMap<&str, Option<&NodeProto>> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), None))
        .collect();
    known.insert(input, None);
    let damaged = |node: &NodeProto, verb: &str, value: &str, problem: &str| {
        refusal(format!(
            "the ONNX file is damaged: {} {verb} {}, which {problem}",
            node.describe(),
            readable(value)
        ))
    };
    for node in &graph.node {
        if let Some(missing) = node
            .input
            .iter()
            .find(|value| !value.is_empty() && !known.contains_key(value.as_str()))
        {
            return Err(damaged(node, "uses", missing, "nothing before it gives"));
        }
        for value in node.output.iter().filter(|value| !value.is_empty()) {
            if known.insert(value, Some(node)).is_some() {
                return Err(damaged(node, "gives", value, "exists already"));
            }
        }
    }
    if !graph
        .output
        .iter()
        .all(|output| known.contains_key(output.name.as_str()))
    {
        return Err(refusal(
            "the ONNX file is damaged: nothing gives its result",
        ));
    }
    Ok(known
        .into_iter()
        .filter_map(|(value, node)| Some((value, node?)))
        .collect())
}

impl NodeProto {
    /// The name of ONNX's own operator; empty for one of another domain.
    pub(super) fn operator(&self) -> &str {
        if is_default_domain(&self.domain) {
            &self.op_type
        } else {
            ""
        }
    }

    /// Name of an input; empty where it is left out.
    pub(super) fn input(&self, index: usize) -> &str {
        self.input.get(index).map_or("", String::as_str)
    }

    /// For messages.
    pub(super) fn describe(&self) -> String {
        let domain = if is_default_domain(&self.domain) {
            String::new()
        } else {
            readable(&self.domain) + "."
        };
        let operator = domain + &readable(&self.op_type);
        match (self.name.as_str(), self.output.first()) {
            ("", Some(output)) => format!(
                "the unnamed node of value {} ({operator})",
                readable(output)
            ),
            ("", None) => format!("an unnamed node ({operator})"),
            (name, _) => format!("node {} ({operator})", readable(name)),
        }
    }

    /// "node `Conv_3` (Conv) has 3 groups, a Compact network 1".
    pub(super) fn unlike(
        &self,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> NotCompact {
        refusal(format!(
            "{} has {found}, a Compact network {expected}",
            self.describe()
        ))
    }

    /// An error about this node.
    pub(super) fn fault(&self, problem: impl std::fmt::Display) -> NotCompact {
        refusal(format!("{} {problem}", self.describe()))
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute
            .iter()
            .find(|attribute| attribute.name == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.f)
    }

    /// Empty without the attribute.
    pub(super) fn ints(&self, name: &str) -> &[i64] {
        self.attribute(name)
            .map_or(&[], |attribute| &attribute.ints)
    }

    pub(super) fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        // A mode that is no UTF-8 is none that we know.
        self.attribute(name).map_or(default, |attribute| {
            std::str::from_utf8(&attribute.s).unwrap_or("?")
        })
    }
}

pub(super) fn refusal(problem: impl Into<String>) -> NotCompact {
    NotCompact(problem.into())
}
