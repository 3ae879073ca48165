//! The search against the rule applied to one entry after the other.

use proptest::prelude::*;

use super::*;

/// A few hashes and what a few flipped bits make of them: near and far pairs, at all distances around the thresholds.
fn fingerprints(len: usize) -> impl Strategy<Value = Vec<Fingerprint>> {
    let hash = |seed: u64| {
        Hash256([1, 2, 3, 4].map(|n| {
            (seed * 8 + n)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(29)
                ^ seed << 40
        }))
    };
    let flipped = move |(seed, bits): (u64, Vec<usize>)| {
        let mut hash = hash(seed);
        for bit in bits {
            hash.0[bit / 64] ^= 1 << (bit % 64);
        }
        hash
    };
    let hash = || (0_u64..4, prop::collection::vec(0_usize..256, 0..70)).prop_map(flipped);
    let print =
        (hash(), hash(), 0_u8..20, 0_u8..20).prop_map(|(dct, dhash, contrast, brightness)| {
            Fingerprint {
                dct,
                dhash,
                contrast: f32::from(contrast),
                brightness: f32::from(brightness),
            }
        });
    prop::collection::vec(print, 0..len)
}

fn presets() -> impl Strategy<Value = Thresholds> {
    prop::sample::select(vec![
        Thresholds::EXACT,
        Thresholds::STRICT,
        Thresholds::NORMAL,
        Thresholds::LOOSE,
    ])
}

fn queries(prints: &[Fingerprint], flip: bool) -> Vec<Query> {
    let mirrored = |n: usize| prints[(n + 1) % prints.len()];
    let query = |(n, upright): (usize, &Fingerprint)| Query {
        upright: *upright,
        mirrored: flip.then(|| mirrored(n)),
    };
    prints.iter().enumerate().map(query).collect()
}

/// The definition.
fn first(thresholds: Thresholds, entries: &[Fingerprint], query: &Query) -> Option<Match> {
    let compare = |entry: &Fingerprint| {
        let print = &query.upright;
        if !thresholds.has_features(print) || !thresholds.has_features(entry) {
            let both = !thresholds.has_features(print) && !thresholds.has_features(entry);
            let distance = (print.brightness - entry.brightness).abs();
            return (both && distance <= thresholds.brightness)
                .then_some((Kind::Featureless, distance));
        }
        let one = |print: &Fingerprint| {
            thresholds.compare([&entry.dct, &entry.dhash], [&print.dct, &print.dhash])
        };
        let mirrored = || {
            let (kind, distance) = one(query.mirrored.as_ref()?)?;
            Some((kind.mirrored(), distance))
        };
        one(print)
            .or_else(mirrored)
            .map(|(kind, distance)| (kind, distance as f32))
    };
    entries.iter().enumerate().find_map(|(position, entry)| {
        compare(entry).map(|(kind, distance)| Match {
            position,
            distance,
            kind,
        })
    })
}

proptest! {
    #[test]
    fn every_instruction_set_finds_what_the_rule_finds(
        entries in fingerprints(60),
        asked in fingerprints(6),
        thresholds in presets(),
        flip: bool,
        start in 0_usize..60,
    ) {
        let queries = queries(&asked, flip);
        for isa in Isa::available() {
            let mut index = Index::with(isa, thresholds);
            for entry in &entries {
 index.push(entry);
}
            let expected: Vec<_> = queries.iter().map(|query| first(thresholds, &entries, query)).collect();
            prop_assert_eq!(&index.first_within_each(&queries), &expected, "{:?}", isa);
            let start = start.min(entries.len());
            for query in &queries {
                let expected = first(thresholds, &entries[start..], query);
                let found = index.first_from(start, query).map(|found| Match { position: found.position - start, ..found });
                prop_assert_eq!(found, expected, "{:?}", isa);
            }
        }
    }

    #[test]
    fn the_nearest_entries_are_those_of_the_least_distances(
        entries in fingerprints(60),
        asked in fingerprints(6),
        end in 0_usize..70,
    ) {
        let thresholds = Thresholds::NORMAL;
        for isa in Isa::available() {
            let mut index = Index::with(isa, thresholds);
            for entry in &entries {
 index.push(entry);
}
            for query in queries(&asked, false) {
                let featured = || entries.iter().enumerate().take(end).filter(|(_, entry)| thresholds.has_features(entry));
                let dct = featured().map(|(n, entry)| (entry.dct.distance(&query.upright.dct), n)).min();
                let dhash = featured().map(|(n, entry)| (entry.dhash.distance(&query.upright.dhash), n)).min();
                let expected = dct.zip(dhash).filter(|_| thresholds.has_features(&query.upright));
                let expected = expected.map(|(dct, dhash)| Nearest { dct, dhash });
                prop_assert_eq!(index.nearest_before(end, &query), expected, "{:?}", isa);
            }
        }
    }

    #[test]
    fn batches_of_any_size_make_the_leaders_of_one_after_the_other(
        prints in fingerprints(120),
        thresholds in presets(),
        flip: bool,
        batch in 1_usize..50,
    ) {
        let queries = queries(&prints, flip);
        let mut leaders = Leaders::new(thresholds);
        let expected: Vec<_> = queries.iter().map(|query| leaders.see(query)).collect();

        let mut leaders = Leaders::new(thresholds);
        let mut found = Vec::new();
        for queries in queries.chunks(batch) {
            let mut of_batch = leaders.index().first_within_each(queries);
            leaders.settle(queries, &mut of_batch);
            found.extend(of_batch);
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_match_beyond_the_first_tile_is_found() {
    let print = |n: usize| Fingerprint {
        dct: Hash256(
            [n as u64, 1 << 63, 3, 0]
                .map(|word| (word + n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        ),
        dhash: Hash256(
            [n as u64, 5, 6, 7].map(|word| (word ^ n as u64).wrapping_mul(0xBF58_476D_1CE4_E5B9)),
        ),
        contrast: 50.0,
        brightness: 100.0,
    };
    let mut index = Index::new(Thresholds::EXACT);
    let entries = 2 * TILE * LANES + 5;
    (0..entries).for_each(|n| index.push(&print(n)));
    let asked = [0, TILE * LANES - 1, TILE * LANES, entries - 1];
    let queries = asked.map(|n| Query::from(print(n)));
    let found = index
        .first_within_each(&queries)
        .into_iter()
        .map(|found| found.map(|found| found.position));
    assert_eq!(found.collect::<Vec<_>>(), asked.map(Some));
}

#[test]
fn gradient_hashes_of_hardly_anything_say_nothing() {
    let word = |bits: u64| Hash256([bits, 0, 0, 0]);
    let far = [Hash256::default(), Hash256([u64::MAX; 4])];
    let found = |a: Hash256, b: Hash256| Thresholds::NORMAL.compare([&far[0], &a], [&far[1], &b]);
    // two title cards: a few gradients each, at different places
    assert_eq!(found(word(0xFFFF), word(0xFFFF_0000)), None);
    // evenly falling tones
    assert_eq!(found(word(0), word(0)), None);
    // the same title card
    assert_eq!(
        found(word(0xFF_FFFF), word(0xFF_FFFE)),
        Some((Kind::Dhash, 1))
    );
}
