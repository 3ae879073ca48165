//! Puts computed parts into earlier results, in order.
//!
//! ```text
//! results of composites ─▶ copy of the base's, moved ─▶ the parts that changed ─▶ result of the new composite
//! ```
//! All of it in the pixel format of the output: what did not change is never converted again.

use framewright_media::{Error, Frame, FramePool, Region, Shift};

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

    /// The result of composite `base`, which must be kept, moved, with `parts` of `patch` in it. These hold everything
    /// that it does not cover then.
    ///
    /// # Errors
    /// No memory.
    pub fn patched(
        &mut self,
        base: u64,
        moved: Shift,
        patch: &Frame,
        parts: &[Region],
    ) -> Result<Frame, Error> {
        let mut result = self.pool.copy_moved(kept(&self.kept, base), moved)?;
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
