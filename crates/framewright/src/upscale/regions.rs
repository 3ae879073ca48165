//! Which parts of a picture are computed again, given the cells that changed.
//!
//! Around every changed cell, the result may change as far as chroma is interpolated and the network reaches. A part is
//! computed with a halo of its own, and has a fixed cost; so parts that lie close together are cheaper as one, and many
//! parts are dearer than the whole picture. Each part is merged with the one where that saves most, as long as it does.
//!
//! Where the picture has moved, its borders lie elsewhere in it, and the results around them change as well.

use std::ops::Range;

use framewright_media::{CHROMA_REACH, Region};

use crate::upscale::cells::{CELL, Changed};

/// What computing costs, in units of one whole picture.
pub struct Costs<F: Fn(&Region) -> f64> {
    /// How far a result looks around its place, in pixels of the input.
    pub reach: usize,
    /// What every part costs beside its arithmetic.
    pub fixed: f64,
    /// The arithmetic of a part, its halo included.
    pub work: F,
}

/// A part of the input picture whose result is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Every pixel whose result may have changed; its edges are even or at the picture's.
    pub changed: Region,
    /// What is computed for it: that, and what the chroma of the result looks at.
    pub computed: Region,
    /// What the network looks at to compute that.
    pub seen: Region,
}

/// The parts to compute, or none where the whole picture is not dearer.
pub fn parts<F: Fn(&Region) -> f64>(changed: &Changed, costs: &Costs<F>) -> Option<Vec<Part>> {
    let grid = changed.grid();
    let (width, height) = (grid.width, grid.height);
    // One pixel for the chroma of the input, one for that of the result.
    let grown = costs.reach + 2 * CHROMA_REACH;
    let part = |pixels: &Region| {
        let changed = pixels.grown(grown, width, height).aligned(2, width, height);
        let computed = changed.grown(CHROMA_REACH, width, height);
        let seen = computed.grown(costs.reach, width, height);
        Part {
            changed,
            computed,
            seen,
        }
    };
    let cost = |pixels: &Region| costs.fixed + (costs.work)(&part(pixels).computed);
    let regions = blocks(changed).into_iter().chain(new_borders(changed));
    let merged = merge(regions, &cost);
    let sum: f64 = merged.iter().map(|(_, cost)| cost).sum();
    let whole = costs.fixed + 1.0;
    (sum < whole).then(|| merged.iter().map(|(pixels, _)| part(pixels)).collect())
}

/// How far around changed pixels parts are computed, on average over the layers: they grow by the reach, and each layer needs
/// what those behind it look at. Whole cells, rounded down.
pub fn halo_of_parts(reach: usize) -> usize {
    (reach + reach / 2 + 2 * CHROMA_REACH) / CELL * CELL
}

/// The same where the network's state is kept: each layer is computed as far as those before it look.
pub fn halo_of_state(reach: usize) -> usize {
    reach / 2 + 2 * CHROMA_REACH
}

/// About how much of a picture would be computed for these changes at least: the cells that lie in the halo of a changed
/// one, over all cells. Follows from the picture and the halo in pixels alone, not from what anything costs here.
pub fn coverage(changed: &Changed, halo: usize) -> f64 {
    let share = covered(changed, halo / CELL);
    match halo % CELL {
        0 => share,
        rest => share + (covered(changed, halo / CELL + 1) - share) * rest as f64 / CELL as f64,
    }
}

/// The share of cells that are at most `halo` cells away from a changed one.
fn covered(changed: &Changed, halo: usize) -> f64 {
    let (columns, rows) = (changed.grid().columns(), changed.grid().rows());
    let mut covered = vec![false; columns * rows];
    for (run, row) in changed.runs() {
        let across = run.start.saturating_sub(halo)..columns.min(run.end + halo);
        for row in row.saturating_sub(halo)..rows.min(row + halo + 1) {
            covered[row * columns..][across.clone()].fill(true);
        }
    }
    for border in new_borders(changed) {
        let cells = |pixels: &Range<usize>, end: usize| {
            (pixels.start / CELL).saturating_sub(halo)..end.min(pixels.end.div_ceil(CELL) + halo)
        };
        let across = cells(&border.x, columns);
        for row in cells(&border.y, rows) {
            covered[row * columns..][across.clone()].fill(true);
        }
    }
    let n_covered = covered.iter().filter(|&&covered| covered).count();
    n_covered as f64 / covered.len() as f64
}

/// The borders of a picture behind which something was before it moved: lines without pixels of their own, around which
/// results change as they do around cells, because a network sees zeros beyond a border, and chroma is repeated there.
///
/// The opposite border needs no line: what was there has moved next to a strip whose cells all changed.
fn new_borders(changed: &Changed) -> impl Iterator<Item = Region> {
    let (grid, moved) = (changed.grid(), changed.moved());
    let line = |by: isize, end: usize| match by {
        0 => None,
        ..0 => Some(0..0),
        _ => Some(end..end),
    };
    let whole = Region::whole(grid.width, grid.height);
    let upright = line(moved.x, grid.width).map(|x| Region { x, ..whole.clone() });
    let level = line(moved.y, grid.height).map(|y| Region { y, ..whole });
    upright.into_iter().chain(level)
}

/// Around the changed cells of each block of 4×4 cells, in reading order. What is closer than that is merged anyway.
pub fn blocks(changed: &Changed) -> Vec<Region> {
    const BLOCK: usize = 4;
    let mut blocks: Vec<Region> = Vec::new();
    // Those of the row of blocks that is being read, each with its column.
    let mut row_of_blocks: (usize, Vec<(usize, Region)>) = (0, Vec::new());
    for (run, row) in changed.runs() {
        if row / BLOCK != row_of_blocks.0 {
            blocks.extend(row_of_blocks.1.drain(..).map(|(_, around)| around));
            row_of_blocks.0 = row / BLOCK;
        }
        for block in run.start / BLOCK..run.end.div_ceil(BLOCK) {
            let cells = run.start.max(block * BLOCK)..run.end.min((block + 1) * BLOCK);
            let pixels = changed.grid().region(&cells, row);
            match row_of_blocks.1.iter_mut().find(|(at, _)| *at == block) {
                Some((_, around)) => *around = union(around, &pixels),
                None => row_of_blocks.1.push((block, pixels)),
            }
        }
    }
    blocks.extend(row_of_blocks.1.into_iter().map(|(_, around)| around));
    blocks
}

/// Merges regions, each into the one where that saves most, as long as it does.
fn merge(
    regions: impl Iterator<Item = Region>,
    cost: &impl Fn(&Region) -> f64,
) -> Vec<(Region, f64)> {
    let mut merged: Vec<(Region, f64)> = Vec::new();
    for region in regions {
        let mut region_cost = cost(&region);
        let mut region = region;
        loop {
            let savings = merged
                .iter()
                .enumerate()
                .map(|(place, (other, other_cost))| {
                    let both = union(other, &region);
                    let both_cost = cost(&both);
                    (other_cost + region_cost - both_cost, place, both, both_cost)
                });
            let best = savings.max_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, place, both, both_cost)) = best.filter(|(saving, ..)| *saving > 0.0)
            else {
                break;
            };
            merged.swap_remove(place);
            (region, region_cost) = (both, both_cost);
        }
        merged.push((region, region_cost));
    }
    merged
}

/// The smallest region around two.
fn union(a: &Region, b: &Region) -> Region {
    Region {
        x: a.x.start.min(b.x.start)..a.x.end.max(b.x.end),
        y: a.y.start.min(b.y.start)..a.y.end.max(b.y.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upscale::cells::Grid;
    use framewright_media::Shift;
    use proptest::prelude::*;

    const GRID: Grid = Grid {
        width: 300,
        height: 203,
    };

    /// Area with a halo, as engines compute it.
    fn costs(reach: usize, fixed: f64) -> Costs<impl Fn(&Region) -> f64> {
        let area = |region: &Region| (region.width() * region.height()) as f64;
        let whole = area(&Region::whole(GRID.width, GRID.height));
        Costs {
            reach,
            fixed,
            work: move |region: &Region| {
                area(&region.grown(reach / 2, GRID.width, GRID.height)) / whole
            },
        }
    }

    fn changed(cells: &[(usize, usize)]) -> Changed {
        let mut differences = vec![0.0; GRID.n_cells()];
        for (x, y) in cells {
            differences[y * GRID.columns() + x] = 1.0;
        }
        Changed::above(GRID, &differences, 0.5)
    }

    #[test]
    fn changes_that_are_close_become_one_part_and_distant_ones_stay_apart() {
        let n_parts = |cells| parts(&changed(cells), &costs(10, 0.001)).unwrap().len();
        assert_eq!(n_parts(&[(3, 3)]), 1);
        assert_eq!(n_parts(&[(3, 3), (5, 4), (8, 3)]), 1);
        assert_eq!(n_parts(&[(3, 3), (30, 20)]), 2);
    }

    #[test]
    fn the_whole_picture_is_computed_where_parts_are_dearer() {
        let everywhere: Vec<_> = (0..37)
            .step_by(5)
            .flat_map(|x| (0..26).step_by(5).map(move |y| (x, y)))
            .collect();
        assert_eq!(parts(&changed(&everywhere), &costs(18, 0.0)), None);
        let some = [(0, 0), (36, 0), (0, 25), (36, 25), (18, 12)];
        let n_parts = |fixed| parts(&changed(&some), &costs(10, fixed)).map(|parts| parts.len());
        assert_eq!(n_parts(0.01), Some(5));
        // The same parts at a higher price.
        assert!(n_parts(0.3).is_none_or(|n| n < 5));
    }

    #[test]
    fn the_coverage_counts_each_cell_in_a_halo_once() {
        let n_cells = GRID.n_cells() as f64;
        let covered = |cells: &[(usize, usize)], reach| {
            (coverage(&changed(cells), halo_of_parts(reach)) * n_cells).round() as usize
        };
        // Halos of 1 cell for a reach of 6 and of 2 for a reach of 10, cut at the edges.
        assert_eq!(covered(&[], 6), 0);
        assert_eq!(covered(&[(5, 5)], 6), 9);
        assert_eq!(covered(&[(5, 5), (6, 5), (20, 5)], 10), 30 + 25);
        assert_eq!(covered(&[(0, 0), (0, 2), (37, 25)], 6), 2 * 4 + 4);
    }

    proptest! {
        #[test]
        fn every_pixel_that_a_changed_cell_can_reach_is_in_a_part(
            cells in proptest::collection::vec((0..GRID.columns(), 0..GRID.rows()), 1..30),
            reach in 0_usize..20, fixed in 0.0..0.02
        ) {
            let Some(parts) = parts(&changed(&cells), &costs(reach, fixed)) else { return Ok(()) };
            for &(x, y) in &cells {
                let cell = GRID.region(&(x..x + 1), y);
                let seen = cell.grown(reach + 1, GRID.width, GRID.height);
                prop_assert!(parts.iter().any(|part| part.changed.contains(&seen)));
            }
            for part in &parts {
                let even = |edge: usize, end: usize| edge.is_multiple_of(2) || edge == end;
                let Region { x, y } = &part.changed;
                prop_assert!(even(x.start, 0) && even(y.start, 0));
                prop_assert!(even(x.end, GRID.width) && even(y.end, GRID.height));
                prop_assert!(part.computed.contains(&part.changed.grown(1, GRID.width, GRID.height)));
                prop_assert!(part.seen.contains(&part.computed.grown(reach, GRID.width, GRID.height)));
            }
        }

        /// Straight from what a result looks at: the pixels within reach and two for chroma, all of them in the picture both
        /// before and after it moved, and in no cell that changed.
        #[test]
        fn a_result_outside_of_all_parts_looks_at_nothing_that_changed_and_at_no_border(
            cells in proptest::collection::vec((0..GRID.columns(), 0..GRID.rows()), 0..4),
            (x, y) in (-8_isize..8, -8_isize..8), reach in 0_usize..20
        ) {
            let moved = Shift { x: 2 * x, y: 2 * y };
            let mut differences = vec![0.0; GRID.n_cells()];
            for (x, y) in &cells {
                differences[y * GRID.columns() + x] = 1.0;
            }
            let changed = Changed::above(GRID, &differences, 0.5).after(moved);
            let changes: Vec<_> = changed.runs().map(|(run, row)| GRID.region(&run, row)).collect();
            for strip in moved.uncovered(GRID.width, GRID.height) {
                let rows = changes.iter().filter(|run| run.y.start < strip.y.end && strip.y.start < run.y.end);
                prop_assert!(rows.clone().count() > 0);
                prop_assert!(rows.into_iter().any(|run| run.x.contains(&strip.x.start) && run.x.contains(&(strip.x.end - 1))));
            }
            let Some(parts) = parts(&changed, &costs(reach, 0.0)) else { return Ok(()) };
            let far = (reach + 2 * CHROMA_REACH) as isize;
            let (width, height) = (GRID.width as isize, GRID.height as isize);
            for (px, py) in (0..height).step_by(3).flat_map(|py| (0..width).map(move |px| (px, py))) {
                let pixel = Region { x: px as usize..px as usize + 1, y: py as usize..py as usize + 1 };
                if parts.iter().any(|part| part.changed.contains(&pixel)) {
                    continue;
                }
                let inside = |at: isize, by: isize, end: isize| {
                    by == 0 || [at, at - by].into_iter().all(|at| at - far >= 0 && at + far < end)
                };
                prop_assert!(inside(px, moved.x, width) && inside(py, moved.y, height), "{px}, {py}");
                let seen = pixel.grown(far as usize, GRID.width, GRID.height);
                let meets = |run: &Region| {
                    run.x.start < seen.x.end && seen.x.start < run.x.end && run.y.start < seen.y.end && seen.y.start < run.y.end
                };
                prop_assert!(!changes.iter().any(meets), "{px}, {py}");
            }
        }
    }
}
