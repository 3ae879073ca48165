//! Pascal VOC: `JPEGImages/`, `Annotations/` with an XML file per picture, `ImageSets/Main/` with the parts.
//!
//! Format: the development kit of VOC 2012. Boxes are whole pixels, 1-based, both corners inside.

use std::fmt::Write as _;

use super::folder::NewFolder;
use super::text;
use super::view::{self, Picture, View};
use super::{Stopped, check};

/// Writes the format into an empty folder.
pub(super) fn write(view: &View<'_>, to: &NewFolder, stopped: Stopped<'_>) -> anyhow::Result<()> {
    for folder in ["JPEGImages", "Annotations", "ImageSets/Main"] {
        to.make(folder)?;
    }
    for split in view.splits() {
        let mut names = String::new();
        for picture in view.of(split) {
            check(stopped)?;
            to.link(picture.path, &format!("JPEGImages/{}", picture.file_name))?;
            let name = picture.image_id();
            to.write(
                &format!("Annotations/{name}.xml"),
                annotation(view, picture).as_bytes(),
            )?;
            names += name;
            names.push('\n');
        }
        to.write(
            &format!("ImageSets/Main/{}.txt", split.word()),
            names.as_bytes(),
        )?;
    }
    Ok(())
}

fn annotation(view: &View<'_>, picture: &Picture<'_>) -> String {
    let [width, height] = picture.video.size;
    let mut xml = format!(
        "<annotation>\n  <folder>JPEGImages</folder>\n  <filename>{}</filename>\n  <source>\n    \
         <database>{}</database>\n    <annotation>framewright</annotation>\n    <image>{}</image>\n  </source>\n  \
         <size>\n    <width>{width}</width>\n    <height>{height}</height>\n    <depth>3</depth>\n  </size>\n  \
         <segmented>0</segmented>\n",
        picture.file_name,
        text::xml(&view.name),
        text::xml(&view::source(picture.video)),
    );
    for found in &picture.boxes {
        let [left, top, right, bottom] = corners(found.xywh, picture.video.size);
        // Writing to a string does not fail.
        let _ = write!(
            xml,
            "  <object>\n    <name>{}</name>\n    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n    \
             <difficult>0</difficult>\n    <bndbox>\n      <xmin>{left}</xmin>\n      <ymin>{top}</ymin>\n      \
             <xmax>{right}</xmax>\n      <ymax>{bottom}</ymax>\n    </bndbox>\n  </object>\n",
            text::xml(view.classes.name(found.class)),
        );
    }
    xml + "</annotation>\n"
}

/// The first and the last pixel that the box touches, counted from 1.
fn corners(xywh: [f64; 4], size: [u32; 2]) -> [u32; 4] {
    let [x, y, w, h] = xywh;
    let first = |from: f64, size: u32| (from.floor() as u32 + 1).min(size);
    let last = |to: f64, size: u32, first: u32| (to.ceil() as u32).clamp(first, size);
    let (left, top) = (first(x, size[0]), first(y, size[1]));
    let (right, bottom) = (last(x + w, size[0], left), last(y + h, size[1], top));
    [left, top, right, bottom]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_pixels_from_one_both_inside() {
        assert_eq!(corners([0.0, 0.0, 10.0, 8.0], [10, 8]), [1, 1, 10, 8]);
        assert_eq!(corners([2.5, 3.0, 1.0, 1.0], [10, 8]), [3, 4, 4, 4]);
        assert_eq!(
            corners([9.999, 7.999, 0.001, 0.001], [10, 8]),
            [10, 8, 10, 8]
        );
    }
}
