//! The few vector operations the kernels are made of, once for each instruction set.
//!
//! A kernel is written once, generic over these traits, as `#[inline(always)]` functions; `kernel.rs` compiles it once for
//! each instruction set inside a function that enables it.

#![expect(
    unsafe_code,
    reason = "declares the operations, which are instructions"
)]

/// The methods of the traits below, without the words that are the same for each.
macro_rules! methods {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? { $($body:tt)* })*) => {$(
        $(#[$attribute])*
        #[inline(always)]
        unsafe fn $name($($argument: $type),*) $(-> $result)? {
            #[allow(unused_unsafe, reason = "some bodies are plain arithmetic")]
            // SAFETY: the caller's: the instruction set is there, and pointers are good for a whole vector.
            unsafe { $($body)* }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;

/// Vectors of f32.
///
/// # Safety
/// Every function may only be called where the processor has the instruction set, and only from a function compiled
/// for it if it is to be fast. `load` and `store` need as many readable or writable values as there are lanes.
pub(super) trait Simd {
    /// Values in a vector.
    const LANES: usize;
    /// Vectors of tiles, and output channels, that a product keeps in registers.
    const TILE_VECTORS: usize;
    const OUTPUTS: usize;
    /// Vectors of output channels that it keeps there where lanes are channels (`tiles.rs`).
    const OUTPUT_VECTORS: usize;
    type F: Copy;

    /// Brings the cache line at `address`, which need not be readable, near.
    unsafe fn prefetch(address: *const u8);
    unsafe fn zero() -> Self::F;
    unsafe fn splat(value: f32) -> Self::F;
    unsafe fn load(from: *const f32) -> Self::F;
    unsafe fn store(to: *mut f32, values: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    /// Negative values times `slope`; NaN stays NaN.
    unsafe fn prelu(values: Self::F, slope: Self::F) -> Self::F;
    /// The first `n` lanes, which may be more than there are, and zeros.
    unsafe fn first(values: Self::F, n: usize) -> Self::F;
}

/// How activations lie in a row.
///
/// # Safety
/// As for [`Simd`]; pointers are good for [`Simd::LANES`] activations.
pub(super) trait Activation {
    type S: Simd;
    /// Bytes of one activation.
    const SIZE: usize;

    unsafe fn load(from: *const u8) -> <Self::S as Simd>::F;
    /// Rounds to nearest even.
    unsafe fn store(to: *mut u8, values: <Self::S as Simd>::F);
    /// Stores them as [`store`](Self::store) does, and says whether any bit there changed.
    unsafe fn replace(to: *mut u8, values: <Self::S as Simd>::F) -> bool;
}

/// Sums of products of 32-bit words, each the value of one channel in f32 or of two neighbouring channels in bf16.
///
/// # Safety
/// As for [`Simd`].
pub(super) trait Products {
    type S: Simd;
    /// Channels in a word: 1 or 2.
    const CHANNELS: usize;
    type W: Copy;

    unsafe fn load(from: *const u32) -> Self::W;
    /// `sum` + the word at `factor` × `words`, channel by channel. Which of the two is called the factor does not matter
    /// to any bit.
    unsafe fn multiply_add(
        sum: <Self::S as Simd>::F,
        factor: *const u32,
        words: Self::W,
    ) -> <Self::S as Simd>::F;
}

/// Words made of activations.
///
/// # Safety
/// As for [`Simd`].
pub(super) trait Words: Products {
    unsafe fn store(to: *mut u32, words: Self::W);
    /// The words of the channels `low` and `high`, where lanes are tiles. Rounds to nearest even; `high` is ignored where a
    /// word has one channel.
    unsafe fn pack(low: <Self::S as Simd>::F, high: <Self::S as Simd>::F) -> Self::W;
    /// What rounding took from `low` and `high`, rounded itself.
    unsafe fn rest(
        low: <Self::S as Simd>::F,
        high: <Self::S as Simd>::F,
        packed: Self::W,
    ) -> Self::W;
    /// [`pack`](Self::pack) where lanes are channels: the words of those of `low`, then of those of `high`.
    unsafe fn pack_channels(low: <Self::S as Simd>::F, high: <Self::S as Simd>::F) -> Self::W;
    /// [`rest`](Self::rest) of such words.
    unsafe fn rest_of_channels(
        low: <Self::S as Simd>::F,
        high: <Self::S as Simd>::F,
        packed: Self::W,
    ) -> Self::W;
}
