//! The instruction sets the conversions are compiled for, and which of them this machine has.
//!
//! Invariant: a value other than `Portable` exists only where [`Isa::available`] has seen the features, so calling the
//! functions compiled for it is sound.

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    /// What the target has at least: SSE2 on x86-64, NEON on aarch64.
    Portable,
    /// Vectors of 8 floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Vectors of 16 floats; F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// All that this machine has, the widest last.
    pub(super) fn available() -> impl DoubleEndedIterator<Item = Self> {
        let found = [
            Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            std::arch::is_x86_feature_detected!("avx2").then_some(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            has_avx512().then_some(Self::Avx512),
        ];
        found.into_iter().flatten()
    }

    /// The widest that this machine has.
    pub(super) fn best() -> Self {
        Self::available()
            .next_back()
            .expect("the portable one is always there")
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl")
}

/// Defines `$name`, which runs the inlined generic function `$body` compiled for an [`Isa`].
macro_rules! for_every_isa {
    ($name:ident, $body:ident, ($($arg:ident: $type:ty),*)) => {
        pub(super) fn $name<S: Sample>(isa: Isa, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2<S: Sample>($($arg: $type),*) {
                $body::<S>($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512<S: Sample>($($arg: $type),*) {
                $body::<S>($($arg),*);
            }
            match isa {
                Isa::Portable => $body::<S>($($arg),*),
                // SAFETY: this value exists only on a machine that has the features.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2::<S>($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512::<S>($($arg),*) },
            }
        }
    };
}
pub(super) use for_every_isa;
