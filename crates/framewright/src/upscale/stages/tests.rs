use std::sync::Mutex;

use framewright_infer::{Choice, Engine, Model, Precision};
use framewright_media::{ColourTags, PixelFormat};
use framewright_pipeline::{Control, run};
use proptest::prelude::*;

use super::*;
use crate::upscale::compare::Rule;
use crate::upscale::plan::Decided;
use crate::upscale::test_film::{Event, SIZE, events, film};
use crate::upscale::worker::Worker;

/// The bytes of all planes of a picture.
fn bytes(frame: &Frame) -> Vec<Vec<u8>> {
    let plane = |plane: usize| {
        let width = if plane == 0 { 2 * SIZE.0 } else { SIZE.0 };
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
    let (tags, _) = ColourTags::of(&frames[0]).complete(format, SIZE.0, SIZE.1);
    let decided = Decided {
        container: None,
        pixel_format: format,
        tags,
    };
    let upscalers = model.upscalers(n_workers).unwrap().into_iter();
    let workers = upscalers
        .map(|upscaler| Worker::new(upscaler, decided, 0.001).unwrap())
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
            compare(&rx, &tx, Compare::new(rule), &mut mapping, true)
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

fn rule(tolerance: f32) -> Rule {
    Rule {
        tolerance,
        reach: Some(10),
        n_composites: 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn results_at_tolerance_zero_have_the_bits_of_full_frames(events in events()) {
        let (model, film) = (lite(), film(&events));
        let full = done(&film, &model, None, 1);
        let reused = done(&film, &model, Some(rule(0.0)), 2);
        prop_assert_eq!(reused.results, full.results);
    }

    #[test]
    fn results_have_the_bits_of_full_composites_with_any_number_of_workers(
        events in events(), tolerance in 0.0_f32..6.0
    ) {
        let (model, film) = (lite(), film(&events));
        let one = done(&film, &model, Some(rule(tolerance)), 1);
        let full = done(&one.composites, &model, None, 1);
        prop_assert_eq!(&one.results, &full.results);
        let three = done(&film, &model, Some(rule(tolerance)), 3);
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
    let effects = done(&film, &lite(), Some(rule(0.0)), 1).savings.effects();
    // Whole, two parts, two cycles.
    let computed = effects.compute_fraction * 5.0;
    assert!(computed > 1.1 && computed < 2.9, "{effects:?}");
    assert_eq!(effects.older_composite_hits, 2);
}
