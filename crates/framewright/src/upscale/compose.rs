//! Puts computed parts into earlier results, in order.
//!
//! ```text
//! results of composites ─▶ copy of the base's ─▶ the parts that changed ─▶ result of the new composite
//! ```
//! All of it in the pixel format of the output: what did not change is never converted again.

use framewright_media::{Error, Frame, FramePool, Region};

/// The results that later frames show again or build upon.
#[derive(Default)]
pub struct Results {
    kept: Vec<(u64, Frame)>,
    pool: FramePool,
}

impl Results {
    /// Keeps the result of composite `id`.
    pub fn keep(&mut self, id: u64, result: &Frame) {
        self.kept.push((id, result.share()));
    }

    /// The result of composite `id`, which must be kept.
    pub fn get(&self, id: u64) -> &Frame {
        let found = self.kept.iter().find(|(kept, _)| *kept == id);
        &found
            .expect("only composites that are kept are referred to")
            .1
    }

    /// The result of composite `base`, with `parts` of `patch` in it.
    ///
    /// # Errors
    /// No memory.
    pub fn patched(&mut self, base: u64, patch: &Frame, parts: &[Region]) -> Result<Frame, Error> {
        let found = self.kept.iter().find(|(kept, _)| *kept == base);
        let (_, base) = found.expect("only composites that are kept are built upon");
        let mut result = self.pool.copy(base)?;
        for part in parts {
            result.copy_part(patch, part);
        }
        Ok(result)
    }

    /// Forgets composites that no later frame refers to.
    pub fn forget(&mut self, ids: &[u64]) {
        self.kept.retain(|(id, _)| !ids.contains(id));
    }
}
