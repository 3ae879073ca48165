//! What every format is made from: the kept pictures with their names, sizes and boxes.
//!
//! Invariant: every box lies inside its picture, has an area, and is rounded once, here, so that all formats agree.

use std::collections::BTreeMap;
use std::path::Path;

use crate::dataset::config::Config;
use crate::dataset::record::{Dataset, DatasetFrame, DatasetVideo, Location, Object, Split};

/// The dataset as it is written.
pub(crate) struct View<'a> {
    /// Name of the dataset.
    pub(crate) name: String,
    /// What is decided.
    pub(crate) dataset: &'a Dataset,
    /// How it came about.
    pub(crate) config: &'a Config,
    /// Which classes are written, and as what.
    pub(crate) classes: Classes,
    /// The kept pictures, in the order of the dataset.
    pub(crate) pictures: Vec<Picture<'a>>,
}

/// A kept picture.
pub(crate) struct Picture<'a> {
    pub(crate) video: &'a DatasetVideo,
    pub(crate) frame: &'a DatasetFrame,
    pub(crate) split: Split,
    /// `<image_id>.<extension>`
    pub(crate) file_name: String,
    /// Where it lies now.
    pub(crate) path: &'a Path,
    pub(crate) boxes: Vec<BoundingBox>,
}

impl Picture<'_> {
    /// Name without dots, the same in all formats.
    pub(crate) fn image_id(&self) -> &str {
        &self.frame.frame.image_id
    }
}

/// An object as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoundingBox {
    /// Number of the class among the written ones, from 0.
    pub(crate) class: u32,
    /// Confidence, 0 to 1.
    pub(crate) score: f64,
    /// Left, top, width and height in pixels, to a thousandth.
    pub(crate) xywh: [f64; 4],
}

impl<'a> View<'a> {
    /// # Errors
    /// A kept frame has no picture or no part: a mistake of the caller's.
    pub(crate) fn new(
        dataset: &'a Dataset,
        config: &'a Config,
        name: String,
    ) -> anyhow::Result<Self> {
        let classes = Classes::new(dataset, config);
        let kept = dataset.frames.iter().filter(|frame| frame.is_kept());
        let pictures = kept.map(|frame| picture(dataset, &classes, frame));
        Ok(Self {
            name,
            dataset,
            config,
            pictures: pictures.collect::<anyhow::Result<_>>()?,
            classes,
        })
    }

    /// Whether a detector looked at the pictures.
    pub(crate) fn is_labelled(&self) -> bool {
        !self.classes.names.is_empty()
    }

    /// The pictures of a part.
    pub(crate) fn of(&self, split: Split) -> impl Iterator<Item = &Picture<'a>> {
        self.pictures.iter().filter(move |p| p.split == split)
    }

    /// The parts that have pictures, in the order of tables.
    pub(crate) fn splits(&self) -> Vec<Split> {
        let has_any = |split: &Split| self.of(*split).next().is_some();
        Split::ALL.into_iter().filter(has_any).collect()
    }
}

fn picture<'a>(
    dataset: &'a Dataset,
    classes: &Classes,
    frame: &'a DatasetFrame,
) -> anyhow::Result<Picture<'a>> {
    let image_id = &frame.frame.image_id;
    let (Some(split), Some(path)) = (frame.split, &frame.picture) else {
        anyhow::bail!("the kept frame {image_id} has no part or no picture");
    };
    anyhow::ensure!(
        is_plain(image_id),
        "the name of a picture has only letters, digits, _ and -: {image_id:?}"
    );
    let video = &dataset.videos[frame.video];
    Ok(Picture {
        video,
        frame,
        split,
        file_name: file_name(frame).unwrap_or_else(|| format!("{image_id}.jpg")),
        path,
        boxes: classes.boxes(frame, video.size),
    })
}

/// Whether a name is one of a picture, in every format: letters, digits, `_` and `-`.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.bytes().all(plain)
}

/// Name of a kept frame's picture in every format; none for other frames.
pub(crate) fn file_name(frame: &DatasetFrame) -> Option<String> {
    let path = frame.picture.as_ref().filter(|_| frame.is_kept())?;
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(format!("{}.{extension}", frame.frame.image_id))
}

/// The address of a video without user name and password; none for files.
pub(crate) fn address(video: &DatasetVideo) -> Option<String> {
    match &video.video.location {
        Location::File(_) => None,
        Location::Http(url) | Location::Page(url) => Some(without_credentials(url)),
    }
}

/// What the user gave for a video. A password in an address stays with the user.
pub(crate) fn source(video: &DatasetVideo) -> String {
    without_credentials(&video.video.source)
}

/// An address without user name and password; any other text as it is.
pub(crate) fn without_credentials(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else {
        return text.to_owned();
    };
    if url.username().is_empty() && url.password().is_none() {
        return text.to_owned();
    }
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_or_else(|()| text.to_owned(), |()| url.into())
}

/// The classes that are written: the wanted ones of the detector, in its order, numbered anew without gaps.
pub(crate) struct Classes {
    /// Names by the new number.
    pub(crate) names: Vec<String>,
    /// From the detector's number to the new one.
    new: BTreeMap<u32, u32>,
}

impl Classes {
    pub(crate) fn new(dataset: &Dataset, config: &Config) -> Self {
        let wanted = &config.detect.classes;
        let mut all = dataset.class_names.clone();
        // A detector without names is still worth its numbers.
        let seen = dataset.frames.iter().flat_map(objects).map(|o| o.class + 1);
        for number in all.len() as u32..seen.max().unwrap_or(0) {
            all.push(format!("class_{number}"));
        }
        let all = all.into_iter().enumerate();
        let kept = all.filter(|(_, name)| wanted.is_empty() || wanted.contains(name));
        let (old, names): (Vec<usize>, Vec<String>) = kept.unzip();
        let new = (0..).zip(old).map(|(new, old)| (old as u32, new)).collect();
        Self { names, new }
    }

    /// What is written of a frame's objects.
    pub(crate) fn boxes(&self, frame: &DatasetFrame, size: [u32; 2]) -> Vec<BoundingBox> {
        let written = |object: &Object| {
            Some(BoundingBox {
                class: *self.new.get(&object.class)?,
                score: rounded(f64::from(object.score), 1e4),
                xywh: inside(object.bbox, size)?,
            })
        };
        objects(frame).filter_map(written).collect()
    }

    /// The name of a written class.
    pub(crate) fn name(&self, class: u32) -> &str {
        &self.names[class as usize]
    }
}

fn objects(frame: &DatasetFrame) -> impl Iterator<Item = &Object> {
    frame.labels.objects.iter().flatten()
}

/// A box cut to its picture and rounded; none where nothing is left of it.
fn inside(bbox: [f32; 4], size: [u32; 2]) -> Option<[f64; 4]> {
    let [x, y, w, h] = bbox.map(f64::from);
    let edge = |at: f64, limit: u32| rounded(at.clamp(0.0, f64::from(limit)), 1e3);
    let (left, right) = (edge(x, size[0]), edge(x + w, size[0]));
    let (top, bottom) = (edge(y, size[1]), edge(y + h, size[1]));
    let (width, height) = (rounded(right - left, 1e3), rounded(bottom - top, 1e3));
    // Also false for NaN.
    (width > 0.0 && height > 0.0).then_some([left, top, width, height])
}

/// To the nearest of `steps` per unit.
pub(crate) fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_written_box_lies_in_its_picture(
            bbox in prop::array::uniform4(-50.0_f32..150.0),
            size in prop::array::uniform2(1_u32..100),
        ) {
            if let Some([x, y, w, h]) = inside(bbox, size) {
                prop_assert!(x >= 0.0 && y >= 0.0 && w > 0.0 && h > 0.0);
                prop_assert!(x + w <= f64::from(size[0]) + 1e-9);
                prop_assert!(y + h <= f64::from(size[1]) + 1e-9);
            }
        }
    }

    #[test]
    fn what_is_no_box_is_not_written() {
        for bbox in [
            [0.0, 0.0, f32::NAN, 5.0],
            [20.0, 0.0, 5.0, 5.0],
            [1.0, 1.0, 0.0, 3.0],
        ] {
            assert_eq!(inside(bbox, [10, 10]), None);
        }
    }

    #[test]
    fn a_password_stays_with_the_user() {
        assert_eq!(
            without_credentials("https://me:secret@example.org/a?b=c"),
            "https://example.org/a?b=c"
        );
        for text in ["https://example.org/%41", "films/a: b.mp4", "C:\\films"] {
            assert_eq!(without_credentials(text), text);
        }
    }
}
