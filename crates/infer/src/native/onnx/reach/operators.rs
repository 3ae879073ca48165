//! What the operators of ONNX (<https://onnx.ai/onnx/operators/>) make of the places that a picture depends on.

use std::rc::Rc;

use super::axis::{Axis, Window};
use super::{Value, Walk, unknown};
use crate::native::onnx::proto::NodeProto;

/// Operators that change each number by itself.
pub(super) fn is_unary(operator: &str) -> bool {
    matches!(
        operator,
        "Identity"
            | "Cast"
            | "Relu"
            | "LeakyRelu"
            | "ThresholdedRelu"
            | "Elu"
            | "Selu"
            | "Celu"
            | "Gelu"
            | "Mish"
            | "Swish"
            | "Sigmoid"
            | "HardSigmoid"
            | "HardSwish"
            | "Tanh"
            | "Softplus"
            | "Softsign"
            | "Erf"
            | "Exp"
            | "Log"
            | "Sqrt"
            | "Reciprocal"
            | "Neg"
            | "Abs"
            | "Sign"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Sin"
            | "Cos"
            | "Not"
    )
}

/// Operators that join several numbers of the same place, or of one place and a constant.
pub(super) fn is_elementwise(operator: &str) -> bool {
    matches!(
        operator,
        "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Pow"
            | "Mod"
            | "Min"
            | "Max"
            | "Sum"
            | "Mean"
            | "PRelu"
            | "Clip"
            | "Where"
            | "Equal"
            | "Greater"
            | "GreaterOrEqual"
            | "Less"
            | "LessOrEqual"
            | "And"
            | "Or"
            | "Xor"
    )
}

/// Operators that are known to look at a whole picture.
pub(super) fn is_global(operator: &str) -> bool {
    matches!(
        operator,
        "GlobalAveragePool"
            | "GlobalMaxPool"
            | "GlobalLpPool"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LayerNormalization"
            | "MeanVarianceNormalization"
            | "Softmax"
            | "LogSoftmax"
            | "MatMul"
            | "Gemm"
            | "Einsum"
            | "Attention"
            | "MultiHeadAttention"
            | "DynamicQuantizeLinear"
            | "Shape"
            | "Size"
    )
}

impl Walk<'_> {
    /// What a node gives, or why that is not limited to what is around a place.
    pub(super) fn node(&self, node: &NodeProto) -> Result<Value, String> {
        if let Some(value) = self.constant(node) {
            return Ok(value);
        }
        let each = |axis: &dyn Fn(&Axis, usize) -> Option<Axis>| {
            let axes = self.picture(node)?;
            let both = axis(&axes[0], 0).zip(axis(&axes[1], 1));
            let (rows, columns) = both.ok_or_else(|| unknown(node))?;
            Ok(Value::Picture(Rc::new([rows, columns])))
        };
        let unchanged = || Ok(Value::Picture(Rc::clone(self.picture(node)?)));
        let block = node.int("blocksize", 0);
        match node.operator() {
            operator if is_unary(operator) => unchanged(),
            operator if is_elementwise(operator) => self.elementwise(node),
            "Dropout" if node.input(2).is_empty() => unchanged(),
            "BatchNormalization" if self.normalizes_by_constants(node) => unchanged(),
            "Concat" if is_channels(node.int("axis", 0)) => self.concatenation(node),
            "Split" if is_channels(node.int("axis", 0)) => unchanged(),
            "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceSum" | "ReduceL1" | "ReduceL2" => {
                match self.numbers(node, 1, "axes").as_deref() {
                    Some(&[axis]) if is_channels(axis) && node.int("keepdims", 1) == 1 => {
                        unchanged()
                    }
                    _ => Err(self.reason(node, format!("{} looks at all of it", node.operator()))),
                }
            }
            "Conv" => {
                let windows = self.convolution(node)?;
                each(&|axis, i| axis.windows(windows[i], false))
            }
            "ConvTranspose" => {
                let windows = self.convolution(node)?;
                let padding = pair(node, "output_padding", 0);
                let padding = padding
                    .filter(|_| node.ints("output_shape").is_empty())
                    .filter(|_| matches!(node.text("auto_pad", "NOTSET"), "NOTSET" | "VALID"))
                    .ok_or_else(|| unknown(node))?;
                each(&|axis, i| axis.transposed(windows[i], padding[i]))
            }
            "MaxPool" | "AveragePool" | "LpPool" => {
                let kernel = pair(node, "kernel_shape", 0);
                let windows = kernel.and_then(|kernel| windows(node, kernel));
                let windows = windows.ok_or_else(|| unknown(node))?;
                let ceil = node.int("ceil_mode", 0) != 0;
                each(&|axis, i| axis.windows(windows[i], ceil))
            }
            "DepthToSpace" => each(&|axis, _| axis.unfolded(block)),
            "SpaceToDepth" => each(&|axis, _| axis.folded(block)),
            "Pad" => {
                let pads = self.pads(node).ok_or_else(|| unknown(node))?;
                match node.text("mode", "constant") {
                    "constant" => each(&|axis, i| axis.padded(pads[i])),
                    "reflect" | "edge" => each(&|axis, i| axis.continued(pads[i])),
                    _ => Err(unknown(node)),
                }
            }
            "Slice" => {
                let windows = self.slice(node).ok_or_else(|| unknown(node))?;
                each(&|axis, i| axis.windows(windows[i], false))
            }
            "Resize" | "Upsample" => {
                let axes = self.picture(node)?;
                let resize = self.resize(node, axes).ok_or_else(|| unknown(node))?;
                each(&|axis, i| {
                    let [up, down] = resize.factors[i];
                    axis.resized(up, down, |position| resize.reads(i, position))
                })
            }
            _ => Err(self.reason(node, unknown(node))),
        }
    }

    /// The reason that an input has, or else this one.
    fn reason(&self, node: &NodeProto, own: String) -> String {
        let reasons = node.input.iter().map(|name| self.value(name));
        let mut unlimited = reasons.filter_map(|value| match value {
            Value::Unlimited(why) => Some(why.to_string()),
            _ => None,
        });
        unlimited.next().unwrap_or(own)
    }

    /// Whether a `BatchNormalization` does with each number what was found in training.
    fn normalizes_by_constants(&self, node: &NodeProto) -> bool {
        let is_constant = |index| matches!(self.value(node.input(index)), Value::Constant(_));
        (1..=4).all(is_constant) && node.int("training_mode", 0) == 0 && node.int("spatial", 1) == 1
    }

    /// Pictures behind each other; a constant among them would be one of a fixed size.
    fn concatenation(&self, node: &NodeProto) -> Result<Value, String> {
        let constant = |name: &String| matches!(self.value(name), Value::Constant(_));
        if node.input.iter().any(constant) {
            return Err(unknown(node));
        }
        self.elementwise(node)
    }

    /// How a convolution moves over rows and columns.
    fn convolution(&self, node: &NodeProto) -> Result<[Window; 2], String> {
        let windows = match self.value(node.input(1)) {
            Value::Constant(dims) => {
                let dims = dims.as_deref().and_then(|dims| match *dims {
                    [_, _, rows, columns] => Some([rows, columns]),
                    _ => None,
                });
                let stated = pair(node, "kernel_shape", 0)
                    .filter(|_| node.attribute("kernel_shape").is_some());
                stated.or(dims).and_then(|kernel| windows(node, kernel))
            }
            _ => None,
        };
        windows.ok_or_else(|| self.reason(node, unknown(node)))
    }

    /// Padding of rows and of columns by a `Pad`, before and behind; none where it pads something else.
    fn pads(&self, node: &NodeProto) -> Option<[[i64; 2]; 2]> {
        let pads = self.numbers(node, 1, "pads")?;
        if !node.input(2).is_empty() && !matches!(self.value(node.input(2)), Value::Constant(_)) {
            return None;
        }
        let axes = match node.input(3) {
            "" => vec![0, 1, 2, 3],
            _ => self.numbers(node, 3, "axes")?,
        };
        if pads.len() != 2 * axes.len() {
            return None;
        }
        let mut found = [[0; 2]; 2];
        for (i, &axis) in axes.iter().enumerate() {
            let both = [pads[i], pads[i + axes.len()]];
            match spatial(axis) {
                Some(place) => found[place] = both,
                None if both == [0, 0] => {}
                None => return None,
            }
        }
        Some(found)
    }

    /// A `Slice` of rows and columns as windows of one position; a slice of channels keeps all of both.
    fn slice(&self, node: &NodeProto) -> Option<[Window; 2]> {
        let starts = self.numbers(node, 1, "starts")?;
        let ends = self.numbers(node, 2, "ends")?;
        let is_named = !node.input(3).is_empty() || node.attribute("axes").is_some();
        let axes = if is_named {
            self.numbers(node, 3, "axes")?
        } else {
            (0..starts.len() as i64).collect()
        };
        let steps = match node.input(4) {
            "" => vec![1; starts.len()],
            _ => self.numbers(node, 4, "steps")?,
        };
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return None;
        }
        let all = Window {
            kernel: 1,
            stride: 1,
            dilation: 1,
            pads: [0, 0],
        };
        let mut windows = [all; 2];
        for (i, &axis) in axes.iter().enumerate() {
            let Some(place) = spatial(axis) else {
                // A slice of the batch is a slice of one picture.
                if is_channels(axis) {
                    continue;
                }
                return None;
            };
            // Exporters write "to the end" as the largest number of 32 or 64 bits. A number of pixels from the left is
            // a place in the whole picture, which a crop does not know.
            let cut = match ends[i] {
                end if end >= i64::from(i32::MAX) => 0,
                end if end < 0 => end,
                _ => return None,
            };
            if starts[i] < 0 || cut < -4096 || starts[i] > 4096 {
                return None;
            }
            windows[place] = Window {
                stride: steps[i],
                pads: [-starts[i], cut],
                ..all
            };
        }
        Some(windows)
    }
}

/// The second dimension of four.
fn is_channels(axis: i64) -> bool {
    matches!(axis, 1 | -3)
}

/// 0 for rows, 1 for columns.
pub(super) fn spatial(axis: i64) -> Option<usize> {
    match axis {
        2 | -2 => Some(0),
        3 | -1 => Some(1),
        _ => None,
    }
}

/// An attribute of two numbers, for rows and columns.
fn pair(node: &NodeProto, name: &str, default: i64) -> Option<[i64; 2]> {
    match *node.ints(name) {
        [] => Some([default; 2]),
        [rows, columns] => Some([rows, columns]),
        _ => None,
    }
}

/// How a convolution or pooling with that kernel moves over rows and columns.
fn windows(node: &NodeProto, kernel: [i64; 2]) -> Option<[Window; 2]> {
    let (strides, dilations) = (pair(node, "strides", 1)?, pair(node, "dilations", 1)?);
    let stated = match *node.ints("pads") {
        [] => [0; 4],
        [top, left, bottom, right] => [top, left, bottom, right],
        _ => return None,
    };
    let window = |axis: usize| {
        let mut window = Window {
            kernel: kernel[axis],
            stride: strides[axis],
            dilation: dilations[axis],
            pads: [stated[axis], stated[axis + 2]],
        };
        let bounded = |number: i64| (1..=4096).contains(&number);
        if !bounded(window.kernel) || !bounded(window.dilation) {
            return None;
        }
        let (less, more) = (window.span() / 2, window.span() - window.span() / 2);
        window.pads = match node.text("auto_pad", "NOTSET") {
            "NOTSET" => window.pads,
            "VALID" => [0, 0],
            // With a stride the padding depends on the size of the picture.
            "SAME_UPPER" if window.stride == 1 => [less, more],
            "SAME_LOWER" if window.stride == 1 => [more, less],
            _ => return None,
        };
        Some(window)
    };
    Some([window(0)?, window(1)?])
}
