//! Holds a whole picture back until it is known what follows: only where a quiet one does, it is worth filling the network's
//! state with it.

use std::collections::VecDeque;

use super::{Ask, Item, Shot};
use crate::upscale::ways::Ways;

/// Repeats behind a whole picture that are waited for: a scene that stands still that long is quiet.
const PATIENCE: usize = 3;

/// Items without a picture that are waited for, at most.
const MOST_ITEMS: usize = 64;

/// Items between their comparison and the choice of their way.
pub(super) struct Ahead {
    ways: Ways,
    /// Whether there is room to hold pictures back.
    may_hold: bool,
    held: VecDeque<Held>,
}

struct Held {
    item: Item<(Shot, Ask)>,
    /// For each cell of its composite the frame that the pixels come from.
    origins: Vec<u64>,
}

impl Ahead {
    /// Holds back no more than `1 + PATIENCE` pictures, and none where there is no room.
    pub(super) fn new(ways: Ways, may_hold: bool) -> Self {
        Self {
            ways,
            may_hold,
            held: VecDeque::new(),
        }
    }

    /// Takes an item.
    pub(super) fn push(&mut self, item: Item<(Shot, Ask)>, origins: &[u64]) {
        let is_needed = self.ways.keeps_state();
        let origins = if is_needed {
            origins.to_vec()
        } else {
            Vec::new()
        };
        self.held.push_back(Held { item, origins });
    }

    /// The next item whose way is known; at the end of the film, all of them.
    pub(super) fn pop(&mut self, is_end: bool) -> Option<Item<(Shot, Ask)>> {
        let first = self.held.front()?;
        let waits = self.may_hold
            && matches!(
                &first.item.picture,
                Some((_, Ask::Whole { kept: true, .. }))
            )
            && self.ways.keeps_state();
        let quiet_follows = if waits { self.is_quiet(is_end)? } else { false };
        let Held { item, origins } = self.held.pop_front()?;
        let ways = &mut self.ways;
        let item = item.try_map(|(mut shot, ask)| {
            let ask = ways.choose(&mut shot, ask, &origins, quiet_follows);
            Ok::<_, std::convert::Infallible>((shot, ask))
        });
        Some(item.unwrap_or_else(|never| match never {}))
    }

    /// Whether a quiet picture follows the first one; none while that is not known.
    fn is_quiet(&self, is_end: bool) -> Option<bool> {
        let behind = self.held.iter().skip(1);
        let asks = behind.filter_map(|held| held.item.picture.as_ref().map(|(_, ask)| ask));
        let mut n_repeats = 0;
        for ask in asks {
            match ask {
                Ask::Repeat(_) => n_repeats += 1,
                ask => return Some(self.ways.is_quiet(ask)),
            }
        }
        (is_end || n_repeats >= PATIENCE || self.held.len() > MOST_ITEMS)
            .then_some(n_repeats >= PATIENCE)
    }
}

/// Pictures for which there must be room where some are held back: those, one that is decoded and one that is compared.
pub const PICTURES: u64 = 1 + PATIENCE as u64 + 2;
