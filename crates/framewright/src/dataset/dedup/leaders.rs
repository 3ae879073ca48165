//! The leaders by their hashes and by their embeddings, under one count.

use framewright_hash::{Index, Query, Thresholds};

use crate::dataset::config::EmbeddingConfig;

/// A frame to search for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub query: Query,
    /// A unit vector.
    pub embedding: Option<&'a [f32]>,
}

/// A leader that is nearly the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub position: usize,
    /// Differing bits, or 1 − cosine.
    pub distance: f32,
    /// The word of the table.
    pub kind: &'static str,
}

/// What has become a leader so far; a leader's position is the number of those before it.
#[derive(Debug)]
pub(super) struct Leaders {
    thresholds: Thresholds,
    index: Index,
    vectors: Option<Vectors>,
}

impl Leaders {
    pub(super) fn new(thresholds: Thresholds, embedding: Option<&EmbeddingConfig>) -> Self {
        Self {
            thresholds,
            index: Index::new(thresholds),
            vectors: embedding.map(|embedding| Vectors::new(embedding.min_cosine)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Adds a leader at position [`len`](Self::len).
    pub(super) fn push(&mut self, entry: &Asked<'_>) {
        let position = self.index.len();
        self.index.push(&entry.query.upright);
        let vector = self.telling_vector(entry);
        if let (Some(vectors), Some(vector)) = (&mut self.vectors, vector) {
            vectors.push(position, vector);
        }
    }

    /// The first leader from position `start` on that is nearly the same by anything; by hash, where one is so by both.
    pub(super) fn first_from(&self, start: usize, asked: &Asked<'_>) -> Option<Found> {
        let by_hash = self.index.first_from(start, &asked.query).map(Found::from);
        self.or_by_vector(start, asked, by_hash)
    }

    /// [`first_from`](Self::first_from) the start for each of `asked`, in one scan of the hashes.
    pub(super) fn first_within_each(&self, asked: &[Asked<'_>]) -> Vec<Option<Found>> {
        let queries: Vec<Query> = asked.iter().map(|asked| asked.query).collect();
        let by_hash = self.index.first_within_each(&queries);
        let both = asked.iter().zip(by_hash);
        both.map(|(asked, by_hash)| self.or_by_vector(0, asked, by_hash.map(Found::from)))
            .collect()
    }

    fn or_by_vector(
        &self,
        start: usize,
        asked: &Asked<'_>,
        by_hash: Option<Found>,
    ) -> Option<Found> {
        let end = by_hash.map_or(usize::MAX, |found| found.position);
        let by_vector = || {
            let vector = self.telling_vector(asked)?;
            self.vectors.as_ref()?.first_between(start, end, vector)
        };
        by_vector().or(by_hash)
    }

    /// The vector of a frame that is not featureless: those match only each other.
    fn telling_vector<'a>(&self, asked: &Asked<'a>) -> Option<&'a [f32]> {
        let telling = self.thresholds.has_features(&asked.query.upright);
        asked.embedding.filter(|_| telling)
    }
}

impl From<framewright_hash::Match> for Found {
    fn from(found: framewright_hash::Match) -> Self {
        Self {
            position: found.position,
            distance: found.distance,
            kind: found.kind.word(),
        }
    }
}

/// Unit vectors one after the other, with the positions of their leaders.
#[derive(Debug)]
struct Vectors {
    min_cosine: f32,
    length: usize,
    values: Vec<f32>,
    positions: Vec<usize>,
}

impl Vectors {
    fn new(min_cosine: f32) -> Self {
        Self {
            min_cosine,
            length: 0,
            values: Vec::new(),
            positions: Vec::new(),
        }
    }

    /// The first one says how long they are; what has another length is of another model, and compared with nothing.
    fn push(&mut self, position: usize, vector: &[f32]) {
        if self.positions.is_empty() {
            self.length = vector.len();
        }
        if vector.len() == self.length && !vector.is_empty() {
            self.values.extend_from_slice(vector);
            self.positions.push(position);
        }
    }

    fn first_between(&self, start: usize, end: usize, vector: &[f32]) -> Option<Found> {
        if vector.len() != self.length {
            return None;
        }
        let before = |end: usize| self.positions.partition_point(|position| *position < end);
        let entries = before(start)..before(end);
        entries.into_iter().find_map(|entry| {
            let cosine = dot(vector, &self.values[entry * self.length..][..self.length]);
            (cosine >= self.min_cosine).then_some(Found {
                position: self.positions[entry],
                distance: 1.0 - cosine,
                kind: "embedding",
            })
        })
    }
}

/// Sixteen sums side by side, added up in one order: the same bits on every machine.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (a, b) = (a.chunks(LANES), b.chunks(LANES));
    for (a, b) in a.zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
