//! Leader clustering of hashes that all differ, the longest case: every one is compared with all before it.
//!
//! ```text
//! cargo run --release -p framewright-hash --example all_pairs -- [HASHES] [THREADS]
//! ```
//! Prints the pairs compared in a second, and what 10⁶ hashes take, measured or computed from it.

#![expect(clippy::print_stdout, reason = "a tool that prints its result")]

use std::time::Instant;

use framewright_hash::{Fingerprint, Hash256, Leaders, Query, Thresholds};

const BATCH: usize = 4096;
const PIECE: usize = 64;

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().expect("a number"));
    let hashes: usize = args.next().unwrap_or(100_000);
    let threads: usize = args.next().unwrap_or(1);
    let start = Instant::now();
    let mut leaders = Leaders::new(Thresholds::NORMAL);
    let queries: Vec<Query> = (0..hashes as u64).map(|n| random(n).into()).collect();
    for batch in queries.chunks(BATCH) {
        let mut found = search(&leaders, batch, threads);
        leaders.settle(batch, &mut found);
    }
    let secs = start.elapsed().as_secs_f64();
    let pairs = hashes as f64 * (hashes as f64 - 1.0) / 2.0;
    println!(
        "{hashes} hashes, {} leaders, {threads} threads: {secs:.1} s, {:.2}·10⁹ pairs/s; 10⁶ hashes: {:.0} s",
        leaders.index().len(),
        pairs / secs / 1e9,
        secs * 5e11 / pairs
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "the caller's threads, which the library has not"
)]
fn search(
    leaders: &Leaders,
    batch: &[Query],
    threads: usize,
) -> Vec<Option<framewright_hash::Match>> {
    let pieces: Vec<&[Query]> = batch.chunks(PIECE).collect();
    let shares = pieces.chunks(pieces.len().div_ceil(threads));
    std::thread::scope(|scope| {
        let search = |share: &[&[Query]]| -> Vec<_> {
            let found = share
                .iter()
                .map(|piece| leaders.index().first_within_each(piece));
            found.flatten().collect()
        };
        let running: Vec<_> = shares
            .map(|share| scope.spawn(move || search(share)))
            .collect();
        let found = running
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        found.flatten().collect()
    })
}

fn random(seed: u64) -> Fingerprint {
    let hash = |n: u64| Hash256([0, 1, 2, 3].map(|word| noise(seed * 8 + 4 * n + word)));
    Fingerprint {
        dct: hash(0),
        dhash: hash(1),
        contrast: 40.0,
        brightness: 100.0,
    }
}

/// The mixing of `SplitMix64`.
fn noise(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}
