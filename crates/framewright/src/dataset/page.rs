//! `report.html`: a page to look at the dataset by, one file, without scripts.
//!
//! ```text
//! Dataset + RunFacts ─▶ summary · notes · parts · classes · drops · samples · doubtful duplicates · videos · trouble · stages
//! ```
//! Pictures are links into the dataset's folders, so the page works from the disk as long as it stays where it is.
//!
//! Invariant: every foreign text is escaped; titles and addresses come from strangers. Invariant: the number of pictures
//! and rows is bounded, whatever the size of the dataset.
#![expect(
    clippy::format_collect,
    clippy::format_push_string,
    reason = "made once per run, and a string per row reads better than a fold"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::dataset::config::{Config, Format};
use crate::dataset::export::text::markup;
use crate::dataset::export::view::{Picture, View};
use crate::dataset::export::{formats, name};
use crate::dataset::folder::write_file;
use crate::dataset::record::{Dataset, Split};
use crate::dataset::trouble::Trouble;
use crate::exit::{Exit, OrExit as _};

mod gallery;
mod tables;

/// Name of the page in the dataset's folder.
pub const PAGE: &str = "report.html";

const STYLE: &str = include_str!("page/style.css");

/// What the run did beside the dataset.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// How long the stages worked, in their order.
    pub stages: Vec<StageFacts>,
    /// Videos that are not in the dataset, in input order.
    pub failed: Vec<FailedVideo>,
    /// How long the run took, in seconds.
    pub elapsed_secs: f64,
}

/// How long a stage worked.
#[derive(Debug, Clone)]
pub struct StageFacts {
    /// Its name.
    pub name: String,
    /// Videos it finished.
    pub items: u64,
    /// Seconds of work, of all its workers together.
    pub busy_secs: f64,
    /// Seconds its workers waited for other stages.
    pub waiting_secs: f64,
}

/// A video that is not in the dataset.
#[derive(Debug, Clone)]
pub struct FailedVideo {
    /// What the user gave.
    pub source: String,
    /// Why.
    pub trouble: Trouble,
}

/// Writes the page of a dataset that was exported into `root`; gives its place.
///
/// # Errors
/// The page cannot be written.
pub fn write(
    dataset: &Dataset,
    config: &Config,
    root: &Path,
    facts: &RunFacts,
) -> anyhow::Result<PathBuf> {
    let page = render(dataset, config, root, facts)?;
    let path = root.join(PAGE);
    write_file(&path, page.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
        .or_exit(Exit::Io)?;
    Ok(path)
}

/// The page as text.
///
/// # Errors
/// A kept frame has no picture or no part.
pub fn render(
    dataset: &Dataset,
    config: &Config,
    root: &Path,
    facts: &RunFacts,
) -> anyhow::Result<String> {
    let page = Page {
        view: View::new(dataset, config, name(config, root))?,
        root,
        folder: formats(config).into_iter().find_map(folder),
    };
    let title = markup(&page.view.name);
    let sections = [
        tables::summary(&page, facts),
        tables::notes(&page),
        tables::parts(&page),
        tables::classes(&page),
        tables::drops(&page),
        gallery::pictures(&page),
        gallery::duplicates(&page),
        tables::videos(&page),
        tables::failed(facts),
        tables::stages(facts),
    ];
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file:; \
         style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{}\
         <footer>framewright {}</footer>\n</body>\n</html>\n",
        sections.concat(),
        env!("CARGO_PKG_VERSION"),
    ))
}

/// What the sections are made from.
struct Page<'a> {
    view: View<'a>,
    root: &'a Path,
    /// Where the pictures of a part lie in the first format that has them as files: before and behind the part's word.
    folder: Option<(&'static str, bool)>,
}

/// The folder of a format's pictures, and whether it has a folder per part.
fn folder(format: Format) -> Option<(&'static str, bool)> {
    match format {
        Format::Coco => Some(("coco", true)),
        Format::Yolo => Some(("yolo/images", true)),
        Format::Voc => Some(("voc/JPEGImages", false)),
        Format::ImageFolder => Some(("imagefolder", true)),
        Format::WebDataset | Format::Parquet | Format::Croissant => None,
    }
}

impl Page<'_> {
    /// Address of a kept picture, relative to the page.
    fn address(&self, picture: &Picture<'_>) -> Option<String> {
        let (folder, has_parts) = self.folder?;
        Some(if has_parts {
            format!("{folder}/{}/{}", picture.split.word(), picture.file_name)
        } else {
            format!("{folder}/{}", picture.file_name)
        })
    }

    /// Kept pictures of each part.
    fn counts(&self) -> BTreeMap<Split, usize> {
        let mut counts = BTreeMap::new();
        for picture in &self.view.pictures {
            *counts.entry(picture.split).or_default() += 1;
        }
        counts
    }
}

/// A section of the page; nothing when there is nothing in it.
fn section(title: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{title}</h2>\n{content}</section>\n")
}

/// A colour for each class, far from those of its neighbours: the golden angle apart.
fn colour(class: u32) -> String {
    format!("hsl({:.0} 80% 55%)", f64::from(class) * 137.508 % 360.0)
}
