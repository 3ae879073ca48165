//! Patterns of file names: `*`, `?` and `[…]` within a name, `**` for any number of folders.
//!
//! The walk is ours, because that of the crate `glob` panics at names that are not UTF-8; here they match by what of them
//! is text. Names that begin with a dot match only where the pattern has the dot. `**` enters no folder that is a link.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

/// One step of a pattern.
enum Step {
    /// A name without anything special.
    Name(OsString),
    /// Names that match.
    Match(Pattern),
    /// This folder and all within it.
    Deep,
}

/// The paths that match, relative ones within `folder`, each once.
///
/// # Errors
/// The text is not a pattern; the message says why.
pub fn matches(text: &str, folder: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let mut steps = Vec::new();
    for component in Path::new(text).components() {
        let name = component.as_os_str();
        let shown = name.to_string_lossy();
        match component {
            Component::Normal(_) if shown == "**" => {
                if !matches!(steps.last(), Some(Step::Deep)) {
                    steps.push(Step::Deep);
                }
            }
            Component::Normal(_) if shown.contains(['*', '?', '[']) => {
                let pattern = Pattern::new(&shown).map_err(|error| error.msg.to_owned())?;
                steps.push(Step::Match(pattern));
            }
            _ => steps.push(Step::Name(name.to_owned())),
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, &steps, &mut found);
    Ok(found)
}

fn walk(at: &Path, steps: &[Step], found: &mut BTreeSet<PathBuf>) {
    let Some((step, rest)) = steps.split_first() else {
        if fs::symlink_metadata(at).is_ok() {
            found.insert(at.to_owned());
        }
        return;
    };
    match step {
        Step::Name(name) => walk(&at.join(name), rest, found),
        Step::Match(pattern) => {
            let options = MatchOptions {
                require_literal_leading_dot: true,
                ..MatchOptions::new()
            };
            for entry in entries(at) {
                let name = entry.file_name();
                if pattern.matches_with(&name.to_string_lossy(), options) {
                    walk(&at.join(name), rest, found);
                }
            }
        }
        // A folder that is found is taken with all within it.
        Step::Deep if rest.is_empty() => walk(at, rest, found),
        Step::Deep => {
            walk(at, rest, found);
            for entry in entries(at) {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !entry.file_name().as_bytes().starts_with(b".") {
                    walk(&entry.path(), steps, found);
                }
            }
        }
    }
}

/// What is in a folder; nothing where it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        fs::create_dir(dir.path().join(".hidden")).unwrap();
        for name in ["1.mp4", "a/2.mp4", "a/b/c/3.mp4", ".hidden/4.mp4", ".5.mp4"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::write(dir.path().join(OsStr::from_bytes(b"a/\xff.mp4")), "").unwrap();
        // It leads back.
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        dir
    }

    fn found(text: &str) -> Vec<String> {
        let dir = folder();
        let paths = matches(text, dir.path()).unwrap();
        let within = |path: &PathBuf| path.strip_prefix(dir.path()).unwrap().to_owned();
        let shown = |path: PathBuf| path.to_string_lossy().into_owned();
        paths.iter().map(within).map(shown).collect()
    }

    #[test]
    fn patterns_match_names_that_are_not_utf8_and_none_that_are_hidden() {
        assert_eq!(found("*.mp4"), ["1.mp4"]);
        assert_eq!(found("a/*.mp4"), ["a/2.mp4", "a/\u{fffd}.mp4"]);
        let all = ["1.mp4", "a/2.mp4", "a/b/c/3.mp4", "a/\u{fffd}.mp4"];
        assert_eq!(found("**/*.mp4"), all);
        assert_eq!(found("**/**/[0-9].mp4"), all[..3]);
        assert_eq!(found(".*.mp4"), [".5.mp4"]);
        assert_eq!(found("a/**"), ["a"]);
        assert_eq!(found("none/*"), [""; 0]);
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for text in ["a**b", "[", "x/[a", "***"] {
            assert!(matches(text, Path::new(".")).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_pattern_panic(text in r"[a.*?\[\]!/\-\\é\u{0}]{0,12}") {
            let dir = tempfile::tempdir().unwrap();
            let _ = matches(text.trim_start_matches('/'), dir.path());
        }
    }
}
