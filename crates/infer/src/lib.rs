//! Upscaling networks and the engines that run them.
//!
//! ```text
//! Model::open(name or path) ─▶ Model ─▶ upscalers(n) ─▶ one Box<dyn Upscaler> per worker thread
//!                                │                          run(picture, larger picture)
//!                              info(): scale, engine, why   canceller(): ends a run from another thread
//! ```
//!
//! Two engines stand behind the trait: [`nearest`], the diagnostic scaler `nearest-x2` that needs no network, and
//! `ort`, ONNX Runtime, loaded while the program runs. Nothing here needs the library to be installed before a model
//! file is opened.

pub mod error;
mod finite;
pub mod library;
pub mod model;
pub mod nearest;
mod ort;
mod pad;
pub mod upscaler;

pub use error::Error;
pub use library::{data_dir, find_library};
pub use model::Model;
pub use upscaler::{Canceller, ModelInfo, Upscaler};
