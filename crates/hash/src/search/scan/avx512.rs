//! A word of eight entries in one vector, with a population count of its own.

#![expect(unsafe_code, reason = "vector instructions")]

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_cmple_epu64_mask, _mm512_load_si512, _mm512_popcnt_epi64,
    _mm512_set1_epi64, _mm512_xor_si512,
};

use super::{Block, Limits, Words};

/// # Safety
/// The processor has the features.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
pub(super) unsafe fn next_candidate(
    near: &[Block],
    far: &[Block],
    words: &Words,
    limits: Limits,
) -> Option<usize> {
    let near_words = words.near.map(|word| _mm512_set1_epi64(word as i64));
    let far_words = words.far.map(|word| _mm512_set1_epi64(word as i64));
    let (dct_limit, dhash_limit) = (
        _mm512_set1_epi64(limits.dct as i64),
        _mm512_set1_epi64(limits.dhash as i64),
    );
    for (n, (near, far)) in near.iter().zip(far).enumerate() {
        let (dct, dhash) = distances(near, &near_words);
        if (_mm512_cmple_epu64_mask(dct, dct_limit) | _mm512_cmple_epu64_mask(dhash, dhash_limit))
            == 0
        {
            continue;
        }
        let (far_dct, far_dhash) = distances(far, &far_words);
        let (dct, dhash) = (
            _mm512_add_epi64(dct, far_dct),
            _mm512_add_epi64(dhash, far_dhash),
        );
        if (_mm512_cmple_epu64_mask(dct, dct_limit) | _mm512_cmple_epu64_mask(dhash, dhash_limit))
            != 0
        {
            return Some(n);
        }
    }
    None
}

#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn distances(block: &Block, words: &[__m512i; 4]) -> (__m512i, __m512i) {
    let ones = |n: usize| {
        // SAFETY: the eight words are in the block, which is aligned to 64 bytes.
        let lanes = unsafe { _mm512_load_si512(block.0[n].as_ptr().cast()) };
        _mm512_popcnt_epi64(_mm512_xor_si512(lanes, words[n]))
    };
    (
        _mm512_add_epi64(ones(0), ones(1)),
        _mm512_add_epi64(ones(2), ones(3)),
    )
}
