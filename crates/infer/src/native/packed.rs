//! A network made ready for an instruction set, shared by all workers.

use super::isa::{Arithmetic, Isa};
use super::kernel::Kernel;
use super::network::{Conv, Network, Resize};
use super::rows::Words32;
use super::tiles::CHANNELS;
use super::winograd::{pack_tile_weights, pack_weights, padded};

/// A network whose weights lie as its kernels read them.
pub(super) struct Packed {
    pub(super) layers: Vec<Layer>,
    pub(super) shuffle: usize,
    pub(super) resize: Option<Resize>,
    pub(super) clamp: Option<(f32, f32)>,
}

/// One convolution with its `PReLU`.
pub(super) struct Layer {
    pub(super) kernel: Kernel,
    /// Words of input channels.
    pub(super) n_words_in: usize,
    /// Multiply-adds of a pixel by the definition of the layer.
    pub(super) multiply_adds: usize,
    /// Bytes of the results of one pixel, with the channels that fill up the last block.
    pub(super) pixel_bytes: usize,
    pub(super) weights: Words32,
    /// Filled up with zeros, as is the slope, which is empty after the last layer.
    pub(super) bias: Vec<f32>,
    pub(super) slope: Vec<f32>,
    pub(super) tiles: TileLayer,
}

/// The same numbers as [`tiles.rs`](super::tiles) reads them, filled up to whole vectors of output channels.
pub(super) struct TileLayer {
    pub(super) weights: Words32,
    pub(super) bias: Vec<f32>,
    pub(super) slope: Vec<f32>,
}

impl Packed {
    /// Packs `network`; none where `isa` lacks the arithmetic.
    pub(super) fn new(network: &Network, isa: Isa, arithmetic: Arithmetic) -> Option<Self> {
        let kernels = isa.kernels(arithmetic)?;
        let last = network.convs.len() - 1;
        let layers = network.convs.iter().enumerate().map(|(i, conv)| {
            let kernel = match i {
                0 => kernels.first,
                i if i == last => kernels.last,
                _ => kernels.middle,
            };
            // The picture's three channels are a word each; between layers whole blocks of channels are kept.
            let n_words_in = if i == 0 {
                conv.n_in
            } else {
                padded(conv.n_in) / kernel.channels
            };
            Layer::new(conv, kernel, n_words_in)
        });
        Some(Self {
            layers: layers.collect(),
            shuffle: network.shuffle,
            resize: network.resize,
            clamp: network.clamp,
        })
    }

    /// How far, in pixels of the input, a result looks around itself: one for each convolution, and one for the resize,
    /// whose four taps reach into the neighbouring pixel's part of the shuffled picture.
    pub(super) fn reach(&self) -> usize {
        self.layers.len() + usize::from(self.resize.is_some())
    }
}

impl Layer {
    fn new(conv: &Conv, kernel: Kernel, n_words_in: usize) -> Self {
        let n_out = padded(conv.n_out);
        let n_channels = conv.n_out.next_multiple_of(CHANNELS);
        let filled = |values: &[f32], n: usize| {
            let mut filled = values.to_vec();
            filled.resize(n, 0.0);
            filled
        };
        let slope = |n| {
            conv.slope
                .as_deref()
                .map_or_else(Vec::new, |slope| filled(slope, n))
        };
        Self {
            kernel,
            n_words_in,
            multiply_adds: 9 * conv.n_in * conv.n_out,
            pixel_bytes: n_out * kernel.size_out,
            weights: pack_weights(conv, n_words_in, &kernel),
            bias: filled(&conv.bias, n_out),
            slope: slope(n_out),
            tiles: TileLayer {
                weights: pack_tile_weights(conv, n_words_in, n_channels, &kernel),
                bias: filled(&conv.bias, n_channels),
                slope: slope(n_channels),
            },
        }
    }
}
