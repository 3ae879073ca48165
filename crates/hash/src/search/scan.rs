//! The inner loops of the search: eight entries side by side, word by word, so that a word of all eight is one vector.
//!
//! Half of each hash rules nearly everything out: pictures that have nothing to do with each other differ in 64 of 128
//! bits, give or take 6. So the first halves lie together, and the others are hardly ever read.

#![expect(
    clippy::inline_always,
    reason = "to be compiled for each instruction set"
)]

use crate::Hash256;
use crate::isa::{Isa, for_every_isa};

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

/// Entries in a block.
pub(super) const LANES: usize = 8;

/// Two words of the DCT hash, then two of the gradient hash, of eight entries each.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Block(pub [[u64; LANES]; 4]);

/// The words of one picture as they stand in the two blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub near: [u64; 4],
    pub far: [u64; 4],
}

impl Words {
    /// Of the gradient hash the middle of the picture comes first: at the top and the bottom many are black.
    pub(super) fn new(dct: &Hash256, dhash: &Hash256) -> Self {
        let (dct, dhash) = (dct.0, dhash.0);
        Self {
            near: [dct[0], dct[1], dhash[1], dhash[2]],
            far: [dct[2], dct[3], dhash[0], dhash[3]],
        }
    }

    pub(super) fn hashes(&self) -> (Hash256, Hash256) {
        let (near, far) = (self.near, self.far);
        (
            Hash256([near[0], near[1], far[0], far[1]]),
            Hash256([far[2], near[2], near[3], far[3]]),
        )
    }
}

/// Most differing bits of both hashes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    dct: u64,
    dhash: u64,
}

impl Limits {
    pub(super) fn new(dct: u32, dhash: u32) -> Self {
        Self {
            dct: dct.into(),
            dhash: dhash.into(),
        }
    }
}

/// Number of the first block with an entry within the limits by one of its hashes.
#[expect(
    unsafe_code,
    reason = "calls of functions compiled for features that were found"
)]
pub(super) fn next_candidate(
    isa: Isa,
    near: &[Block],
    far: &[Block],
    words: &Words,
    limits: Limits,
) -> Option<usize> {
    match isa {
        Isa::Portable => next_candidate_portable(near, far, words, limits),
        // SAFETY: this value exists only on a machine that has the features.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::next_candidate(near, far, words, limits) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::next_candidate(near, far, words, limits) },
    }
}

fn next_candidate_portable(
    near: &[Block],
    far: &[Block],
    words: &Words,
    limits: Limits,
) -> Option<usize> {
    for (n, (near, far)) in near.iter().zip(far).enumerate() {
        let [mut dct, mut dhash] = distances(near, &words.near);
        if !is_within(&dct, &dhash, limits) {
            continue;
        }
        let [far_dct, far_dhash] = distances(far, &words.far);
        for lane in 0..LANES {
            dct[lane] += far_dct[lane];
            dhash[lane] += far_dhash[lane];
        }
        if is_within(&dct, &dhash, limits) {
            return Some(n);
        }
    }
    None
}

/// Differing bits of the words of both hashes in one block.
#[inline(always)]
fn distances(block: &Block, words: &[u64; 4]) -> [[u64; LANES]; 2] {
    let mut result = [[0; LANES]; 2];
    for (hash, result) in result.iter_mut().enumerate() {
        let (first, second) = (&block.0[2 * hash], &block.0[2 * hash + 1]);
        for lane in 0..LANES {
            let ones = (first[lane] ^ words[2 * hash]).count_ones()
                + (second[lane] ^ words[2 * hash + 1]).count_ones();
            result[lane] = u64::from(ones);
        }
    }
    result
}

#[inline(always)]
fn is_within(dct: &[u64; LANES], dhash: &[u64; LANES], limits: Limits) -> bool {
    let mut within = false;
    for lane in 0..LANES {
        within |= dct[lane] <= limits.dct;
        within |= dhash[lane] <= limits.dhash;
    }
    within
}

/// Distance and entry of the nearest by the DCT hash and by the gradient hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nearest(pub [(u64, usize); 2]);

impl Default for Nearest {
    fn default() -> Self {
        Self([(u64::MAX, usize::MAX); 2])
    }
}

for_every_isa!(
    /// Takes the first `entries` entries into account; of equally near ones the first counts.
    pub(super) nearest,
    nearest_inline,
    (near: &[Block], far: &[Block], entries: usize, words: &Words, nearest: &mut Nearest)
);

#[inline(always)]
fn nearest_inline(
    near: &[Block],
    far: &[Block],
    entries: usize,
    words: &Words,
    nearest: &mut Nearest,
) {
    for (n, (near, far)) in near.iter().zip(far).enumerate() {
        let (near, far) = (distances(near, &words.near), distances(far, &words.far));
        let filled = LANES.min(entries - n * LANES);
        for hash in 0..2 {
            for lane in 0..filled {
                let found = (near[hash][lane] + far[hash][lane], n * LANES + lane);
                nearest.0[hash] = nearest.0[hash].min(found);
            }
        }
    }
}
