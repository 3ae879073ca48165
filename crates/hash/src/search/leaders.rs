//! Leader clustering: a picture that is nearly the same as an earlier leader belongs to it, any other leads from now on.
//! Unlike chains of neighbours, a group never drifts away from its leader.

use super::{Index, Match, Query, Thresholds};

/// The leaders of what has been seen so far.
///
/// Leaders are counted in the order in which they came; [`Match::position`] is the number of a leader.
#[derive(Debug, Clone)]
pub struct Leaders {
    index: Index,
}

impl Leaders {
    /// Without leaders.
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            index: Index::new(thresholds),
        }
    }

    /// The leaders, to be searched.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The leader that this picture belongs to; none when it has become a leader itself.
    pub fn see(&mut self, query: &Query) -> Option<Match> {
        let found = self.index.first_within(query);
        if found.is_none() {
            self.index.push(&query.upright);
        }
        found
    }

    /// Sees a batch of pictures for which [`Index::first_within_each`] has given `found` for the leaders there are now;
    /// adds what the new leaders among the batch itself make of the rest. The result is that of [`see`](Self::see) for
    /// one after the other, while the long part of the work was for as many threads as there are.
    ///
    /// # Panics
    /// When there is not one result for each query.
    pub fn settle(&mut self, queries: &[Query], found: &mut [Option<Match>]) {
        assert_eq!(queries.len(), found.len(), "one result for each query");
        let known = self.index.len();
        for (query, found) in queries.iter().zip(found) {
            if found.is_none() {
                *found = self.index.first_from(known, query);
            }
            if found.is_none() {
                self.index.push(&query.upright);
            }
        }
    }
}
