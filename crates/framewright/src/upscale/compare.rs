//! What of each frame is new? Decided frame by frame against the *composites*: the pictures that the network is taken to
//! have seen.
//!
//! A cell of a frame that differs from the composite by more than the tolerance is taken over into it; every other cell
//! stays as it is. The result shown is the network's for the composite, so the error is bounded where it is made, at the
//! input, and small steps cannot add up: a frame is never compared with the frame before it.
//!
//! ```text
//! frame ─▶ closest composite ─▶ no cell differs: its result again
//!                            ─▶ few do:  a new composite; only what depends on them is computed
//!                            ─▶ many do, but few from one that has moved as a whole, as in a pan:
//!                               that one, moved, is built upon
//!                            ─▶ most do, or so scattered that everything would be computed:
//!                               the frame itself is the new composite
//! ```
//! Several composites are kept, since mouths and shots come back. What is decided here follows from the pictures alone,
//! never from the time something takes: the same film gives the same composites on every machine with as much memory.

use std::ops::Range;

use framewright_media::{Error, Frame, FramePool, Shift};

use crate::upscale::cells::{CELL, Changed, Grid, Meter, alike};
use crate::upscale::motion::Finder;
use crate::upscale::regions::{coverage, halo_of_parts, halo_of_state};

/// One row of cells in this many is looked at first.
const PROBE: usize = 8;

/// The share of cells from which on a frame counts as another picture: hardly anything would be saved, and the frame
/// itself is the better composite.
const MOST: f64 = 0.8;

/// The share of a picture from which on it is not computed from the network's state: with some networks that takes half as much
/// time again for the same arithmetic.
const MOST_FROM_STATE: f64 = 0.6;

/// The share of changed cells from which on it is looked whether the picture has moved: still scenes pay nothing for it.
const MANY: f64 = 0.3;

/// What may be used again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Largest difference of a cell that counts as none, in 8-bit levels; 0 = any difference counts.
    pub tolerance: f32,
    /// How far a result looks around its place, in pixels, where parts of pictures are used again; none where only whole
    /// ones are.
    pub reach: Option<usize>,
    /// Composites that have moved by multiples of this are built upon; none where only those are that stay in place.
    pub shift_step: Option<usize>,
    /// Whether the network's state is kept, so that scattered changes are computed without halos.
    pub keeps_state: bool,
    /// Composites that are kept, at least 1.
    pub n_composites: usize,
}

/// Decides frame by frame, in order.
pub struct Compare {
    /// None: every frame is computed in full.
    rule: Option<Rule>,
    /// The one shown last comes first.
    composites: Vec<Composite>,
    pool: FramePool,
    meter: Meter,
    finder: Finder,
}

/// A picture that the network is taken to have seen.
struct Composite {
    id: u64,
    frame: Frame,
    /// For each cell the index of the frame that its pixels come from.
    origins: Vec<u64>,
}

/// What is to be done for a frame.
pub struct Judgement {
    /// What it shows.
    pub verdict: Verdict,
    /// Composites that no later frame uses.
    pub forgotten: Vec<u64>,
    /// Cells that are taken over from it.
    pub cells_changed: usize,
    /// Cells of a frame.
    pub n_cells: usize,
    /// Whether an older composite was closer than the last one.
    pub older: bool,
    /// Whether it is a composite that has moved.
    pub moved: bool,
    /// Largest difference between the frame and what is shown for it, in 8-bit levels.
    pub worst_difference: f32,
}

/// What a frame shows.
pub enum Verdict {
    /// Itself, computed in full.
    Whole {
        /// Whether it becomes a composite.
        kept: bool,
    },
    /// A composite that differs from the composite `base`, moved as `changed` says, in the cells `changed`.
    Part {
        /// The composite it was made of.
        base: u64,
        /// The new composite.
        composite: Frame,
        /// How the two differ.
        changed: Changed,
    },
    /// The result of an earlier composite.
    Repeat(u64),
}

/// How a frame differs from a composite.
struct Difference {
    /// Of each cell, in 8-bit levels; of rows that were not looked at, 0.
    cells: Vec<f32>,
    /// For each row of cells whether it was looked at.
    seen: Vec<bool>,
    /// Cells above the tolerance.
    n_changed: usize,
    /// Those of them in the rows that are looked at first.
    n_probed: usize,
    /// Whether all rows were looked at; else there are too many changed cells to go on.
    complete: bool,
}

impl Compare {
    /// With the rule, or without any reuse.
    pub fn new(rule: Option<Rule>) -> Self {
        Self {
            rule,
            composites: Vec::new(),
            pool: FramePool::default(),
            meter: Meter::default(),
            finder: Finder::default(),
        }
    }

    /// The composite that a frame just judged shows; none where it shows itself and is not kept.
    pub fn shown(&self, judgement: &Judgement) -> Option<&Frame> {
        let kept = !matches!(judgement.verdict, Verdict::Whole { kept: false });
        self.composites
            .first()
            .filter(|_| kept)
            .map(|composite| &composite.frame)
    }

    /// For each cell of the composite that a frame just judged shows, the index of the frame that its pixels come from; none
    /// for a frame that is not kept.
    pub fn origins(&self) -> &[u64] {
        self.composites
            .first()
            .map_or(&[], |composite| &composite.origins)
    }

    /// Judges frame `index`. Frames come in order and all have the same size and format. A damaged one is shown once and
    /// never stands for another.
    ///
    /// # Errors
    /// No memory for a composite.
    pub fn judge(&mut self, index: u64, frame: &Frame, damaged: bool) -> Result<Judgement, Error> {
        let n_cells = Grid::of(frame).n_cells();
        let whole = |kept| Judgement {
            verdict: Verdict::Whole { kept },
            forgotten: Vec::new(),
            cells_changed: n_cells,
            n_cells,
            older: false,
            moved: false,
            worst_difference: 0.0,
        };
        let Some(rule) = self.rule.filter(|_| !damaged) else {
            return Ok(whole(false));
        };
        let mut found = self.closest(frame, rule);
        let n_changed = found
            .as_ref()
            .map_or(n_cells, |found| found.difference.n_changed);
        if n_changed as f64 > n_cells as f64 * MANY
            && let Some(moved) = self.closest_moved(index, frame, rule, n_changed)?
        {
            found = Some(moved);
        }
        let Some(found) = found else {
            let origins = vec![index; n_cells];
            let forgotten = self.keep(index, frame.share(), origins, rule);
            return Ok(Judgement {
                forgotten,
                ..whole(true)
            });
        };
        let base = self.composites.remove(found.place);
        let changed = found.changed(rule.tolerance);
        let tolerated = found.difference.cells.iter();
        let tolerated = tolerated.filter(|&&cell| cell <= rule.tolerance);
        let mut judgement = Judgement {
            verdict: Verdict::Repeat(base.id),
            cells_changed: changed.n_cells(),
            older: found.place > 0,
            moved: found.moved.is_some(),
            worst_difference: tolerated.copied().fold(0.0, f32::max),
            ..whole(true)
        };
        if judgement.cells_changed > 0 {
            let (composite, origins) = self.blend(&base, found.moved, frame, index, &changed)?;
            judgement.verdict = Verdict::Part {
                base: base.id,
                composite: composite.share(),
                changed,
            };
            self.composites.insert(0, base);
            judgement.forgotten = self.keep(index, composite, origins, rule);
        } else {
            self.composites.insert(0, base);
        }
        Ok(judgement)
    }

    /// `base`, or what it is when it has moved, with the changed cells of `frame`, and where each cell comes from.
    fn blend(
        &mut self,
        base: &Composite,
        moved: Option<(Shift, Composite)>,
        frame: &Frame,
        index: u64,
        changed: &Changed,
    ) -> Result<(Frame, Vec<u64>), Error> {
        let (mut composite, mut origins) = match moved {
            Some((_, moved)) => (moved.frame, moved.origins),
            None => (self.pool.copy(&base.frame)?, base.origins.clone()),
        };
        for (columns, row) in changed.runs() {
            let start = row * changed.grid().columns();
            composite.copy_part(frame, &changed.grid().region(&columns, row));
            origins[start + columns.start..start + columns.end].fill(index);
        }
        Ok((composite, origins))
    }

    /// Adds a composite and names those that there is no room for.
    fn keep(&mut self, id: u64, frame: Frame, origins: Vec<u64>, rule: Rule) -> Vec<u64> {
        self.composites.insert(0, Composite { id, frame, origins });
        let n = self.composites.len().min(rule.n_composites);
        self.composites.drain(n..).map(|old| old.id).collect()
    }

    /// The composite with the fewest changed cells, the one shown last of several; none where too much changed in all of
    /// them.
    fn closest(&mut self, frame: &Frame, rule: Rule) -> Option<Found> {
        let n_cells = Grid::of(frame).n_cells();
        let mut limits = Limits {
            changed: rule.reach.map_or(0, |_| (n_cells as f64 * MOST) as usize),
            probed: None,
        };
        let mut first = None;
        let mut best = None;
        for (place, composite) in self.composites.iter().enumerate() {
            if !alike(&composite.frame, frame) {
                continue;
            }
            let known = first.as_ref().map(|found| (&self.composites[0], found));
            let found = difference(
                &mut self.meter,
                frame,
                composite,
                known,
                limits,
                rule.tolerance,
            );
            let (n_changed, n_probed, complete) = (found.n_changed, found.n_probed, found.complete);
            if place == 0 {
                first = Some(found);
                best = complete.then_some((0, None));
            } else if complete {
                best = Some((place, Some(found)));
            }
            if complete && n_changed == 0 {
                break;
            }
            if complete {
                limits = Limits {
                    changed: n_changed - 1,
                    probed: (n_changed > n_cells / 16).then_some(n_probed / 2),
                };
            }
        }
        let (place, found) = best?;
        let found = Found {
            grid: Grid::of(frame),
            place,
            difference: found.or(first)?,
            moved: None,
        };
        (!found.is_scattered(rule)).then_some(found)
    }

    /// The composite that `frame` is when it has moved; none where that leaves more than half of `n_changed` cells
    /// changed, beside those that come into the picture.
    fn closest_moved(
        &mut self,
        index: u64,
        frame: &Frame,
        rule: Rule,
        n_changed: usize,
    ) -> Result<Option<Found>, Error> {
        let (Some(step), Some(_)) = (rule.shift_step, rule.reach) else {
            return Ok(None);
        };
        let composites = self.composites.iter();
        let comparable = composites.take_while(|composite| alike(&composite.frame, frame));
        let pictures = comparable.map(|composite| (composite.id, &composite.frame));
        let found = self
            .finder
            .find(index, frame, pictures, step, rule.tolerance);
        let Some((place, shift)) = found else {
            return Ok(None);
        };
        let grid = Grid::of(frame);
        let mut moved = self.pool.copy_moved(&self.composites[place].frame, shift)?;
        for strip in shift.uncovered(grid.width, grid.height) {
            moved.copy_part(frame, &strip.aligned(CELL, grid.width, grid.height));
        }
        let moved = Composite {
            id: index,
            frame: moved,
            origins: vec![index; grid.n_cells()],
        };
        let limits = Limits {
            changed: n_changed / 2,
            probed: None,
        };
        let difference = difference(&mut self.meter, frame, &moved, None, limits, rule.tolerance);
        let found = Found {
            grid,
            place,
            difference,
            moved: Some((shift, moved)),
        };
        Ok(Some(found).filter(|found| found.difference.complete && !found.is_scattered(rule)))
    }
}

/// A composite that is close to a frame.
struct Found {
    grid: Grid,
    /// Its place among the composites.
    place: usize,
    difference: Difference,
    /// By how much it has moved, and what it is then, with the frame where it was uncovered.
    moved: Option<(Shift, Composite)>,
}

impl Found {
    /// What is to be taken over from the frame.
    fn changed(&self, tolerance: f32) -> Changed {
        let changed = Changed::above(self.grid, &self.difference.cells, tolerance);
        match &self.moved {
            Some((shift, _)) => changed.after(*shift),
            None => changed,
        }
    }

    /// Whether so much depends on what changed that hardly anything would be saved.
    fn is_scattered(&self, rule: Rule) -> bool {
        let is_any = self.difference.n_changed > 0 || self.moved.is_some();
        let Some(reach) = rule.reach.filter(|_| is_any) else {
            return false;
        };
        let (halo, most) = if rule.keeps_state && self.moved.is_none() {
            (halo_of_state(reach), MOST_FROM_STATE)
        } else {
            (halo_of_parts(reach), MOST)
        };
        coverage(&self.changed(rule.tolerance), halo) > most
    }
}

/// When to stop looking.
#[derive(Clone, Copy)]
struct Limits {
    /// More changed cells than these are too many.
    changed: usize,
    /// So many of them may be in the rows that are looked at first, where much has changed: half of those of a closer
    /// composite. In noise all composites are about as far away, and looking at each to the end would only take time.
    /// None: as many as `MOST`.
    probed: Option<usize>,
}

/// Compares `frame` with `composite` within the limits. `known` is what was found for another composite: cells of the same
/// origin are not looked at twice.
fn difference(
    meter: &mut Meter,
    frame: &Frame,
    composite: &Composite,
    known: Option<(&Composite, &Difference)>,
    limits: Limits,
    tolerance: f32,
) -> Difference {
    let grid = Grid::of(frame);
    let n_columns = grid.columns();
    let mut found = Difference {
        cells: vec![0.0; grid.n_cells()],
        seen: vec![false; grid.rows()],
        n_changed: 0,
        n_probed: 0,
        complete: false,
    };
    let n_probes = grid.rows().div_ceil(PROBE);
    for (n_seen, row) in (1..).zip(rows_to_look_at(grid.rows())) {
        let place = row * n_columns..(row + 1) * n_columns;
        let cells = &mut found.cells[place.clone()];
        let mut columns = 0..n_columns;
        if let Some((other, known)) = known.filter(|(_, known)| known.seen[row]) {
            cells.copy_from_slice(&known.cells[place.clone()]);
            columns = unlike(&composite.origins[place.clone()], &other.origins[place]);
        }
        meter.row(
            frame,
            &composite.frame,
            row,
            &columns,
            &mut cells[columns.clone()],
        );
        found.seen[row] = true;
        found.n_changed += cells.iter().filter(|&&cell| cell > tolerance).count();
        let mut hopeless = found.n_changed > limits.changed;
        if n_seen == n_probes {
            // Noise, a pan or another shot shows in a few rows already.
            let most = (n_seen as f64 * n_columns as f64 * MOST) as usize;
            found.n_probed = found.n_changed;
            hopeless |= found.n_changed > limits.probed.unwrap_or(most);
        }
        if hopeless {
            return found;
        }
    }
    found.complete = true;
    found
}

/// All rows, every `PROBE`th first.
fn rows_to_look_at(n_rows: usize) -> impl Iterator<Item = usize> {
    (0..PROBE).flat_map(move |first| (first..n_rows).step_by(PROBE))
}

/// From the first place where two rows differ to the last.
fn unlike(a: &[u64], b: &[u64]) -> Range<usize> {
    let differs = |(a, b): (&u64, &u64)| a != b;
    let pairs = a.iter().zip(b);
    match (
        pairs.clone().position(differs),
        pairs.rev().position(differs),
    ) {
        (Some(before), Some(behind)) => before..a.len() - behind,
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests;
