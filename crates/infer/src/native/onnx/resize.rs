//! `Resize` and `Upsample` nodes: how many times they enlarge, and whether they do it as a Compact network does.

use super::NotCompact;
use super::graph::Graph;
use super::proto::NodeProto;
use super::sizes::{Size, Sizes};

/// The factor of a node that repeats every pixel of the picture `factor × factor` times.
pub(super) fn repetition(
    graph: &Graph,
    sizes: &Sizes,
    node: &NodeProto,
) -> Result<usize, NotCompact> {
    let mode = node.text("mode", "nearest");
    if mode != "nearest" {
        return Err(node.unlike(format!("the mode {mode}"), "nearest"));
    }
    let times = enlargement(graph, sizes, node, 1)?;
    if times.fract() != 0.0 || !(1.0..=4.0).contains(&times) {
        return Err(node.unlike(format!("a factor of {times}"), "1, 2, 3 or 4"));
    }
    let factor = times as usize;
    // Before version 11 the only rule was the one that is called asymmetric and floor since.
    let (centres, rounding) = if graph.opset < 11 {
        ("asymmetric", "floor")
    } else {
        (
            node.text("coordinate_transformation_mode", "half_pixel"),
            node.text("nearest_mode", "round_prefer_floor"),
        )
    };
    if !repeats_pixels(centres, rounding, factor) {
        let found = format!("coordinate_transformation_mode {centres} and nearest_mode {rounding}");
        return Err(node.unlike(
            found,
            format!("a rule that repeats every pixel {factor} times"),
        ));
    }
    Ok(factor)
}

/// Scale and Keys' parameter of a node that resizes the `shuffle` times enlarged picture by a cubic.
///
/// `pytorch_half_pixel` counts as `half_pixel`: the two differ for results that are one pixel wide or high only.
pub(super) fn cubic(
    graph: &Graph,
    sizes: &Sizes,
    node: &NodeProto,
    shuffle: usize,
) -> Result<(usize, f32), NotCompact> {
    let centres = node.text("coordinate_transformation_mode", "half_pixel");
    if !matches!(centres, "half_pixel" | "pytorch_half_pixel") {
        return Err(node.unlike(
            format!("coordinate_transformation_mode {centres}"),
            "half_pixel",
        ));
    }
    for name in ["exclude_outside", "antialias"] {
        if node.int(name, 0) != 0 {
            return Err(node.unlike(name, format!("no {name}")));
        }
    }
    let a = node.float("cubic_coeff_a", -0.75);
    if !a.is_finite() {
        return Err(node.fault("has a cubic_coeff_a that is NaN or infinite"));
    }
    let times = enlargement(graph, sizes, node, shuffle)?;
    // Scales are f32: 2/3 is a little more there. A little less would lose a row of pixels.
    let result = times * shuffle as f64;
    let scale = (result + 1e-9).floor();
    if result - scale > 1e-6 * scale || !(1.0..shuffle as f64).contains(&scale) {
        return Err(node.unlike(
            format!("a factor of {times} after an enlargement by {shuffle}"),
            format!("one that gives a scale from 1 to {}", shuffle - 1),
        ));
    }
    Ok((scale as usize, a))
}

/// How many times larger the result of `node` is than what it takes, which is `before` times the input of the graph.
fn enlargement(
    graph: &Graph,
    sizes: &Sizes,
    node: &NodeProto,
    before: usize,
) -> Result<f64, NotCompact> {
    let unclear =
        || node.fault("computes its result's size in a way that shows no constant factor");
    let policy = node.text("keep_aspect_ratio_policy", "stretch");
    if policy != "stretch" {
        return Err(node.unlike(format!("keep_aspect_ratio_policy {policy}"), "stretch"));
    }
    let axes = match node.ints("axes") {
        [] => &[0, 1, 2, 3],
        axes => axes,
    };
    let upsample = node.operator() == "Upsample";
    let attribute: Vec<Size>;
    let given = |index: usize| {
        sizes
            .list(node.input(index))
            .filter(|list| !list.is_empty())
    };
    let scales = if let Some(scales) = node.attribute("scales").filter(|_| upsample) {
        attribute = scales
            .floats
            .iter()
            .map(|&scale| Size::Number(scale.into()))
            .collect();
        Some(attribute.as_slice())
    } else if graph.opset < 11 || upsample {
        given(1)
    } else {
        given(2)
    };
    let list = scales
        .or_else(|| given(3))
        .filter(|list| list.len() == axes.len())
        .ok_or_else(unclear)?;
    let before = before as f64;
    let mut factors = [1.0; 4];
    for (&axis, &size) in axes.iter().zip(list) {
        let axis = usize::try_from(if axis < 0 { axis + 4 } else { axis })
            .ok()
            .filter(|&axis| axis < 4);
        let axis = axis.ok_or_else(unclear)?;
        factors[axis] = match (size, scales.is_some(), axis) {
            (Size::Number(scale), true, _) => scale,
            (_, true, _) => return Err(unclear()),
            (Size::Number(channels), false, 1) => channels / 3.0,
            (size, false, 0) => sizes.times(size, 0).ok_or_else(unclear)?,
            (size, false, _) => sizes.times(size, axis).ok_or_else(unclear)? / before,
        };
    }
    let [batch, channels, rows, columns] = factors;
    #[expect(clippy::float_cmp, reason = "the same number or not")]
    if rows != columns || batch != 1.0 || channels != 1.0 {
        return Err(node.unlike(
            format!("the factors {batch}, {channels}, {rows}, {columns}"),
            "the same for height and width, 1 for others",
        ));
    }
    Ok(rows)
}

/// Whether a rule of `Resize` takes result pixel x from input pixel x / factor for every x.
///
/// Coordinates as in <https://onnx.ai/onnx/operators/onnx__Resize.html>, inside the picture.
fn repeats_pixels(centres: &str, rounding: &str, factor: usize) -> bool {
    let scale = factor as f64;
    (0..4 * factor).all(|x| {
        let at = match centres {
            "asymmetric" => x as f64 / scale,
            "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric" => {
                (x as f64 + 0.5) / scale - 0.5
            }
            "tf_half_pixel_for_nn" => (x as f64 + 0.5) / scale,
            _ => return false,
        };
        let nearest = match rounding {
            "floor" => at.floor(),
            "ceil" => at.ceil(),
            "round_prefer_floor" => (at - 0.5).ceil(),
            "round_prefer_ceil" => (at + 0.5).floor(),
            _ => return false,
        };
        nearest.max(0.0) as usize == x / factor
    })
}
