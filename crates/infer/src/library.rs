//! Where ONNX Runtime's shared library lies on this machine.
//!
//! ```text
//! FRAMEWRIGHT_ORT ─▶ next to the program ─▶ the data folder ─▶ Python environments
//! ```
//! The first place that has one wins, and nothing is started to find out: Python's packages are found by looking at
//! the folders. A `FRAMEWRIGHT_ORT` that names nothing usable is an error, never skipped.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// The file name of the library, before any version.
const FILE: &str = "libonnxruntime.so";

/// The folder that `framewright setup` installs into: `$XDG_DATA_HOME/framewright`, else
/// `~/.local/share/framewright`. None without a home.
pub fn data_dir() -> Option<PathBuf> {
    data_dir_of(&|name| std::env::var_os(name))
}

/// The library that models will run on.
///
/// # Errors
/// [`Error::MissingLibrary`] when no place has one, [`Error::Library`] when `FRAMEWRIGHT_ORT` is set and wrong.
pub fn find_library() -> Result<PathBuf, Error> {
    let program = std::env::current_exe().ok();
    search(&|name| std::env::var_os(name), program.as_deref())
}

/// Environment variables by name; a function so that tests need not change the process's own.
type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn search(variables: Variables, program: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(asked) = path_in(variables, "FRAMEWRIGHT_ORT") {
        return asked_for(asked);
    }
    let mut looked = vec!["in FRAMEWRIGHT_ORT, which is not set".to_owned()];
    let beside = program
        .and_then(Path::parent)
        .map(|folder| ("next to the program", folder.to_owned()));
    let data = data_dir_of(variables).map(|folder| ("in the data folder", folder));
    for (what, folder) in beside.into_iter().chain(data) {
        if let Some(library) = library_in(&folder) {
            return Ok(library);
        }
        looked.push(format!("{what} {}", folder.display()));
    }
    let prefixes = python_prefixes(variables);
    if let Some(library) = prefixes.iter().find_map(|prefix| library_of_python(prefix)) {
        return Ok(library);
    }
    if prefixes.is_empty() {
        looked.push("for Python on PATH, of which there is none".to_owned());
    } else {
        let prefixes: Vec<_> = prefixes
            .iter()
            .map(|prefix| prefix.display().to_string())
            .collect();
        looked.push(format!(
            "in the Python packages under {}",
            prefixes.join(" ")
        ));
    }
    Err(Error::MissingLibrary { looked })
}

fn asked_for(path: PathBuf) -> Result<PathBuf, Error> {
    let problem = if path.is_file() {
        return Ok(path);
    } else if path.is_dir() {
        match library_in(&path) {
            Some(library) => return Ok(library),
            None => format!("FRAMEWRIGHT_ORT names a folder without a {FILE}"),
        }
    } else {
        "FRAMEWRIGHT_ORT names nothing that exists".to_owned()
    };
    let problem =
        format!("{problem}, set it to the library or unset it and run `framewright setup`");
    Err(Error::Library { problem, path })
}

/// A variable that holds a path; one that is empty counts as not set.
fn path_in(variables: Variables, name: &str) -> Option<PathBuf> {
    variables(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn data_dir_of(variables: Variables) -> Option<PathBuf> {
    // The XDG base directory specification: a relative path is invalid and ignored.
    let xdg = path_in(variables, "XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data = xdg.or_else(|| Some(path_in(variables, "HOME")?.join(".local/share")))?;
    Some(data.join("framewright"))
}

/// The library in `folder`: without a version, else the highest version.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let named =
        entries.filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())));
    let files = named.filter(|(_, path)| path.is_file());
    // An unversioned name is the one meant to be used, whatever versions stand beside it.
    files
        .max_by(|(a, _), (b, _)| (a.is_empty(), a).cmp(&(b.is_empty(), b)))
        .map(|(_, path)| path)
}

/// The numbers after `libonnxruntime.so`; none for any other file.
fn version(file: &str) -> Option<Vec<u32>> {
    let rest = file.strip_prefix(FILE)?;
    if rest.is_empty() {
        return Some(Vec::new());
    }
    rest.strip_prefix('.')?
        .split('.')
        .map(|number| number.parse().ok())
        .collect()
}

/// Install prefixes of the Python environments in sight: the active ones, then those of the pythons on PATH, then
/// packages a user installed for himself.
fn python_prefixes(variables: Variables) -> Vec<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"]
        .into_iter()
        .filter_map(|name| path_in(variables, name));
    let path = variables("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path)
        .flat_map(|folder| ["python3", "python"].map(|name| folder.join(name)))
        .filter(|python| python.is_file())
        // A launcher may be a link into the environment that has the packages.
        .flat_map(|python| [Some(python.clone()), python.canonicalize().ok()])
        .flatten()
        .filter_map(|python| Some(python.parent()?.parent()?.to_owned()));
    let user = path_in(variables, "HOME").map(|home| home.join(".local"));
    let mut prefixes = Vec::new();
    for prefix in active.chain(on_path).chain(user) {
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

fn library_of_python(prefix: &Path) -> Option<PathBuf> {
    // Debian keeps what pip installs for the system's Python under local/ and calls the folder dist-packages.
    let folders = ["lib", "lib64", "local/lib"].map(|folder| prefix.join(folder));
    let mut pythons: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path())
        .collect();
    pythons.sort();
    let packages = pythons
        .iter()
        .flat_map(|p| [p.join("site-packages"), p.join("dist-packages")]);
    packages
        .into_iter()
        .find_map(|packages| library_in(&packages.join("onnxruntime/capi")))
}

#[cfg(test)]
#[path = "library/tests.rs"]
mod tests;
