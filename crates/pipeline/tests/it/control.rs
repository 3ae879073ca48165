//! Pause, finish and stop.

use std::io::Read;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use framewright_pipeline::{Control, Ending, Failure, Run, run};

use crate::{in_time, start, until};

/// A run of an endless source, counting what the sink takes and whether it sees an end.
#[derive(Clone, Default)]
struct Endless {
    control: Control,
    pulled: Arc<AtomicU64>,
    taken: Arc<AtomicU64>,
    saw_end: Arc<AtomicBool>,
}

impl Endless {
    fn run(&self) -> Result<Run, Failure> {
        run(&self.control, |p| {
            let items = p.source("source", 2, || Ok(Some(self.pulled.fetch_add(1, SeqCst))));
            let mapped = p.par_map("map", 4, items, vec![(); 2], |(), n| Ok(n));
            p.sink("sink", mapped, |rx| {
                while rx.recv()?.is_some() {
                    self.taken.fetch_add(1, SeqCst);
                    thread::sleep(Duration::from_micros(100));
                }
                self.saw_end.store(true, SeqCst);
                Ok(())
            });
        })
    }

    fn start(&self) -> thread::JoinHandle<Result<Run, Failure>> {
        let me = self.clone();
        start(move || me.run())
    }

    fn until_taken(&self, n: u64) {
        until("the sink takes items", || self.taken.load(SeqCst) >= n);
    }
}

#[test]
fn pause_holds_and_resume_goes_on() {
    let endless = Endless::default();
    let running = endless.start();
    endless.until_taken(10);
    endless.control.pause();
    assert!(endless.control.is_paused());
    until("what is in flight has arrived", || {
        let before = endless.pulled.load(SeqCst);
        thread::sleep(Duration::from_millis(50));
        before == endless.pulled.load(SeqCst) && before == endless.taken.load(SeqCst)
    });
    let held = endless.pulled.load(SeqCst);
    thread::sleep(Duration::from_millis(150));
    assert_eq!(
        endless.pulled.load(SeqCst),
        held,
        "an item passed while paused"
    );
    endless.control.resume();
    endless.until_taken(held + 10);
    endless.control.stop();
    assert_eq!(
        in_time(move || running.join().unwrap()).unwrap().ending,
        Ending::Stopped
    );
}

#[test]
fn time_held_by_a_pause_is_not_busy_time() {
    let endless = Endless::default();
    endless.control.pause();
    let running = endless.start();
    thread::sleep(Duration::from_millis(400));
    endless.control.finish();
    let run = in_time(move || running.join().unwrap()).unwrap();
    let source = &run.stages[0];
    assert!(
        source.input_wait >= Duration::from_millis(100),
        "{source:?}"
    );
    assert!(source.busy < Duration::from_millis(100), "{source:?}");
}

#[test]
fn finish_completes_what_is_in_flight_and_the_sink_sees_a_normal_end() {
    let endless = Endless::default();
    let running = endless.start();
    endless.until_taken(10);
    endless.control.finish();
    let run = in_time(move || running.join().unwrap()).unwrap();
    assert_eq!(run.ending, Ending::Finished);
    assert!(endless.saw_end.load(SeqCst));
    assert_eq!(
        endless.taken.load(SeqCst),
        endless.pulled.load(SeqCst),
        "an item in flight was lost"
    );
    assert_eq!(run.stages[2].items, endless.taken.load(SeqCst));
}

#[test]
fn finish_ends_a_pause() {
    let endless = Endless::default();
    endless.control.pause();
    let running = endless.start();
    endless.control.finish();
    assert_eq!(
        in_time(move || running.join().unwrap()).unwrap().ending,
        Ending::Finished
    );
    assert!(endless.saw_end.load(SeqCst));
}

#[test]
fn stop_ends_a_pause() {
    let endless = Endless::default();
    let running = endless.start();
    endless.until_taken(1);
    endless.control.pause();
    thread::sleep(Duration::from_millis(20));
    endless.control.stop();
    assert_eq!(
        in_time(move || running.join().unwrap()).unwrap().ending,
        Ending::Stopped
    );
    assert!(!endless.saw_end.load(SeqCst), "stop is not an end");
}

#[test]
fn finish_at_the_natural_end_is_completed() {
    let control = Control::new();
    let run = run(&control, |p| {
        let items = p.source("source", 1, || {
            control.finish(); // while it says that there is no more
            Ok(None::<u8>)
        });
        p.sink("sink", items, |rx| Ok(rx.recv().map(drop)?));
    });
    assert_eq!(run.unwrap().ending, Ending::Completed);
}

/// Runs a source that is blocked in a read which never ends by itself; `rest` gets what it needs to end the run.
fn run_blocked_in_a_read(
    control: &Control,
    sink: impl FnOnce() -> Result<(), framewright_pipeline::BoxError> + Send,
) -> Result<Run, Failure> {
    let (mut reader, _writer) = UnixStream::pair().unwrap();
    let blocked = reader.try_clone().unwrap();
    let _guard = control.on_stop(move || drop(blocked.shutdown(Shutdown::Both)));
    run(control, |p| {
        let bytes = p.source("source", 1, move || {
            let mut byte = [0];
            reader.read_exact(&mut byte)?;
            Ok(Some(byte[0]))
        });
        p.sink("sink", bytes, |rx| {
            sink()?;
            Ok(rx.recv().map(drop)?)
        });
    })
}

#[test]
fn stop_reaches_a_stage_blocked_on_foreign_io() {
    let control = Control::new();
    let running = start({
        let control = control.clone();
        move || run_blocked_in_a_read(&control, || Ok(()))
    });
    thread::sleep(Duration::from_millis(50));
    let begin = Instant::now();
    control.stop();
    let run = in_time(move || running.join().unwrap()).unwrap();
    assert_eq!(run.ending, Ending::Stopped);
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "took {:?}",
        begin.elapsed()
    );
}

#[test]
fn a_failure_reaches_a_stage_blocked_on_foreign_io() {
    let failure =
        in_time(|| run_blocked_in_a_read(&Control::new(), || Err("no room on the disk".into())));
    assert_eq!(
        failure.unwrap_err().to_string(),
        "sink: no room on the disk"
    );
}

#[test]
fn on_stop_calls_at_once_when_already_stopped_and_never_after_its_guard() {
    let control = Control::new();
    let calls = Arc::new(AtomicU64::new(0));
    let call = |by: u64| {
        let calls = Arc::clone(&calls);
        move || {
            calls.fetch_add(by, SeqCst);
        }
    };
    drop(control.on_stop(call(1)));
    let kept = control.on_stop(call(10));
    let panics = control.on_stop(|| panic!("this goes no further"));
    let after = control.on_stop(call(100));
    control.stop();
    control.stop();
    assert_eq!(calls.load(SeqCst), 110);
    let late = control.on_stop(call(1000));
    assert_eq!(calls.load(SeqCst), 1110);
    drop((kept, panics, after, late));
}

#[test]
fn the_guard_waits_for_its_callback_and_a_callback_may_drop_its_own_guard() {
    let control = Control::new();
    let done = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicBool::new(false));
    let guard = control.on_stop({
        let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
        move || {
            begun.store(true, SeqCst);
            thread::sleep(Duration::from_millis(50));
            done.store(true, SeqCst);
        }
    });
    let own = Arc::new(std::sync::Mutex::new(None));
    let taken = Arc::clone(&own);
    *own.lock().unwrap() = Some(control.on_stop(move || drop(taken.lock().unwrap().take())));
    let stopping = start(move || control.stop());
    until("the callback runs", || begun.load(SeqCst));
    drop(guard);
    assert!(
        done.load(SeqCst),
        "what the callback uses was let go while it ran"
    );
    in_time(move || stopping.join().unwrap());
}

#[test]
fn an_inner_run_stops_with_the_outer_one() {
    let (outer, inner) = (Endless::default(), Endless::default());
    let _link = outer.control.on_stop({
        let inner = inner.control.clone();
        move || inner.stop()
    });
    let (running, inside) = (outer.start(), inner.start());
    inner.until_taken(5);
    outer.control.stop();
    assert_eq!(
        in_time(move || inside.join().unwrap()).unwrap().ending,
        Ending::Stopped
    );
    assert_eq!(
        in_time(move || running.join().unwrap()).unwrap().ending,
        Ending::Stopped
    );
}
