//! A run ends, whatever does not answer: a pipe without a writer, standard error without a reader, a slow network.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
use rustix::process::Signal;

use crate::env::{
    Run, TestEnv, decodable_frames, ffmpeg, names_in, upscale_args, upscale_args_with_progress,
};
use crate::interrupt::{FAST, Running};

fn clip(env: &TestEnv) -> std::path::PathBuf {
    let source = "-f lavfi -i testsrc2=s=160x90:r=24:d=1 -c:v libx264 -preset ultrafast";
    ffmpeg(env.root(), &format!("{source} in.mp4"));
    env.path("in.mp4")
}

#[test]
fn a_pipe_without_a_writer_is_refused_as_input_and_as_model() {
    let env = TestEnv::new();
    let input = clip(&env);
    for pipe in ["pipe.mp4", "pipe.onnx"] {
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, env.path(pipe), FileType::Fifo, mode, 0).unwrap();
    }
    let run = env.upscale(&env.path("pipe.mp4"), &env.path("o.mp4"), FAST);
    let run = run.expect_code(65);
    assert!(run.stderr.contains("a pipe"), "{}", run.stderr);
    let words = ["upscale", "in.mp4", "-o", "o.mp4", "-m", "pipe.onnx"];
    env.run(&words).expect_code(78);
    let report = ["--report", "pipe.mp4"];
    let run = env.upscale(&input, &env.path("o.mp4"), &report);
    let run = run.expect_code(73);
    assert!(run.stderr.contains("nobody reads the pipe"), "{run:?}");
}

/// A pipe that takes nothing more, and both of its ends.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 512]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[test]
fn standard_error_that_nobody_reads_does_not_hold_up_a_run() {
    let env = TestEnv::new();
    let input = clip(&env);
    for (name, progress, more) in [
        ("lines.mp4", "auto", FAST),
        ("json.mp4", "json", FAST),
        ("verbose.mp4", "none", &[FAST, &["-v"]].concat()),
    ] {
        let (reader, writer) = full_pipe();
        let output = env.path(name);
        let mut command = env.command(&upscale_args_with_progress(&input, &output, progress));
        command.args(more).stderr(writer);
        assert!(command.status().unwrap().success(), "{name}");
        assert_eq!(decodable_frames(&output).0, 24);
        drop(reader);
    }
}

#[test]
fn one_sigterm_ends_a_run_that_is_deep_in_its_network() {
    let env = TestEnv::new();
    // Two passes on one thread: a frame takes a second at least, and what is in flight longer than the grace.
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=480x270:r=24:d=1 -c:v libx264 -preset ultrafast in.mp4",
    );
    let folder = env.folder("out");
    let mut args = upscale_args(&env.path("in.mp4"), &folder.join("o.mp4"));
    let network = [
        "-m",
        "lite-x2",
        "--scale",
        "4",
        "--workers",
        "1",
        "--reuse",
        "off",
    ];
    let at = args.iter().position(|arg| arg == "-m").unwrap();
    drop(args.splice(at..at + 2, network.map(str::to_owned)));
    let child = Running::of(env.command(&args));
    for _ in 0..3000 {
        if !names_in(&folder).is_empty() {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    child.signal(Signal::TERM);
    child.end().0.expect_code(143);
    let left = names_in(&folder);
    assert!(left.iter().all(|name| name == "o.partial.mp4"), "{left:?}");
}

#[test]
fn one_sigterm_ends_a_run_whose_report_nobody_takes() {
    let env = TestEnv::new();
    let input = clip(&env);
    let (reader, writer) = full_pipe();
    let mut command = env.command(&upscale_args(&input, &env.path("o.mp4")));
    command.args(FAST).arg("--json").stdout(writer);
    command.stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    while !env.path("o.mp4").exists() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(10));
    }
    let id = i32::try_from(child.id()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(names_in(env.root()), ["in.mp4", "o.mp4"]);
    drop(reader);
}

#[test]
fn a_full_standard_output_is_an_error_and_no_panic() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        println!("skipped: there is no /dev/full");
        return;
    };
    let env = TestEnv::new();
    clip(&env);
    let plan = ["upscale", "in.mp4", "-m", "nearest-x2", "--plan-only"];
    for words in [&["models", "list", "--json"][..], &["--help"], &plan] {
        let mut command = env.command(words);
        command.stdout(full.try_clone().unwrap());
        let run = Run::from(command.output().unwrap()).expect_code(74);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    }
}
