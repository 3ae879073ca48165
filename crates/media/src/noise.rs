//! Numbers for tests: any, and always the same.

/// Numbers below 2³¹ that repeat after a very long time.
pub(crate) fn noise(mut seed: u64) -> impl Iterator<Item = u64> {
    std::iter::repeat_with(move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    })
}
