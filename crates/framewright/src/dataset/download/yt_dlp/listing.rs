//! What yt-dlp says of a page that may be a playlist: a line for every entry.

use std::collections::BTreeSet;

use serde::Deserialize;
use url::Url;

/// What a page was found to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Addresses of the entries, in order; none when the page is a single video.
    pub entries: Option<Vec<ListEntry>>,
    /// Entries that are not there, and the like.
    pub notes: Vec<String>,
}

/// An entry of a playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Its address.
    pub url: Url,
    /// Whether it is a playlist itself, such as the tab of a channel.
    pub is_list: bool,
}

/// A line of a flat playlist.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EntryLine {
    url: Option<String>,
    webpage_url: Option<String>,
    ie_key: Option<String>,
    #[serde(rename = "_type")]
    kind: Option<String>,
    playlist_index: Option<u64>,
    title: Option<String>,
}

/// From the lines of a flat playlist to its entries; entries without an address or a line are reported.
pub(super) fn listing(lines: Vec<EntryLine>, max_entries: usize) -> Listing {
    if let [only] = lines.as_slice()
        && only.playlist_index.is_none()
    {
        return Listing::default();
    }
    let mut listing = Listing::default();
    let mut entries = Vec::new();
    let mut missing: BTreeSet<u64> = BTreeSet::new();
    let mut next = 1;
    for line in lines {
        let index = line.playlist_index.unwrap_or(next);
        if index > max_entries as u64 {
            let note = format!("only its first {max_entries} entries are taken");
            listing.notes.push(note);
            break;
        }
        missing.extend(next..index);
        next = index + 1;
        let is_gone = matches!(
            line.title.as_deref(),
            Some("[Deleted video]" | "[Private video]")
        );
        let url = line.url.or(line.webpage_url);
        let url = url.and_then(|url| Url::parse(&url).ok());
        match url.filter(|url| matches!(url.scheme(), "http" | "https")) {
            Some(url) if !is_gone => {
                let is_tab = matches!(
                    line.ie_key.as_deref(),
                    Some("YoutubeTab" | "YoutubePlaylist")
                );
                let is_list = is_tab || line.kind.as_deref() == Some("playlist");
                entries.push(ListEntry { url, is_list });
            }
            _ => {
                missing.insert(index);
            }
        }
    }
    if !missing.is_empty() {
        let count = missing.len();
        let first: Vec<String> = missing.iter().take(20).map(u64::to_string).collect();
        let first = first.join(", ");
        let note = format!("{count} of its entries are deleted or private: number {first}");
        listing.notes.push(note);
    }
    listing.entries = Some(entries);
    listing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(index: u64, url: &str) -> EntryLine {
        EntryLine {
            url: Some(url.into()),
            playlist_index: Some(index),
            ..EntryLine::default()
        }
    }

    #[test]
    fn entries_that_are_not_there_are_reported() {
        let gone = EntryLine {
            title: Some("[Deleted video]".into()),
            ..line(4, "https://h/4")
        };
        let lines = vec![
            line(1, "https://h/1"),
            line(3, "file:///etc/passwd"),
            gone,
            line(5, "https://h/5"),
        ];
        let listing = listing(lines, 10);
        let urls: Vec<_> = listing
            .entries
            .unwrap()
            .into_iter()
            .map(|entry| entry.url.to_string())
            .collect();
        assert_eq!(urls, ["https://h/1", "https://h/5"]);
        assert_eq!(
            listing.notes,
            ["3 of its entries are deleted or private: number 2, 3, 4"]
        );
    }

    #[test]
    fn a_long_list_is_cut_and_said_so() {
        let lines = (1..=4).map(|n| line(n, "https://h/x")).collect();
        let listing = listing(lines, 3);
        assert_eq!(listing.entries.unwrap().len(), 3);
        assert_eq!(listing.notes, ["only its first 3 entries are taken"]);
    }

    #[test]
    fn a_page_with_one_video_is_no_list() {
        let only = EntryLine {
            playlist_index: None,
            ..line(1, "https://h/x")
        };
        assert_eq!(listing(vec![only], 3).entries, None);
    }
}
