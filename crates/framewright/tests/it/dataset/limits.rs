//! What a configuration, a disk and names may do to a run: end it with a code that says why, and nothing else.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::collection::bars;
use super::run_list;
use crate::env::{Run, TestEnv, names_in, read_json};

/// `dataset run` on a configuration, under limits of the shell.
fn run_limited(env: &TestEnv, limits: &str, more: &[&str]) -> Run {
    let program = env!("CARGO_BIN_EXE_framewright");
    let line = format!("{limits} exec \"$0\" dataset run c.toml \"$@\"");
    let mut shell = env.command_of(Path::new("/bin/bash"), &["-c", &line, program]);
    shell.args(more).output().unwrap().into()
}

fn configure(env: &TestEnv, text: &str) {
    let text = format!("inputs = ['films']\noutput = 'set'\n{text}");
    fs::write(env.path("c.toml"), text).unwrap();
}

#[test]
fn numbers_without_an_end_are_refused_with_key_value_and_range() {
    let env = TestEnv::new();
    bars(&env.folder("films"), 0, 0.5);
    for (text, said) in [
        (
            "[split]\ntrain = 1e308\nval = 1e308",
            "split.train is 1e308",
        ),
        (
            "[extract]\nstall_timeout = inf",
            "extract.stall_timeout is inf",
        ),
        ("[download]\nsleep = nan", "download.sleep is NaN"),
        ("[run]\nworkers = 1000000000", "from 1 to 256"),
        ("[run]\nworkers = -1", "run.workers is -1"),
        ("[extract]\nquality = 1000", "extract.quality is 1000"),
        ("[extract]\nevery = '1e300s'", "frames are chosen by"),
    ] {
        configure(&env, text);
        let run = run_limited(&env, "ulimit -v 3000000;", &[]).expect_code(78);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        assert!(!env.path("set").exists());
    }
}

#[test]
fn the_most_workers_run_in_little_memory() {
    let env = TestEnv::new();
    bars(&env.folder("films"), 0, 0.5);
    configure(&env, "[run]\nworkers = 256\nmode = 'per-stage'");
    run_limited(&env, "ulimit -v 3000000;", &["--progress", "none"]).expect_code(0);
}

#[test]
fn a_list_that_has_no_end_or_waits_is_refused() {
    let env = TestEnv::new();
    fs::write(env.path("long"), vec![b'x'; 1 << 20]).unwrap();
    let pipe = env.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    fs::create_dir(env.path("folder")).unwrap();
    for (list, code) in [
        ("/dev/zero", 78),
        ("pipe", 78),
        ("folder", 78),
        ("long", 65),
    ] {
        let run = env.run(&["dataset", "run", "--inputs", list, "-o", "set"]);
        let run = run.expect_code(code);
        assert!(run.error_lines()[0].len() < 500, "{}", run.stderr);
    }
    let run = env
        .run(&["dataset", "validate", "/dev/zero"])
        .expect_code(78);
    assert!(run.stderr.contains("a device"), "{}", run.stderr);
}

#[test]
fn a_name_that_is_not_utf8_is_one_videos_trouble_or_told_before_the_run() {
    let env = TestEnv::new();
    let folder = env.folder("films");
    let film = bars(&folder, 0, 0.5);
    fs::copy(&film, folder.join(OsStr::from_bytes(b"\xff.mp4"))).unwrap();
    let run = run_list(&env, &["films/*.mp4"], "set", &["--json"]).expect_code(3);
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(summary["done"], 1);
    assert_eq!(summary["failed"]["bad_input"], 1);
    assert!(run.stderr.contains(r"films/\xff.mp4"), "{}", run.stderr);
    let mut args: Vec<&OsStr> = ["dataset", "run", "--inputs", "list.txt", "-o"]
        .map(OsStr::new)
        .to_vec();
    args.push(OsStr::from_bytes(b"\xff"));
    let run = env.run(&args).expect_code(78);
    assert!(run.stderr.contains("not UTF-8"), "{}", run.stderr);
}

#[test]
fn a_report_and_a_plan_take_names_that_are_not_utf8() {
    let env = TestEnv::new();
    let film = bars(&env.folder("films"), 0, 0.5);
    let name = OsStr::from_bytes(b"\xff.mp4");
    fs::rename(film, env.path("").join(name)).unwrap();
    let mut command = env.command(&["upscale", "-m", "nearest-x2", "-o", "o.mp4"]);
    command.args(["--report", "r.json", "--plan-out", "p.json"]);
    let run: Run = command.arg(name).output().unwrap().into();
    run.expect_code(0);
    assert_eq!(read_json(&env.path("r.json"))["input"], r"\xff.mp4");
    assert_eq!(read_json(&env.path("p.json"))["input"]["path"], r"\xff.mp4");
}

/// Nothing in it acts on a terminal but the ends of lines.
fn is_harmless(text: &str) -> bool {
    let acts = |c: char| c != '\n' && framewright::visible::acts(c);
    !text.chars().any(acts)
}

#[test]
fn names_of_files_act_neither_on_a_terminal_nor_in_a_document() {
    let env = TestEnv::new();
    let film = bars(&env.folder("films"), 0, 0.5);
    let name = "a\u{1b}[31mRED\u{202e}\u{9b}2J\nerror: b\u{200f}.mp4";
    fs::copy(film, env.path(name)).unwrap();
    let args = ["upscale", name, "-m", "nearest-x2", "--plan-only"];
    let plan = env.run(&args).expect_code(0);
    assert!(is_harmless(&plan.stdout) && is_harmless(&plan.stderr));
    assert!(plan.stdout.contains(r"a\u{1b}[31mRED\u{202e}"));
    let json = env.run(&[&args[..], &["--json"]].concat()).expect_code(0);
    assert!(is_harmless(&json.stdout));
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    let path = document["input"]["path"].as_str().unwrap();
    assert!(path.ends_with(name));
    let usage = env.run(&["upscale", name, name]).expect_code(2);
    assert!(is_harmless(&usage.stderr), "{}", usage.stderr);

    let text = format!("inputs = [{}, 'no\\u001b[31mRED.mp4']", Value::from(name));
    let toml = text.replace("'no\\u001b[31mRED.mp4'", "\"no\\u001b[31mRED.mp4\"");
    let export = "[export]\nformats = ['imagefolder', 'coco', 'voc', 'webdataset', 'croissant']";
    let description = "name = \"n\\u202ea\\u001b\"\ndescription = \"d\\u2066\\u009b\"";
    fs::write(
        env.path("c.toml"),
        format!("{toml}\n{export}\n{description}\n"),
    )
    .unwrap();
    let run = env
        .run(&["dataset", "run", "c.toml", "-o", "set"])
        .expect_code(3);
    assert!(is_harmless(&run.stderr), "{}", run.stderr);
    let status = env.run(&["dataset", "status", "set"]).expect_code(0);
    assert!(is_harmless(&status.stdout) && status.stdout.contains(r"no\u{1b}[31mRED.mp4"));
    for file in [
        "README.md",
        "report.html",
        "croissant.json",
        "coco/annotations/instances_train.json",
        "imagefolder/train/metadata.jsonl",
    ] {
        let text = fs::read_to_string(env.path("set").join(file)).unwrap_or_default();
        assert!(is_harmless(&text), "{file}: {text:?}");
    }
}

#[test]
fn what_a_file_may_take_decides_the_code_and_is_no_crash() {
    let env = TestEnv::new();
    bars(&env.folder("films"), 0, 0.5);
    configure(&env, "");
    // Blocks of 1 KiB: not even the registry fits.
    let run = run_limited(&env, "ulimit -f 4;", &["--progress", "none"]);
    run.expect_code(74);
    run_limited(&env, "", &["--progress", "none"]).expect_code(0);
}

#[test]
fn a_full_disk_ends_the_run_with_74_and_the_same_command_goes_on() {
    let env = TestEnv::new();
    bars(&env.folder("films"), 0, 8.0);
    configure(
        &env,
        "[extract]\nevery = '1f'\nformat = 'png'\n[dedup]\npreset = 'off'",
    );
    let small = env.folder("small");
    let mount = |args: &[&str]| {
        let mut mount = Command::new("mount");
        let done = mount.args(args).arg(&small).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        println!("skipped: no file system can be mounted here");
        return;
    }
    let args = ["-o", "small/set", "--progress", "none"];
    let run = run_limited(&env, "", &args);
    let grown = mount(&["-o", "remount,size=200m"]);
    let again = run_limited(&env, "", &args);
    let _ = Command::new("umount").arg(&small).status();
    let run = run.expect_code(74);
    assert!(run.stderr.contains("the disk is full"), "{}", run.stderr);
    assert!(grown);
    again.expect_code(0);
}

#[test]
fn a_missing_sandbox_ends_the_run_with_69() {
    let env = TestEnv::new();
    bars(&env.folder("films"), 0, 0.5);
    configure(&env, "[extract]\nsandbox = 'require'");
    let mut command = env.command(&["dataset", "run", "c.toml", "--progress", "none"]);
    without_landlock(&mut command);
    let run: Run = command.output().unwrap().into();
    let run = run.expect_code(69);
    assert!(run.stderr.contains("Landlock"), "{}", run.stderr);
    // It is the machine's affair: nothing stands against the video.
    env.run(&[
        "dataset",
        "run",
        "c.toml",
        "--progress",
        "none",
        "--stages",
        "download",
    ])
    .expect_code(0);
}

/// As if the kernel did not know the system calls of Landlock.
#[expect(unsafe_code, reason = "asks for a filter between fork and exec")]
fn without_landlock(command: &mut Command) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
    let create_ruleset = 444;
    let enosys = SeccompAction::Errno(38);
    let rules = [(create_ruleset, Vec::new())].into_iter().collect();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, enosys, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    // SAFETY: the closure makes one system call with what was made before the fork.
    unsafe {
        command.pre_exec(move || apply_filter(&program).map_err(std::io::Error::other));
    }
}

#[test]
fn readers_that_go_away_fail_nothing() {
    let env = TestEnv::new();
    bars(&env.folder("films"), 0, 0.5);
    configure(&env, "");
    let mut command = env.command(&["dataset", "run", "c.toml", "--progress", "json", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// What `du` says of a folder, in bytes.
fn allocated(folder: &Path) -> u64 {
    let said = Command::new("du").args(["-s", "-B1"]).arg(folder).output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    said.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn max_disk_bounds_the_pictures_of_local_films() {
    let env = TestEnv::new();
    let films = env.folder("films");
    // Noise does not compress: each picture takes 230 KB, all of them 11 MB.
    crate::env::ffmpeg(
        &films,
        "-f lavfi -i nullsrc=s=320x240:r=10:d=5,geq=random(1)*255:128:128 -c:v libx264 -preset ultrafast -qp 1 -threads 1 \
         long.mp4",
    );
    bars(&films, 1, 0.5);
    let limit = 3 << 20;
    let extract = "[extract]\nevery = '1f'\nformat = 'png'\n[dedup]\npreset = 'off'\n";
    configure(
        &env,
        &format!("{extract}[run]\nmax_disk = {limit}\nworkers = 1"),
    );
    let args = ["dataset", "run", "c.toml", "--json", "--progress", "none"];
    let run = env.run(&args).expect_code(3);
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(summary["failed"]["environment"], 1, "{summary:#}");
    assert_eq!(summary["done"], 1, "{summary:#}");
    assert!(run.stderr.contains("3145728"), "{}", run.stderr);
    assert!(allocated(&env.path("set")) <= limit * 105 / 100);
    // More is allowed, and the next run takes it by itself.
    let roomy = ["--max-disk", "40M"];
    env.run(&[&args[..], &roomy].concat()).expect_code(0);
}

#[test]
fn an_export_that_does_not_fit_is_refused_before_it_begins() {
    let env = TestEnv::new();
    let films = env.folder("films");
    crate::env::ffmpeg(
        &films,
        "-f lavfi -i nullsrc=s=320x240:r=10:d=1,geq=random(1)*255:128:128 -c:v libx264 -preset ultrafast -qp 1 -threads 1 \
         a.mp4",
    );
    let config = "[extract]\nevery = '1f'\nformat = 'png'\n[dedup]\npreset = 'off'\n\
                  [export]\nformats = ['webdataset', 'parquet']\n[run]\nmax_disk = '3M'";
    configure(&env, config);
    let args = ["dataset", "run", "c.toml", "--progress", "none"];
    let run = env.run(&args).expect_code(74);
    assert!(
        run.stderr.contains("the export would take about"),
        "{}",
        run.stderr
    );
    assert_eq!(names_in(&env.path("set")), ["state"]);
    let roomy = ["--max-disk", "20M"];
    env.run(&[&args[..], &roomy].concat()).expect_code(0);
    assert!(allocated(&env.path("set")) <= 20 << 20);
}
