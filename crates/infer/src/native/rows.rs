//! Rows of activations, and the few rows of each layer that the next one still needs.
//!
//! A row is `[channel][parity][tile]`, in f32 or f16: the pixels of even x of a channel side by side, then those of odd x. A tile is two pixels wide, so its inputs and results are vectors of neighbouring tiles, and no lane is ever
//! moved. Before the first tile and after the last is a margin of zeros, the convolution's padding.

use std::ops::{Deref, DerefMut};

/// Activations before the first tile of a plane, so that vectors of tiles are aligned; one of them is read.
pub(super) const MARGIN: usize = 16;

/// 32-bit words from a cache line on, zeros at first.
pub(super) struct Words32 {
    memory: Vec<u32>,
    start: usize,
    len: usize,
}

impl Words32 {
    pub(super) fn new(len: usize) -> Self {
        let memory = vec![0_u32; len + 16];
        let start = memory.as_ptr().align_offset(64).min(16);
        Self { memory, start, len }
    }
}

impl Deref for Words32 {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Words32 {
    fn deref_mut(&mut self) -> &mut [u32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// Rows of one layer's activations, the last three pairs of them.
///
/// A layer works on pairs of rows and needs the row above and the one below, so the pair before and the pair after.
pub(super) struct Ring {
    rows: Words32,
    row_len: usize,
}

/// Pairs of rows that are kept.
const PAIRS: usize = 3;

impl Ring {
    /// Rows of two planes of `pixel_bytes` for each pixel.
    pub(super) fn new(pixel_bytes: usize, plane: usize) -> Self {
        let row_len = row_len(pixel_bytes, plane);
        Self {
            rows: Words32::new(2 * PAIRS * row_len),
            row_len,
        }
    }

    /// Bytes that [`new`](Self::new) takes.
    pub(super) fn size_bytes(pixel_bytes: usize, plane: usize) -> usize {
        4 * 2 * PAIRS * row_len(pixel_bytes, plane)
    }

    /// Row `y` of the picture, of one of the last three pairs that were written.
    pub(super) fn row(&self, y: usize) -> &[u32] {
        let slot = y % (2 * PAIRS);
        &self.rows[slot * self.row_len..][..self.row_len]
    }

    /// Rows `2 * pair` and `2 * pair + 1`, to be written.
    pub(super) fn pair(&mut self, pair: usize) -> [&mut [u32]; 2] {
        let slot = pair % PAIRS;
        let pair = &mut self.rows[2 * slot * self.row_len..][..2 * self.row_len];
        pair.split_at_mut(self.row_len).into()
    }
}

/// Words of a row.
pub(super) fn row_len(pixel_bytes: usize, plane: usize) -> usize {
    pixel_bytes * 2 * plane / 4
}

/// Distributes pixels to planes of even and of odd x, the first one to place `x`.
pub(super) fn read_pixels(pixels: &[f32], x: usize, even: &mut [u32], odd: &mut [u32]) {
    let mut pixels = pixels;
    let mut tile = x / 2;
    if let (true, [first, rest @ ..]) = (x % 2 == 1, pixels) {
        odd[tile] = first.to_bits();
        tile += 1;
        pixels = rest;
    }
    let n_odd = pixels.len() / 2;
    let targets = even[tile..][..n_odd]
        .iter_mut()
        .zip(&mut odd[tile..][..n_odd]);
    for (pair, (even, odd)) in pixels.chunks_exact(2).zip(targets) {
        (*even, *odd) = (pair[0].to_bits(), pair[1].to_bits());
    }
    if let [last] = pixels.chunks_exact(2).remainder() {
        even[tile + n_odd] = last.to_bits();
    }
}
