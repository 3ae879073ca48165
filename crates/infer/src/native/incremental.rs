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
mod collect;
mod compute;
mod kept;
mod result;
mod wave;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use framewright_media::PlanarRgb;

use self::bits::Bits;
use self::kept::Kept;
use self::result::{ResultBand, ResultScratch};
use self::wave::Wave;
use super::packed::Packed;
use super::tiles::{CHANNELS, Tile, TileScratch};
use crate::{Canceller, Error, Region};

/// Numbers of a pixel of the picture: red, green, blue, and one that fills up.
const PICTURE_CHANNELS: usize = 4;

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
    /// not numbers. No picture can follow after either, and who waits for a turn waits for the canceller.
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
            // Those that wait are told by the canceller, after this: else one of them might be the first to say why.
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
}

#[cfg(test)]
mod tests;
