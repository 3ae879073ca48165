//! A worker: one network, and the memory it works in.

use framewright_infer::{Canceller, Incremental, Update, Upscaler};
use framewright_media::{
    CHROMA_REACH, Error, Frame, FrameMaker, PlanarRgb, Region, Shift, rgb_from_frame, rgb_from_part,
};
use framewright_pipeline::BoxError;

use crate::upscale::cells::Changed;
use crate::upscale::plan::Decided;
use crate::upscale::regions::{Costs, Part, blocks, coverage, halo_of_state, parts};
use crate::upscale::stages::{Answer, Ask, Item, Shot};

/// Computes results, whole or in parts.
pub struct Worker {
    upscaler: Box<dyn Upscaler>,
    /// The way to the network's state; none where none is kept.
    incremental: Option<Incremental>,
    /// The picture, or, where only parts of it are computed, what these look at.
    input: PlanarRgb,
    /// A part on its way into or out of a picture.
    part: PlanarRgb,
    output: PlanarRgb,
    frames: FrameMaker,
    /// What a part costs beside its arithmetic, in units of a whole picture.
    fixed_cost: f64,
}

impl Worker {
    /// A worker that writes frames as decided.
    ///
    /// # Errors
    /// The output's pixel format cannot be written.
    pub fn new(
        upscaler: Box<dyn Upscaler>,
        incremental: Option<Incremental>,
        decided: Decided,
        fixed_cost: f64,
    ) -> Result<Self, Error> {
        Ok(Self {
            upscaler,
            incremental,
            input: PlanarRgb::default(),
            part: PlanarRgb::default(),
            output: PlanarRgb::default(),
            frames: FrameMaker::new(decided.pixel_format, decided.tags)?,
            fixed_cost,
        })
    }

    /// Ends the network's run from another thread.
    pub fn canceller(&self) -> Canceller {
        let upscaler = self.upscaler.canceller();
        let incremental = self.incremental.as_ref().map(Incremental::canceller);
        Canceller::new(move || {
            upscaler.cancel();
            if let Some(incremental) = &incremental {
                incremental.cancel();
            }
        })
    }

    /// The turn of the next picture that the state is brought to.
    pub fn next_turn(&self) -> u64 {
        self.incremental.as_ref().map_or(0, Incremental::next_turn)
    }

    /// Computes what is asked. When the run is to finish, the pictures that wait for a worker are cut off: with a slow
    /// network, computing them would keep the user waiting for minutes.
    ///
    /// # Errors
    /// The network fails or was cancelled, or there is no memory.
    pub fn upscale(
        &mut self,
        item: Item<(Shot, Ask)>,
        finishing: bool,
    ) -> Result<Item<(Shot, Answer)>, BoxError> {
        item.try_map(|(mut shot, ask)| {
            let answer = match ask {
                Ask::Repeat(of) => Answer::Repeat(of),
                ask if finishing => self.cut(&ask),
                ask => self.answer(ask, &mut shot)?,
            };
            Ok((shot, answer))
        })
    }

    /// Leaves a frame out, and with it all that follow.
    fn cut(&self, ask: &Ask) -> Answer {
        if let (Ask::Update { turn, .. }, Some(incremental)) = (ask, &self.incremental) {
            incremental.leave_out(*turn);
        }
        Answer::Cut
    }

    /// Computes what is asked for a frame.
    ///
    /// # Errors
    /// As [`upscale`](Self::upscale).
    pub fn answer(&mut self, ask: Ask, shot: &mut Shot) -> Result<Answer, BoxError> {
        match ask {
            Ask::Repeat(of) => Ok(Answer::Repeat(of)),
            Ask::Whole { frame, kept } => {
                shot.share.computed = 1.0;
                let result = self.result(&frame)?;
                Ok(Answer::Whole { result, kept })
            }
            Ask::Part {
                base,
                composite,
                changed,
            } => match self.parts(&composite, &changed) {
                Some(parts) => self.patch(base, &composite, &changed, &parts, shot),
                None => self.answer(
                    Ask::Whole {
                        frame: composite,
                        kept: true,
                    },
                    shot,
                ),
            },
            Ask::Update {
                turn,
                from,
                composite,
                stale,
            } => self.update(turn, from, &composite, stale.as_ref(), shot),
        }
    }

    /// Computes all of a picture.
    ///
    /// # Errors
    /// As [`upscale`](Self::upscale).
    pub fn result(&mut self, frame: &Frame) -> Result<Frame, BoxError> {
        rgb_from_frame(frame, &mut self.input)?;
        self.upscaler.run(&self.input, &mut self.output)?;
        Ok(self.frames.frame_from_rgb(&self.output)?)
    }

    /// How much [`upscale`](Self::upscale) would compute, in units of a whole picture.
    pub fn estimate(&self, ask: &Ask) -> f64 {
        match ask {
            Ask::Repeat(_) => 0.0,
            Ask::Whole { .. } => 1.0,
            Ask::Update { stale, .. } => {
                let reach = self.upscaler.model().reach.unwrap_or_default();
                let halo = halo_of_state(reach);
                stale.as_ref().map_or(1.0, |stale| coverage(stale, halo))
            }
            Ask::Part {
                composite, changed, ..
            } => {
                let (width, height) = (composite.width(), composite.height());
                let work = |part: &Part| self.upscaler.work(&part.computed, width, height);
                self.parts(composite, changed)
                    .map_or(1.0, |parts| parts.iter().map(work).sum())
            }
        }
    }

    /// What to compute for a composite; none where that is all of it.
    fn parts(&self, composite: &Frame, changed: &Changed) -> Option<Vec<Part>> {
        let (width, height) = (composite.width(), composite.height());
        let costs = Costs {
            reach: self.upscaler.model().reach?,
            fixed: self.fixed_cost,
            work: |region: &Region| self.upscaler.work(region, width, height),
        };
        parts(changed, &costs)
    }

    fn patch(
        &mut self,
        base: u64,
        composite: &Frame,
        changed: &Changed,
        parts: &[Part],
        shot: &mut Shot,
    ) -> Result<Answer, BoxError> {
        let (width, height) = (composite.width(), composite.height());
        let scale = self.upscaler.model().scale as usize;
        let mut patch = self.frames.blank(scale * width, scale * height)?;
        self.input.resize(width, height);
        for part in parts {
            rgb_from_part(composite, &part.seen, &mut self.part)?;
            self.input.put(&part.seen, &self.part);
            self.upscaler
                .run_region(&self.input, &part.computed, &mut self.output)?;
            let (have, want) = (part.computed.scaled(scale), part.changed.scaled(scale));
            self.frames
                .write_part(&self.output, &have, &want, &mut patch);
            shot.share.computed += self.upscaler.work(&part.computed, width, height);
        }
        let parts: Vec<_> = parts.iter().map(|part| part.changed.clone()).collect();
        let results = parts.iter().map(|part| part.scaled(scale)).collect();
        if let Some(view) = &mut shot.view {
            view.parts = parts;
        }
        Ok(Answer::Part {
            base,
            moved: changed.moved().scaled(scale),
            patch,
            parts: results,
        })
    }

    /// Brings the network's state to a composite, and makes its result upon that of the one before.
    fn update(
        &mut self,
        turn: u64,
        from: Option<u64>,
        composite: &Frame,
        stale: Option<&Changed>,
        shot: &mut Shot,
    ) -> Result<Answer, BoxError> {
        let (width, height) = (composite.width(), composite.height());
        let scale = self.upscaler.model().scale as usize;
        let regions = if let Some(stale) = stale {
            self.read_parts(composite, stale)?
        } else {
            rgb_from_frame(composite, &mut self.input)?;
            vec![Region::whole(width, height)]
        };
        let incremental = self.incremental.as_mut();
        let updated = incremental
            .expect("only a run that keeps a state asks for updates of it")
            .update(&Update {
                turn,
                picture: &self.input,
                regions: &regions,
                margin: 2 + 2 * CHROMA_REACH,
                whole: from.is_none(),
            })?;
        let Some(updated) = updated else {
            return Ok(Answer::Cut);
        };
        shot.share.computed = updated.work;
        shot.share.layers = updated.layers;
        let Some(from) = from else {
            let result = self.frames.frame_from_rgb(&updated.results[0])?;
            return Ok(Answer::Whole { result, kept: true });
        };
        let mut patch = self.frames.blank(scale * width, scale * height)?;
        let mut parts = Vec::new();
        for (part, result) in updated.parts.iter().zip(&updated.results) {
            let have = part.grown(2 + 2 * CHROMA_REACH, width, height);
            // The result's chroma looks at pixels beside its own.
            let want = part
                .grown(CHROMA_REACH, width, height)
                .aligned(2, width, height);
            self.frames
                .write_part(result, &have.scaled(scale), &want.scaled(scale), &mut patch);
            parts.push(want);
        }
        let results = parts.iter().map(|part| part.scaled(scale)).collect();
        if let Some(view) = &mut shot.view {
            view.parts = parts;
        }
        Ok(Answer::Part {
            base: from,
            moved: Shift::default(),
            patch,
            parts: results,
        })
    }

    /// Brings the changed cells of a composite, and what chroma spreads of them, into the worker's picture; gives their
    /// places.
    fn read_parts(&mut self, composite: &Frame, changed: &Changed) -> Result<Vec<Region>, Error> {
        let (width, height) = (composite.width(), composite.height());
        self.input.resize(width, height);
        let regions = blocks(changed)
            .into_iter()
            .map(|block| block.grown(CHROMA_REACH, width, height))
            .collect::<Vec<_>>();
        for region in &regions {
            rgb_from_part(composite, region, &mut self.part)?;
            self.input.put(region, &self.part);
        }
        Ok(regions)
    }
}
