//! What can go wrong, by what the caller can do about it.

use std::path::PathBuf;

/// Why a model could not be opened or a picture not be upscaled.
///
/// The exit code of the program for each variant stands with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ONNX Runtime is not on this machine (exit 69).
    #[error(
        "ONNX Runtime is needed to run this model and was not found: run `framewright setup` to install it, \
         or set FRAMEWRIGHT_ORT (looked {})",
        .looked.join(", ")
    )]
    MissingLibrary {
        /// Every place that was searched, in order and in words.
        looked: Vec<String>,
    },

    /// A library is there and cannot be used: a wrong `FRAMEWRIGHT_ORT`, too old, damaged (exit 69).
    #[error("{problem}: {}", .path.display())]
    Library {
        /// What is wrong with it and what to do.
        problem: String,
        /// The library, or what `FRAMEWRIGHT_ORT` says.
        path: PathBuf,
    },

    /// The name is not one of ours and no such file exists (exit 78).
    #[error("unknown model, neither a known name ({}) nor a file: {name}", .known.join(", "))]
    UnknownModel {
        /// The name as given.
        name: String,
        /// The names that would have worked.
        known: Vec<&'static str>,
    },

    /// The model file cannot be read (exit 78, or 77 where the cause says "permission denied").
    #[error("cannot read the model: {cause}: {}", .path.display())]
    ReadModel {
        /// The model file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },

    /// The file is not an upscaling network this program can run (exit 78).
    #[error("{problem}: {}", .path.display())]
    Model {
        /// What is wrong with it and what to do.
        problem: String,
        /// The model file.
        path: PathBuf,
    },

    /// The model does not give the scale asked for (exit 2).
    #[error(
        "{model} does not give scale {asked}, and nothing is resized silently; use --scale {}, or another model",
        list(.known)
    )]
    Scale {
        /// The scale that was asked for.
        asked: u32,
        /// Name of the model.
        model: String,
        /// The scales that it gives, ascending, in one pass and in several.
        known: Vec<u32>,
    },

    /// The arithmetic asked for is not to be had (exit 2).
    #[error("{problem}, use --precision auto or fp32")]
    Precision {
        /// Who does not have it and why.
        problem: String,
    },

    /// `FRAMEWRIGHT_ISA` names an instruction set that is not known or not here (exit 2).
    #[error("FRAMEWRIGHT_ISA is none of the instruction sets of this processor ({}): {asked}", .known.join(", "))]
    Processor {
        /// Its value.
        asked: String,
        /// The values that would have worked.
        known: Vec<&'static str>,
    },

    /// The network answered a picture with values that are not numbers (exit 78).
    #[error(
        "the model gave {count} values that are NaN or infinite, the first at x {x}, y {y} of the result; \
         use another model, its fp32 version or --precision fp32: {model}"
    )]
    NotFinite {
        /// How many of the result's values are NaN or infinite.
        count: usize,
        /// Column of the first one, in pixels of the result.
        x: usize,
        /// Row of the first one, in pixels of the result.
        y: usize,
        /// Name of the model.
        model: String,
    },

    /// [`Canceller::cancel`](crate::Canceller::cancel) was called.
    #[error("cancelled")]
    Cancelled,

    /// The engine failed on a picture, for example for want of memory (exit 1).
    #[error("{problem}: {model}")]
    Run {
        /// What the engine said.
        problem: String,
        /// Name of the model.
        model: String,
    },
}

/// Numbers as people list them: `2, 4, 8 or 16`.
fn list(numbers: &[u32]) -> String {
    let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
