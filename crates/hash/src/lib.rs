//! Perceptual hashes of pictures, how good a picture is, and the search for near duplicates.
//!
//! Knows nothing of video: what comes in is a plane of 8-bit luma.

mod hash256;

pub use hash256::Hash256;
