//! From the lines of the inputs to the list of videos: files, folders, patterns, addresses, playlists.
//!
//! ```text
//! inputs, lists ─▶ lines ─┬ a file ─────────────────────────────┬─▶ ids, repeats out ─▶ Inputs
//!                         ├ a folder: its videos, deeply        │
//!                         ├ a pattern: what it matches          │
//!                         └ an address: a file, or a page,      │
//!                           which yt-dlp may find a playlist ───┘
//! ```
//! Rules: a line is an address when it begins with `http://` or `https://`; else an existing path, else a pattern when it
//! holds `*`, `?` or `[`, else a path that is not there. Relative paths of a list are relative to the list's folder, or,
//! where they are not there, to where we are: so are those of lists that other tools have made.
//! In folders, files with the extension of a video count, in the order of the bytes of their paths; what begins with a
//! dot does not, and folders that are links are not entered. A pattern takes every file that it matches, and folders
//! like the above. An address whose path ends in the extension of a video is fetched as a plain file; every other one is
//! a page, and the site is asked whether it is a playlist, unless its form says that it is one video.
//!
//! Every line is accounted for: what gives no video gives one with trouble. The result is stored by the caller, so that a
//! run that is gone on with does not ask again; only what failed for a passing reason is asked again by [`expand_again`].

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::download::yt_dlp::Listing;
use super::record::{Location, Order, Video, VideoId};
use super::trouble::{Class, Setback, Trouble};
use crate::visible;

pub use files::extension_of;

mod addresses;
mod files;
pub(super) mod lists;
mod pattern;

/// Repeats that are named one by one.
const MOST_NAMED: usize = 20;
/// Playlists within playlists: a channel, its tabs, the lists of a tab.
const MOST_DEPTH: u32 = 3;

/// What the inputs came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Every video once, by [`Order`].
    pub videos: Vec<Video>,
    /// Trouble of those that cannot be had, by `video_id`.
    pub troubles: BTreeMap<VideoId, Trouble>,
    /// `video_id`s of pages of which is not known yet what they hold; [`expand_again`] asks.
    pub unexpanded: Vec<VideoId>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Asks what a page holds; [`super::download::Downloader::list`] in a run.
pub type Lister<'a> = &'a mut dyn FnMut(&Url) -> Result<Listing, Setback>;

/// Reads the inputs, whose relative paths are relative to `folder`, and then the lists, and finds every video they name.
///
/// # Errors
/// A list cannot be read (65), or the run is stopping.
pub fn expand(
    inputs: &[String],
    folder: &Path,
    lists: &[PathBuf],
    lister: Lister,
) -> Result<Inputs, Setback> {
    let mut lines: Vec<lists::Line> = Vec::new();
    for text in inputs.iter().map(|text| text.trim()) {
        if !text.is_empty() {
            lines.push(lists::Line {
                text: text.to_owned(),
                folder: folder.to_owned(),
            });
        }
    }
    for list in lists {
        lines.extend(lists::read(list)?);
    }
    let mut found = Found::default();
    for (number, line) in lines.iter().enumerate() {
        found.begin(number as u32);
        match addresses::parse(&line.text) {
            Some(Ok(url)) => found.address(&line.text, &url, lister)?,
            Some(Err(trouble)) => found.odd_address(&line.text, trouble),
            None => found.path(&line.text, &line.folder),
        }
    }
    Ok(found.finish())
}

/// Asks again for the pages of which is not known what they hold, and puts what comes in their place.
///
/// # Errors
/// The run is stopping.
pub fn expand_again(inputs: Inputs, lister: Lister) -> Result<Inputs, Setback> {
    let mut found = Found {
        notes: inputs.notes,
        ..Found::default()
    };
    let (mut line, mut more) = (None, 0);
    for mut video in inputs.videos {
        if line.replace(video.order.line) != Some(video.order.line) {
            more = 0;
        }
        // What comes after an entry that became several moves on.
        video.order.entry += more;
        found.begin_at(video.order);
        let trouble = inputs.troubles.get(&video.video_id).cloned();
        let is_open = inputs.unexpanded.contains(&video.video_id);
        let page = match &video.location {
            Location::Page(url) if is_open => Url::parse(url).ok(),
            _ => None,
        };
        match page {
            Some(url) => {
                let begun = video.order.entry;
                found.address(&video.source, &url, lister)?;
                let end = found.at.map_or(begun, |order| order.entry);
                more += end.saturating_sub(begun + 1);
            }
            None => found.add_known(video, trouble),
        }
    }
    Ok(found.finish())
}

/// Our name for what is found at a place: 16 hexadecimal digits of the SHA-256 of its absolute path or its address.
pub fn video_id(location: &Location) -> VideoId {
    let digest = match location {
        Location::File(path) => Sha256::digest(path.as_os_str().as_bytes()),
        Location::Http(url) | Location::Page(url) => Sha256::digest(url.as_bytes()),
    };
    let first = digest[..8].iter();
    VideoId::from(first.fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// What was found so far.
#[derive(Default)]
struct Found {
    inputs: Inputs,
    notes: Vec<String>,
    by_id: HashMap<VideoId, Order>,
    repeats: usize,
    at: Option<Order>,
}

impl Found {
    /// What follows comes from this line.
    fn begin(&mut self, line: u32) {
        self.begin_at(Order { line, entry: 0 });
    }

    /// What follows has this place and those after it.
    fn begin_at(&mut self, order: Order) {
        self.at = Some(order);
    }

    fn add(&mut self, source: String, location: Location, trouble: Option<Trouble>) {
        let order = self.at.unwrap_or(Order { line: 0, entry: 0 });
        let video = Video {
            video_id: video_id(&location),
            order,
            source,
            location,
        };
        self.add_known(video, trouble);
    }

    fn add_known(&mut self, video: Video, trouble: Option<Trouble>) {
        let next = video.order.entry + 1;
        self.at = Some(Order {
            entry: next,
            ..video.order
        });
        if let Some(first) = self.by_id.get(&video.video_id) {
            self.repeats += 1;
            if self.repeats <= MOST_NAMED {
                let (line, first) = (video.order.line + 1, first.line + 1);
                let source = &video.source;
                let note =
                    format!("listed twice, taken once: {source} (inputs {first} and {line})");
                self.notes.push(note);
            }
            return;
        }
        self.by_id.insert(video.video_id.clone(), video.order);
        if let Some(trouble) = trouble {
            self.inputs.troubles.insert(video.video_id.clone(), trouble);
        }
        self.inputs.videos.push(video);
    }

    fn path(&mut self, text: &str, folder: &Path) {
        for entry in files::find(text, folder) {
            let (location, trouble) = match entry.absolute() {
                // Everything about a video is stored as JSON, which is UTF-8.
                Some(path) if path.to_str().is_none() => {
                    let message = "its name is not UTF-8; rename it";
                    let trouble = Trouble::new(Class::BadInput, message);
                    (Location::File(visible::name(&path).into()), Some(trouble))
                }
                Some(path) => (Location::File(path), entry.trouble),
                None => {
                    let message = format!("the folder we are in is gone, cannot find {text}");
                    let trouble = Trouble::new(Class::BadInput, message);
                    (Location::File(text.into()), Some(trouble))
                }
            };
            self.add(entry.shown, location, trouble);
        }
    }

    fn odd_address(&mut self, text: &str, trouble: Trouble) {
        self.add(
            text.to_owned(),
            Location::Page(text.to_owned()),
            Some(trouble),
        );
    }

    fn address(&mut self, source: &str, url: &Url, lister: Lister) -> Result<(), Setback> {
        self.address_at(source, url, lister, 0)
    }

    fn address_at(
        &mut self,
        source: &str,
        url: &Url,
        lister: Lister,
        depth: u32,
    ) -> Result<(), Setback> {
        let location = addresses::location(url);
        let page = match &location {
            Location::Page(_) if depth < MOST_DEPTH && !addresses::is_one_video(url) => url,
            _ => {
                self.add(source.to_owned(), location, None);
                return Ok(());
            }
        };
        match lister(page) {
            Ok(listing) => {
                let notes = listing.notes.iter();
                self.notes
                    .extend(notes.map(|note| format!("{page}: {note}")));
                let Some(entries) = listing.entries else {
                    self.add(source.to_owned(), location, None);
                    return Ok(());
                };
                if entries.is_empty() {
                    let trouble = Trouble::new(Class::Permanent, "a playlist without videos");
                    self.add(source.to_owned(), location, Some(trouble));
                }
                for entry in entries {
                    if entry.is_list && entry.url != *page {
                        self.address_at(source, &entry.url, lister, depth + 1)?;
                    } else {
                        let location = addresses::location(&entry.url);
                        self.add(source.to_owned(), location, None);
                    }
                }
                Ok(())
            }
            Err(Setback::Video(trouble)) => {
                // Without yt-dlp the page may still be a plain file; the download finds out.
                let has_no_tool = trouble.class == Class::Environment;
                if trouble.class.is_transient() || trouble.class == Class::Auth {
                    self.inputs.unexpanded.push(video_id(&location));
                }
                let trouble = (!has_no_tool).then_some(trouble);
                self.add(source.to_owned(), location, trouble);
                Ok(())
            }
            Err(setback) => Err(setback),
        }
    }

    fn finish(mut self) -> Inputs {
        if self.repeats > MOST_NAMED {
            let more = self.repeats - MOST_NAMED;
            self.notes.push(format!("{more} more are listed twice"));
        }
        self.inputs.videos.sort_by_key(|video| video.order);
        self.inputs.notes = self.notes;
        self.inputs
    }
}

#[cfg(test)]
mod tests;
