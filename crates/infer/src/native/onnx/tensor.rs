//! Arrays of a file as numbers, with every length checked against the data that is there.

use half::{bf16, f16};

use super::graph::{Graph, refusal};
use super::proto::{NodeProto, TensorProto, data_type};
use crate::native::network::{Element, MAX_WEIGHTS, NotCompact, readable};

/// Weights: finite numbers in row-major order.
pub(super) struct Weights {
    pub(super) dims: Vec<usize>,
    pub(super) numbers: Vec<f32>,
}

/// The constant `value`, which `node` uses as its `role`, for example its "bias".
pub(super) fn weights(
    graph: &Graph,
    node: &NodeProto,
    value: &str,
    role: &str,
) -> Result<Weights, NotCompact> {
    let mut value = value;
    // Casts and the like between the array and its use, the last one first; at most every node of the graph.
    let mut changes = Vec::new();
    let mut weights = loop {
        if let Some(tensor) = graph.initializers.get(value) {
            break read(tensor)?;
        }
        if value.is_empty() {
            return Err(node.fault(format!("has no {role}")));
        }
        let Some(producer) = graph.direct_producer(value) else {
            return Err(node.fault(format!("takes its {role} from the input")));
        };
        match producer.operator() {
            "Constant" => break constant(producer)?,
            "Identity" => {}
            "Cast" | "Unsqueeze" => changes.push(producer),
            _ => return Err(node.fault(format!("computes its {role}: {}", producer.describe()))),
        }
        value = producer.input(0);
    };
    for change in changes.into_iter().rev() {
        apply(graph, change, &mut weights)?;
    }
    Ok(weights)
}

/// What a `Cast` or an `Unsqueeze` makes of weights.
fn apply(graph: &Graph, node: &NodeProto, weights: &mut Weights) -> Result<(), NotCompact> {
    if node.operator() == "Unsqueeze" {
        let mut axes = match graph.initializers.get(node.input(1)) {
            Some(tensor) => small(tensor).unwrap_or_default(),
            None => node.ints("axes").iter().map(|&axis| axis as f64).collect(),
        };
        let rank = weights.dims.len() + axes.len();
        for axis in &mut axes {
            *axis += if *axis < 0.0 { rank as f64 } else { 0.0 };
        }
        axes.sort_by(f64::total_cmp);
        for axis in axes {
            if rank > 4 || axis > weights.dims.len() as f64 || axis < 0.0 {
                return Err(node.fault("has axes that do not fit"));
            }
            weights.dims.insert(axis as usize, 1);
        }
        return Ok(());
    }
    let to = node.int("to", 0) as i32;
    for number in &mut weights.numbers {
        *number = match to {
            data_type::FLOAT => *number,
            data_type::FLOAT16 => f16::from_f32(*number).to_f32(),
            data_type::BFLOAT16 => bf16::from_f32(*number).to_f32(),
            other => return Err(node.fault(format!("casts weights to {}", data_type::name(other)))),
        };
        if !number.is_finite() {
            return Err(node.fault("casts a weight to infinity"));
        }
    }
    Ok(())
}

/// The weights in the attribute of a `Constant` node.
fn constant(node: &NodeProto) -> Result<Weights, NotCompact> {
    if let Some(tensor) = node.attribute("value").and_then(|value| value.t.as_ref()) {
        return read(tensor);
    }
    let (dims, numbers) = match (
        node.attribute("value_floats"),
        node.attribute("value_float"),
    ) {
        (Some(list), _) => (vec![list.floats.len()], list.floats.clone()),
        (None, Some(number)) => (Vec::new(), vec![number.f]),
        (None, None) => return Err(node.fault("holds no float numbers")),
    };
    if numbers.iter().all(|number| number.is_finite()) {
        Ok(Weights { dims, numbers })
    } else {
        Err(node.fault("holds a number that is NaN or infinite"))
    }
}

/// The numbers of `tensor` if they are few and stand in this file; sizes and scales are.
pub(crate) fn small(tensor: &TensorProto) -> Option<Vec<f64>> {
    const MANY: usize = 8;
    let count = count(tensor).filter(|&count| count <= MANY && tensor.data_location == 0)?;
    let raw = &tensor.raw_data;
    let numbers: Vec<f64> = match tensor.data_type {
        data_type::INT64 if !raw.is_empty() => raw
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| i64::from_le_bytes(bytes) as f64)
            .collect(),
        data_type::INT64 => tensor
            .int64_data
            .iter()
            .map(|&number| number as f64)
            .collect(),
        data_type::INT32 if !raw.is_empty() => raw
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| i32::from_le_bytes(bytes) as f64)
            .collect(),
        data_type::INT32 => tensor
            .int32_data
            .iter()
            .map(|&number| f64::from(number))
            .collect(),
        _ => read(tensor)
            .ok()?
            .numbers
            .into_iter()
            .map(f64::from)
            .collect(),
    };
    (numbers.len() == count).then_some(numbers)
}

/// The float numbers of an initializer.
fn read(tensor: &TensorProto) -> Result<Weights, NotCompact> {
    let fault =
        |problem: &str| refusal(format!("the weights {} {problem}", readable(&tensor.name)));
    if tensor.data_location != 0 {
        return Err(fault(
            "are in another file (external data), which only ONNX Runtime reads",
        ));
    }
    let element = match tensor.data_type {
        data_type::FLOAT => Element::F32,
        data_type::FLOAT16 => Element::F16,
        data_type::BFLOAT16 => Element::Bf16,
        other => {
            return Err(fault(&format!(
                "are {}, a Compact network's float32, float16 or bfloat16",
                data_type::name(other)
            )));
        }
    };
    let count = count(tensor).ok_or_else(|| {
        let name = readable(&tensor.name);
        refusal(format!("the dimensions of the weights {name} are damaged or those of more weights than a network has"))
    })?;
    // The lists are in the file already, so nothing larger than the file is allocated here.
    let bytes = if !tensor.raw_data.is_empty() {
        &tensor.raw_data
    } else if element == Element::F32 {
        &tensor
            .float_data
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    } else {
        &tensor
            .int32_data
            .iter()
            .flat_map(|&bits| (bits as u16).to_le_bytes())
            .collect()
    };
    if bytes.len() != count * element.size() {
        return Err(fault(&format!(
            "are damaged: {} bytes where {} are needed",
            bytes.len(),
            count * element.size()
        )));
    }
    let numbers = element
        .decode(bytes)
        .ok_or_else(|| fault("hold a number that is NaN or infinite"))?;
    Ok(Weights {
        dims: tensor.dims.iter().map(|&dim| dim as usize).collect(),
        numbers,
    })
}

/// How many numbers an array has by its dimensions; none for more than a network may have or for damaged dimensions.
fn count(tensor: &TensorProto) -> Option<usize> {
    tensor
        .dims
        .iter()
        .try_fold(1usize, |count, &dim| {
            count.checked_mul(usize::try_from(dim).ok()?)
        })
        .filter(|&count| count <= MAX_WEIGHTS)
}
