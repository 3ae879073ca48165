//! A network of the Compact family as plain numbers, whatever file it came from.
//!
//! ```text
//! picture ─▶ conv 3×3 ─▶ PReLU ─▶ … ─▶ conv 3×3 ─▶ pixel shuffle ─▶ + ─▶ [cubic resize] ─▶ [clamp] ─▶ result
//!    └──────────── every pixel repeated shuffle × shuffle times ─────┘
//! ```
//! The family is `SRVGGNetCompact` of Real-ESRGAN (<https://github.com/xinntao/Real-ESRGAN>); every convolution has a
//! stride of 1 and is padded with zeros by one pixel.

use half::{bf16, f16};

/// More convolutions than any network of the family has (published: 10 to 34).
pub(crate) const MAX_CONVS: usize = 256;
/// More channels than any network of the family has (published: 24 to 64).
pub(crate) const MAX_FEATURES: usize = 1024;
/// Bounds the memory that a small file can ask for by naming the same weights many times: 256 MiB of f32.
pub(crate) const MAX_WEIGHTS: usize = 1 << 26;

/// A network of the family.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    /// At least two; the first takes 3 channels, the last gives `3 * shuffle * shuffle`.
    pub(crate) convs: Vec<Conv>,
    /// Factor of the pixel shuffle and of the repeated picture, 1 to 4.
    pub(crate) shuffle: usize,
    /// What makes the published ×2 and ×3 forms of a ×4 network.
    pub(crate) resize: Option<Resize>,
    /// Lowest and highest value of a result, for files that end with a `Clip`.
    pub(crate) clamp: Option<(f32, f32)>,
}

/// One 3×3 convolution and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conv {
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    /// `[n_out][n_in][3][3]`: row, then column of the kernel innermost (ONNX's OIHW).
    pub(crate) weights: Vec<f32>,
    /// `[n_out]`.
    pub(crate) bias: Vec<f32>,
    /// `PReLU`: `[n_out]` factors of negative values; none after the last convolution.
    pub(crate) slope: Option<Vec<f32>>,
}

/// A cubic resize (Keys' kernel, half-pixel centres, borders repeated) of the shuffled picture to `scale` times the
/// input, `scale` < `shuffle`, without antialiasing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Resize {
    /// Result size over input size, 1 to 3.
    pub(crate) scale: usize,
    /// Keys' parameter, -0.75 in `PyTorch`.
    pub(crate) a: f32,
}

impl Network {
    /// Result size over input size.
    pub(crate) fn scale(&self) -> usize {
        self.resize.map_or(self.shuffle, |resize| resize.scale)
    }
}

/// Why a file is not a network of the family, in words for the user: lowercase, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotCompact(pub(crate) String);

/// A number format in which files keep weights, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F16,
    Bf16,
}

impl Element {
    /// Bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The numbers in `bytes`, exactly; `None` unless every one is finite. An incomplete one at the end is left out.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Vec<f32>> {
        let number = |bytes: &[u8]| match (self, bytes) {
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
            (Self::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
            _ => unreachable!("chunks_exact gives chunks of size()"),
        };
        let numbers: Vec<f32> = bytes.chunks_exact(self.size()).map(number).collect();
        numbers
            .iter()
            .all(|number| number.is_finite())
            .then_some(numbers)
    }
}

/// Factor of the pixel shuffle after a convolution with `channels` outputs: `channels` = 3 · factor², factor 1 to 4.
pub(crate) fn shuffle_of(channels: usize) -> Option<usize> {
    (1..=4).find(|factor| 3 * factor * factor == channels)
}

/// A name from a file, fit for a terminal: short and without control characters.
pub(crate) fn readable(name: &str) -> String {
    name.chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
