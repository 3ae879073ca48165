//! AVX-512: sixteen lanes, thirty-two registers; bf16 products with AVX512-BF16.

#![expect(unsafe_code, reason = "vector instructions")]

use core::arch::x86_64::{
    __m256, __m256bh, __m256i, __m512, __m512bh, __m512i, _CMP_LT_OQ, _MM_FROUND_TO_NEAREST_INT,
    _MM_HINT_T0, _mm_cmpneq_epi16_mask, _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128,
    _mm256_cmpneq_epi16_mask, _mm256_cvtph_ps, _mm256_cvtps_ph, _mm256_dpbf16_ps,
    _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256, _mm512_add_ps, _mm512_and_si512,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_castsi512_si256, _mm512_cmp_ps_mask,
    _mm512_cmpneq_epi32_mask, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh, _mm512_cvtph_ps,
    _mm512_cvtps_ph, _mm512_dpbf16_ps, _mm512_extracti64x4_epi64, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mask_mul_ps, _mm512_maskz_mov_ps, _mm512_permutexvar_epi16,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_sub_ps,
};

use super::avx2::Avx2;
use super::{Activation, Products, Simd, Words};

pub(in super::super) struct Avx512;

impl Simd for Avx512 {
    const LANES: usize = 16;
    const TILE_VECTORS: usize = 3;
    const OUTPUTS: usize = 8;
    const OUTPUT_VECTORS: usize = 4;
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

        fn replace(to: *mut u8, values: __m512) -> bool {
            let before = _mm512_loadu_si512(to.cast());
            Avx512::store(to.cast(), values);
            _mm512_cmpneq_epi32_mask(before, _mm512_castps_si512(values)) != 0
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

        fn replace(to: *mut u8, values: __m512) -> bool {
            let rounded = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values);
            let before = _mm256_loadu_si256(to.cast());
            _mm256_storeu_si256(to.cast(), rounded);
            _mm256_cmpneq_epi16_mask(before, rounded) != 0
        }
    }
}

/// One channel in f32.
pub(in super::super) struct Fp32;

impl Products for Fp32 {
    type S = Avx512;
    const CHANNELS: usize = 1;
    type W = __m512;

    methods! {
        fn load(from: *const u32) -> __m512 {
            _mm512_loadu_ps(from.cast())
        }

        fn multiply_add(sum: __m512, factor: *const u32, words: __m512) -> __m512 {
            _mm512_fmadd_ps(_mm512_set1_ps(factor.cast::<f32>().read()), words, sum)
        }
    }
}

impl Words for Fp32 {
    methods! {
        fn store(to: *mut u32, words: __m512) {
            _mm512_storeu_ps(to.cast(), words)
        }

        fn pack(low: __m512, _high: __m512) -> __m512 {
            low
        }

        fn rest(_low: __m512, _high: __m512, _packed: __m512) -> __m512 {
            Self::S::zero()
        }

        fn pack_channels(low: __m512, _high: __m512) -> __m512 {
            low
        }

        fn rest_of_channels(_low: __m512, _high: __m512, _packed: __m512) -> __m512 {
            Self::S::zero()
        }
    }
}

/// Two channels in bf16, the first in the lower half.
pub(in super::super) struct Bf16;

impl Products for Bf16 {
    type S = Avx512;
    const CHANNELS: usize = 2;
    type W = __m512i;

    methods! {
        fn load(from: *const u32) -> __m512i {
            _mm512_loadu_si512(from.cast())
        }

        fn multiply_add(sum: __m512, factor: *const u32, words: __m512i) -> __m512 {
            let factors = _mm512_set1_epi32(factor.read() as i32);
            _mm512_dpbf16_ps(sum, core::mem::transmute::<__m512i, __m512bh>(factors), core::mem::transmute::<__m512i, __m512bh>(words))
        }
    }
}

impl Words for Bf16 {
    methods! {
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

        fn pack_channels(low: __m512, high: __m512) -> __m512i {
            core::mem::transmute(_mm512_cvtne2ps_pbh(high, low))
        }

        fn rest_of_channels(low: __m512, high: __m512, packed: __m512i) -> __m512i {
            let low_halves = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(packed));
            let high_halves = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(packed));
            let rounded_low = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(low_halves));
            let rounded_high = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(high_halves));
            Self::pack_channels(_mm512_sub_ps(low, rounded_low), _mm512_sub_ps(high, rounded_high))
        }
    }
}

/// Activations in f16, eight at a time.
pub(in super::super) struct HalfF16;

impl Activation for HalfF16 {
    type S = Avx2;
    const SIZE: usize = 2;

    methods! {
        fn load(from: *const u8) -> __m256 {
            _mm256_cvtph_ps(_mm_loadu_si128(from.cast()))
        }

        fn store(to: *mut u8, values: __m256) {
            _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values));
        }

        fn replace(to: *mut u8, values: __m256) -> bool {
            let rounded = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values);
            let before = _mm_loadu_si128(to.cast());
            _mm_storeu_si128(to.cast(), rounded);
            _mm_cmpneq_epi16_mask(before, rounded) != 0
        }
    }
}

/// [`Bf16`] in vectors of eight words.
pub(in super::super) struct HalfBf16;

impl Products for HalfBf16 {
    type S = Avx2;
    const CHANNELS: usize = 2;
    type W = __m256i;

    methods! {
        fn load(from: *const u32) -> __m256i {
            _mm256_loadu_si256(from.cast())
        }

        fn multiply_add(sum: __m256, factor: *const u32, words: __m256i) -> __m256 {
            let factors = _mm256_set1_epi32(factor.read() as i32);
            _mm256_dpbf16_ps(sum, core::mem::transmute::<__m256i, __m256bh>(factors), core::mem::transmute::<__m256i, __m256bh>(words))
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
