//! What each stage of the job does with an item.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use framewright_infer::{Canceller, Upscaler};
use framewright_media::{
    Decoder, Frame, FrameMaker, Normaliser, Packet, PlanarRgb, Repairs, rgb_from_frame,
};
use framewright_pipeline::{Admission, BoxError, Budget, Rx, Tx};

use crate::upscale::compare::{Compare, Verdict};
use crate::upscale::mapping::Mapping;
use crate::upscale::plan::Decided;
use crate::upscale::writer::Writer;

/// What travels from stage to stage, in file order: packets to copy, then a picture.
pub struct Item {
    packets: Vec<Packet>,
    picture: Picture,
    /// Room for the pixels of the picture and of its result.
    room: Option<Admission>,
}

enum Picture {
    /// Packets came without a frame.
    None,
    /// To be upscaled; behind the upscale stage, the result.
    New(Frame),
    /// The same as the last new one, at its own time.
    Repeat { pts: i64, duration: i64 },
    /// Not worked on any more, because the run is to finish: the film ends before it.
    Cut,
}

/// Frames counted while the run goes, for the progress display.
#[derive(Default)]
pub struct Tally {
    /// Frames the decoder gave.
    pub frames_in: AtomicU64,
    /// Frames written.
    pub frames_out: AtomicU64,
    /// Frames among those written that repeat an earlier one.
    pub repeats: AtomicU64,
    /// Frames that came in another size than the first and were brought to it.
    pub resized: AtomicU64,
    /// What the writer had to repair; known at the end.
    pub repairs: OnceLock<Repairs>,
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
    /// Counts frames.
    pub tally: &'a Tally,
}

impl Reader<'_> {
    /// The next item of the clip.
    pub fn next(&mut self) -> Result<Option<Item>, BoxError> {
        let room = self.budget.admit(self.frame_bytes)?;
        let Some(unit) = self.decoder.next_unit()? else {
            return Ok(None);
        };
        let (picture, room) = match unit.frame {
            Some(frame) => {
                self.tally.frames_in.fetch_add(1, Relaxed);
                if !self.normaliser.has_size_of(&frame) {
                    self.tally.resized.fetch_add(1, Relaxed);
                }
                (Picture::New(self.normaliser.normalise(frame)?), Some(room))
            }
            None => (Picture::None, None),
        };
        Ok(Some(Item {
            packets: unit.packets,
            picture,
            room,
        }))
    }
}

/// Marks repeats, and notes for every frame which result it shows.
pub fn compare(
    rx: &Rx<Item>,
    tx: &Tx<Item>,
    mut compare: Compare,
    mapping: &mut Mapping,
) -> Result<(), BoxError> {
    while let Some(mut item) = rx.recv()? {
        if let Picture::New(frame) = &item.picture {
            let index = mapping.n_frames();
            match compare.judge(index, frame) {
                Verdict::New => mapping.push(index),
                Verdict::RepeatOf(kept) => {
                    mapping.push(kept);
                    let pts = frame
                        .pts()
                        .expect("the decoder gives every frame a timestamp");
                    item.picture = Picture::Repeat {
                        pts,
                        duration: frame.duration,
                    };
                    item.room = None;
                }
            }
        }
        tx.send(item)?;
    }
    Ok(())
}

/// One thread's network with its buffers.
pub struct Worker {
    upscaler: Box<dyn Upscaler>,
    input: PlanarRgb,
    output: PlanarRgb,
    frames: FrameMaker,
}

impl Worker {
    /// A worker that makes frames as decided.
    ///
    /// # Errors
    /// The pixel format or matrix that was decided on cannot be written.
    pub fn new(
        upscaler: Box<dyn Upscaler>,
        decided: Decided,
    ) -> Result<Self, framewright_media::Error> {
        Ok(Self {
            upscaler,
            input: PlanarRgb::default(),
            output: PlanarRgb::default(),
            frames: FrameMaker::new(decided.pixel_format, decided.tags)?,
        })
    }

    /// Ends the network's run from another thread.
    pub fn canceller(&self) -> Canceller {
        self.upscaler.canceller()
    }

    /// Replaces a new picture by its result; everything else passes. When the run is to finish, the pictures that wait
    /// for a worker are cut off: with a slow network, computing them would keep the user waiting for minutes.
    pub fn upscale(&mut self, mut item: Item, finishing: bool) -> Result<Item, BoxError> {
        if finishing {
            item.picture = Picture::Cut;
        }
        if let Picture::New(frame) = &item.picture {
            rgb_from_frame(frame, &mut self.input)?;
            self.upscaler.run(&self.input, &mut self.output)?;
            let mut result = self.frames.frame_from_rgb(&self.output)?;
            result.set_pts(
                frame
                    .pts()
                    .expect("the decoder gives every frame a timestamp"),
            );
            result.duration = frame.duration;
            item.picture = Picture::New(result);
        }
        Ok(item)
    }
}

/// Writes everything up to the end or to the first picture cut off, and completes the file when all of it came.
pub fn write(rx: &Rx<Item>, mut writer: Writer, tally: &Tally) -> Result<(), BoxError> {
    let mut last: Option<Frame> = None;
    let mut cut = false;
    while let Some(item) = rx.recv()? {
        // A worker may have begun the next picture just before another cut off this one.
        cut |= matches!(item.picture, Picture::Cut);
        if cut {
            continue;
        }
        writer.copy(item.packets)?;
        match item.picture {
            Picture::None | Picture::Cut => continue,
            Picture::New(frame) => {
                writer.encode(&frame)?;
                last = Some(frame);
            }
            Picture::Repeat { pts, duration } => {
                let mut frame = last
                    .as_ref()
                    .expect("the first frame is never a repeat")
                    .share();
                frame.set_pts(pts);
                frame.duration = duration;
                writer.encode(&frame)?;
                tally.repeats.fetch_add(1, Relaxed);
            }
        }
        tally.frames_out.fetch_add(1, Relaxed);
    }
    let _ = tally.repairs.set(writer.finish()?);
    Ok(())
}
