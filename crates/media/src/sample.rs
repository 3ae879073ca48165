//! Some frames of a video, as fast as they can be had.
//!
//! ```text
//! file ─▶ scan: packets, not decoded ─▶ plan: what the wanted frames need ─▶ Decoder, selected ─▶ Next::Sample …
//!           │ not certain                                                      │ not as planned ─▶ Next::Unsure
//!           └───────────────▶ Decoder, everything ─▶ Chooser ─▶ Next::Sample …
//! ```
//! Both ways give the same frames with the same pixels and numbers. The short one is taken only where packets tell with
//! certainty which frames a player shows: codecs whose packets are known, one whole frame in each, timestamps on all,
//! none twice, nothing damaged or cut. It gives up as soon as a frame does not come as planned; whoever reads then
//! forgets what came so far and opens the file again with [`SampleOptions::thorough`]. Damage is read by one thread, so that
//! the same file gives the same pixels.
//!
//! `scan` and `bitstream` look at packets, `choose` is which frames are wanted, `plan` what they need, `scenes` finds
//! cuts, `verify` looks whether a file is whole.

use std::collections::VecDeque;
use std::path::Path;

use crate::Error;
use crate::clip::Clip;
use crate::convert::Normaliser;
use crate::decode::{Actions, Decoder};
use crate::demux::Interrupt;
use crate::frame::Frame;
use crate::health::Health;
use crate::orientation::Orientation;
use choose::Chooser;
use plan::{Plan, Wanted};
use scan::Scan;
use scenes::SceneFinder;

pub(crate) use bitstream::gives_frame;
pub use choose::Sampling;
pub use verify::{Verified, verify};

mod bitstream;
mod choose;
mod plan;
mod scan;
mod scenes;
mod verify;

/// What is wanted of a video.
#[derive(Debug, Clone)]
pub struct SampleOptions {
    /// Which frames.
    pub sampling: Sampling,
    /// Most frames.
    pub max_frames: Option<u64>,
    /// Threads of the decoder, 0 = one per core.
    pub threads: usize,
    /// Decode everything, whatever the packets say.
    pub thorough: bool,
}

/// A frame that was wanted.
pub struct Sample {
    /// The frame, in the planar format and size of the first one.
    pub frame: Frame,
    /// Its number in the order of presentation, from 0.
    pub frame_index: u64,
    /// Seconds from the first frame of the video.
    pub pts_secs: f64,
    /// Whether the decoder marked it as a key frame.
    pub keyframe: bool,
    /// Whether it was decoded with errors, or depends on a packet that was.
    pub damaged: bool,
}

/// What comes next.
pub enum Next {
    /// A frame that was wanted.
    Sample(Sample),
    /// All have come.
    End,
    /// The short way does not lead there, for this reason: what came so far may be wrong. Open the file again with
    /// [`SampleOptions::thorough`].
    Unsure(String),
    /// Something is damaged. What a decoder of several threads makes of it differs from run to run: open the file again with
    /// [`SampleOptions::thorough`] and one thread.
    Damaged,
}

/// Called again and again while work goes on.
type Step = Box<dyn FnMut() + Send>;

/// Reads the frames that are wanted of one video.
pub struct Sampler {
    decoder: Decoder,
    normaliser: Normaliser,
    way: Way,
    chooser: Chooser,
    /// Whether damage gives the same frames each time.
    is_reproducible: bool,
    step: Step,
    truncated: Option<String>,
    /// Frames by the scan, where that is certain.
    scanned_frames: Option<u64>,
    read_to_end: bool,
    n_frames: u64,
    /// Why everything is decoded.
    why_thorough: Option<String>,
}

enum Way {
    Planned {
        wanted: VecDeque<Wanted>,
        zero: i64,
        only_keys: bool,
    },
    Everything,
    Scenes(SceneFinder<Sample>),
}

impl Sampler {
    /// Reads the packets of the file, decides what to decode, and decodes the first frame. `step` is called often while
    /// work goes on.
    ///
    /// # Errors
    /// As [`Decoder::open`], and [`Error::Read`] when the operating system fails.
    pub fn open(
        path: &Path,
        options: &SampleOptions,
        interrupt: &Interrupt,
        mut step: impl FnMut() + Send + 'static,
    ) -> Result<Self, Error> {
        let scan = Scan::read(path, interrupt, &mut step)?;
        let tick_secs = scan.clip.video.time_base.as_f64();
        let chooser = Chooser::new(options.sampling, tick_secs, options.max_frames);
        let plan = if options.thorough {
            Err("it was asked for")
        } else {
            plan::plan(&scan, options.sampling, chooser.clone())
        };
        let (mut decoder, way, why_thorough) = open_decoder(path, options, interrupt, &scan, plan)?;
        let video = decoder.clip().video.index;
        for stream in 0..decoder.clip().streams.len() {
            if stream != video {
                decoder.leave_out(stream);
            }
        }
        Ok(Self {
            normaliser: Normaliser::new(&decoder.clip().video),
            decoder,
            way,
            chooser,
            is_reproducible: options.threads == 1,
            step: Box::new(step),
            scanned_frames: scan.unsure.is_none().then(|| scan.shown().count() as u64),
            truncated: scan.truncated,
            read_to_end: false,
            n_frames: 0,
            why_thorough,
        })
    }

    /// What the file holds.
    pub fn clip(&self) -> &Clip {
        self.decoder.clip()
    }

    /// How players turn the stored picture.
    pub fn orientation(&self) -> Orientation {
        self.decoder.orientation()
    }

    /// Why every frame is decoded, where that is so.
    pub fn why_thorough(&self) -> Option<&str> {
        self.why_thorough.as_deref()
    }

    /// What was found wrong so far, and what is missing of the file.
    pub fn health(&self) -> Health {
        Health {
            truncated: self.truncated.clone(),
            // Other streams are left out here, so how far the file goes is not seen.
            missing_frames: self.decoder.health().undecodable_packets,
            ..self.decoder.health().clone()
        }
    }

    /// Frames in the video: as many as were decoded where all were, else as many as the packets say, else as many as
    /// came so far.
    pub fn video_frames(&self) -> u64 {
        match self.scanned_frames {
            Some(frames) if !self.read_to_end => frames,
            _ => self.n_frames,
        }
    }

    /// The next frame that was wanted.
    ///
    /// # Errors
    /// As [`Decoder::next_unit`]; [`Error::Unsupported`] for a pixel format that is not known.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and is not to be skipped over"
    )]
    pub fn next(&mut self) -> Result<Next, Error> {
        match &self.way {
            Way::Planned { .. } => self.next_planned(),
            Way::Everything => self.next_of_all(),
            Way::Scenes(_) => self.next_scene(),
        }
    }

    fn next_planned(&mut self) -> Result<Next, Error> {
        loop {
            let Way::Planned { wanted, .. } = &self.way else {
                unreachable!("the way does not change");
            };
            let Some(&next) = wanted.front() else {
                return Ok(Next::End);
            };
            let frame = self.next_frame()?;
            // That it is cut off was judged by the scan, which reads all streams.
            if self.decoder.is_damaged() {
                return Ok(Next::Damaged);
            }
            if self.decoder.health().repaired_timestamps > 0 {
                return Ok(Next::Unsure("timestamps were repaired".into()));
            }
            let pts = frame.as_ref().and_then(Frame::pts).unwrap_or(i64::MAX);
            if pts < next.pts {
                continue;
            }
            match frame {
                Some(frame) if pts == next.pts => return self.deliver(frame, next),
                _ => {
                    return Ok(Next::Unsure(format!(
                        "frame {} was not decoded",
                        next.index
                    )));
                }
            }
        }
    }

    fn deliver(&mut self, frame: Frame, planned: Wanted) -> Result<Next, Error> {
        let Way::Planned {
            wanted,
            zero,
            only_keys,
        } = &mut self.way
        else {
            unreachable!("the way does not change");
        };
        wanted.pop_front();
        let index = planned.index;
        if *only_keys && !frame.is_key() {
            return Ok(Next::Unsure(format!("frame {index} is no key frame")));
        }
        let tick_secs = self.decoder.clip().video.time_base.as_f64();
        let pts_secs = planned.pts.saturating_sub(*zero) as f64 * tick_secs;
        Ok(Next::Sample(self.sample(frame, index, pts_secs)?))
    }

    fn next_of_all(&mut self) -> Result<Next, Error> {
        while !self.chooser.has_enough() {
            let frame = self.next_frame()?;
            if self.is_doubtful() {
                return Ok(Next::Damaged);
            }
            let Some(frame) = frame else {
                self.read_to_end = true;
                return Ok(Next::End);
            };
            let index = self.n_frames;
            self.n_frames += 1;
            let pts = frame.pts().unwrap_or_default();
            let pts_secs = self.chooser.secs(pts);
            if self.chooser.takes(index, pts, frame.is_key()) {
                return Ok(Next::Sample(self.sample(frame, index, pts_secs)?));
            }
        }
        Ok(Next::End)
    }

    fn next_scene(&mut self) -> Result<Next, Error> {
        while !self.chooser.has_enough() {
            let frame = self.next_frame()?;
            if self.is_doubtful() {
                return Ok(Next::Damaged);
            }
            let sample = match frame {
                Some(frame) => {
                    let index = self.n_frames;
                    self.n_frames += 1;
                    let pts_secs = self.chooser.secs(frame.pts().unwrap_or_default());
                    Some(self.sample(frame, index, pts_secs)?)
                }
                None => None,
            };
            let Way::Scenes(finder) = &mut self.way else {
                unreachable!("the way does not change");
            };
            let judged = match sample {
                Some(sample) => {
                    let looked_at = sample.frame.share();
                    let secs = sample.pts_secs;
                    finder.push(sample, &looked_at.luma8(), secs)
                }
                None => match finder.finish() {
                    None => {
                        self.read_to_end = true;
                        return Ok(Next::End);
                    }
                    judged => judged,
                },
            };
            if let Some((sample, begins)) = judged
                && self.chooser.takes(sample.frame_index, 0, begins)
            {
                return Ok(Next::Sample(sample));
            }
        }
        Ok(Next::End)
    }

    /// Whether frames may differ the next time. Errors are known before the frames that they concern are delivered.
    fn is_doubtful(&self) -> bool {
        !self.is_reproducible && self.decoder.is_damaged()
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            (self.step)();
            match self.decoder.next_unit()? {
                None => return Ok(None),
                Some(unit) if unit.frame.is_some() => return Ok(unit.frame),
                Some(_) => {}
            }
        }
    }

    fn sample(&mut self, frame: Frame, frame_index: u64, pts_secs: f64) -> Result<Sample, Error> {
        let (keyframe, damaged) = (frame.is_key(), frame.is_damaged());
        Ok(Sample {
            frame: self.normaliser.normalise(frame)?,
            frame_index,
            pts_secs,
            keyframe,
            damaged,
        })
    }
}

type Opened = (Decoder, Way, Option<String>);

fn open_decoder(
    path: &Path,
    options: &SampleOptions,
    interrupt: &Interrupt,
    scan: &Scan,
    plan: Result<Plan, &'static str>,
) -> Result<Opened, Error> {
    let why = match plan {
        Err(why) => why,
        Ok(Plan { actions, wanted }) => {
            let actions = Some(Box::new(actions.into_iter()) as Actions);
            let opened = Decoder::open_selected(path, options.threads, interrupt, actions);
            match opened {
                Ok(decoder) => {
                    let zero = scan.shown().map(|it| it.pts).min().unwrap_or_default();
                    let way = Way::Planned {
                        wanted: wanted.into(),
                        zero,
                        only_keys: options.sampling == Sampling::Keyframes,
                    };
                    return Ok((decoder, way, None));
                }
                // Nothing came of what was selected; of the whole something may.
                Err(Error::BadInput { .. }) => "what was selected does not decode",
                Err(error) => return Err(error),
            }
        }
    };
    let way = if options.sampling == Sampling::Scenes {
        Way::Scenes(SceneFinder::new())
    } else {
        Way::Everything
    };
    let decoder = Decoder::open(path, options.threads, interrupt)?;
    Ok((decoder, way, Some(why.into())))
}
