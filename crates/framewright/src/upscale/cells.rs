//! Cells, the unit of comparison: how much does each differ between two frames?
//!
//! A *cell* is 8×8 luma pixels and the chroma samples over them. Its difference is the mean of absolute differences in
//! the plane where that is largest, in 8-bit levels. The mean of one cell, not of the picture: a blinking eye is a few
//! cells, and nothing in the mean of a whole frame.

use std::ops::Range;

use framewright_media::{ColourTags, Frame, Region, Shift};

/// Edge of a cell in luma pixels.
pub const CELL: usize = 8;

/// The cells of a picture, row by row. Those at the right and lower edge may be smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Of the picture, in pixels.
    pub width: usize,
    /// Of the picture, in pixels.
    pub height: usize,
}

impl Grid {
    /// The cells of frames like this one.
    pub fn of(frame: &Frame) -> Self {
        Self {
            width: frame.width(),
            height: frame.height(),
        }
    }

    /// Cells in a row.
    pub fn columns(self) -> usize {
        self.width.div_ceil(CELL)
    }

    /// Rows of cells.
    pub fn rows(self) -> usize {
        self.height.div_ceil(CELL)
    }

    /// Cells in all.
    pub fn n_cells(self) -> usize {
        self.columns() * self.rows()
    }

    /// The pixels of some cells of one row of cells.
    pub fn region(self, columns: &Range<usize>, row: usize) -> Region {
        let pixels =
            |cells: Range<usize>, end: usize| cells.start * CELL..end.min(cells.end * CELL);
        Region {
            x: pixels(columns.clone(), self.width),
            y: pixels(row..row + 1, self.height),
        }
    }
}

/// How a picture differs from an earlier one: that may have moved as a whole, and then some cells changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    grid: Grid,
    moved: Shift,
    cells: Vec<bool>,
}

impl Changed {
    /// Those whose difference is above the tolerance.
    pub fn above(grid: Grid, differences: &[f32], tolerance: f32) -> Self {
        let cells = differences.iter().map(|&difference| difference > tolerance);
        Self {
            grid,
            moved: Shift::default(),
            cells: cells.collect(),
        }
    }

    /// The same after the earlier picture has moved: with all cells that it does not cover then.
    pub fn after(mut self, moved: Shift) -> Self {
        self.moved = moved;
        for strip in moved.uncovered(self.grid.width, self.grid.height) {
            let columns = strip.x.start / CELL..strip.x.end.div_ceil(CELL);
            for row in strip.y.start / CELL..strip.y.end.div_ceil(CELL) {
                self.cells[row * self.grid.columns()..][columns.clone()].fill(true);
            }
        }
        self
    }

    /// By how much the earlier picture has moved.
    pub fn moved(&self) -> Shift {
        self.moved
    }

    /// How many cells changed.
    pub fn n_cells(&self) -> usize {
        self.cells.iter().filter(|&&changed| changed).count()
    }

    /// Those that come from another frame, given the frame of each cell in both.
    pub fn unlike(grid: Grid, a: &[u64], b: &[u64]) -> Self {
        Self {
            grid,
            cells: a.iter().zip(b).map(|(a, b)| a != b).collect(),
            moved: Shift::default(),
        }
    }

    /// True where the earlier picture has moved.
    pub fn has_moved(&self) -> bool {
        self.moved != Shift::default()
    }

    /// The cells it is about.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Every longest run of changed cells in a row: the columns, and the row.
    pub fn runs(&self) -> impl Iterator<Item = (Range<usize>, usize)> {
        (0..self.grid.rows()).flat_map(|row| {
            let cells = &self.cells[row * self.grid.columns()..][..self.grid.columns()];
            let mut at = 0;
            std::iter::from_fn(move || {
                let start = at + cells[at..].iter().position(|&changed| changed)?;
                let length = cells[start..]
                    .iter()
                    .take_while(|&&changed| changed)
                    .count();
                at = start + length;
                Some((start..at, row))
            })
        })
    }
}

/// Measures rows of cells; keeps the sums to save allocations.
#[derive(Default)]
pub struct Meter {
    sums: Vec<u32>,
}

impl Meter {
    /// Writes the difference of the cells `columns` of a row of cells, in 8-bit levels. Both frames have one format and
    /// size.
    pub fn row(
        &mut self,
        a: &Frame,
        b: &Frame,
        row: usize,
        columns: &Range<usize>,
        cells: &mut [f32],
    ) {
        cells.fill(0.0);
        if columns.is_empty() {
            return;
        }
        for plane in 0..3 {
            self.add_plane(a, b, plane, row, columns, cells);
        }
    }

    /// Raises differences to those of one plane where these are larger.
    fn add_plane(
        &mut self,
        a: &Frame,
        b: &Frame,
        plane: usize,
        row: usize,
        columns: &Range<usize>,
        cells: &mut [f32],
    ) {
        let format = a.pixel_format();
        let (shift_x, shift_y) = match plane {
            0 => (0, 0),
            _ if format.is_rgb() => (0, 0),
            _ => format.chroma_shift(),
        };
        let (cell_width, cell_rows) = (CELL >> shift_x, CELL >> shift_y);
        let rows = row * cell_rows..a.rows(plane).min((row + 1) * cell_rows);
        if rows.is_empty() {
            return;
        }
        let width = a.width().div_ceil(1 << shift_x);
        let samples = columns.start * cell_width..width.min(columns.end * cell_width);
        let wide = format.depth() > 8;
        let sample_bytes = if wide { 2 } else { 1 };
        let bytes = samples.start * sample_bytes..samples.end * sample_bytes;
        self.sums.clear();
        self.sums.resize(cells.len(), 0);
        let (a_plane, b_plane) = (a.planes()[plane], b.planes()[plane]);
        let mut differs = false;
        for y in rows.clone() {
            let a = &a_plane[y * a.stride(plane)..][bytes.clone()];
            let b = &b_plane[y * b.stride(plane)..][bytes.clone()];
            // Most of a still scene ends here, at the speed of memory.
            if a != b {
                differs = true;
                add_samples(a, b, wide, cell_width, &mut self.sums);
            }
        }
        if !differs {
            return;
        }
        // Samples of 10 bits are four times as fine as 8-bit levels.
        let level = f32::from(1_u16 << (format.depth() - 8));
        let mean = |sum: u32, width: usize| sum as f32 / (level * (width * rows.len()) as f32);
        let last = cells.len() - 1;
        for (cell, &sum) in cells[..last].iter_mut().zip(&self.sums) {
            *cell = cell.max(mean(sum, cell_width));
        }
        cells[last] = cells[last].max(mean(self.sums[last], samples.len() - last * cell_width));
    }
}

/// Adds the absolute differences of one row to the sums of its cells, each `cell_width` samples wide.
pub fn add_samples(a: &[u8], b: &[u8], wide: bool, cell_width: usize, sums: &mut [u32]) {
    match (wide, cell_width) {
        (false, 8) => add_row::<8>(a, b, sums, difference_8),
        (false, 4) => add_row::<4>(a, b, sums, difference_8),
        (false, 2) => add_row::<2>(a, b, sums, difference_8),
        (true, 8) => add_row::<16>(a, b, sums, difference_16),
        (true, 4) => add_row::<8>(a, b, sums, difference_16),
        (true, 2) => add_row::<4>(a, b, sums, difference_16),
        _ => unreachable!("chroma is at most four times as coarse as luma"),
    }
}

/// Adds one row to the sums of its cells, `W` bytes wide each; written for the vectoriser.
fn add_row<const W: usize>(
    a: &[u8],
    b: &[u8],
    sums: &mut [u32],
    difference: impl Fn(&[u8], &[u8]) -> u32,
) {
    let (a, a_rest) = a.as_chunks::<W>();
    let (b, b_rest) = b.as_chunks::<W>();
    for ((a, b), sum) in a.iter().zip(b).zip(sums.iter_mut()) {
        *sum += difference(a, b);
    }
    if let Some(last) = sums.last_mut() {
        *last += difference(a_rest, b_rest);
    }
}

fn difference_8(a: &[u8], b: &[u8]) -> u32 {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
}

/// Of samples of two bytes, little-endian.
fn difference_16(a: &[u8], b: &[u8]) -> u32 {
    let pairs = a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0);
    let pairs = pairs.map(|(a, b)| (u16::from_le_bytes(*a), u16::from_le_bytes(*b)));
    // One of the two is zero; written for the vectoriser, which has no absolute difference.
    pairs
        .map(|(a, b)| u32::from(a.saturating_sub(b) | b.saturating_sub(a)))
        .sum()
}

/// True for frames whose samples mean the same colours.
pub fn alike(a: &Frame, b: &Frame) -> bool {
    ColourTags::of(a) == ColourTags::of(b) && a.pixel_format() == b.pixel_format()
}
