//! What an export will take on the disk, told before it begins.
//!
//! Pictures decide it: where they are linked they take nothing, where they lie inside other files they take what they
//! take. Labels and tables are a guess for each picture and object.

use std::fs;
use std::path::Path;

use super::view::View;
use super::{formats, name};
use crate::dataset::config::{Config, Format};
use crate::dataset::record::Dataset;

/// What file systems give out at least.
const BLOCK_BYTES: u64 = 4096;
/// A name in a folder.
const NAME_BYTES: u64 = 64;
/// A picture in a list of pictures, or an object in one.
const ENTRY_BYTES: u64 = 300;
/// A frame in the table of all frames.
const FRAME_BYTES: u64 = 300;
/// The card, the report and what every table has once.
const ONCE_BYTES: u64 = 256 << 10;

/// What the pictures and objects of an export come to.
#[derive(Default)]
struct Counts {
    pictures: u64,
    objects: u64,
    /// Their bytes.
    bytes: u64,
    /// What they take as files of their own.
    as_files: u64,
    /// What they take in tar files, each with its description.
    in_tar: u64,
}

/// Bytes that writing the dataset takes beside what is there.
///
/// # Errors
/// A kept frame has no picture or no part.
pub fn gain_bytes(dataset: &Dataset, config: &Config, root: &Path) -> anyhow::Result<u64> {
    let view = View::new(dataset, config, name(config, root))?;
    let mut counts = Counts::default();
    for picture in &view.pictures {
        // One that cannot be read is told by its writer.
        let bytes = fs::metadata(picture.path).map_or(0, |about| about.len());
        let objects = picture.boxes.len() as u64;
        counts.pictures += 1;
        counts.objects += objects;
        counts.bytes += bytes;
        counts.as_files += bytes.next_multiple_of(BLOCK_BYTES);
        let described = (1 + objects) * ENTRY_BYTES;
        counts.in_tar += 1024 + bytes.next_multiple_of(512) + described.next_multiple_of(512);
    }
    if view
        .pictures
        .first()
        .is_none_or(|first| links(first.path, root))
    {
        counts.as_files = 0;
    }
    let of_formats: u64 = formats(config)
        .into_iter()
        .map(|format| of_format(format, &counts))
        .sum();
    Ok(of_formats + ONCE_BYTES + FRAME_BYTES * dataset.frames.len() as u64)
}

fn of_format(format: Format, counts: &Counts) -> u64 {
    let files = counts.as_files + counts.pictures * NAME_BYTES;
    let entries = (counts.pictures + counts.objects) * ENTRY_BYTES;
    match format {
        Format::Coco | Format::ImageFolder => files + entries,
        Format::Yolo => files + counts.pictures.min(counts.objects) * BLOCK_BYTES,
        Format::Voc => files + counts.pictures * BLOCK_BYTES,
        Format::WebDataset => counts.in_tar,
        Format::Parquet => counts.bytes + entries / 4,
        Format::Croissant => 0,
    }
}

/// Whether a picture can have a second name in the folder of the dataset.
fn links(picture: &Path, root: &Path) -> bool {
    let probe = root.join(format!(".link.{}", std::process::id()));
    let is_linked = fs::hard_link(picture, &probe).is_ok();
    if is_linked {
        // Our own second name; the picture keeps its first.
        let _ = fs::remove_file(&probe);
    }
    is_linked
}
