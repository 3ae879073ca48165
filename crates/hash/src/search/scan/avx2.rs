//! A word of four entries in one vector; ones are counted in halves of bytes by a table of 16.

#![expect(unsafe_code, reason = "vector instructions")]

use core::arch::x86_64::{
    __m256i, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256, _mm256_cmpgt_epi64,
    _mm256_load_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_sad_epu8, _mm256_set1_epi8,
    _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi16, _mm256_xor_si256,
};

use super::{Block, Limits, Words};

/// # Safety
/// The processor has the features.
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn next_candidate(
    near: &[Block],
    far: &[Block],
    words: &Words,
    limits: Limits,
) -> Option<usize> {
    let near_words = words.near.map(|word| _mm256_set1_epi64x(word as i64));
    let far_words = words.far.map(|word| _mm256_set1_epi64x(word as i64));
    // one more than the limit: there is no "less or equal"
    let limits = [limits.dct, limits.dhash].map(|limit| _mm256_set1_epi64x(limit as i64 + 1));
    for (n, (near, far)) in near.iter().zip(far).enumerate() {
        let found = [
            distances(near, &near_words, 0),
            distances(near, &near_words, 4),
        ];
        if !is_within(&found, &limits) {
            continue;
        }
        let rest = [distances(far, &far_words, 0), distances(far, &far_words, 4)];
        let sum = |half: usize| {
            [0, 1].map(|hash: usize| _mm256_add_epi64(found[half][hash], rest[half][hash]))
        };
        if is_within(&[sum(0), sum(1)], &limits) {
            return Some(n);
        }
    }
    None
}

/// By both hashes, of the four entries from `lane` on.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn distances(block: &Block, words: &[__m256i; 4], lane: usize) -> [__m256i; 2] {
    let low = _mm256_set1_epi8(15);
    let table = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3,
        3, 4,
    );
    let bytes = |n: usize| {
        let lanes: &[u64; 4] = block.0[n][lane..].first_chunk().expect("lane is 0 or 4");
        // SAFETY: four words, half of the eight that are aligned to 64 bytes.
        let lanes = unsafe { _mm256_load_si256(lanes.as_ptr().cast()) };
        let bits = _mm256_xor_si256(lanes, words[n]);
        let lower = _mm256_shuffle_epi8(table, _mm256_and_si256(bits, low));
        let upper = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(bits), low));
        _mm256_add_epi8(lower, upper)
    };
    let sum = |n: usize| {
        _mm256_sad_epu8(
            _mm256_add_epi8(bytes(n), bytes(n + 1)),
            _mm256_setzero_si256(),
        )
    };
    [sum(0), sum(2)]
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn is_within(found: &[[__m256i; 2]; 2], limits: &[__m256i; 2]) -> bool {
    let within = |half: usize| {
        _mm256_or_si256(
            _mm256_cmpgt_epi64(limits[0], found[half][0]),
            _mm256_cmpgt_epi64(limits[1], found[half][1]),
        )
    };
    _mm256_movemask_epi8(_mm256_or_si256(within(0), within(1))) != 0
}
