//! What stands in the places of the formats before they are written anew.
//!
//! Invariant: a folder is replaced only when everything in it has a name that an export gives.

use std::fs;
use std::io;
use std::path::Path;

use crate::dataset::config::Format;
use crate::dataset::record::Split;
use crate::exit::{Exit, fail};

/// Kinds of file that hold pictures, in any format.
const PICTURES: [&str; 5] = ["jpg", "png", "webp", "tar", "parquet"];

/// Files with pictures in a folder and those in it; links are not entered.
pub(super) fn count_pictures(folder: &Path) -> u64 {
    if !fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir()) {
        return 0;
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let count = |entry: fs::DirEntry| {
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some(extension) if PICTURES.contains(&extension) => 1,
            _ => count_pictures(&path),
        }
    };
    entries.filter_map(Result::ok).map(count).sum()
}

/// Refuses to replace what no export has written. Hidden files are those of file managers, and a link is only a link.
pub(super) fn refuse_foreign(format: Format, place: &Path) -> anyhow::Result<()> {
    let entries = match fs::symlink_metadata(place) {
        Ok(about) if about.is_symlink() => return Ok(()),
        Ok(_) => fs::read_dir(place),
        Err(error) => Err(error),
    };
    let entries = match entries {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => return Err(refusal(place)),
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && !is_ours(format, &name) {
            return Err(refusal(&entry.path()));
        }
    }
    Ok(())
}

fn refusal(path: &Path) -> anyhow::Error {
    let message = format!(
        "no export of ours has written this, and it would be replaced; move it away: {}",
        path.display()
    );
    fail(Exit::CannotCreate, message)
}

/// Names that an export gives within the folder of a format.
fn is_ours(format: Format, name: &str) -> bool {
    let is_split = || Split::ALL.iter().any(|split| split.word() == name);
    match format {
        Format::Coco => name == "annotations" || is_split(),
        Format::Yolo => matches!(name, "images" | "labels" | "data.yaml"),
        Format::Voc => matches!(name, "Annotations" | "ImageSets" | "JPEGImages"),
        Format::WebDataset => Path::new(name)
            .extension()
            .is_some_and(|kind| kind == "tar"),
        Format::ImageFolder => is_split(),
        Format::Parquet => name == "data",
        Format::Croissant => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_users_are_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("coco");
        let refused = || {
            let error = refuse_foreign(Format::Coco, &place).err();
            error.map(|error| Exit::of(&error))
        };
        assert_eq!(refused(), None, "nothing is there");
        fs::create_dir_all(place.join("train")).unwrap();
        fs::write(place.join(".hidden"), "").unwrap();
        assert_eq!(refused(), None, "an export");
        fs::write(place.join("notes.txt"), "mine").unwrap();
        assert_eq!(refused(), Some(Exit::CannotCreate));
        fs::remove_dir_all(&place).unwrap();
        fs::write(&place, "mine").unwrap();
        assert_eq!(refused(), Some(Exit::CannotCreate), "a file of this name");
    }
}
