//! The first cause wins, from every position, and a panic is a cause like any other.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use framewright_pipeline::{BoxError, Cause, Control, Ending, Failure, Stopped, run};

use crate::in_time;

const POSITIONS: [&str; 5] = ["source", "stage", "par_map", "unordered", "sink"];

#[derive(Debug)]
struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} is broken", self.0)
    }
}

impl Error for Broken {}

/// An error that a careless body makes of the [`Stopped`] it got, without keeping it as the source.
fn consequence(_: Stopped) -> BoxError {
    "lost my neighbour".into()
}

/// Runs all kinds of stages in a row; the one at `position` calls `trouble` for item 20.
/// The others turn `Stopped` into errors of their own where they can. Also whether the sink saw an end.
fn run_with_trouble(
    position: &'static str,
    trouble: fn(&'static str) -> Result<(), BoxError>,
) -> (Result<Ending, Failure>, bool) {
    let maybe = move |here: &str, item: u32| {
        if here == position && item == 20 {
            trouble(position)
        } else {
            Ok(())
        }
    };
    let mut items = 0..1000_u32;
    let saw_end = AtomicBool::new(false);
    let result = run(&Control::new(), |p| {
        let items = p.source("source", 2, || {
            let item = items.next();
            item.map_or(Ok(()), |i| maybe("source", i))?;
            Ok(item)
        });
        let staged = p.stage("stage", 2, items, |rx, tx| {
            while let Some(item) = rx.recv().map_err(consequence)? {
                maybe("stage", item)?;
                tx.send(item).map_err(consequence)?;
            }
            Ok(())
        });
        let mapped = p.par_map("par_map", 4, staged, vec![(); 3], |(), i| {
            maybe("par_map", i).map(|()| i)
        });
        let mixed = p.par_map_unordered("unordered", 2, mapped, vec![(); 2], |(), i| {
            maybe("unordered", i).map(|()| i)
        });
        let checked = p.stage("last", 2, mixed, |rx, tx| {
            while let Some(item) = rx.recv().map_err(consequence)? {
                tx.send(item).map_err(consequence)?;
            }
            Ok(())
        });
        p.sink("sink", checked, |rx| {
            while let Some(item) = rx.recv().map_err(consequence)? {
                maybe("sink", item)?;
            }
            saw_end.store(true, SeqCst);
            Ok(())
        });
    });
    (result.map(|run| run.ending), saw_end.into_inner())
}

#[test]
fn the_first_error_wins_from_every_position() {
    for position in POSITIONS {
        for _ in 0..100 {
            let (result, saw_end) =
                in_time(move || run_with_trouble(position, |name| Err(Broken(name).into())));
            let failure = result.unwrap_err();
            assert_eq!(
                failure.to_string(),
                format!("{position}: the {position} is broken")
            );
            let Cause::Error(error) = failure.cause else {
                panic!("not an error")
            };
            assert!(error.is::<Broken>(), "the error itself is kept");
            assert!(
                !saw_end,
                "the sink took the failure of {position} for an end"
            );
        }
    }
}

#[test]
fn a_panic_in_every_position_is_the_failure_of_that_stage() {
    for position in POSITIONS {
        let (result, saw_end) =
            in_time(move || run_with_trouble(position, |name| panic!("no {name} any more")));
        let failure = result.unwrap_err();
        assert_eq!(failure.stage, position);
        assert!(
            matches!(failure.cause, Cause::Panic(message) if message == format!("no {position} any more"))
        );
        assert!(!saw_end, "the sink took the panic of {position} for an end");
    }
}

#[test]
fn without_trouble_the_same_stages_complete() {
    let (result, saw_end) = in_time(|| run_with_trouble("nowhere", |_| Ok(())));
    assert_eq!((result.unwrap(), saw_end), (Ending::Completed, true));
}

#[test]
fn an_error_after_stop_is_a_consequence_of_it() {
    let control = Control::new();
    let ending = in_time(move || {
        run(&control, |p| {
            let items = p.source("source", 1, || Ok(Some(())));
            p.sink("sink", items, |rx| {
                rx.recv()?;
                control.stop();
                Err("broken pipe".into())
            });
        })
        .map(|run| run.ending)
    });
    assert_eq!(ending.unwrap(), Ending::Stopped);
}

#[test]
fn stopped_of_a_stages_own_making_does_not_pass_for_an_end() {
    for _ in 0..50 {
        let failure = in_time(|| {
            let mut n = 0;
            run(&Control::new(), |p| {
                let items = p.source("source", 1, || {
                    n += 1;
                    if n > 3 {
                        Err(Stopped.into())
                    } else {
                        Ok(Some(n))
                    }
                });
                p.sink("sink", items, |rx| {
                    while rx.recv()?.is_some() {}
                    panic!("a false end");
                });
            })
            .unwrap_err()
        });
        assert_eq!(failure.to_string(), "source: stopped");
    }
}

#[test]
fn a_body_that_swallows_stopped_does_not_end_its_queue() {
    for _ in 0..200 {
        let failure = in_time(|| {
            run(&Control::new(), |p| {
                let mut n = 0;
                let items = p.source("source", 1, move || {
                    n += 1;
                    if n > 3 {
                        Err("no more".into())
                    } else {
                        Ok(Some(n))
                    }
                });
                let passed = p.stage("careless", 1, items, |rx, tx| {
                    while let Ok(Some(item)) = rx.recv() {
                        let _ = tx.send(item);
                    }
                    Ok(())
                });
                p.sink("sink", passed, |rx| {
                    while rx.recv()?.is_some() {}
                    panic!("a false end");
                });
            })
            .unwrap_err()
        });
        assert_eq!(failure.to_string(), "source: no more");
    }
}

#[test]
fn a_failed_run_leaves_its_control_stopped() {
    let control = Control::new();
    let failed = run(&control, |p| {
        let items = p.source("source", 1, || Err::<Option<()>, _>("no".into()));
        p.sink("sink", items, |rx| Ok(rx.recv().map(drop)?));
    });
    assert!(failed.is_err());
    assert!(control.is_stopped());
    let again = run(&control, |p| {
        let items = p.source("source", 1, || Ok(Some(())));
        p.sink("sink", items, |rx| Ok(rx.recv().map(drop)?));
    });
    assert_eq!(again.unwrap().ending, Ending::Stopped);
}

/// Takes its time to be dropped, as a decoder that is closed.
struct Slow;

impl Drop for Slow {
    fn drop(&mut self) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn the_stage_before_the_failing_one_is_not_blamed_while_that_one_is_torn_down() {
    for position in ["stage", "par_map", "unordered", "sink"] {
        let failure = in_time(move || {
            let fail = || Err::<(), BoxError>(Broken(position).into());
            run(&Control::new(), |p| {
                let items = p.source("source", 1, || Ok(Some(1)));
                let careless = p.stage("careless", 1, items, |rx, tx| {
                    while let Some(item) = rx.recv()? {
                        tx.send(item).map_err(consequence)?;
                    }
                    Ok(())
                });
                let slow = Slow;
                let failing = match position {
                    "stage" => p.stage("stage", 1, careless, move |rx, _| {
                        let _torn_down_last = &slow;
                        drop(rx);
                        fail()
                    }),
                    "par_map" => p.par_map("par_map", 1, careless, vec![slow], move |_, _| fail()),
                    "unordered" => {
                        p.par_map_unordered("unordered", 1, careless, vec![slow], move |_, _| {
                            fail()
                        })
                    }
                    _ => {
                        return p.sink("sink", careless, move |rx| {
                            let _torn_down_last = &slow;
                            drop(rx);
                            fail()
                        });
                    }
                };
                p.sink("rest", failing, |rx| Ok(rx.recv().map(drop)?));
            })
            .unwrap_err()
        });
        assert_eq!(
            failure.to_string(),
            format!("{position}: the {position} is broken")
        );
    }
}
