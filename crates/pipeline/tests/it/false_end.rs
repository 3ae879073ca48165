//! A sink never takes a failure for the end. The window for it is a few instructions wide, hence the numbers.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use framewright_pipeline::{BoxError, Control, run};

use crate::in_time;

const RUNS: u64 = 26_000; // of each shape

fn fail_at(n: u64, item: u64) -> Result<u64, BoxError> {
    if item == n {
        Err("broken".into())
    } else {
        Ok(item)
    }
}

/// Runs `shape` many times, with the failure at another item each time; how often its sink saw an end.
fn count_false_ends(shape: impl Fn(u64, &AtomicU64) + Send + 'static) -> u64 {
    in_time(move || {
        let ends = AtomicU64::new(0);
        for n in 0..RUNS {
            shape(n % 4, &ends);
        }
        ends.into_inner()
    })
}

#[test]
fn no_false_end_after_a_failing_source() {
    let ends = count_false_ends(|n, ends| {
        let mut items = 0..;
        let failed = run(&Control::new(), |p| {
            let items = p.source("source", 2, || {
                fail_at(n, items.next().expect("endless")).map(Some)
            });
            p.sink("sink", items, |rx| {
                while rx.recv()?.is_some() {}
                ends.fetch_add(1, SeqCst);
                Ok(())
            });
        });
        assert_eq!(failed.unwrap_err().stage, "source");
    });
    assert_eq!(ends, 0, "of {RUNS}");
}

#[test]
fn no_false_end_after_a_failing_stage() {
    let ends = count_false_ends(|n, ends| {
        let mut items = 0..;
        let failed = run(&Control::new(), |p| {
            let items = p.source("source", 2, || Ok(items.next()));
            let passed = p.stage("stage", 2, items, |rx, tx| {
                while let Some(item) = rx.recv()? {
                    tx.send(fail_at(n, item)?)?;
                }
                Ok(())
            });
            p.sink("sink", passed, |rx| {
                while rx.recv()?.is_some() {}
                ends.fetch_add(1, SeqCst);
                Ok(())
            });
        });
        assert_eq!(failed.unwrap_err().stage, "stage");
    });
    assert_eq!(ends, 0, "of {RUNS}");
}

#[test]
fn no_false_end_after_a_failing_worker() {
    let ends = count_false_ends(|n, ends| {
        // The item that fails is the last one, so that the other worker ends well.
        let mut items = 0..=n;
        let failed = run(&Control::new(), |p| {
            let items = p.source("source", 2, || Ok(items.next()));
            let mapped = p.par_map("map", 2, items, vec![(); 2], |(), item| fail_at(n, item));
            p.sink("sink", mapped, |rx| {
                while rx.recv()?.is_some() {}
                ends.fetch_add(1, SeqCst);
                Ok(())
            });
        });
        assert_eq!(failed.unwrap_err().stage, "map");
    });
    assert_eq!(ends, 0, "of {RUNS}");
}

#[test]
fn no_false_end_after_a_failing_unordered_worker() {
    let ends = count_false_ends(|n, ends| {
        // The item that fails is the last one, so that the other worker ends well.
        let mut items = 0..=n;
        let failed = run(&Control::new(), |p| {
            let items = p.source("source", 2, || Ok(items.next()));
            let mapped =
                p.par_map_unordered("map", 2, items, vec![(); 2], |(), item| fail_at(n, item));
            p.sink("sink", mapped, |rx| {
                while rx.recv()?.is_some() {}
                ends.fetch_add(1, SeqCst);
                Ok(())
            });
        });
        assert_eq!(failed.unwrap_err().stage, "map");
    });
    assert_eq!(ends, 0, "of {RUNS}");
}
