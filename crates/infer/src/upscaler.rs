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
    /// [`run`](Self::run) gives there, the same bits from the engine `native`.
    ///
    /// Where [`reach`](ModelInfo::reach) is known, only `region.grown(reach, width, height)` of `picture` is read; what
    /// stands elsewhere, be it NaN, neither changes the result nor is an error. So a caller may fill in just that part.
    ///
    /// This implementation, the whole picture and a cut, is for engines whose reach is not known; any other has its own.
    ///
    /// # Errors
    /// As [`run`](Self::run), and as soon after the canceller. The place in an [`Error::NotFinite`] is one in `output`.
    ///
    /// # Panics
    /// When `region` is empty or does not lie in `picture`.
    fn run_region(
        &mut self,
        picture: &PlanarRgb,
        region: &Region,
        output: &mut PlanarRgb,
    ) -> Result<(), Error> {
        assert_inside(region, picture.width(), picture.height());
        let info = self.model();
        debug_assert_eq!(info.reach, None, "{} reads the whole picture", info.engine);
        let scale = info.scale as usize;
        let mut whole = PlanarRgb::default();
        self.run(picture, &mut whole)?;
        whole.cut(&region.scaled(scale), output);
        Ok(())
    }

    /// How much of the arithmetic of a whole picture of `width` × `height` pixels [`run_region`](Self::run_region) of
    /// `region` takes: 1 for the whole picture, and less for a part as far as the engine can leave something out.
    ///
    /// What is computed around the region counts too, so the sum over the parts of a picture may exceed 1.
    ///
    /// # Panics
    /// When `region` is empty or does not lie in the picture.
    fn work(&self, region: &Region, width: usize, height: usize) -> f64 {
        assert_inside(region, width, height);
        1.0
    }

    /// A handle that ends [`run`](Self::run) and [`run_region`](Self::run_region) from another thread.
    fn canceller(&self) -> Canceller;
}

/// Panics unless `region` has pixels and lies in a picture of `width` × `height`.
#[track_caller]
pub(crate) fn assert_inside(region: &Region, width: usize, height: usize) {
    assert!(
        region.is_inside(width, height),
        "{region:?} lies in a picture of {width}x{height}"
    );
}

/// The share of a picture of `width` × `height` pixels that `region` is; exactly 1 for all of it.
pub(crate) fn area_share(region: &Region, width: usize, height: usize) -> f64 {
    (region.width() * region.height()) as f64 / (width * height) as f64
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
    /// A picture that is moved by multiples of this, in pixels of the input, gives the same result moved, bit for bit,
    /// farther than the reach from the borders of both; none where that is not promised. Even, so that subsampled chroma
    /// moves by whole samples too.
    ///
    /// The engine `native` computes tiles of 2×2 pixels from even coordinates on: a pixel that changes its place in the
    /// tile is summed in another order. ONNX Runtime chooses kernels and blocks as it likes.
    pub shift_step: Option<usize>,
    /// `none`, `native` or `ort`.
    pub engine: &'static str,
    /// Where it runs: `cpu`.
    pub device: &'static str,
    /// The precision of the arithmetic: `fp32`, `bf16` or, for files that are in it, `fp16`.
    pub precision: &'static str,
    /// Sentences for the plan: why this engine, what is padded, what is converted.
    pub notes: Vec<String>,
}
