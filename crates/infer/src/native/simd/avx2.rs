//! AVX2 with FMA: eight lanes, sixteen registers, f32 only.

#![expect(unsafe_code, reason = "vector instructions")]

use core::arch::x86_64::{
    __m256, _CMP_LT_OQ, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_and_ps, _mm256_blendv_ps,
    _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi32,
    _mm256_cmpgt_epi32, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_movemask_epi8,
    _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_setzero_ps,
    _mm256_storeu_ps, _mm256_sub_ps,
};

use super::{Activation, Products, Simd, Words};

pub(in super::super) struct Avx2;

impl Simd for Avx2 {
    const LANES: usize = 8;
    const TILE_VECTORS: usize = 3;
    const OUTPUTS: usize = 4;
    const OUTPUT_VECTORS: usize = 2;
    type F = __m256;

    methods! {
        fn prefetch(address: *const u8) {
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }

        fn zero() -> __m256 {
            _mm256_setzero_ps()
        }

        fn splat(value: f32) -> __m256 {
            _mm256_set1_ps(value)
        }

        fn load(from: *const f32) -> __m256 {
            _mm256_loadu_ps(from)
        }

        fn store(to: *mut f32, values: __m256) {
            _mm256_storeu_ps(to, values)
        }

        fn add(a: __m256, b: __m256) -> __m256 {
            _mm256_add_ps(a, b)
        }

        fn sub(a: __m256, b: __m256) -> __m256 {
            _mm256_sub_ps(a, b)
        }

        fn prelu(values: __m256, slope: __m256) -> __m256 {
            let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(values, _mm256_setzero_ps());
            _mm256_blendv_ps(values, _mm256_mul_ps(values, slope), negative)
        }

        fn first(values: __m256, n: usize) -> __m256 {
            let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let keep = _mm256_cmpgt_epi32(_mm256_set1_epi32(n.min(8) as i32), lane);
            _mm256_and_ps(values, _mm256_castsi256_ps(keep))
        }
    }
}

/// Activations in f32.
pub(in super::super) struct F32;

impl Activation for F32 {
    type S = Avx2;
    const SIZE: usize = 4;

    methods! {
        fn load(from: *const u8) -> __m256 {
            Avx2::load(from.cast())
        }

        fn store(to: *mut u8, values: __m256) {
            Avx2::store(to.cast(), values);
        }

        fn replace(to: *mut u8, values: __m256) -> bool {
            let before = _mm256_loadu_si256(to.cast());
            Avx2::store(to.cast(), values);
            let same = _mm256_cmpeq_epi32(before, _mm256_castps_si256(values));
            _mm256_movemask_epi8(same) != -1
        }
    }
}

/// One channel in f32.
pub(in super::super) struct Fp32;

impl Products for Fp32 {
    type S = Avx2;
    const CHANNELS: usize = 1;
    type W = __m256;

    methods! {
        fn load(from: *const u32) -> __m256 {
            _mm256_loadu_ps(from.cast())
        }

        fn multiply_add(sum: __m256, factor: *const u32, words: __m256) -> __m256 {
            _mm256_fmadd_ps(_mm256_set1_ps(factor.cast::<f32>().read()), words, sum)
        }
    }
}

impl Words for Fp32 {
    methods! {
        fn store(to: *mut u32, words: __m256) {
            _mm256_storeu_ps(to.cast(), words)
        }

        fn pack(low: __m256, _high: __m256) -> __m256 {
            low
        }

        fn rest(_low: __m256, _high: __m256, _packed: __m256) -> __m256 {
            Self::S::zero()
        }

        fn pack_channels(low: __m256, _high: __m256) -> __m256 {
            low
        }

        fn rest_of_channels(_low: __m256, _high: __m256, _packed: __m256) -> __m256 {
            Self::S::zero()
        }
    }
}
