//! Runs of unusual shape end, and the gauges tell what the stages did.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use framewright_pipeline::{Control, Ending, Rx, bottleneck, run};

use crate::in_time;

#[test]
fn a_run_without_stages_completes() {
    assert_eq!(
        run(&Control::new(), |_| ()).unwrap().ending,
        Ending::Completed
    );
}

#[test]
fn a_queue_dropped_by_the_builder_ends_the_stages_before_it() {
    let run = in_time(|| {
        run(&Control::new(), |p| {
            let items = p.source("source", 2, || Ok(Some(1)));
            let mapped = p.par_map("map", 2, items, vec![(); 2], |(), n| Ok(n + 1));
            drop(p.par_map_unordered("unread", 2, mapped, vec![(); 2], |(), n| Ok(n)));
        })
    });
    assert_eq!(run.unwrap().ending, Ending::Completed);
}

#[test]
fn a_sink_that_has_enough_ends_the_run_well() {
    let taken = in_time(|| {
        let mut taken = Vec::new();
        let mut items = 0..;
        let run = run(&Control::new(), |p| {
            let items = p.source("source", 2, || Ok(items.next()));
            let passed = p.stage("stage", 2, items, |rx, tx| {
                while let Some(item) = rx.recv()? {
                    tx.send(item)?;
                }
                Ok(())
            });
            let mapped = p.par_map("map", 3, passed, vec![(); 2], |(), n: u32| Ok(n));
            p.sink("sink", mapped, |rx| {
                taken.extend(rx.recv()?);
                taken.extend(rx.recv()?);
                Ok(())
            });
        });
        assert_eq!(run.unwrap().ending, Ending::Completed);
        taken
    });
    assert_eq!(taken, [0, 1]);
}

#[test]
fn two_sources_may_meet_in_one_stage() {
    let sums = in_time(|| {
        let mut sums = Vec::new();
        let (mut left, mut right) = (1..=3, [10, 20, 30].into_iter());
        run(&Control::new(), |p| {
            let left = p.source("left", 1, || Ok(left.next()));
            let right: Rx<i32> = p.source("right", 1, || Ok(right.next()));
            let both = p.stage("join", 1, left, move |left, tx| {
                while let (Some(l), Some(r)) = (left.recv()?, right.recv()?) {
                    tx.send(l + r)?;
                }
                Ok(())
            });
            p.sink("sink", both, |rx| {
                while let Some(sum) = rx.recv()? {
                    sums.push(sum);
                }
                Ok(())
            });
        })
        .unwrap();
        sums
    });
    assert_eq!(sums, [11, 22, 33]);
}

#[test]
fn threads_carry_the_name_of_their_stage() {
    let names = Mutex::new(Vec::new());
    let note = || {
        names
            .lock()
            .unwrap()
            .push(thread::current().name().map(str::to_owned));
    };
    run(&Control::new(), |p| {
        let items = p.source("in", 1, || {
            note();
            Ok(None::<()>)
        });
        p.sink("a name that is too long", items, |rx| {
            note();
            Ok(rx.recv().map(drop)?)
        });
    })
    .unwrap();
    let mut names = names.into_inner().unwrap();
    names.sort();
    assert_eq!(
        names,
        [Some("fw-a name that ".to_owned()), Some("fw-in".to_owned())]
    );
}

#[test]
fn the_gauges_name_the_slow_stage_while_the_run_goes_and_after() {
    let run = in_time(|| {
        let sampled = AtomicU64::new(0);
        let mut items = 0..60;
        run(&Control::new(), |p| {
            let (gauges, sampled) = (p.gauges(), &sampled);
            let items = p.source("decode", 2, || Ok(items.next()));
            let slow = p.par_map("upscale", 4, items, vec![(); 2], |(), n| {
                thread::sleep(Duration::from_millis(4));
                Ok(n)
            });
            p.sink("encode", slow, move |rx| {
                while let Some(n) = rx.recv()? {
                    if n == 40 {
                        let now = gauges.sample();
                        sampled.store(now[2].items, SeqCst);
                        assert_eq!(bottleneck(&now), Some("upscale"), "{now:?}");
                    }
                }
                Ok(())
            });
        })
        .inspect(|_| assert_eq!(sampled.load(SeqCst), 41))
    })
    .unwrap();
    assert_eq!(bottleneck(&run.stages), Some("upscale"));
    assert_eq!(
        run.stages
            .iter()
            .map(|stage| stage.items)
            .collect::<Vec<_>>(),
        [60, 60, 60]
    );
    let [decode, upscale, encode] = run.stages.as_slice() else {
        panic!("three stages")
    };
    assert_eq!(upscale.workers, 2);
    assert!(upscale.busy >= Duration::from_millis(60 * 4), "{upscale:?}");
    assert!(decode.output_wait > decode.busy, "{decode:?}");
    assert!(encode.input_wait > encode.busy, "{encode:?}");
}
