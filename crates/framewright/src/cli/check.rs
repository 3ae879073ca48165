//! What clap cannot check by itself: options that contradict each other, files that are one.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

use super::{Encoder, Options};

/// Refuses what `upscale` cannot do. An option that would have no effect is refused, too: the
/// user would believe in it.
pub(super) fn check(options: &Options) -> Result<(), (ErrorKind, String)> {
    let conflict = |message: String| Err((ErrorKind::ArgumentConflict, message));
    let encoder = options.encoder;
    if options.output.is_none() && encoder != Encoder::Null && !options.plan_only {
        let message = "an output is needed: give -o FILE, or --encoder null to only measure";
        return Err((ErrorKind::MissingRequiredArgument, message.to_owned()));
    }
    check_encoding(options)?;
    if options.pix_fmt.is_some() && encoder == Encoder::Null {
        return conflict("--pix-fmt has no effect on null".to_owned());
    }
    if options.plan_only && options.report.is_some() {
        return conflict("--plan-only gives no report: leave out --report".to_owned());
    }
    let films = [
        ("--reuse-map", options.reuse_map.as_ref()),
        ("--dump-composite", options.dump_composite.as_ref()),
    ];
    if let Some((option, _)) = films
        .iter()
        .find(|(_, path)| options.plan_only && path.is_some())
    {
        return conflict(format!("--plan-only computes nothing: leave out {option}"));
    }
    match same_file(options) {
        Some((one, other)) => conflict(format!("{one} and {other} are the same file")),
        None => Ok(()),
    }
}

/// Quality and preset only for an encoder that knows them.
pub(super) fn check_encoding(options: &Options) -> Result<(), (ErrorKind, String)> {
    let lossy_only = [
        ("--crf", options.crf.is_some()),
        ("--preset", options.preset.is_some()),
    ];
    for (option, given) in lossy_only {
        if given && !options.encoder.is_lossy() {
            let message = format!("{option} has no effect on {}", options.encoder.name());
            return Err((ErrorKind::ArgumentConflict, message));
        }
    }
    Ok(())
}

/// Two of the files that are one: writing one of them would destroy the other.
fn same_file(options: &Options) -> Option<(&'static str, &'static str)> {
    let files = [
        ("INPUT", Some(&options.input)),
        ("--output", options.output.as_ref()),
        ("--plan-out", options.plan_out.as_ref()),
        ("--report", options.report.as_ref()),
        ("--reuse-map", options.reuse_map.as_ref()),
        ("--dump-composite", options.dump_composite.as_ref()),
    ];
    let files = files.map(|(name, path)| (name, path.map(|path| identity(path))));
    for (index, (name, file)) in files.iter().enumerate() {
        let same = |other: &&(&str, Option<PathBuf>)| file.is_some() && other.1 == *file;
        if let Some((earlier, _)) = files[..index].iter().find(same) {
            return Some((earlier, name));
        }
    }
    None
}

/// The path without links and dots, as far as it exists.
fn identity(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
