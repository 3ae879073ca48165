//! Beginning in the middle of a clip: the frames are those that reading from the start gives, at their times.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests, and ffmpeg makes their clips"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use framewright_media::{Decoder, Error, Interrupt};
use proptest::prelude::*;

/// Timestamp and luma of every frame that is delivered.
fn frames(decoder: &mut Decoder) -> Vec<(i64, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(unit) = decoder.next_unit().unwrap() {
        if let Some(frame) = unit.frame {
            let stride = frame.stride(0);
            let rows = frame.planes()[0].chunks(stride);
            let luma = rows
                .flat_map(|row| &row[..frame.width()])
                .copied()
                .collect();
            frames.push((frame.pts().unwrap(), luma));
        }
    }
    frames
}

fn open(path: &Path) -> Decoder {
    Decoder::open(path, 1, &Interrupt::default()).unwrap()
}

/// A clip made by ffmpeg: four seconds at 25 frames per second, with sound.
fn clip(folder: &Path, name: &str, codec: &str) -> PathBuf {
    let path = folder.join(name);
    let made = "-v error -nostdin -f lavfi -i testsrc2=s=96x64:r=25:d=4 -f lavfi -i sine=d=4";
    let output = Command::new("ffmpeg")
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

fn assert_seeks(path: &Path, secs: f64) {
    let whole = frames(&mut open(path));
    let mut decoder = open(path);
    let tick = decoder.clip().video.time_base.as_f64();
    decoder.seek(secs).unwrap();
    let rest = frames(&mut decoder);
    let target = whole[0].0 + (secs / tick).round() as i64;
    let expected: Vec<_> = whole
        .into_iter()
        .filter(|(pts, _)| *pts >= target)
        .collect();
    let times = |frames: &[(i64, Vec<u8>)]| frames.iter().map(|(pts, _)| *pts).collect::<Vec<_>>();
    assert_eq!(times(&rest), times(&expected), "from {secs} s");
    assert!(rest == expected, "the same pictures from {secs} s");
    let sound = framewright_media::Health {
        frames: decoder.health().frames,
        ..Default::default()
    };
    assert_eq!(*decoder.health(), sound);
}

const B_FRAMES: &str = "-c:v libx264 -preset veryfast -g 30 -bf 3 -x264-params b-adapt=0 -c:a aac";

#[test]
fn a_clip_with_b_frames_begins_at_any_of_its_frames() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), "b.mp4", B_FRAMES);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(12));
    let times = 0.0..3.9_f64;
    runner
        .run(&times, |secs| {
            assert_seeks(&path, secs);
            Ok(())
        })
        .unwrap();
    assert_seeks(&clip(folder.path(), "b.mkv", B_FRAMES), 2.5);
}

#[test]
fn a_real_clip_begins_a_third_into_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/assets/clips/2d/dialogue_limited_web.mp4");
    if !path.is_file() {
        println!("skipped: ../shared/assets is not here");
        return;
    }
    assert_seeks(&path, 7.5);
}

#[test]
fn it_ends_after_as_many_frames_as_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), "b.mp4", B_FRAMES);
    let mut decoder = open(&path);
    decoder.seek(1.0).unwrap();
    decoder.end_after(7);
    let some = frames(&mut decoder);
    assert_eq!(some, frames(&mut open(&path))[25..32]);
    let mut decoder = open(&path);
    decoder.end_after(1000);
    assert_eq!(frames(&mut decoder).len(), 100);
}

fn refusal(path: &Path, secs: f64) -> String {
    match open(path).seek(secs) {
        Err(error @ Error::BadInput { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_beyond_the_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("a.mp4", B_FRAMES),
        ("a.mkv", B_FRAMES),
        ("a.avi", "-c:v mpeg4"),
    ] {
        let path = clip(folder.path(), name, codec);
        let message = refusal(&path, 4.5);
        assert!(
            message.starts_with("the video ends before second 4.5: "),
            "{name}: {message}"
        );
        refusal(&path, 1e12);
    }
}

#[test]
fn a_file_that_cannot_be_searched_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(
        folder.path(),
        "raw.h264",
        "-map 0:v -c:v libx264 -preset ultrafast",
    );
    let message = refusal(&path, 1.0);
    assert!(message.contains("cannot be searched"), "{message}");
    // From its start it is read as ever.
    let mut decoder = open(&path);
    decoder.seek(0.0).unwrap();
    assert_eq!(frames(&mut decoder).len(), 100);
}
