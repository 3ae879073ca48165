//! AVX-512: sixteen lanes, thirty-two registers; bf16 products with AVX512-BF16.

#![expect(unsafe_code, reason = "vector instructions")]

use core::arch::x86_64::{
    __m512, __m512bh, __m512i, _CMP_LT_OQ, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_prefetch,
    _mm256_loadu_si256, _mm256_storeu_si256, _mm512_add_ps, _mm512_and_si512, _mm512_castsi512_ps,
    _mm512_cmp_ps_mask, _mm512_cvtne2ps_pbh, _mm512_cvtph_ps, _mm512_cvtps_ph, _mm512_dpbf16_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_mul_ps, _mm512_maskz_mov_ps,
    _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_slli_epi32, _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps,
};

use super::{Activation, Simd, Words};

pub(in super::super) struct Avx512;

impl Simd for Avx512 {
    const LANES: usize = 16;
    const TILE_VECTORS: usize = 3;
    const OUTPUTS: usize = 8;
    type F = __m512;

    methods! {
        fn prefetch(address: *const u8) {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }

        fn zero() -> __m512 {
            _mm512_setzero_ps()
        }

        fn splat(value: f32) -> __m512 {
            _mm512_set1_ps(value)
        }

        fn load(from: *const f32) -> __m512 {
            _mm512_loadu_ps(from)
        }

        fn store(to: *mut f32, values: __m512) {
            _mm512_storeu_ps(to, values)
        }

        fn add(a: __m512, b: __m512) -> __m512 {
            _mm512_add_ps(a, b)
        }

        fn sub(a: __m512, b: __m512) -> __m512 {
            _mm512_sub_ps(a, b)
        }

        fn prelu(values: __m512, slope: __m512) -> __m512 {
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(values, _mm512_setzero_ps());
            _mm512_mask_mul_ps(values, negative, values, slope)
        }

        fn first(values: __m512, n: usize) -> __m512 {
            _mm512_maskz_mov_ps(((1_u32 << n.min(16)) - 1) as u16, values)
        }
    }
}

/// Activations in f32.
pub(in super::super) struct F32;

impl Activation for F32 {
    type S = Avx512;
    const SIZE: usize = 4;

    methods! {
        fn load(from: *const u8) -> __m512 {
            Avx512::load(from.cast())
        }

        fn store(to: *mut u8, values: __m512) {
            Avx512::store(to.cast(), values);
        }
    }
}

/// Activations in f16: half the memory of f32, and an eighth of the rounding error of bf16.
pub(in super::super) struct F16;

impl Activation for F16 {
    type S = Avx512;
    const SIZE: usize = 2;

    methods! {
        fn load(from: *const u8) -> __m512 {
            _mm512_cvtph_ps(_mm256_loadu_si256(from.cast()))
        }

        fn store(to: *mut u8, values: __m512) {
            let rounded = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values);
            _mm256_storeu_si256(to.cast(), rounded);
        }
    }
}

/// One channel in f32.
pub(in super::super) struct Fp32;

impl Words for Fp32 {
    type S = Avx512;
    const CHANNELS: usize = 1;
    type W = __m512;

    methods! {
        fn load(from: *const u32) -> __m512 {
            _mm512_loadu_ps(from.cast())
        }

        fn store(to: *mut u32, words: __m512) {
            _mm512_storeu_ps(to.cast(), words)
        }

        fn pack(low: __m512, _high: __m512) -> __m512 {
            low
        }

        fn rest(_low: __m512, _high: __m512, _packed: __m512) -> __m512 {
            Self::S::zero()
        }

        fn multiply_add(sum: __m512, weight: *const u32, words: __m512) -> __m512 {
            _mm512_fmadd_ps(_mm512_set1_ps(weight.cast::<f32>().read()), words, sum)
        }
    }
}

/// Two channels in bf16, the first in the lower half.
pub(in super::super) struct Bf16;

impl Words for Bf16 {
    type S = Avx512;
    const CHANNELS: usize = 2;
    type W = __m512i;

    methods! {
        fn load(from: *const u32) -> __m512i {
            _mm512_loadu_si512(from.cast())
        }

        fn store(to: *mut u32, words: __m512i) {
            _mm512_storeu_si512(to.cast(), words)
        }

        fn pack(low: __m512, high: __m512) -> __m512i {
            let halves: __m512i = core::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            _mm512_permutexvar_epi16(_mm512_loadu_si512(PAIRS.as_ptr().cast()), halves)
        }

        fn rest(low: __m512, high: __m512, packed: __m512i) -> __m512i {
            // A bf16 number is the upper half of an f32.
            let rounded_low = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(packed));
            let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            let rounded_high = _mm512_castsi512_ps(_mm512_and_si512(packed, upper));
            Self::pack(_mm512_sub_ps(low, rounded_low), _mm512_sub_ps(high, rounded_high))
        }

        fn multiply_add(sum: __m512, weight: *const u32, words: __m512i) -> __m512 {
            let weights = _mm512_set1_epi32(weight.read() as i32);
            _mm512_dpbf16_ps(sum, core::mem::transmute::<__m512i, __m512bh>(weights), core::mem::transmute::<__m512i, __m512bh>(words))
        }
    }
}

/// `0 16 1 17 …`: brings two halves of sixteen 16-bit numbers into pairs.
static PAIRS: [u16; 32] = {
    let mut pairs = [0; 32];
    let mut i = 0;
    while i < 16 {
        pairs[2 * i] = i as u16;
        pairs[2 * i + 1] = 16 + i as u16;
        i += 1;
    }
    pairs
};
