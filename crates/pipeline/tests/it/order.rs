//! Order by construction, and a bounded number of items in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use framewright_pipeline::{Control, run};
use proptest::prelude::*;

use crate::in_time;

fn pause_micros(micros: u64) {
    if micros > 0 {
        thread::sleep(Duration::from_micros(micros));
    }
}

/// Sends the delays, as items, through two parallel stages and a sequential one; what arrives.
fn send_through(
    workers: usize,
    window: usize,
    capacity: usize,
    delays: &[u64],
) -> Vec<(usize, u64)> {
    let mut arrived = Vec::new();
    let mut items = delays.iter().copied().enumerate();
    run(&Control::new(), |p| {
        let items = p.source("source", capacity, move || Ok(items.next()));
        let first = p.par_map(
            "first",
            window,
            items,
            vec![(); workers],
            |(), (i, delay)| {
                pause_micros(delay);
                Ok((i, delay))
            },
        );
        let second = p.stage("between", capacity, first, |rx, tx| {
            while let Some(item) = rx.recv()? {
                tx.send(item)?;
            }
            Ok(())
        });
        let last = p.par_map(
            "second",
            window,
            second,
            vec![(); workers],
            |(), (i, delay)| {
                pause_micros(delays[delays.len() - 1 - i]);
                Ok((i, delay))
            },
        );
        p.sink("sink", last, |rx| {
            while let Some(item) = rx.recv()? {
                arrived.push(item);
            }
            Ok(())
        });
    })
    .unwrap();
    arrived
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_is_kept_for_any_workers_window_capacity_and_delays(
        workers in 1..9_usize,
        window in 0..12_usize,
        capacity in 0..5_usize,
        delays in prop::collection::vec(prop_oneof![3 => Just(0_u64), 1 => 1..400_u64], 1..60),
    ) {
        let expected: Vec<_> = delays.iter().copied().enumerate().collect();
        let arrived = in_time(move || send_through(workers, window, capacity, &delays));
        prop_assert_eq!(arrived, expected);
    }
}

/// Counts itself as long as it exists.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn a_slow_head_keeps_in_flight_within_the_window() {
    const ITEMS: usize = 500;
    for (workers, window, capacity) in [(1, 1, 1), (2, 2, 1), (4, 8, 1), (8, 4, 3), (3, 16, 2)] {
        let (pulled, mapped, most_alive) = in_time(move || {
            let (mut pulled, mapped) = (0, AtomicUsize::new(0));
            let alive = Arc::new(AtomicUsize::new(0));
            let (mut at_release, mut mapped_at_release) = (0, 0);
            let (pulled_now, most_alive) = (AtomicUsize::new(0), AtomicUsize::new(0));
            run(&Control::new(), |p| {
                let items = p.source("source", capacity, || {
                    pulled += 1;
                    pulled_now.store(pulled, SeqCst);
                    let item = (pulled <= ITEMS).then(|| (pulled - 1, Counted::new(&alive)));
                    most_alive.fetch_max(alive.load(SeqCst), SeqCst);
                    Ok(item)
                });
                let done = p.par_map("map", window, items, vec![(); workers], |(), (i, item)| {
                    if i == 0 {
                        thread::sleep(Duration::from_millis(60));
                    }
                    mapped.fetch_add(1, SeqCst);
                    Ok((i, item))
                });
                p.sink("sink", done, |rx| {
                    let mut head = rx.recv()?.expect("the head is not lost");
                    (at_release, mapped_at_release) =
                        (pulled_now.load(SeqCst), mapped.load(SeqCst));
                    assert_eq!(head.0, 0);
                    while let Some(next) = rx.recv()? {
                        assert_eq!(next.0, head.0 + 1);
                        head = next;
                    }
                    Ok(())
                });
            })
            .unwrap();
            (at_release, mapped_at_release, most_alive.into_inner())
        });
        // Between the moment the head leaves and the moment the sink looks, a few more may be pulled and mapped.
        let race = 2;
        let waiting = capacity + 1; // in the source's queue, and in its hand
        assert!(
            mapped <= window + race,
            "{mapped} mapped behind the head, window {window}"
        );
        assert!(
            pulled <= window + waiting + race,
            "{pulled} pulled behind the head, window {window}"
        );
        // Two are in the sink's hands when it moves on.
        assert!(
            most_alive <= window + waiting + 2,
            "{most_alive} items existed at once, window {window}"
        );
    }
}

#[test]
fn while_the_head_is_stuck_exactly_the_window_is_in_flight() {
    const WINDOW: usize = 8;
    let (pulled, mapped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = in_time({
        let (pulled, mapped) = (Arc::clone(&pulled), Arc::clone(&mapped));
        move || {
            let mut seen = (0, 0);
            run(&Control::new(), |p| {
                let items = p.source("source", 1, || {
                    Ok(Some(pulled.fetch_add(1, SeqCst)).filter(|i| *i < 5000))
                });
                let done = p.par_map("map", WINDOW, items, vec![(); 4], |(), i| {
                    if i == 0 {
                        // Everything that can run ahead does so in this time; then it is looked at.
                        thread::sleep(Duration::from_millis(200));
                        return Ok(Some((pulled.load(SeqCst), mapped.load(SeqCst))));
                    }
                    mapped.fetch_add(1, SeqCst);
                    Ok(None)
                });
                p.sink("sink", done, |rx| {
                    while let Some(item) = rx.recv()? {
                        seen = item.unwrap_or(seen);
                    }
                    Ok(())
                });
            })
            .unwrap();
            seen
        }
    });
    let (pulled, mapped) = seen;
    assert_eq!(
        mapped,
        WINDOW - 1,
        "the others of the window are done and wait for the head"
    );
    assert_eq!(
        pulled,
        WINDOW + 2,
        "one more is in the source's queue and one in its hand"
    );
}

#[test]
fn unordered_loses_and_doubles_nothing() {
    let mut arrived = in_time(|| {
        let (mut items, mut arrived) = (0..500_u64, Vec::new());
        run(&Control::new(), |p| {
            let items = p.source("source", 3, || Ok(items.next()));
            let done = p.par_map_unordered("map", 3, items, vec![(); 5], |(), i| {
                pause_micros(if i % 7 == 0 { 300 } else { 0 });
                Ok(i)
            });
            p.sink("sink", done, |rx| {
                while let Some(item) = rx.recv()? {
                    arrived.push(item);
                }
                Ok(())
            });
        })
        .unwrap();
        arrived
    });
    arrived.sort_unstable();
    assert_eq!(arrived, (0..500).collect::<Vec<_>>());
}

#[test]
fn each_worker_works_with_its_own_value() {
    let done = in_time(|| {
        let (mut items, mut done) = (0..200_u32, Vec::new());
        let mut counts = [0_u32; 3];
        run(&Control::new(), |p| {
            let items = p.source("source", 2, || Ok(items.next()));
            let workers: Vec<&mut u32> = counts.iter_mut().collect();
            let mapped = p.par_map("map", 6, items, workers, |count, i| {
                **count += 1;
                Ok(i)
            });
            p.sink("sink", mapped, |rx| {
                while let Some(item) = rx.recv()? {
                    done.push(item);
                }
                Ok(())
            });
        })
        .unwrap();
        (counts.iter().sum::<u32>(), done.len())
    });
    assert_eq!(done, (200, 200));
}
