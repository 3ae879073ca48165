//! yt-dlp in a folder of its own, out of the way of whatever Python there is.
//!
//! Invariant: the folder is whole, old or new: the new one is complete before it takes the place of the old one.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::dataset::download::yt_dlp::{INSTALLED, YtDlp};
use crate::exit::{Exit, fail};

use super::{Product, cannot_write, python, python_failed};

/// The newest there is that runs here; the least version is that of [`crate::dataset::download::yt_dlp::OLDEST`].
const REQUIREMENT: &str = "yt-dlp[default]>=2025.11.12";

const YT_DLP: &Product = &Product {
    name: "yt-dlp",
    package: "yt-dlp 2025.11.12 or newer, or what it needs",
    command: "framewright setup --yt-dlp",
    instead: "put a yt-dlp on PATH",
};

/// Lets pip install it below the work folder; gives the folder of packages.
pub(super) fn fetch(work: &Path, cancelled: impl Fn() -> bool) -> anyhow::Result<PathBuf> {
    // The layout of the data folder, so that it can be tried where it is.
    let packages = work.join(INSTALLED);
    let fixed = "-m pip --disable-pip-version-check --no-input install --quiet --progress-bar off \
                 --no-compile --only-binary=:all: --upgrade --target";
    let mut args: Vec<&OsStr> = fixed.split_whitespace().map(OsStr::new).collect();
    args.extend([packages.as_os_str(), OsStr::new(REQUIREMENT)]);
    let ended = python(work, &args, cancelled)?;
    if ended.status.success() {
        return Ok(packages);
    }
    Err(python_failed("pip install", YT_DLP, &ended.tail))
}

/// Tries it, and puts it in the place of the one that is there; gives its version and folder.
pub(super) fn install(
    packages: &Path,
    work: &Path,
    data: &Path,
) -> anyhow::Result<(String, PathBuf)> {
    let found = YtDlp::find(Some(work)).map_err(|trouble| {
        let details = trouble.details.join("; ");
        let message = format!("what came does not run: {}: {details}", trouble.message);
        fail(Exit::Failed, message)
    })?;
    let target = data.join(INSTALLED);
    // Within the work folder: it goes away with it.
    let old = work.join("old");
    let replaced = match fs::rename(&target, &old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::rename(packages, &target),
    };
    replaced.map_err(|error| cannot_write(&error, &target))?;
    Ok((found.version, target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::download::yt_dlp::OLDEST;

    #[test]
    fn what_is_fetched_is_new_enough_for_the_download() {
        assert!(REQUIREMENT.ends_with(OLDEST) && YT_DLP.package.contains(OLDEST));
    }
}
