//! One signal ends a run, whatever it is waiting for.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use super::collection::bars;
use crate::env::{TestEnv, ffmpeg};
use crate::server::{self, File, Server};

/// Longer than anything here takes on a busy machine, and far shorter than what the runs wait for.
const PATIENCE: Duration = Duration::from_mins(1);

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends the signal and expects the end with its code.
fn ends_with_143(mut child: Child, when: &str) {
    assert_eq!(child.try_wait().unwrap(), None, "ended early: {when}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut code = None;
    wait_for(&format!("it does not end: {when}"), || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(143), "{when}");
}

#[test]
fn a_download_that_stands_still() {
    let env = TestEnv::new();
    let film = fs::read(bars(&env.folder("films"), 0, 0.5)).unwrap();
    let server = Server::start();
    let slow = server::slow(File::new(&film), 1000, Duration::from_hours(1));
    let url = server.route("/a.mp4", slow);
    fs::write(env.path("list.txt"), &url).unwrap();
    let host = server.host();
    let args = [
        "dataset",
        "run",
        "--inputs",
        "list.txt",
        "-o",
        "set",
        "--stall-timeout",
        "100000",
        "--allow-host",
        &host,
        "--progress",
        "none",
    ];
    let child = env.spawn(&args);
    wait_for("it is asked for the file", || {
        !server.requests("/a.mp4").is_empty()
    });
    ends_with_143(child, "in a download");
}

#[test]
fn a_film_that_takes_long() {
    let env = TestEnv::new();
    let films = env.folder("films");
    ffmpeg(
        &films,
        "-f lavfi -i testsrc2=s=1280x720:r=30:d=15 -c:v libx264 -preset ultrafast -threads 1 a.mp4",
    );
    fs::write(env.path("list.txt"), "films/a.mp4").unwrap();
    let args = [
        "dataset",
        "run",
        "--inputs",
        "list.txt",
        "-o",
        "set",
        "--every",
        "1f",
        "--progress",
        "none",
    ];
    let child = env.spawn(&args);
    let videos = env.path("set/state/videos");
    wait_for("pictures are written", || {
        let folders = fs::read_dir(&videos).into_iter().flatten().flatten();
        folders
            .map(|it| it.path().join("frames.new"))
            .any(|new| new.exists())
    });
    ends_with_143(child, "while a film is decoded");
}

#[test]
fn a_registry_that_another_program_holds() {
    let env = TestEnv::new();
    bars(&env.folder("films"), 0, 0.5);
    fs::write(env.path("list.txt"), "films").unwrap();
    let args = [
        "dataset",
        "run",
        "--inputs",
        "list.txt",
        "-o",
        "set",
        "--progress",
        "none",
    ];
    env.run(&args).expect_code(0);
    let other = Connection::open(env.path("set/state/registry.sqlite")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let config = env.path("set/state/config.json");
    fs::remove_file(&config).unwrap();
    let inputs = env.path("set/state/inputs.json");
    fs::remove_file(&inputs).unwrap();
    let child = env.spawn(&args);
    // Written just before the registry is opened.
    wait_for("the inputs are read", || inputs.exists());
    ends_with_143(child, "while another program holds the registry");
}
