//! What a graph computes from the sizes of its picture.
//!
//! Exporters often write a constant factor as a computation: `Shape` of the picture, two of its numbers times 4,
//! joined with the other two. Following such numbers from the picture on shows the factor again. Whatever is not
//! understood is unknown, and what follows from it too.

use std::collections::HashMap;

use super::graph::Graph;
use super::proto::NodeProto;
use super::tensor;

/// One number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    Number(f64),
    /// A size of the picture, by its axis in N, C, H, W, times a factor.
    Of {
        axis: usize,
        times: f64,
    },
    Unknown,
}

/// The picture itself; its channels are known.
pub(super) const PICTURE: [Size; 4] = [
    Size::Of {
        axis: 0,
        times: 1.0,
    },
    Size::Number(3.0),
    Size::Of {
        axis: 2,
        times: 1.0,
    },
    Size::Of {
        axis: 3,
        times: 1.0,
    },
];

/// Longer lists are no sizes.
const LONGEST: usize = 8;

/// What is known of the values of a graph.
pub(super) struct Sizes<'a> {
    /// Sizes of pictures.
    shapes: HashMap<&'a str, Vec<Size>>,
    /// Small lists of numbers, and single ones as lists of one.
    lists: HashMap<&'a str, Vec<Size>>,
    fixed: [Option<f64>; 4],
}

impl<'a> Sizes<'a> {
    /// Goes through the nodes once, in order.
    pub(super) fn new(graph: &Graph<'a>) -> Self {
        let mut sizes = Self {
            shapes: HashMap::from([(graph.input, PICTURE.to_vec())]),
            lists: HashMap::new(),
            fixed: graph.fixed,
        };
        for (&name, tensor) in &graph.initializers {
            if let Some(numbers) = tensor::small(tensor) {
                sizes
                    .lists
                    .insert(name, numbers.into_iter().map(Size::Number).collect());
            }
        }
        for node in graph.nodes {
            let Some(output) = node.output.first() else {
                continue;
            };
            if let Some(shape) = sizes
                .shape(graph, node)
                .filter(|shape| shape.len() <= LONGEST)
            {
                sizes.shapes.insert(output, shape);
            }
            if let Some(list) = sizes
                .list_of(graph, node)
                .filter(|list| list.len() <= LONGEST)
            {
                sizes.lists.insert(output, list);
            }
        }
        sizes
    }

    /// The numbers of `value`, if anything is known of them.
    pub(super) fn list(&self, value: &str) -> Option<&[Size]> {
        self.lists.get(value).map(Vec::as_slice)
    }

    /// Whether `found` is certain to be `wanted` for every picture that the file takes.
    pub(super) fn equal(&self, found: Size, wanted: Size) -> bool {
        match (found, wanted) {
            (Size::Unknown, _) | (_, Size::Unknown) => false,
            (Size::Number(number), Size::Of { axis, times }) => {
                self.fixed[axis].is_some_and(|size| (number - size * times).abs() < 1e-6)
            }
            _ => found == wanted,
        }
    }

    /// How many times `size` is larger than the picture on `axis`.
    pub(super) fn times(&self, size: Size, axis: usize) -> Option<f64> {
        match size {
            Size::Of { axis: found, times } if found == axis => Some(times),
            Size::Number(number) => self.fixed[axis].map(|size| number / size),
            _ => None,
        }
    }

    /// Sizes of the picture that `node` gives.
    fn shape(&self, graph: &Graph, node: &'a NodeProto) -> Option<Vec<Size>> {
        let shape = self.shapes.get(node.input(0));
        match node.operator() {
            "Identity" | "Cast" | "PRelu" | "Relu" | "LeakyRelu" | "Clip" => shape.cloned(),
            // Both of a sum have the same sizes, or it is none of this family.
            "Add" => shape.or_else(|| self.shapes.get(node.input(1))).cloned(),
            "Conv" if super::keeps_sizes(node).is_ok() => {
                let &[batch, _, height, width] = shape?.as_slice() else {
                    return None;
                };
                let channels = *graph.initializers.get(node.input(1))?.dims.first()?;
                Some(vec![batch, Size::Number(channels as f64), height, width])
            }
            "DepthToSpace" => {
                let block = node.int("blocksize", 0) as f64;
                let &[batch, channels, height, width] = shape?.as_slice() else {
                    return None;
                };
                Some(vec![
                    batch,
                    times(channels, 1.0 / (block * block)),
                    times(height, block),
                    times(width, block),
                ])
            }
            "Transpose" => {
                let shape = shape?;
                node.ints("perm")
                    .iter()
                    .map(|&axis| shape.get(usize::try_from(axis).ok()?).copied())
                    .collect()
            }
            "Reshape" => {
                let (from, to) = (shape?, self.lists.get(node.input(1))?);
                // An inferred -1 is a size that nobody asks for here.
                let size = |(index, &size): (usize, &Size)| match size {
                    Size::Number(0.0) => from.get(index).copied().unwrap_or(Size::Unknown),
                    Size::Number(-1.0) => Size::Unknown,
                    size => size,
                };
                Some(to.iter().enumerate().map(size).collect())
            }
            _ => None,
        }
    }

    /// The small list that `node` gives.
    fn list_of(&self, graph: &Graph, node: &'a NodeProto) -> Option<Vec<Size>> {
        let list = |index: usize| self.lists.get(node.input(index));
        match node.operator() {
            "Shape" => {
                let shape = self.shapes.get(node.input(0))?;
                slice(
                    shape,
                    node.int("start", 0) as f64,
                    node.int("end", i64::MAX) as f64,
                )
            }
            "Constant" => constant(node),
            "Identity" | "Unsqueeze" | "Squeeze" => list(0).cloned(),
            "Reshape" => list(0)
                .filter(|_| list(1).is_some_and(|to| to.len() <= 1))
                .cloned(),
            "Cast" => {
                // Between float formats nothing that is a size changes; to an integer the fraction is lost.
                let whole = matches!(node.int("to", 0), 6 | 7);
                Some(
                    list(0)?
                        .iter()
                        .map(|&size| if whole { exact(size) } else { size })
                        .collect(),
                )
            }
            "Floor" | "Ceil" => Some(list(0)?.iter().copied().map(exact).collect()),
            "Concat" if matches!(node.int("axis", 0), 0 | -1) => {
                let mut joined = Vec::new();
                for index in 0..node.input.len() {
                    joined.extend_from_slice(list(index)?);
                    if joined.len() > LONGEST {
                        return None;
                    }
                }
                Some(joined)
            }
            "Gather" if matches!(node.int("axis", 0), 0 | -1) => {
                let from = list(0)?;
                let pick = |index: &Size| match *index {
                    Size::Number(index) => from.get(position(index, from.len())?).copied(),
                    _ => None,
                };
                list(1)?.iter().map(pick).collect()
            }
            "Slice" => {
                let bound = |index: usize, name: &str| match node.ints(name) {
                    &[bound] if graph.opset < 10 => Some(bound as f64),
                    _ => match list(index)?.as_slice() {
                        &[Size::Number(bound)] => Some(bound),
                        _ => None,
                    },
                };
                let steps_by_one =
                    node.input(4).is_empty() || list(4)?.as_slice() == [Size::Number(1.0)];
                slice(list(0)?, bound(1, "starts")?, bound(2, "ends")?).filter(|_| steps_by_one)
            }
            "Mul" => pairs(list(0)?, list(1)?, |a, b| match (a, b) {
                (Size::Number(a), b) => times(b, a),
                (a, Size::Number(b)) => times(a, b),
                _ => Size::Unknown,
            }),
            // Whole numbers lose the fraction, floats keep it; only without one is the result certain.
            "Div" => pairs(list(0)?, list(1)?, |a, b| match (a, b) {
                (Size::Number(a), Size::Number(b)) => exact(Size::Number(a / b)),
                (Size::Of { axis, times }, Size::Number(b)) => exact(Size::Of {
                    axis,
                    times: times / b,
                }),
                _ => Size::Unknown,
            }),
            _ => None,
        }
    }
}

/// The numbers of a `Constant` node.
fn constant(node: &NodeProto) -> Option<Vec<Size>> {
    let attribute = node.attribute.first()?;
    let numbers = match attribute.name.as_str() {
        "value" => tensor::small(attribute.t.as_ref()?)?,
        "value_int" => vec![attribute.i as f64],
        "value_ints" => attribute.ints.iter().map(|&number| number as f64).collect(),
        "value_float" => vec![f64::from(attribute.f)],
        "value_floats" => attribute
            .floats
            .iter()
            .map(|&number| f64::from(number))
            .collect(),
        _ => return None,
    };
    Some(numbers.into_iter().map(Size::Number).collect())
}

fn times(size: Size, factor: f64) -> Size {
    match size {
        Size::Number(number) => Size::Number(number * factor),
        Size::Of { axis, times } => Size::Of {
            axis,
            times: times * factor,
        },
        Size::Unknown => Size::Unknown,
    }
}

/// The size if it is a whole number for every picture, so that rounding does not change it.
fn exact(size: Size) -> Size {
    let (Size::Number(number) | Size::Of { times: number, .. }) = size else {
        return Size::Unknown;
    };
    if number.fract() == 0.0 {
        size
    } else {
        Size::Unknown
    }
}

/// Applies `operation` to two lists of the same length, or to a list and a single number.
fn pairs(a: &[Size], b: &[Size], operation: impl Fn(Size, Size) -> Size) -> Option<Vec<Size>> {
    let length = a.len().max(b.len());
    let at =
        |list: &[Size], index: usize| list.get(if list.len() == 1 { 0 } else { index }).copied();
    (0..length)
        .map(|index| Some(operation(at(a, index)?, at(b, index)?)))
        .collect()
}

/// The place that ONNX means by `index`, which counts from the end when it is negative.
fn position(index: f64, length: usize) -> Option<usize> {
    let index = if index < 0.0 {
        index + length as f64
    } else {
        index
    };
    (index >= 0.0 && index < length as f64).then_some(index as usize)
}

/// A part of a list; bounds count from the end when they are negative and may lie outside.
fn slice(list: &[Size], start: f64, end: f64) -> Option<Vec<Size>> {
    let bound = |bound: f64| {
        let bound = if bound < 0.0 {
            bound + list.len() as f64
        } else {
            bound
        };
        bound.clamp(0.0, list.len() as f64) as usize
    };
    list.get(bound(start)..bound(end)).map(<[Size]>::to_vec)
}
