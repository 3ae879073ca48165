//! Writing the decided dataset in the formats that trainers read.
//!
//! ```text
//! Dataset ─▶ View (kept pictures, classes numbered anew, boxes inside their pictures)
//!              ├─▶ .coco.new, .yolo.new, .voc.new, … pictures are links      ─┐ all written, then on disk,
//!              └─▶ .tables.new: frames.parquet, README.md, croissant.json    ─┘ then each takes its place
//! ```
//! Every format is a folder of its own, so that it can be copied away alone. `frames.parquet` has a row for every frame
//! that was looked at and comes last: where it is new, everything is.
//!
//! Invariant: nothing partial stands under a final name. Invariant: the same dataset gives the same bytes: no clock, no
//! owner, no path of this machine but what the user gave as input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::dataset::config::{Config, Format};
use crate::dataset::record::Dataset;
use crate::exit::{Exit, OrExit as _};

mod card;
mod coco;
mod columns;
mod croissant;
mod folder;
mod hub;
mod imagefolder;
mod objects;
mod places;
mod provenance;
mod size;
mod tar;
pub(crate) mod text;
pub(crate) mod view;
mod voc;
mod webdataset;
mod yolo;

pub use provenance::{EarlierFrame, read_provenance};
pub use size::gain_bytes;

use folder::NewFolder;
use view::View;

/// Name of the table of all frames.
pub const PROVENANCE: &str = "frames.parquet";
/// Name of the dataset card.
pub const CARD: &str = "README.md";
/// Name of Croissant's description.
pub const CROISSANT: &str = "croissant.json";
/// Where these three are written before they take their places.
const TABLES: &str = "tables";

/// Whether the run is to stop.
pub type Stopped<'a> = &'a dyn Fn() -> bool;

/// A folder or file of the dataset that now stands under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The format's word, or the name of the file.
    pub what: &'static str,
    /// Where it stands.
    pub path: PathBuf,
    /// The pictures in it, or the rows of the table.
    pub items: usize,
}

/// The formats that are written: those asked for, or what fits.
pub fn formats(config: &Config) -> Vec<Format> {
    let mut formats = config.export.formats.clone();
    if formats.is_empty() {
        formats.push(Format::ImageFolder);
        if config.detect.model.is_some() {
            formats.extend([Format::Coco, Format::Yolo]);
        }
    }
    formats.sort_unstable();
    formats.dedup();
    formats
}

/// Folders of formats that an earlier run wrote and this one does not: they show an older dataset.
pub fn outdated(config: &Config, root: &Path) -> Vec<PathBuf> {
    let current = formats(config);
    let others = ALL.into_iter().filter(|format| !current.contains(format));
    let paths = others.map(|format| match format {
        Format::Croissant => root.join(CROISSANT),
        format => root.join(format.word()),
    });
    paths.filter(|path| path.exists()).collect()
}

const ALL: [Format; 7] = [
    Format::Coco,
    Format::Yolo,
    Format::Voc,
    Format::WebDataset,
    Format::ImageFolder,
    Format::Parquet,
    Format::Croissant,
];

/// The dataset that stands in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its pictures; where its table cannot be read, the files of its formats.
    pub pictures: u64,
    /// Pictures of each video, by `video_id`; empty where its table cannot be read.
    pub of_videos: BTreeMap<String, u64>,
}

/// What stands in `root` and would be replaced by [`write()`].
pub fn standing(root: &Path) -> Standing {
    let of_videos = provenance::read_kept(&root.join(PROVENANCE)).unwrap_or_default();
    let pictures = match of_videos.values().sum() {
        0 => ALL
            .map(|format| places::count_pictures(&root.join(format.word())))
            .into_iter()
            .sum(),
        pictures => pictures,
    };
    Standing {
        pictures,
        of_videos,
    }
}

/// Tidies up after a run that was killed while it exported; pictures that lie in `root` are there again afterwards.
///
/// # Errors
/// A leftover cannot be removed.
pub fn recover(root: &Path) -> anyhow::Result<()> {
    for word in ALL.map(Format::word).into_iter().chain([TABLES]) {
        folder::recover(root, word)
            .with_context(|| format!("cannot tidy up in {}", root.display()))
            .or_exit(Exit::CannotCreate)?;
    }
    Ok(())
}

/// Makes sure that the folders that are replaced hold nothing but what an export has written there.
///
/// # Errors
/// [`Exit::CannotCreate`] names what would be lost.
pub fn refuse_foreign(config: &Config, root: &Path) -> anyhow::Result<()> {
    formats(config)
        .into_iter()
        .try_for_each(|format| places::refuse_foreign(format, &root.join(format.word())))
}

/// Writes everything into `root`, the folder of the dataset, and replaces what an earlier run wrote there. Kept frames
/// have a part and a picture; pictures may lie in the folders that are replaced. `None` when it was stopped: everything
/// is then as it was.
///
/// One run at a time may write in `root`.
///
/// # Errors
/// A picture cannot be read, or a place cannot be written.
pub fn write(
    dataset: &Dataset,
    config: &Config,
    root: &Path,
    stopped: Stopped<'_>,
) -> anyhow::Result<Option<Vec<Written>>> {
    recover(root)?;
    refuse_foreign(config, root)?;
    let view = View::new(dataset, config, name(config, root))?;
    match prepare(&view, root, stopped) {
        Ok(prepared) => prepared.publish(&view, root).map(Some),
        Err(_) if stopped() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is written and waits for its place.
struct Prepared {
    folders: Vec<(Format, NewFolder)>,
    tables: NewFolder,
    files: Vec<&'static str>,
}

fn prepare(view: &View<'_>, root: &Path, stopped: Stopped<'_>) -> anyhow::Result<Prepared> {
    let formats = formats(view.config);
    let mut folders = Vec::new();
    for &format in &formats {
        let write = match format {
            Format::Coco => coco::write,
            Format::Yolo => yolo::write,
            Format::Voc => voc::write,
            Format::WebDataset => webdataset::write,
            Format::ImageFolder => imagefolder::write,
            Format::Parquet => hub::write,
            Format::Croissant => continue,
        };
        let folder = NewFolder::create(root, format.word())?;
        write(view, &folder, stopped)?;
        folders.push((format, folder));
    }
    let tables = NewFolder::create(root, TABLES)?;
    provenance::write(view, &tables, PROVENANCE, stopped)?;
    tables.write(CARD, card::card(view, &formats).as_bytes())?;
    let mut files = vec![CARD];
    if formats.contains(&Format::Croissant) {
        let description = croissant::describe(view, &formats, &tables.path(PROVENANCE))?;
        tables.write(CROISSANT, description.as_bytes())?;
        files.push(CROISSANT);
    }
    files.push(PROVENANCE);
    check(stopped)?;
    folder::sync(root)
        .context("cannot wait for the disk")
        .or_exit(Exit::Io)?;
    Ok(Prepared {
        folders,
        tables,
        files,
    })
}

impl Prepared {
    fn publish(self, view: &View<'_>, root: &Path) -> anyhow::Result<Vec<Written>> {
        let mut written = Vec::new();
        // All pictures have their new names already, so the old folders may go one by one.
        for (format, folder) in self.folders {
            written.push(Written {
                what: format.word(),
                path: folder.take_place()?,
                items: view.pictures.len(),
            });
        }
        for name in self.files {
            let items = match name {
                PROVENANCE => view.dataset.frames.len(),
                _ => view.pictures.len(),
            };
            let path = self.tables.publish(name)?;
            written.push(Written {
                what: name,
                path,
                items,
            });
        }
        folder::sync(root)
            .context("cannot wait for the disk")
            .or_exit(Exit::Io)?;
        Ok(written)
    }
}

/// The name of the dataset: the one given, or that of its folder.
pub fn name(config: &Config, root: &Path) -> String {
    let of_folder = || {
        let root = root.canonicalize().ok()?;
        Some(root.file_name()?.to_string_lossy().into_owned())
    };
    let given = config.export.name.clone();
    given.or_else(of_folder).unwrap_or_else(|| "dataset".into())
}

/// SHA-256 of the settings that decide what is in the dataset; those of how the work is done are no part of it.
///
/// # Errors
/// A path in it is not UTF-8.
pub fn config_hash(config: &Config) -> anyhow::Result<String> {
    let mut deciding = json!({
        "extract": config.extract,
        "filter": config.filter,
        "dedup": config.dedup,
        "detect": config.detect,
        "split": config.split,
        "export": config.export,
    });
    for how in ["stall_timeout", "sandbox"] {
        if let Some(extract) = deciding["extract"].as_object_mut() {
            extract.remove(how);
        }
    }
    Ok(hex(Sha256::digest(deciding.to_string()).as_slice()))
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Ends the writing when the run is to stop.
fn check(stopped: Stopped<'_>) -> anyhow::Result<()> {
    anyhow::ensure!(!stopped(), "the export was stopped");
    Ok(())
}
