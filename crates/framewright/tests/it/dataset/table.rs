//! The provenance table of a dataset, and everything else in its folder, as values to compare.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use sha2::{Digest as _, Sha256};

/// A row of `frames.parquet`: what is null is not there.
pub type Row = BTreeMap<String, String>;

/// All rows of a dataset.
pub fn rows(dataset: &Path) -> Vec<Row> {
    let file = File::open(dataset.join("frames.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let columns = row
            .get_column_iter()
            .filter(|(_, field)| !matches!(field, Field::Null));
        let value = |field: &Field| match field {
            Field::Str(text) => text.clone(),
            other => other.to_string(),
        };
        columns
            .map(|(name, field)| (name.clone(), value(field)))
            .collect()
    })
    .collect()
}

/// Whether a row is in the dataset.
pub fn is_kept(row: &Row) -> bool {
    row["kept"] == "true"
}

/// Digest of every file of a dataset, by its path; without what a run keeps for itself and the page with its timings.
pub fn files(dataset: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    walk(dataset, dataset, &mut files);
    assert!(!files.is_empty(), "{} holds a dataset", dataset.display());
    files
}

/// Everything below a folder but what lies in `except`: where links lead, and digests of files.
pub fn tree(root: &Path, except: &[&Path]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if except.iter().any(|except| path.starts_with(except)) {
                continue;
            }
            let about = fs::symlink_metadata(&path).unwrap();
            let what = if about.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else if about.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else {
                format!("{:x?}", Sha256::digest(fs::read(&path).unwrap()))
            };
            found.insert(path.display().to_string(), what);
        }
    }
    found
}

/// Whether a text stands in any file below a folder; links are followed.
pub fn holds(folder: &Path, text: &str) -> bool {
    let holds_text = |path: &Path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, text)
        } else {
            holds_text(&path)
        }
    })
}

/// A copy of a dataset's folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The folders of the videos of a dataset, sorted.
pub fn video_folders(dataset: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dataset.join("state/videos")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if name == "state" || name == "report.html" {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files);
        } else {
            let digest = Sha256::digest(fs::read(&path).unwrap());
            files.insert(name, format!("{digest:x?}"));
        }
    }
}
