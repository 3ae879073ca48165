//! What every engine offers: a picture in, a picture `scale` times as large out.

use std::sync::Arc;

use framewright_media::PlanarRgb;

use crate::{Error, Region};

/// One network ready to run on one thread.
///
/// A worker thread owns its value; nothing is shared between two of them but the file they came from.
pub trait Upscaler: Send {
    /// What runs, where and how.
    fn model(&self) -> &ModelInfo;

    /// Upscales `input` into `output`, which is resized to `scale` times `input`.
    ///
    /// Values are passed on as the network gives them: they may leave 0..=1 slightly and are never NaN or infinite.
    ///
    /// # Errors
    /// [`Error::Cancelled`] within 100 ms of [`Canceller::cancel`]; [`Error::NotFinite`] for a result that is not
    /// numbers; [`Error::Run`] when the engine fails. `output` is unspecified, and may be empty, after any of them.
    fn run(&mut self, input: &PlanarRgb, output: &mut PlanarRgb) -> Result<(), Error>;

    /// Upscales `region` of `picture` into `output`, which is resized to `scale` times the region: the same values that
    /// [`run`](Self::run) gives there.
    ///
    /// An engine that cannot do better runs the whole picture and cuts the region out.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// When `region` is empty or does not lie in `picture`.
    fn run_region(
        &mut self,
        picture: &PlanarRgb,
        region: &Region,
        output: &mut PlanarRgb,
    ) -> Result<(), Error> {
        let (width, height) = (picture.width(), picture.height());
        assert!(
            region.is_inside(width, height),
            "{region:?} lies in a picture of {width}x{height}"
        );
        let mut whole = PlanarRgb::default();
        self.run(picture, &mut whole)?;
        let scale = self.model().scale as usize;
        let (left, top) = (region.x.start * scale, region.y.start * scale);
        output.resize(region.x.len() * scale, region.y.len() * scale);
        let width = output.width();
        for (from, to) in whole.planes().into_iter().zip(output.planes_mut()) {
            for (y, to) in (top..).zip(to.chunks_exact_mut(width)) {
                to.copy_from_slice(&from[y * whole.width() + left..][..width]);
            }
        }
        Ok(())
    }

    /// A handle that ends [`run`](Self::run) from another thread.
    fn canceller(&self) -> Canceller;
}

/// Ends the run of one [`Upscaler`]; for good, since a job that is stopped does not go on.
#[derive(Clone)]
pub struct Canceller(Arc<dyn Fn() + Send + Sync>);

impl Canceller {
    /// A canceller that calls `cancel`, which must return at once.
    pub fn new(cancel: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(cancel))
    }

    /// Makes the run in progress, or else the next one, return [`Error::Cancelled`] within 100 ms.
    pub fn cancel(&self) {
        (self.0)();
    }
}

/// What is known about an opened model; goes into the plan and the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The built-in name, or the file's name without its extension.
    pub name: String,
    /// SHA-256 of the file in lower-case hexadecimal; none for a scaler without a file.
    pub sha256: Option<String>,
    /// Result size over input size, the same on both axes, 1 to 16: that of all passes together.
    pub scale: u32,
    /// How often the network runs on each picture, from the second time on its own result; 1 unless asked for more.
    pub passes: u32,
    /// Width and height handed to the network are multiples of this; other pictures are padded and the result cropped.
    pub alignment: u32,
    /// Smallest width and height the network takes; smaller pictures are padded and the result cropped.
    pub min_size: u32,
    /// How far, in pixels of the input, a result looks around its own place; none where that is unlimited or not known.
    pub reach: Option<usize>,
    /// `none`, `native` or `ort`.
    pub engine: &'static str,
    /// Where it runs: `cpu`.
    pub device: &'static str,
    /// The precision of the arithmetic: `fp32`, `bf16` or, for files that are in it, `fp16`.
    pub precision: &'static str,
    /// Sentences for the plan: why this engine, what is padded, what is converted.
    pub notes: Vec<String>,
}
