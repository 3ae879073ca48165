//! A run that is killed at any moment loses what was in flight and nothing else.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::collection::bars;
use super::run_list;
use super::table::files;
use crate::env::TestEnv;

#[test]
fn fifty_kills_at_any_moment_leave_the_same_dataset() {
    let env = TestEnv::new();
    let folder = env.folder("films");
    let films: Vec<_> = (0..6).map(|n| bars(&folder, n, 1.0)).collect();
    let more = [
        "--every",
        "0.2s",
        "--format",
        "coco,webdataset,imagefolder",
        "--workers",
        "2",
    ];
    let begun = Instant::now();
    run_list(&env, &films, "whole/set", &more).expect_code(0);
    let mut length = begun.elapsed();

    let mut args = vec!["dataset", "run", "--inputs", "list.txt", "-o", "killed/set"];
    args.extend(more);
    let (mut killed, mut runs) = (0, 0_u32);
    while killed < 50 {
        runs += 1;
        assert!(runs < 1000, "{killed} of {runs} runs could be killed");
        // Moments spread over the length of a run, in an order that has nothing to do with what it does.
        let moment = length.mul_f64(f64::from(runs * 37 % 50) / 50.0);
        match killed_after(&env, &args, moment) {
            None => killed += 1,
            Some(ended_after) => length = length.min(ended_after),
        }
        // Begin anew now and then, so that early stages are hit as well as late ones.
        if runs % 5 == 0 {
            let _ = std::fs::remove_dir_all(env.path("killed/set"));
        }
    }
    env.run(&args).expect_code(0);
    assert_eq!(
        files(&env.path("killed/set")),
        files(&env.path("whole/set"))
    );
}

/// Runs the program and kills it at a moment; how long it took where it came to its end before.
fn killed_after(env: &TestEnv, args: &[&str], moment: Duration) -> Option<Duration> {
    let begun = Instant::now();
    let mut child = env.command(args).stderr(Stdio::null()).spawn().unwrap();
    while begun.elapsed() < moment {
        if child.try_wait().unwrap().is_some() {
            return Some(begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    let was_killed = child.wait().unwrap().code().is_none();
    (!was_killed).then(|| begun.elapsed())
}
