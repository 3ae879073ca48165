//! The arithmetic of any tiles of one layer, for activations that are kept: lanes are channels.
//!
//! ```text
//! for 24 tiles from anywhere in some rows:
//!     inputs d ─▶ Bᵀ d B        16 factors per tile and channel
//!     for 64 output channels:
//!         for each of the 16:   sums += factors × weights over all input channels, 6 tiles × 4 vectors in registers
//!         sums m ─▶ Aᵀ m A ─▶ PReLU ─▶ results, and whether they changed
//! ```
//! `layer.rs` computes runs of neighbouring tiles, where lanes are tiles. Here a tile has no neighbours: activations lie
//! `[y][x][channel]`, so the sixteen inputs of a tile are four short runs of memory, wherever it lies, and a lone tile
//! wastes no lane. The operations on each number, and their order, are those of `layer.rs`, so the bits are too.
//!
//! Every function is unsafe for the reasons given there.

#![expect(
    unsafe_code,
    reason = "vector instructions, and loads and stores without bounds checks"
)]
#![expect(
    clippy::inline_always,
    reason = "generic code must end up inside the function that enables the instruction set"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "iterators take closures, and a closure is compiled without the caller's instruction set"
)]

use super::kernel::GAP;
use super::layer::{F, result_column, result_line, transform_tile};
use super::rows::Words32;
use super::simd::{Activation, Products, Simd, Words};
use super::winograd::{CENTRE, n_products};

/// Tiles computed together: a multiple of the tiles whose sums are in registers, 6, 12 or 24.
const BLOCK: usize = 24;

/// Channels are kept in multiples of this many, so that every vector holds whole pixels but for the last of AVX-512.
pub(super) const CHANNELS: usize = 8;

/// Words behind the last pixel of a row that may be read, and are not looked at.
pub(super) const SLACK: usize = 32;

/// A tile of a pass: two pixels by two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tile {
    /// Rows / 2, from the first that the pass computes.
    pub(super) y: u16,
    /// Columns / 2.
    pub(super) x: u32,
}

/// Some tiles of some rows of one layer. A row is `[x + 1][channel]`: a pixel of zeros before the first and behind the last
/// tile is the convolution's padding.
pub(super) struct TilePass<'a> {
    /// The row above the results, those of the results, and the one below; each with [`SLACK`].
    pub(super) inputs: &'a [&'a [u32]],
    /// The rows of the results, one behind the other.
    pub(super) results: &'a mut [u32],
    /// Words of a row of results.
    pub(super) result_len: usize,
    /// Channels of an input pixel, and of a result's.
    pub(super) channels: [usize; 2],
    /// Words of input channels that count.
    pub(super) n_words: usize,
    /// `[product][word][output channel]`.
    pub(super) weights: &'a [u32],
    /// One for each output channel, as the slopes.
    pub(super) bias: &'a [f32],
    /// Factors of negative results; empty for none.
    pub(super) slope: &'a [f32],
    pub(super) tiles: &'a [Tile],
    /// Columns of the picture, and how many of the rows lie in it: there are no results elsewhere.
    pub(super) inside: [usize; 2],
    /// For each tile, which of its pixels changed: bit 0 and 1 above, 2 and 3 below.
    pub(super) changed: &'a mut [u8],
}

/// Memory that the functions work in.
pub(super) struct TileScratch {
    pub(super) products: Words32,
    pub(super) sums: Words32,
}

impl TileScratch {
    /// Enough for layers of up to that many input words and output channels.
    pub(super) fn new(n_words: usize, n_outputs: usize) -> Self {
        Self {
            products: Words32::new(products_len(2, n_words)),
            sums: Words32::new(sums_len(n_outputs)),
        }
    }
}

/// Words of a tile that lie side by side. Those of the next tile follow, so the distance between them is known when this is
/// compiled, and one register holds the address of all.
const SIDE: usize = 16;

/// Words that the factors of a block take.
pub(super) fn products_len(channels: usize, n_words: usize) -> usize {
    n_products(channels) * product_len(n_words) + SLACK
}

/// Words from the factors of one product to the next: `[word / SIDE][tile][word % SIDE]`.
fn product_len(n_words: usize) -> usize {
    n_words.next_multiple_of(SIDE) * BLOCK + GAP
}

/// Words that the sums of a block take.
pub(super) fn sums_len(n_outputs: usize) -> usize {
    // As many output channels as registers hold, at most.
    16 * BLOCK * n_outputs.next_multiple_of(16).min(64)
}

/// # Safety
/// As [`Kernel::run_tiles`](super::kernel::Kernel::run_tiles) asserts; this function's callers enable the instruction set of its
/// types. `H` and `P` are `W` and `O` in vectors half as long, for a last half vector of output channels.
#[inline(always)]
pub(super) unsafe fn tiles<
    W: Words,
    I: Activation<S = W::S>,
    O: Activation<S = W::S>,
    H: Products,
    P: Activation<S = H::S>,
>(
    pass: &mut TilePass,
    scratch: &mut TileScratch,
) {
    let lanes = W::S::LANES;
    let n_outputs = pass.channels[1];
    let mut first = 0;
    while first < pass.tiles.len() {
        let n_tiles = (pass.tiles.len() - first).min(BLOCK);
        // SAFETY: the caller's.
        unsafe {
            for tile in 0..n_tiles {
                prefetch_results::<O>(pass, first + tile);
                transform::<W, I>(pass, scratch, first, tile);
            }
            let mut output = 0;
            while output < n_outputs {
                let vectors = ((n_outputs - output) / lanes).min(W::S::OUTPUT_VECTORS);
                match vectors {
                    0 => block::<H, P, 24, 1>(pass, scratch, first, n_tiles, output),
                    1 => block::<W, O, 12, 1>(pass, scratch, first, n_tiles, output),
                    2 => block::<W, O, 6, 2>(pass, scratch, first, n_tiles, output),
                    3 => block::<W, O, 6, 3>(pass, scratch, first, n_tiles, output),
                    _ => block::<W, O, 6, 4>(pass, scratch, first, n_tiles, output),
                }
                output += if vectors == 0 {
                    H::S::LANES
                } else {
                    vectors * lanes
                };
            }
        }
        first += n_tiles;
    }
}

/// Asks for the memory of a tile's results, which are compared with what stands there: of scattered tiles the processor cannot
/// guess the next.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn prefetch_results<O: Activation>(pass: &TilePass, tile: usize) {
    // SAFETY: the caller's.
    unsafe {
        let at = *pass.tiles.get_unchecked(tile);
        let (x, y) = (2 * (at.x as usize) + 1, 2 * usize::from(at.y));
        let pixel = pass.channels[1] * O::SIZE;
        for row in 0..2 {
            let row = pass
                .results
                .as_ptr()
                .wrapping_add((y + row) * pass.result_len);
            let mut byte = 0;
            while byte < 2 * pixel {
                O::S::prefetch(row.cast::<u8>().wrapping_add(x * pixel + byte));
                byte += 64;
            }
        }
    }
}

/// Writes `Bᵀ d B` of a tile to `products`: `[product][word / SIDE][tile][word % SIDE]`.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn transform<W: Words, I: Activation<S = W::S>>(
    pass: &TilePass,
    scratch: &mut TileScratch,
    first: usize,
    tile: usize,
) {
    let lanes = W::S::LANES;
    let step = product_len(pass.n_words);
    // SAFETY: the caller's.
    unsafe {
        let at = *pass.tiles.get_unchecked(first + tile);
        let products = scratch.products.as_mut_ptr().add(tile * SIDE);
        let mut word = 0;
        while word < pass.n_words {
            let channel = word * W::CHANNELS;
            let low = transform_tile::<W>(load_tile::<I>(pass, at, channel));
            let high = if W::CHANNELS == 2 {
                transform_tile::<W>(load_tile::<I>(pass, at, channel + lanes))
            } else {
                low
            };
            let to = products.add(word / SIDE * SIDE * BLOCK + word % SIDE);
            for j in 0..16 {
                let packed = W::pack_channels(low[j], high[j]);
                if W::CHANNELS == 1 || j < CENTRE {
                    W::store(to.add(j * step), packed);
                } else if j == CENTRE {
                    W::store(
                        to.add(j * step),
                        W::rest_of_channels(low[j], high[j], packed),
                    );
                    W::store(to.add((j + 1) * step), packed);
                    W::store(to.add((j + 2) * step), packed);
                } else {
                    W::store(to.add((j + 2) * step), packed);
                }
            }
            word += lanes;
        }
    }
}

/// The four columns of the four input rows around a tile, of a vector of channels; channels beyond the last are those of the
/// next pixel.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn load_tile<I: Activation>(
    pass: &TilePass,
    tile: Tile,
    channel: usize,
) -> [[<I::S as Simd>::F; 4]; 4] {
    let at = (2 * (tile.x as usize) * pass.channels[0] + channel) * I::SIZE;
    let y = 2 * usize::from(tile.y);
    let step = pass.channels[0] * I::SIZE;
    // SAFETY: the caller's.
    unsafe {
        let mut columns = [[I::S::zero(); 4]; 4];
        for column in 0..4 {
            for row in 0..4 {
                let row_start = pass.inputs.get_unchecked(y + row).as_ptr().cast::<u8>();
                columns[column][row] = I::load(row_start.add(at + column * step));
            }
        }
        columns
    }
}

/// `N` vectors of output channels of a block's tiles, `M` tiles at a time.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn block<W: Products, O: Activation<S = W::S>, const M: usize, const N: usize>(
    pass: &mut TilePass,
    scratch: &mut TileScratch,
    first: usize,
    n_tiles: usize,
    output: usize,
) {
    let lanes = W::S::LANES;
    let sums = scratch.sums.as_mut_ptr().cast::<f32>();
    let step = BLOCK * N * lanes;
    // SAFETY: the caller's.
    unsafe {
        let mut weights = pass.weights.as_ptr().add(output);
        let mut products = scratch.products.as_ptr();
        for j in 0..16 {
            let terms = if j == CENTRE && W::CHANNELS == 2 {
                3
            } else {
                1
            };
            let mut start = [W::S::zero(); N];
            if j == CENTRE {
                for n in 0..N {
                    start[n] = W::S::load(pass.bias.as_ptr().add(output + n * lanes));
                }
            }
            let mut tile = 0;
            while tile < n_tiles {
                let acc = multiply::<W, M, N>(
                    pass,
                    terms,
                    weights,
                    products.add(tile * SIDE),
                    [start; M],
                );
                for m in 0..M {
                    for n in 0..N {
                        let to = sums.add(j * step + ((tile + m) * N + n) * lanes);
                        W::S::store(to, acc[m][n]);
                    }
                }
                tile += M;
            }
            weights = weights.add(terms * pass.n_words * pass.channels[1]);
            products = products.add(terms * product_len(pass.n_words));
        }
        for tile in 0..n_tiles {
            for n in 0..N {
                let sums = sums.add((tile * N + n) * lanes);
                finish::<W, O>(pass, first + tile, output + n * lanes, sums, step);
            }
        }
    }
}

/// `acc` + the sums of one product, of its `terms`, over all input channels: the loop in which the time is spent.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn multiply<W: Products, const M: usize, const N: usize>(
    pass: &TilePass,
    terms: usize,
    mut weights: *const u32,
    mut factors: *const u32,
    mut acc: [[F<W>; N]; M],
) -> [[F<W>; N]; M] {
    let lanes = W::S::LANES;
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..terms {
            let mut side = factors;
            let mut left = pass.n_words;
            while left > 0 {
                let n = left.min(SIDE);
                for word in 0..n {
                    let mut words = [W::load(weights); N];
                    for n in 1..N {
                        words[n] = W::load(weights.add(n * lanes));
                    }
                    for m in 0..M {
                        for n in 0..N {
                            acc[m][n] =
                                W::multiply_add(acc[m][n], side.add(m * SIDE + word), words[n]);
                        }
                    }
                    weights = weights.add(pass.channels[1]);
                }
                side = side.add(SIDE * BLOCK);
                left -= n;
            }
            factors = factors.add(product_len(pass.n_words));
        }
    }
    acc
}

/// `Aᵀ m A` and `PReLU` of a vector of channels of a tile, put in the place of its results; notes which of them changed.
///
/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn finish<W: Products, O: Activation<S = W::S>>(
    pass: &mut TilePass,
    tile: usize,
    output: usize,
    sums: *const f32,
    step: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let columns = [
            result_column::<W>(sums, step),
            result_column::<W>(sums.add(step), step),
            result_column::<W>(sums.add(2 * step), step),
            result_column::<W>(sums.add(3 * step), step),
        ];
        let at = *pass.tiles.get_unchecked(tile);
        let (x, y) = (2 * (at.x as usize), 2 * usize::from(at.y));
        let mut changed = 0;
        for row in 0..2 {
            let mut values = result_line::<W>([
                columns[0][row],
                columns[1][row],
                columns[2][row],
                columns[3][row],
            ]);
            for parity in 0..2 {
                if x + parity >= pass.inside[0] || y + row >= pass.inside[1] {
                    continue;
                }
                if !pass.slope.is_empty() {
                    let slope = W::S::load(pass.slope.as_ptr().add(output));
                    values[parity] = W::S::prelu(values[parity], slope);
                }
                let at = ((x + parity + 1) * pass.channels[1] + output) * O::SIZE;
                let row_start = pass.results.as_mut_ptr().add((y + row) * pass.result_len);
                let to = row_start.cast::<u8>().add(at);
                changed |= u8::from(O::replace(to, values[parity])) << (2 * row + parity);
            }
        }
        *pass.changed.get_unchecked_mut(tile) |= changed;
    }
}
