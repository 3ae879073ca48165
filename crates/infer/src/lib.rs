//! Networks and the engines that run them: for upscaling, detection and comparison by meaning.
//!
//! ```text
//! Model::open(name or path) ─▶ Model ─▶ upscalers(n) ─▶ one Box<dyn Upscaler> per worker thread
//!                                │                          run(picture, larger picture)
//!                              info(): scale, engine, why   canceller(): ends a run from another thread
//! ```
//! `Model::incremental(n)` makes workers of another kind: they share what every layer made of a picture, and bring it to the next
//! one by computing only what changed.
//!
//! Three engines stand behind the trait: [`nearest`], the diagnostic scaler `nearest-x2` that needs no network; `native`,
//! our own kernels for networks of the Compact family; and `ort`, ONNX Runtime, loaded while the program runs. Nothing
//! needs the library before a file is opened that the others do not run. [`builtin`] models need no file either.
//!
//! Networks that look at pictures and make none stand beside them, all run by ONNX Runtime: [`detect`] finds objects,
//! [`embed`] makes vectors of pictures and texts. Each is opened once and makes one session for each thread.

pub mod builtin;
pub mod detect;
pub mod embed;
pub mod error;
mod finite;
pub mod library;
pub mod model;
mod native;
pub mod nearest;
mod ort;
mod pad;
mod passes;
mod prepare;
mod resample;
#[cfg(test)]
mod sample;
pub mod upscaler;

pub use builtin::{BUILTINS, Builtin, DEFAULT_MODEL};
pub use error::Error;
pub use framewright_media::Region;
pub use library::{data_dir, find_library};
pub use model::{Choice, Engine, Model, Precision};
pub use native::{Incremental, Update, Updated};
pub use upscaler::{Canceller, ModelInfo, Upscaler};
