//! What clap cannot check by itself: options that contradict each other, files that are one.

use std::path::Path;

use clap::error::ErrorKind;

use super::{Encoder, Options};
use crate::same_file::Place;

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
    // A built-in model has a name and no file.
    let model = options.model.as_ref().map(Path::new);
    let files = [
        ("INPUT", Some(options.input.as_path())),
        ("--model", model.filter(|model| model.exists())),
        ("--output", options.output.as_deref()),
        ("--plan-out", options.plan_out.as_deref()),
        ("--report", options.report.as_deref()),
        ("--reuse-map", options.reuse_map.as_deref()),
        ("--dump-composite", options.dump_composite.as_deref()),
    ];
    let files = files
        .into_iter()
        .filter_map(|(name, path)| Some((name, path?, Place::of(path?))));
    let files: Vec<_> = files.collect();
    for (index, (name, path, place)) in files.iter().enumerate() {
        let mut earlier = files[..index].iter();
        let same = earlier.find(|other| other.1 == *path || (place.is_some() && other.2 == *place));
        if let Some((other, ..)) = same {
            return Some((other, name));
        }
    }
    None
}
