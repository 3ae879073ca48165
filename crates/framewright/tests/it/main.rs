//! The program as its users meet it: one binary, so that it is linked once.
//!
//! Clips come from `../shared/assets`; a test that needs them and does not find them says `skipped:`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start the program and its judges, and print the tables a reader wants to see"
)]

mod bad_input;
mod bench;
mod built_in;
mod cli;
mod dataset;
mod download;
mod download_pages;
mod engines;
mod env;
mod export;
mod extract;
mod faults;
mod fence;
mod hangs;
mod interrupt;
mod memory;
mod models;
mod outputs;
mod quality;
mod regions;
mod reuse;
mod reuse_map;
mod server;
mod streams;
