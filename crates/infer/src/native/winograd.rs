//! 3×3 convolution by Winograd's F(2×2, 3×3), and its weights as the kernel reads them.
//!
//! Four results of a 2×2 tile come from the 4×4 inputs around it with 16 products instead of 36 (Lavin and Gray, *Fast
//! Algorithms for Convolutional Neural Networks*, 2015):
//! ```text
//! result = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ d B) ] A
//!
//!       1  0 -1  0         1    0    0           1  1  1  0
//! Bᵀ =  0  1  1  0    G =  ½    ½    ½      Aᵀ = 0  1 -1 -1
//!       0 -1  1  0         ½   -½    ½
//!       0  1  0 -1         0    0    1
//! ```
//! Larger tiles, F(4×4, 3×3), need fewer products still and were not taken: there every result depends, in its last
//! bits, on all 36 inputs of the tile. Here a result depends on its own 3×3 inputs only, as by the definition of a
//! convolution, because Bᵀ and Aᵀ pair up the same way: with row 0 of Aᵀ only rows of Bᵀ that leave d₃ alone are used.
//! So a region needs no more halo than the network's reach, and gives the same bits wherever it lies, as long as tiles
//! start at even coordinates of the frame.

use half::bf16;

use super::kernel::Kernel;
use super::network::Conv;
use super::rows::Words32;

/// The product of row 1, column 1. Its sum goes with factor 1 into all four results, so the bias is put there.
///
/// Its inputs are sums of four pixels where all others are differences, so in pictures, which are smooth, most of the
/// arithmetic's rounding error would come from it.
pub(super) const CENTRE: usize = 5;

/// Factors per tile and channel. In bf16 the [`CENTRE`] has three instead of one: with h the rounded factor and r what
/// rounding took from it, h·h + h·r + r·h is as good as a product in fp32 (but for r·r).
///
/// That costs 2 of 18 multiplications and halves the squared error of the whole network (docs/native-engine.md).
pub(super) const fn n_products(channels: usize) -> usize {
    if channels == 2 { 18 } else { 16 }
}

/// `G w Gᵀ` of one 3×3 kernel, row by row, computed in f64.
pub(super) fn transform_weights(w: &[f32]) -> [f64; 16] {
    const G: [[f64; 3]; 4] = [
        [1.0, 0.0, 0.0],
        [0.5, 0.5, 0.5],
        [0.5, -0.5, 0.5],
        [0.0, 0.0, 1.0],
    ];
    let mut u = [0.0; 16];
    for (j, u) in u.iter_mut().enumerate() {
        let (column, row) = (G[j % 4], G[j / 4]);
        for (y, row) in row.iter().enumerate() {
            for (x, column) in column.iter().enumerate() {
                *u += row * f64::from(w[3 * y + x]) * column;
            }
        }
    }
    u
}

/// How the weights of one layer lie in memory, in the order in which `kernel` reads them:
/// `[block of output channels][product][input word][output channel of the block]`.
///
/// Blocks have `kernel.outputs` channels; the last one has 4 where that is enough. Channels that fill up a word or a
/// block have weights of zero.
pub(super) fn pack_weights(conv: &Conv, n_words: usize, kernel: &Kernel) -> Words32 {
    let word_of = words(conv, kernel.channels);
    let n_out = padded(conv.n_out);
    let n_products = n_products(kernel.channels);
    let mut packed = Words32::new(n_products * n_words * n_out);
    let mut places = packed.iter_mut();
    for first in (0..n_out).step_by(kernel.outputs) {
        for product in 0..n_products {
            for word in 0..n_words {
                for output in first..n_out.min(first + kernel.outputs) {
                    let place = places
                        .next()
                        .expect("the buffer has a word for each weight");
                    *place = word_of(output, word, product);
                }
            }
        }
    }
    packed
}

/// The same weights for tiles, where lanes are channels: `[product][input word][output channel]`.
pub(super) fn pack_tile_weights(
    conv: &Conv,
    n_words: usize,
    n_channels: usize,
    kernel: &Kernel,
) -> Words32 {
    let word_of = words(conv, kernel.channels);
    let mut packed = Words32::new(n_products(kernel.channels) * n_words * n_channels);
    for (place, packed) in packed.iter_mut().enumerate() {
        let (line, output) = (place / n_channels, place % n_channels);
        *packed = word_of(output, line % n_words, line / n_words);
    }
    packed
}

/// The weight of an output channel, an input word and a product, as a word of one f32 or of two bf16; zero for channels that
/// there are not.
fn words(conv: &Conv, channels: usize) -> impl Fn(usize, usize, usize) -> u32 {
    let (n_in, n_out) = (conv.n_in, conv.n_out);
    let transformed: Vec<_> = conv
        .weights
        .chunks_exact(9)
        .map(transform_weights)
        .collect();
    let weight = move |output: usize, input: usize, product: usize| {
        if output < n_out && input < n_in {
            transformed[output * n_in + input][product]
        } else {
            0.0
        }
    };
    move |output, word, product| {
        if channels == 1 {
            return (weight(output, word, product) as f32).to_bits();
        }
        let half = |input| {
            // The inputs' factors of the centre come in the order rest, rounded, rounded.
            let (product, is_rest) = match product {
                0..=CENTRE => (product, false),
                6 => (CENTRE, true),
                _ => (product - 2, false),
            };
            let exact = weight(output, input, product);
            let rounded = bf16::from_f64(exact);
            let half = if is_rest {
                bf16::from_f64(exact - rounded.to_f64())
            } else {
                rounded
            };
            u32::from(half.to_bits())
        };
        half(2 * word) | half(2 * word + 1) << 16
    }
}

/// Output channels with those that fill up the last block.
pub(super) fn padded(n_out: usize) -> usize {
    n_out.next_multiple_of(4)
}
