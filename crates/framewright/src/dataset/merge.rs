//! `dataset merge`: the parts of a sharded run become one dataset, the same that one run would have made.
//!
//! A part may have come from anywhere. Of each video only its records, its pictures and its film are taken, by their names
//! and when they are plain files; `gather` then reads them as it reads any other.
//!
//! Invariant: the parts are not changed, and a video that the merged dataset has is never replaced by one that failed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::config::{Config, Stage};
use super::export;
use super::extract::FRAMES;
use super::folder::{Folder, write_json};
use super::listing::{self, Listing};
use super::readback;
use super::record::Video;
use super::registry::Failure;
use super::run::{Prepared, config_of};
use super::trouble::{Class, Setback, Trouble};
use super::video_folder::VideoFolder;
use super::work::{FAILURE, PER_VIDEO, file_of};
use crate::exit::{Exit, OrExit as _, fail};
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
    refuse_overlap(&parts, output)?;
    let locks = parts
        .iter()
        .map(|part| part.lock(None))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (config, listing) = agreed(&parts)?;
    let folder = Folder::create(output)?;
    let lock = folder.lock(None)?;
    refuse_other_dataset(&folder, &listing)?;
    for video in &listing.inputs.videos {
        take_best(&parts, &folder, video)?;
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

/// Each part is another folder, and the merged dataset replaces nothing of them.
fn refuse_overlap(parts: &[Folder], output: &Path) -> anyhow::Result<()> {
    let refuse = |message: String| Err(fail(Exit::Usage, message));
    let merged = real(output);
    let own = Folder::places_in(&merged);
    for (n, part) in parts.iter().enumerate() {
        let root = part.root();
        let shown = root.display();
        let at = real(root);
        if parts[..n].iter().any(|other| is_same(other.root(), root)) {
            return refuse(format!("a part is given twice: {shown}"));
        }
        if is_same(root, output) || merged.starts_with(&at) {
            let message = "the merged dataset needs a folder that is no part and lies in none";
            return refuse(format!("{message}: {}", output.display()));
        }
        if own.iter().any(|place| at.starts_with(place)) {
            let message = "a part lies where the merged dataset would be written; move it";
            return refuse(format!("{message}: {shown}"));
        }
    }
    Ok(())
}

fn is_same(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| path.metadata().ok().map(|about| (about.dev(), about.ino()));
    real(a) == real(b) || id(a).is_some_and(|a| Some(a) == id(b))
}

/// A path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        (Err(_), ..) => path,
    }
}

/// A dataset of other videos is not replaced.
fn refuse_other_dataset(folder: &Folder, listing: &Listing) -> anyhow::Result<()> {
    let standing = export::standing(folder.root());
    let listed = listing.inputs.videos.iter();
    let listed: BTreeSet<&str> = listed.map(|video| video.video_id.as_str()).collect();
    let standing = standing.of_videos.keys();
    let others = standing.filter(|id| !listed.contains(id.as_str())).count();
    if others == 0 {
        return Ok(());
    }
    let message = format!(
        "there is another dataset, and {others} of its videos are in none of the parts; choose another folder than {}",
        folder.root().display()
    );
    Err(fail(Exit::CannotCreate, message))
}

/// The configuration and the inputs that all parts were made with.
fn agreed(parts: &[Folder]) -> anyhow::Result<(Config, Listing)> {
    let of = |part: &Folder| {
        let config = config_of(part)?;
        let listing = listing::kept(part).and_then(|listing| listing.ok_or("it is gone".into()));
        let listing = listing
            .map_err(|why| {
                let at = part.inputs();
                anyhow::anyhow!(
                    "the inputs of a part cannot be used: {why}: {}",
                    at.display()
                )
            })
            .or_exit(Exit::BadInput)?;
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

/// How far a folder has come with its video: done, failed, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Nothing,
    Failed,
    Done,
}

fn progress(its: &VideoFolder) -> Progress {
    match (its.has(FAILURE), its.has(file_of(Stage::Extract))) {
        (true, _) => Progress::Failed,
        (false, true) => Progress::Done,
        (false, false) => Progress::Nothing,
    }
}

/// Takes a video from the part that has come furthest with it, where that is further than the merged dataset has.
fn take_best(parts: &[Folder], folder: &Folder, video: &Video) -> anyhow::Result<()> {
    let to = folder.video(&video.video_id);
    let from = parts.iter().map(|part| part.video(&video.video_id));
    // The first of those that are equally far.
    let Some(from) = from.rev().max_by_key(progress) else {
        return Ok(());
    };
    let reached = progress(&from);
    if reached == Progress::Nothing || reached < progress(&to) {
        return Ok(());
    }
    match take_over(&from, &to, video) {
        Ok(()) => Ok(()),
        Err(Setback::Video(trouble)) => note(&to, video, trouble),
        Err(Setback::Run(error)) => Err(error),
        Err(Setback::Stopped) => Err(fail(Exit::Interrupted, "stopped")),
    }
}

/// Writes down why a video was not taken over.
fn note(to: &VideoFolder, video: &Video, trouble: Trouble) -> anyhow::Result<()> {
    let failure = Failure {
        stage: Stage::Extract,
        key: String::new(),
        trouble,
        attempts: 1,
        next_try_unix_secs: None,
    };
    match to.begin(video).and_then(|()| to.write(FAILURE, &failure)) {
        Err(Setback::Run(error)) => Err(error),
        _ => Ok(()),
    }
}

/// Takes over what one part knows of a video; pictures become second names of the same files where that is possible.
fn take_over(from: &VideoFolder, to: &VideoFolder, video: &Video) -> Result<(), Setback> {
    let source = from.enter()?;
    let target = to.enter()?;
    // Whatever an earlier merge has left may be half of it, or older.
    match fs::remove_dir_all(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(cannot_copy(&error, target).into());
        }
        _ => {}
    }
    to.begin(video)?;
    // What a stage learned comes after what it wrote, so that a kill in between leaves it undone.
    take_folder(&source.join(FRAMES), &target.join(FRAMES))?;
    take_films(source, target)?;
    for name in PER_VIDEO.map(file_of).into_iter().chain([FAILURE]) {
        if from.has(name) {
            take(&source.join(name), &target.join(name))?;
        }
    }
    Ok(())
}

/// Takes the pictures.
fn take_folder(from: &Path, to: &Path) -> Result<(), Setback> {
    readback::only_plain(from).map_err(|why| Trouble::new(Class::Environment, why))?;
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot_read(&error, from).into()),
    };
    fs::create_dir_all(to).map_err(|error| cannot_copy(&error, to))?;
    for entry in entries {
        let name = entry
            .map_err(|error| cannot_read(&error, from))?
            .file_name();
        if name.to_str().is_some_and(readback::is_plain_name) {
            take(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

/// Takes the fetched film, where it was kept.
fn take_films(from: &Path, to: &Path) -> Result<(), Setback> {
    let entries = fs::read_dir(from).map_err(|error| cannot_read(&error, from))?;
    for entry in entries {
        let name = entry
            .map_err(|error| cannot_read(&error, from))?
            .file_name();
        let is_film = |name: &str| readback::is_plain_name(name) && name.starts_with("video.");
        if name.to_str().is_some_and(is_film) {
            take(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

/// Gives a plain file a second name, or copies it where the file system has none.
fn take(from: &Path, to: &Path) -> Result<(), Setback> {
    let mut file = readback::open_plain(from).map_err(|error| cannot_read(&error, from))?;
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let copied = File::create_new(to).and_then(|mut to| io::copy(&mut file, &mut to));
    copied
        .map(drop)
        .map_err(|error| cannot_copy(&error, to).into())
}

fn cannot_read(error: &io::Error, path: &Path) -> Trouble {
    let message = format!("{error}, cannot read {}", path.display());
    Trouble::new(Class::Environment, message)
}

fn cannot_copy(error: &io::Error, to: &Path) -> anyhow::Error {
    let message = format!("{error}, cannot copy to {}", to.display());
    fail(Exit::of_create(error), message)
}
