//! The words: help, errors, documents, and who gets which on stdout and stderr.

use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::env::{TestEnv, ffmpeg, names_in, read_json};

const FAST: &[&str] = &["--encoder", "libx264", "--preset", "ultrafast"];
const NO_NETWORK: &[&str] = &["upscale", "in.mp4", "-o", "out.mp4", "-m", "nearest-x2"];

/// Half a second in which every second frame repeats the one before.
fn clip(env: &TestEnv) -> PathBuf {
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=96x64:r=12:d=0.5 -vf fps=24 -c:v libx264 -qp 0 -preset ultrafast \
         -pix_fmt yuv420p -colorspace smpte170m -color_range tv -x264-params threads=1 in.mp4",
    );
    env.path("in.mp4")
}

fn upscale(env: &TestEnv, more: &[&str]) -> crate::env::Run {
    clip(env);
    env.run(&[NO_NETWORK, FAST, more].concat())
}

/// What differs from machine to machine and from run to run.
fn redact(value: &mut Value, folder: &str) {
    const MEASURED: [&str; 13] = [
        "wall_secs",
        "cpu_secs",
        "fps",
        "peak_rss_bytes",
        "busy_secs",
        "input_wait_secs",
        "output_wait_secs",
        "bottleneck",
        "part_overhead",
        // goes by the cores
        "memory",
        "compute_fraction",
        // of pictures that another version of x264 would encode otherwise
        "cells_changed_fraction",
        "worst_tolerated_difference",
    ];
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                if MEASURED.contains(&key.as_str()) {
                    *field = Value::String("[here]".to_owned());
                } else {
                    redact(field, folder);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, folder)),
        Value::String(text) => *text = text.replace(folder, "[folder]"),
        _ => {}
    }
}

fn redacted(env: &TestEnv, mut value: Value) -> String {
    redact(
        &mut value,
        env.root().canonicalize().unwrap().to_str().unwrap(),
    );
    redact(&mut value, env.root().to_str().unwrap());
    serde_json::to_string_pretty(&value).unwrap()
}

#[test]
fn the_help_is_this() {
    let env = TestEnv::new();
    let run = env.run(&["--help"]).expect_code(0);
    assert_eq!(run.stderr, "");
    insta::assert_snapshot!("help", run.stdout);
}

#[test]
fn the_help_of_upscale_is_this() {
    let env = TestEnv::new();
    let run = env.run(&["upscale", "--help"]).expect_code(0);
    assert_eq!(run.stderr, "");
    insta::assert_snapshot!("help_upscale", run.stdout);
}

#[test]
fn help_names_every_option_of_the_contract() {
    let env = TestEnv::new();
    let help = env.run(&["upscale", "--help"]).stdout;
    let options = "-o -m --model --scale --device --engine --precision --workers --memory --reuse --tolerance \
                   --encoder --crf --preset --pix-fmt --overwrite --plan-only --plan-out --report --progress --json \
                   -q -v libx264 libx265 libsvtav1 ffv1 null";
    let missing: Vec<_> = options
        .split(' ')
        .filter(|word| !help.contains(word))
        .collect();
    assert!(missing.is_empty(), "{missing:?} missing in {help}");
}

#[test]
fn the_errors_are_these() {
    let env = TestEnv::new();
    clip(&env);
    std::fs::write(env.path("words.mp4"), "only words").unwrap();
    std::fs::write(env.path("taken.mp4"), "taken").unwrap();
    let lines: [&[&str]; 8] = [
        &[
            "upscale",
            "nowhere.mp4",
            "-o",
            "out.mp4",
            "-m",
            "nearest-x2",
        ],
        &["upscale", "words.mp4", "-o", "out.mp4", "-m", "nearest-x2"],
        &["upscale", "in.mp4", "-o", "taken.mp4", "-m", "nearest-x2"],
        &[
            "upscale",
            "in.mp4",
            "-o",
            "none/out.mp4",
            "-m",
            "nearest-x2",
        ],
        &["upscale", "in.mp4", "-o", "out.mp4", "-m", "no-such-model"],
        &[
            "upscale",
            "in.mp4",
            "-o",
            "out.mp4",
            "-m",
            "nearest-x2",
            "--engine",
            "ort",
        ],
        &["upscale", "in.mp4", "-o", "out.mp4", "--scale", "3"],
        &[
            "upscale",
            "in.mp4",
            "-o",
            "in.mp4",
            "-m",
            "nearest-x2",
            "--overwrite",
        ],
    ];
    let mut text = String::new();
    for words in lines {
        let run = env.run(words);
        let said = run.stderr.replace(env.root().to_str().unwrap(), "[folder]");
        let (words, code) = (words.join(" "), run.code.unwrap());
        text.extend([format!("$ framewright {words}\n{said}exit {code}\n\n")]);
    }
    insta::assert_snapshot!("errors", text);
}

#[test]
fn the_plan_is_this() {
    let env = TestEnv::new();
    let fixed = ["--workers", "2", "--memory", "4G"];
    upscale(&env, &[&fixed[..], &["--plan-out", "plan.json"]].concat()).expect_code(0);
    let plan = read_json(&env.path("plan.json"));
    assert_eq!(plan["version"], 1);
    insta::assert_snapshot!("plan", redacted(&env, plan));
}

#[test]
fn less_memory_keeps_fewer_pictures() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=640x480:d=0.2 -c:v libx264 -preset ultrafast in.mp4",
    );
    let composites = |memory: &str| {
        let options = ["--plan-only", "--json", "--memory", memory];
        let run = env.run(&[NO_NETWORK, &options].concat()).expect_code(0);
        let plan: Value = serde_json::from_str(&run.stdout).unwrap();
        plan["composites"].as_u64().unwrap()
    };
    // One of them and its result are 2.3 MB, and a part of 32 is for them.
    assert_eq!((composites("64M"), composites("4G")), (1, 16));
}

#[test]
fn the_report_is_this() {
    let env = TestEnv::new();
    upscale(&env, &["--report", "report.json"]).expect_code(0);
    let report = read_json(&env.path("report.json"));
    assert_eq!(report["version"], 1);
    insta::assert_snapshot!("report", redacted(&env, report));
}

#[test]
fn the_measured_numbers_of_the_report_make_sense() {
    let env = TestEnv::new();
    upscale(&env, &["--report", "report.json"]).expect_code(0);
    let report = read_json(&env.path("report.json"));
    let number = |key: &str| {
        report[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key} in {report:#}"))
    };
    let count = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(count("frames_in"), 12);
    assert_eq!(count("unique_frames") + count("duplicates"), 12);
    assert!((number("fps") - 12.0 / number("wall_secs")).abs() < 0.05 * number("fps"));
    assert!(number("cpu_secs") > 0.0 && number("peak_rss_bytes") > 1e6);
    assert!((0.0..=1.0).contains(&number("compute_fraction")));
    let stages = report["stages"].as_array().unwrap();
    let names: Vec<_> = stages
        .iter()
        .map(|stage| stage["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&report["bottleneck"].as_str().unwrap()),
        "{names:?}"
    );
    assert!(names.len() >= 4, "{names:?}");
    for stage in stages {
        assert_eq!(stage["items"], 12, "{stage}");
        assert!(stage["busy_secs"].as_f64().unwrap() >= 0.0, "{stage}");
    }
}

#[test]
fn json_is_one_document_on_stdout() {
    let env = TestEnv::new();
    let run = upscale(&env, &["--json"]).expect_code(0);
    let documents = serde_json::Deserializer::from_str(&run.stdout).into_iter::<Value>();
    let documents: Vec<Value> = documents.map(Result::unwrap).collect();
    assert_eq!(documents.len(), 1, "{}", run.stdout);
    assert_eq!(documents[0]["frames_out"], 12);
}

#[test]
fn progress_json_is_one_object_a_line() {
    let env = TestEnv::new();
    let run = upscale(&env, &["--progress", "json"]).expect_code(0);
    let events: Vec<Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(events.iter().all(|event| event["v"] == 1), "{}", run.stderr);
    let last = events
        .iter()
        .filter_map(|event| event["done"].as_u64())
        .next_back();
    assert_eq!(last, Some(12), "{}", run.stderr);
}

#[test]
fn quiet_is_silent_when_all_is_well() {
    let env = TestEnv::new();
    let run = upscale(&env, &["-q"]).expect_code(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn plan_only_writes_no_video() {
    let env = TestEnv::new();
    let run = upscale(&env, &["--plan-only", "--json"]).expect_code(0);
    let plan: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(plan["version"], 1);
    assert_eq!(names_in(env.root()), ["in.mp4"]);
}

#[test]
fn nothing_is_left_beside_the_output() {
    let env = TestEnv::new();
    upscale(&env, &[]).expect_code(0);
    assert_eq!(names_in(env.root()), ["in.mp4", "out.mp4"]);
}

#[test]
fn the_null_encoder_writes_no_file() {
    let env = TestEnv::new();
    clip(&env);
    let words = ["upscale", "in.mp4", "-m", "nearest-x2", "--encoder", "null"];
    env.run(&words).expect_code(0);
    assert_eq!(names_in(env.root()), ["in.mp4"]);
    let run = env.run(&[&words[..], &["-o", "out.mp4"]].concat());
    assert!(run.stderr.contains("writes no file"), "{run:#?}");
    run.expect_code(0);
    assert_eq!(names_in(env.root()), ["in.mp4"]);
}

#[test]
fn odd_file_names_are_taken_as_they_are() {
    let env = TestEnv::new();
    clip(&env);
    for name in ["a b.mp4", "-y.mp4", "100%d.mp4", "concat:x.mp4", "ü\n.mp4"] {
        std::fs::copy(env.path("in.mp4"), env.path(name)).unwrap();
        let folder = env.folder("out");
        let mut command = env.command(&["upscale", "-m", "nearest-x2", "-o"]);
        command.arg(folder.join(name)).args(FAST).args(["--", name]);
        let run = crate::env::Run::from(command.output().unwrap()).expect_code(0);
        assert_eq!(names_in(&folder), [name], "{run:#?}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let env = TestEnv::new();
    clip(&env);
    for words in [
        &["upscale", "--help"][..],
        &[NO_NETWORK, &["--json"]].concat(),
    ] {
        let mut command = env.command(words);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        let status = child.wait().unwrap();
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(status.code(), Some(0), "{words:?}: {said}");
    }
}

#[test]
fn a_closed_stderr_does_not_stop_the_run() {
    let env = TestEnv::new();
    clip(&env);
    let mut command = env.command(&[NO_NETWORK, FAST, &["--progress", "json"]].concat());
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(names_in(env.root()), ["in.mp4", "out.mp4"]);
}
