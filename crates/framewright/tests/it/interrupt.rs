//! Ctrl-C, SIGTERM, kill -9, two runs at once: what is left is playable or it is not there.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::env::{
    Run, TestEnv, asset, decodable_frames, ffmpeg, ffprobe, names_in, upscale_args_with_progress,
};

/// Long enough that nobody finishes it: with an encoder as slow as this, some minutes.
pub const SLOW: &[&str] = &["--encoder", "libx264", "--preset", "veryslow"];
pub const FAST: &[&str] = &["--encoder", "libx264", "--preset", "ultrafast"];

pub fn long_clip(env: &TestEnv) -> PathBuf {
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=320x180:r=24:d=125 -f lavfi -i sine=d=125 -c:v libx264 \
         -preset ultrafast -c:a aac long.mkv",
    );
    env.path("long.mkv")
}

/// A run that is under way.
pub struct Running {
    child: Child,
    lines: BufReader<ChildStderr>,
    heard: String,
}

impl Running {
    pub fn start(env: &TestEnv, output: &Path, more: &[&str]) -> Self {
        Self::start_on(env, &env.path("long.mkv"), output, more)
    }

    pub fn start_on(env: &TestEnv, input: &Path, output: &Path, more: &[&str]) -> Self {
        let mut args = upscale_args_with_progress(input, output, "json");
        if more.contains(&"--model") {
            let at = args.iter().position(|arg| arg == "-m").unwrap();
            args.drain(at..at + 2);
        }
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        Self::of(env.command(&args))
    }

    /// Starts a command that shows its progress as JSON.
    pub fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            lines,
            heard: String::new(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads progress until `frames` are done.
    pub fn wait_for_frames(mut self, frames: u64) -> Self {
        loop {
            let mut line = String::new();
            let length = self.lines.read_line(&mut line).unwrap();
            assert!(
                length > 0,
                "the run ended before frame {frames}: {}",
                self.heard
            );
            self.heard += &line;
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["done"].as_u64().is_some_and(|done| done >= frames) {
                return self;
            }
        }
    }

    /// Frames done by the last progress heard of.
    fn done(&self) -> u64 {
        let events = self
            .heard
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut done = events.filter_map(|event: Value| event["done"].as_u64());
        done.next_back().expect("progress was heard of")
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Reads the rest, waits for the end, and says how long that took.
    pub fn end(mut self) -> (Run, Duration) {
        let start = Instant::now();
        self.lines.read_to_string(&mut self.heard).unwrap();
        let mut run = Run::from(self.child.wait_with_output().unwrap());
        run.stderr = self.heard;
        (run, start.elapsed())
    }
}

/// The partial file is said, plays, and holds the first part of the source with its times.
fn assert_playable_part(env: &TestEnv, folder: &Path, name: &str, run: &Run) {
    assert!(
        run.stderr.contains(name),
        "{name} is said in {}",
        run.stderr
    );
    assert_eq!(names_in(folder), [name]);
    let part = folder.join(name);
    let (frames, complaints) = decodable_frames(&part);
    assert!((60..2999).contains(&frames), "{frames} frames");
    assert_eq!(complaints, "");
    let times = |path: &Path, kind: &str| -> Vec<f64> {
        let json = ffprobe(
            path,
            &["-select_streams", kind, "-show_entries", "packet=pts_time"],
        );
        let packets = json["packets"].as_array().unwrap().iter();
        let times = packets.filter_map(|packet| packet["pts_time"].as_str());
        let mut times: Vec<f64> = times.map(|time| time.parse().unwrap()).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let source = env.path("long.mkv");
    let (whole, kept) = (times(&source, "v"), times(&part, "v"));
    for (n, (was, is)) in whole.iter().zip(&kept).enumerate() {
        assert!((was - is).abs() <= 0.001, "frame {n} at {is}, was {was}");
    }
    let (picture, sound) = (kept.last().unwrap(), *times(&part, "a").last().unwrap());
    assert!(
        (picture - sound).abs() < 2.0,
        "picture ends at {picture}, sound at {sound}"
    );
    println!("{frames} frames kept, picture to {picture:.2} s, sound to {sound:.2} s");
}

#[test]
fn ctrl_c_leaves_a_playable_part_and_says_so() {
    let env = TestEnv::new();
    long_clip(&env);
    for container in ["mkv", "mp4"] {
        let folder = env.folder(container);
        let output = folder.join(format!("film.{container}"));
        let running = Running::start(&env, &output, FAST).wait_for_frames(60);
        running.signal(Signal::INT);
        let (run, took) = running.end();
        let run = run.expect_code(130);
        assert_playable_part(&env, &folder, &format!("film.partial.{container}"), &run);
        assert!(took < Duration::from_secs(10), "took {took:?}");
    }
}

#[test]
fn sigterm_finishes_like_ctrl_c_with_its_own_code() {
    let env = TestEnv::new();
    long_clip(&env);
    let folder = env.folder("out");
    let running = Running::start(&env, &folder.join("film.mkv"), FAST).wait_for_frames(60);
    running.signal(Signal::TERM);
    let run = running.end().0.expect_code(143);
    assert_playable_part(&env, &folder, "film.partial.mkv", &run);
}

#[test]
fn ctrl_c_waits_for_the_frames_being_computed_and_not_for_those_queued() {
    let Some(model) = asset("models/realesr-animevideov3-x2.onnx") else {
        return;
    };
    let env = TestEnv::new();
    // So large that a frame takes longer than the 200 ms between two lines of progress: otherwise what was done by the
    // last of them says little about the moment of the signal.
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=640x360:r=24:d=5 -c:v libx264 -preset ultrafast long.mkv",
    );
    let folder = env.folder("out");
    let network = ["--precision", "fp32", "--workers", "1", "--reuse", "off"];
    let more = [&network[..], &["--model", model.to_str().unwrap()]].concat();
    let running = Running::start(&env, &folder.join("film.mkv"), &more).wait_for_frames(2);
    let done = running.done();
    running.signal(Signal::INT);
    running.end().0.expect_code(130);
    let kept = decodable_frames(&folder.join("film.partial.mkv")).0;
    // One is computed, one may have been finished and not been counted; six are decoded ahead.
    assert!(
        kept >= done && kept <= done + 3,
        "{kept} kept, {done} were done"
    );
}

#[test]
fn ctrl_c_twice_stops_at_once_and_leaves_nothing() {
    let env = TestEnv::new();
    long_clip(&env);
    let folder = env.folder("out");
    let running = Running::start(&env, &folder.join("film.mkv"), SLOW).wait_for_frames(5);
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(60));
    running.signal(Signal::INT);
    let (run, took) = running.end();
    run.expect_code(130);
    // The program waits a second for its encoder; the whole film would take minutes.
    assert!(took < Duration::from_secs(5), "took {took:?}");
    assert_eq!(names_in(&folder), [""; 0]);
}

#[test]
fn after_kill_nine_the_same_command_succeeds() {
    let env = TestEnv::new();
    long_clip(&env);
    let folder = env.folder("out");
    let output = folder.join("film.mkv");
    let running = Running::start(&env, &output, FAST).wait_for_frames(60);
    running.signal(Signal::KILL);
    running.end();
    assert!(!output.exists(), "nothing partial under the final name");
    env.upscale(&env.path("long.mkv"), &output, FAST)
        .expect_code(0);
    assert_eq!(names_in(&folder), ["film.mkv"]);
    assert_eq!(decodable_frames(&output), (3000, String::new()));
}

#[test]
fn of_two_runs_on_one_output_one_is_refused() {
    let env = TestEnv::new();
    long_clip(&env);
    let folder = env.folder("out");
    let output = folder.join("film.mkv");
    let first = Running::start(&env, &output, FAST).wait_for_frames(1);
    let second = env.upscale(
        &env.path("long.mkv"),
        &output,
        &[FAST, &["--overwrite"]].concat(),
    );
    let second = second.expect_code(73);
    assert_eq!(second.error_lines().len(), 1, "{second:#?}");
    first.end().0.expect_code(0);
    assert_eq!(names_in(&folder), ["film.mkv"]);
    assert_eq!(decodable_frames(&output), (3000, String::new()));
    println!("{}", second.stderr.trim());
}

#[test]
fn of_two_runs_started_together_exactly_one_succeeds() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=160x90:r=24:d=20 -c:v libx264 long.mkv",
    );
    let folder = env.folder("out");
    for round in 0..5 {
        let output = folder.join(format!("film{round}.mkv"));
        let both = [(); 2].map(|()| Running::start(&env, &output, FAST));
        let mut codes = both.map(|running| running.end().0.code);
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(73)], "round {round}");
        assert_eq!(decodable_frames(&output), (480, String::new()));
    }
    assert_eq!(names_in(&folder).len(), 5);
}
