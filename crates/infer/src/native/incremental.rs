//! The incremental network: what every layer made of the picture is kept, and of the next picture each layer computes
//! those pixels whose inputs changed, and no others.
//!
//! ```text
//! changed pixels ─▶ layer 1: tiles that see one ─▶ pixels that came out otherwise ─▶ layer 2: … ─▶ result: where it changed
//! ```
//! A region needs a halo as wide as the reach, all of it computed for nothing but its own middle; here the neighbours of
//! what changed are there already. A pixel that comes out with the bits it had counts as unchanged, so the change grows by
//! less than a pixel per layer. The kept numbers are always those of a full run on the picture, to the bit; so is the
//! result.
//!
//! There is one state, and pictures come one after the other. All threads work on one picture: a worker that waits for
//! its turn helps the one whose turn it is. Nobody waits for a thread to wake up, and a worker that has a whole picture
//! to compute elsewhere does not hold up the others.

mod bits;
mod kept;
mod result;
mod wave;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use framewright_media::PlanarRgb;

use self::bits::Bits;
use self::kept::Kept;
use self::result::{ResultPair, ResultScratch, Sources};
use self::wave::{Task, Wave};
use super::packed::Packed;
use super::tiles::{CHANNELS, TilePass, TileScratch};
use crate::finite::not_finite;
use crate::{Canceller, Error, Region};

/// Numbers of a pixel of the picture: red, green, blue, and one that fills up.
const PICTURE_CHANNELS: usize = 4;

/// Pixels of the picture in a square of which the result is given out whole when any of it changed.
const SQUARE: usize = 16;

/// One worker's way to the network whose state all workers share.
pub struct Incremental {
    shared: Arc<Shared>,
    scratch: Scratch,
}

/// A picture whose turn it is.
pub struct Update<'a> {
    /// Counts the pictures, without a gap.
    pub turn: u64,
    /// All of the picture, or what is read of it: `regions`.
    pub picture: &'a PlanarRgb,
    /// Where it may differ from the picture before.
    pub regions: &'a [Region],
    /// The pixels around what changed that are given out with it.
    pub margin: usize,
}

/// What became of a picture.
#[derive(Debug, Default)]
pub struct Updated {
    /// Where the result changed, in pixels of the picture; edges are even or the picture's.
    pub parts: Vec<Region>,
    /// The result there, and `margin` pixels of the picture around it: `scale` times as large.
    pub results: Vec<PlanarRgb>,
    /// The share of each layer's pixels that was computed, filled up to whole tiles.
    pub layers: Vec<f64>,
    /// Arithmetic done, over that for a whole picture.
    pub work: f64,
}

struct Shared {
    packed: Arc<Packed>,
    model: String,
    width: usize,
    height: usize,
    scale: usize,
    /// The picture, then what each layer made of it.
    kept: Vec<Kept>,
    results: Vec<RwLock<ResultPair>>,
    /// For each pair of rows whether its result changed.
    result_changed: Vec<AtomicBool>,
    wave: Wave,
    /// Set while nothing that is kept is of any picture, so all has to be computed.
    all: AtomicBool,
    not_finite: AtomicBool,
    /// Tiles computed in the update in progress, for each layer.
    n_tiles: Vec<AtomicU64>,
    turn: Mutex<Turn>,
    turned: Condvar,
}

struct Turn {
    next: u64,
    /// The first picture that nobody will ask for, and with it all that follow.
    end: u64,
}

struct Scratch {
    tiles: TileScratch,
    list: Vec<usize>,
    changed: Vec<u8>,
    bits: Bits,
    result: ResultScratch,
}

impl Incremental {
    /// `n` workers that share one state, for pictures of `width` × `height`.
    pub(super) fn new(
        packed: &Arc<Packed>,
        model: &str,
        scale: usize,
        (width, height): (usize, usize),
        n: usize,
    ) -> Vec<Self> {
        let kept = stages(packed)
            .map(|(channels, size)| Kept::new(width, height, channels, size))
            .collect();
        let n_pairs = height.div_ceil(2);
        let shared = Arc::new(Shared {
            packed: Arc::clone(packed),
            model: model.to_owned(),
            width,
            height,
            scale,
            kept,
            results: (0..n_pairs)
                .map(|_| RwLock::new(ResultPair::new(width, scale)))
                .collect(),
            result_changed: (0..n_pairs).map(|_| AtomicBool::new(false)).collect(),
            wave: Wave::new(packed.layers.len() + 1, n_pairs),
            all: AtomicBool::new(true),
            not_finite: AtomicBool::new(false),
            n_tiles: packed.layers.iter().map(|_| AtomicU64::new(0)).collect(),
            turn: Mutex::new(Turn {
                next: 0,
                end: u64::MAX,
            }),
            turned: Condvar::new(),
        });
        let worker = || Self {
            shared: Arc::clone(&shared),
            scratch: Scratch::new(packed, width),
        };
        (0..n).map(|_| worker()).collect()
    }

    /// Waits until it is this picture's turn, helping with those before it, and brings the state from the picture before
    /// to this one; none where a picture before was [left out](Self::leave_out).
    ///
    /// The first picture, and only that, must be given whole, as one region.
    ///
    /// # Errors
    /// [`Error::Cancelled`] within 100 ms of the [`canceller`](Self::canceller); [`Error::NotFinite`] for a result that is
    /// not numbers. No picture can follow after either.
    ///
    /// # Panics
    /// When the picture has another size, or a region does not lie in it.
    pub fn update(&mut self, update: &Update) -> Result<Option<Updated>, Error> {
        let shared = Arc::clone(&self.shared);
        let size = (update.picture.width(), update.picture.height());
        assert_eq!(size, (shared.width, shared.height), "the picture's size");
        if !self.wait(update.turn)? {
            return Ok(None);
        }
        shared.read(update.picture, update.regions);
        for n_tiles in &shared.n_tiles {
            n_tiles.store(0, Ordering::Relaxed);
        }
        {
            // Under the lock, so that nobody looks just before and then sleeps.
            let _turn = shared.lock();
            shared.wave.start();
            shared.turned.notify_all();
        }
        shared.help(&mut self.scratch);
        if !shared.wave.finish() {
            return Err(Error::Cancelled);
        }
        shared.all.store(false, Ordering::Relaxed);
        if shared.not_finite.load(Ordering::Relaxed) {
            shared.stop();
            return Err(shared.not_finite());
        }
        let updated = shared.collect(update.margin);
        shared.lock().next = update.turn + 1;
        shared.turned.notify_all();
        Ok(Some(updated))
    }

    /// Helps until it is the turn of picture `turn`, or that never comes.
    pub fn help_until(&mut self, turn: u64) {
        // What is wrong is told to whoever asks for a result.
        let _ = self.wait(turn);
    }

    /// Says that picture `turn` will not be computed, nor any after it.
    pub fn leave_out(&self, turn: u64) {
        let mut locked = self.shared.lock();
        locked.end = locked.end.min(turn);
        drop(locked);
        self.shared.turned.notify_all();
    }

    /// A handle that ends the update of whichever worker, and all that wait.
    pub fn canceller(&self) -> Canceller {
        let shared = Arc::clone(&self.shared);
        Canceller::new(move || shared.stop())
    }

    /// Waits for a turn; false where it never comes.
    fn wait(&mut self, turn: u64) -> Result<bool, Error> {
        let shared = Arc::clone(&self.shared);
        let mut locked = shared.lock();
        loop {
            if shared.wave.is_stopped() {
                return Err(Error::Cancelled);
            }
            if locked.end <= turn {
                return Ok(false);
            }
            if locked.next == turn {
                return Ok(true);
            }
            if shared.wave.is_open() {
                drop(locked);
                shared.help(&mut self.scratch);
                locked = shared.lock();
            } else {
                locked = shared
                    .turned
                    .wait(locked)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Bytes of the state for pictures of `width` × `height`.
pub(super) fn size_bytes(packed: &Packed, scale: usize, width: usize, height: usize) -> usize {
    let kept: usize = stages(packed)
        .map(|(channels, size)| Kept::size_bytes(width, height, channels * size))
        .sum();
    kept + ResultPair::size_bytes(width, height, scale)
}

/// Numbers of a pixel, and bytes of a number: of the picture, and of each layer's results.
fn stages(packed: &Packed) -> impl Iterator<Item = (usize, usize)> {
    let layers = packed.layers.iter();
    [(PICTURE_CHANNELS, size_of::<f32>())]
        .into_iter()
        .chain(layers.map(|layer| (layer.tiles.bias.len(), layer.kernel.size_out)))
}

impl Scratch {
    fn new(packed: &Packed, width: usize) -> Self {
        let layers = packed.layers.iter();
        let n_words = layers.clone().map(|layer| layer.n_words_in).max();
        let n_outputs = layers.map(|layer| layer.tiles.bias.len()).max();
        Self {
            tiles: TileScratch::new(n_words.unwrap_or(0), n_outputs.unwrap_or(CHANNELS)),
            list: Vec::new(),
            changed: Vec::new(),
            bits: Bits::new(width),
            result: ResultScratch::default(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.wave.stop();
        // Under the lock, so that nobody looks just before and then sleeps.
        let _turn = self.lock();
        self.turned.notify_all();
    }

    /// Takes over the pixels of a picture, and notes which of them are new.
    fn read(&self, picture: &PlanarRgb, regions: &[Region]) {
        let kept = &self.kept[0];
        for pair in 0..kept.pairs.len() {
            kept.set_changed(pair, false);
        }
        for region in regions {
            assert!(region.is_inside(self.width, self.height), "{region:?}");
            for pair in region.y.start / 2..region.y.end.div_ceil(2) {
                let changed = kept.write(pair, |to| {
                    let (rows, bits) = to.parts();
                    if !kept.has_changed(pair) {
                        bits.iter_mut().for_each(Bits::clear);
                    }
                    for ((y, row), bits) in (2 * pair..).zip(rows).zip(bits.iter_mut()) {
                        if region.y.contains(&y) {
                            read_row(picture, y, region, row, bits);
                        }
                    }
                    bits.iter().any(Bits::any)
                });
                kept.set_changed(pair, changed);
            }
        }
    }

    fn help(&self, scratch: &mut Scratch) {
        self.wave.help(|task| {
            if task.layer < self.packed.layers.len() {
                self.compute(task, scratch);
            } else {
                self.compute_result(task.pair, scratch);
            }
        });
    }

    /// Computes what changed in a pair of rows of a layer.
    fn compute(&self, Task { layer, pair }: Task, scratch: &mut Scratch) {
        let (before, after) = (&self.kept[layer], &self.kept[layer + 1]);
        let all = self.all.load(Ordering::Relaxed);
        let may_change =
            all || (pair.saturating_sub(1)..pair + 2).any(|pair| before.has_changed(pair));
        if !may_change {
            after.set_changed(pair, false);
            return;
        }
        let layer_of = &self.packed.layers[layer];
        before.around(pair, |around| {
            if all {
                scratch.list.clear();
                scratch.list.extend(0..self.width.div_ceil(2));
            } else {
                scratch.bits.clear();
                before.add_changes(pair, around, &mut scratch.bits);
                scratch.bits.grow();
                scratch.bits.tiles(&mut scratch.list);
                // Growth may reach beyond the last pixel.
                let n_tiles = self.width.div_ceil(2);
                let inside = scratch.list.partition_point(|tile| *tile < n_tiles);
                scratch.list.truncate(inside);
            }
            scratch.changed.clear();
            scratch.changed.resize(scratch.list.len(), 0);
            self.n_tiles[layer].fetch_add(scratch.list.len() as u64, Ordering::Relaxed);
            let changed = after.write(pair, |to| {
                let (results, bits) = to.parts();
                let mut pass = TilePass {
                    inputs: [
                        around[0].row(1),
                        around[1].row(0),
                        around[1].row(1),
                        around[2].row(0),
                    ],
                    results,
                    channels: [before.channels, after.channels],
                    n_words: layer_of.n_words_in,
                    weights: &layer_of.tiles.weights,
                    bias: &layer_of.tiles.bias,
                    slope: &layer_of.tiles.slope,
                    tiles: &scratch.list,
                    inside: [self.width, self.height - 2 * pair],
                    changed: &mut scratch.changed,
                };
                layer_of.kernel.run_tiles(&mut pass, &mut scratch.tiles);
                bits.iter_mut().for_each(Bits::clear);
                let mut any = false;
                for (tile, changed) in scratch.list.iter().zip(&scratch.changed) {
                    for place in 0..4 {
                        if changed >> place & 1 == 1 {
                            bits[place / 2].set(2 * tile + place % 2);
                            any = true;
                        }
                    }
                }
                any
            });
            after.set_changed(pair, changed);
        });
    }

    /// Computes the result of a pair of rows where it changed.
    fn compute_result(&self, pair: usize, scratch: &mut Scratch) {
        let (picture, last) = (&self.kept[0], &self.kept[self.packed.layers.len()]);
        let all = self.all.load(Ordering::Relaxed);
        let reach = usize::from(self.packed.resize.is_some());
        let near = pair.saturating_sub(reach)..pair + reach + 1;
        let may_change = all
            || near
                .into_iter()
                .any(|pair| picture.has_changed(pair) || last.has_changed(pair));
        self.result_changed[pair].store(may_change, Ordering::Relaxed);
        if !may_change {
            return;
        }
        let mut result = self.results[pair]
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        picture.around(pair, |picture_pairs| {
            last.around(pair, |last_pairs| {
                let n_rows = (self.height - 2 * pair).min(2);
                for row in 0..n_rows {
                    let bits = &mut result.changed[row];
                    bits.clear();
                    if all {
                        (0..self.width).for_each(|x| bits.set(x));
                        continue;
                    }
                    for (kept, pairs) in [(picture, picture_pairs), (last, last_pairs)] {
                        for near in row + 2 - reach..=row + 2 + reach {
                            let from = pair + near / 2;
                            if from > 0 && kept.has_changed(from - 1) {
                                bits.add(&pairs[near / 2].changed[near % 2]);
                            }
                        }
                    }
                    if reach > 0 {
                        bits.grow();
                    }
                }
                let sources = Sources {
                    packed: &self.packed,
                    width: self.width,
                    height: self.height,
                    pair,
                    picture: picture_pairs,
                    last: last_pairs,
                    channels: last.channels,
                };
                if !result.compute(&sources, &mut scratch.result) {
                    self.not_finite.store(true, Ordering::Relaxed);
                }
            });
        });
    }

    /// Where the result changed, what it is there, and what that took.
    fn collect(&self, margin: usize) -> Updated {
        let parts = self.parts();
        let cut = |part: &Region| {
            let mut into = PlanarRgb::default();
            self.cut(&part.grown(margin, self.width, self.height), &mut into);
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

    /// Rectangles around all pixels whose result changed: of every row of squares, the runs of those in which one did.
    fn parts(&self) -> Vec<Region> {
        let mut parts: Vec<Region> = Vec::new();
        let mut bits = Bits::new(self.width);
        for first in (0..self.results.len()).step_by(SQUARE / 2) {
            let pairs = first..(first + SQUARE / 2).min(self.results.len());
            bits.clear();
            for pair in pairs
                .clone()
                .filter(|&pair| self.result_changed[pair].load(Ordering::Relaxed))
            {
                let pair = self.results[pair]
                    .read()
                    .unwrap_or_else(PoisonError::into_inner);
                pair.changed.iter().for_each(|row| bits.add(row));
            }
            let y = 2 * pairs.start..(2 * pairs.end).min(self.height);
            for run in bits.runs(self.width, SQUARE) {
                let part = Region {
                    x: run,
                    y: y.clone(),
                };
                let part = part.aligned(2, self.width, self.height);
                match parts
                    .iter_mut()
                    .find(|above| above.y.end == part.y.start && above.x == part.x)
                {
                    Some(above) => above.y.end = part.y.end,
                    None => parts.push(part),
                }
            }
        }
        parts
    }

    fn cut(&self, region: &Region, into: &mut PlanarRgb) {
        into.resize(region.width() * self.scale, region.height() * self.scale);
        for pair in region.y.start / 2..region.y.end.div_ceil(2) {
            let result = self.results[pair]
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            result.cut(pair, region, self.scale, self.width, into);
        }
    }

    #[cold]
    fn not_finite(&self) -> Error {
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

#[cfg(test)]
mod tests;
