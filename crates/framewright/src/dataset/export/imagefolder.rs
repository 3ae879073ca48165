//! Hugging Face's `ImageFolder`: a folder per part with its pictures and `metadata.jsonl`.
//!
//! Format: <https://huggingface.co/docs/datasets/image_dataset#object-detection>. Boxes are `[x, y, width, height]` in
//! pixels.

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

use super::folder::NewFolder;
use super::view::{self, Picture, View};
use super::{Stopped, check};

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

/// Writes the format into an empty folder.
pub(super) fn write(view: &View<'_>, to: &NewFolder, stopped: Stopped<'_>) -> anyhow::Result<()> {
    for split in view.splits() {
        let word = split.word();
        to.make(word)?;
        let name = format!("{word}/metadata.jsonl");
        let mut file = to.file(&name)?;
        for picture in view.of(split) {
            check(stopped)?;
            to.link(picture.path, &format!("{word}/{}", picture.file_name))?;
            let row = serde_json::to_vec(&row(view, picture))?;
            file.write_all(&row)
                .and_then(|()| file.write_all(b"\n"))
                .with_context(|| format!("cannot write {name}"))?;
        }
        file.flush()
            .with_context(|| format!("cannot write {name}"))?;
    }
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
