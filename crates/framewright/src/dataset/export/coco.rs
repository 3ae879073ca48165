//! COCO: `annotations/instances_<part>.json` and the pictures in a folder per part.
//!
//! Format: <https://cocodataset.org/#format-data>. Ids begin at 1. Unknown keys are allowed, so pictures also say which
//! frame of which video they are, and annotations how sure the detector was. Dates are left out: they would make
//! every export another one.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

use super::folder::NewFolder;
use super::view::{self, Picture, View, rounded};
use super::{Stopped, check};
use crate::dataset::record::Split;
use crate::visible;

#[derive(Serialize)]
struct Instances<'a> {
    info: Info<'a>,
    licenses: Vec<Licence<'a>>,
    categories: Vec<Category<'a>>,
    images: Vec<Image<'a>>,
    annotations: Vec<Annotation>,
}

#[derive(Serialize)]
struct Info<'a> {
    description: &'a str,
    version: &'static str,
    contributor: &'static str,
}

#[derive(Serialize)]
struct Licence<'a> {
    id: u32,
    name: &'a str,
    url: &'static str,
}

#[derive(Serialize)]
struct Category<'a> {
    id: u32,
    name: &'a str,
    supercategory: &'static str,
}

#[derive(Serialize)]
struct Image<'a> {
    id: u64,
    width: u32,
    height: u32,
    file_name: &'a str,
    /// 0 where the source states none.
    license: u32,
    video_id: &'a str,
    frame_index: u64,
    pts_secs: f64,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Serialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    category_id: u32,
    bbox: [f64; 4],
    area: f64,
    segmentation: [f64; 0],
    iscrowd: u8,
    score: f64,
}

/// Writes the format into an empty folder.
pub(super) fn write(view: &View<'_>, to: &NewFolder, stopped: Stopped<'_>) -> anyhow::Result<()> {
    to.make("annotations")?;
    for split in view.splits() {
        to.make(split.word())?;
        for picture in view.of(split) {
            check(stopped)?;
            to.link(
                picture.path,
                &format!("{}/{}", split.word(), picture.file_name),
            )?;
        }
        let mut file = to.file(&format!("annotations/instances_{}.json", split.word()))?;
        visible::write_json(&mut file, &instances(view, split))
            .and_then(|()| file.flush().map_err(serde_json::Error::io))
            .with_context(|| format!("cannot write the COCO annotations of {}", split.word()))?;
    }
    Ok(())
}

fn instances<'a>(view: &'a View<'_>, split: Split) -> Instances<'a> {
    let licences = licences(view);
    let names = (1..).zip(&view.classes.names);
    let mut images = Vec::new();
    let mut annotations = Vec::new();
    for (id, picture) in (1..).zip(view.of(split)) {
        images.push(image(id, picture, &licences));
        for found in &picture.boxes {
            let [_, _, width, height] = found.xywh;
            annotations.push(Annotation {
                id: annotations.len() as u64 + 1,
                image_id: id,
                category_id: found.class + 1,
                bbox: found.xywh,
                area: rounded(width * height, 1e3),
                segmentation: [],
                iscrowd: 0,
                score: found.score,
            });
        }
    }
    Instances {
        info: Info {
            description: &view.name,
            version: env!("CARGO_PKG_VERSION"),
            contributor: "framewright",
        },
        licenses: licences
            .iter()
            .map(|(&name, &id)| Licence { id, name, url: "" })
            .collect(),
        categories: names
            .map(|(id, name)| Category {
                id,
                name,
                supercategory: "",
            })
            .collect(),
        images,
        annotations,
    }
}

/// The licences that the sources state, by name.
fn licences<'a>(view: &'a View<'_>) -> BTreeMap<&'a str, u32> {
    let videos = view.dataset.videos.iter();
    let stated: BTreeMap<&str, u32> = videos
        .filter_map(|video| Some((video.downloaded.licence.as_deref()?, 0)))
        .collect();
    stated.into_keys().zip(1..).collect()
}

fn image<'a>(id: u64, picture: &'a Picture<'_>, licences: &BTreeMap<&str, u32>) -> Image<'a> {
    let (video, frame) = (picture.video, &picture.frame.frame);
    let licence = video.downloaded.licence.as_deref();
    Image {
        id,
        width: video.size[0],
        height: video.size[1],
        file_name: &picture.file_name,
        license: licence.map_or(0, |name| licences[name]),
        video_id: &video.video.video_id,
        frame_index: frame.frame_index,
        pts_secs: frame.pts_secs,
        source: view::source(video),
        url: view::address(video),
    }
}
