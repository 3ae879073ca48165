//! The provenance table of a dataset, and everything else in its folder, as values to compare.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

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
