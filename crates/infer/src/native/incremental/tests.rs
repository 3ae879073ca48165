//! Random changes against whole pictures, bit for bit.

#![expect(
    clippy::disallowed_methods,
    reason = "tests run workers on threads of their own"
)]

use std::thread;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::*;
use crate::Upscaler;
use crate::native::network::Resize;
use crate::native::tests::{Numbers, network, picture, variants};
use crate::native::{Arithmetic, Isa, NativeModel};

const CUBIC: Resize = Resize { scale: 2, a: -0.75 };

/// How a picture differs from the one before.
#[derive(Debug, Clone)]
enum Change {
    /// Other levels in a rectangle, given by two corners in thousandths of the picture.
    Rectangle([usize; 4]),
    /// One level nudged so little that most of what depends on it stays as it is.
    Nudge([usize; 2]),
    /// The picture before the last.
    Back,
    /// Another picture.
    Cut,
    /// Nothing.
    Nothing,
}

fn changes(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => prop::array::uniform4(0..1000_usize).prop_map(Change::Rectangle),
        4 => prop::array::uniform2(0..1000_usize).prop_map(Change::Nudge),
        2 => Just(Change::Back),
        1 => Just(Change::Cut),
        1 => Just(Change::Nothing),
    ];
    prop::collection::vec(change, n)
}

/// The pictures of a film, each with where it may differ from the one before.
fn film(width: usize, height: usize, changes: &[Change]) -> Vec<(PlanarRgb, Vec<Region>)> {
    let whole = || vec![Region::whole(width, height)];
    let mut numbers = Numbers(7);
    let mut film = vec![(picture(width, height, 1), whole())];
    for (seed, change) in (2..).zip(changes) {
        let mut next = film[film.len() - 1].0.clone();
        let at = |thousandths: usize, end: usize| thousandths * end / 1000;
        let regions = match change {
            Change::Rectangle([a, b, c, d]) => {
                let region = Region {
                    x: at(*a.min(b), width)..at(*a.max(b), width) + 1,
                    y: at(*c.min(d), height)..at(*c.max(d), height) + 1,
                };
                for plane in next.planes_mut() {
                    for y in region.y.clone() {
                        let row = &mut plane[y * width..][region.x.clone()];
                        row.fill_with(|| 0.5 + 0.5 * numbers.next());
                    }
                }
                vec![region]
            }
            Change::Nudge([x, y]) => {
                let (x, y) = (at(*x, width), at(*y, height));
                next.planes_mut()[1][y * width + x] += 0.002;
                vec![Region {
                    x: x..x + 1,
                    y: y..y + 1,
                }]
            }
            Change::Back if film.len() > 1 => {
                next = film[film.len() - 2].0.clone();
                whole()
            }
            Change::Cut => {
                next = picture(width, height, seed);
                whole()
            }
            Change::Back | Change::Nothing => Vec::new(),
        };
        film.push((next, regions));
    }
    film
}

fn model(network: &crate::native::Network, isa: Isa, arithmetic: Arithmetic) -> NativeModel {
    NativeModel::new(network, isa, arithmetic, "t".to_owned(), String::new()).unwrap()
}

/// The results of a film, made of the parts that changed, by several workers.
fn results(
    model: &NativeModel,
    film: &[(PlanarRgb, Vec<Region>)],
    n_workers: usize,
) -> Vec<PlanarRgb> {
    let (width, height) = (film[0].0.width(), film[0].0.height());
    let scale = model.info().scale as usize;
    let workers = model.incremental(width, height, n_workers);
    let mut updates: Vec<(usize, Updated)> = thread::scope(|threads| {
        let running: Vec<_> = workers
            .into_iter()
            .enumerate()
            .map(|(first, mut worker)| {
                threads.spawn(move || {
                    let turns = (first..film.len()).step_by(n_workers);
                    turns
                        .map(|turn| {
                            let update = Update {
                                turn: turn as u64,
                                picture: &film[turn].0,
                                regions: &film[turn].1,
                                margin: turn % 3,
                                whole: turn % 5 == 4,
                            };
                            (turn, worker.update(&update).unwrap().unwrap())
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    updates.sort_by_key(|(turn, _)| *turn);
    let mut result = PlanarRgb::new(width * scale, height * scale);
    let mut results = Vec::new();
    for (turn, updated) in &updates {
        for (part, pixels) in updated.parts.iter().zip(&updated.results) {
            result.put(&part.grown(turn % 3, width, height).scaled(scale), pixels);
        }
        results.push(result.clone());
    }
    results
}

fn bits(picture: &PlanarRgb) -> Vec<u32> {
    picture.data().iter().map(|value| value.to_bits()).collect()
}

fn assert_whole(model: &NativeModel, film: &[(PlanarRgb, Vec<Region>)], n_workers: usize) {
    let mut whole = PlanarRgb::default();
    let mut upscaler = model.upscaler();
    let results = results(model, film, n_workers);
    assert_eq!(results.len(), film.len());
    for (n, ((picture, _), result)) in film.iter().zip(&results).enumerate() {
        upscaler.run(picture, &mut whole).unwrap();
        assert!(bits(result) == bits(&whole), "picture {n}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn results_have_the_bits_of_whole_pictures(
        (width, height) in (1..70_usize, 1..40_usize), features in 1..41_usize, n_layers in 2..6_usize,
        shuffle in 1..5_usize, resize: bool, changes in changes(1..6), n_workers in 1..4_usize,
    ) {
        let resize = (resize && shuffle > 2).then_some(CUBIC);
        let network = network(features, n_layers, shuffle, resize, 5);
        let film = film(width, height, &changes);
        for (isa, arithmetic) in variants() {
            assert_whole(&model(&network, isa, arithmetic), &film, n_workers);
        }
    }
}

#[test]
fn thousands_of_changes_leave_the_state_that_the_last_picture_alone_would_have_made() {
    let (width, height) = (53, 37);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let changes = changes(1000..1001).new_tree(&mut runner).unwrap().current();
    let film = film(width, height, &changes);
    for (isa, arithmetic) in variants() {
        let model = model(&network(12, 4, 2, None, 5), isa, arithmetic);
        let mut worker = model.incremental(width, height, 1).remove(0);
        for (turn, (picture, regions)) in (0..).zip(&film) {
            let update = Update {
                turn,
                picture,
                regions,
                margin: 0,
                whole: false,
            };
            worker.update(&update).unwrap();
            if turn % 100 == 0 || turn == 1000 {
                let mut fresh = model.incremental(width, height, 1).remove(0);
                let whole = [Region::whole(width, height)];
                fresh
                    .update(&Update {
                        turn: 0,
                        picture,
                        regions: &whole,
                        margin: 0,
                        whole: false,
                    })
                    .unwrap();
                assert!(numbers(&worker) == numbers(&fresh), "after picture {turn}");
            }
        }
    }
}

/// Everything that is kept.
fn numbers(worker: &Incremental) -> Vec<u32> {
    let bands = worker.shared.kept.iter().flat_map(|kept| &kept.bands);
    bands
        .flat_map(|band| band.write().unwrap().parts().0.to_vec())
        .collect()
}

#[test]
fn nothing_is_read_that_was_not_computed_for_this_picture_or_still_holds() {
    let (width, height) = (61, 45);
    let region = Region {
        x: 20..27,
        y: 9..14,
    };
    for (isa, arithmetic) in variants() {
        for resize in [None, Some(CUBIC)] {
            let model = model(&network(9, 4, 3, resize, 5), isa, arithmetic);
            let (before, mut after) = (picture(width, height, 1), picture(width, height, 1));
            for plane in after.planes_mut() {
                for y in region.y.clone() {
                    plane[y * width..][region.x.clone()].fill(0.3);
                }
            }
            let mut worker = model.incremental(width, height, 1).remove(0);
            let whole = [Region::whole(width, height)];
            worker
                .update(&Update {
                    turn: 0,
                    picture: &before,
                    regions: &whole,
                    margin: 0,
                    whole: false,
                })
                .unwrap();
            // What depends on the region is no number any more: neither a result nor what is kept may show it.
            for (reach, kept) in worker.shared.kept.iter().enumerate().skip(1) {
                let stale = region.grown(reach, width, height);
                for y in stale.y.clone() {
                    let mut band = kept.bands[y / 16].write().unwrap();
                    let (rows, row_len, _) = band.parts();
                    let words = row_len / (width.next_multiple_of(2) + 2);
                    let columns = (stale.x.start + 1) * words..(stale.x.end + 1) * words;
                    rows[y % 16 * row_len..][columns].fill(u32::MAX);
                }
            }
            let update = Update {
                turn: 1,
                picture: &after,
                regions: std::slice::from_ref(&region),
                margin: 0,
                whole: false,
            };
            worker.update(&update).unwrap();
            let mut fresh = model.incremental(width, height, 1).remove(0);
            fresh
                .update(&Update {
                    turn: 0,
                    picture: &after,
                    regions: &whole,
                    margin: 0,
                    whole: false,
                })
                .unwrap();
            assert!(numbers(&worker) == numbers(&fresh));
            let (mut one, mut other) = (PlanarRgb::default(), PlanarRgb::default());
            worker.shared.cut(&whole[0], &mut one);
            fresh.shared.cut(&whole[0], &mut other);
            assert!(bits(&one) == bits(&other));
        }
    }
}

#[test]
fn a_small_change_is_computed_in_small_part_and_no_change_not_at_all() {
    let model = model(&network(8, 5, 2, None, 5), Isa::best(), Arithmetic::Fp32);
    let film = film(200, 100, &[Change::Nudge([500, 500]), Change::Nothing]);
    let mut worker = model.incremental(200, 100, 1).remove(0);
    let updated: Vec<_> = (0..)
        .zip(&film)
        .map(|(turn, (picture, regions))| {
            worker
                .update(&Update {
                    turn,
                    picture,
                    regions,
                    margin: 0,
                    whole: false,
                })
                .unwrap()
                .unwrap()
        })
        .collect();
    assert_eq!(updated[0].layers, [1.0; 5]);
    assert_eq!(updated[0].parts, [Region::whole(200, 100)]);
    assert!(
        updated[1].work > 0.0 && updated[1].work < 0.02,
        "{:?}",
        updated[1].work
    );
    assert_eq!(updated[1].parts.len(), 1);
    assert!(updated[2].parts.is_empty() && updated[2].work == 0.0);
}

#[test]
fn whoever_waits_is_told_when_a_picture_before_is_left_out_or_all_is_cancelled() {
    let model = model(&network(8, 3, 2, None, 5), Isa::best(), Arithmetic::Fp32);
    let (picture, whole) = (picture(40, 30, 1), [Region::whole(40, 30)]);
    let update = |turn| Update {
        turn,
        picture: &picture,
        regions: &whole,
        margin: 0,
        whole: false,
    };
    for cancelled in [false, true] {
        let [mut first, mut second] = model.incremental(40, 30, 2).try_into().ok().unwrap();
        thread::scope(|threads| {
            let waiting = threads.spawn(move || second.update(&update(2)));
            first.update(&update(0)).unwrap().unwrap();
            if cancelled {
                first.canceller().cancel();
                assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
                assert!(matches!(first.update(&update(1)), Err(Error::Cancelled)));
            } else {
                first.leave_out(1);
                assert!(waiting.join().unwrap().unwrap().is_none());
            }
        });
    }
}

#[test]
fn a_result_that_is_no_number_ends_the_run_with_its_place() {
    let mut network = network(8, 3, 2, None, 5);
    network.convs[1].bias[0] = f32::NAN;
    let model = model(&network, Isa::best(), Arithmetic::Fp32);
    let (picture, whole) = (picture(40, 30, 1), [Region::whole(40, 30)]);
    let mut worker = model.incremental(40, 30, 1).remove(0);
    let ended = worker.update(&Update {
        turn: 0,
        picture: &picture,
        regions: &whole,
        margin: 0,
        whole: false,
    });
    assert!(
        matches!(ended, Err(Error::NotFinite { x: 0, y: 0, .. })),
        "{ended:?}"
    );
}
