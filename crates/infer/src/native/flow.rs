//! How a region's rows flow through the layers.
//!
//! ```text
//! picture ─▶ [ring] ─▶ conv ─▶ [ring] ─▶ conv ─▶ … ─▶ [ring] ─▶ result.rs
//! ```
//! The last layer is asked for its rows pair by pair, and every layer asks the one before it for what it needs next. So
//! no layer is ever held whole: six rows of each are, 9 MB instead of 500 MB for 17 × 64 channels in bf16 at 640×360.
//!
//! A layer computes the region grown by as many pixels as layers follow it, and no more: nothing is computed twice, and
//! what lies outside the picture is zero at every layer, as it is for the whole picture.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use framewright_media::PlanarRgb;

use super::kernel::{Pass, Scratch};
use super::packed::{Layer, Packed};
use super::rows::{MARGIN, Ring, read_pixels, row_len};
use crate::{Error, Region};

/// The rows of all layers for one region of pictures of one size.
pub(super) struct Flow {
    place: Place,
    /// x of tile 0, even.
    x: usize,
    plane: usize,
    /// The picture, then the results of each layer.
    stages: Vec<Stage>,
    /// Stands for rows outside the picture, and for rows on which no result in the region depends.
    zeros: Vec<u32>,
    scratch: Scratch,
}

#[derive(PartialEq, Eq)]
struct Place {
    region: Region,
    width: usize,
    height: usize,
}

struct Stage {
    ring: Ring,
    /// Words of a row.
    row_len: usize,
    /// What is needed of it.
    needed: Region,
    /// The pair of rows that comes next.
    next: usize,
}

impl Flow {
    /// A flow for `region`, which lies inside a picture of `width` × `height`.
    pub(super) fn new(packed: &Packed, region: &Region, width: usize, height: usize) -> Self {
        let layout = Layout::new(packed, region, width, height);
        let plane = layout.plane;
        let stages = pixel_bytes(packed)
            .zip(layout.needed)
            .map(|(pixel_bytes, needed)| Stage {
                ring: Ring::new(pixel_bytes, plane),
                row_len: row_len(pixel_bytes, plane),
                next: needed.y.start / 2,
                needed,
            });
        Self {
            place: Place {
                region: region.clone(),
                width,
                height,
            },
            x: layout.x,
            plane,
            stages: stages.collect(),
            zeros: vec![0; longest_row(packed, plane)],
            scratch: Scratch::new(
                packed
                    .layers
                    .iter()
                    .map(|layer| (layer.kernel, layer.n_words_in)),
            ),
        }
    }

    /// Bytes that [`new`](Self::new) takes.
    pub(super) fn size_bytes(
        packed: &Packed,
        region: &Region,
        width: usize,
        height: usize,
    ) -> usize {
        let plane = Layout::new(packed, region, width, height).plane;
        let rings: usize = pixel_bytes(packed)
            .map(|bytes| Ring::size_bytes(bytes, plane))
            .sum();
        let scratch = packed
            .layers
            .iter()
            .map(|layer| (layer.kernel, layer.n_words_in));
        rings + 4 * longest_row(packed, plane) + Scratch::size_bytes(scratch)
    }

    /// True where it was made for this place.
    pub(super) fn is_for(&self, region: &Region, width: usize, height: usize) -> bool {
        self.place.region == *region && (self.place.width, self.place.height) == (width, height)
    }

    /// Begins a picture.
    pub(super) fn restart(&mut self) {
        for stage in &mut self.stages {
            stage.next = stage.needed.y.start / 2;
        }
    }

    /// What is needed of the last layer: the region, and what the resize wants around it.
    pub(super) fn needed(&self) -> &Region {
        &self.stages[self.stages.len() - 1].needed
    }

    /// Makes the last layer's rows up to and with `y` available, those of the six last ones that are [`needed`](Self::needed).
    ///
    /// # Errors
    /// [`Error::Cancelled`] when `cancelled` was set; that is looked at before every pair of rows of every layer.
    pub(super) fn advance(
        &mut self,
        packed: &Packed,
        picture: &PlanarRgb,
        y: usize,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        self.pull(packed, picture, self.stages.len() - 1, y / 2 + 1, cancelled)
    }

    /// A channel of row `y` of the last layer, in f32: the needed pixels of even x from the first tile that is needed, then those of odd x.
    pub(super) fn last_row(&self, y: usize, channel: usize) -> [&[u32]; 2] {
        let stage = &self.stages[self.stages.len() - 1];
        let tiles = self.tiles(stage);
        let row = stage.ring.row(y);
        [0, 1].map(|parity| &row[(2 * channel + parity) * self.plane + MARGIN..][tiles.clone()])
    }

    /// x of the first pixel that [`last_row`](Self::last_row) gives.
    pub(super) fn last_row_x(&self) -> usize {
        self.needed().x.start & !1
    }

    fn tiles(&self, stage: &Stage) -> Range<usize> {
        (stage.needed.x.start - self.x) / 2..(stage.needed.x.end - self.x).div_ceil(2)
    }

    /// Computes the pairs of rows of a stage before `end`, as far as they are needed.
    fn pull(
        &mut self,
        packed: &Packed,
        picture: &PlanarRgb,
        stage: usize,
        end: usize,
        cancelled: &AtomicBool,
    ) -> Result<(), Error> {
        let end = end.min(self.stages[stage].needed.y.end.div_ceil(2));
        while self.stages[stage].next < end {
            let pair = self.stages[stage].next;
            if stage == 0 {
                self.read(picture, pair);
            } else {
                self.pull(packed, picture, stage - 1, pair + 2, cancelled)?;
                if cancelled.load(Ordering::Acquire) {
                    return Err(Error::Cancelled);
                }
                self.compute(&packed.layers[stage - 1], stage, pair);
            }
            self.stages[stage].next += 1;
        }
        Ok(())
    }

    /// Two rows of the picture, channel by channel.
    fn read(&mut self, picture: &PlanarRgb, pair: usize) {
        let stage = &mut self.stages[0];
        let columns = stage.needed.x.clone();
        for (y, row) in (2 * pair..).zip(stage.ring.pair(pair)) {
            // Row `height` is never read: zeros stand for it.
            if y < picture.height() {
                for (plane, row) in picture
                    .planes()
                    .iter()
                    .zip(row.chunks_exact_mut(2 * self.plane))
                {
                    let pixels = &plane[y * picture.width()..][columns.clone()];
                    let (even, odd) = row.split_at_mut(self.plane);
                    read_pixels(
                        pixels,
                        columns.start - self.x,
                        &mut even[MARGIN..],
                        &mut odd[MARGIN..],
                    );
                }
            }
        }
    }

    fn compute(&mut self, layer: &Layer, stage: usize, pair: usize) {
        let tiles = self.tiles(&self.stages[stage]);
        let (before, after) = self.stages.split_at_mut(stage);
        let input = &before[stage - 1];
        let zeros = &self.zeros[..input.row_len];
        let rows = input.needed.y.clone();
        // From the first row of the first pair: all of it is computed, and may be needed or not.
        let available = rows.start & !1..rows.end.next_multiple_of(2).min(self.place.height);
        let row = |y: Option<usize>| match y {
            Some(y) if available.contains(&y) => input.ring.row(y),
            _ => zeros,
        };
        let y = 2 * pair;
        let mut pass = Pass {
            inputs: [
                row(y.checked_sub(1)),
                row(Some(y)),
                row(Some(y + 1)),
                row(Some(y + 2)),
            ],
            results: after[0].ring.pair(pair),
            plane: self.plane,
            n_words: layer.n_words_in,
            weights: &layer.weights,
            bias: &layer.bias,
            slope: &layer.slope,
            tiles,
            inside: [
                (self.place.width - self.x).div_ceil(2),
                (self.place.width - self.x) / 2,
            ],
        };
        layer.kernel.run(&mut pass, &mut self.scratch);
    }
}

/// What the geometry of a region comes to.
struct Layout {
    x: usize,
    plane: usize,
    needed: Vec<Region>,
}

impl Layout {
    fn new(packed: &Packed, region: &Region, width: usize, height: usize) -> Self {
        let needed: Vec<_> = needed(packed, region, width, height).collect();
        let x = needed[0].x.start & !1;
        let n_tiles = (needed[0].x.end - x).div_ceil(2);
        // The last vector of tiles may begin at the last tile, and one tile behind it is read.
        let plane = (MARGIN + n_tiles + 16 + 1).next_multiple_of(16);
        Self { x, plane, needed }
    }
}

/// What is needed of the picture and of each layer's results for `region` of a picture of `width` × `height`.
pub(super) fn needed(
    packed: &Packed,
    region: &Region,
    width: usize,
    height: usize,
) -> impl Iterator<Item = Region> {
    let reach = packed.reach();
    (0..=packed.layers.len()).map(move |stage| region.grown(reach - stage, width, height))
}

/// Bytes of a pixel of the picture and of each layer's results.
fn pixel_bytes(packed: &Packed) -> impl Iterator<Item = usize> {
    [3 * 4]
        .into_iter()
        .chain(packed.layers.iter().map(|layer| layer.pixel_bytes))
}

fn longest_row(packed: &Packed, plane: usize) -> usize {
    pixel_bytes(packed)
        .map(|bytes| row_len(bytes, plane))
        .max()
        .unwrap_or(0)
}
