//! An `.onnx` file: checked and probed once, then loaded once for each worker.

use std::path::{Path, PathBuf};

use ort::environment::Environment;

use super::environment;
use super::probe::{Sizes, probe};
use super::session::{Element, Network};
use super::worker::OnnxUpscaler;
use crate::model::stem;
use crate::native::onnx::activations::{Activations, activations};
use crate::native::onnx::reach::{Reach, lcm, reach};
use crate::{Error, ModelInfo};

/// A file that is known to upscale pictures.
pub(crate) struct OnnxModel {
    environment: Environment,
    path: PathBuf,
    info: ModelInfo,
    /// Crops of a picture begin at multiples of this.
    step: usize,
    /// Bytes of activations for each pixel of a picture, estimated.
    bytes_per_pixel: u64,
}

/// What a network of 64 channels was measured to take: five layers' worth of activations in fp32 are alive at once (ONNX
/// Runtime 1.31). For a graph that is not read.
const UNREAD: Activations = Activations {
    bytes_per_pixel: 5 * 64 * 4,
    constant_bytes: 0,
};

impl OnnxModel {
    /// Loads the file, whose content is `file` and its digest `sha256`, checks what it takes and gives, and probes it, within
    /// `memory_bytes` by the sizes that the file states.
    pub(crate) fn open(
        path: &Path,
        file: &[u8],
        sha256: String,
        memory_bytes: u64,
    ) -> Result<Self, Error> {
        let unfit = |problem| Error::Model {
            problem,
            path: path.to_owned(),
        };
        let environment = environment()?;
        let Activations {
            bytes_per_pixel,
            constant_bytes,
        } = activations(file).unwrap_or(UNREAD);
        if constant_bytes > memory_bytes {
            return Err(unfit(format!(
                "the model makes constants of {} MB, more memory than there is",
                constant_bytes >> 20
            )));
        }
        let mut network = Network::load(&environment, path).map_err(unfit)?;
        let most_pixels = memory_bytes / bytes_per_pixel.max(1);
        let sizes = probe(&mut network, most_pixels).map_err(unfit)?;
        let mut info = describe(path, sha256, sizes, network.input);
        // Crops are at least as fine as chroma samples.
        let mut step = 2.max(sizes.alignment as usize);
        match reach(file, sizes.scale) {
            Ok(Reach { pixels, period }) => {
                info.reach = Some(pixels);
                step = lcm(step, period);
            }
            Err(why) => {
                let note = format!("parts of a picture cannot be computed alone: {why}");
                info.notes.push(note);
            }
        }
        Ok(Self {
            environment,
            path: path.to_owned(),
            info,
            step,
            bytes_per_pixel,
        })
    }

    /// Bytes of activations for a picture of `width` × `height`, estimated.
    pub(crate) fn activation_bytes(&self, width: usize, height: usize) -> u64 {
        self.bytes_per_pixel.saturating_mul((width * height) as u64)
    }

    pub(crate) fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Adds a sentence for the plan.
    pub(crate) fn note(&mut self, note: String) {
        self.info.notes.push(note);
    }

    /// Loads the file once more, for worker number `worker`.
    pub(crate) fn upscaler(&self, worker: usize) -> Result<OnnxUpscaler, Error> {
        // By path and not from memory, since the weights may lie in a second file beside it.
        let network =
            Network::load(&self.environment, &self.path).map_err(|problem| Error::Model {
                problem,
                path: self.path.clone(),
            })?;
        OnnxUpscaler::start(self.info.clone(), self.step, network, worker)
    }
}

fn describe(path: &Path, sha256: String, sizes: Sizes, input: Element) -> ModelInfo {
    let Sizes {
        scale,
        alignment,
        min_size,
    } = sizes;
    let mut notes = vec!["ONNX Runtime computes with one thread for each worker".to_owned()];
    if input == Element::F16 {
        notes.push("the model is fp16; this engine computes it in fp32 on a CPU, so its fp32 version is faster".to_owned());
    }
    if alignment > 1 {
        notes.push(format!(
            "pictures are padded to a multiple of {alignment} pixels for this model"
        ));
    }
    if min_size > alignment {
        notes.push(format!(
            "pictures are padded to at least {min_size} pixels for this model"
        ));
    }
    ModelInfo {
        name: stem(path),
        sha256: Some(sha256),
        scale,
        passes: 1,
        alignment,
        min_size,
        // Found by the graph, not by running it.
        reach: None,
        shift_step: None,
        engine: "ort",
        device: "cpu",
        precision: "fp32",
        notes,
    }
}
