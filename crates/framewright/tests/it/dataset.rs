//! `framewright dataset` on collections with planted duplicates, whose truth is known.

mod collection;
mod detector;
mod foreign;
mod hostile;
mod kills;
mod likeness;
mod limits;
mod losses;
mod merging;
mod sameness;
mod stops;
mod table;

use std::path::Path;

use crate::env::{Run, TestEnv};

/// `dataset run` on a list of inputs, with further arguments.
pub fn run_list(env: &TestEnv, inputs: &[impl AsRef<Path>], output: &str, more: &[&str]) -> Run {
    let lines: Vec<String> = inputs
        .iter()
        .map(|input| input.as_ref().display().to_string())
        .collect();
    std::fs::write(env.path("list.txt"), lines.join("\n")).unwrap();
    let mut args = vec!["dataset", "run", "--inputs", "list.txt", "-o", output];
    args.extend(more);
    env.run(&args)
}
