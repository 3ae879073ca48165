//! The list of videos of a run, kept so that a run that was interrupted does not ask the sites again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::config::Config;
use super::download::Downloader;
use super::folder::{Folder, read_json, write_json};
use super::inputs::{Inputs, expand, expand_again, lists, video_id};
use super::record::Location;
use super::trouble::Setback;
use crate::exit::{Exit, fail};

/// Entries of one line; what comes after an entry that became several moves on.
const MOST_ENTRIES: u32 = 1 << 30;

/// The content of `state/inputs.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// Of the lines that it was made from.
    pub key: String,
    /// Whether a run came to its end with it: the next one then looks for what is new.
    pub is_used_up: bool,
    /// What the lines came to.
    pub inputs: Inputs,
}

/// The videos of a configuration.
///
/// # Errors
/// A list cannot be read, or the run is being stopped.
pub fn list(config: &Config, folder: &Folder, downloader: &Downloader) -> anyhow::Result<Listing> {
    let key = key(config);
    let path = folder.inputs();
    let lister = &mut |url: &url::Url| downloader.list(url);
    let expanded = match kept(folder) {
        Ok(Some(kept)) if kept.key == key && !kept.is_used_up => expand_again(kept.inputs, lister),
        Ok(_) => expand(&config.inputs, &config.folder(), &config.lists, lister),
        Err(why) => {
            let expanded = expand(&config.inputs, &config.folder(), &config.lists, lister);
            expanded.map(|mut inputs| {
                let note = format!("state/inputs.json cannot be used and is made again: {why}");
                inputs.notes.push(note);
                inputs
            })
        }
    };
    let inputs = expanded.map_err(|setback| match setback {
        Setback::Run(error) => error,
        Setback::Stopped => fail(Exit::Interrupted, "stopped while the inputs were read"),
        Setback::Video(trouble) => fail(Exit::BadInput, trouble.to_string()),
    })?;
    let listing = Listing {
        key,
        is_used_up: false,
        inputs,
    };
    write_json(&path, &listing)?;
    Ok(listing)
}

/// The list of the last run; `None` when there is none.
///
/// # Errors
/// Says why it cannot be used.
pub fn kept(folder: &Folder) -> Result<Option<Listing>, String> {
    let listing: Option<Listing> = read_json(&folder.inputs())?;
    if let Some(listing) = &listing {
        check(&listing.inputs)?;
    }
    Ok(listing)
}

/// Makes sure that every video is named after its own place and stands there once, and that only addresses of the web are
/// fetched.
fn check(inputs: &Inputs) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for video in &inputs.videos {
        let id = &video.video_id;
        if *id != video_id(&video.location) {
            return Err(format!("the id {id} is of another video"));
        }
        if !seen.insert(id) || video.order.entry >= MOST_ENTRIES {
            return Err(format!(
                "the video {id} stands there twice, or out of order"
            ));
        }
        let is_had = match &video.location {
            Location::File(_) => true,
            Location::Http(url) | Location::Page(url) => is_of_the_web(url),
        };
        if !is_had && !inputs.troubles.contains_key(id) {
            return Err(format!("the video {id} has no address of the web"));
        }
    }
    Ok(())
}

fn is_of_the_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// The next run looks for new entries of folders and playlists.
///
/// # Errors
/// It cannot be written.
pub fn use_up(folder: &Folder, listing: &Listing) -> anyhow::Result<()> {
    let used_up = Listing {
        is_used_up: true,
        ..listing.clone()
    };
    write_json(&folder.inputs(), &used_up)
}

/// The lines themselves and what the lists hold.
fn key(config: &Config) -> String {
    let digest = |list: &PathBuf| {
        let content = lists::content(list).ok()?;
        Some(super::download::hex(&Sha256::digest(&content)))
    };
    let contents: Vec<Option<String>> = config.lists.iter().map(digest).collect();
    let of = serde_json::json!([
        config.inputs,
        config.folder(),
        contents,
        config.download.max_entries
    ]);
    format!("{:x?}", &Sha256::digest(of.to_string().as_bytes())[..8])
}

impl Config {
    /// The folder that relative inputs are relative to; empty for where we are.
    fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_default()
    }
}
