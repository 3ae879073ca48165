//! The page in pictures: samples of every part, and the duplicates that are doubtful.

use std::collections::HashMap;
use std::path::Path;

use crate::dataset::export::text::markup;
use crate::dataset::export::view::{BoundingBox, Picture};
use crate::dataset::page::tables::more;
use crate::dataset::page::{Page, colour, section};
use crate::dataset::record::{DatasetFrame, Drop};

const MOST_PICTURES: usize = 200;
const MOST_PAIRS: usize = 60;

/// Pictures of every part, evenly taken.
pub(super) fn pictures(page: &Page<'_>) -> String {
    let splits = page.view.splits();
    let room = MOST_PICTURES / splits.len().max(1);
    let mut content = String::new();
    for split in splits {
        let all: Vec<_> = page.view.of(split).collect();
        let shown = all.len().min(room);
        let figures = (0..shown).map(|n| figure(page, all[n * all.len() / shown]));
        content += &format!(
            "<h3>{}: {shown} of {}</h3>\n<div class=\"gallery\">\n{}</div>\n",
            split.word(),
            all.len(),
            figures.collect::<String>()
        );
    }
    section("Pictures", &content)
}

fn figure(page: &Page<'_>, picture: &Picture<'_>) -> String {
    let title = picture.video.downloaded.title.as_deref();
    let caption = format!(
        "{} &middot; {:.1} s{}",
        markup(picture.image_id()),
        picture.frame.frame.pts_secs,
        title.map_or(String::new(), |title| format!("<br>{}", markup(title)))
    );
    format!(
        "<figure>{}<figcaption>{caption}</figcaption></figure>\n",
        image(
            page.address(picture).as_deref(),
            picture.video.size,
            &boxes(page, picture)
        )
    )
}

/// A picture with what is drawn over it, or its place.
fn image(address: Option<&str>, size: [u32; 2], over: &str) -> String {
    let [width, height] = size;
    let Some(address) = address else {
        return "<div class=\"picture none\">no picture file</div>".into();
    };
    let address = markup(address);
    format!(
        "<a class=\"picture\" href=\"{address}\"><img loading=\"lazy\" src=\"{address}\" width=\"{width}\" \
         height=\"{height}\" alt=\"\">{over}</a>"
    )
}

/// The objects as rectangles with their names.
fn boxes(page: &Page<'_>, picture: &Picture<'_>) -> String {
    if picture.boxes.is_empty() {
        return String::new();
    }
    let [width, height] = picture.video.size;
    let letters = f64::from(width) / 22.0;
    let rectangle = |found: &BoundingBox| {
        let ([x, y, w, h], colour) = (found.xywh, colour(found.class));
        format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"none\" stroke=\"{colour}\"/>"
        )
    };
    let label = |found: &BoundingBox| {
        let [x, y, ..] = found.xywh;
        format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{letters:.1}\" stroke-width=\"{:.1}\" fill=\"#fff\">{} {:.2}</text>",
            x + letters * 0.2,
            y + letters,
            letters / 6.0,
            markup(page.view.classes.name(found.class)),
            found.score,
        )
    };
    // The names last, so that no rectangle hides one.
    let rectangles: String = picture.boxes.iter().map(rectangle).collect();
    let labels: String = picture.boxes.iter().map(label).collect();
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\">{rectangles}{labels}</svg>"
    )
}

/// Dropped frames beside those that stand for them, the least alike first.
pub(super) fn duplicates(page: &Page<'_>) -> String {
    let dataset = page.view.dataset;
    let mut pairs: Vec<(&DatasetFrame, &Drop, &str)> = dataset
        .frames
        .iter()
        .filter_map(|frame| {
            let dropped = frame.dropped.as_ref()?;
            Some((frame, dropped, dropped.duplicate_of.as_deref()?))
        })
        .collect();
    let far = |dropped: &Drop| dropped.distance.unwrap_or(0.0);
    // The sort is stable, so equals stay in the order of the dataset.
    pairs.sort_by(|a, b| far(b.1).total_cmp(&far(a.1)));
    let left = pairs.len().saturating_sub(MOST_PAIRS);
    pairs.truncate(MOST_PAIRS);
    if pairs.is_empty() {
        return String::new();
    }
    let pictures = page.view.pictures.iter();
    let kept: HashMap<&str, _> = pictures.map(|p| (p.image_id(), p)).collect();
    let pairs: String = pairs
        .into_iter()
        .map(|(frame, dropped, original)| {
            let distance = dropped
                .distance
                .map_or(String::new(), |d| format!("{d:.3}"));
            let distance = distance.trim_end_matches('0').trim_end_matches('.');
            format!(
                "<div class=\"pair\">{}{}<p>{} {} {distance}</p></div>\n",
                stands_for(page, kept.get(original).copied(), original),
                left_out(page, frame),
                dropped.reason.word(),
                dropped.kind.unwrap_or_default(),
            )
        })
        .collect();
    let content = format!(
        "<p>Left: the picture that is kept. Right: the frame it stands for. The least alike come first.</p>\n\
         <div class=\"pairs\">\n{pairs}</div>\n{}",
        more(left, "pairs")
    );
    section("Duplicates", &content)
}

fn stands_for(page: &Page<'_>, kept: Option<&Picture<'_>>, image_id: &str) -> String {
    let image = match kept {
        Some(picture) => image(page.address(picture).as_deref(), picture.video.size, ""),
        None => image(None, [1, 1], ""),
    };
    format!(
        "<figure>{image}<figcaption>{}</figcaption></figure>",
        markup(image_id)
    )
}

/// The pictures of dropped frames are there only where they were to be kept.
fn left_out(page: &Page<'_>, frame: &DatasetFrame) -> String {
    let size = page.view.dataset.videos[frame.video].size;
    let path = frame.picture.as_deref().filter(|path| path.is_file());
    let address = path.and_then(|path| relative(page.root, path));
    format!(
        "<figure>{}<figcaption>{} &middot; {:.1} s</figcaption></figure>",
        image(address.as_deref(), size, ""),
        markup(&frame.frame.image_id),
        frame.frame.pts_secs
    )
}

/// Address of a file below the page's folder, relative to the page.
fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).ok()?.components();
    let parts = parts.map(|part| Some(encoded(part.as_os_str().to_str()?)));
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

/// A name in an address: what has a meaning there is written by its bytes.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
