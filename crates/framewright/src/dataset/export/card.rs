//! `README.md`: the dataset card for people and for Hugging Face's hub.
//!
//! Format: <https://huggingface.co/docs/hub/datasets-cards>; the head is YAML and tells the hub which files are which part.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::text::{markdown, yaml};
use super::view::View;
use super::{hub, provenance};
use crate::dataset::config::Format;
use crate::dataset::record::{DropReason, Split};

/// The whole card.
pub(super) fn card(view: &View<'_>, formats: &[Format]) -> String {
    let mut text = String::new();
    let written = head(view, formats, &mut text).and_then(|()| body(view, formats, &mut text));
    written.unwrap_or_else(|_| unreachable!("a string takes all text"));
    text
}

fn head(view: &View<'_>, formats: &[Format], to: &mut String) -> std::fmt::Result {
    writeln!(to, "---\npretty_name: {}", yaml(&view.name))?;
    if let Some(licence) = &view.config.export.licence {
        // The hub knows licences by identifiers such as cc-by-4.0; any other is told by its name.
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
        };
        if licence.bytes().all(fits) && !licence.is_empty() {
            writeln!(to, "license: {}", yaml(licence))?;
        } else {
            writeln!(to, "license: other\nlicense_name: {}", yaml(licence))?;
        }
    }
    let task = if view.is_labelled() {
        "object-detection"
    } else {
        "image-feature-extraction"
    };
    let size = match view.pictures.len() {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        _ => "1M<n<10M",
    };
    writeln!(
        to,
        "task_categories:\n- {task}\nsize_categories:\n- {size}\ntags:\n- video-frames\n- framewright"
    )?;
    configs(view, formats, to)?;
    writeln!(to, "---\n")
}

/// What `load_dataset` reads without being told: the Parquet files, or else the folders of pictures.
fn configs(view: &View<'_>, formats: &[Format], to: &mut String) -> std::fmt::Result {
    let path = |split: Split| {
        if formats.contains(&Format::Parquet) {
            Some(format!("parquet/data/{}-*.parquet", hub::word(split)))
        } else if formats.contains(&Format::ImageFolder) {
            Some(format!("imagefolder/{}/**", split.word()))
        } else {
            None
        }
    };
    for (n, split) in view.splits().into_iter().enumerate() {
        let Some(path) = path(split) else {
            return Ok(());
        };
        if n == 0 {
            writeln!(to, "configs:\n- config_name: default\n  data_files:")?;
        }
        writeln!(to, "  - split: {}\n    path: {path}", hub::word(split))?;
    }
    Ok(())
}

fn body(view: &View<'_>, formats: &[Format], to: &mut String) -> std::fmt::Result {
    let (dataset, config) = (view.dataset, view.config);
    writeln!(to, "# {}\n", markdown(&view.name))?;
    if let Some(description) = &config.export.description {
        writeln!(to, "{}\n", markdown(description))?;
    }
    writeln!(
        to,
        "{} pictures, chosen from {} frames of {} videos by framewright {}.\n",
        view.pictures.len(),
        dataset.frames.len(),
        dataset.videos.len(),
        env!("CARGO_PKG_VERSION"),
    )?;
    splits(view, to)?;
    classes(view, to)?;
    drops(view, to)?;
    files(formats, to)?;
    licences(view, to)?;
    writeln!(to, "## Every frame that was looked at\n")?;
    writeln!(to, "`frames.parquet` has a row for each, kept or not.\n")?;
    writeln!(to, "| Column | What it is |\n|---|---|")?;
    for (name, meaning) in provenance::COLUMNS {
        writeln!(to, "| `{name}` | {} |", markdown(meaning))?;
    }
    if !dataset.notes.is_empty() {
        writeln!(to, "\n## Notes\n")?;
        for note in &dataset.notes {
            writeln!(to, "* {}", markdown(note))?;
        }
    }
    Ok(())
}

fn splits(view: &View<'_>, to: &mut String) -> std::fmt::Result {
    writeln!(to, "## Parts\n")?;
    writeln!(
        to,
        "Frames of one video, and of videos that share frames or content, are in the same part, unless a note below \
         says otherwise.\n"
    )?;
    writeln!(
        to,
        "| Part | Pictures | Objects | Videos | Groups |\n|---|---:|---:|---:|---:|"
    )?;
    for split in view.splits() {
        let objects: usize = view.of(split).map(|picture| picture.boxes.len()).sum();
        let videos: BTreeSet<_> = view.of(split).map(|p| p.frame.video).collect();
        let groups: BTreeSet<_> = view.of(split).map(|p| &p.frame.group).collect();
        writeln!(
            to,
            "| {} | {} | {objects} | {} | {} |",
            split.word(),
            view.of(split).count(),
            videos.len(),
            groups.len(),
        )?;
    }
    writeln!(to)
}

fn classes(view: &View<'_>, to: &mut String) -> std::fmt::Result {
    if !view.is_labelled() {
        return Ok(());
    }
    let mut counts = vec![0_usize; view.classes.names.len()];
    let boxes = view.pictures.iter().flat_map(|picture| &picture.boxes);
    boxes.for_each(|found| counts[found.class as usize] += 1);
    writeln!(to, "## Classes\n")?;
    writeln!(
        to,
        "The labels were made by a detector and looked at by nobody. Its model may put terms on them.\n"
    )?;
    writeln!(to, "| Number | Class | Objects |\n|---:|---|---:|")?;
    for (number, (name, count)) in view.classes.names.iter().zip(&counts).enumerate() {
        if *count > 0 || counts.len() <= 100 {
            writeln!(to, "| {number} | {} | {count} |", markdown(name))?;
        }
    }
    writeln!(to)
}

fn drops(view: &View<'_>, to: &mut String) -> std::fmt::Result {
    let mut counts: BTreeMap<DropReason, usize> = BTreeMap::new();
    for frame in &view.dataset.frames {
        if let Some(dropped) = &frame.dropped {
            *counts.entry(dropped.reason).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(to, "## Left out\n\n| Reason | Frames |\n|---|---:|")?;
    for (reason, count) in counts {
        writeln!(to, "| {} | {count} |", reason.word())?;
    }
    writeln!(to)
}

fn files(formats: &[Format], to: &mut String) -> std::fmt::Result {
    writeln!(to, "## Files\n")?;
    for format in formats {
        let about = match format {
            Format::Coco => {
                "`coco/`: COCO, `annotations/instances_<part>.json` beside a folder of pictures per part"
            }
            Format::Yolo => {
                "`yolo/`: give its `data.yaml` by an absolute path: older readers look for another in a place of their own"
            }
            Format::Voc => "`voc/`: Pascal VOC",
            Format::WebDataset => "`webdataset/`: tar files, `<part>-{000000..}.tar`",
            Format::ImageFolder => {
                "`imagefolder/`: `load_dataset(\"imagefolder\", data_dir=\"imagefolder\")`"
            }
            Format::Parquet => "`parquet/`: Parquet files with the pictures inside",
            Format::Croissant => "`croissant.json`: Croissant's description of it all",
        };
        writeln!(to, "* {about}")?;
    }
    writeln!(
        to,
        "\nPictures of several formats are one file under several names (hard links): copy before editing one in place.\n"
    )
}

fn licences(view: &View<'_>, to: &mut String) -> std::fmt::Result {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for video in &view.dataset.videos {
        let licence = video.downloaded.licence.as_deref().unwrap_or("not stated");
        *counts.entry(licence).or_default() += 1;
    }
    writeln!(to, "## Rights in the sources\n")?;
    writeln!(
        to,
        "The pictures are frames of the videos below and remain subject to the rights in them.\n"
    )?;
    writeln!(
        to,
        "| Licence as the source states it | Videos |\n|---|---:|"
    )?;
    for (licence, count) in counts {
        writeln!(to, "| {} | {count} |", markdown(licence))?;
    }
    writeln!(to)
}
