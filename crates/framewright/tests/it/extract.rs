//! Pictures of a video, taken by the fenced-in worker of the program under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use framewright::dataset::config::{
    DedupConfig, Every, ExtractConfig, FilterConfig, PictureFormat,
};
use framewright::dataset::dedup::{Candidate, within_video};
use framewright::dataset::extract::{Event, Job, Write, extract, verify_file};
use framewright::dataset::filter::quality_drop;
use framewright::dataset::record::Extracted;
use framewright::dataset::trouble::{Class, Setback, Trouble};
use framewright_media::Picture;

use crate::env::TestEnv;

const PROGRAM: &str = env!("CARGO_BIN_EXE_framewright");

/// A film of bars that change every two seconds, and a black second; ten seconds at 25 frames per second.
fn film(env: &TestEnv, name: &str, codec: &str) -> PathBuf {
    let path = env.path(name);
    let made = "-v error -nostdin -y -f lavfi -i testsrc2=s=320x180:r=25:d=5 -f lavfi -i color=black:s=320x180:r=25:d=1 \
                -f lavfi -i smptehdbars=s=320x180:r=25:d=4 -filter_complex concat=n=3,format=yuv420p";
    let output = std::process::Command::new("ffmpeg")
        .args(made.split_whitespace())
        .args(codec.split_whitespace())
        .arg(&path)
        .output()
        .expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    path
}

fn take(
    file: &Path,
    folder: &Path,
    config: &ExtractConfig,
    write: Write,
) -> Result<Extracted, Setback> {
    fs::create_dir_all(folder).unwrap();
    let job = Job {
        program: PROGRAM,
        video_id: "0123456789abcdef",
        file,
        folder,
        config,
        write,
        mirrored: true,
        threads: 2,
    };
    let mut unfenced = Vec::new();
    let extracted = extract(&job, &|| false, &mut |event| {
        if let Event::Unfenced(what) = event {
            unfenced.push(what);
        }
    });
    if let Some(what) = unfenced.first() {
        println!("not fenced in: {what}");
    }
    extracted
}

fn trouble(result: Result<Extracted, Setback>) -> Trouble {
    match result {
        Err(Setback::Video(trouble)) => trouble,
        other => panic!("{other:?}"),
    }
}

fn every(secs: f64) -> ExtractConfig {
    ExtractConfig {
        every: Every::Seconds(secs),
        ..ExtractConfig::default()
    }
}

#[test]
fn a_film_gives_a_row_and_a_picture_for_each_sample() {
    let env = TestEnv::new();
    let film = film(&env, "film.mp4", "-c:v libx264 -g 50 -bf 2");
    for format in [PictureFormat::Jpeg, PictureFormat::Png, PictureFormat::Webp] {
        let config = ExtractConfig {
            format,
            ..every(1.0)
        };
        let folder = env.path(format.extension());
        let extracted = take(&film, &folder, &config, Write::All).unwrap();
        assert_eq!(
            (extracted.width, extracted.height, extracted.video_frames),
            (320, 180, 250)
        );
        assert_eq!(
            (extracted.codec.as_str(), extracted.notes.len()),
            ("h264", 0)
        );
        let indices: Vec<u64> = extracted
            .frames
            .iter()
            .map(|frame| frame.frame_index)
            .collect();
        assert_eq!(indices, (0..10).map(|n| n * 25).collect::<Vec<_>>());
        for frame in &extracted.frames {
            let name = format!(
                "0123456789abcdef_{:08}.{}",
                frame.frame_index,
                format.extension()
            );
            assert_eq!(frame.file.as_deref(), Some(name.as_str()));
            let picture = Picture::read(&folder.join("frames").join(&name)).unwrap();
            assert_eq!((picture.width, picture.height), (320, 180));
            assert!(
                frame.mirrored.is_some() && frame.sha256.as_ref().is_some_and(|it| it.len() == 64)
            );
            let is_black = frame.frame_index == 125;
            assert_eq!(frame.scores.contrast < 3.0, is_black);
            let is_dark = picture.data.iter().all(|&byte| byte < 5);
            assert_eq!(is_dark, is_black);
        }
        assert_eq!(fs::read_dir(folder.join("frames")).unwrap().count(), 10);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        // Once more: the same, whatever was there.
        fs::create_dir(folder.join("frames.new")).unwrap();
        fs::write(folder.join("frames.new/left"), "x").unwrap();
        assert_eq!(
            take(&film, &folder, &config, Write::All).unwrap(),
            extracted
        );
    }
}

#[test]
fn only_what_the_rows_are_not_dropped_for_gets_a_picture() {
    let env = TestEnv::new();
    let film = film(&env, "film.mkv", "-c:v libx264 -g 50");
    let (filter, dedup) = (FilterConfig::default(), DedupConfig::default());
    let write = Write::Survivors {
        filter: Box::new(filter.clone()),
        dedup: Some(Box::new(dedup.clone())),
    };
    let extracted = take(&film, &env.path("video"), &every(0.5), write).unwrap();
    assert_eq!(extracted.frames.len(), 20);
    let good: Vec<_> = extracted
        .frames
        .iter()
        .filter(|it| quality_drop(&it.scores, &filter).is_none())
        .collect();
    let candidates: Vec<_> = good
        .iter()
        .map(|&frame| Candidate {
            video: 0,
            frame,
            embedding: None,
        })
        .collect();
    let drops = within_video(&candidates, &dedup, filter.min_contrast);
    let expected: Vec<u64> = good
        .iter()
        .zip(&drops)
        .filter(|it| it.1.is_none())
        .map(|it| it.0.frame_index)
        .collect();
    let written: Vec<u64> = extracted
        .frames
        .iter()
        .filter(|it| it.file.is_some())
        .map(|it| it.frame_index)
        .collect();
    assert_eq!(written, expected);
    assert!((2..15).contains(&written.len()), "{written:?}");
    assert_eq!(
        fs::read_dir(env.path("video/frames")).unwrap().count(),
        written.len()
    );
}

#[test]
fn the_result_does_not_depend_on_threads_or_the_fence() {
    use framewright::dataset::config::SandboxMode;
    let env = TestEnv::new();
    let film = film(&env, "film.mp4", "-c:v libx264 -g 30 -bf 3");
    let one = take(&film, &env.path("one"), &every(0.3), Write::All).unwrap();
    let config = ExtractConfig {
        sandbox: SandboxMode::Off,
        ..every(0.3)
    };
    let folder = env.path("two");
    fs::create_dir(&folder).unwrap();
    let job = Job {
        program: PROGRAM,
        video_id: "0123456789abcdef",
        file: &film,
        folder: &folder,
        config: &config,
        write: Write::All,
        mirrored: true,
        threads: 1,
    };
    let mut progress = 0;
    let two = extract(&job, &|| false, &mut |_| progress += 1).unwrap();
    assert_eq!(one, two);
    assert!(progress > 0);
}

#[test]
fn what_is_no_video_or_names_other_files_is_bad_input() {
    let env = TestEnv::new();
    let film = film(&env, "film.ts", "-c:v libx264");
    let name = film.file_name().unwrap().to_str().unwrap();
    for (n, content) in [
        "<html>not found</html>".to_owned(),
        String::new(),
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{name}\n#EXT-X-ENDLIST\n"),
        format!("ffconcat version 1.0\nfile {name}\n"),
    ]
    .iter()
    .enumerate()
    {
        let file = env.path(&format!("{n}.mp4"));
        fs::write(&file, content).unwrap();
        let trouble = trouble(take(&file, &env.path("video"), &every(1.0), Write::All));
        assert_eq!(trouble.class, Class::BadInput, "{trouble}");
        assert_eq!(fs::read_dir(env.path("video")).unwrap().count(), 0);
    }
    let trouble = trouble(take(
        &env.path("none.mp4"),
        &env.path("video"),
        &every(1.0),
        Write::All,
    ));
    assert_eq!(trouble.class, Class::BadInput, "{trouble}");
    assert!(
        trouble.message.starts_with("cannot open the file"),
        "{trouble}"
    );
}

#[test]
fn a_cut_file_is_extracted_with_a_note_and_not_verified() {
    let env = TestEnv::new();
    let film = film(&env, "film.mkv", "-c:v libx264 -g 50");
    let verify = |file: &Path| verify_file(PROGRAM, file, &every(1.0), &|| false, &mut |_| {});
    let whole = verify(&film).unwrap();
    assert_eq!(
        (whole.width, whole.video_packets, whole.notes.len()),
        (320, 250, 0)
    );
    assert!((whole.read_until_secs - 10.0).abs() < 0.1);
    let bytes = fs::read(&film).unwrap();
    let cut = env.path("cut.mkv");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    match verify(&cut) {
        Err(Setback::Video(trouble)) => assert_eq!(trouble.class, Class::Truncated, "{trouble}"),
        other => panic!("{other:?}"),
    }
    let extracted = take(&cut, &env.path("video"), &every(1.0), Write::All).unwrap();
    assert!(
        extracted
            .notes
            .iter()
            .any(|note| note.starts_with("the file is cut off"))
    );
    assert!(!extracted.frames.is_empty());
}

#[test]
fn a_worker_that_says_nothing_is_ended_and_one_that_lies_is_found_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = TestEnv::new();
    let script = env.path("worker.sh");
    let (film, folder) = (env.path("film.mp4"), env.path("video"));
    fs::create_dir(&folder).unwrap();
    let run = |body: &str| {
        fs::write(&script, format!("#!/bin/sh\nfolder=$5\n{body}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let config = ExtractConfig {
            stall_timeout: 0.5,
            ..every(1.0)
        };
        let job = Job {
            program: script.to_str().unwrap(),
            video_id: "id",
            file: &film,
            folder: &folder,
            config: &config,
            write: Write::All,
            mirrored: false,
            threads: 1,
        };
        let trouble = trouble(extract(&job, &|| false, &mut |_| {}));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        trouble
    };
    let begun = Instant::now();
    let stuck = run("sleep 100");
    assert!(
        stuck.message.contains("stuck") && stuck.class == Class::BadInput,
        "{stuck}"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(run("kill -SEGV $$").message.contains("crash"));
    assert!(run("kill -KILL $$").message.contains("killed"));
    // Whoever did that, or no start at all: the next run tries again.
    assert_eq!(run("kill -TERM $$").class, Class::Environment);
    assert_eq!(run("kill -KILL $$").class, Class::Environment);
    assert_eq!(run("exit 1").class, Class::Environment);
    let failed = run("echo one >&2; echo two >&2; exit 7");
    assert!(failed.message.contains("exit code 7") && failed.details == ["one", "two"]);
    assert!(run("exit 0").message.contains("no result"));
    assert!(
        run("ln -s /etc/passwd $folder/extracted.json")
            .message
            .contains("no result")
    );
    let result = r#"{"width":1,"height":1,"codec":"c","duration_secs":null,"video_frames":1,"notes":[],"frames":[]}"#;
    let left = run(&format!(
        "echo '{result}' > $folder/extracted.json; echo x > $folder/evil.jpg"
    ));
    assert!(left.message.contains("no row names"), "{left}");
}

#[test]
fn a_stop_ends_the_worker() {
    let env = TestEnv::new();
    let film = film(&env, "film.mp4", "-c:v libx264");
    let folder = env.path("video");
    fs::create_dir(&folder).unwrap();
    let config = every(1.0);
    let job = Job {
        program: PROGRAM,
        video_id: "id",
        file: &film,
        folder: &folder,
        config: &config,
        write: Write::All,
        mirrored: false,
        threads: 1,
    };
    let stopped = extract(&job, &|| true, &mut |_| {});
    assert!(matches!(stopped, Err(Setback::Stopped)), "{stopped:?}");
    assert!(!folder.join("frames").exists());
}

#[test]
fn pictures_of_damaged_video_are_the_same_each_time_and_damaged_frames_are_left_out() {
    let env = TestEnv::new();
    let film = film(&env, "film.mkv", "-c:v libx264 -g 25 -bf 2");
    let mut bytes = fs::read(&film).unwrap();
    let third = bytes.len() / 3;
    for at in (third..third + 2000).step_by(50) {
        bytes[at] ^= 0x55;
    }
    fs::write(&film, bytes).unwrap();
    let config = ExtractConfig {
        every: Every::Frames(1),
        ..ExtractConfig::default()
    };
    let taken = |name: &str, config: &ExtractConfig| {
        take(&film, &env.path(name), config, Write::All).unwrap()
    };
    let first = taken("first", &config);
    assert!(
        first
            .notes
            .iter()
            .any(|note| note.contains("by one thread")),
        "{:?}",
        first.notes
    );
    assert!(
        first.notes.iter().any(|note| note.contains("are left out")),
        "{:?}",
        first.notes
    );
    assert!(first.frames.len() > 100);
    for name in ["second", "third"] {
        assert_eq!(taken(name, &config), first, "{name}");
    }
    let all = taken(
        "all",
        &ExtractConfig {
            keep_damaged: true,
            ..config
        },
    );
    assert!(all.frames.len() > first.frames.len());
    assert!(!all.notes.iter().any(|note| note.contains("are left out")));
}
