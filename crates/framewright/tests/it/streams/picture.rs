//! What must be the same in the picture itself: colour description, shape, rotation, HDR description.

use serde_json::Value;

use super::compare::{Cell, Pair};
use super::facts::{Stream, side_data};

/// Range, matrix, transfer, primaries and siting stay; what was not said is said now.
pub fn colour(pair: &Pair) -> Cell {
    let (source, output) = (pair.source.video(), pair.output.video());
    let keys = [
        "color_range",
        "color_space",
        "color_transfer",
        "color_primaries",
    ];
    let is_known = |text: &str| text != "unknown" && text != "unspecified";
    for key in keys {
        let (was, is) = (source.text(key), output.text(key));
        if is_known(was) && was != "gbr" && was != is {
            return Err(format!("{key} {is}, was {was}"));
        }
    }
    let siting = source.text("chroma_location");
    let is_420 = source.text("pix_fmt").contains("420");
    if is_420 && is_known(siting) && siting != output.text("chroma_location") {
        return Err(format!(
            "chroma {}, was {siting}",
            output.text("chroma_location")
        ));
    }
    let (space, range) = (output.text("color_space"), output.text("color_range"));
    let is_tagged = is_known(space) && is_known(range);
    let guessed = if is_known(source.text("color_space")) {
        ""
    } else {
        " (guessed)"
    };
    let cell = format!(
        "{space}/{range}/{}{guessed}",
        output.text("chroma_location")
    );
    if is_tagged {
        Ok(cell)
    } else {
        Err(format!("untagged: {cell}"))
    }
}

/// Twice the size, the same pixel shape, the same rotation, the same HDR description.
pub fn geometry(pair: &Pair) -> Cell {
    let (source, output) = (pair.source.video(), pair.output.video());
    let (width, height) = source.size();
    if output.size() != (width * 2, height * 2) {
        return Err(format!("{:?}, was {:?}", output.size(), source.size()));
    }
    let (was, is) = (pixel_shape(source), pixel_shape(output));
    if was != is {
        return Err(format!("pixel shape {is}, was {was}"));
    }
    let mut cell = if was == "1:1" {
        "x2".to_owned()
    } else {
        format!("x2 sar {was}")
    };
    let (before, after) = (
        side_data(pair.source_path, source),
        side_data(pair.output_path, output),
    );
    for name in [
        "Display Matrix",
        "Mastering display metadata",
        "Content light level metadata",
    ] {
        let Some(was) = side_datum(&before, name) else {
            continue;
        };
        let is = side_datum(&after, name);
        let word = name.split_whitespace().next().unwrap_or(name);
        if is.as_ref() == Some(&was) {
            cell.extend([", ", word]);
        } else if is.is_none() && name == "Display Matrix" && pair.said().contains("rotation") {
            cell += ", rotation lost, said";
        } else {
            return Err(format!("{name} {is:?}, was {was:?}"));
        }
    }
    Ok(cell)
}

fn pixel_shape(stream: &Stream) -> String {
    match stream.text("sample_aspect_ratio") {
        "unknown" | "N/A" | "0:1" => "1:1".to_owned(),
        shape => shape.to_owned(),
    }
}

/// The numbers of one kind of side data; of a display matrix only the four that rotate and mirror.
fn side_datum(list: &[Value], name: &str) -> Option<Vec<f64>> {
    let datum = list.iter().find(|datum| datum["side_data_type"] == name)?;
    let Some(matrix) = datum["displaymatrix"].as_str() else {
        return Some(datum.as_object()?.values().filter_map(number).collect());
    };
    let rows = matrix.lines().filter_map(|line| line.split_once(':'));
    let turn = |row: &str| -> Vec<f64> {
        let cells = row.split_whitespace().take(2);
        cells.filter_map(|cell| cell.parse().ok()).collect()
    };
    Some(rows.take(2).flat_map(|(_, row)| turn(row)).collect())
}

/// A number or a fraction, to five digits: bit stream and container write one value with different denominators.
fn number(value: &Value) -> Option<f64> {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let (above, below) = text.split_once('/').unwrap_or((&text, "1"));
    let value = above.parse::<f64>().ok()? / below.parse::<f64>().ok()?;
    Some((value * 1e5).round() / 1e5)
}
