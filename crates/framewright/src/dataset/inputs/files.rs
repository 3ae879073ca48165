//! Files, folders and patterns.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::pattern;
use crate::dataset::trouble::{Class, Trouble};
use crate::visible;

/// Extensions of video files, lowercase.
const EXTENSIONS: &[&str] = &[
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mts", "m2ts", "mpg", "mpeg", "m2v", "vob",
    "flv", "f4v", "wmv", "asf", "ogv", "ogm", "3gp", "3g2", "mxf", "y4m", "rm", "rmvb", "divx",
    "nut",
];

/// The extension of a video file in lowercase; none for other files.
pub fn extension_of(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    EXTENSIONS
        .iter()
        .find(|known| known.eq_ignore_ascii_case(extension))
        .copied()
}

/// A file that an input names.
pub struct Entry {
    /// Its path as the user would write it.
    pub shown: String,
    /// Its path.
    pub path: PathBuf,
    /// Why it cannot be had.
    pub trouble: Option<Trouble>,
}

impl Entry {
    /// The absolute path; links are not resolved. None when there is no current folder.
    pub fn absolute(&self) -> Option<PathBuf> {
        std::path::absolute(&self.path).ok()
    }
}

/// What a line that is no address names; at least one entry. Relative to `folder`, else to where we are.
pub fn find(text: &str, folder: &Path) -> Vec<Entry> {
    let beside = folder.join(text);
    let here = Path::new(text);
    let path = if !beside.exists() && here.exists() {
        here.to_owned()
    } else {
        beside
    };
    let trouble = match fs::metadata(&path) {
        Ok(about) if about.is_dir() => return in_folder(text, &path),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if text.contains(['*', '?', '[']) {
                return of_pattern(text, folder);
            }
            Some(bad(format!("there is no such file: {text}")))
        }
        Err(error) => Some(bad(format!("{error}, cannot read {text}"))),
    };
    vec![Entry {
        shown: text.to_owned(),
        path,
        trouble,
    }]
}

fn bad(message: String) -> Trouble {
    Trouble::new(Class::BadInput, message)
}

/// The videos of a folder and of those within it.
fn in_folder(text: &str, folder: &Path) -> Vec<Entry> {
    let mut paths = Vec::new();
    let mut unreadable = Vec::new();
    collect(folder, &mut paths, &mut unreadable);
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    let shown = |path: &Path| {
        let within = path.strip_prefix(folder).unwrap_or(path);
        visible::name(&Path::new(text).join(within))
    };
    let videos = paths.into_iter().map(|path| Entry {
        shown: shown(&path),
        path,
        trouble: None,
    });
    let mut entries: Vec<Entry> = videos.collect();
    for (path, error) in unreadable {
        let message = format!("{error}, cannot read the folder {}", shown(&path));
        entries.push(Entry {
            shown: shown(&path),
            path,
            trouble: Some(bad(message)),
        });
    }
    if entries.is_empty() {
        entries.push(Entry {
            shown: text.to_owned(),
            path: folder.to_owned(),
            trouble: Some(bad(format!("there is no video in {text}"))),
        });
    }
    entries
}

fn collect(folder: &Path, videos: &mut Vec<PathBuf>, unreadable: &mut Vec<(PathBuf, io::Error)>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            unreadable.push((folder.to_owned(), error));
            return;
        }
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if entry.file_name().as_bytes().starts_with(b".") {
            continue;
        }
        // Of the link itself: a folder that is a link may lead back to where we are.
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            collect(&path, videos, unreadable);
        } else if extension_of(&path).is_some() && !path.is_dir() {
            videos.push(path);
        }
    }
}

/// What a pattern matches, by the bytes of the paths.
fn of_pattern(text: &str, folder: &Path) -> Vec<Entry> {
    let one = |message: String| {
        vec![Entry {
            shown: text.to_owned(),
            path: folder.join(text),
            trouble: Some(bad(message)),
        }]
    };
    let mut paths: Vec<PathBuf> = match pattern::matches(text, folder) {
        Ok(matched) => matched.into_iter().collect(),
        Err(error) => return one(format!("not a pattern: {text}: {error}")),
    };
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    let mut entries = Vec::new();
    for path in paths {
        let within = path.strip_prefix(folder).unwrap_or(&path);
        let shown = visible::name(within);
        if path.is_dir() {
            let videos = in_folder(&shown, &path);
            entries.extend(videos.into_iter().filter(|entry| entry.path != path));
        } else {
            entries.push(Entry {
                shown,
                path,
                trouble: None,
            });
        }
    }
    if entries.is_empty() {
        return one(format!("the pattern matches no file: {text}"));
    }
    entries
}
