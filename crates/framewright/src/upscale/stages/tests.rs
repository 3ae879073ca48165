use std::sync::Mutex;

use framewright_infer::{Choice, Engine, Model, Precision};
use framewright_media::{ColourTags, PixelFormat};
use framewright_pipeline::{Control, run};
use proptest::prelude::*;

use super::*;
use crate::upscale::compare::Rule;
use crate::upscale::plan::Decided;
use crate::upscale::test_film::{Event, events, film, film_from, textured};
use crate::upscale::ways::StateCosts;
use crate::upscale::worker::Worker;

/// The bytes of all planes of a picture.
fn bytes(frame: &Frame) -> Vec<Vec<u8>> {
    let plane = |plane: usize| {
        let width = frame.width() >> usize::from(plane > 0);
        let rows = frame.planes()[plane].chunks(frame.stride(plane));
        rows.flat_map(|row| &row[..width]).copied().collect()
    };
    (0..3).map(plane).collect()
}

/// The results and the composites of a film, and what was computed.
struct Done {
    results: Vec<Vec<Vec<u8>>>,
    composites: Vec<Frame>,
    savings: Savings,
}

/// Sends frames through all stages between the decoder and the encoder.
fn done(frames: &[Frame], model: &Model, rule: Option<Rule>, n_workers: usize) -> Done {
    let format = PixelFormat::from_name("yuv420p").unwrap();
    let (tags, _) =
        ColourTags::of(&frames[0]).complete(format, frames[0].width(), frames[0].height());
    let decided = Decided {
        container: None,
        pixel_format: format,
        tags,
    };
    let upscalers = model.upscalers(n_workers).unwrap().into_iter();
    let costs = rule.filter(|rule| rule.keeps_state).map(|rule| StateCosts {
        reach: rule.reach.unwrap(),
        factor: 1.0,
    });
    let states =
        costs.and_then(|_| model.incremental(frames[0].width(), frames[0].height(), n_workers));
    let mut states = states.into_iter().flatten();
    let workers = upscalers
        .map(|upscaler| Worker::new(upscaler, states.next(), decided, 0.001).unwrap())
        .collect();
    let results = Mutex::<Vec<Vec<Vec<u8>>>>::default();
    let composites = Mutex::<Vec<Frame>>::default();
    let (tally, mut mapping) = (Tally::default(), Mapping::default());
    run(&Control::new(), |p| {
        let mut rest = (0..).zip(frames);
        let decoded = p.source("decode", 4, move || {
            Ok(rest.next().map(|(pts, frame)| {
                let mut frame = frame.share();
                frame.set_pts(pts);
                Item {
                    packets: Vec::new(),
                    picture: Some(frame),
                    room: None,
                }
            }))
        });
        let compared = p.stage("compare", 4, decoded, |rx, tx| {
            compare(
                &rx,
                &tx,
                Compare::new(rule),
                Ways::new(costs, 0),
                true,
                &mut mapping,
                true,
            )
        });
        let viewed = p.stage("view", 4, compared, |rx, tx| {
            while let Some(item) = rx.recv()? {
                let (shot, _) = item.picture.as_ref().unwrap();
                let view = shot.view.as_ref().unwrap();
                composites.lock().unwrap().push(view.composite.share());
                tx.send(item)?;
            }
            Ok(())
        });
        let upscaled = p.par_map("upscale", 8, viewed, workers, |worker, item| {
            worker.upscale(item, false)
        });
        let composed = p.stage("compose", 4, upscaled, |rx, tx| {
            compose(&rx, &tx, &tally, SideFilms::default())
        });
        p.sink("collect", composed, |rx| {
            while let Some(item) = rx.recv()? {
                results.lock().unwrap().push(bytes(&item.picture.unwrap()));
            }
            Ok(())
        });
    })
    .unwrap();
    Done {
        results: results.into_inner().unwrap(),
        composites: composites.into_inner().unwrap(),
        savings: tally.savings(),
    }
}

fn lite() -> Model {
    let choice = Choice {
        engine: Engine::Native,
        precision: Precision::Fp32,
    };
    Model::open("lite-x2", choice).unwrap()
}

fn rule(tolerance: f32, keeps_state: bool) -> Rule {
    Rule {
        tolerance,
        reach: Some(10),
        shift_step: Some(2),
        keeps_state,
        n_composites: 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn results_at_tolerance_zero_have_the_bits_of_full_frames(events in events(), keeps_state: bool) {
        let (model, film) = (lite(), film(&events));
        let full = done(&film, &model, None, 1);
        let reused = done(&film, &model, Some(rule(0.0, keeps_state)), 2);
        prop_assert_eq!(reused.results, full.results);
    }

    #[test]
    fn results_have_the_bits_of_full_composites_with_any_number_of_workers(
        events in events(), tolerance in 0.0_f32..6.0, keeps_state: bool
    ) {
        let (model, film) = (lite(), film(&events));
        let one = done(&film, &model, Some(rule(tolerance, keeps_state)), 1);
        let full = done(&one.composites, &model, None, 1);
        prop_assert_eq!(&one.results, &full.results);
        let three = done(&film, &model, Some(rule(tolerance, keeps_state)), 3);
        prop_assert_eq!(one.results, three.results);
    }
}

#[test]
fn a_small_change_is_computed_in_part_and_a_cycle_not_at_all() {
    let square = |level| Event::Square {
        x: 20,
        y: 20,
        edge: 4,
        level,
    };
    let film = film(&[square(200), square(10), Event::Back(1), Event::Back(1)]);
    let effects = done(&film, &lite(), Some(rule(0.0, false)), 1)
        .savings
        .effects();
    // Whole, two parts, two cycles.
    let computed = effects.compute_fraction * 5.0;
    assert!(computed > 1.1 && computed < 2.9, "{effects:?}");
    assert_eq!(effects.older_composite_hits, 2);
}

/// Pans of a textured picture, too large for its borders to meet.
fn pans(format: &str, by: &[(isize, isize)]) -> Vec<Frame> {
    let format = PixelFormat::from_name(format).unwrap();
    let pans = (0..)
        .zip(by)
        .map(|(seed, &(x, y))| Event::Pan { x, y, seed });
    let events: Vec<_> = pans.collect();
    film_from(textured(format, 221, 163, 1), &events)
}

#[test]
fn a_pan_by_even_numbers_is_computed_at_its_borders_with_the_bits_of_full_frames() {
    for by in [
        (-4, 0),
        (6, 0),
        (0, 2),
        (0, -8),
        (-2, -2),
        (4, -6),
        (-4, 2),
        (2, 4),
    ] {
        let film = pans("yuv420p", &[by, by, (0, 0), by]);
        let full = done(&film, &lite(), None, 1);
        let reused = done(&film, &lite(), Some(rule(0.0, false)), 2);
        assert!(reused.results == full.results, "{by:?}");
        let effects = reused.savings.effects();
        assert_eq!(effects.moved_frames, 3, "{by:?}");
        // One frame in full and one not at all.
        let of_each = (effects.compute_fraction * 5.0 - 1.0) / 3.0;
        let most = if by.0 != 0 && by.1 != 0 { 0.75 } else { 0.5 };
        assert!(of_each < most, "{by:?}: {of_each}");
    }
}

#[test]
fn a_pan_by_an_odd_number_of_pixels_is_built_upon_the_frame_before_the_last() {
    // With chroma of its own for each pixel, that has moved by just as much.
    let film = pans("yuv444p", &[(-3, 0); 6]);
    let full = done(&film, &lite(), None, 1);
    let reused = done(&film, &lite(), Some(rule(0.0, false)), 2);
    assert!(reused.results == full.results);
    let effects = reused.savings.effects();
    // The first two are computed in full.
    assert_eq!(effects.moved_frames, 5);
    assert_eq!(effects.older_composite_hits, 5);
}

#[test]
fn passes_and_nearest_move_too() {
    let film = pans("yuv420p", &[(-4, 0), (2, 0), (0, -6)]);
    for (name, scale) in [("lite-x2", 4), ("nearest-x2", 2), ("nearest-x2", 4)] {
        let model = Model::open(name, Choice::default()).unwrap();
        let model = model.with_scale(scale).unwrap();
        let rule = Rule {
            reach: model.info().reach,
            shift_step: model.info().shift_step,
            ..rule(0.0, false)
        };
        let full = done(&film, &model, None, 1);
        let reused = done(&film, &model, Some(rule), 2);
        assert!(reused.results == full.results, "{name} {scale}");
        assert_eq!(reused.savings.effects().moved_frames, 3, "{name} {scale}");
    }
}
