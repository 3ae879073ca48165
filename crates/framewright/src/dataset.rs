//! `framewright dataset`: from links and films to a labelled, de-duplicated, leak-safe picture dataset.
//!
//! ```text
//! inputs ─▶ download ─▶ extract ─▶ filter ─▶ detect ─▶ [all videos] dedup ─▶ split ─▶ export
//!           a file      measures,  models    objects   leaders across
//!           on disk     pictures   judge               videos, in input order
//! ```
//! What a stage learned of a video stands in one file, `state/videos/<video_id>/<stage>.json`, written whole or not at
//! all and marked with a key of everything that decides its content. A run skips what is there under the right key, so
//! being killed costs what was in flight and nothing else. What is decided across videos is a function of these files,
//! taken in input order, so the dataset does not depend on the number of workers, the mode or the order of completion.
//!
//! Start reading at [`flow`] (how the stages are joined), [`work`] (what they do with a video) and [`decide`] (what
//! becomes of every frame).

pub mod bounds;
pub mod config;
pub mod decide;
pub mod dedup;
pub mod disk;
pub mod download;
pub mod export;
pub mod extract;
pub mod filter;
pub mod flow;
pub mod folder;
pub mod gather;
pub mod inputs;
pub mod keys;
pub mod listing;
pub mod losses;
pub mod merge;
pub mod models;
pub mod page;
pub mod readback;
pub mod record;
pub mod registry;
pub mod results;
pub mod run;
pub mod settle;
pub mod shard;
pub mod split;
pub mod status;
pub mod tally;
pub mod trouble;
pub mod video_folder;
pub mod video_id;
pub mod work;

use std::path::Path;

use crate::cli::{DatasetAction, ProgressMode, ScreenOptions};
use crate::exit::Exit;
use crate::report;
use crate::screen::Screen;

/// The screen that a command is shown on.
pub fn screen_for(action: &DatasetAction) -> Screen {
    let of = |screen: &ScreenOptions| Screen::new(screen.progress, screen.quiet);
    match action {
        DatasetAction::Run(options) => of(&options.screen),
        DatasetAction::Retry { screen, .. }
        | DatasetAction::Merge { screen, .. }
        | DatasetAction::Dedup { screen, .. } => of(screen),
        DatasetAction::Status { .. } | DatasetAction::Validate { .. } => {
            Screen::new(ProgressMode::None, false)
        }
    }
}

/// Does what was asked and says how it ended.
///
/// # Errors
/// What keeps all of it from being done; trouble with single videos is no error but [`Exit::SomeFailed`].
pub fn dataset(action: &DatasetAction, screen: &Screen) -> anyhow::Result<Exit> {
    match action {
        DatasetAction::Run(options) => run::run(options, screen),
        DatasetAction::Retry {
            class,
            output,
            screen: shown,
        } => run::retry(output, *class, shown.json, screen),
        DatasetAction::Status { dir, json } => {
            status::status(dir, *json, screen).map(|()| Exit::Ok)
        }
        DatasetAction::Validate { config } => validate(config),
        DatasetAction::Merge {
            dirs,
            output,
            screen: shown,
        } => merge::merge(dirs, output, shown.json, screen),
        DatasetAction::Dedup {
            dir,
            dry_run,
            screen: shown,
        } => run::dedup(dir, *dry_run, shown.json, screen),
    }
}

/// Checks a configuration and prints what it comes to.
fn validate(path: &Path) -> anyhow::Result<Exit> {
    let config = settle::read(path)?;
    settle::refuse(&config, Some(path))?;
    report::print(&format!("{} can be used", path.display()))?;
    Ok(Exit::Ok)
}
