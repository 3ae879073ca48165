//! The list of videos of a run, kept so that a run that was interrupted does not ask the sites again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::config::Config;
use super::download::Downloader;
use super::folder::{Folder, read_json, write_json};
use super::inputs::{Inputs, expand, expand_again};
use super::trouble::Setback;
use crate::exit::{Exit, fail};

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
    let inputs = match read_json::<Listing>(&path) {
        Some(kept) if kept.key == key && !kept.is_used_up => expand_again(kept.inputs, lister),
        _ => expand(&config.inputs, &config.folder(), &config.lists, lister),
    };
    let inputs = inputs.map_err(|setback| match setback {
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
    let contents: Vec<Option<Vec<u8>>> = config
        .lists
        .iter()
        .map(|list| std::fs::read(list).ok())
        .collect();
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
