//! What is admitted stays within the budget, and a stop reaches those who wait for it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use framewright_pipeline::{Budget, Control, Ending, run};
use proptest::prelude::*;

use crate::{in_time, start, until};

/// Four workers hold `sizes` in turn; the most bytes that were held by several at once, and by one alone.
fn most_held(limit: u64, sizes: &[u64]) -> (u64, u64, Budget) {
    let (held, holders) = (AtomicU64::new(0), AtomicU64::new(0));
    let (most_shared, most_alone) = (AtomicU64::new(0), AtomicU64::new(0));
    let budget = Budget::new(limit);
    let mut sizes = sizes.iter().copied();
    run(&Control::new(), |p| {
        let sizes = p.source("source", 2, || Ok(sizes.next()));
        let done = p.par_map_unordered("hold", 2, sizes, vec![(); 4], |(), size| {
            let admission = budget.admit(size)?;
            let now = held.fetch_add(size, SeqCst) + size;
            let alone = holders.fetch_add(1, SeqCst) == 0;
            if alone { &most_alone } else { &most_shared }.fetch_max(now, SeqCst);
            thread::sleep(Duration::from_micros(50));
            holders.fetch_sub(1, SeqCst);
            held.fetch_sub(size, SeqCst);
            drop(admission);
            Ok(())
        });
        p.sink("sink", done, |rx| {
            while rx.recv()?.is_some() {}
            Ok(())
        });
    })
    .unwrap();
    (most_shared.into_inner(), most_alone.into_inner(), budget)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_limit_is_kept_except_by_a_single_oversized_holder(sizes in prop::collection::vec(1..140_u64, 1..80)) {
        const LIMIT: u64 = 100;
        let largest = *sizes.iter().max().unwrap();
        let (shared, alone, budget) = in_time(move || most_held(LIMIT, &sizes));
        prop_assert!(shared <= LIMIT, "{shared} held by several");
        prop_assert!(alone <= largest.max(LIMIT), "{alone} held by one");
        prop_assert!(budget.peak_bytes() >= largest && budget.peak_bytes() <= largest.max(LIMIT));
    }
}

#[test]
fn stop_wakes_those_who_wait_to_be_admitted() {
    let control = Control::new();
    let asks = Arc::new(AtomicU64::new(0));
    let running = start({
        let (control, asks) = (control.clone(), Arc::clone(&asks));
        move || {
            let mut held = None; // to the end of the run: only the stop can wake who waits
            run(&control, |p| {
                let budget = p.budget(10);
                held = budget.admit(6).ok();
                let items = p.source("source", 1, move || {
                    asks.fetch_add(1, SeqCst);
                    Ok(Some(budget.admit(6)?))
                });
                p.sink("sink", items, |rx| {
                    rx.recv()?;
                    panic!("admitted beyond the limit");
                });
            })
            .inspect(|_| drop(held))
        }
    });
    until("one asks", || asks.load(SeqCst) == 1);
    thread::sleep(Duration::from_millis(200));
    control.stop();
    let run = in_time(move || running.join().unwrap()).unwrap();
    assert_eq!(run.ending, Ending::Stopped);
    let source = &run.stages[0];
    assert!(
        source.output_wait >= Duration::from_millis(50),
        "{source:?}"
    );
}

#[test]
fn a_large_one_is_not_overtaken_by_small_ones_that_came_later() {
    let budget = Budget::new(10);
    let first = budget.admit(4).unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let ask = |bytes: u64| {
        let (budget, order) = (budget.clone(), order.clone());
        let asking = start(move || {
            let _admission = budget.admit(bytes).unwrap();
            order.lock().unwrap().push(bytes);
        });
        thread::sleep(Duration::from_millis(150)); // until it waits in line
        asking
    };
    let (large, small) = (ask(9), ask(1));
    assert!(order.lock().unwrap().is_empty(), "a small one overtook");
    drop(first);
    in_time(move || {
        large.join().unwrap();
        small.join().unwrap();
    });
    assert_eq!(order.lock().unwrap().len(), 2);
}
