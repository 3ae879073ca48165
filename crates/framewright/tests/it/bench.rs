//! `bench`: its numbers are those of `upscale` and of ffmpeg, it leaves nothing, and it ends when it is told to.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use framewright::bench::quality::{Sums, difference};
use framewright_media::{Decoder, Frame, Interrupt};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::env::{Run, TestEnv, asset, ffmpeg, fixture, names_in};

const FAST: &[&str] = &["--encoder", "libx264", "--preset", "ultrafast"];

/// Five seconds at 24 frames per second, with B-frames and sound, in which every second frame repeats the one before.
fn clip(env: &TestEnv) {
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=128x96:r=12:d=5 -f lavfi -i sine=d=5 -vf fps=24 -c:v libx264 -bf 3 -g 24 -c:a aac \
         in.mkv",
    );
}

/// `bench` without a network on what `clip` made, with a folder of its own for temporary files.
fn bench_command(env: &TestEnv, more: &[&str]) -> Command {
    let mut command = env.command(&["bench", "in.mkv", "-m", "nearest-x2"]);
    command.args(more).env("TMPDIR", env.folder("tmp"));
    command
}

fn bench(env: &TestEnv, more: &[&str]) -> Run {
    bench_command(env, more).output().unwrap().into()
}

fn document(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
}

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, and ffmpeg says {expected}"
    );
}

/// What ffmpeg's filters `psnr` and `ssim` find for luma: of all frames, and of the worst frame.
struct Judged {
    psnr_db: f64,
    worst_psnr_db: f64,
    ssim: f64,
    worst_ssim: f64,
}

fn judge(folder: &Path, one: &Path, other: &Path, frames: usize) -> Judged {
    let graph = format!(
        "[0]trim=end_frame={frames},split[a][c];[1]trim=end_frame={frames},split[b][d];\
         [a][b]psnr=f=psnr.log,nullsink;[c][d]ssim=f=ssim.log"
    );
    let (one, other) = (one.display(), other.display());
    ffmpeg(
        folder,
        &format!("-i {one} -i {other} -lavfi {graph} -f null -"),
    );
    let column = |log: &str, key: &str| -> Vec<f64> {
        let text = std::fs::read_to_string(folder.join(log)).unwrap();
        let words = text.split_whitespace();
        let values = words.filter_map(|word| word.strip_prefix(key));
        values.map(|value| value.parse().unwrap()).collect()
    };
    let (psnr, ssim) = (column("psnr.log", "psnr_y:"), column("ssim.log", "Y:"));
    assert_eq!((psnr.len(), ssim.len()), (frames, frames));
    // The log has two digits of the error, so the error is taken from the decibels.
    let errors = psnr
        .iter()
        .map(|db| 255.0_f64.powi(2) / 10.0_f64.powf(db / 10.0));
    let error = errors.sum::<f64>() / frames as f64;
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    Judged {
        psnr_db: 10.0 * (255.0_f64.powi(2) / error).log10(),
        worst_psnr_db: least(&psnr),
        ssim: ssim.iter().sum::<f64>() / frames as f64,
        worst_ssim: least(&ssim),
    }
}

fn frames(path: &Path, n: u64) -> Vec<Frame> {
    let mut decoder = Decoder::open(path, 0, &Interrupt::default()).unwrap();
    decoder.end_after(n);
    let units = std::iter::from_fn(|| decoder.next_unit().unwrap());
    units.filter_map(|unit| unit.frame).collect()
}

#[test]
fn psnr_and_ssim_are_those_of_ffmpeg_on_a_clip_and_its_bad_copy() {
    let (Some(good), Some(bad)) = (
        asset("clips/2d/dialogue_limited.mp4"),
        asset("clips/2d/dialogue_limited_grain.mp4"),
    ) else {
        return;
    };
    let mut sums = Sums::default();
    for (one, other) in frames(&good, 12).iter().zip(&frames(&bad, 12)) {
        sums.add(&difference(one, other));
    }
    let (found, env) = (sums.quality().unwrap(), TestEnv::new());
    let judged = judge(env.root(), &good, &bad, 12);
    println!("{found:?}");
    assert_close("psnr", found.psnr_db, judged.psnr_db, 0.01);
    assert_close(
        "frame",
        found.worst_frame_psnr_db,
        judged.worst_psnr_db,
        0.01,
    );
    // ffmpeg's filter takes a smaller constant for the brightness than the paper.
    assert_close("ssim", found.ssim, judged.ssim, 1e-3);
    assert_close("frame", found.worst_frame_ssim, judged.worst_ssim, 1e-3);
    assert!(found.worst_block_psnr_db < found.worst_frame_psnr_db);
    assert!(found.worst_block_ssim < found.worst_frame_ssim);
}

#[test]
fn the_quality_is_that_of_the_films_that_upscale_makes() {
    let Some(source) = asset("clips/2d/dialogue_limited_web.mp4") else {
        return;
    };
    let env = TestEnv::new();
    let source = source.display();
    ffmpeg(
        env.root(),
        &format!("-i {source} -frames:v 48 -an -c copy in.mkv"),
    );
    let options = ["--tolerance", "2"];
    let film = |reuse: &str| {
        let path = env.path(&format!("{reuse}.mkv"));
        let more = [&options[..], &["--encoder", "ffv1", "--reuse", reuse]].concat();
        env.upscale(&env.path("in.mkv"), &path, &more)
            .expect_code(0);
        path
    };
    let full = film("off");
    let more = [
        "--start",
        "0",
        "--seconds",
        "9",
        "--encoder",
        "null",
        "--json",
    ];
    let run = bench(&env, &[&options[..], &more].concat()).expect_code(0);
    let document = document(&run);
    assert_eq!(document["frames"], 48);
    for (mode, reuse) in [(2, "frame"), (3, "region")] {
        let row = &document["modes"][mode];
        assert_eq!(row["mode"], format!("reuse_{reuse}"));
        let number = |key: &str| row["quality"][key].as_f64().unwrap();
        let judged = judge(env.root(), &film(reuse), &full, 48);
        println!("{reuse}: {}", row["quality"]);
        assert_close("psnr", number("psnr_db"), judged.psnr_db, 0.01);
        assert_close(
            "frame",
            number("worst_frame_psnr_db"),
            judged.worst_psnr_db,
            0.01,
        );
        assert_close("ssim", number("ssim"), judged.ssim, 1e-4);
        assert_close("frame", number("worst_frame_ssim"), judged.worst_ssim, 1e-4);
    }
}

#[test]
fn every_mode_upscales_the_same_frames_and_nothing_is_left() {
    let env = TestEnv::new();
    clip(&env);
    let more = ["--start", "2", "--seconds", "1", "--workers", "2", "--json"];
    let run = bench(&env, &[FAST, &more].concat()).expect_code(0);
    let document = document(&run);
    assert_eq!(
        (&document["version"], &document["frames"]),
        (&1.into(), &24.into())
    );
    assert_eq!(document["short"], true);
    let modes = document["modes"].as_array().unwrap();
    let names: Vec<_> = modes
        .iter()
        .map(|row| row["mode"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["one_at_a_time", "pipelined", "reuse_frame", "reuse_region"]
    );
    let computed = |row: usize| modes[row]["compute_fraction"].as_f64().unwrap();
    assert_eq!((computed(0), computed(1)), (1.0, 1.0));
    assert!(computed(2) < 1.0 && computed(3) <= computed(2), "{run:#?}");
    for row in modes {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert_close("fps", number("fps"), 24.0 / number("wall_secs"), 1e-6);
        assert_close(
            "film",
            number("film_secs"),
            120.0 / number("fps"),
            0.02 * number("film_secs"),
        );
        for busy in row["busy"].as_array().unwrap() {
            assert!(
                (0.0..=1.01).contains(&busy["share"].as_f64().unwrap()),
                "{busy}"
            );
        }
    }
    assert_eq!(names_in(env.root()), ["in.mkv", "tmp"]);
    assert_eq!(names_in(&env.path("tmp")), [""; 0]);
}

#[test]
fn the_table_stands_on_stdout_and_what_goes_on_on_stderr() {
    let env = TestEnv::new();
    clip(&env);
    let run = bench(&env, &[FAST, &["--seconds", "0.5"]].concat()).expect_code(0);
    for word in [
        "fps",
        "speed-up",
        "computed",
        "whole film",
        "busy",
        "PSNR dB",
        "SSIM",
        "4 pipelined, --reuse region",
    ] {
        assert!(run.stdout.contains(word), "{word} in {}", run.stdout);
    }
    assert!(
        run.stdout.lines().all(|line| line.chars().count() <= 100),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("12 frames from second 1.7 on, 128x96 to 256x192"),
        "{run:#?}"
    );
    assert!(run.stderr.contains("run 5 of 5"), "{}", run.stderr);
}

#[test]
fn a_film_that_cannot_be_searched_is_measured_from_its_start() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=96x64:r=24:d=1 -c:v libx264 raw.h264",
    );
    let args = ["bench", "raw.h264", "-m", "nearest-x2", "--encoder", "null"];
    let run = env
        .run(&[&args[..], &["--seconds", "0.4"]].concat())
        .expect_code(0);
    assert!(run.stdout.contains("from second 0.0 on"), "{run:#?}");
    let run = env
        .run(&[&args[..], &["--start", "0.5"]].concat())
        .expect_code(65);
    assert!(run.stderr.contains("cannot be searched"), "{run:#?}");
}

#[test]
fn a_model_whose_parts_cannot_be_computed_alone_has_no_row_for_regions() {
    let env = TestEnv::new();
    clip(&env);
    let model = fixture("reach/unlimited/squeeze-excite.onnx");
    let args = [
        "bench",
        "in.mkv",
        "-m",
        &model,
        "--seconds",
        "0.2",
        "--encoder",
        "null",
    ];
    let run = env.run(&args);
    if run.lacks_onnx_runtime() {
        return;
    }
    let run = run.expect_code(0);
    let missing = "4 pipelined, --reuse region: missing, no part of a result of";
    assert!(run.stdout.contains(missing), "{run:#?}");
    assert!(run.stderr.contains("run 4 of 4"), "{run:#?}");
}

#[test]
fn what_is_wrong_has_the_exit_codes_of_upscale() {
    let env = TestEnv::new();
    clip(&env);
    let refused = |args: &[&str], code: i32, words: &str| {
        let run = env.run(&[&["bench"], args].concat()).expect_code(code);
        assert!(run.stderr.contains(words), "{words} in {run:#?}");
        assert_eq!(run.stdout, "");
        if code != 2 {
            assert_eq!(run.error_lines().len(), 1, "{run:#?}");
        }
    };
    refused(&["nowhere.mkv"], 65, "cannot open the input");
    refused(&["in.mkv", "-m", "no-such-model"], 78, "no-such-model");
    refused(&["in.mkv", "--scale", "3"], 2, "3");
    let beyond = ["in.mkv", "-m", "nearest-x2", "--start", "7"];
    refused(&beyond, 65, "the video ends before second 7");
    refused(&["in.mkv", "--seconds", "0"], 2, "more than 0");
    refused(&["in.mkv", "--start=-1"], 2, "a number of seconds");
    refused(
        &["in.mkv", "--encoder", "null", "--crf", "3"],
        2,
        "--crf has no effect on null",
    );
    let made = Command::new("mkfifo").arg(env.path("pipe.mkv")).status();
    assert!(made.unwrap().success());
    refused(&["pipe.mkv"], 65, "must be a file");
}

#[test]
fn ctrl_c_ends_it_at_once_and_prints_nothing() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=320x180:r=24:d=60 -c:v libx264 -preset ultrafast in.mkv",
    );
    for (place, signal, code) in [("run 1", Signal::INT, 130), ("run 2", Signal::TERM, 143)] {
        let slow = [
            "--encoder",
            "libx264",
            "--preset",
            "veryslow",
            "--seconds",
            "15",
        ];
        let mut command = bench_command(&env, &slow);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut heard = String::new();
        while !heard.contains(place) {
            assert!(lines.read_line(&mut heard).unwrap() > 0, "{heard}");
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(names_in(&env.path("tmp")).len(), 1);
        let asked = Instant::now();
        let id = i32::try_from(child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
        lines.read_to_string(&mut heard).unwrap();
        let run = Run::from(child.wait_with_output().unwrap()).expect_code(code);
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(run.stdout, "");
        assert!(heard.contains("stopped: nothing is left"), "{heard}");
        assert_eq!(names_in(&env.path("tmp")), [""; 0]);
    }
}

#[test]
fn the_help_of_bench_is_this() {
    let env = TestEnv::new();
    let run = env.run(&["bench", "--help"]).expect_code(0);
    insta::assert_snapshot!("help_bench", run.stdout);
}
