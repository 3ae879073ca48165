//! Two rows of one layer: what they need, and the functions that compute them, one for each instruction set.

#![expect(
    unsafe_code,
    reason = "calls functions compiled for an instruction set"
)]

use super::isa::Kernels;
use super::layer::layer;
use super::rows::{MARGIN, Words32};
use super::simd::{Activation, Simd, Words, portable};
#[cfg(target_arch = "x86_64")]
use super::simd::{avx2, avx512};
use super::tiles::{self, TilePass, TileScratch, tiles};
use super::winograd::{n_products, padded};

/// A layer's function, and how it wants its rows and weights.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    run: unsafe fn(&mut Pass, &mut Scratch),
    run_tiles: unsafe fn(&mut TilePass, &mut TileScratch),
    /// Bytes of an activation in the input rows, and in the result rows.
    pub(super) size_in: usize,
    pub(super) size_out: usize,
    /// Channels in a word of the weights.
    pub(super) channels: usize,
    /// Output channels in a block of the weights.
    pub(super) outputs: usize,
    /// Tiles computed side by side.
    tiles: usize,
    /// Tiles of a vector: a row is computed in whole ones.
    pub(super) lanes: usize,
}

/// Two rows of results of one layer.
///
/// A row is `[channel][parity][plane]`, see `rows.rs`; `plane` is the same for all rows.
pub(super) struct Pass<'a> {
    /// The row above the results, the two of the results, and the one below.
    pub(super) inputs: [&'a [u32]; 4],
    pub(super) results: [&'a mut [u32]; 2],
    pub(super) plane: usize,
    /// Words of input channels, which the rows have: channels to fill up a word are zero.
    pub(super) n_words: usize,
    /// As [`pack_weights`](super::winograd::pack_weights) gives them.
    pub(super) weights: &'a [u32],
    /// One for each output channel, filled up to whole blocks, as are the slopes.
    pub(super) bias: &'a [f32],
    /// Factors of negative results; empty for none.
    pub(super) slope: &'a [f32],
    pub(super) tiles: std::ops::Range<usize>,
    /// Tiles whose even pixel lies left of the picture's right edge, and those whose odd pixel does: results to the
    /// right of it are the next layer's padding and become zero.
    pub(super) inside: [usize; 2],
}

/// Memory that a kernel works in, for any layer up to a number of input words.
pub(super) struct Scratch {
    pub(super) products: Words32,
    pub(super) sums: Words32,
}

/// Words between the factors of one product and the next: without them all sixteen of a tile would lie in one or two sets
/// of the L1 cache, and push each other out while they are written.
pub(super) const GAP: usize = 16;

/// Words that the factors of a block of tiles take.
fn factors_len(channels: usize, n_words: usize, n_tiles: usize) -> usize {
    n_products(channels) * n_words * n_tiles + 16 * GAP
}

impl Scratch {
    /// Enough for kernels with that many input words.
    pub(super) fn new(layers: impl IntoIterator<Item = (Kernel, usize)>) -> Self {
        let (products, sums) = Self::lens(layers);
        Self {
            products: Words32::new(products),
            sums: Words32::new(sums),
        }
    }

    /// Bytes that [`new`](Self::new) takes.
    pub(super) fn size_bytes(layers: impl IntoIterator<Item = (Kernel, usize)>) -> usize {
        let (products, sums) = Self::lens(layers);
        4 * (products + sums)
    }

    fn lens(layers: impl IntoIterator<Item = (Kernel, usize)>) -> (usize, usize) {
        layers
            .into_iter()
            .fold((0, 0), |(products, sums), (kernel, n_words)| {
                (
                    products.max(factors_len(kernel.channels, n_words, kernel.tiles)),
                    sums.max(16 * kernel.outputs * kernel.tiles),
                )
            })
    }
}

impl Kernel {
    /// Computes the results of `pass.tiles`, and of up to a vector of tiles after them.
    pub(super) fn run(&self, pass: &mut Pass, scratch: &mut Scratch) {
        let n_out = pass.bias.len();
        let last = pass.tiles.start + pass.tiles.len().next_multiple_of(self.lanes);
        // What the loops below read and write.
        assert!(
            pass.plane > MARGIN + last,
            "the tiles and one more on each side are in the row"
        );
        for row in pass.inputs {
            assert_eq!(
                4 * row.len(),
                pass.n_words * self.channels * 2 * pass.plane * self.size_in,
                "an input row"
            );
        }
        for row in &pass.results {
            assert_eq!(
                4 * row.len(),
                n_out * 2 * pass.plane * self.size_out,
                "a result row"
            );
        }
        assert_eq!(n_out, padded(n_out), "whole blocks");
        assert!(
            pass.slope.is_empty() || pass.slope.len() == n_out,
            "a slope for each channel"
        );
        let n_products = n_products(self.channels);
        assert_eq!(
            pass.weights.len(),
            n_products * pass.n_words * n_out,
            "the layer's weights"
        );
        assert!(
            scratch.products.len() >= factors_len(self.channels, pass.n_words, self.tiles),
            "room for a block of inputs"
        );
        assert!(
            scratch.sums.len() >= 16 * self.outputs * self.tiles,
            "room for a block of sums"
        );
        // SAFETY: a kernel exists for instruction sets of this machine only (`Isa::kernels`), and all that it reads and
        // writes lies within the slices, by the assertions above.
        unsafe { (self.run)(pass, scratch) }
    }

    /// Computes the results of `pass.tiles`.
    pub(super) fn run_tiles(&self, pass: &mut TilePass, scratch: &mut TileScratch) {
        let [n_in, n_out] = pass.channels;
        // What the loops read and write: whole tiles, and for inputs a pixel on each side.
        let n_pixels = pass.inside[0].next_multiple_of(2) + 2;
        let n_rows = pass.inside[1].next_multiple_of(2);
        for tile in pass.tiles {
            assert!(
                2 * (tile.x as usize) < pass.inside[0] && 2 * usize::from(tile.y) < n_rows,
                "{tile:?} is in the rows"
            );
        }
        assert!(
            pass.inputs.len() >= n_rows + 2 && pass.results.len() >= n_rows * pass.result_len,
            "the rows, and one more above and below"
        );
        for row in pass.inputs {
            assert!(
                4 * row.len() >= n_pixels * n_in * self.size_in + 4 * tiles::SLACK,
                "an input row"
            );
        }
        assert!(
            4 * pass.result_len >= n_pixels * n_out * self.size_out,
            "a result row"
        );
        assert!(
            n_out.is_multiple_of(tiles::CHANNELS) && pass.bias.len() == n_out,
            "whole vectors"
        );
        assert!(
            pass.slope.is_empty() || pass.slope.len() == n_out,
            "a slope for each channel"
        );
        assert!(
            pass.n_words * self.channels <= n_in,
            "the words are in the row"
        );
        assert_eq!(
            pass.weights.len(),
            n_products(self.channels) * pass.n_words * n_out,
            "the layer's weights"
        );
        assert!(
            scratch.products.len() >= tiles::products_len(self.channels, pass.n_words)
                && scratch.sums.len() >= tiles::sums_len(n_out),
            "room for a block of tiles"
        );
        assert!(
            pass.changed.len() >= pass.tiles.len(),
            "a place for each tile's changes"
        );
        // SAFETY: as in `run`; loads reach at most a vector of activations behind the last pixel, for which rows have
        // slack.
        unsafe { (self.run_tiles)(pass, scratch) }
    }
}

/// Defines the kernels of an instruction set: functions that enable it around the generic code. After `half` stand words and
/// activations in vectors half as long, or the same ones where channels always fill whole vectors.
macro_rules! kernels {
    (
        $(#[$attribute:meta])* $name:ident, $exact:ty, $pixel:ty, $words:ty, $activation:ty,
        half $half_exact:ty, $half_pixel:ty, $half_words:ty, $half_activation:ty
        $(, enable = $features:literal)?
    ) => {
        $(#[$attribute])*
        pub(super) const $name: Kernels = {
            kernels!(@layer first, first_tiles, $exact, $pixel, $activation, $half_exact, $half_activation $(, $features)?);
            kernels!(@layer middle, middle_tiles, $words, $activation, $activation, $half_words, $half_activation $(, $features)?);
            kernels!(@layer last, last_tiles, $words, $activation, $pixel, $half_words, $half_pixel $(, $features)?);
            Kernels {
                first: kernel::<$exact, $pixel, $activation>(first, first_tiles),
                middle: kernel::<$words, $activation, $activation>(middle, middle_tiles),
                last: kernel::<$words, $activation, $pixel>(last, last_tiles),
            }
        };
    };
    (@layer $rows:ident, $tiles:ident, $words:ty, $in:ty, $out:ty, $half_words:ty, $half_out:ty $(, $features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn $rows(pass: &mut Pass, scratch: &mut Scratch) {
            // SAFETY: the caller's.
            unsafe { layer::<$words, $in, $out>(pass, scratch) }
        }
        $(#[target_feature(enable = $features)])?
        unsafe fn $tiles(pass: &mut TilePass, scratch: &mut TileScratch) {
            // SAFETY: the caller's.
            unsafe { tiles::<$words, $in, $out, $half_words, $half_out>(pass, scratch) }
        }
    };
}

kernels!(
    PORTABLE,
    portable::Fp32,
    portable::F32,
    portable::Fp32,
    portable::F32,
    half
    portable::Fp32,
    portable::F32,
    portable::Fp32,
    portable::F32
);
kernels!(
    #[cfg(target_arch = "x86_64")]
    AVX2,
    avx2::Fp32,
    avx2::F32,
    avx2::Fp32,
    avx2::F32,
    half
    avx2::Fp32,
    avx2::F32,
    avx2::Fp32,
    avx2::F32,
    enable = "avx2,fma"
);
kernels!(
    #[cfg(target_arch = "x86_64")]
    AVX512,
    avx512::Fp32,
    avx512::F32,
    avx512::Fp32,
    avx512::F32,
    half
    avx2::Fp32,
    avx2::F32,
    avx2::Fp32,
    avx2::F32,
    enable = "avx512f,avx512bw,avx512dq,avx512vl"
);
kernels!(
    #[cfg(target_arch = "x86_64")]
    AVX512_BF16,
    avx512::Fp32,
    avx512::F32,
    avx512::Bf16,
    avx512::F16,
    half
    avx2::Fp32,
    avx2::F32,
    avx512::HalfBf16,
    avx512::HalfF16,
    enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"
);

const fn kernel<W: Words, I: Activation, O: Activation>(
    run: unsafe fn(&mut Pass, &mut Scratch),
    run_tiles: unsafe fn(&mut TilePass, &mut TileScratch),
) -> Kernel {
    Kernel {
        run,
        run_tiles,
        size_in: I::SIZE,
        size_out: O::SIZE,
        channels: W::CHANNELS,
        outputs: W::S::OUTPUTS,
        tiles: W::S::TILE_VECTORS * W::S::LANES,
        lanes: W::S::LANES,
    }
}
