//! The arithmetic of two rows of one layer, generic over the instruction set.
//!
//! ```text
//! for some tiles side by side (48 with AVX-512):
//!     inputs d ─▶ Bᵀ d B        16 factors per tile and channel; 104 KB for 64 channels in bf16: stays in L2
//!     for 8 output channels:
//!         for each of the 16:   sums += weights × factors over all input channels, 8 × 3 vectors in registers
//!         sums m ─▶ Aᵀ m A      16 sums per tile and channel, 24 KB: stays in L1
//!         PReLU ─▶ result rows
//! ```
//! Lanes are tiles: no lane is ever moved and any channel count is as good as another. A lane's result depends on its
//! own inputs only and is computed by the same operations in the same order wherever it lies in a vector.
//!
//! Every function is unsafe for the same two reasons: the instruction set must be there and the pass must be as
//! [`Kernel::run`](super::kernel::Kernel::run) asserts.

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

use std::ops::Range;

use super::kernel::{GAP, Pass, Scratch};
use super::rows::MARGIN;
use super::simd::{Activation, Products, Simd, Words};
use super::winograd::{CENTRE, n_products};

pub(super) type F<W> = <<W as Products>::S as Simd>::F;

/// # Safety
/// As [`Kernel::run`] asserts; this function's callers enable the instruction set of its types.
#[inline(always)]
pub(super) unsafe fn layer<W: Words, I: Activation<S = W::S>, O: Activation<S = W::S>>(
    pass: &mut Pass,
    scratch: &mut Scratch,
) {
    let lanes = W::S::LANES;
    let mut tile = pass.tiles.start;
    while tile < pass.tiles.end {
        let vectors = (pass.tiles.end - tile)
            .div_ceil(lanes)
            .min(W::S::TILE_VECTORS);
        // SAFETY: the caller's.
        unsafe {
            transform_inputs::<W, I>(pass, scratch, tile, vectors);
            match vectors {
                1 => outputs::<W, O, 1>(pass, scratch, tile),
                2 => outputs::<W, O, 2>(pass, scratch, tile),
                _ => outputs::<W, O, 3>(pass, scratch, tile),
            }
        }
        tile += vectors * lanes;
    }
}

/// Writes `Bᵀ d B` of some vectors of tiles to `products`: `[product][word][tile]`.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn transform_inputs<W: Words, I: Activation<S = W::S>>(
    pass: &Pass,
    scratch: &mut Scratch,
    tile: usize,
    vectors: usize,
) {
    let lanes = W::S::LANES;
    let width = W::S::TILE_VECTORS * lanes;
    let step = pass.n_words * width;
    let products = scratch.products.as_mut_ptr();
    // SAFETY: the caller's.
    unsafe {
        for word in 0..pass.n_words {
            for vector in 0..vectors {
                let at = MARGIN + tile + vector * lanes;
                let channel = word * W::CHANNELS;
                prefetch_tiles::<I>(pass, channel + W::CHANNELS, at);
                if W::CHANNELS == 2 {
                    prefetch_tiles::<I>(pass, channel + W::CHANNELS + 1, at);
                }
                let low = transform_tile::<W>(load_tiles::<I>(pass, channel, at));
                let high = if W::CHANNELS == 2 {
                    transform_tile::<W>(load_tiles::<I>(pass, channel + 1, at))
                } else {
                    low
                };
                let to = products.add(word * width + vector * lanes);
                for j in 0..16 {
                    let packed = W::pack(low[j], high[j]);
                    if W::CHANNELS == 1 || j < CENTRE {
                        W::store(to.add(j * (step + GAP)), packed);
                    } else if j == CENTRE {
                        let to = to.add(j * (step + GAP));
                        W::store(to, W::rest(low[j], high[j], packed));
                        W::store(to.add(step), packed);
                        W::store(to.add(2 * step), packed);
                    } else {
                        W::store(to.add(j * (step + GAP) + 2 * step), packed);
                    }
                }
            }
        }
    }
}

/// The four columns of the four input rows around a vector of tiles.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn load_tiles<I: Activation>(
    pass: &Pass,
    channel: usize,
    at: usize,
) -> [[<I::S as Simd>::F; 4]; 4] {
    // SAFETY: the caller's.
    unsafe {
        let even = 2 * channel * pass.plane + at;
        let odd = even + pass.plane;
        [
            load_column::<I>(pass, odd - 1),
            load_column::<I>(pass, even),
            load_column::<I>(pass, odd),
            load_column::<I>(pass, even + 1),
        ]
    }
}

/// Asks for what the next channels need: the rows of all layers are more than the L2 cache holds, and planes are too far
/// apart for the processor to guess.
///
/// # Safety
/// As [`layer`]; the channel need not exist.
#[inline(always)]
unsafe fn prefetch_tiles<I: Activation>(pass: &Pass, channel: usize, at: usize) {
    for row in 0..4 {
        let even = pass.inputs[row].as_ptr().cast::<u8>();
        let even = even.wrapping_add((2 * channel * pass.plane + at) * I::SIZE);
        // SAFETY: the caller's; an address that is not readable does no harm.
        unsafe {
            I::S::prefetch(even);
            I::S::prefetch(even.wrapping_add(pass.plane * I::SIZE));
        }
    }
}

/// Asks for the memory of results while their sums are still to be computed.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn prefetch_results<O: Activation>(pass: &Pass, channels: Range<usize>, tile: usize) {
    for plane in 2 * channels.start..2 * channels.end {
        for row in 0..2 {
            let results = pass.results[row].as_ptr().cast::<u8>();
            let results = results.wrapping_add((plane * pass.plane + MARGIN + tile) * O::SIZE);
            // SAFETY: the caller's; an address that is not readable does no harm.
            unsafe {
                O::S::prefetch(results);
                O::S::prefetch(results.wrapping_add(64));
            }
        }
    }
}

/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn load_column<I: Activation>(pass: &Pass, at: usize) -> [<I::S as Simd>::F; 4] {
    // SAFETY: the caller's.
    unsafe {
        [
            I::load(pass.inputs[0].as_ptr().cast::<u8>().add(at * I::SIZE)),
            I::load(pass.inputs[1].as_ptr().cast::<u8>().add(at * I::SIZE)),
            I::load(pass.inputs[2].as_ptr().cast::<u8>().add(at * I::SIZE)),
            I::load(pass.inputs[3].as_ptr().cast::<u8>().add(at * I::SIZE)),
        ]
    }
}

/// `Bᵀ d B`, row by row, of the columns of `d`.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
pub(super) unsafe fn transform_tile<W: Words>(d: [[F<W>; 4]; 4]) -> [F<W>; 16] {
    // SAFETY: the caller's.
    unsafe {
        let t = [
            transform_line::<W>(d[0]),
            transform_line::<W>(d[1]),
            transform_line::<W>(d[2]),
            transform_line::<W>(d[3]),
        ];
        let mut products = [W::S::zero(); 16];
        for j in 0..4 {
            let row = transform_line::<W>([t[0][j], t[1][j], t[2][j], t[3][j]]);
            for k in 0..4 {
                products[4 * j + k] = row[k];
            }
        }
        products
    }
}

/// `Bᵀ d`.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn transform_line<W: Words>(d: [F<W>; 4]) -> [F<W>; 4] {
    // SAFETY: the caller's.
    unsafe {
        [
            W::S::sub(d[0], d[2]),
            W::S::add(d[1], d[2]),
            W::S::sub(d[2], d[1]),
            W::S::sub(d[1], d[3]),
        ]
    }
}

/// All output channels of `N` vectors of tiles.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn outputs<W: Words, O: Activation<S = W::S>, const N: usize>(
    pass: &mut Pass,
    scratch: &mut Scratch,
    tile: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        if W::S::OUTPUTS == 8 {
            let whole = pass.bias.len() / 8 * 8;
            for output in (0..whole).step_by(8) {
                block::<W, O, 8, N>(pass, scratch, tile, output);
            }
            if whole < pass.bias.len() {
                block::<W, O, 4, N>(pass, scratch, tile, whole);
            }
        } else {
            for output in (0..pass.bias.len()).step_by(4) {
                block::<W, O, 4, N>(pass, scratch, tile, output);
            }
        }
    }
}

/// `M` output channels of `N` vectors of tiles: sums of products, then results.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn block<W: Words, O: Activation<S = W::S>, const M: usize, const N: usize>(
    pass: &mut Pass,
    scratch: &mut Scratch,
    tile: usize,
    output: usize,
) {
    let lanes = W::S::LANES;
    let sums = scratch.sums.as_mut_ptr().cast::<f32>();
    // SAFETY: the caller's.
    unsafe {
        prefetch_results::<O>(pass, output..output + M, tile);
        sum_products::<W, M, N>(pass, scratch.products.as_ptr(), sums, output);
        for m in 0..M {
            for n in 0..N {
                let results = results::<W>(
                    pass,
                    output + m,
                    sums.add((m * N + n) * lanes),
                    M * N * lanes,
                );
                let first = tile + n * lanes;
                for row in 0..2 {
                    let to = pass.results[row].as_mut_ptr().cast::<u8>();
                    for parity in 0..2 {
                        let mut values = results[row][parity];
                        let inside = pass.inside[parity];
                        if first + lanes > inside {
                            values = W::S::first(values, inside.saturating_sub(first));
                        }
                        let at = (2 * (output + m) + parity) * pass.plane + MARGIN + first;
                        O::store(to.add(at * O::SIZE), values);
                    }
                }
            }
        }
    }
}

/// The sums over all input channels, to `sums`: `[product][channel of the block][vector][tile]`.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn sum_products<W: Words, const M: usize, const N: usize>(
    pass: &Pass,
    products: *const u32,
    sums: *mut f32,
    output: usize,
) {
    let lanes = W::S::LANES;
    let width = W::S::TILE_VECTORS * lanes;
    // SAFETY: the caller's; before the block's weights stand those of `output` channels.
    unsafe {
        let mut weights = pass
            .weights
            .as_ptr()
            .add(n_products(W::CHANNELS) * pass.n_words * output);
        let mut products = products;
        for j in 0..16 {
            let mut acc = [[W::S::zero(); N]; M];
            let mut n_words = pass.n_words;
            if j == CENTRE {
                for m in 0..M {
                    acc[m] = [W::S::splat(*pass.bias.as_ptr().add(output + m)); N];
                }
                if W::CHANNELS == 2 {
                    n_words *= 3;
                }
            }
            acc = multiply::<W, M, N>(n_words, weights, products, acc);
            weights = weights.add(n_words * M);
            products = products.add(n_words * width + GAP);
            for m in 0..M {
                for n in 0..N {
                    W::S::store(sums.add(((j * M + m) * N + n) * lanes), acc[m][n]);
                }
            }
        }
    }
}

/// `acc` + the sums of one product over all input channels: the loop in which the engine spends its time.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn multiply<W: Words, const M: usize, const N: usize>(
    n_words: usize,
    mut weight: *const u32,
    mut product: *const u32,
    mut acc: [[F<W>; N]; M],
) -> [[F<W>; N]; M] {
    let lanes = W::S::LANES;
    // SAFETY: the caller's.
    unsafe {
        for _ in 0..n_words {
            let mut words = [W::load(product); N];
            for n in 1..N {
                words[n] = W::load(product.add(n * lanes));
            }
            for m in 0..M {
                for n in 0..N {
                    acc[m][n] = W::multiply_add(acc[m][n], weight.add(m), words[n]);
                }
            }
            weight = weight.add(M);
            product = product.add(W::S::TILE_VECTORS * lanes);
        }
    }
    acc
}

/// `Aᵀ m A` and `PReLU` of a vector of tiles: rows of pixels.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
unsafe fn results<W: Words>(
    pass: &Pass,
    output: usize,
    sums: *const f32,
    step: usize,
) -> [[F<W>; 2]; 2] {
    // SAFETY: the caller's.
    unsafe {
        let columns = [
            result_column::<W>(sums, step),
            result_column::<W>(sums.add(step), step),
            result_column::<W>(sums.add(2 * step), step),
            result_column::<W>(sums.add(3 * step), step),
        ];
        let mut y = [[W::S::zero(); 2]; 2];
        for row in 0..2 {
            y[row] = result_line::<W>([
                columns[0][row],
                columns[1][row],
                columns[2][row],
                columns[3][row],
            ]);
        }
        if !pass.slope.is_empty() {
            let slope = W::S::splat(*pass.slope.as_ptr().add(output));
            for row in 0..2 {
                for column in 0..2 {
                    y[row][column] = W::S::prelu(y[row][column], slope);
                }
            }
        }
        y
    }
}

/// `Aᵀ m` of a column of sums; one product's sums are `step` apart from the next one's.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
pub(super) unsafe fn result_column<W: Products>(sums: *const f32, step: usize) -> [F<W>; 2] {
    // SAFETY: the caller's.
    unsafe {
        result_line::<W>([
            W::S::load(sums),
            W::S::load(sums.add(4 * step)),
            W::S::load(sums.add(8 * step)),
            W::S::load(sums.add(12 * step)),
        ])
    }
}

/// `Aᵀ m`.
///
/// # Safety
/// As [`layer`].
#[inline(always)]
pub(super) unsafe fn result_line<W: Products>(m: [F<W>; 4]) -> [F<W>; 2] {
    // SAFETY: the caller's.
    unsafe {
        [
            W::S::add(W::S::add(m[0], m[1]), m[2]),
            W::S::sub(W::S::sub(m[1], m[2]), m[3]),
        ]
    }
}
