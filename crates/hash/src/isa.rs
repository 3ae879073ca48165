//! The instruction sets the inner loops are compiled for, and which of them this machine has.
//!
//! Invariant: a value other than `Portable` exists only where [`Isa::available`] has seen the features, so calling the
//! functions compiled for it is sound. Invariant: all of them run the same source on integers, so all give the same bits.

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isa {
    /// What the target has at least: SSE2 on x86-64, NEON on aarch64.
    Portable,
    /// Vectors of 256 bits; a population count of 64 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Vectors of 512 bits with a population count in each of 8 words: Ice Lake and Zen 4 have it.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// All that this machine has, the widest last.
    pub(crate) fn available() -> impl DoubleEndedIterator<Item = Self> {
        let found = [
            Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            has_avx2().then_some(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            (has_avx2() && has_avx512()).then_some(Self::Avx512),
        ];
        found.into_iter().flatten()
    }

    /// The widest that this machine has.
    pub(crate) fn best() -> Self {
        Self::available()
            .next_back()
            .expect("the portable one is always there")
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f")
        && has!("avx512bw")
        && has!("avx512dq")
        && has!("avx512vl")
        && has!("avx512vpopcntdq")
}

/// Defines `$name`, which runs the inlined function `$body` compiled for an [`Isa`].
macro_rules! for_every_isa {
    ($(#[$meta:meta])* $visibility:vis $name:ident, $body:ident, ($($arg:ident: $type:ty),*) $(-> $result:ty)?) => {
        $(#[$meta])*
        #[expect(unsafe_code, reason = "calls of functions compiled for features that were found")]
        $visibility fn $name(isa: $crate::isa::Isa, $($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,popcnt")]
            fn avx2($($arg: $type),*) $(-> $result)? {
                $body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
            fn avx512($($arg: $type),*) $(-> $result)? {
                $body($($arg),*)
            }
            match isa {
                $crate::isa::Isa::Portable => $body($($arg),*),
                // SAFETY: this value exists only on a machine that has the features.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(crate) use for_every_isa;
