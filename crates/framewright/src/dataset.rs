//! `framewright dataset`: from links and films to a labelled, de-duplicated, leak-safe picture dataset.
//!
//! ```text
//! inputs ─▶ download ─▶ extract ─▶ filter ─▶ dedup ─▶ detect ─▶ [all videos] dedup ─▶ split ─▶ export
//!           a file      pictures,  scores,   leaders            leaders across
//!           on disk     hashes     drops     of a video         videos, in input order
//! ```
//! What a stage learned of a video stands in one file, `state/videos/<video_id>/<stage>.json`, written whole or not at
//! all and marked with a key of everything that decides its content. A run skips what is there under the right key, so
//! being killed costs what was in flight and nothing else. What is decided across videos is a function of these files,
//! taken in input order, so the dataset does not depend on the number of workers, the mode or the order of completion.

pub mod config;
pub mod dedup;
pub mod download;
pub mod export;
pub mod extract;
pub mod filter;
pub mod inputs;
pub mod page;
pub mod record;
pub mod split;
pub mod trouble;
