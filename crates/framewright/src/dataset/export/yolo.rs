//! YOLO: `images/<part>/`, `labels/<part>/` and `data.yaml`, as Ultralytics reads it.
//!
//! Format: <https://docs.ultralytics.com/datasets/detect/>. A row is `class xc yc w h`, relative to the picture, classes
//! from 0. The labels of a picture are found by putting `labels` for the last `images` of its path; a picture without
//! objects has no file. `data.yaml` has no `path`, so that its own folder counts wherever the dataset is moved to: a
//! relative one would be looked for in the working directory first.

use std::fmt::Write as _;

use super::folder::NewFolder;
use super::text::yaml;
use super::view::{Picture, View};
use super::{Stopped, check};
use crate::dataset::record::Split;

/// Writes the format into an empty folder.
pub(super) fn write(view: &View<'_>, to: &NewFolder, stopped: Stopped<'_>) -> anyhow::Result<()> {
    for split in written(view) {
        let word = split.word();
        to.make(&format!("images/{word}"))?;
        to.make(&format!("labels/{word}"))?;
        for picture in view.of(split) {
            check(stopped)?;
            to.link(
                picture.path,
                &format!("images/{word}/{}", picture.file_name),
            )?;
            if !picture.boxes.is_empty() {
                let name = format!("labels/{word}/{}.txt", picture.image_id());
                to.write(&name, rows(picture).as_bytes())?;
            }
        }
    }
    to.write("data.yaml", data_yaml(view).as_bytes())
}

/// The readers refuse a dataset without these two.
fn written(view: &View<'_>) -> Vec<Split> {
    let mut splits = vec![Split::Train, Split::Val];
    if view.of(Split::Test).next().is_some() {
        splits.push(Split::Test);
    }
    splits
}

fn rows(picture: &Picture<'_>) -> String {
    let [width, height] = picture.video.size.map(f64::from);
    let mut rows = String::new();
    for found in &picture.boxes {
        let [x, y, w, h] = found.xywh;
        let (xc, yc) = ((x + w / 2.0) / width, (y + h / 2.0) / height);
        let (w, h) = (w / width, h / height);
        // Writing to a string does not fail.
        let _ = writeln!(rows, "{} {xc:.6} {yc:.6} {w:.6} {h:.6}", found.class);
    }
    rows
}

/// The description of the folder.
pub(super) fn data_yaml(view: &View<'_>) -> String {
    let mut text = format!("# {}\n", view.name.replace(char::is_control, " "));
    for split in written(view) {
        let word = split.word();
        let _ = writeln!(text, "{word}: images/{word}");
    }
    text += if view.classes.names.is_empty() {
        "names: {}\n"
    } else {
        "names:\n"
    };
    for (number, name) in view.classes.names.iter().enumerate() {
        let _ = writeln!(text, "  {number}: {}", yaml(name));
    }
    text
}
