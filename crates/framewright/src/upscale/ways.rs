//! Which way is a composite computed: whole or in parts by one thread, beside others, or from the kept state of the network,
//! by all threads together?
//!
//! The state is that of one composite, and brings another one as cheaply as the two are alike. To have it is worth what
//! it takes to fill it, about one whole picture, where pictures that are mostly alike follow. Nobody knows that
//! beforehand; so it is filled once the parts computed without it have cost as much more as that, and at the start of a shot,
//! where the picture is computed whole anyway. A film in which every picture is another one leaves it alone after two
//! of them.
//!
//! Whichever way is taken, the result is the same, to the bit. So it may follow from what things cost on this machine.

use framewright_media::Frame;

use crate::upscale::cells::{Changed, Grid, alike};
use crate::upscale::regions::{coverage, halo_of_parts, halo_of_state};
use crate::upscale::stages::{Ask, Shot};

/// Pictures computed whole one after the other from which on the next one is expected to be, too.
const RESTLESS: usize = 2;

/// What parts take beside what they cover, since they are rectangles and are computed in whole vectors.
const FILLING: f64 = 1.25;

/// What the kept state costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StateCosts {
    /// How far a result looks around its place, in pixels of the input.
    pub reach: usize,
    /// What computing a picture from the state costs for the same arithmetic, in units of computing it whole.
    pub factor: f64,
}

/// Chooses, picture by picture, in order.
#[derive(Default)]
pub struct Ways {
    /// None where no state is kept.
    costs: Option<StateCosts>,
    state: Option<State>,
    turn: u64,
    /// Pictures computed whole since the last one that was not.
    n_whole: usize,
    /// What parts have cost more than the state would have, since it was used last; in units of a whole picture.
    lost: f64,
}

/// The composite that the state is of.
struct State {
    id: u64,
    frame: Frame,
    /// For each cell the index of the frame that its pixels come from.
    origins: Vec<u64>,
    /// Nobody but the state needs its result any more.
    forgotten: bool,
}

impl Ways {
    /// With a state that costs so much, from picture `first_turn` of those that it is brought to on; none: without one.
    pub fn new(costs: Option<StateCosts>, first_turn: u64) -> Self {
        Self {
            costs,
            turn: first_turn,
            ..Self::default()
        }
    }

    /// The way that `ask` is computed. `origins`: for each cell of its composite, the frame that its pixels come from.
    pub fn choose(&mut self, shot: &mut Shot, ask: Ask, origins: &[u64]) -> Ask {
        let Some(costs) = self.costs else {
            return ask;
        };
        // The next picture is made from it.
        if let Some(state) = &mut self.state
            && let Some(place) = shot.forgotten.iter().position(|id| *id == state.id)
        {
            shot.forgotten.swap_remove(place);
            state.forgotten = true;
        }
        match ask {
            Ask::Whole { frame, kept: true } => {
                self.n_whole += 1;
                if self.n_whole > RESTLESS {
                    return Ask::Whole { frame, kept: true };
                }
                self.update(shot, frame, origins, None)
            }
            Ask::Part {
                composite, changed, ..
            } if self.is_worth_while(costs, &composite, &changed, origins) => {
                let stale = self.stale(&composite, origins);
                self.update(shot, composite, origins, stale)
            }
            Ask::Part { .. } => {
                self.n_whole = 0;
                ask
            }
            ask => ask,
        }
    }

    /// Whether a composite is computed from the state rather than in parts.
    fn is_worth_while(
        &mut self,
        costs: StateCosts,
        composite: &Frame,
        changed: &Changed,
        origins: &[u64],
    ) -> bool {
        if changed.has_moved() {
            // Moving the result is cheaper than anything the state can do.
            return false;
        }
        let by_state =
            |changed: &Changed| costs.factor * coverage(changed, halo_of_state(costs.reach));
        let by_parts = (FILLING * coverage(changed, halo_of_parts(costs.reach))).min(1.0);
        let stale = self.stale(composite, origins);
        if stale.map_or(costs.factor, |stale| by_state(&stale)) <= by_parts + self.lost {
            return true;
        }
        self.lost += (by_parts - by_state(changed)).max(0.0);
        false
    }

    /// Where the state's composite and another one come from other frames; none where all of it is another picture.
    fn stale(&self, composite: &Frame, origins: &[u64]) -> Option<Changed> {
        let state = self.state.as_ref()?;
        alike(&state.frame, composite)
            .then(|| Changed::unlike(Grid::of(composite), &state.origins, origins))
    }

    fn update(
        &mut self,
        shot: &mut Shot,
        composite: Frame,
        origins: &[u64],
        stale: Option<Changed>,
    ) -> Ask {
        self.lost = 0.0;
        if stale.is_some() {
            self.n_whole = 0;
        }
        let before = self.state.replace(State {
            id: shot.index,
            frame: composite.share(),
            origins: origins.to_vec(),
            forgotten: false,
        });
        if let Some(before) = before.as_ref().filter(|before| before.forgotten) {
            shot.forgotten.push(before.id);
        }
        let turn = self.turn;
        self.turn += 1;
        Ask::Update {
            turn,
            from: before.filter(|_| stale.is_some()).map(|before| before.id),
            composite,
            stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upscale::compare::{Compare, Rule};
    use crate::upscale::stages;
    use crate::upscale::test_film::{Event, film};
    use proptest::prelude::*;

    const COSTS: StateCosts = StateCosts {
        reach: 4,
        factor: 1.0,
    };

    fn rule() -> Rule {
        Rule {
            tolerance: 0.0,
            reach: Some(COSTS.reach),
            shift_step: Some(2),
            keeps_state: true,
            n_composites: 2,
        }
    }

    /// What is asked for each frame of a film, and what is forgotten with it.
    fn asks(events: &[Event]) -> Vec<(u64, Ask, Vec<u64>)> {
        let mut compare = Compare::new(Some(rule()));
        let mut ways = Ways::new(Some(COSTS), 0);
        let film = film(events);
        let asked = (0..).zip(&film).map(|(index, frame)| {
            let mut frame = frame.share();
            frame.set_pts(index as i64);
            let judgement = compare.judge(index, &frame, false).unwrap();
            let (mut shot, ask) = stages::ask(index, frame, judgement, None);
            let ask = ways.choose(&mut shot, ask, compare.origins());
            (index, ask, shot.forgotten)
        });
        asked.collect()
    }

    /// A letter for each way: state with everything, state with a part, whole, part, repeat.
    fn letters(events: &[Event]) -> String {
        let letter = |(_, ask, _): &(u64, Ask, Vec<u64>)| match ask {
            Ask::Update { from: None, .. } => 'F',
            Ask::Update { .. } => 'U',
            Ask::Whole { .. } => 'W',
            Ask::Part { .. } => 'P',
            Ask::Repeat(_) => 'R',
        };
        asks(events).iter().map(letter).collect()
    }

    fn dot(n: usize) -> Event {
        Event::Square {
            x: 9 * n % 70,
            y: 7 * n % 40,
            edge: 2,
            level: 3 * n as u8,
        }
    }

    #[test]
    fn a_shot_begins_with_the_state_and_goes_on_from_it() {
        let dots = [1, 2, 3].map(dot);
        assert_eq!(letters(&dots), "FUUU");
        let cut = [dot(1), Event::Flash(7), dot(2), dot(3)];
        assert_eq!(letters(&cut), "FUFUU");
        assert_eq!(letters(&[dot(1), Event::Back(0), dot(2)]), "FURU");
    }

    #[test]
    fn restless_films_leave_the_state_alone_until_parts_have_cost_as_much_as_filling_it() {
        let mut events: Vec<_> = [10, 30, 50, 70].map(Event::Flash).into();
        assert_eq!(letters(&events), "FFWWW");
        events.extend((0..40).map(dot));
        let letters = letters(&events);
        assert!(letters.starts_with("FFWWWP"), "{letters}");
        // The state is of another shot, so the first update fills it.
        let filled = letters.find('U').unwrap();
        assert!((8..40).contains(&filled), "{letters}");
        assert!(letters[filled..].chars().all(|way| way == 'U'), "{letters}");
    }

    proptest! {
        #[test]
        fn turns_have_no_gap_and_every_result_is_there_when_it_is_built_upon(
            events in crate::upscale::test_film::events()
        ) {
            let (mut kept, mut next_turn) = (Vec::new(), 0);
            for (index, ask, forgotten) in asks(&events) {
                let base = match &ask {
                    Ask::Update { turn, from, .. } => {
                        prop_assert_eq!(*turn, next_turn);
                        next_turn += 1;
                        *from
                    }
                    Ask::Part { base, .. } | Ask::Repeat(base) => Some(*base),
                    Ask::Whole { .. } => None,
                };
                prop_assert!(base.is_none_or(|base| kept.contains(&base)), "{base:?} of {kept:?}");
                if !matches!(ask, Ask::Repeat(_)) {
                    kept.push(index);
                }
                prop_assert!(forgotten.iter().all(|id| kept.contains(id)));
                kept.retain(|id| !forgotten.contains(id));
                // Those of the comparison, and the state's.
                prop_assert!(kept.len() <= 3, "{kept:?}");
            }
        }
    }
}
