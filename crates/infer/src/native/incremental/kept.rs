//! What is kept of a picture: its pixels, and the results of every layer.
//!
//! ```text
//! Kept: [band of rows] ─▶ rows [y][x + 1][channel], and for each pixel whether the update in progress changed it
//! ```
//! A band is what one thread writes while others read the bands beside it. Each has a lock of its own, which nobody ever
//! waits for: who may write when is decided by the [wave](super::wave).

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::bits::Bits;
use crate::native::rows::Words32;
use crate::native::tiles::SLACK;

/// All rows of one layer's results, or of the picture.
pub(super) struct Kept {
    pub(super) bands: Vec<RwLock<Band>>,
    /// For each band whether anything of it changed; where not, its bits are of an earlier update.
    changed: Vec<AtomicBool>,
    /// Stands for the rows above and below the picture.
    outside: Band,
    /// Numbers of a pixel.
    pub(super) channels: usize,
    /// Rows of a band, even.
    n_rows: usize,
}

/// Some rows.
pub(super) struct Band {
    rows: Words32,
    /// Words of a row without the slack.
    row_len: usize,
    pub(super) changed: Vec<Bits>,
}

impl Kept {
    /// Room for a picture of `width` × `height` with `channels` numbers of `size` bytes for each pixel, all zero, in bands of
    /// `n_rows`.
    pub(super) fn new(
        (width, height): (usize, usize),
        n_rows: usize,
        channels: usize,
        size: usize,
    ) -> Self {
        let band = || Band::new(width, n_rows, channels * size);
        let n_bands = height.div_ceil(n_rows);
        Self {
            bands: (0..n_bands).map(|_| RwLock::new(band())).collect(),
            changed: (0..n_bands).map(|_| AtomicBool::new(false)).collect(),
            outside: Band::new(width, 2, channels * size),
            channels,
            n_rows,
        }
    }

    /// Bytes that [`new`](Self::new) takes for a picture of whole bands.
    pub(super) fn size_bytes(width: usize, height: usize, pixel_bytes: usize) -> usize {
        4 * row_len(width, pixel_bytes) * height
    }

    /// True where the update changed something in the band, which has been computed.
    pub(super) fn has_changed(&self, band: usize) -> bool {
        self.changed
            .get(band)
            .is_some_and(|changed| changed.load(Ordering::Relaxed))
    }

    /// Whoever reads it has seen that the band is done, so no order is needed here.
    pub(super) fn set_changed(&self, band: usize, changed: bool) {
        self.changed[band].store(changed, Ordering::Relaxed);
    }

    /// Calls `with` with the band and those beside it.
    pub(super) fn around<R>(&self, band: usize, with: impl FnOnce(&Around) -> R) -> R {
        let beside = [band.checked_sub(1), Some(band), Some(band + 1)];
        let locked = beside.map(|band| {
            let band = self.bands.get(band?)?;
            Some(band.read().unwrap_or_else(PoisonError::into_inner))
        });
        let bands = [0, 1, 2].map(|i| locked[i].as_deref());
        with(&Around {
            kept: self,
            first: band * self.n_rows,
            bands,
        })
    }

    /// Calls `with` with `band`, to be written.
    pub(super) fn write<R>(&self, band: usize, with: impl FnOnce(&mut Band) -> R) -> R {
        let band = self.bands[band].write();
        with(&mut band.unwrap_or_else(PoisonError::into_inner))
    }
}

/// A band with those beside it, to be read.
pub(super) struct Around<'a> {
    kept: &'a Kept,
    /// The band's first row.
    first: usize,
    bands: [Option<&'a Band>; 3],
}

impl Around<'_> {
    /// Row `y` of the picture, with the slack behind it; it lies in one of the bands, or outside the picture.
    pub(super) fn row(&self, y: isize) -> &[u32] {
        let (place, row) = self.place(y);
        self.bands[place].map_or_else(|| self.kept.outside.row(0), |band| band.row(row))
    }

    /// Which pixels of row `y` changed; none where none did.
    pub(super) fn changed(&self, y: isize) -> Option<&Bits> {
        let (place, row) = self.place(y);
        let band = (self.first / self.kept.n_rows + place).checked_sub(1)?;
        self.bands[place]
            .filter(|_| self.kept.has_changed(band))
            .map(|band| &band.changed[row])
    }

    fn place(&self, y: isize) -> (usize, usize) {
        let n_rows = self.kept.n_rows;
        let from_above = (y + n_rows as isize - self.first as isize) as usize;
        (from_above / n_rows, from_above % n_rows)
    }
}

impl Band {
    fn new(width: usize, n_rows: usize, pixel_bytes: usize) -> Self {
        let row_len = row_len(width, pixel_bytes);
        Self {
            rows: Words32::new(n_rows * row_len + SLACK),
            row_len,
            changed: vec![Bits::new(width); n_rows],
        }
    }

    fn row(&self, row: usize) -> &[u32] {
        &self.rows[row * self.row_len..][..self.row_len + SLACK]
    }

    /// All rows, the words of one, and for each the bits of what changed.
    pub(super) fn parts(&mut self) -> (&mut [u32], usize, &mut [Bits]) {
        let len = self.changed.len() * self.row_len;
        (&mut self.rows[..len], self.row_len, &mut self.changed)
    }
}

/// Words of a row: whole tiles, and a pixel on each side.
fn row_len(width: usize, pixel_bytes: usize) -> usize {
    (width.next_multiple_of(2) + 2) * pixel_bytes / 4
}

/// The rows of band `band` of a picture of `height` rows.
pub(super) fn rows_of(band: usize, n_rows: usize, height: usize) -> Range<usize> {
    band * n_rows..height.min((band + 1) * n_rows)
}
