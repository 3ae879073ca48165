//! On one thread: what measuring a 720p picture takes, and how many pairs of hashes are compared in a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use framewright_hash::{Fingerprint, Hash256, Index, Luma, Measurer, Query, Thresholds};

fn measuring(c: &mut Criterion) {
    let (width, height, stride) = (1280, 720, 1280);
    let data: Vec<u8> = (0..stride * height)
        .map(|i| ((i % stride) / 8 + i / stride / 8) as u8 + noise(i as u64) as u8 % 16)
        .collect();
    let luma = Luma {
        width,
        height,
        stride,
        data: &data,
        full_range: false,
    };
    let mut measurer = Measurer::new();
    let mut group = c.benchmark_group("1280x720");
    group.throughput(Throughput::Elements(1));
    group.bench_function("thumbnail", |b| {
        b.iter(|| measurer.see(&luma).thumbnail()[0]);
    });
    group.bench_function("fingerprint", |b| b.iter(|| measurer.fingerprint(&luma)));
    group.bench_function("fingerprint and mirrored", |b| {
        b.iter(|| {
            let mut seen = measurer.see(&luma);
            (seen.fingerprint(), seen.mirrored())
        });
    });
    group.bench_function("fingerprint and scores", |b| {
        b.iter(|| {
            let mut seen = measurer.see(&luma);
            (seen.fingerprint(), seen.scores())
        });
    });
}

fn searching(c: &mut Criterion) {
    const ENTRIES: usize = 100_000;
    let mut index = Index::new(Thresholds::NORMAL);
    (0..ENTRIES).for_each(|n| index.push(&random(n as u64)));
    let queries: Vec<Query> = (0..64).map(|n| random(u64::MAX - n).into()).collect();
    let mut group = c.benchmark_group("pairs of two hashes");
    group.throughput(Throughput::Elements((ENTRIES * queries.len()) as u64));
    group.bench_function("64 queries", |b| {
        b.iter(|| index.first_within_each(&queries));
    });
}

fn random(seed: u64) -> Fingerprint {
    let hash = |n: u64| {
        Hash256([0, 1, 2, 3].map(|word| noise(seed.wrapping_mul(8).wrapping_add(4 * n + word))))
    };
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

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = measuring, searching
}
criterion_main!(benches);
