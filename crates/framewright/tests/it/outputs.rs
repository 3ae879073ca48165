//! Nothing of the user's is replaced, followed or removed, whatever stands at the names a run makes.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::env::{
    Run, TestEnv, decodable_frames, ffmpeg, names_in, upscale_args, upscale_args_with_progress,
};
use crate::interrupt::{FAST, Running, SLOW, long_clip};

fn clip(env: &TestEnv, name: &str) -> PathBuf {
    let source = "-f lavfi -i testsrc2=s=160x90:r=24:d=2 -c:v libx264 -preset ultrafast -f mp4";
    ffmpeg(env.root(), &format!("{source} {name}"));
    env.path(name)
}

#[test]
fn an_interrupted_run_does_not_replace_the_input_by_its_part() {
    let env = TestEnv::new();
    let folder = env.folder("films");
    let input = folder.join("o.partial.mkv");
    fs::rename(long_clip(&env), &input).unwrap();
    let before = fs::read(&input).unwrap();
    for more in [FAST, &[FAST, &["--overwrite"]].concat()] {
        let running = Running::start_on(&env, &input, &folder.join("o.mkv"), more);
        let running = running.wait_for_frames(30);
        running.signal(Signal::INT);
        let run = running.end().0.expect_code(130);
        assert!(run.stderr.contains("o.partial-2.mkv"), "{}", run.stderr);
        assert_eq!(names_in(&folder), ["o.partial-2.mkv", "o.partial.mkv"]);
        fs::remove_file(folder.join("o.partial-2.mkv")).unwrap();
    }
    assert!(fs::read(&input).unwrap() == before);
}

#[test]
fn a_film_with_the_name_of_a_hidden_file_is_read_and_stays() {
    let env = TestEnv::new();
    let input = clip(&env, ".o.mp4.partial");
    let before = fs::read(&input).unwrap();
    env.upscale(&input, &env.path("o.mp4"), FAST).expect_code(0);
    assert!(fs::read(&input).unwrap() == before);
    assert_eq!(names_in(env.root()), [".o.mp4.partial", "o.mp4"]);
}

#[test]
fn a_link_at_a_name_of_the_run_is_not_followed() {
    let env = TestEnv::new();
    let input = clip(&env, "in.mp4");
    fs::write(env.path("victim"), "precious").unwrap();
    symlink("victim", env.path(".o.mp4.partial")).unwrap();
    env.upscale(&input, &env.path("o.mp4"), FAST).expect_code(0);
    symlink("victim", env.path(".p.mp4.fw-lock")).unwrap();
    let run = env.upscale(&input, &env.path("p.mp4"), FAST);
    let run = run.expect_code(73);
    assert!(run.stderr.contains(".p.mp4.fw-lock"), "{}", run.stderr);
    assert_eq!(fs::read(env.path("victim")).unwrap(), b"precious");
}

#[test]
fn outputs_that_are_a_file_of_the_run_by_another_name_are_refused() {
    let env = TestEnv::new();
    let input = clip(&env, "in.mp4");
    fs::hard_link(&input, env.path("hard.mp4")).unwrap();
    symlink(".", env.path("here")).unwrap();
    fs::write(env.path("model.onnx"), "a network").unwrap();
    let before = names_in(env.root());
    let refused = |output: &str, more: &[&str]| {
        let run = env.upscale(&input, &env.path(output), more);
        run.expect_code(2);
    };
    refused("hard.mp4", &["--overwrite"]);
    refused("o.mp4", &["--report", "hard.mp4"]);
    refused("o.mp4", &["--plan-out", "here/o.mp4"]);
    refused("o.mkv", &["--dump-composite", "here/o.mkv"]);
    let words = ["upscale", "in.mp4", "-o", "o.mp4", "-m", "model.onnx"];
    env.run(&[&words[..], &["--report", "here/model.onnx"]].concat())
        .expect_code(2);
    assert_eq!(names_in(env.root()), before);
}

#[test]
fn a_pipe_or_a_device_as_output_is_refused_at_once() {
    let env = TestEnv::new();
    let input = clip(&env, "in.mp4");
    let pipe = env.path("pipe.mkv");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for output in ["/dev/null", "/dev/full", "/dev/stdout", "pipe.mkv"] {
        let run = env.upscale(&input, &env.path(output), &["--overwrite"]);
        let run = run.expect_code(73);
        assert_eq!(run.error_lines().len(), 1, "{run:?}");
    }
    assert_eq!(names_in(env.root()), ["in.mp4", "pipe.mkv"]);
}

#[test]
fn a_report_to_standard_error_stands_between_the_messages() {
    let env = TestEnv::new();
    let input = clip(&env, "in.mp4");
    let log = env.path("log");
    fs::write(&log, "earlier\n").unwrap();
    let mut command = env.command(&upscale_args(&input, &env.path("o.mp4")));
    command.args(FAST).args(["--report", "/dev/stderr"]);
    command.stderr(File::options().append(true).open(&log).unwrap());
    assert!(command.status().unwrap().success());
    let text = fs::read_to_string(&log).unwrap();
    let (before, after) = (text.find("\"frames_in\": 48"), text.find("48 frames, "));
    assert!(text.starts_with("earlier\n"), "{text}");
    assert!(before.is_some() && before < after, "{text}");
}

/// A library that makes every lock fail as on a file system without locks; none where there is no C compiler.
fn library_without_locks(env: &TestEnv) -> Option<PathBuf> {
    let (source, library) = (env.path("nolocks.c"), env.path("nolocks.so"));
    let code = "#include <errno.h>\nint flock(int fd, int how) { (void)fd; (void)how; errno = ENOLCK; return -1; }\n";
    fs::write(&source, code).unwrap();
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-o"]);
    let made = command.arg(&library).arg(&source).status();
    if made.is_ok_and(|made| made.success()) {
        return Some(library);
    }
    println!("skipped: there is no C compiler");
    None
}

#[test]
fn without_locks_a_second_run_is_refused_and_a_killed_one_is_cleared_away() {
    let env = TestEnv::new();
    let Some(library) = library_without_locks(&env) else {
        return;
    };
    let source = "-f lavfi -i testsrc2=s=320x180:r=24:d=20 -c:v libx264 -preset ultrafast";
    ffmpeg(env.root(), &format!("{source} in.mp4"));
    let input = env.path("in.mp4");
    let folder = env.folder("out");
    let output = folder.join("o.mkv");
    let command = |more: &[&str]| {
        let mut command = env.command(&upscale_args_with_progress(&input, &output, "json"));
        command.args(more).arg("--overwrite");
        command.env("LD_PRELOAD", &library);
        command
    };
    let first = Running::of(command(SLOW)).wait_for_frames(1);
    let second = Run::from(command(FAST).output().unwrap()).expect_code(73);
    let who = format!("process {} on ", first.id());
    assert!(second.stderr.contains(&who), "{}", second.stderr);
    first.signal(Signal::KILL);
    first.end();
    assert_eq!(names_in(&folder).len(), 2, "a lock file and a hidden file");
    Run::from(command(FAST).output().unwrap()).expect_code(0);
    assert_eq!(names_in(&folder), ["o.mkv"]);
    assert_eq!(decodable_frames(&output), (480, String::new()));
}

#[test]
fn a_folder_that_is_removed_or_moved_ends_the_run_and_nothing_is_left() {
    let env = TestEnv::new();
    long_clip(&env);
    for is_moved in [false, true] {
        let folder = env.folder("out");
        let running = Running::start(&env, &folder.join("o.mkv"), SLOW).wait_for_frames(1);
        if is_moved {
            fs::rename(&folder, env.path("moved")).unwrap();
        } else {
            fs::remove_dir_all(&folder).unwrap();
        }
        // The whole film would take minutes.
        let run = running.end().0.expect_code(74);
        assert!(run.stderr.contains("moved or removed"), "{}", run.stderr);
        assert!(!folder.exists());
    }
    assert_eq!(names_in(&env.path("moved")), [""; 0]);
}

#[test]
fn killed_at_any_moment_the_next_run_leaves_only_what_was_asked_for() {
    let env = TestEnv::new();
    let input = clip(&env, "in.mp4");
    let folder = env.folder("out");
    let output = folder.join("o.mp4");
    let report = folder.join("report.json");
    let mut args = upscale_args(&input, &output);
    args.extend(["--overwrite", "--report"].map(str::to_owned));
    args.push(report.to_str().unwrap().to_owned());
    for round in 0..12_u64 {
        let running = Running::of(env.command(&args));
        std::thread::sleep(Duration::from_millis(25 * round));
        running.signal(Signal::KILL);
        running.end();
    }
    env.run(&args).expect_code(0);
    assert_eq!(names_in(&folder), ["o.mp4", "report.json"]);
    assert_eq!(decodable_frames(&output), (48, String::new()));
}
