//! Several passes of one model: 4 times by a ×2 network that runs on its own result.
//!
//! ```text
//! picture ─▶ network ─▶ clamp to 0..=1 ─▶ network ─▶ … ─▶ result
//! ```
//! A region takes the same way: each pass computes the part that the passes behind it look at, and puts it at its place
//! in a picture of full size, so that borders stay where they are.
//!
//! Only powers of the model's own scale come out of that. Any other size would need a resize behind the network, which
//! would be done better by whoever shows the picture.

use std::iter::successors;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use framewright_media::PlanarRgb;

use crate::upscaler::assert_inside;
use crate::{Canceller, Error, ModelInfo, Region, Upscaler};

/// The largest scale that several passes give.
const MAX_SCALE: u32 = 16;

/// Every scale that a model of scale `own` gives, ascending; that of place n takes n + 1 passes.
pub(crate) fn scales(own: u32) -> Vec<u32> {
    let powers = successors(Some(own), |scale| scale.checked_mul(own));
    // Passes of a model that does not enlarge would not either.
    let n_max = if own > 1 { usize::MAX } else { 1 };
    powers
        .take_while(|&scale| scale == own || scale <= MAX_SCALE)
        .take(n_max)
        .collect()
}

/// What there is to say about `passes` passes of the model `one`.
pub(crate) fn info(one: &ModelInfo, passes: u32) -> ModelInfo {
    let mut info = one.clone();
    if passes == 1 {
        return info;
    }
    info.passes = passes;
    info.scale = one.scale.pow(passes);
    info.reach = one.reach.map(|own| {
        // Each pass but the last is seen through the ones behind it, which look around in smaller and smaller pixels.
        (1..passes).fold(own, |behind, _| own + behind.div_ceil(one.scale as usize))
    });
    // `shift_step` stays: every pass behind the first sees a multiple of what moves the first.
    let (scale, name) = (one.scale, &one.name);
    info.notes.push(format!(
        "scale {}: {} passes of {name}, {scale} times each",
        info.scale,
        in_words(passes)
    ));
    info
}

fn in_words(passes: u32) -> String {
    match passes {
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        4 => "four".to_owned(),
        n => n.to_string(),
    }
}

/// Size of the picture that the last of `passes` passes enlarges, for an input of `width` × `height`.
pub(crate) fn largest_input(own: u32, passes: u32, width: usize, height: usize) -> (usize, usize) {
    let factor = own.pow(passes - 1) as usize;
    (width * factor, height * factor)
}

/// Bytes of the pictures between `passes` passes, for an input of `width` × `height`.
pub(crate) fn between_bytes(own: u32, passes: u32, width: usize, height: usize) -> u64 {
    let pixels = |pass| own.pow(2 * pass) as u64 * (width * height) as u64;
    (1..passes).map(pixels).sum::<u64>() * 3 * size_of::<f32>() as u64
}

/// One worker that runs its model several times on each picture.
pub(crate) struct Passes {
    inner: Box<dyn Upscaler>,
    info: ModelInfo,
    /// The results of all passes but the last, smallest first.
    between: Vec<PlanarRgb>,
    cancelled: Arc<AtomicBool>,
}

impl Passes {
    /// `inner`, as often as `info` says.
    pub(crate) fn new(inner: Box<dyn Upscaler>, info: ModelInfo) -> Self {
        let n_between = info.passes as usize - 1;
        Self {
            inner,
            info,
            between: vec![PlanarRgb::default(); n_between],
            cancelled: Arc::default(),
        }
    }
}

impl Passes {
    /// What each pass has to compute of its picture for `region` of the first, whose size is `width` × `height`.
    fn regions(&self, region: &Region, width: usize, height: usize) -> Vec<Region> {
        let one = self.inner.model();
        let own = one.scale as usize;
        let mut factor = own.pow(self.between.len() as u32);
        let mut regions = vec![region.scaled(factor)];
        for pass in 0..self.between.len() {
            let (width, height) = (factor * width, factor * height);
            // Without a known reach everything is looked at.
            let reach = one.reach.unwrap_or(width.max(height));
            let read = regions[pass].grown(reach, width, height);
            regions.push(Region {
                x: read.x.start / own..read.x.end.div_ceil(own),
                y: read.y.start / own..read.y.end.div_ceil(own),
            });
            factor /= own;
        }
        regions.reverse();
        regions
    }
}

impl Upscaler for Passes {
    fn model(&self) -> &ModelInfo {
        &self.info
    }

    fn run(&mut self, input: &PlanarRgb, output: &mut PlanarRgb) -> Result<(), Error> {
        let own = self.inner.model().scale as usize;
        // From a place in a pass's result to the same place in ours.
        let mut factor = self.info.scale as usize;
        let mut from = input;
        for picture in &mut self.between {
            factor /= own;
            self.inner
                .run(from, picture)
                .map_err(|error| placed(error, factor))?;
            clamp(picture, &self.cancelled)?;
            from = picture;
        }
        self.inner.run(from, output)
    }

    fn run_region(
        &mut self,
        picture: &PlanarRgb,
        region: &Region,
        output: &mut PlanarRgb,
    ) -> Result<(), Error> {
        let (width, height) = (picture.width(), picture.height());
        assert_inside(region, width, height);
        if *region == Region::whole(width, height) {
            return self.run(picture, output);
        }
        let own = self.inner.model().scale as usize;
        let regions = self.regions(region, width, height);
        let last = &regions[self.between.len()];
        let mut factor = self.info.scale as usize;
        let mut from = picture;
        for (between, computed) in self.between.iter_mut().zip(&regions) {
            factor /= own;
            // The caller's picture is free until the last pass, so a part needs no memory of its own.
            let part = &mut *output;
            let place = computed.scaled(own);
            self.inner
                .run_region(from, computed, part)
                .map_err(|error| placed_in_part(error, &place, factor, region, self.info.scale))?;
            clamp(part, &self.cancelled)?;
            // What stands around the place is of another picture. The next pass does not read it.
            between.resize(own * from.width(), own * from.height());
            between.put(&place, part);
            from = between;
        }
        self.inner.run_region(from, last, output)
    }

    fn work(&self, region: &Region, width: usize, height: usize) -> f64 {
        assert_inside(region, width, height);
        let own = self.inner.model().scale as usize;
        let (mut work, mut whole, mut factor) = (0.0, 0.0, 1);
        for computed in &self.regions(region, width, height) {
            let pixels = (factor * factor) as f64;
            work += pixels * self.inner.work(computed, factor * width, factor * height);
            whole += pixels;
            factor *= own;
        }
        work / whole
    }

    fn canceller(&self) -> Canceller {
        let cancelled = Arc::clone(&self.cancelled);
        let inner = self.inner.canceller();
        Canceller::new(move || {
            cancelled.store(true, Ordering::Release);
            inner.cancel();
        })
    }
}

/// Brings all values to 0..=1, where the networks were trained: what a pass leaves outside, the next would enlarge.
/// Nothing is rounded.
///
/// # Errors
/// [`Error::Cancelled`]; that is looked at every few hundred thousand values, since a large picture takes longer than a
/// run may after its canceller.
fn clamp(picture: &mut PlanarRgb, cancelled: &AtomicBool) -> Result<(), Error> {
    for values in picture.data_mut().chunks_mut(1 << 18) {
        if cancelled.load(Ordering::Acquire) {
            return Err(Error::Cancelled);
        }
        for value in values {
            *value = value.clamp(0.0, 1.0);
        }
    }
    Ok(())
}

/// The error of a pass whose result is enlarged `factor` times by those behind it.
fn placed(error: Error, factor: usize) -> Error {
    match error {
        Error::NotFinite { count, x, y, model } => Error::NotFinite {
            count,
            x: x * factor,
            y: y * factor,
            model,
        },
        other => other,
    }
}

/// The error of a pass whose result is that for `place` of its picture, as one of `region`'s result of all passes.
fn placed_in_part(
    error: Error,
    place: &Region,
    factor: usize,
    region: &Region,
    scale: u32,
) -> Error {
    // What is no number may lie beside the region, where only the next pass looks: its nearest place counts then.
    let within = |at: usize, place: &Range<usize>, region: &Range<usize>| {
        let at = (at + place.start) * factor;
        at.saturating_sub(region.start * scale as usize)
            .min(region.len() * scale as usize - 1)
    };
    match error {
        Error::NotFinite { count, x, y, model } => Error::NotFinite {
            count,
            x: within(x, &place.x, &region.x),
            y: within(y, &place.y, &region.y),
            model,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests;
