//! One sample in memory: a byte, a little-endian `u16`, or a little-endian `f32`.
//!
//! Invariant: no alignment is assumed; a plane is bytes.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is compiled for the caller's instruction set"
)]

/// The bytes of one sample.
pub(super) trait Sample: Copy {
    /// The whole samples in `bytes`.
    fn row(bytes: &[u8]) -> &[Self];

    /// The whole samples in `bytes`, to write.
    fn row_mut(bytes: &mut [u8]) -> &mut [Self];

    /// The code as it is.
    fn load(self) -> f32;

    /// The nearest code in 0..=`max`; NaN counts as 0. Unquantised samples take `code` as it is.
    fn store(code: f32, max: f32) -> Self;
}

impl Sample for [u8; 1] {
    #[inline(always)]
    fn row(bytes: &[u8]) -> &[Self] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn row_mut(bytes: &mut [u8]) -> &mut [Self] {
        bytes.as_chunks_mut().0
    }

    #[inline(always)]
    fn load(self) -> f32 {
        f32::from(self[0])
    }

    #[inline(always)]
    fn store(code: f32, max: f32) -> Self {
        [round(code, max) as u8]
    }
}

impl Sample for [u8; 2] {
    #[inline(always)]
    fn row(bytes: &[u8]) -> &[Self] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn row_mut(bytes: &mut [u8]) -> &mut [Self] {
        bytes.as_chunks_mut().0
    }

    #[inline(always)]
    fn load(self) -> f32 {
        f32::from(u16::from_le_bytes(self))
    }

    #[inline(always)]
    fn store(code: f32, max: f32) -> Self {
        (round(code, max) as u16).to_le_bytes()
    }
}

impl Sample for [u8; 4] {
    #[inline(always)]
    fn row(bytes: &[u8]) -> &[Self] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn row_mut(bytes: &mut [u8]) -> &mut [Self] {
        bytes.as_chunks_mut().0
    }

    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_le_bytes(self)
    }

    #[inline(always)]
    fn store(code: f32, _max: f32) -> Self {
        code.to_le_bytes()
    }
}

/// `value` within `low..=high`, NaN as `low`: the comparisons are those of one `max` and one `min` instruction.
#[inline(always)]
pub(super) fn clamp(value: f32, low: f32, high: f32) -> f32 {
    let value = if value > low { value } else { low };
    if value < high { value } else { high }
}

/// The nearest whole number in 0..=`max` (at most 65535), ties to even.
///
/// At 2²³ the step between floats is 1: the addition rounds, and the sum's low bits are the number. A cast from float
/// would have to look for NaN and overflow once more.
#[inline(always)]
fn round(code: f32, max: f32) -> u32 {
    (clamp(code, 0.0, max) + 8_388_608.0).to_bits()
}
