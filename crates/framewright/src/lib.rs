//! The program: its jobs and its command line.
//!
//! Start reading at [`upscale`]: the whole data flow of the job is on one screen there.

pub mod bench;
pub mod bounded;
pub mod cli;
pub mod dataset;
pub mod durable;
pub mod exit;
pub mod models;
pub mod notes;
pub mod process;
pub mod progress;
pub mod report;
pub mod same_file;
pub mod screen;
pub mod setup;
pub mod signals;
pub mod upscale;
pub mod visible;
