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

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use framewright_media::PlanarRgb;

use self::bits::Bits;
use self::kept::{Around, Kept, rows_of};
use self::result::{ResultBand, ResultScratch, Sources};
use self::wave::{Task, Wave};
use super::packed::Packed;
use super::tiles::{CHANNELS, Tile, TilePass, TileScratch};
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
    /// Whether the whole result is given out, changed or not.
    pub whole: bool,
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
    /// Rows of a band.
    n_rows: usize,
    /// The picture, then what each layer made of it.
    kept: Vec<Kept>,
    results: Vec<RwLock<ResultBand>>,
    /// For each band whether its result changed.
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
    list: Vec<Tile>,
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
        let n_rows = band_rows(n);
        let kept = stages(packed)
            .map(|(channels, size)| Kept::new((width, height), n_rows, channels, size))
            .collect();
        let n_bands = height.div_ceil(n_rows);
        let shared = Arc::new(Shared {
            packed: Arc::clone(packed),
            model: model.to_owned(),
            width,
            height,
            scale,
            n_rows,
            kept,
            results: (0..n_bands)
                .map(|_| RwLock::new(ResultBand::new(width, n_rows, scale)))
                .collect(),
            result_changed: (0..n_bands).map(|_| AtomicBool::new(false)).collect(),
            wave: Wave::new(packed.layers.len() + 1, n_bands),
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
        let updated = shared.collect(update);
        shared.lock().next = update.turn + 1;
        shared.turned.notify_all();
        Ok(Some(updated))
    }

    /// The turn of the picture that comes next.
    pub fn next_turn(&self) -> u64 {
        self.shared.lock().next
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
    kept + ResultBand::size_bytes(width, height, scale)
}

/// Rows of a band. Higher ones make better use of the weights that a thread has at hand; but of a change that is a hundred
/// rows high, a thread can only compute every second band while the others compute other layers of those between.
fn band_rows(n_workers: usize) -> usize {
    match n_workers {
        1 => 16,
        2..5 => 8,
        _ => 4,
    }
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

    fn rows_of(&self, band: usize) -> Range<usize> {
        rows_of(band, self.n_rows, self.height)
    }

    fn help(&self, scratch: &mut Scratch) {
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
            let tile = |x: usize| Tile { y, x: x as u16 };
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
                    let (x, y) = (usize::from(tile.x), usize::from(tile.y));
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

    /// Where the result changed, what it is there, and what that took.
    fn collect(&self, update: &Update) -> Updated {
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

    fn cut(&self, region: &Region, into: &mut PlanarRgb) {
        into.resize(region.width() * self.scale, region.height() * self.scale);
        for band in region.y.start / self.n_rows..region.y.end.div_ceil(self.n_rows) {
            let result = self.results[band]
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            result.cut(&self.rows_of(band), region, self.scale, self.width, into);
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
