//! Recognises a Compact network in an `.onnx` file by what its graph computes; names play no part.
//!
//! The graph is walked from its result back to its input, so nodes that the result does not depend on do not matter.
//! Every node on the way has to be the one that the family has at that place, with the attributes that the kernels
//! compute; anything else is refused with the node and the reason. Nothing is guessed: a file that is read gives what
//! ONNX Runtime gives, within rounding.
//!
//! Memory is bounded: no array is made whose numbers are not in the file, and no more than [`MAX_WEIGHTS`] in all. The
//! messages themselves, read first, take a few hundred times the file at worst, and about as much in a sound one.

pub(crate) mod activations;
mod graph;
pub(crate) mod proto;
pub(crate) mod reach;
mod resize;
mod sizes;
pub(crate) mod tensor;
#[cfg(test)]
mod tests;

use prost::Message;

use super::network::{
    Conv, MAX_CONVS, MAX_FEATURES, MAX_WEIGHTS, Network, NotCompact, Resize, shuffle_of,
};
use graph::{Graph, refusal};
use proto::{ModelProto, NodeProto};
use sizes::{PICTURE, Size, Sizes};

/// Reads a file. An error says which node is not part of a Compact network, or how the file is damaged.
pub(crate) fn read(bytes: &[u8]) -> Result<Network, NotCompact> {
    let model = ModelProto::decode(bytes).map_err(|cause| {
        // Every exporter writes ir_version first: field 1, a number.
        let problem = if bytes.first() == Some(&0x08) {
            "the ONNX file is damaged or cut short"
        } else {
            "not an ONNX file"
        };
        refusal(format!("{problem}: {cause}"))
    })?;
    let graph = Graph::new(&model)?;
    let sizes = Sizes::new(&graph);

    let mut value = graph.output;
    let last = |value| graph.producer(value, "the sum with the enlarged picture");
    let mut node = last(value)?;
    let mut clamp = None;
    if node.operator() == "Clip" {
        clamp = bounds(&graph, node)?;
        value = node.input(0);
        node = last(value)?;
    }
    let cubic = Some(node)
        .filter(|node| node.operator() == "Resize" && node.text("mode", "nearest") == "cubic");
    if let Some(resize) = cubic {
        node = last(resize.input(0))?;
    }
    let (head, repeated) = sum(&graph, &sizes, node)?;
    let (shuffle, conv) = shuffle(&graph, &sizes, head)?;
    if shuffle != repeated {
        return Err(node.fault(format!(
            "adds a picture enlarged by {repeated} to one enlarged by {shuffle}, a Compact network by the same"
        )));
    }
    let resize = match cubic {
        Some(resize) => {
            let (scale, a) = resize::cubic(&graph, &sizes, resize, shuffle)?;
            Some(Resize { scale, a })
        }
        None => None,
    };
    Ok(Network {
        convs: body(&graph, conv)?,
        shuffle,
        resize,
        clamp,
    })
}

/// Lowest and highest value that a `Clip` lets through; none if it lets everything through.
fn bounds(graph: &Graph, node: &NodeProto) -> Result<Option<(f32, f32)>, NotCompact> {
    let bound = |index: usize, name: &str, default: f32| {
        if graph.opset < 11 {
            return Ok(node.float(name, default));
        }
        match node.input(index) {
            "" => Ok(default),
            value => match tensor::weights(graph, node, value, name)?
                .numbers
                .as_slice()
            {
                &[bound] => Ok(bound),
                numbers => Err(node.fault(format!(
                    "has {} numbers as its {name}, where 1 is needed",
                    numbers.len()
                ))),
            },
        }
    };
    let (min, max) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
    if min.is_nan() || max.is_nan() || min > max {
        return Err(node.fault(format!("clips to at least {min} and at most {max}")));
    }
    Ok(Some((min, max)).filter(|&bounds| bounds != (f32::MIN, f32::MAX)))
}

/// The summand that is not the repeated picture, and how many times the other repeats it in each direction.
fn sum<'a>(
    graph: &Graph<'a>,
    sizes: &Sizes,
    node: &'a NodeProto,
) -> Result<(&'a str, usize), NotCompact> {
    if node.operator() != "Add" {
        return Err(
            node.fault("stands where a Compact network has the sum with the enlarged picture")
        );
    }
    for (picture, head) in [(0, 1), (1, 0)] {
        let (picture, head) = (graph.source(node.input(picture)), node.input(head));
        if picture == graph.input {
            return Ok((head, 1));
        }
        let enlarged = graph.direct_producer(picture).filter(|node| {
            matches!(node.operator(), "Resize" | "Upsample")
                && graph.source(node.input(0)) == graph.input
        });
        if let Some(resize) = enlarged {
            return Ok((head, resize::repetition(graph, sizes, resize)?));
        }
    }
    Err(node.fault("does not add the enlarged input, as the last sum of a Compact network does"))
}

/// Factor of the pixel shuffle that gives `value`, and the convolution before it.
fn shuffle<'a>(
    graph: &Graph<'a>,
    sizes: &Sizes,
    value: &'a str,
) -> Result<(usize, &'a NodeProto), NotCompact> {
    let node = graph.producer(value, "the pixel shuffle")?;
    let (factor, conv) = match node.operator() {
        "DepthToSpace" => {
            let (factor, mode) = (node.int("blocksize", 0), node.text("mode", "DCR"));
            if mode != "CRD" && factor != 1 {
                return Err(node.unlike(
                    format!("the mode {mode}"),
                    "CRD, the order of PyTorch's PixelShuffle",
                ));
            }
            (Some(factor), convolution(graph, node.input(0))?)
        }
        "Reshape" => (None, shuffle_by_transpose(graph, sizes, node)?),
        "Conv" => (Some(1), node),
        _ => return Err(node.fault("stands where a Compact network has the pixel shuffle")),
    };
    let channels = channels(graph, conv)?;
    let expected = shuffle_of(channels).ok_or_else(|| {
        conv.unlike(
            format!("{channels} outputs before the pixel shuffle"),
            "3, 12, 27 or 48",
        )
    })?;
    match factor {
        Some(factor) if factor != expected as i64 => Err(node.fault(format!(
            "shuffles {channels} channels by {factor}, a Compact network 3 · {factor} · {factor}"
        ))),
        _ => Ok((expected, conv)),
    }
}

/// The convolution before Reshape, Transpose, Reshape, which is how `PyTorch` wrote pixel shuffle before ONNX's
/// `DepthToSpace` had a mode: N, 3·s², H, W → N, 3, s, s, H, W → N, 3, H, s, W, s → N, 3, H·s, W·s.
fn shuffle_by_transpose<'a>(
    graph: &Graph<'a>,
    sizes: &Sizes,
    last: &'a NodeProto,
) -> Result<&'a NodeProto, NotCompact> {
    let transpose = graph.producer(last.input(0), "the transposition of a pixel shuffle")?;
    if transpose.operator() != "Transpose" {
        return Err(transpose
            .fault("stands where a Compact network has the transposition of a pixel shuffle"));
    }
    if transpose.ints("perm") != [0, 1, 4, 2, 5, 3] {
        return Err(transpose.unlike(
            format!("the order {:?}", transpose.ints("perm")),
            "0, 1, 4, 2, 5, 3",
        ));
    }
    let first = graph.producer(transpose.input(0), "the first reshape of a pixel shuffle")?;
    if first.operator() != "Reshape" {
        return Err(
            first.fault("stands where a Compact network has the first reshape of a pixel shuffle")
        );
    }
    let conv = convolution(graph, first.input(0))?;
    let outputs = channels(graph, conv)?;
    let Some(factor) = shuffle_of(outputs) else {
        return Err(conv.unlike(
            format!("{outputs} outputs before the pixel shuffle"),
            "3, 12, 27 or 48",
        ));
    };
    let factor = factor as f64;
    let [batch, colours, height, width] = PICTURE;
    let block = Size::Number(factor);
    let enlarged = |axis| Size::Of {
        axis,
        times: factor,
    };
    check_reshape(
        sizes,
        first,
        &[batch, Size::Number(outputs as f64), height, width],
        &[batch, colours, block, block, height, width],
    )?;
    check_reshape(
        sizes,
        last,
        &[batch, colours, height, block, width, block],
        &[batch, colours, enlarged(2), enlarged(3)],
    )?;
    Ok(conv)
}

/// Checks that `node` reshapes an array of the sizes `from` to the sizes `to` for every picture.
fn check_reshape(
    sizes: &Sizes,
    node: &NodeProto,
    from: &[Size],
    to: &[Size],
) -> Result<(), NotCompact> {
    let unclear = || {
        node.fault("reshapes in a way that does not show the pixel shuffle of a Compact network")
    };
    let shape = sizes
        .list(node.input(1))
        .filter(|shape| shape.len() == to.len())
        .ok_or_else(unclear)?;
    let copies_zeros = node.int("allowzero", 0) == 0;
    let inferred = |&size: &Size| size == Size::Number(-1.0);
    let fits = |(index, (&size, &wanted)): (usize, (&Size, &Size))| match size {
        Size::Number(0.0) if copies_zeros => from.get(index) == Some(&wanted),
        // With all others right it can only be right.
        size => inferred(&size) || sizes.equal(size, wanted),
    };
    let all_fit = shape.iter().zip(to).enumerate().all(fits);
    if all_fit && shape.iter().filter(|size| inferred(size)).count() <= 1 {
        Ok(())
    } else {
        Err(unclear())
    }
}

/// The convolution that gives `value`.
fn convolution<'a>(graph: &Graph<'a>, value: &'a str) -> Result<&'a NodeProto, NotCompact> {
    let node = graph.producer(value, "a convolution")?;
    match node.operator() {
        "Conv" => Ok(node),
        _ => Err(node.fault("stands where a Compact network has a convolution")),
    }
}

/// How many channels a convolution gives; at least one.
fn channels(graph: &Graph, conv: &NodeProto) -> Result<usize, NotCompact> {
    let weights = tensor::weights(graph, conv, conv.input(1), "weights")?;
    Ok(weights.dims.first().copied().unwrap_or(0))
}

/// All convolutions up to and including `last`, first to last.
fn body<'a>(graph: &Graph<'a>, last: &'a NodeProto) -> Result<Vec<Conv>, NotCompact> {
    let mut convs: Vec<Conv> = Vec::new();
    let mut node = last;
    let mut activation = None;
    let mut total = 0;
    loop {
        let conv = conv(graph, node, activation)?;
        if let Some(next) = convs.last().filter(|next| next.n_in != conv.n_out) {
            return Err(node.fault(format!(
                "gives {} channels to a convolution that takes {}",
                conv.n_out, next.n_in
            )));
        }
        total += conv.weights.len();
        if convs.len() == MAX_CONVS || total > MAX_WEIGHTS {
            return Err(refusal(format!(
                "the network has more than {MAX_CONVS} convolutions or {MAX_WEIGHTS} weights, no Compact network has"
            )));
        }
        let first = graph.source(node.input(0)) == graph.input;
        if first && conv.n_in != 3 {
            return Err(node.unlike(
                format!("{} input channels", conv.n_in),
                "3 in its first convolution",
            ));
        }
        convs.push(conv);
        if first {
            break;
        }
        let before = graph.producer(node.input(0), "an activation")?;
        if !matches!(before.operator(), "PRelu" | "Relu" | "LeakyRelu") {
            return Err(before.fault("stands where a Compact network has a PRelu"));
        }
        activation = Some(before);
        node = convolution(graph, before.input(0))?;
    }
    if convs.len() < 2 {
        return Err(refusal(
            "the network has one convolution, a Compact network at least two",
        ));
    }
    convs.reverse();
    Ok(convs)
}

/// One convolution and the activation after it.
fn conv(
    graph: &Graph,
    node: &NodeProto,
    activation: Option<&NodeProto>,
) -> Result<Conv, NotCompact> {
    keeps_sizes(node)?;
    let weights = tensor::weights(graph, node, node.input(1), "weights")?;
    let &[n_out, n_in, 3, 3] = weights.dims.as_slice() else {
        return Err(node.unlike(
            format!("weights of the shape {:?}", weights.dims),
            "[outputs, inputs, 3, 3]",
        ));
    };
    if !(1..=MAX_FEATURES).contains(&n_in) || !(1..=MAX_FEATURES).contains(&n_out) {
        return Err(node.unlike(
            format!("{n_in} inputs and {n_out} outputs"),
            format!("1 to {MAX_FEATURES}"),
        ));
    }
    let bias = match node.input(2) {
        "" => vec![0.0; n_out],
        value => tensor::weights(graph, node, value, "bias")?.numbers,
    };
    if bias.len() != n_out {
        return Err(node.fault(format!("has {} biases for {n_out} outputs", bias.len())));
    }
    let slope = activation
        .map(|node| slope(graph, node, n_out))
        .transpose()?;
    Ok(Conv {
        n_in,
        n_out,
        weights: weights.numbers,
        bias,
        slope,
    })
}

/// Factors of negative values, one for each of `channels`.
fn slope(graph: &Graph, node: &NodeProto, channels: usize) -> Result<Vec<f32>, NotCompact> {
    let shared = match node.operator() {
        "Relu" => 0.0,
        "LeakyRelu" => node.float("alpha", 0.01),
        _ => {
            let slope = tensor::weights(graph, node, node.input(1), "slope")?;
            match (slope.dims.as_slice(), slope.numbers.as_slice()) {
                (&[n, 1, 1] | &[1, n, 1, 1], numbers) if n == channels => {
                    return Ok(numbers.to_vec());
                }
                (_, &[shared]) => shared,
                (dims, _) => {
                    let expected = format!("[{channels}, 1, 1] or [1]");
                    return Err(node.unlike(format!("a slope of the shape {dims:?}"), expected));
                }
            }
        }
    };
    if !shared.is_finite() {
        return Err(node.fault("has a slope that is NaN or infinite"));
    }
    Ok(vec![shared; channels])
}

/// Checks by its attributes that a convolution is 3×3, gives a picture of the same size and joins all channels.
fn keeps_sizes(node: &NodeProto) -> Result<(), NotCompact> {
    let automatic = matches!(node.text("auto_pad", "NOTSET"), "SAME_UPPER" | "SAME_LOWER");
    for (name, wanted, default) in [
        ("kernel_shape", &[3, 3][..], true),
        ("strides", &[1, 1], true),
        ("dilations", &[1, 1], true),
        ("pads", &[1, 1, 1, 1], automatic),
    ] {
        let found = node.ints(name);
        // Automatic padding of a 3×3 kernel is one pixel on each side, whatever `pads` says.
        if found != wanted && !(found.is_empty() && default) && !(name == "pads" && automatic) {
            return Err(node.unlike(format!("{name} {found:?}"), format!("{wanted:?}")));
        }
    }
    if node.text("auto_pad", "NOTSET") == "VALID" {
        return Err(node.unlike("auto_pad VALID", "a padding of one pixel"));
    }
    match node.int("group", 1) {
        1 => Ok(()),
        groups => Err(node.unlike(format!("{groups} groups"), "1")),
    }
}
