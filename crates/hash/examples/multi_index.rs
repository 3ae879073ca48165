//! Whether multi-index hashing would be faster than the flat scan: 16 tables by 16 bits of the DCT hash each. A hash
//! within `d` bits is within `d / 16` bits in one of them, so all values that near are looked up in each table.
//!
//! ```text
//! cargo run --release -p framewright-hash --example multi_index -- [HASHES]
//! ```
//! The tables are as good as they get: made once, no hashing, random hashes (real ones crowd in few places), and only one
//! of the two hashes is searched, where the scan does both.

#![expect(clippy::print_stdout, reason = "a tool that prints its result")]

use std::hint::black_box;
use std::time::Instant;

use framewright_hash::{Fingerprint, Hash256, Index, Query, Thresholds};

const SLOTS: usize = 16;
const QUERIES: usize = 64;

/// For each value of 16 bits where its entries begin, and the entries by value.
struct Table {
    starts: Vec<u32>,
    entries: Vec<u32>,
}

fn main() {
    let hashes: usize = std::env::args()
        .nth(1)
        .map_or(100_000, |arg| arg.parse().expect("a number"));
    let all: Vec<Hash256> = (0..hashes as u64).map(random).collect();
    let queries: Vec<Hash256> = (0..QUERIES as u64)
        .map(|n| random(u64::MAX / 8 - n))
        .collect();
    let tables: Vec<Table> = (0..SLOTS).map(|slot| table(&all, slot)).collect();
    for (name, rules) in [
        ("strict", Thresholds::STRICT),
        ("normal", Thresholds::NORMAL),
    ] {
        let mut index = Index::new(rules);
        for hash in &all {
            index.push(&print(*hash));
        }
        let asked: Vec<Query> = queries.iter().map(|hash| print(*hash).into()).collect();
        let start = Instant::now();
        black_box(index.first_within_each(&asked));
        let flat = start.elapsed().as_secs_f64() / QUERIES as f64;

        let masks = masks(rules.dct / SLOTS as u32);
        let (start, mut candidates) = (Instant::now(), 0);
        for query in &queries {
            candidates += black_box(lookup(&tables, &all, query, &masks, rules.dct)).1;
        }
        let tables = start.elapsed().as_secs_f64() / QUERIES as f64;
        println!(
            "{name}, {hashes} hashes: flat scan {:.3} ms, tables {:.3} ms a query ({} lookups, {} candidates)",
            flat * 1e3,
            tables * 1e3,
            SLOTS * masks.len(),
            candidates / QUERIES
        );
    }
}

/// The first entry within the threshold, and how many were looked at.
fn lookup(
    tables: &[Table],
    all: &[Hash256],
    query: &Hash256,
    masks: &[u16],
    threshold: u32,
) -> (Option<u32>, usize) {
    let (mut first, mut candidates) = (None, 0);
    for (slot, table) in tables.iter().enumerate() {
        for mask in masks {
            let value = usize::from(part(query, slot) ^ mask);
            let entries =
                &table.entries[table.starts[value] as usize..table.starts[value + 1] as usize];
            candidates += entries.len();
            for &entry in entries {
                if all[entry as usize].distance(query) <= threshold {
                    first = Some(first.map_or(entry, |first: u32| first.min(entry)));
                }
            }
        }
    }
    (first, candidates)
}

/// All values with at most so many bits.
fn masks(bits: u32) -> Vec<u16> {
    (0..=u16::MAX)
        .filter(|value| value.count_ones() <= bits)
        .collect()
}

fn table(all: &[Hash256], slot: usize) -> Table {
    let mut starts = vec![0_u32; (1 << 16) + 1];
    for hash in all {
        starts[usize::from(part(hash, slot)) + 1] += 1;
    }
    for value in 0..1 << 16 {
        starts[value + 1] += starts[value];
    }
    let (mut next, mut entries) = (starts.clone(), vec![0; all.len()]);
    for (entry, hash) in all.iter().enumerate() {
        let place = &mut next[usize::from(part(hash, slot))];
        entries[*place as usize] = entry as u32;
        *place += 1;
    }
    Table { starts, entries }
}

fn part(hash: &Hash256, slot: usize) -> u16 {
    (hash.0[slot / 4] >> (16 * (slot % 4))) as u16
}

fn print(dct: Hash256) -> Fingerprint {
    Fingerprint {
        dct,
        dhash: Hash256(dct.0.map(noise)),
        contrast: 40.0,
        brightness: 100.0,
    }
}

fn random(seed: u64) -> Hash256 {
    Hash256([0, 1, 2, 3].map(|word| noise(seed * 4 + word)))
}

/// The mixing of `SplitMix64`.
fn noise(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}
