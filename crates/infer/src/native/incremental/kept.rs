//! What is kept of a picture: its pixels, the results of every layer, and the result.
//!
//! ```text
//! Kept: [pair of rows] ─▶ rows [y][x + 1][channel], and for each pixel whether the update in progress changed it
//! ```
//! A layer computes two rows from the four around them, so a pair of rows is what one thread writes while others read
//! the pairs beside it: each has a lock of its own, which nobody ever waits for.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bits::Bits;
use crate::native::rows::Words32;
use crate::native::tiles::SLACK;

/// All rows of one layer's results, or of the picture.
pub(super) struct Kept {
    pub(super) pairs: Vec<RwLock<Pair>>,
    /// For each pair whether anything of it changed; where not, its bits are of an earlier update.
    changed: Vec<AtomicBool>,
    /// Stands for the rows above and below the picture.
    outside: Pair,
    /// Numbers of a pixel.
    pub(super) channels: usize,
}

/// Two rows.
pub(super) struct Pair {
    rows: Words32,
    /// Words of a row without the slack.
    row_len: usize,
    pub(super) changed: [Bits; 2],
}

impl Kept {
    /// Room for a picture of `width` × `height` with `channels` numbers of `size` bytes for each pixel, all zero.
    pub(super) fn new(width: usize, height: usize, channels: usize, size: usize) -> Self {
        let pair = || Pair::new(width, channels * size);
        let n_pairs = height.div_ceil(2);
        Self {
            pairs: (0..n_pairs).map(|_| RwLock::new(pair())).collect(),
            changed: (0..n_pairs).map(|_| AtomicBool::new(false)).collect(),
            outside: pair(),
            channels,
        }
    }

    /// Bytes that [`new`](Self::new) takes.
    pub(super) fn size_bytes(width: usize, height: usize, pixel_bytes: usize) -> usize {
        4 * (2 * row_len(width, pixel_bytes) + SLACK) * (height.div_ceil(2) + 1)
    }

    /// True where the update changed something in the pair, which has been computed.
    pub(super) fn has_changed(&self, pair: usize) -> bool {
        self.changed
            .get(pair)
            .is_some_and(|changed| changed.load(Ordering::Relaxed))
    }

    /// Whoever reads it has seen that the pair is done, so no order is needed here.
    pub(super) fn set_changed(&self, pair: usize, changed: bool) {
        self.changed[pair].store(changed, Ordering::Relaxed);
    }

    /// Calls `with` with the pairs before, at and after `pair`; those outside the picture are zero.
    pub(super) fn around<R>(&self, pair: usize, with: impl FnOnce([&Pair; 3]) -> R) -> R {
        let read = |pair: Option<usize>| {
            pair.and_then(|pair| self.pairs.get(pair)).map(|pair| {
                pair.read()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
            })
        };
        let locked = [pair.checked_sub(1), Some(pair), Some(pair + 1)].map(read);
        with([0, 1, 2].map(|i| locked[i].as_deref().unwrap_or(&self.outside)))
    }

    /// Calls `with` with `pair`, to be written.
    pub(super) fn write<R>(&self, pair: usize, with: impl FnOnce(&mut Pair) -> R) -> R {
        let mut pair = self.pairs[pair]
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        with(&mut pair)
    }

    /// Adds to `bits` which pixels of the rows `2 * pair - 1` to `2 * pair + 2` changed; `around` are the pairs.
    pub(super) fn add_changes(&self, pair: usize, around: [&Pair; 3], bits: &mut Bits) {
        if pair > 0 && self.has_changed(pair - 1) {
            bits.add(&around[0].changed[1]);
        }
        if self.has_changed(pair) {
            bits.add(&around[1].changed[0]);
            bits.add(&around[1].changed[1]);
        }
        if self.has_changed(pair + 1) {
            bits.add(&around[2].changed[0]);
        }
    }
}

impl Pair {
    fn new(width: usize, pixel_bytes: usize) -> Self {
        let row_len = row_len(width, pixel_bytes);
        Self {
            rows: Words32::new(2 * row_len + SLACK),
            row_len,
            changed: [0, 1].map(|_| Bits::new(width)),
        }
    }

    /// A row with the slack behind it.
    pub(super) fn row(&self, row: usize) -> &[u32] {
        &self.rows[row * self.row_len..][..self.row_len + SLACK]
    }

    /// Both rows, and the bits of what changed in them.
    pub(super) fn parts(&mut self) -> ([&mut [u32]; 2], &mut [Bits; 2]) {
        let rows = &mut self.rows[..2 * self.row_len];
        (rows.split_at_mut(self.row_len).into(), &mut self.changed)
    }
}

/// Words of a row: whole tiles, and a pixel on each side.
fn row_len(width: usize, pixel_bytes: usize) -> usize {
    (width.next_multiple_of(2) + 2) * pixel_bytes / 4
}
