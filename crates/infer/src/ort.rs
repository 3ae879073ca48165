//! Engine `ort`: ONNX Runtime on the CPU, loaded while the program runs.
//!
//! Each worker has a session of its own with one compute thread: several frames at once, each on one core, beat one
//! frame on all cores (by 3 % on large networks, by more than half on small ones), and sessions that share a thread
//! pool are slower still.
//!
//! A part of a picture is run as a crop, where the graph shows that a result looks around its own place only so far;
//! how far is read off the file by `native/onnx/reach.rs`, which has the messages of the format.

mod model;
mod probe;
mod session;
mod tensors;
mod worker;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ::ort::LoadDynamicError;
use ::ort::environment::Environment;
use ::ort::logging::LogLevel;

pub(crate) use model::OnnxModel;
pub(crate) use tensors::{Answer, Element, Feed, Port, RunFailure, TensorSession};

use crate::{Error, find_library};

/// The process's one environment, never released: sessions need it, and only one may ever be made.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The environment that sessions are created in; loads the library on first use.
fn environment() -> Result<Environment, Error> {
    // A poisoned lock holds None or a whole environment, both of which are fine to go on with.
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*environment {
        return Ok(environment.clone());
    }
    let loaded = load(&find_library()?)?;
    *environment = Some(loaded.clone());
    Ok(loaded)
}

fn load(path: &Path) -> Result<Environment, Error> {
    let library = |problem| Error::Library {
        problem,
        path: path.to_owned(),
    };
    // A relative path would be taken as relative to the program, not to where we are.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let loaded = ::ort::init_from(&absolute);
    let builder = loaded.map_err(|error| library(load_problem(&error, &absolute)))?;
    let environment = builder
        .with_name("framewright")
        .with_telemetry(false)
        .build()
        .map_err(|error| {
            library(format!(
                "ONNX Runtime does not start: {}",
                one_line(error.message())
            ))
        })?;
    // Every failure comes back as an error value; its own lines on stderr would only break the progress bar.
    environment.set_log_level(LogLevel::Fatal);
    Ok(environment)
}

fn load_problem(error: &LoadDynamicError, path: &Path) -> String {
    let fix = "run `framewright setup` to install one that works";
    match error {
        LoadDynamicError::Dlopen { error, .. } => {
            // The loader's own sentence starts with the path, which our message ends with.
            let (said, start) = (error.to_string(), format!("{}: ", path.display()));
            format!(
                "ONNX Runtime does not load ({}), {fix}",
                said.strip_prefix(&start).unwrap_or(&said)
            )
        }
        LoadDynamicError::MissingApi { .. } => format!("this library is not ONNX Runtime, {fix}"),
        LoadDynamicError::BadVersion { version_str, .. } => {
            format!(
                "ONNX Runtime {version_str} is too old, 1.{} or later is needed, {fix}",
                ::ort::MINOR_VERSION
            )
        }
        LoadDynamicError::InvalidVersionString => {
            format!("ONNX Runtime does not tell its version, {fix}")
        }
    }
}

/// The first line of what ONNX Runtime says, which often goes on for a page.
fn one_line(message: &str) -> String {
    let line = message
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("no reason given");
    line.trim_end_matches('.').to_owned()
}
