//! Perceptual hashes of pictures, how good a picture is, and the search for near duplicates.
//!
//! ```text
//! Luma ─▶ Measurer::see ─▶ Seen ─┬▶ Fingerprint ─▶ Index / Leaders ─▶ Match (the first that is nearly the same)
//!                                ├▶ Scores
//!                                └▶ thumbnail
//! ```
//! Knows nothing of video: what comes in is a plane of 8-bit luma. Starts no threads: an [`Index`] is searched for many
//! pictures by as many threads as the caller has.

mod hash256;
mod isa;
mod luma;
mod measure;
mod search;

pub use hash256::Hash256;
pub use luma::Luma;
pub use measure::{Fingerprint, Measurer, Scores, Seen, THUMBNAIL_SIDE};
pub use search::{Index, Kind, Leaders, Match, Nearest, Query, Thresholds};
