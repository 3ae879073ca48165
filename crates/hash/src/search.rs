//! Which earlier picture is nearly the same as this one: the first that is, in the order in which they came.
//!
//! ```text
//! Query ─┬ featureless ─▶ the featureless ones of nearly its brightness
//!        └ else ─▶ scan: halves of both hashes of 8 entries at a time ─▶ (rarely) whole hashes ─▶ (rarely) the rule
//! ```
//! [`Thresholds::compare`] is the rule; what is scanned is only what could satisfy it, so all instruction sets and cuts
//! give the same answer.
//!
//! It is a flat scan on purpose. Multi-index hashing must, for 48 differing bits in 16 slots of 16, look at every entry
//! that has a slot within 3 bits: a sixth of all, each somewhere else in memory, where the scan reads half an entry after
//! the other. Measured with random hashes the tables are 7 times (10⁵ hashes) to 80 times (10⁷) slower with the thresholds
//! `normal`, and even with `strict`, which suits them best (slots within 1 bit), never faster: `examples/multi_index.rs`.

mod leaders;
mod rule;
mod scan;

use std::ops::Range;

use crate::Hash256;
use crate::isa::Isa;
use crate::measure::Fingerprint;

pub use leaders::Leaders;
pub use rule::{Kind, Match, Nearest, Thresholds};
use scan::{Block, LANES, Limits, Words};

/// Blocks that are scanned for all queries of a batch before the next: their first halves take 24 KiB of cache.
const TILE: usize = 96;

/// A picture to search for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Query {
    /// Its fingerprint.
    pub upright: Fingerprint,
    /// The fingerprint of its mirrored picture, where that counts as the same.
    pub mirrored: Option<Fingerprint>,
}

impl From<Fingerprint> for Query {
    fn from(upright: Fingerprint) -> Self {
        Self {
            upright,
            mirrored: None,
        }
    }
}

/// Fingerprints that can be searched. An entry's position is the number of entries before it.
#[derive(Debug, Clone)]
pub struct Index {
    isa: Isa,
    thresholds: Thresholds,
    len: usize,
    /// The words of both hashes that are looked at first, of the entries that are not featureless.
    near: Vec<Block>,
    /// The other words.
    far: Vec<Block>,
    /// Positions of the entries in the blocks.
    positions: Vec<u32>,
    /// Position and brightness of the featureless ones.
    featureless: Vec<(u32, f32)>,
}

impl Index {
    /// Without entries.
    pub fn new(thresholds: Thresholds) -> Self {
        Self::with(Isa::best(), thresholds)
    }

    fn with(isa: Isa, thresholds: Thresholds) -> Self {
        Self {
            isa,
            thresholds,
            len: 0,
            near: Vec::new(),
            far: Vec::new(),
            positions: Vec::new(),
            featureless: Vec::new(),
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry at position [`len`](Self::len).
    ///
    /// # Panics
    /// Beyond 2³² entries.
    pub fn push(&mut self, entry: &Fingerprint) {
        let position = u32::try_from(self.len).expect("at most 2^32 entries");
        self.len += 1;
        if !self.thresholds.has_features(entry) {
            self.featureless.push((position, entry.brightness));
            return;
        }
        let lane = self.positions.len() % LANES;
        if lane == 0 {
            self.near.push(Block::default());
            self.far.push(Block::default());
        }
        let words = Words::new(&entry.dct, &entry.dhash);
        let last = self.near.len() - 1;
        for n in 0..4 {
            self.near[last].0[n][lane] = words.near[n];
            self.far[last].0[n][lane] = words.far[n];
        }
        self.positions.push(position);
    }

    /// The entry with the lowest position that is nearly the same.
    pub fn first_within(&self, query: &Query) -> Option<Match> {
        self.first_from(0, query)
    }

    /// As [`first_within`](Self::first_within), of the entries from position `start` on.
    pub fn first_from(&self, start: usize, query: &Query) -> Option<Match> {
        if !self.thresholds.has_features(&query.upright) {
            return self.first_featureless(start, query);
        }
        let from = self
            .positions
            .partition_point(|position| (*position as usize) < start);
        self.scan(from..self.positions.len(), query)
    }

    /// [`first_within`](Self::first_within) for each of `queries`, by one scan of the index for all of them.
    ///
    /// This is the piece of work for one of several threads: cut the queries into pieces of 64 or so and give each of
    /// them to whoever is free.
    pub fn first_within_each(&self, queries: &[Query]) -> Vec<Option<Match>> {
        let has_features = |query: &Query| self.thresholds.has_features(&query.upright);
        let featureless = |query: &Query| {
            let found = || self.first_featureless(0, query);
            (!has_features(query)).then(found).flatten()
        };
        let mut found: Vec<_> = queries.iter().map(featureless).collect();
        let entries = self.positions.len();
        for start in (0..entries).step_by(TILE * LANES) {
            let tile = start..entries.min(start + TILE * LANES);
            for (query, found) in queries.iter().zip(&mut found) {
                if found.is_none() && has_features(query) {
                    *found = self.scan(tile.clone(), query);
                }
            }
        }
        found
    }

    /// How near the nearest of the first `end` entries are, by each hash, in the nearer of the query's orientations; none
    /// of a featureless picture, or where all of these entries are featureless.
    pub fn nearest_before(&self, end: usize, query: &Query) -> Option<Nearest> {
        let entries = self
            .positions
            .partition_point(|position| (*position as usize) < end);
        if !self.thresholds.has_features(&query.upright) || entries == 0 {
            return None;
        }
        let blocks = entries.div_ceil(LANES);
        let mut nearest = scan::Nearest::default();
        for print in std::iter::once(&query.upright).chain(&query.mirrored) {
            let words = Words::new(&print.dct, &print.dhash);
            let (near, far) = (&self.near[..blocks], &self.far[..blocks]);
            scan::nearest(self.isa, near, far, entries, &words, &mut nearest);
        }
        let [dct, dhash] = nearest
            .0
            .map(|(distance, entry)| (distance as u32, self.positions[entry] as usize));
        Some(Nearest { dct, dhash })
    }

    fn first_featureless(&self, start: usize, query: &Query) -> Option<Match> {
        let from = self
            .featureless
            .partition_point(|(position, _)| (*position as usize) < start);
        self.featureless[from..]
            .iter()
            .find_map(|&(position, brightness)| {
                let distance = (query.upright.brightness - brightness).abs();
                (distance <= self.thresholds.brightness).then_some(Match {
                    position: position as usize,
                    distance,
                    kind: Kind::Featureless,
                })
            })
    }

    /// The first of the entries in `range` (not positions) that matches in one of its orientations, upright first.
    fn scan(&self, range: Range<usize>, query: &Query) -> Option<Match> {
        let upright = self.scan_one(range.clone(), &query.upright);
        let Some(mirrored) = &query.mirrored else {
            return upright.map(|(_, found)| found);
        };
        let end = upright.as_ref().map_or(range.end, |(entry, _)| *entry);
        let mirrored = self.scan_one(range.start..end, mirrored);
        match mirrored {
            Some((_, found)) => Some(Match {
                kind: found.kind.mirrored(),
                ..found
            }),
            None => upright.map(|(_, found)| found),
        }
    }

    fn scan_one(&self, range: Range<usize>, print: &Fingerprint) -> Option<(usize, Match)> {
        let words = Words::new(&print.dct, &print.dhash);
        let limits = Limits::new(self.thresholds.dct, self.thresholds.dhash);
        let end = range.end.div_ceil(LANES);
        let mut block = range.start / LANES;
        while block < end {
            let (near, far) = (&self.near[block..end], &self.far[block..end]);
            block += scan::next_candidate(self.isa, near, far, &words, limits)?;
            let entries = range.start.max(block * LANES)..range.end.min((block + 1) * LANES);
            for entry in entries {
                let (dct, dhash) = self.hashes(entry);
                if let Some((kind, distance)) = self
                    .thresholds
                    .compare([&dct, &dhash], [&print.dct, &print.dhash])
                {
                    let position = self.positions[entry] as usize;
                    let distance = distance as f32;
                    return Some((
                        entry,
                        Match {
                            position,
                            distance,
                            kind,
                        },
                    ));
                }
            }
            block += 1;
        }
        None
    }

    fn hashes(&self, entry: usize) -> (Hash256, Hash256) {
        let (block, lane) = (entry / LANES, entry % LANES);
        let of = |half: &[Block]| half[block].0.map(|lanes| lanes[lane]);
        Words {
            near: of(&self.near),
            far: of(&self.far),
        }
        .hashes()
    }
}

#[cfg(test)]
mod tests;
