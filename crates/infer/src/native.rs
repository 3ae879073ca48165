//! Engine `native`: networks of the Compact family on the CPU, by kernels of our own; no library is needed.
//!
//! ```text
//! file ─▶ onnx.rs | safetensors.rs ─▶ Network ─▶ Packed, shared ─▶ one NativeUpscaler per worker
//!                                                                    flow.rs: rows through the layers
//!                                                                    kernel.rs: two rows of one layer
//!                                                                    result.rs: rows to the result
//! ```
//! docs/native-engine.md explains why it is fast.

mod flow;
mod incremental;
mod isa;
mod kernel;
mod layer;
mod network;
pub(crate) mod onnx;
mod packed;
mod resize;
mod result;
mod rows;
pub(crate) mod safetensors;
mod simd;
mod tiles;
mod upscaler;
mod winograd;

use std::sync::Arc;

pub use incremental::{Incremental, Update, Updated};
pub(crate) use isa::{Arithmetic, Isa};
pub(crate) use network::{Network, NotCompact};
use packed::Packed;
pub(crate) use upscaler::NativeUpscaler;

use crate::{ModelInfo, Region};

/// A network packed for this machine.
pub(crate) struct NativeModel {
    packed: Arc<Packed>,
    info: ModelInfo,
}

impl NativeModel {
    /// Packs `network`; none where the instruction set lacks the arithmetic.
    pub(crate) fn new(
        network: &Network,
        isa: Isa,
        arithmetic: Arithmetic,
        name: String,
        sha256: String,
    ) -> Option<Self> {
        let packed = Packed::new(network, isa, arithmetic)?;
        let info = ModelInfo {
            name,
            sha256: Some(sha256),
            scale: network.scale() as u32,
            passes: 1,
            alignment: 1,
            min_size: 1,
            reach: Some(packed.reach()),
            // The edge of a tile (see `winograd.rs`).
            shift_step: Some(2),
            engine: "native",
            device: "cpu",
            precision: arithmetic.name(),
            notes: vec![format!(
                "engine native: a Compact network of {} channels x {} layers, on {isa}",
                network.convs[0].n_out,
                network.convs.len() - 2,
            )],
        };
        Some(Self {
            packed: Arc::new(packed),
            info,
        })
    }

    pub(crate) fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// A worker.
    pub(crate) fn upscaler(&self) -> NativeUpscaler {
        NativeUpscaler::new(Arc::clone(&self.packed), self.info.clone())
    }

    /// `n` workers that share one state of the network, for pictures of `width` × `height`.
    pub(crate) fn incremental(&self, width: usize, height: usize, n: usize) -> Vec<Incremental> {
        let scale = self.info.scale as usize;
        Incremental::new(&self.packed, &self.info.name, scale, (width, height), n)
    }

    /// Bytes of such a state.
    pub(crate) fn incremental_bytes(&self, width: usize, height: usize) -> u64 {
        let scale = self.info.scale as usize;
        incremental::size_bytes(&self.packed, scale, width, height) as u64
    }

    /// Bytes that a worker takes for pictures of `width` × `height`, without the pictures.
    pub(crate) fn worker_bytes(&self, width: usize, height: usize) -> u64 {
        let region = Region::whole(width.max(1), height.max(1));
        upscaler::size_bytes(&self.packed, &region, width.max(1), height.max(1)) as u64
    }
}

#[cfg(test)]
mod tests;
