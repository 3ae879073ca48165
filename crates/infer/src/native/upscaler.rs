//! One worker: the shared network, and rows of its own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use framewright_media::PlanarRgb;

use super::flow::{Flow, needed};
use super::packed::Packed;
use super::result::{Finish, Job};
use crate::finite::{all_finite, not_finite};
use crate::upscaler::assert_inside;
use crate::{Canceller, Error, ModelInfo, Region, Upscaler};

/// Runs on the thread that calls it, and on no other.
pub(crate) struct NativeUpscaler {
    packed: Arc<Packed>,
    info: ModelInfo,
    flow: Option<Flow>,
    finish: Finish,
    cancelled: Arc<AtomicBool>,
}

impl NativeUpscaler {
    pub(super) fn new(packed: Arc<Packed>, info: ModelInfo) -> Self {
        Self {
            packed,
            info,
            flow: None,
            finish: Finish::default(),
            cancelled: Arc::default(),
        }
    }
}

impl Upscaler for NativeUpscaler {
    fn model(&self) -> &ModelInfo {
        &self.info
    }

    fn run(&mut self, picture: &PlanarRgb, output: &mut PlanarRgb) -> Result<(), Error> {
        if picture.data().is_empty() {
            let scale = self.info.scale as usize;
            output.resize(picture.width() * scale, picture.height() * scale);
            return Ok(());
        }
        self.run_region(
            picture,
            &Region::whole(picture.width(), picture.height()),
            output,
        )
    }

    fn run_region(
        &mut self,
        picture: &PlanarRgb,
        region: &Region,
        output: &mut PlanarRgb,
    ) -> Result<(), Error> {
        let (width, height) = (picture.width(), picture.height());
        let scale = self.info.scale as usize;
        assert_inside(region, width, height);
        output.resize(region.x.len() * scale, region.y.len() * scale);
        let flow = match &mut self.flow {
            Some(flow) if flow.is_for(region, width, height) => flow,
            // Rows of another shape are dropped first: there is never memory for two.
            other => {
                *other = None;
                other.insert(Flow::new(&self.packed, region, width, height))
            }
        };
        let job = Job {
            packed: &self.packed,
            picture,
            region,
            cancelled: &self.cancelled,
        };
        self.finish.run(job, flow, output)?;
        if let Some((low, high)) = self.packed.clamp {
            for value in output.data_mut() {
                *value = value.clamp(low, high);
            }
        }
        if all_finite(output.data()) {
            return Ok(());
        }
        let bad = not_finite(output);
        Err(Error::NotFinite {
            count: bad.count,
            x: bad.x,
            y: bad.y,
            model: self.info.name.clone(),
        })
    }

    fn work(&self, region: &Region, width: usize, height: usize) -> f64 {
        assert_inside(region, width, height);
        let of = |region| multiply_adds(&self.packed, region, width, height);
        of(region) as f64 / of(&Region::whole(width, height)) as f64
    }

    fn canceller(&self) -> Canceller {
        let cancelled = Arc::clone(&self.cancelled);
        Canceller::new(move || cancelled.store(true, Ordering::Release))
    }
}

/// Bytes that a worker takes for a region of a picture of `width` × `height`.
pub(super) fn size_bytes(packed: &Packed, region: &Region, width: usize, height: usize) -> usize {
    Flow::size_bytes(packed, region, width, height) + Finish::size_bytes(packed, region.x.len())
}

/// Multiply-adds of all layers for `region` of a picture of `width` × `height`: each on what is needed of it, filled up to
/// whole vectors of tiles and to pairs of rows, as the kernels do it. So a narrow part counts for what it takes.
fn multiply_adds(packed: &Packed, region: &Region, width: usize, height: usize) -> u64 {
    // The first is the picture, which is not computed.
    let computed = needed(packed, region, width, height).skip(1);
    let pairs = |range: &Range<usize>| range.end.div_ceil(2) - range.start / 2;
    packed
        .layers
        .iter()
        .zip(computed)
        .map(|(layer, of)| {
            let tiles = pairs(&of.x).next_multiple_of(layer.kernel.lanes);
            (layer.multiply_adds * 4 * tiles * pairs(&of.y)) as u64
        })
        .sum()
}
