//! Addresses: which are plain files, which are pages, and which pages are one video.

use std::path::Path;

use url::Url;

use super::files::extension_of;
use crate::dataset::record::Location;
use crate::dataset::trouble::{Class, Trouble};

/// The address that a line is, normalised: lowercase scheme and host, no usual port, no fragment. None for what is no
/// address; other schemes than HTTP's are none, they are names of files.
pub fn parse(text: &str) -> Option<Result<Url, Trouble>> {
    let scheme = text.split_once("://")?.0.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        let is_scheme = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
        };
        // "s3://bucket" is a wish that cannot be met, not a file name.
        return is_scheme(&scheme).then(|| {
            let message = format!("{scheme}: is not fetched, only http and https");
            Err(Trouble::new(Class::BadInput, message))
        });
    }
    let url = Url::parse(text)
        .map_err(|error| Trouble::new(Class::BadInput, format!("not an address: {error}")));
    Some(url.map(|mut url| {
        url.set_fragment(None);
        url
    }))
}

/// How the video at an address is had.
pub fn location(url: &Url) -> Location {
    let mut url = url.clone();
    url.set_fragment(None);
    match extension_of(Path::new(url.path())) {
        Some(_) => Location::Http(url.into()),
        None => Location::Page(url.into()),
    }
}

/// Whether the form of an address says that its page is one video, so that nobody has to be asked: a list of many
/// thousand videos of a site would cost as many requests before the first download.
pub fn is_one_video(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches("www.").trim_start_matches("m.");
    let mut path = url.path_segments().into_iter().flatten();
    let first = path.next().unwrap_or_default();
    let second = path.next().filter(|part| !part.is_empty());
    match host {
        "youtu.be" => !first.is_empty(),
        "youtube.com" | "music.youtube.com" | "youtube-nocookie.com" => match first {
            "watch" => url.query_pairs().any(|(name, _)| name == "v"),
            "shorts" | "live" | "embed" | "v" => second.is_some_and(|id| id != "videoseries"),
            _ => false,
        },
        "vimeo.com" => !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit()),
        "dailymotion.com" => first == "video" && second.is_some(),
        _ => false,
    }
}
