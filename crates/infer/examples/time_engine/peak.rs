//! What the processor can do at most: multiply-add loops that touch registers only.
//!
//! Engines are measured against this, not against a data sheet: clocks under wide vectors differ from machine to
//! machine, and a virtual processor may be half a core.

#![expect(unsafe_code, reason = "vector instructions")]

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// How long one loop runs, how often; the best counts, since other work can only slow it.
const DURATION: Duration = Duration::from_millis(100);
const REPEATS: usize = 3;

/// A loop of so many iterations, and the floating-point operations of one; a multiply-add is two.
struct Loop {
    run: fn(iterations: u64),
    operations: u64,
}

/// GFLOP/s of fp32 multiply-adds on `threads` threads; none where no loop is written for this processor.
pub fn fp32(threads: usize) -> Option<f64> {
    best(threads, &x86::fp32()?)
}

/// GFLOP/s of bf16 products with sums in fp32; none where the processor has no such instruction.
pub fn bf16(threads: usize) -> Option<f64> {
    best(threads, &x86::bf16()?)
}

fn best(threads: usize, loop_: &Loop) -> Option<f64> {
    let rates = (0..REPEATS).map(|_| measure(threads, loop_));
    rates.max_by(f64::total_cmp)
}

/// GFLOP/s of all threads together, started at the same time.
#[expect(
    clippy::disallowed_methods,
    reason = "measures threads, has no pipeline"
)]
fn measure(threads: usize, loop_: &Loop) -> f64 {
    // Between two looks at the clock: some microseconds.
    const ITERATIONS: u64 = 1000;
    let barrier = Barrier::new(threads);
    let work = || {
        barrier.wait();
        let start = Instant::now();
        let mut iterations = 0;
        while start.elapsed() < DURATION {
            (loop_.run)(ITERATIONS);
            iterations += ITERATIONS;
        }
        (iterations * loop_.operations) as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let rates = workers
            .into_iter()
            .map(|worker| worker.join().expect("arithmetic does not panic"));
        rates.sum()
    })
}

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    //! No loops for other processors.

    use super::Loop;

    pub(super) fn fp32() -> Option<Loop> {
        None
    }

    pub(super) fn bf16() -> Option<Loop> {
        None
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The loops: as many independent sums as hide the latency of the instruction on two ports, and no more than stay
    //! in registers with the two factors.

    use core::arch::x86_64::{
        __m512bh, _mm256_fmadd_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm512_dpbf16_ps,
        _mm512_fmadd_ps, _mm512_set1_epi16, _mm512_set1_ps, _mm512_setzero_ps,
    };
    use std::hint::black_box;
    use std::mem::transmute;

    use super::Loop;

    /// Sums of the AVX-512 loops, of 32 registers, and of the AVX2 loop, of 16.
    const SUMS_512: usize = 20;
    const SUMS_256: usize = 12;

    pub(super) fn fp32() -> Option<Loop> {
        if is_x86_feature_detected!("avx512f") {
            return Some(Loop {
                // SAFETY: AVX-512 F was found.
                run: |iterations| unsafe { fma_512(iterations) },
                operations: SUMS_512 as u64 * 16 * 2,
            });
        }
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Loop {
            // SAFETY: AVX2 and FMA were found.
            run: |iterations| unsafe { fma_256(iterations) },
            operations: SUMS_256 as u64 * 8 * 2,
        })
    }

    pub(super) fn bf16() -> Option<Loop> {
        let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
        found.then_some(Loop {
            // SAFETY: AVX-512 F and BF16 were found.
            run: |iterations| unsafe { dot_512(iterations) },
            // Each instruction adds two products to each of 16 sums.
            operations: SUMS_512 as u64 * 16 * 2 * 2,
        })
    }

    #[target_feature(enable = "avx512f")]
    fn fma_512(iterations: u64) {
        let (a, b) = black_box((_mm512_set1_ps(0.5), _mm512_set1_ps(0.25)));
        let mut sums = [_mm512_setzero_ps(); SUMS_512];
        for _ in 0..iterations {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(a, b, *sum);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    fn fma_256(iterations: u64) {
        let (a, b) = black_box((_mm256_set1_ps(0.5), _mm256_set1_ps(0.25)));
        let mut sums = [_mm256_setzero_ps(); SUMS_256];
        for _ in 0..iterations {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(a, b, *sum);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn dot_512(iterations: u64) {
        // 0.5 in bf16, the upper half of an f32.
        let half = _mm512_set1_epi16((0.5_f32.to_bits() >> 16) as i16);
        // SAFETY: both are 512 bits, and every pattern of bits is a bf16 number.
        let half: __m512bh = unsafe { transmute(half) };
        let (a, b) = black_box((half, half));
        let mut sums = [_mm512_setzero_ps(); SUMS_512];
        for _ in 0..iterations {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, a, b);
            }
        }
        black_box(sums);
    }
}
