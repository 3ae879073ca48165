//! What is computed of a picture: its new pixels, then what changed of every layer, then of the result.

use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use framewright_media::PlanarRgb;

use super::bits::Bits;
use super::kept::{Around, rows_of};
use super::result::Sources;
use super::wave::Task;
use super::{PICTURE_CHANNELS, Scratch, Shared};
use crate::Region;
use crate::native::tiles::{Tile, TilePass};

impl Shared {
    /// Takes over the pixels of a picture, and notes which of them are new.
    pub(super) fn read(&self, picture: &PlanarRgb, regions: &[Region]) {
        let kept = &self.kept[0];
        for band in 0..kept.bands.len() {
            kept.set_changed(band, false);
        }
        for region in regions {
            assert!(region.is_inside(self.width, self.height), "{region:?}");
            for band in region.y.start / self.n_rows..region.y.end.div_ceil(self.n_rows) {
                let rows = self.rows_of(band);
                let changed = kept.write(band, |to| {
                    let (words, row_len, bits) = to.parts();
                    if !kept.has_changed(band) {
                        bits.iter_mut().for_each(Bits::clear);
                    }
                    let places = rows.zip(words.chunks_exact_mut(row_len)).zip(&mut *bits);
                    for ((y, row), bits) in places.filter(|((y, _), _)| region.y.contains(y)) {
                        read_row(picture, y, region, row, bits);
                    }
                    bits.iter().any(Bits::any)
                });
                kept.set_changed(band, changed);
            }
        }
    }

    pub(super) fn rows_of(&self, band: usize) -> Range<usize> {
        rows_of(band, self.n_rows, self.height)
    }

    pub(super) fn help(&self, scratch: &mut Scratch) {
        self.wave.help(|task| {
            if task.layer < self.packed.layers.len() {
                self.compute(task, scratch);
            } else {
                self.compute_result(task.band, scratch);
            }
        });
    }

    /// Computes what changed in a band of a layer.
    fn compute(&self, Task { layer, band }: Task, scratch: &mut Scratch) {
        let (before, after) = (&self.kept[layer], &self.kept[layer + 1]);
        let near = band.saturating_sub(1)..band + 2;
        let changed = (self.is_all() || near.into_iter().any(|band| before.has_changed(band)))
            && before.around(band, |inputs| {
                self.list_tiles(band, inputs, scratch);
                self.n_tiles[layer].fetch_add(scratch.list.len() as u64, Ordering::Relaxed);
                self.compute_tiles(layer, band, inputs, scratch)
            });
        after.set_changed(band, changed);
    }

    fn is_all(&self) -> bool {
        self.all.load(Ordering::Relaxed)
    }

    /// Lists the tiles of a band that see a changed pixel.
    fn list_tiles(&self, band: usize, inputs: &Around, scratch: &mut Scratch) {
        let Scratch { list, bits, .. } = scratch;
        list.clear();
        let n_tiles = self.width.div_ceil(2);
        for (y, first) in (0..).zip(self.rows_of(band).step_by(2)) {
            let tile = |x: usize| Tile { y, x: x as u32 };
            if self.is_all() {
                list.extend((0..n_tiles).map(tile));
                continue;
            }
            bits.clear();
            let first = first as isize;
            for changed in (first - 1..first + 3).filter_map(|y| inputs.changed(y)) {
                bits.add(changed);
            }
            bits.grow();
            // Growth may reach beyond the last pixel.
            list.extend(bits.tiles().take_while(|x| *x < n_tiles).map(tile));
        }
    }

    /// Computes the listed tiles of a band of a layer, and notes which of their pixels changed; false where none did.
    fn compute_tiles(
        &self,
        layer: usize,
        band: usize,
        inputs: &Around,
        scratch: &mut Scratch,
    ) -> bool {
        let rows = self.rows_of(band);
        let (first, end) = (rows.start as isize, rows.end.next_multiple_of(2) as isize);
        let input_rows: Vec<_> = (first - 1..=end).map(|y| inputs.row(y)).collect();
        let Scratch {
            list,
            changed,
            tiles,
            ..
        } = scratch;
        changed.clear();
        changed.resize(list.len(), 0);
        let (before, after) = (&self.kept[layer], &self.kept[layer + 1]);
        let layer = &self.packed.layers[layer];
        after.write(band, |to| {
            let (results, result_len, bits) = to.parts();
            let mut pass = TilePass {
                inputs: &input_rows,
                results,
                result_len,
                channels: [before.channels, after.channels],
                n_words: layer.n_words_in,
                weights: &layer.tiles.weights,
                bias: &layer.tiles.bias,
                slope: &layer.tiles.slope,
                tiles: list,
                inside: [self.width, rows.len()],
                changed,
            };
            layer.kernel.run_tiles(&mut pass, tiles);
            bits.iter_mut().for_each(Bits::clear);
            let mut any = false;
            for (tile, changed) in list.iter().zip(&*changed) {
                for place in (0..4).filter(|place| changed >> place & 1 == 1) {
                    let (x, y) = (tile.x as usize, usize::from(tile.y));
                    bits[2 * y + place / 2].set(2 * x + place % 2);
                    any = true;
                }
            }
            any
        })
    }

    /// Computes the result of a band where it changed.
    fn compute_result(&self, band: usize, scratch: &mut Scratch) {
        let (picture, last) = (&self.kept[0], &self.kept[self.packed.layers.len()]);
        // The resize looks at the rows beside its own.
        let reach = usize::from(self.packed.resize.is_some());
        let mut near = band.saturating_sub(reach)..band + reach + 1;
        let changed =
            self.is_all() || near.any(|band| picture.has_changed(band) || last.has_changed(band));
        self.result_changed[band].store(changed, Ordering::Relaxed);
        if !changed {
            return;
        }
        let mut result = self.results[band]
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let rows = self.rows_of(band);
        let finite = picture.around(band, |picture_rows| {
            last.around(band, |last_rows| {
                for (y, bits) in (rows.start as isize..).zip(&mut result.changed) {
                    bits.clear();
                    if self.is_all() {
                        (0..self.width).for_each(|x| bits.set(x));
                        continue;
                    }
                    let reach = reach as isize;
                    for near in y - reach..=y + reach {
                        let changed = [picture_rows, last_rows].map(|rows| rows.changed(near));
                        changed
                            .into_iter()
                            .flatten()
                            .for_each(|changed| bits.add(changed));
                    }
                    if reach > 0 {
                        bits.grow();
                    }
                }
                let sources = Sources {
                    packed: &self.packed,
                    width: self.width,
                    height: self.height,
                    rows,
                    picture: picture_rows,
                    last: last_rows,
                    channels: [picture.channels, last.channels],
                };
                result.compute(&sources, &mut scratch.result)
            })
        });
        if !finite {
            self.not_finite.store(true, Ordering::Relaxed);
        }
    }
}

/// Takes over the pixels of a row, and notes which of them are new.
fn read_row(picture: &PlanarRgb, y: usize, region: &Region, row: &mut [u32], bits: &mut Bits) {
    let planes = picture.planes().map(|plane| &plane[y * picture.width()..]);
    for x in region.x.clone() {
        let pixel = &mut row[(x + 1) * PICTURE_CHANNELS..][..3];
        let new = planes.map(|plane| plane[x].to_bits());
        if *pixel != new {
            pixel.copy_from_slice(&new);
            bits.set(x);
        }
    }
}
