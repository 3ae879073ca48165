//! Whatever is wrong with the input, the output or the model: one line that says so, the documented exit
//! code, and nothing under the final name. What is damaged but plays is finished, with a warning.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::{
    Run, TestEnv, asset, decodable_frames, ffmpeg, fixture, is_root, names_in, read_json,
    upscale_args,
};

const FAST: &[&str] = &["--encoder", "libx264", "--preset", "ultrafast"];
/// The user and group every system has that may do nothing.
const NOBODY: u32 = 65534;

/// A short clip that is well.
fn small_clip(env: &TestEnv, name: &str) -> PathBuf {
    ffmpeg(
        env.root(),
        &format!("-f lavfi -i testsrc2=s=96x64:r=24:d=1 -c:v libx264 -preset ultrafast {name}"),
    );
    env.path(name)
}

/// The promise to everybody whose run cannot be done.
#[track_caller]
fn assert_refused(run: Run, code: i32, folder: &Path, left: &[&str]) -> Run {
    let run = run.expect_code(code);
    let errors = run.error_lines();
    assert_eq!(errors.len(), 1, "one error line in {run:#?}");
    assert_eq!(
        run.stderr.lines().last(),
        errors.first().copied(),
        "the error ends {run:#?}"
    );
    let message = errors[0].trim_start_matches("error:").trim();
    assert!(
        message.len() > 10 && !message.ends_with('.'),
        "message {message:?}"
    );
    let is_foreign = |line: &str| line.starts_with('[') || line.contains("panicked");
    assert!(
        !run.stderr.lines().any(is_foreign),
        "only our own words in {run:#?}"
    );
    assert!(run.stdout.is_empty(), "nothing on stdout of {run:#?}");
    assert_eq!(
        names_in(folder),
        left,
        "what is in the output folder after {run:#?}"
    );
    println!("{code}: {}", errors[0]);
    run
}

/// Upscales `input` into a fresh folder and expects a refusal.
#[track_caller]
fn refuse(env: &TestEnv, input: &Path, code: i32, more: &[&str]) -> Run {
    let folder = env.folder("out");
    let run = env.upscale(input, &folder.join("out.mp4"), &[FAST, more].concat());
    assert_refused(run, code, &folder, &[])
}

#[test]
fn broken_files_are_refused() {
    let env = TestEnv::new();
    for name in [
        "empty",
        "invalid_userdata",
        "moov_missing",
        "zero_empty_stsc",
    ] {
        let Some(path) = asset(&format!("clips/broken/{name}.mp4")) else {
            return;
        };
        let run = refuse(&env, &path, 65, &[]);
        assert!(
            run.stderr.contains(&format!("{name}.mp4")),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_text_file_named_mp4_is_refused() {
    let env = TestEnv::new();
    fs::write(
        env.path("words.mp4"),
        "only words, many of them\n".repeat(200),
    )
    .unwrap();
    refuse(&env, &env.path("words.mp4"), 65, &[]);
}

#[test]
fn a_playlist_named_mp4_does_not_open_other_files() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "secret.ts");
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\nsecret.ts\n#EXT-X-ENDLIST\n";
    fs::write(env.path("list.mp4"), playlist).unwrap();
    refuse(&env, &env.path("list.mp4"), 65, &[]);
    let concat = format!("ffconcat version 1.0\nfile {}\n", clip.display());
    fs::write(env.path("concat.mp4"), concat).unwrap();
    refuse(&env, &env.path("concat.mp4"), 65, &[]);
}

#[test]
fn a_file_without_video_is_refused() {
    let env = TestEnv::new();
    ffmpeg(env.root(), "-f lavfi -i sine=d=1 -c:a aac sound.m4a");
    let run = refuse(&env, &env.path("sound.m4a"), 65, &[]);
    assert!(run.stderr.contains("video"), "{}", run.stderr);
}

#[test]
fn a_folder_as_input_is_refused() {
    let env = TestEnv::new();
    refuse(&env, &env.folder("film.mp4"), 65, &[]);
}

#[test]
fn a_missing_input_is_refused() {
    let env = TestEnv::new();
    let run = refuse(&env, &env.path("nowhere.mp4"), 65, &[]);
    assert!(
        run.stderr.trim_end().ends_with("nowhere.mp4"),
        "path last in {}",
        run.stderr
    );
}

/// The program, run by somebody whom permissions stop. The file modes of the test are set by us, who may
/// be root.
fn as_nobody(env: &TestEnv, args: &[String]) -> Command {
    if !is_root() {
        return env.command(args);
    }
    let program = env.path("framewright");
    fs::copy(env!("CARGO_BIN_EXE_framewright"), &program).unwrap();
    set_mode(&program, 0o755);
    set_mode(env.root(), 0o755);
    let mut command = env.command_of(&program, args);
    command.uid(NOBODY).gid(NOBODY);
    command
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_unreadable_input_is_refused() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    set_mode(&clip, 0o000);
    let folder = env.folder("out");
    set_mode(&folder, 0o777);
    let args = upscale_args(&clip, &folder.join("out.mp4"));
    let run = as_nobody(&env, &args).output().unwrap().into();
    assert_refused(run, 77, &folder, &[]);
}

#[test]
fn a_read_only_output_folder_is_refused() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let folder = env.folder("out");
    set_mode(&folder, 0o555);
    let args = upscale_args(&clip, &folder.join("out.mp4"));
    let run = as_nobody(&env, &args).output().unwrap().into();
    assert_refused(run, 77, &folder, &[]);
    set_mode(&folder, 0o755);
}

#[test]
fn a_missing_output_folder_is_refused() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let run = env.upscale(&clip, &env.path("not/here/out.mp4"), FAST);
    assert_refused(run, 73, env.root(), &["in.mp4"]);
}

#[test]
fn an_existing_output_is_not_touched() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let folder = env.folder("out");
    let output = folder.join("out.mp4");
    fs::write(&output, b"mine").unwrap();
    let run = env.upscale(&clip, &output, FAST);
    let run = assert_refused(run, 73, &folder, &["out.mp4"]);
    assert!(run.stderr.contains("--overwrite"), "{}", run.stderr);
    assert_eq!(fs::read(&output).unwrap(), b"mine");
}

#[test]
fn overwrite_replaces_the_output() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let folder = env.folder("out");
    let output = folder.join("out.mp4");
    fs::write(&output, b"mine").unwrap();
    env.upscale(&clip, &output, &[FAST, &["--overwrite"]].concat())
        .expect_code(0);
    assert_eq!(decodable_frames(&output), (24, String::new()));
    assert_eq!(names_in(&folder), ["out.mp4"]);
}

#[test]
fn a_failed_run_with_overwrite_keeps_the_old_output() {
    let env = TestEnv::new();
    fs::write(env.path("words.mp4"), "only words\n").unwrap();
    let folder = env.folder("out");
    let output = folder.join("out.mp4");
    fs::write(&output, b"mine").unwrap();
    let run = env.upscale(
        &env.path("words.mp4"),
        &output,
        &[FAST, &["--overwrite"]].concat(),
    );
    assert_refused(run, 65, &folder, &["out.mp4"]);
    assert_eq!(fs::read(&output).unwrap(), b"mine");
}

#[test]
fn the_input_is_never_its_own_output() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let before = fs::read(&clip).unwrap();
    std::os::unix::fs::symlink(&clip, env.path("link.mp4")).unwrap();
    for name in ["in.mp4", "link.mp4"] {
        let run = env.upscale(&clip, &env.path(name), &[FAST, &["--overwrite"]].concat());
        assert_eq!(run.error_lines().len(), 1, "{run:#?}");
        assert!(matches!(run.code, Some(2 | 73)), "{run:#?}");
        assert_eq!(fs::read(&clip).unwrap(), before);
    }
    assert_eq!(names_in(env.root()), ["in.mp4", "link.mp4"]);
}

/// A small file system of its own; unmounted with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None, and a line that says so, where mounting is not allowed.
    fn mount(folder: PathBuf) -> Option<Self> {
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(&folder);
        let is_mounted = command.output().is_ok_and(|output| output.status.success());
        if !is_mounted {
            println!("skipped: this user may not mount a small disk");
        }
        is_mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=320x180:r=24:d=6 -vf noise=alls=40:allf=t -c:v libx264 \
         -preset ultrafast in.mkv",
    );
    let Some(disk) = SmallDisk::mount(env.folder("disk")) else {
        return;
    };
    for container in ["mkv", "mp4"] {
        let output = disk.0.join(format!("out.{container}"));
        let run = env.upscale(
            &env.path("in.mkv"),
            &output,
            &[FAST, &["--crf", "10"]].concat(),
        );
        let run = assert_refused(run, 74, &disk.0, &[]);
        assert!(
            run.stderr.to_lowercase().contains("space"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_report_that_cannot_be_written_is_said() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let report = env.path("not/here/report.json");
    let more = ["--report", report.to_str().unwrap()];
    let run = env.upscale(&clip, &env.path("out.mp4"), &[FAST, &more].concat());
    assert_eq!(run.code, Some(73), "{run:#?}");
    assert_eq!(run.error_lines().len(), 1, "{run:#?}");
}

/// As `refuse`, with a model; None where ONNX Runtime is not set up for the tests.
#[track_caller]
fn refuse_model(model: &str) -> Option<Run> {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let folder = env.folder("out");
    let output = folder.join("out.mp4");
    let mut command = env.command(&["upscale", clip.to_str().unwrap(), "-m", model]);
    command
        .arg("-o")
        .arg(&output)
        .args(FAST)
        .args(["--progress", "none"]);
    let run = Run::from(command.output().unwrap());
    if run.lacks_onnx_runtime() {
        return None;
    }
    Some(assert_refused(run, 78, &folder, &[]))
}

#[test]
fn a_model_that_is_not_onnx_is_refused() {
    let env = TestEnv::new();
    fs::write(env.path("model.onnx"), "no network in here\n".repeat(50)).unwrap();
    refuse_model(env.path("model.onnx").to_str().unwrap());
}

#[test]
fn a_model_with_two_inputs_is_refused() {
    refuse_model(&fixture("two-inputs.onnx"));
}

#[test]
fn a_model_that_gives_nan_leaves_no_file() {
    let run = refuse_model(&fixture("nan-always-x2.onnx"));
    assert!(run.is_none_or(|run| run.stderr.to_lowercase().contains("nan")));
}

#[test]
fn a_model_that_is_not_there_is_refused() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let folder = env.folder("out");
    for model in ["no-such-model", "no/such/model.onnx"] {
        let words = [
            "upscale",
            "in.mp4",
            "-o",
            "out/out.mp4",
            "-m",
            model,
            "--progress",
            "none",
        ];
        let run = assert_refused(env.run(&words), 78, &folder, &[]);
        assert!(run.stderr.contains(model), "{}", run.stderr);
    }
    drop(clip);
}

#[test]
fn without_onnx_runtime_the_one_command_that_brings_it_is_named() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let folder = env.folder("out");
    let model = fixture("nan-always-x2.onnx");
    let words = [
        "upscale",
        clip.to_str().unwrap(),
        "-o",
        "out/out.mp4",
        "-m",
        &model,
    ];
    for variable in [None, Some("/nonexistent")] {
        let mut command = env.command_without_onnx_runtime(&words);
        command.args(["--progress", "none"]);
        command.envs(variable.map(|path| ("FRAMEWRIGHT_ORT", path)));
        let run = assert_refused(command.output().unwrap().into(), 69, &folder, &[]);
        assert!(run.stderr.contains("framewright setup"), "{}", run.stderr);
    }
}

#[test]
fn wrong_usage_is_two() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let input = clip.to_str().unwrap();
    let lines: [&[&str]; 7] = [
        &["upscale"],
        &["no-such-job"],
        &["upscale", input, "-o", "out.mp4", "--no-such-option"],
        &["upscale", input, "-o", "out.mp4", "--workers", "0"],
        &["upscale", input, "-o", "out.mp4", "--tolerance", "-1"],
        &["upscale", input, "-o", "out.mp4", "--encoder", "libfoo"],
        &["upscale", input, "-o", "out.strange", "-m", "nearest-x2"],
    ];
    for words in lines {
        let run = env.run(words).expect_code(2);
        assert_eq!(run.error_lines().len(), 1, "{words:?}: {run:#?}");
        assert_eq!(names_in(env.root()), ["in.mp4"], "{words:?}");
    }
}

/// Finishes a damaged file: the frames that decode, a warning with a number, exit 0.
fn finish_damaged(name: &str, container: &str) -> Option<serde_json::Value> {
    let input = asset(&format!("clips/broken/{name}"))?;
    let env = TestEnv::new();
    let folder = env.folder("out");
    let output = folder.join(format!("out.{container}"));
    let report = env.path("report.json");
    let more = ["--report", report.to_str().unwrap()];
    let run = env
        .upscale(&input, &output, &[FAST, &more].concat())
        .expect_code(0);
    let report = read_json(&report);
    let (counted, _) = decodable_frames(&input);
    assert_eq!(report["frames_in"], counted, "{name}: {report:#}");
    assert_eq!(report["frames_out"], counted, "{name}");
    assert_eq!(
        decodable_frames(&output),
        (counted, String::new()),
        "{name}"
    );
    assert_eq!(names_in(&folder), [format!("out.{container}")]);
    println!("{name}: {counted} frames, {}", run.stderr.trim());
    for warning in report["warnings"].as_array().unwrap() {
        let text = format!("warning: {}", warning.as_str().unwrap());
        assert!(
            run.stderr.contains(&text),
            "{name}: {text:?} on stderr, {}",
            run.stderr
        );
    }
    Some(report)
}

/// A warning that counts something.
fn has_count(report: &serde_json::Value) -> bool {
    let warnings = report["warnings"].as_array().unwrap();
    warnings
        .iter()
        .any(|text| text.to_string().contains(|c: char| c.is_ascii_digit()))
}

#[test]
fn a_corrupted_file_is_finished_with_a_count() {
    let Some(report) = finish_damaged("corrupted.mp4", "mp4") else {
        return;
    };
    assert!(has_count(&report), "{report:#}");
    assert_eq!(report["truncated"], false, "{report:#}");
}

#[test]
fn a_file_with_broken_tables_is_finished_with_a_count() {
    let Some(report) = finish_damaged("no_timescale.mp4", "mkv") else {
        return;
    };
    assert!(
        report["corrupt_frames"].as_u64().unwrap() > 0 && has_count(&report),
        "{report:#}"
    );
}

#[test]
fn a_file_with_faulty_sound_is_finished() {
    finish_damaged("failing_audio.mp4", "mp4");
}

#[test]
fn a_truncated_file_is_finished_and_said_to_be_truncated() {
    let Some(report) = finish_damaged("truncated_60pct.mkv", "mkv") else {
        return;
    };
    assert_eq!(report["truncated"], true, "{report:#}");
    assert!(has_count(&report), "{report:#}");
}

/// Whether the report of a run on `name`, in the folder of `env`, says that it is truncated.
fn is_said_truncated(env: &TestEnv, name: &str) -> bool {
    let (clip, report) = (env.path(name), env.path("report.json"));
    let more = [
        "--overwrite",
        "--report",
        report.to_str().expect("a plain path"),
    ];
    let output = env.path("out.mkv");
    env.upscale(&clip, &output, &[FAST, &more].concat())
        .expect_code(0);
    read_json(&report)["truncated"] == true
}

/// Four seconds with their index in front, as on the web.
fn indexed_clip(env: &TestEnv) {
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=160x96:r=24:d=4 -c:v libx264 -g 12 -movflags +faststart whole.mp4",
    );
}

#[test]
fn a_file_cut_behind_its_index_is_said_to_be_truncated() {
    let env = TestEnv::new();
    indexed_clip(&env);
    let bytes = fs::read(env.path("whole.mp4")).unwrap();
    fs::write(env.path("cut.mp4"), &bytes[..bytes.len() * 9 / 10]).unwrap();
    assert!(is_said_truncated(&env, "cut.mp4"));
    assert!(!is_said_truncated(&env, "whole.mp4"));
}

#[test]
fn a_video_that_changes_its_size_keeps_every_frame_and_says_so() {
    let env = TestEnv::new();
    for (name, size, offset) in [("a.ts", "160x96", 0), ("b.ts", "192x128", 1)] {
        let source = format!("-f lavfi -i testsrc2=s={size}:r=24:d=1 -c:v libx264");
        ffmpeg(
            env.root(),
            &format!("{source} -output_ts_offset {offset} {name}"),
        );
    }
    let joined = [env.path("a.ts"), env.path("b.ts")].map(|part| fs::read(part).unwrap());
    let (clip, output) = (env.path("joined.ts"), env.path("out.mkv"));
    fs::write(&clip, joined.concat()).unwrap();
    let run = env.upscale(&clip, &output, FAST).expect_code(0);
    assert!(
        run.stderr.contains("24 frames of another size"),
        "{}",
        run.stderr
    );
    assert_eq!(decodable_frames(&output), (48, String::new()));
}

#[test]
fn a_part_shown_by_an_edit_list_is_whole() {
    let env = TestEnv::new();
    indexed_clip(&env);
    ffmpeg(env.root(), "-ss 1.3 -i whole.mp4 -t 1.1 -c copy part.mp4");
    assert!(!is_said_truncated(&env, "part.mp4"));
}

#[test]
fn a_whole_file_is_not_said_to_be_truncated() {
    let env = TestEnv::new();
    let clip = small_clip(&env, "in.mp4");
    let report = env.path("report.json");
    let more = ["--report", report.to_str().unwrap()];
    let run = env
        .upscale(&clip, &env.path("out.mp4"), &[FAST, &more].concat())
        .expect_code(0);
    let report = read_json(&report);
    assert_eq!(report["truncated"], false);
    assert_eq!(report["corrupt_frames"], 0);
    assert!(!run.stderr.contains("truncated"), "{}", run.stderr);
}

/// Runs on one of the files of the attack, and gives its report.
fn attacked(name: &str, code: i32) -> Option<serde_json::Value> {
    let input = asset(&format!("cases/attack/{name}"))?;
    let env = TestEnv::new();
    let report = env.path("report.json");
    let more = ["--report", report.to_str().expect("a plain path")];
    let output = env.path("out.mkv");
    env.upscale(&input, &output, &[FAST, &more].concat())
        .expect_code(code);
    let report = read_json(&report);
    let (counted, _) = decodable_frames(&input);
    assert_eq!(report["frames_in"], counted, "{name}: {report:#}");
    assert_eq!(
        decodable_frames(&output),
        (counted, String::new()),
        "{name}"
    );
    Some(report)
}

#[test]
fn a_film_that_lost_most_frames_is_kept_and_ends_with_three() {
    for name in ["silent_1_of_92.mp4", "silent_m0_0123.mkv"] {
        let Some(report) = attacked(name, 3) else {
            return;
        };
        assert!(report["missing_frames"].as_u64() > report["frames_out"].as_u64());
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains("more than half"), "{name}: {warnings}");
    }
}

#[test]
fn an_error_of_a_demuxer_that_is_bad_data_does_not_end_the_film() {
    for name in ["exit_m0_42.roq", "exit_m1_36.mov"] {
        let Some(report) = attacked(name, 0) else {
            return;
        };
        assert!(report["frames_in"].as_u64() >= Some(13), "{report:#}");
    }
}

#[test]
fn ffmpegs_own_errors_are_counted_and_summed_up_in_our_words() {
    let Some(input) = asset("clips/broken/no_timescale.mp4") else {
        return;
    };
    let env = TestEnv::new();
    let run = env
        .upscale(&input, &env.path("out.mkv"), FAST)
        .expect_code(0);
    assert!(run.stderr.contains("logged by FFmpeg"), "{}", run.stderr);
    assert!(!run.stderr.contains("@ 0x"), "{}", run.stderr);
}
