//! The instruction sets the kernels are compiled for, and which of them this machine has.
//!
//! Invariant: a value other than `Portable` comes from [`Isa::available`] only, so the functions compiled for it may be
//! called.

use std::fmt;

use super::kernel::{self, Kernel};

/// A set of vector instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isa {
    /// What the target has at least: SSE2 on x86-64, NEON on aarch64.
    Portable,
    /// AVX2 and FMA: vectors of 8 floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL: vectors of 16 floats.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with BF16: products of 32 bf16 numbers as well.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

/// In what the products are computed; sums are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// Everything in f32.
    Fp32,
    /// Activations and weights in bf16, but for the first layer: its inputs, the picture's own levels, would lose most.
    Bf16,
}

impl Arithmetic {
    /// `fp32` or `bf16`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
        }
    }
}

/// One layer's function for each place in the network.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    pub(super) first: Kernel,
    pub(super) middle: Kernel,
    pub(super) last: Kernel,
}

impl Isa {
    /// All that this machine has, the best last.
    pub(crate) fn available() -> impl DoubleEndedIterator<Item = Self> {
        let found = [
            Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            has_avx2().then_some(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            has_avx512().then_some(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            (has_avx512() && std::arch::is_x86_feature_detected!("avx512bf16"))
                .then_some(Self::Avx512Bf16),
        ];
        found.into_iter().flatten()
    }

    /// The best that this machine has.
    pub(crate) fn best() -> Self {
        Self::available()
            .next_back()
            .expect("the portable one is always there")
    }

    /// The value of `FRAMEWRIGHT_ISA` that asks for it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => "avx512-bf16",
        }
    }

    /// True where bf16 products are one instruction.
    pub(crate) fn has_bf16(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => true,
            _ => false,
        }
    }

    /// The kernels of this instruction set, none where it lacks the arithmetic.
    pub(super) fn kernels(self, arithmetic: Arithmetic) -> Option<Kernels> {
        match (self, arithmetic) {
            (Self::Portable, Arithmetic::Fp32) => Some(kernel::PORTABLE),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, Arithmetic::Fp32) => Some(kernel::AVX2),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512 | Self::Avx512Bf16, Arithmetic::Fp32) => Some(kernel::AVX512),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512Bf16, Arithmetic::Bf16) => Some(kernel::AVX512_BF16),
            _ => None,
        }
    }
}

impl fmt::Display for Isa {
    /// As in plans and reports.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable code",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => "AVX-512 with BF16",
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("fma")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl")
}
