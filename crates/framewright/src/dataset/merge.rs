//! `dataset merge`: the parts of a sharded run become one dataset, the same that one run would have made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;

use super::config::{Config, Stage};
use super::folder::{Folder, read_json, write_json};
use super::listing::Listing;
use super::run::{Prepared, config_of};
use super::work::{FAILURE, file_of};
use crate::exit::{Exit, fail};
use crate::screen::Screen;

/// Joins the folders of sharded runs.
///
/// # Errors
/// The parts do not belong together, or something cannot be read or written.
pub fn merge(
    parts: &[PathBuf],
    output: &Path,
    json: bool,
    screen: &Screen,
) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let parts: Vec<Folder> = parts
        .iter()
        .map(|part| Folder::open(part))
        .collect::<anyhow::Result<_>>()?;
    let locks = parts
        .iter()
        .map(|part| part.lock(None))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (config, listing) = agreed(&parts)?;
    let folder = Folder::create(output)?;
    let lock = folder.lock(None)?;
    for video in &listing.inputs.videos {
        let of = |part: &Folder| part.video(&video.video_id);
        let knowing = parts.iter().map(of).filter(|its| knows(its));
        // One that has come further goes before one where it failed.
        if let Some(best) = knowing.min_by_key(|its| its.join(FAILURE).exists()) {
            take_over(&best, &folder.video(&video.video_id))?;
        }
    }
    drop(locks);
    let config = Config {
        output: Some(std::path::absolute(output)?),
        ..config
    };
    write_json(&folder.config(), &config)?;
    write_json(&folder.inputs(), &listing)?;
    Prepared::new(config, folder, lock, Some(listing), screen)?.finish(json, started)
}

/// The configuration and the inputs that all parts were made with.
fn agreed(parts: &[Folder]) -> anyhow::Result<(Config, Listing)> {
    let of = |part: &Folder| {
        let config = config_of(part)?;
        let listing: Listing = read_json(&part.inputs())
            .with_context(|| format!("the inputs of {} cannot be read", part.root().display()))?;
        anyhow::Ok((comparable(config), listing))
    };
    let first = of(&parts[0])?;
    for part in &parts[1..] {
        let other = of(part)?;
        // Whether a part came to its end is its own affair.
        let same_inputs = other.1.inputs == first.1.inputs;
        if other.0 != first.0 || !same_inputs {
            let what = if same_inputs {
                "configuration"
            } else {
                "inputs"
            };
            let message = format!(
                "the parts do not belong together: {} was made with another {what} than {}",
                part.root().display(),
                parts[0].root().display()
            );
            return Err(fail(Exit::Config, message));
        }
    }
    Ok(first)
}

/// A configuration without what may differ between the parts of one run.
fn comparable(mut config: Config) -> Config {
    config.output = None;
    config.run = super::config::RunConfig {
        keep: config.run.keep,
        ..super::config::RunConfig::default()
    };
    config
}

/// Whether a part has come to an end with a video, be it a bad one.
fn knows(its: &Path) -> bool {
    its.join(file_of(Stage::Extract)).exists() || its.join(FAILURE).exists()
}

/// Takes over what one part knows of a video; pictures become second names of the same files where that is possible.
fn take_over(from: &Path, to: &Path) -> anyhow::Result<()> {
    // Whatever an earlier merge has left may be half of it, or older.
    let _ = fs::remove_dir_all(to);
    copy_folder(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut entries = fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
    // What a stage learned comes after what it wrote, so that a kill in between leaves it undone.
    entries.sort_by_key(|entry| {
        (
            entry.path().extension().is_some_and(|kind| kind == "json"),
            entry.file_name(),
        )
    });
    for entry in entries {
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if fs::hard_link(entry.path(), &target).is_err() {
            crate::durable::write(&target, &fs::read(entry.path())?)?;
        }
    }
    Ok(())
}
