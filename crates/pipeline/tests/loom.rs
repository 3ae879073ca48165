//! Every interleaving of the queue, the budget and the end of a stage, on small models.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p framewright-pipeline --test loom --release`, best with its own target folder.
//! A lost wake-up shows as a deadlock, which loom reports.
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use framewright_pipeline::model::{Port, Queue, Stage, take_in_turn};
use framewright_pipeline::{Budget, Cause, Control, Stopped};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use loom::thread;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn join<const N: usize>(threads: [thread::JoinHandle<()>; N]) {
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn what_is_sent_arrives_in_order_and_then_the_end() {
    check(|| {
        let queue = Arc::new(Queue::new(1));
        let sender = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                for n in 0..3 {
                    queue.send(n).unwrap();
                }
                queue.end();
            }
        });
        for n in 0..3 {
            assert_eq!(queue.recv(), Ok(Some(n)));
        }
        assert_eq!(queue.recv(), Ok(None));
        sender.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost_among_several_senders_and_receivers() {
    check(|| {
        let queue = Arc::new(Queue::new(1));
        let send = |n| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.send(n).unwrap())
        };
        let senders = [send(1), send(2)];
        let receiver = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.recv().unwrap().unwrap()
        });
        let first = queue.recv().unwrap().unwrap();
        assert_eq!(first + receiver.join().unwrap(), 3);
        join(senders);
    });
}

#[test]
fn stop_wakes_a_sender_and_a_receiver() {
    check(|| {
        let control = Control::new();
        let (full, empty) = (Arc::new(Queue::new(1)), Arc::new(Queue::<u8>::new(1)));
        let _wakers = [&full, &empty].map(|queue| {
            let queue = Arc::clone(queue);
            control.on_stop(move || queue.stop())
        });
        full.send(0).unwrap();
        let sender = thread::spawn({
            let full = Arc::clone(&full);
            move || assert_eq!(full.send(1), Err(Stopped))
        });
        let stopper = thread::spawn({
            let control = control.clone();
            move || control.stop()
        });
        assert_eq!(empty.recv(), Err(Stopped));
        sender.join().unwrap();
        stopper.join().unwrap();
    });
}

#[test]
fn a_sender_is_woken_when_the_reader_goes() {
    check(|| {
        let queue = Arc::new(Queue::new(1));
        let (tx, rx) = (queue.tx(), queue.rx());
        let reader = thread::spawn(move || {
            assert_eq!(rx.recv(), Ok(Some(1)));
        });
        tx.send(1).unwrap();
        while tx.send(2).is_ok() {}
        reader.join().unwrap();
    });
}

fn two_workers_keep_the_order(window: usize) {
    check(move || {
        let input = Arc::new(Queue::new(2));
        let output = Arc::new(Queue::new(window));
        let turn = Arc::new(Mutex::new(input.rx()));
        let work = || {
            let (turn, output) = (Arc::clone(&turn), Arc::clone(&output));
            thread::spawn(move || {
                while let Some((item, place)) = take_in_turn(&turn, &output).unwrap() {
                    output.fill(place, item).unwrap();
                }
            })
        };
        input.send(1).unwrap();
        input.send(2).unwrap();
        input.end();
        let workers = [work(), work()];
        assert_eq!(output.recv(), Ok(Some(1)));
        assert_eq!(output.recv(), Ok(Some(2)));
        join(workers);
    });
}

#[test]
fn two_workers_keep_the_order_and_both_see_the_end() {
    two_workers_keep_the_order(2);
}

#[test]
fn two_workers_with_room_for_one_both_see_the_end() {
    two_workers_keep_the_order(1);
}

#[test]
fn a_receiver_is_woken_by_the_head_while_the_place_behind_it_is_empty() {
    check(|| {
        let queue = Arc::new(Queue::new(2));
        let places = [(); 2].map(|()| {
            queue.claim().unwrap();
            queue.place()
        });
        let filler = thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.fill(places[0], 0).unwrap()
        });
        assert_eq!(queue.recv(), Ok(Some(0)));
        join([filler]);
    });
}

#[test]
fn a_receiver_is_woken_for_what_was_ready_behind_the_head() {
    check(|| {
        let queue = Arc::new(Queue::new(2));
        let places = [(); 2].map(|()| {
            queue.claim().unwrap();
            queue.place()
        });
        let filler = thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                queue.fill(places[1], 1).unwrap();
                queue.fill(places[0], 0).unwrap();
                queue.claim().unwrap();
            }
        });
        let receiver = thread::spawn({
            let queue = Arc::clone(&queue);
            move || assert!(queue.recv().unwrap().is_some())
        });
        assert!(queue.recv().unwrap().is_some());
        join([filler, receiver]);
    });
}

/// A stage of `bodies` threads in front of a queue that the control stops.
fn stage_before(control: &Control, queue: &Arc<Queue<u8>>, bodies: usize) -> Arc<Stage> {
    let output = Arc::clone(queue) as Arc<dyn Port>;
    Arc::new(Stage::new(control, "stage", None, Some(output), bodies))
}

#[test]
fn a_failure_is_recorded_before_the_reader_learns_of_it_and_is_never_an_end() {
    check(|| {
        let control = Control::new();
        let queue = Arc::new(Queue::new(1));
        let waiters = Arc::clone(&queue);
        let _waker = control.on_stop(move || waiters.stop());
        let stage = stage_before(&control, &queue, 2);
        let conclude = |outcome| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.conclude(outcome))
        };
        let bodies = [
            conclude(Ok(())),
            conclude(Err(Cause::Panic("broken".into()))),
        ];
        assert_eq!(queue.recv(), Err(Stopped));
        assert!(control.is_stopped());
        join(bodies);
    });
}

#[test]
fn a_failure_while_another_stops_the_run_makes_no_end() {
    check(|| {
        let control = Control::new();
        let queue = Arc::new(Queue::new(1));
        let waiters = Arc::clone(&queue);
        let _waker = control.on_stop(move || waiters.stop());
        let failing = thread::spawn({
            let stage = stage_before(&control, &queue, 1);
            move || stage.conclude(Err(Cause::Panic("broken".into())))
        });
        let stopper = thread::spawn({
            let control = control.clone();
            move || control.stop()
        });
        assert_eq!(queue.recv(), Err(Stopped));
        join([failing, stopper]);
    });
}

#[test]
fn a_body_that_swallows_stopped_makes_no_end() {
    check(|| {
        let control = Control::new();
        let (before, after) = (Arc::new(Queue::<u8>::new(1)), Arc::new(Queue::new(1)));
        let _wakers = [&before, &after].map(|queue| {
            let queue = Arc::clone(queue);
            control.on_stop(move || queue.stop())
        });
        let careless = thread::spawn({
            let (stage, before) = (stage_before(&control, &after, 1), Arc::clone(&before));
            move || {
                assert_eq!(before.recv(), Err(Stopped));
                stage.conclude(Ok(()));
            }
        });
        let stopper = thread::spawn({
            let control = control.clone();
            move || control.stop()
        });
        assert_eq!(after.recv(), Err(Stopped));
        careless.join().unwrap();
        stopper.join().unwrap();
    });
}

#[test]
fn a_stage_ends_its_queue_after_the_last_of_its_bodies() {
    check(|| {
        let control = Control::new();
        let queue = Arc::new(Queue::new(2));
        let stage = stage_before(&control, &queue, 2);
        let sent = Arc::new(AtomicUsize::new(0));
        let bodies = [1, 2].map(|n| {
            let (stage, queue, sent) = (Arc::clone(&stage), Arc::clone(&queue), Arc::clone(&sent));
            thread::spawn(move || {
                queue.send(n).unwrap();
                sent.fetch_add(1, SeqCst);
                stage.conclude(Ok(()));
            })
        });
        let mut received = 0;
        while let Some(n) = queue.recv().unwrap() {
            received += n;
        }
        assert_eq!((received, sent.load(SeqCst)), (3, 2));
        join(bodies);
    });
}

#[test]
fn a_budget_is_kept_and_nobody_waits_for_ever() {
    check(|| {
        let budget = Budget::new(2);
        let held = Arc::new(AtomicUsize::new(0));
        let holders = [2, 1].map(|bytes| {
            let (budget, held) = (budget.clone(), Arc::clone(&held));
            thread::spawn(move || {
                let admission = budget.admit(bytes as u64).unwrap();
                assert!(held.fetch_add(bytes, SeqCst) + bytes <= 2);
                held.fetch_sub(bytes, SeqCst);
                drop(admission);
            })
        });
        drop(budget.admit(1).unwrap());
        join(holders);
    });
}

#[test]
fn a_callback_never_runs_after_its_guard_is_gone() {
    check(|| {
        let control = Control::new();
        let (gone, called_late) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let guard = control.on_stop({
            let (gone, called_late) = (Arc::clone(&gone), Arc::clone(&called_late));
            move || called_late.store(gone.load(SeqCst), SeqCst)
        });
        let stopper = thread::spawn({
            let control = control.clone();
            move || control.stop()
        });
        drop(guard);
        gone.store(true, SeqCst);
        stopper.join().unwrap();
        assert!(!called_late.load(SeqCst));
    });
}
