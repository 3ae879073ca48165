//! `WebDataset`: tar files `<part>-000000.tar` with a picture and a JSON file per sample.
//!
//! Format: <https://github.com/webdataset/webdataset>. The key of a sample is the name up to its first dot, its members
//! stand one after the other.

use anyhow::Context as _;
use serde_json::json;

use super::folder::NewFolder;
use super::tar::Tar;
use super::view::{self, Picture, View};
use super::{Stopped, check};
use crate::dataset::readback;
use crate::visible;

/// Writes the format into an empty folder.
pub(super) fn write(view: &View<'_>, to: &NewFolder, stopped: Stopped<'_>) -> anyhow::Result<()> {
    for split in view.splits() {
        let pictures: Vec<_> = view.of(split).collect();
        let shards = pictures.chunks(view.config.export.shard_size.max(1));
        for (number, shard) in shards.enumerate() {
            let name = format!("{}-{number:06}.tar", split.word());
            let mut tar = Tar::new(to.file(&name)?);
            for picture in shard {
                check(stopped)?;
                let bytes = readback::bytes(picture.path, u64::MAX)
                    .with_context(|| format!("cannot read {}", picture.path.display()))?;
                let said = visible::json(&said(view, picture).to_string());
                tar.add(&picture.file_name, &bytes)
                    .and_then(|()| {
                        tar.add(&format!("{}.json", picture.image_id()), said.as_bytes())
                    })
                    .with_context(|| format!("cannot write {name}"))?;
            }
            tar.finish()
                .with_context(|| format!("cannot write {name}"))?;
        }
    }
    Ok(())
}

fn said(view: &View<'_>, picture: &Picture<'_>) -> serde_json::Value {
    let (video, frame) = (picture.video, &picture.frame.frame);
    let mut said = json!({
        "image_id": frame.image_id,
        "width": video.size[0],
        "height": video.size[1],
        "video_id": video.video.video_id,
        "frame_index": frame.frame_index,
        "pts_secs": frame.pts_secs,
        "source": view::source(video),
        "url": view::address(video),
        "title": video.downloaded.title,
        "licence": video.downloaded.licence,
    });
    if view.is_labelled() {
        let objects = picture.boxes.iter().map(|found| {
            json!({
                "class": found.class,
                "label": view.classes.name(found.class),
                "score": found.score,
                "bbox": found.xywh,
            })
        });
        said["objects"] = objects.collect();
    }
    said
}
