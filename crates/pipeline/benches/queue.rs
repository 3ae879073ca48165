//! What it costs to move one item: source → sink, and source → `par_map` of two workers → sink. Target: ≤ 15 µs.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use framewright_pipeline::{Control, Rx, Stages, run};

const ITEMS: u64 = 20_000;

fn move_items(through: impl FnOnce(&Stages<'_>, Rx<u64>) -> Rx<u64>) {
    let mut numbers = 0..ITEMS;
    let mut sum = 0;
    run(&Control::new(), |p| {
        let numbers = p.source("source", 4, || Ok(numbers.next()));
        p.sink("sink", through(p, numbers), |rx| {
            while let Some(n) = rx.recv()? {
                sum += n;
            }
            Ok(())
        });
    })
    .expect("nothing fails");
    assert_eq!(sum, ITEMS * (ITEMS - 1) / 2);
}

fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    group
        .throughput(Throughput::Elements(ITEMS))
        .sample_size(10);
    group.bench_function("source → sink", |b| b.iter(|| move_items(|_, rx| rx)));
    group.bench_function("source → par_map(2) → sink", |b| {
        b.iter(|| move_items(|p, rx| p.par_map("work", 4, rx, vec![(), ()], |(), n| Ok(n))));
    });
    group.bench_function("source → par_map_unordered(2) → sink", |b| {
        b.iter(|| {
            move_items(|p, rx| p.par_map_unordered("work", 4, rx, vec![(), ()], |(), n| Ok(n)));
        });
    });
    group.finish();
}

criterion_group!(benches, queue);
criterion_main!(benches);
