//! A worker that was taken over, and what it can do then.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use framewright::dataset::config::{Every, ExtractConfig, PictureFormat, SandboxMode};
use framewright::dataset::extract::{Event, Job, Write, extract, verify_file};
use framewright::dataset::trouble::{Class, Setback, Trouble};

use crate::env::{Run, TestEnv};

const PROGRAM: &str = env!("CARGO_BIN_EXE_framewright");
const ENOSYS: i32 = 38;
const EACCES: i32 = 13;
const ENOMEM: i32 = 12;

/// What a taken-over worker can do, and why that has to be so or does no harm. All else is refused.
const ALLOWED: [(&str, &str); 14] = [
    (
        "create_inside",
        "its task: pictures in one folder, whose names and kinds the run checks",
    ),
    (
        "write_inside",
        "its task; a file ends at 1 GiB, and the run looks at their number and the disk",
    ),
    ("unlink_inside", "it clears its folder for a second try"),
    ("open_video", "its task"),
    (
        "stat_secret",
        "Landlock leaves sizes and times of all paths to be seen; no content",
    ),
    ("statx_secret", "the same"),
    ("stat_in_root", "the same; and it works in /"),
    (
        "mmap_private",
        "memory, of which the limit counts every byte",
    ),
    ("getpid", "to abort"),
    ("signal_itself", "to abort"),
    (
        "sched_getaffinity_parent",
        "how many processors there are; tells of others which they use",
    ),
    ("prlimit_read", "sizes of stacks"),
    ("getrandom", "seeds"),
    ("prctl_name", "names of its threads"),
];

/// Those that the list of system calls lets pass, for others to refuse.
const BY_OTHERS: [(&str, i32); 12] = [
    ("open_secret", EACCES),
    ("open_secret_to_write", EACCES),
    ("open_video_to_write", EACCES),
    ("open_passwd", EACCES),
    ("open_home", EACCES),
    ("open_library", EACCES),
    ("open_init_environ", EACCES),
    ("open_parent_mem", EACCES),
    ("open_self_mem", EACCES),
    ("open_device", EACCES),
    ("create_outside", EACCES),
    ("unlink_outside", EACCES),
];

fn clip(env: &TestEnv, name: &str, args: &str) -> PathBuf {
    let path = env.path(name);
    let output = Command::new("ffmpeg")
        .args("-v error -nostdin -y -f lavfi -i testsrc2=s=160x96:r=10:d=2".split(' '))
        .args(args.split_whitespace())
        .arg(&path)
        .env("SVT_LOG", "1")
        .output()
        .expect("ffmpeg is installed");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    path
}

/// A library to preload, of a source beside this file.
fn library(env: &TestEnv, name: &str) -> PathBuf {
    let library = env.path(&format!("{name}.so"));
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fence");
    let output = Command::new("cc")
        .args([
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Werror",
            "-Wno-nonnull",
        ])
        .arg("-o")
        .arg(&library)
        .arg(format!("{sources}/{name}.c"))
        .arg("-ldl")
        .output()
        .expect("cc is installed");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    library
}

/// A worker that only looks whether a file is a video.
fn worker(sandbox: &str, clip: &Path, preload: &Path) -> Run {
    let request = format!(r#"{{"sandbox":"{sandbox}","task":"verify"}}"#);
    let output = Command::new(PROGRAM)
        .args(["dataset-worker", &request])
        .arg(clip)
        .env("LD_PRELOAD", preload)
        .output();
    Run::from(output.unwrap())
}

/// Whether this system has the whole fence; without it there is nothing to test.
fn is_fenced(env: &TestEnv, clip: &Path) -> bool {
    let config = ExtractConfig {
        sandbox: SandboxMode::Require,
        ..ExtractConfig::default()
    };
    match verify_file(PROGRAM, clip, &config, &|| false, &mut |_| {}) {
        Ok(_) => true,
        Err(Setback::Run(missing)) => {
            println!("skipped in {}: {missing:#}", env.path("").display());
            false
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_worker_that_was_taken_over_can_do_what_is_listed_and_nothing_else() {
    let env = TestEnv::new();
    let clip = clip(&env, "clip.mkv", "-c:v mpeg4");
    if !is_fenced(&env, &clip) {
        return;
    }
    let [inside, secret] = ["inside", "secret"].map(|name| env.path(name));
    fs::create_dir(&inside).unwrap();
    fs::write(&secret, "secret").unwrap();
    let home = std::env::home_dir().filter(|home| home.is_dir());
    let home = home.unwrap_or_else(|| "/".into());
    let output = Command::new(PROGRAM)
        .args(["dataset-worker", r#"{"sandbox":"require","task":{"extract":{"video_id":"0123456789abcdef",
            "every":"1s","max_frames":null,"format":"jpeg","quality":92,"mirrored":true,"keep_damaged":false,"threads":2,"write":"all"}}}"#])
        .args([&clip, &inside])
        .env("LD_PRELOAD", library(&env, "attack"))
        .env("ATTACK_SECRET", &secret)
        .env("ATTACK_OUTSIDE", env.path(""))
        .env("ATTACK_INSIDE", &inside)
        .env("ATTACK_OWN", inside.join("own"))
        .env("ATTACK_VIDEO", &clip)
        .env("ATTACK_HOME", home)
        .env("ATTACK_PARENT", std::process::id().to_string())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    // The worker does its work beside, so nothing that it needs was refused.
    assert!(output.status.success(), "{output:?}");
    let tried: BTreeMap<&str, i32> = words
        .lines()
        .filter_map(|line| line.strip_prefix("attack ")?.split_once(' '))
        .map(|(name, errno)| (name, errno.parse().unwrap()))
        .collect();
    assert!(tried.len() > 140, "{}", tried.len());
    let others: BTreeMap<&str, i32> = BY_OTHERS
        .into_iter()
        .chain([("mmap_beyond_limit", ENOMEM)])
        .collect();
    let allowed: BTreeMap<&str, &str> = ALLOWED.into_iter().collect();
    for (&name, &errno) in &tried {
        let expected = match others.get(name) {
            Some(&errno) => errno,
            None if allowed.contains_key(name) => 0,
            None => ENOSYS,
        };
        println!(
            "{name:26} {errno:3} {}",
            allowed.get(name).unwrap_or(&"refused")
        );
        assert_eq!(errno, expected, "{name}");
    }
    for name in allowed.keys().chain(others.keys()) {
        assert!(tried.contains_key(name), "{name} was not tried");
    }
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
    let modes = fs::read_dir(&inside).unwrap();
    let modes = modes.map(|entry| entry.unwrap().metadata().unwrap().permissions().mode());
    assert!(modes.into_iter().all(|mode| mode & 0o7111 == 0));
}

#[test]
fn behind_the_fence_all_codecs_ways_to_choose_frames_and_kinds_of_picture_work() {
    let env = TestEnv::new();
    let clips = [
        ("h264.mp4", "-c:v libx264 -g 5 -bf 2 -pix_fmt yuv420p"),
        (
            "hevc.mkv",
            "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le",
        ),
        ("vp8.webm", "-c:v libvpx -deadline realtime"),
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"),
        ("av1.mkv", "-c:v libsvtav1 -preset 12"),
        // Its names of services are in another alphabet, for which FFmpeg asks for a library in vain.
        ("mpeg2.ts", "-c:v mpeg2video"),
        ("mpeg4.avi", "-c:v mpeg4"),
        ("mjpeg.avi", "-c:v mjpeg"),
        ("prores.mov", "-c:v prores"),
        ("ffv1.mkv", "-c:v ffv1"),
        ("palette.gif", ""),
    ];
    let clips = clips.map(|(name, args)| clip(&env, name, args));
    if !is_fenced(&env, &clips[0]) {
        return;
    }
    let ways = [
        Every::Seconds(0.5),
        Every::Frames(1),
        Every::Keyframes,
        Every::Scenes,
    ];
    let kinds = [PictureFormat::Jpeg, PictureFormat::Png, PictureFormat::Webp];
    for (n, clip) in clips.iter().enumerate() {
        let config = |way: usize, sandbox| ExtractConfig {
            every: ways[way],
            format: kinds[(n + way) % kinds.len()],
            sandbox,
            ..ExtractConfig::default()
        };
        let folder = env.path(&format!("{n}"));
        fs::create_dir(&folder).unwrap();
        // Each way once with every third codec, and each codec with one or two of them.
        for way in [n % ways.len(), (n / 3) % ways.len()] {
            let take = |sandbox| {
                let config = config(way, sandbox);
                let job = job(PROGRAM, clip, &folder, &config, 3);
                extract(&job, &|| false, &mut |event| {
                    assert!(!matches!(event, Event::Unfenced(_)), "{event:?}");
                })
                .unwrap_or_else(|setback| panic!("{}: {setback:?}", clip.display()))
            };
            let fenced = take(SandboxMode::Require);
            assert!(!fenced.frames.is_empty());
            assert_eq!(fenced, take(SandboxMode::Off), "{}", clip.display());
        }
        let config = config(0, SandboxMode::Require);
        verify_file(PROGRAM, clip, &config, &|| false, &mut |_| {}).unwrap();
    }
}

fn job<'a>(
    program: &'a str,
    file: &'a Path,
    folder: &'a Path,
    config: &'a ExtractConfig,
    threads: usize,
) -> Job<'a> {
    Job {
        program,
        video_id: "0123456789abcdef",
        file,
        folder,
        config,
        write: Write::All,
        mirrored: true,
        threads,
    }
}

/// What the run says of a worker that is this script.
fn trouble_with(env: &TestEnv, name: &str, script: &str, stall_secs: f64) -> Trouble {
    let program = env.path(name);
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let [clip, folder] = ["no.mkv", "video"].map(|name| env.path(name));
    fs::write(&clip, "").unwrap();
    fs::create_dir_all(&folder).unwrap();
    let config = ExtractConfig {
        stall_timeout: stall_secs,
        ..ExtractConfig::default()
    };
    let job = job(program.to_str().unwrap(), &clip, &folder, &config, 1);
    let result = extract(&job, &|| false, &mut |_| {});
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        0,
        "what it wrote is gone"
    );
    match result {
        Err(Setback::Video(trouble)) => trouble,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_worker_that_says_the_same_progress_again_and_again_is_ended_as_stuck() {
    let env = TestEnv::new();
    let script = r#"while :; do for n in 7 8; do
        echo "{\"progress\":{\"steps\":$n,\"frames\":1,\"pictures\":1}}"; sleep 0.05
    done; done"#;
    let trouble = trouble_with(&env, "drips", script, 1.0);
    assert_eq!(trouble.class, Class::BadInput);
    assert!(trouble.message.contains("was stuck"), "{trouble}");
}

#[test]
fn a_worker_that_floods_or_closes_its_output_or_starts_threads_without_end_is_ended() {
    let env = TestEnv::new();
    for (name, script, message) in [
        ("lines", "yes", "it wrote without end"),
        (
            "words",
            "yes $(yes 0123456789 | head -1000) >&2",
            "it wrote without end",
        ),
        (
            "closes",
            "exec >&-; while :; do sleep 0.1; done",
            "it closed its output and did not end",
        ),
        (
            "files",
            "cd \"$5\"; i=0; while :; do i=$((i+1)); : > $i; done",
            "it wrote files without end",
        ),
    ] {
        let trouble = trouble_with(&env, name, script, 600.0);
        assert_eq!(trouble.class, Class::BadInput);
        assert!(trouble.message.ends_with(message), "{name}: {trouble}");
    }
    if Command::new("python3").arg("-V").output().is_err() {
        return println!("skipped: no python3 to start threads with");
    }
    let threads = "exec /usr/bin/env python3 -c 'import threading, time\nfor _ in range(100): \
                   threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\ntime.sleep(1000)'";
    let trouble = trouble_with(&env, "threads", threads, 600.0);
    assert!(
        trouble.message.ends_with("it started threads without end"),
        "{trouble}"
    );
}

#[test]
fn a_worker_gets_no_variables_and_no_files() {
    let env = TestEnv::new();
    let seen = env.path("seen");
    let script = format!(
        "{{ /usr/bin/env; readlink /proc/$$/fd/0; ls /proc/$$/fd; }} > {}",
        seen.display()
    );
    trouble_with(&env, "looks", &script, 60.0);
    let seen = fs::read_to_string(seen).unwrap();
    let own = [
        "PWD=",
        "OLDPWD=",
        "SHLVL=",
        "_=",
        "LD_LIBRARY_PATH=",
        "FRAMEWRIGHT_CHILD=",
    ];
    let lines = seen
        .lines()
        .filter(|line| !own.iter().any(|name| line.starts_with(name)));
    // The shell has its script open, from 10 on.
    let lines: Vec<&str> = lines
        .filter(|line| line.parse::<u32>().is_ok_and(|fd| fd < 10) || line.parse::<u32>().is_err())
        .collect();
    assert_eq!(lines, ["/dev/null", "0", "1", "2"], "{seen}");
}

#[test]
fn memory_that_could_be_shared_is_limited_also_where_only_limits_hold() {
    let env = TestEnv::new();
    let clip = clip(&env, "clip.mkv", "-c:v mpeg4");
    let library = library(&env, "shared");
    let mut ways = vec![("off", 6)];
    if is_fenced(&env, &clip) {
        ways.push(("require", 0));
    }
    for (sandbox, most) in ways {
        let run = worker(sandbox, &clip, &library).expect_code(0);
        let gib = run.stderr.trim().strip_prefix("shared ").unwrap();
        assert!(gib.parse::<u64>().unwrap() <= most, "{sandbox}: {gib}");
    }
}

#[test]
fn a_kernel_that_filters_no_system_calls_is_said_or_refused() {
    let env = TestEnv::new();
    let clip = clip(&env, "clip.mkv", "-c:v mpeg4");
    let library = library(&env, "no_seccomp");
    let missing = "the decoder may make any system call: this kernel does not filter system calls";
    let run = worker("auto", &clip, &library).expect_code(0);
    assert!(run.stdout.contains(missing), "{run:?}");
    let run = worker("require", &clip, &library).expect_code(69);
    assert!(run.stderr.contains(missing), "{run:?}");
    let run = worker("off", &clip, &library).expect_code(0);
    assert!(!run.stdout.contains("unfenced"), "{run:?}");
}
