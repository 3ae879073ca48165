//! Which way is a composite computed: whole or in parts by one thread, beside others, or from the kept state of the network,
//! by all threads together?
//!
//! The state is that of one composite, and brings another one as cheaply as the two are alike. To have it is worth what
//! it takes to fill it, about one whole picture, where pictures that are mostly alike follow. Nobody knows that
//! beforehand; so it is filled once the parts computed without it have cost as much more as that, and with the first picture of
//! a shot, which is computed whole anyway, when the next one turns out to be quiet. A film in which every picture is
//! another one never takes its memory.
//!
//! Whichever way is taken, the result is the same, to the bit. So it may follow from what things cost on this machine.

use framewright_media::Frame;

use crate::upscale::cells::{Changed, Grid, alike};
use crate::upscale::regions::{coverage, halo_of_parts, halo_of_state};
use crate::upscale::stages::{Ask, Shot};

/// The share of a picture that a quiet one takes in parts, at most.
const QUIET: f64 = 0.5;

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

    /// Whether there is a state at all.
    pub fn keeps_state(&self) -> bool {
        self.costs.is_some()
    }

    /// Whether little of a picture would be computed in parts.
    pub fn is_quiet(&self, ask: &Ask) -> bool {
        match (self.costs, ask) {
            (Some(costs), Ask::Part { changed, .. }) => {
                !changed.has_moved() && by_parts(costs, changed) < QUIET
            }
            _ => false,
        }
    }

    /// The way that `ask` is computed. `origins`: for each cell of its composite, the frame that its pixels come from.
    /// `quiet_follows`: whether the next picture is known to be a quiet one.
    pub fn choose(
        &mut self,
        shot: &mut Shot,
        ask: Ask,
        origins: &[u64],
        quiet_follows: bool,
    ) -> Ask {
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
            Ask::Whole { frame, kept: true } if quiet_follows => {
                self.update(shot, frame, origins, None)
            }
            Ask::Part {
                composite, changed, ..
            } if self.is_worth_while(costs, &composite, &changed, origins) => {
                let stale = self.stale(&composite, origins);
                self.update(shot, composite, origins, stale)
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
        let by_parts = by_parts(costs, changed);
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

/// About what parts take, in units of a whole picture.
fn by_parts(costs: StateCosts, changed: &Changed) -> f64 {
    (FILLING * coverage(changed, halo_of_parts(costs.reach))).min(1.0)
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
        let judged = (0..).zip(&film).map(|(index, frame)| {
            let mut frame = frame.share();
            frame.set_pts(index as i64);
            let judgement = compare.judge(index, &frame, false).unwrap();
            let origins = compare.origins().to_vec();
            (stages::ask(index, frame, judgement, None), origins)
        });
        let judged: Vec<_> = judged.collect();
        let quiet: Vec<_> = judged
            .iter()
            .map(|((_, ask), _)| match ask {
                Ask::Repeat(_) => None,
                ask => Some(ways.is_quiet(ask)),
            })
            .collect();
        let asked = judged
            .into_iter()
            .zip(1..)
            .map(|(((mut shot, ask), origins), next)| {
                let follows = quiet[next..].iter().flatten().next();
                let ask = ways.choose(
                    &mut shot,
                    ask,
                    &origins,
                    follows.is_some_and(|quiet| *quiet),
                );
                (shot.index, ask, shot.forgotten)
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
    fn a_restless_film_never_fills_the_state_and_the_shot_behind_it_does() {
        let mut events: Vec<_> = [10, 30, 50, 70].map(Event::Flash).into();
        assert_eq!(letters(&events), "WWWWW");
        events.extend([1, 2].map(dot));
        assert_eq!(letters(&events), "WWWWFUU");
    }

    #[test]
    fn a_state_of_another_shot_is_filled_when_parts_have_cost_as_much_more() {
        // Half of the picture: not quiet, and not another picture either.
        let half = Event::Square {
            x: 0,
            y: 0,
            edge: 48,
            level: 200,
        };
        let mut events = vec![dot(1), Event::Flash(7), half];
        events.extend((3..60).map(dot));
        let letters = letters(&events);
        assert!(letters.starts_with("FUWPP"), "{letters}");
        let parts = letters.chars().filter(|way| *way == 'P').count();
        assert!((2..40).contains(&parts), "{letters}");
        assert!(
            letters[3 + parts..].chars().all(|way| way == 'U'),
            "{letters}"
        );
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
