//! A run that is killed at any moment loses what was in flight and nothing else.

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
    let whole_run = begun.elapsed();

    let mut args = vec!["dataset", "run", "--inputs", "list.txt", "-o", "killed/set"];
    args.extend(more);
    let mut killed = 0;
    // Moments spread evenly over the length of a run; a generator that has no period of fifty.
    for n in 0..50_u32 {
        let mut child = env
            .command(&args)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let share = f64::from(n * 37 % 50) / 50.0;
        std::thread::sleep(whole_run.mul_f64(1.2 * share) + Duration::from_millis(2));
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().code().is_none());
        if n % 10 == 9 {
            // Begin anew, so that early stages are hit as well.
            let _ = std::fs::remove_dir_all(env.path("killed/set"));
        }
    }
    println!("{killed} of 50 runs were killed before their end");
    assert!(killed >= 20);
    let mut child = env
        .command(&args)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(whole_run / 3);
    child.kill().unwrap();
    child.wait().unwrap();
    env.run(&args).expect_code(0);
    assert_eq!(
        files(&env.path("killed/set")),
        files(&env.path("whole/set"))
    );
}
