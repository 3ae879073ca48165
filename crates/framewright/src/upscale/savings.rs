//! How much was computed, and how much was not.

use serde::Serialize;

/// Of one frame.
#[derive(Debug, Clone)]
pub struct Share {
    /// Cells that were taken over from it.
    pub cells_changed: usize,
    /// Cells of a frame.
    pub n_cells: usize,
    /// Whether an older composite was closer than the last one.
    pub older: bool,
    /// Whether it is an earlier composite that has moved.
    pub moved: bool,
    /// Largest difference of a cell from what is shown, in 8-bit levels.
    pub worst_difference: f32,
    /// Arithmetic done for it, over that for all of it.
    pub computed: f64,
    /// Of each layer the share of its pixels that was computed; empty where the network's state had no part in it.
    pub layers: Vec<f64>,
}

/// Of all frames up to now.
#[derive(Debug, Clone, Default)]
pub struct Savings {
    n_frames: u64,
    cells_changed: u64,
    n_cells: u64,
    computed: f64,
    older: u64,
    moved: u64,
    worst_difference: f32,
    n_from_state: u64,
    /// Sums over the frames from the state.
    layers: Vec<f64>,
}

/// What stands in the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effects {
    /// Arithmetic done, halos included, over that of computing every frame in full.
    pub compute_fraction: f64,
    /// Cells that were taken over from their frame, over all cells.
    pub cells_changed_fraction: f64,
    /// Frames for which an older composite was closer than the one shown last.
    pub older_composite_hits: u64,
    /// Frames that show an earlier composite moved as a whole, as in a pan, with what is new.
    pub moved_frames: u64,
    /// Largest mean difference between a cell of a frame and what was shown for it, in 8-bit levels.
    pub worst_tolerated_difference: f32,
    /// Frames computed from what the network's layers made of an earlier one.
    pub state_frames: u64,
    /// Of those, the share of each layer's pixels that was computed, on average; from the first layer to the last.
    pub layer_fractions: Vec<f64>,
}

impl Savings {
    /// Counts a frame.
    pub fn add(&mut self, share: &Share) {
        self.n_frames += 1;
        self.cells_changed += share.cells_changed as u64;
        self.n_cells += share.n_cells as u64;
        self.computed += share.computed;
        self.older += u64::from(share.older);
        self.moved += u64::from(share.moved);
        self.worst_difference = self.worst_difference.max(share.worst_difference);
        self.n_from_state += u64::from(!share.layers.is_empty());
        self.layers
            .resize(self.layers.len().max(share.layers.len()), 0.0);
        for (sum, layer) in self.layers.iter_mut().zip(&share.layers) {
            *sum += layer;
        }
    }

    /// What it comes to; nothing computed for no frames.
    pub fn effects(&self) -> Effects {
        let fraction = |part: f64, of: u64| if of == 0 { 0.0 } else { part / of as f64 };
        Effects {
            compute_fraction: fraction(self.computed, self.n_frames),
            cells_changed_fraction: fraction(self.cells_changed as f64, self.n_cells),
            older_composite_hits: self.older,
            moved_frames: self.moved,
            worst_tolerated_difference: self.worst_difference,
            state_frames: self.n_from_state,
            layer_fractions: self
                .layers
                .iter()
                .map(|sum| fraction(*sum, self.n_from_state))
                .collect(),
        }
    }
}
