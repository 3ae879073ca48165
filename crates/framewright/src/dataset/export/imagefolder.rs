//! Hugging Face's `ImageFolder`: a folder per part with its pictures and `metadata.jsonl`.
//!
//! Format: <https://huggingface.co/docs/datasets/image_dataset#object-detection>. Boxes are `[x, y, width, height]` in
//! pixels. The reader guesses the types of JSON from the content and refuses parts of different types, and nothing can be
//! guessed from lists that are all empty: where a part has no object at all, all have `metadata.parquet` instead.

use std::io::Write as _;

use anyhow::Context as _;
use parquet::data_type::{DoubleType, Int64Type};
use serde::Serialize;

use super::columns::{Group, Table, properties};
use super::folder::NewFolder;
use super::objects;
use super::view::{self, Picture, View};
use super::{Stopped, check};
use crate::dataset::record::Split;
use crate::visible;

#[derive(Serialize)]
struct Row<'a> {
    file_name: &'a str,
    image_id: &'a str,
    video_id: &'a str,
    frame_index: u64,
    pts_secs: f64,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Objects>,
}

#[derive(Serialize)]
struct Objects {
    bbox: Vec<[f64; 4]>,
    categories: Vec<u32>,
}

const SCHEMA: &str = "optional binary file_name (UTF8);
    optional binary image_id (UTF8);
    optional binary video_id (UTF8);
    optional int64 frame_index;
    optional double pts_secs;
    optional binary source (UTF8);";

const ROWS_PER_GROUP: usize = 20_000;

/// Writes the format into an empty folder.
pub(super) fn write(view: &View<'_>, to: &NewFolder, stopped: Stopped<'_>) -> anyhow::Result<()> {
    let has_objects = |split: &Split| view.of(*split).any(|picture| !picture.boxes.is_empty());
    let in_json = !view.is_labelled() || view.splits().iter().all(has_objects);
    for split in view.splits() {
        let word = split.word();
        to.make(word)?;
        for picture in view.of(split) {
            check(stopped)?;
            to.link(picture.path, &format!("{word}/{}", picture.file_name))?;
        }
        let pictures: Vec<_> = view.of(split).collect();
        if in_json {
            write_json(view, to, word, &pictures)
        } else {
            write_table(to, word, &pictures)
        }
        .with_context(|| format!("cannot write the metadata of {word}"))?;
    }
    Ok(())
}

fn write_json(
    view: &View<'_>,
    to: &NewFolder,
    word: &str,
    pictures: &[&Picture<'_>],
) -> anyhow::Result<()> {
    let mut file = to.file(&format!("{word}/metadata.jsonl"))?;
    for picture in pictures {
        visible::write_json(&mut file, &row(view, picture))?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(())
}

fn row<'a>(view: &View<'_>, picture: &'a Picture<'_>) -> Row<'a> {
    let objects = || Objects {
        bbox: picture.boxes.iter().map(|found| found.xywh).collect(),
        categories: picture.boxes.iter().map(|found| found.class).collect(),
    };
    Row {
        file_name: &picture.file_name,
        image_id: picture.image_id(),
        video_id: &picture.video.video.video_id,
        frame_index: picture.frame.frame.frame_index,
        pts_secs: picture.frame.frame.pts_secs,
        source: view::source(picture.video),
        objects: view.is_labelled().then(objects),
    }
}

fn write_table(to: &NewFolder, word: &str, pictures: &[&Picture<'_>]) -> anyhow::Result<()> {
    let file = to.file(&format!("{word}/metadata.parquet"))?;
    let schema = format!("message pictures {{ {SCHEMA} {} }}", objects::SCHEMA);
    let mut table = Table::create(file, &schema, properties(&[]).build())?;
    for rows in pictures.chunks(ROWS_PER_GROUP) {
        table.group(rows, columns)?;
    }
    table.finish()
}

fn columns(to: &mut Group<'_, '_, &Picture<'_>>) -> anyhow::Result<()> {
    to.text(|picture| Some(picture.file_name.clone()))?;
    to.text(|picture| Some(picture.image_id().to_owned()))?;
    to.text(|picture| Some(picture.video.video.video_id.to_string()))?;
    to.values::<Int64Type>(|picture| Some(picture.frame.frame.frame_index as i64))?;
    to.values::<DoubleType>(|picture| Some(picture.frame.frame.pts_secs))?;
    to.text(|picture| Some(view::source(picture.video)))?;
    objects::columns(to, |picture| &picture.boxes)
}
