//! Reads a Compact network from a `.safetensors` file with the keys of `SRVGGNetCompact`.
//!
//! The file is a length (8 bytes, little-endian), a JSON object of that length, and the numbers:
//! <https://huggingface.co/docs/safetensors/index#format>. Keys are `body.N.weight` and `body.N.bias`; even N are
//! convolutions, odd N the slopes of the `PReLU` between them. Checkpoints of training put
//! a prefix before all of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::network::{
    Conv, Element, MAX_CONVS, MAX_FEATURES, MAX_WEIGHTS, Network, NotCompact, readable, shuffle_of,
};

/// Reads a file. An error says which array is not part of a Compact network, or how the file is damaged.
pub(crate) fn read(bytes: &[u8]) -> Result<Network, NotCompact> {
    let (entries, data) = split(bytes)?;
    let layers = layers(&entries, data)?;
    let last = layers.keys().map(|&(layer, _)| layer).max().unwrap_or(0);
    if last < 2 || last % 2 == 1 || last / 2 >= MAX_CONVS {
        return Err(refusal(format!(
            "the last layer is body.{last}, a Compact network ends with an even one from 2 to {}",
            2 * MAX_CONVS - 2
        )));
    }
    let get = |layer: usize, part: &'static str| {
        let missing = || {
            refusal(format!(
                "the file has no body.{layer}.{part}, which a Compact network has"
            ))
        };
        layers.get(&(layer, part)).ok_or_else(missing)
    };
    let mut convs: Vec<Conv> = Vec::new();
    let mut total = 0;
    for layer in (0..=last).step_by(2) {
        let n_in = convs.last().map_or(3, |conv| conv.n_out);
        let slope = if layer < last {
            Some(get(layer + 1, "weight")?)
        } else {
            None
        };
        let conv = conv(get(layer, "weight")?, get(layer, "bias")?, slope, n_in)?;
        total += conv.weights.len();
        if total > MAX_WEIGHTS {
            return Err(refusal(format!(
                "the network has more than {MAX_WEIGHTS} weights, no Compact network has"
            )));
        }
        convs.push(conv);
    }
    // Every layer was there, so anything else is too much.
    if let Some(&(layer, _)) = layers
        .keys()
        .find(|&&(layer, part)| layer % 2 == 1 && part == "bias")
    {
        return Err(refusal(format!(
            "body.{layer}.bias is not part of a Compact network, whose PReLU has none"
        )));
    }
    let outputs = convs.last().map_or(0, |conv| conv.n_out);
    let shuffle = shuffle_of(outputs).ok_or_else(|| {
        refusal(format!("body.{last} has {outputs} outputs, the last convolution of a Compact network 3, 12, 27 or 48"))
    })?;
    Ok(Network {
        convs,
        shuffle,
        resize: None,
        clamp: None,
    })
}

/// A convolution of `n_in` inputs and the `PReLU` after it.
fn conv(
    weights: &Array,
    bias: &Array,
    slope: Option<&Array>,
    n_in: usize,
) -> Result<Conv, NotCompact> {
    let n_out = match *weights.shape.as_slice() {
        [n_out, found, 3, 3] if found == n_in && (1..=MAX_FEATURES).contains(&n_out) => n_out,
        _ => return Err(weights.unlike(&format!("[1 to {MAX_FEATURES}, {n_in}, 3, 3]"))),
    };
    if bias.shape != [n_out] {
        return Err(bias.unlike(&format!("[{n_out}]")));
    }
    let slope = match slope {
        None => None,
        Some(slope) if slope.shape == [n_out] => Some(slope.numbers()?),
        Some(slope) if slope.shape == [1] => Some(slope.numbers()?.repeat(n_out)),
        Some(slope) => return Err(slope.unlike(&format!("[{n_out}] or [1]"))),
    };
    Ok(Conv {
        n_in,
        n_out,
        weights: weights.numbers()?,
        bias: bias.numbers()?,
        slope,
    })
}

/// One array of the file.
struct Array<'a> {
    name: &'a str,
    dtype: &'a str,
    shape: Vec<usize>,
    data: &'a [u8],
}

impl Array<'_> {
    fn numbers(&self) -> Result<Vec<f32>, NotCompact> {
        let name = readable(self.name);
        let element = match self.dtype {
            "F32" => Element::F32,
            "F16" => Element::F16,
            "BF16" => Element::Bf16,
            other => {
                let other = readable(other);
                return Err(refusal(format!(
                    "{name} has the type {other}, a Compact network F32, F16 or BF16"
                )));
            }
        };
        let needed = self
            .shape
            .iter()
            .try_fold(element.size(), |bytes, &size| bytes.checked_mul(size));
        if needed != Some(self.data.len()) {
            let (found, shape) = (self.data.len(), &self.shape);
            return Err(damaged(format!(
                "{name} has {found} bytes, which does not fit the shape {shape:?}"
            )));
        }
        element
            .decode(self.data)
            .ok_or_else(|| refusal(format!("{name} holds a number that is NaN or infinite")))
    }

    fn unlike(&self, expected: &str) -> NotCompact {
        let name = readable(self.name);
        refusal(format!(
            "{name} has the shape {:?}, a Compact network {expected}",
            self.shape
        ))
    }
}

/// The header's entries, by key, and the bytes after the header.
type Parts<'a> = (BTreeMap<String, Value>, &'a [u8]);

fn split(bytes: &[u8]) -> Result<Parts<'_>, NotCompact> {
    let header = bytes.split_first_chunk().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        rest.split_at_checked(length)
    });
    let Some((header, data)) = header else {
        return Err(refusal("not a safetensors file, or one that is cut short"));
    };
    let mut entries: BTreeMap<String, Value> = serde_json::from_slice(header).map_err(|cause| {
        refusal(format!(
            "not a safetensors file: its header is not readable: {cause}"
        ))
    })?;
    entries.remove("__metadata__");
    Ok((entries, data))
}

/// One entry of the header with its numbers.
fn array<'a>(name: &'a str, entry: &'a Value, data: &'a [u8]) -> Result<Array<'a>, NotCompact> {
    let sizes = |key: &str| -> Option<Vec<usize>> {
        let list = entry.get(key)?.as_array()?;
        list.iter()
            .map(|size| usize::try_from(size.as_u64()?).ok())
            .collect()
    };
    let array = || {
        let &[start, end] = sizes("data_offsets")?.as_slice() else {
            return None;
        };
        Some(Array {
            name,
            dtype: entry.get("dtype")?.as_str()?,
            shape: sizes("shape")?,
            data: data.get(start..end)?,
        })
    };
    array().ok_or_else(|| damaged(format!("{} does not lie within it", readable(name))))
}

/// Arrays by layer and part of the layer, from keys such as `params_ema.body.0.weight`.
type Layers<'a> = BTreeMap<(usize, &'a str), Array<'a>>;

fn layers<'a>(
    entries: &'a BTreeMap<String, Value>,
    data: &'a [u8],
) -> Result<Layers<'a>, NotCompact> {
    let foreign = |name: &str| {
        refusal(format!(
            "{} is not part of a Compact network",
            readable(name)
        ))
    };
    let prefix = entries
        .keys()
        .find_map(|name| name.strip_suffix("body.0.weight"))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .ok_or_else(|| refusal("the file has no body.0.weight, which a Compact network has"))?;
    let mut layers = BTreeMap::new();
    for (name, entry) in entries {
        let key = name
            .strip_prefix(prefix)
            .and_then(|key| key.strip_prefix("body."))
            .and_then(|key| {
                let (layer, part) = key.split_once('.')?;
                Some((layer.parse().ok()?, part))
            });
        let key = key
            .filter(|(_, part)| matches!(*part, "weight" | "bias"))
            .ok_or_else(|| foreign(name))?;
        if layers.insert(key, array(name, entry, data)?).is_some() {
            return Err(foreign(name));
        }
    }
    Ok(layers)
}

fn refusal(problem: impl Into<String>) -> NotCompact {
    NotCompact(problem.into())
}

fn damaged(problem: impl std::fmt::Display) -> NotCompact {
    refusal(format!("the safetensors file is damaged: {problem}"))
}

#[cfg(test)]
mod tests;
