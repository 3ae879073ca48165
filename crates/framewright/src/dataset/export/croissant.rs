//! `croissant.json`: what the dataset consists of, for machines.
//!
//! Format: Croissant 1.1, JSON-LD, <https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html>. The rows of
//! `frames.parquet` are a record set, the pictures of each format that has them as files are file sets.
//! `datePublished` is left to whoever publishes: a date would make every export another one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::provenance::COLUMNS;
use super::view::View;
use super::{PROVENANCE, hex};
use crate::dataset::config::Format;
use crate::visible;

/// The words of the format, as its specification lists them.
const CONTEXT: &str = include_str!("croissant/context.json");

/// The whole description, of a table that lies at `table` for now.
pub(super) fn describe(
    view: &View<'_>,
    formats: &[Format],
    table: &Path,
) -> anyhow::Result<String> {
    let content = fs::read(table).with_context(|| format!("cannot read {}", table.display()))?;
    let config = view.config;
    let mut distribution = vec![json!({
        "@type": "cr:FileObject",
        "@id": PROVENANCE,
        "name": PROVENANCE,
        "description": "A row for every frame that was looked at, kept or not.",
        "contentUrl": PROVENANCE,
        "contentSize": format!("{} B", content.len()),
        "encodingFormat": "application/x-parquet",
        "sha256": hex(Sha256::digest(&content).as_slice()),
    })];
    distribution.extend(formats.iter().filter_map(|format| pictures(view, *format)));
    let context: Value = serde_json::from_str(CONTEXT)?;
    let fallback = "Pictures from videos, chosen by framewright.";
    let mut description = json!({
        "@context": context,
        "@type": "sc:Dataset",
        "dct:conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": view.name,
        "description": config.export.description.as_deref().unwrap_or(fallback),
        "creator": {"@type": "sc:Organization", "name": "framewright"},
        "version": env!("CARGO_PKG_VERSION"),
        "distribution": distribution,
        "recordSet": [splits(view), frames()],
    });
    if let Some(licence) = &config.export.licence {
        description["license"] = json!(licence);
    }
    Ok(visible::json(&serde_json::to_string_pretty(&description)?) + "\n")
}

fn pictures(view: &View<'_>, format: Format) -> Option<Value> {
    let folder = match format {
        Format::Coco => "coco/*",
        Format::Yolo => "yolo/images/*",
        Format::Voc => "voc/JPEGImages",
        Format::ImageFolder => "imagefolder/*",
        Format::WebDataset | Format::Parquet | Format::Croissant => return None,
    };
    let names = view.pictures.iter().map(|picture| &picture.file_name);
    let extensions: BTreeSet<&str> = names.filter_map(|name| name.rsplit('.').next()).collect();
    let kinds = extensions.iter().map(|&extension| match extension {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        _ => "image/webp",
    });
    let kinds: BTreeSet<&str> = kinds.collect();
    let includes = extensions
        .iter()
        .map(|extension| format!("{folder}/*.{extension}"));
    Some(json!({
        "@type": "cr:FileSet",
        "@id": format!("{}-pictures", format.word()),
        "name": format!("{}-pictures", format.word()),
        "description": format!("The pictures of the format {}.", format.word()),
        "encodingFormat": one_or_all(kinds),
        "includes": one_or_all(includes),
    }))
}

/// As JSON-LD likes it: a list only where there are several.
fn one_or_all<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Value {
    let mut values: Vec<Value> = values.into_iter().map(Into::into).collect();
    match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}

fn splits(view: &View<'_>) -> Value {
    let rows = view.splits().into_iter().map(|split| {
        json!({"splits/name": split.word(), "splits/url": match split.word() {
            "train" => "cr:TrainingSplit",
            "val" => "cr:ValidationSplit",
            _ => "cr:TestSplit",
        }})
    });
    json!({
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The parts of the dataset.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "splits/name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "splits/url", "dataType": "sc:URL"},
        ],
        "data": rows.collect::<Value>(),
    })
}

fn frames() -> Value {
    let plain = COLUMNS.into_iter().filter(|(name, _)| *name != "objects");
    let fields = plain.map(|(name, meaning)| {
        let id = format!("frames/{name}");
        let mut field = json!({
            "@type": "cr:Field",
            "@id": id,
            "name": id,
            "description": meaning,
            "dataType": data_type(name),
            "source": {"fileObject": {"@id": PROVENANCE}, "extract": {"column": name}},
        });
        if name == "split" {
            field["references"] = json!({"field": {"@id": "splits/name"}});
        }
        field
    });
    json!({
        "@type": "cr:RecordSet",
        "@id": "frames",
        "name": "frames",
        "description": "Every frame that was looked at.",
        "key": {"@id": "frames/image_id"},
        "field": fields.collect::<Value>(),
    })
}

fn data_type(column: &str) -> &'static str {
    match column {
        "keyframe" | "kept" => "sc:Boolean",
        "frame_index" | "width" | "height" => "sc:Integer",
        "pts_secs" | "distance" | "sharpness" | "brightness" | "contrast" | "border"
        | "text_score" => "sc:Float",
        "url" => "sc:URL",
        _ => "sc:Text",
    }
}
