//! Plain Rust in groups of four, which every compiler target turns into its smallest vectors.

#![expect(
    unsafe_code,
    reason = "loads and stores by pointer, as the trait has them"
)]

use super::{Activation, Products, Simd, Words};

pub(in super::super) struct Portable;

type Four = [f32; 4];

impl Simd for Portable {
    const LANES: usize = 4;
    const TILE_VECTORS: usize = 2;
    const OUTPUTS: usize = 4;
    const OUTPUT_VECTORS: usize = 2;
    type F = Four;

    methods! {
        fn prefetch(_address: *const u8) {

        }

        fn zero() -> Four {
            [0.0; 4]
        }

        fn splat(value: f32) -> Four {
            [value; 4]
        }

        fn load(from: *const f32) -> Four {
            from.cast::<Four>().read_unaligned()
        }

        fn store(to: *mut f32, values: Four) {
            to.cast::<Four>().write_unaligned(values)
        }

        fn add(a: Four, b: Four) -> Four {
            [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
        }

        fn sub(a: Four, b: Four) -> Four {
            [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
        }

        fn prelu(values: Four, slope: Four) -> Four {
            let mut result = values;
            for lane in 0..4 {
                if values[lane] < 0.0 {
                    result[lane] = values[lane] * slope[lane];
                }
            }
            result
        }

        fn first(values: Four, n: usize) -> Four {
            let mut result = values;
            for (lane, value) in result.iter_mut().enumerate() {
                if lane >= n {
                    *value = 0.0;
                }
            }
            result
        }
    }
}

/// Activations in f32.
pub(in super::super) struct F32;

impl Activation for F32 {
    type S = Portable;
    const SIZE: usize = 4;

    methods! {
        fn load(from: *const u8) -> Four {
            Portable::load(from.cast())
        }

        fn store(to: *mut u8, values: Four) {
            Portable::store(to.cast(), values);
        }

        fn replace(to: *mut u8, values: Four) -> bool {
            let before = Portable::load(to.cast());
            Portable::store(to.cast(), values);
            before.map(f32::to_bits) != values.map(f32::to_bits)
        }
    }
}

/// One channel in f32.
pub(in super::super) struct Fp32;

impl Products for Fp32 {
    type S = Portable;
    const CHANNELS: usize = 1;
    type W = Four;

    methods! {
        fn load(from: *const u32) -> Four {
            from.cast::<Four>().read_unaligned()
        }

        fn multiply_add(sum: Four, factor: *const u32, words: Four) -> Four {
            let factor = f32::from_bits(factor.read());
            // Not `mul_add`: where the instruction is not known to exist it is a call of a function.
            [
                sum[0] + factor * words[0],
                sum[1] + factor * words[1],
                sum[2] + factor * words[2],
                sum[3] + factor * words[3],
            ]
        }
    }
}

impl Words for Fp32 {
    methods! {
        fn store(to: *mut u32, words: Four) {
            to.cast::<Four>().write_unaligned(words)
        }

        fn pack(low: Four, _high: Four) -> Four {
            low
        }

        fn rest(_low: Four, _high: Four, _packed: Four) -> Four {
            Self::S::zero()
        }

        fn pack_channels(low: Four, _high: Four) -> Four {
            low
        }

        fn rest_of_channels(_low: Four, _high: Four, _packed: Four) -> Four {
            Self::S::zero()
        }
    }
}
