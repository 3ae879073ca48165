//! What each stage of the job does with an item.

mod ahead;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use framewright_media::{Decoder, Error, Frame, Normaliser, Packet, Region, Repairs, Shift};
use framewright_pipeline::{Admission, BoxError, Budget, Rx, Tx};

use crate::upscale::cells::Changed;
use crate::upscale::compare::{Compare, Judgement, Verdict};
use crate::upscale::compose::Results;
use crate::upscale::mapping::Mapping;
use crate::upscale::savings::{Savings, Share};
use crate::upscale::side_films::{SideFilms, View};
use crate::upscale::ways::Ways;
use crate::upscale::worker::Worker;
use crate::upscale::writer::Writer;
use ahead::Ahead;
pub use ahead::PICTURES;

/// What travels from stage to stage, in file order: packets to copy, then a picture, if any came with them.
pub struct Item<P> {
    packets: Vec<Packet>,
    picture: Option<P>,
    /// Room for the pixels of the picture and of its result.
    room: Option<Admission>,
}

impl<P> Item<P> {
    /// The same packets with another picture.
    pub fn try_map<Q, E>(self, map: impl FnOnce(P) -> Result<Q, E>) -> Result<Item<Q>, E> {
        Ok(Item {
            packets: self.packets,
            picture: self.picture.map(map).transpose()?,
            room: self.room,
        })
    }
}

/// A frame of the film between its comparison and its result.
pub struct Shot {
    /// Its place in the film, and the number of its composite where it is a new one.
    pub index: u64,
    pts: i64,
    duration: i64,
    /// Composites that no later frame refers to.
    pub forgotten: Vec<u64>,
    /// How much of it is new and was computed.
    pub share: Share,
    /// For the side films.
    pub view: Option<View>,
}

/// What there is to compute.
pub enum Ask {
    /// All of a picture.
    Whole { frame: Frame, kept: bool },
    /// What depends on the changed cells of a composite; the rest is as in the result of `base`, moved as it has.
    Part {
        base: u64,
        composite: Frame,
        changed: Changed,
    },
    /// What differs from the picture that the network's state is of, from the state.
    Update {
        /// Counts the pictures that the state is brought to.
        turn: u64,
        /// The composite that the state is of, and upon whose result this one's is made; none: all of it is computed.
        from: Option<u64>,
        composite: Frame,
        /// Where the two may differ; none: everywhere.
        stale: Option<Changed>,
    },
    /// Nothing: the result of that composite is shown again.
    Repeat(u64),
}

/// What was computed.
pub enum Answer {
    /// A whole result.
    Whole { result: Frame, kept: bool },
    /// A result that is valid in `parts` only; elsewhere it is that of `base`, moved.
    Part {
        base: u64,
        moved: Shift,
        patch: Frame,
        parts: Vec<Region>,
    },
    /// Nothing.
    Repeat(u64),
    /// Nothing, because the run is to finish: the film ends before this frame.
    Cut,
}

/// Frames counted while the run goes, for the progress display.
#[derive(Default)]
pub struct Tally {
    /// Frames the decoder gave.
    pub frames_in: AtomicU64,
    /// Frames written.
    pub frames_out: AtomicU64,
    /// Frames among those composed that repeat an earlier one.
    pub repeats: AtomicU64,
    /// Frames that came in another size than the first and were brought to it.
    pub resized: AtomicU64,
    /// What was computed, and what was not.
    pub savings: Mutex<Savings>,
    /// What the writer had to repair; known at the end.
    pub repairs: OnceLock<Repairs>,
}

impl Tally {
    /// What was computed up to now.
    pub fn savings(&self) -> Savings {
        self.savings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts a frame, and gives the sums with it.
    fn add(&self, share: &Share) -> Savings {
        let mut savings = self.savings.lock().unwrap_or_else(PoisonError::into_inner);
        savings.add(share);
        savings.clone()
    }
}

/// Reads one item; `None` after the last.
pub struct Reader<'a> {
    /// The clip.
    pub decoder: &'a mut Decoder,
    /// Brings its frames to one layout.
    pub normaliser: Normaliser,
    /// Bounds the pixels in flight.
    pub budget: Budget,
    /// Bytes of a frame and its result.
    pub frame_bytes: u64,
    /// Bounds the packets in flight, where they are more than a few.
    pub packets: Budget,
    /// A frame whose packets have gone ahead.
    pub waiting: Option<Item<Frame>>,
    /// Counts frames.
    pub tally: &'a Tally,
}

/// Packets of so many bytes or more in one step through the file go ahead on their own, in room of their own.
const MANY_BYTES: usize = 64 << 10;

/// Room for such packets.
pub const PACKETS_BYTES: u64 = 32 << 20;

impl Reader<'_> {
    /// The next item of the clip.
    pub fn next(&mut self) -> Result<Option<Item<Frame>>, BoxError> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        let room = self.budget.admit(self.frame_bytes)?;
        let Some(unit) = self.decoder.next_unit()? else {
            return Ok(None);
        };
        let mut item = Item {
            packets: unit.packets,
            picture: None,
            room: None,
        };
        if let Some(frame) = unit.frame {
            self.tally.frames_in.fetch_add(1, Relaxed);
            if !self.normaliser.has_size_of(&frame) {
                self.tally.resized.fetch_add(1, Relaxed);
            }
            item.picture = Some(self.normaliser.normalise(frame)?);
            item.room = Some(room);
        }
        let n_bytes: usize = item.packets.iter().map(Packet::size_bytes).sum();
        if n_bytes < MANY_BYTES {
            return Ok(Some(item));
        }
        let packets = Item {
            packets: std::mem::take(&mut item.packets),
            picture: None,
            room: Some(self.packets.admit(n_bytes as u64)?),
        };
        self.waiting = Some(item).filter(|item| item.picture.is_some());
        Ok(Some(packets))
    }
}

/// Finds out what of each frame is new, and notes whose result it shows.
pub fn compare(
    rx: &Rx<Item<Frame>>,
    tx: &Tx<Item<(Shot, Ask)>>,
    mut compare: Compare,
    ways: Ways,
    may_hold: bool,
    mapping: &mut Mapping,
    is_viewed: bool,
) -> Result<(), BoxError> {
    let mut ahead = Ahead::new(ways, may_hold);
    while let Some(item) = rx.recv()? {
        if item.picture.is_none() && item.room.is_some() {
            // The reader waits for their room, so they do not wait for a picture that is held back.
            let unchanged = |_| -> Result<_, BoxError> { unreachable!("there is no picture") };
            tx.send(item.try_map(unchanged)?)?;
            continue;
        }
        let mut item = item.try_map(|frame| {
            let index = mapping.n_frames();
            let source = is_viewed.then(|| frame.share());
            let judgement = compare.judge(index, &frame, frame.is_corrupt())?;
            let view = source.map(|source| View {
                composite: compare.shown(&judgement).unwrap_or(&source).share(),
                source,
                parts: Vec::new(),
            });
            mapping.push(match judgement.verdict {
                Verdict::Repeat(of) => of,
                _ => index,
            });
            Ok::<_, BoxError>(ask(index, frame, judgement, view))
        })?;
        if let Some((Shot { view: None, .. }, Ask::Repeat(_))) = &item.picture {
            // Its pixels are gone, and the reader may go on.
            item.room = None;
        }
        ahead.push(item, compare.origins());
        while let Some(item) = ahead.pop(false) {
            tx.send(item)?;
        }
    }
    while let Some(item) = ahead.pop(true) {
        tx.send(item)?;
    }
    Ok(())
}

/// What there is to compute for a frame that was judged.
pub fn ask(index: u64, frame: Frame, judgement: Judgement, view: Option<View>) -> (Shot, Ask) {
    let (pts, duration) = (timestamp(&frame), frame.duration);
    let ask = match judgement.verdict {
        Verdict::Whole { kept } => Ask::Whole { frame, kept },
        Verdict::Part {
            base,
            composite,
            changed,
        } => Ask::Part {
            base,
            composite,
            changed,
        },
        Verdict::Repeat(of) => Ask::Repeat(of),
    };
    let shot = Shot {
        index,
        pts,
        duration,
        forgotten: judgement.forgotten,
        share: Share {
            cells_changed: judgement.cells_changed,
            n_cells: judgement.n_cells,
            older: judgement.older,
            moved: judgement.moved,
            worst_difference: judgement.worst_difference,
            computed: 0.0,
            layers: Vec::new(),
        },
        view,
    };
    (shot, ask)
}

fn timestamp(frame: &Frame) -> i64 {
    frame
        .pts()
        .expect("the decoder gives every frame a timestamp")
}

/// Only finds out how much there would be to compute.
pub fn count(rx: &Rx<Item<(Shot, Ask)>>, worker: &Worker, tally: &Tally) -> Result<(), BoxError> {
    while let Some(item) = rx.recv()? {
        if let Some((mut shot, ask)) = item.picture {
            shot.share.computed = worker.estimate(&ask);
            tally.add(&shot.share);
        }
    }
    Ok(())
}

/// Makes results of answers, and shows the side films what happens. Ends at the first picture cut off: a worker may have
/// begun the next one just before.
pub fn compose(
    rx: &Rx<Item<(Shot, Answer)>>,
    tx: &Tx<Item<Frame>>,
    tally: &Tally,
    mut side_films: SideFilms,
) -> Result<(), BoxError> {
    let mut results = Results::default();
    let mut cut = false;
    while let Some(item) = rx.recv()? {
        cut |= matches!(&item.picture, Some((_, Answer::Cut)));
        if cut {
            continue;
        }
        let item = item.try_map(|(shot, answer)| {
            if let Answer::Repeat(_) = answer {
                tally.repeats.fetch_add(1, Relaxed);
            }
            let mut result = result_of(&shot, &answer, &mut results)?;
            let savings = tally.add(&shot.share);
            if let Some(view) = &shot.view {
                side_films.show(view, (shot.pts, shot.duration), &shot.share, &savings)?;
            }
            result.set_pts(shot.pts);
            result.duration = shot.duration;
            Ok::<_, BoxError>(result)
        })?;
        tx.send(item)?;
    }
    side_films.finish()
}

/// The result that a frame shows, given the earlier ones.
///
/// # Errors
/// No memory.
pub fn result_of(shot: &Shot, answer: &Answer, results: &mut Results) -> Result<Frame, Error> {
    let result = match answer {
        Answer::Whole { result, kept } => {
            if *kept {
                results.keep(shot.index, result);
            }
            result.share()
        }
        Answer::Part {
            base,
            moved,
            patch,
            parts,
        } => {
            let result = results.patched(*base, *moved, patch, parts)?;
            results.keep(shot.index, &result);
            result
        }
        Answer::Repeat(of) => results.get(*of).share(),
        Answer::Cut => unreachable!("nothing is composed from there on"),
    };
    results.forget(&shot.forgotten);
    Ok(result)
}

/// Writes everything, and completes the file when all of it came.
pub fn write(rx: &Rx<Item<Frame>>, mut writer: Writer, tally: &Tally) -> Result<(), BoxError> {
    while let Some(item) = rx.recv()? {
        writer.copy(item.packets)?;
        if let Some(frame) = item.picture {
            writer.encode(&frame)?;
            tally.frames_out.fetch_add(1, Relaxed);
        }
    }
    let _ = tally.repairs.set(writer.finish()?);
    Ok(())
}

#[cfg(test)]
mod tests;
