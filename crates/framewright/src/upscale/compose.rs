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
        kept(&self.kept, id)
    }

    /// The result of composite `base`, which must be kept, with `parts` of `patch` in it.
    ///
    /// # Errors
    /// No memory.
    pub fn patched(&mut self, base: u64, patch: &Frame, parts: &[Region]) -> Result<Frame, Error> {
        let mut result = self.pool.copy(kept(&self.kept, base))?;
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

fn kept(results: &[(u64, Frame)], id: u64) -> &Frame {
    let found = results.iter().find(|(kept, _)| *kept == id);
    let (_, result) = found.expect("`compare` refers to composites only until it forgets them");
    result
}
