//! What is given out of a picture: where its result changed, what it is there, and what that took.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use framewright_media::PlanarRgb;

use super::bits::Bits;
use super::{Shared, Update, Updated};
use crate::finite::not_finite;
use crate::{Error, Region};

/// Pixels of the picture in a square of which the result is given out whole when any of it changed.
const SQUARE: usize = 16;

impl Shared {
    /// Where the result changed, what it is there, and what that took.
    pub(super) fn collect(&self, update: &Update) -> Updated {
        let parts = if update.whole {
            vec![Region::whole(self.width, self.height)]
        } else {
            self.parts()
        };
        let cut = |part: &Region| {
            let part = part.grown(update.margin, self.width, self.height);
            let mut into = PlanarRgb::default();
            self.cut(&part, &mut into);
            into
        };
        let n_tiles = (self.width.div_ceil(2) * self.height.div_ceil(2)) as f64;
        let layers: Vec<f64> = self
            .n_tiles
            .iter()
            .map(|n| n.load(Ordering::Relaxed) as f64 / n_tiles)
            .collect();
        let costs = self
            .packed
            .layers
            .iter()
            .map(|layer| layer.multiply_adds as f64);
        let all: f64 = costs.clone().sum();
        let done: f64 = costs.zip(&layers).map(|(cost, share)| cost * share).sum();
        Updated {
            results: parts.iter().map(cut).collect(),
            parts,
            layers,
            work: done / all,
        }
    }

    /// Rectangles around all pixels whose result changed: of every few bands, the runs of columns in which one did.
    fn parts(&self) -> Vec<Region> {
        let mut parts: Vec<Region> = Vec::new();
        let mut bits = Bits::new(self.width);
        let n_bands = self.results.len();
        for first in (0..n_bands).step_by((SQUARE / self.n_rows).max(1)) {
            let bands = first..n_bands.min(first + (SQUARE / self.n_rows).max(1));
            bits.clear();
            let is_changed = |band: &usize| self.result_changed[*band].load(Ordering::Relaxed);
            for band in bands.clone().filter(is_changed) {
                let n_rows = self.rows_of(band).len();
                let result = self.results[band]
                    .read()
                    .unwrap_or_else(PoisonError::into_inner);
                result.changed[..n_rows]
                    .iter()
                    .for_each(|row| bits.add(row));
            }
            let y = bands.start * self.n_rows..self.rows_of(bands.end - 1).end;
            for run in bits.runs(self.width, SQUARE) {
                let part = Region {
                    x: run,
                    y: y.clone(),
                };
                let part = part.aligned(2, self.width, self.height);
                let is_above =
                    |above: &&mut Region| above.y.end == part.y.start && above.x == part.x;
                match parts.iter_mut().find(is_above) {
                    Some(above) => above.y.end = part.y.end,
                    None => parts.push(part),
                }
            }
        }
        parts
    }

    pub(super) fn cut(&self, region: &Region, into: &mut PlanarRgb) {
        into.resize(region.width() * self.scale, region.height() * self.scale);
        for band in region.y.start / self.n_rows..region.y.end.div_ceil(self.n_rows) {
            let result = self.results[band]
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            result.cut(&self.rows_of(band), region, self.scale, self.width, into);
        }
    }

    #[cold]
    pub(super) fn not_finite(&self) -> Error {
        let mut result = PlanarRgb::default();
        self.cut(&Region::whole(self.width, self.height), &mut result);
        let bad = not_finite(&result);
        Error::NotFinite {
            count: bad.count,
            x: bad.x,
            y: bad.y,
            model: self.model.clone(),
        }
    }
}
