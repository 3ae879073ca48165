//! Repeated frames: found where the truth has them, never found where it has none.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::env::{Run, TestEnv, asset, ffmpeg, ffprobe, read_json};

/// For each frame the index of the first frame that had the same pixels before encoding.
fn truth() -> Option<Vec<u64>> {
    let path = asset("clips/2d/dialogue_limited.truth.json")?;
    let list = read_json(&path)["first_identical_before_encoding"].clone();
    Some(serde_json::from_value(list).unwrap())
}

/// A frame number, written as a number or as text.
fn frame_number(value: &Value) -> u64 {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    text.parse()
        .unwrap_or_else(|e| panic!("frame number {text}: {e}"))
}

/// The plan's `duplicate_mapping`: repeat → the frame whose result it takes.
fn repeats_of(plan: &Value) -> BTreeMap<u64, u64> {
    let pairs = plan["duplicate_mapping"]
        .as_object()
        .expect("duplicate_mapping is an object");
    pairs
        .iter()
        .map(|(key, value)| (key.parse().unwrap(), frame_number(value)))
        .collect()
}

/// The plan of a run without an encoder, and its report.
fn plan_of(clip: &Path, more: &[&str]) -> (Value, Value) {
    let env = TestEnv::new();
    let (plan, report) = (env.path("plan.json"), env.path("report.json"));
    let mut command = env.command(&["upscale", "-m", "nearest-x2", "--encoder", "null"]);
    command
        .args(["--progress", "none", "--plan-out"])
        .arg(&plan);
    command.arg("--report").arg(&report).args(more).arg(clip);
    Run::from(command.output().unwrap()).expect_code(0);
    (read_json(&plan), read_json(&report))
}

/// The names and the sums of the plan agree with one another and with the report.
fn assert_consistent(plan: &Value, report: &Value, frames: u64) {
    let repeats = repeats_of(plan);
    let to_process = plan["frames_to_process"]
        .as_array()
        .expect("frames_to_process is a list");
    let unique = frames - repeats.len() as u64;
    let stats = &plan["stats"];
    assert_eq!(to_process.len() as u64, unique, "frames_to_process");
    assert!(
        to_process
            .iter()
            .all(|frame| !repeats.contains_key(&frame_number(frame)))
    );
    assert_eq!(stats["total_frames"], frames);
    assert_eq!(stats["unique_frames"], unique);
    assert_eq!(stats["duplicates"], repeats.len());
    assert!(
        stats["parallel_jobs"]
            .as_u64()
            .is_some_and(|jobs| jobs >= 1),
        "{stats}"
    );
    let percentage = 100.0 * repeats.len() as f64 / frames as f64;
    let said = stats["duplicate_percentage"].as_f64().unwrap();
    assert!(
        (said - percentage).abs() < 0.05,
        "duplicate_percentage {said}, not {percentage}"
    );
    let outputs = &plan["frame_output_mapping"];
    let entries = outputs
        .as_object()
        .map(serde_json::Map::len)
        .or(outputs.as_array().map(Vec::len));
    assert_eq!(entries, Some(frames as usize), "frame_output_mapping");
    assert_eq!(report["duplicates"], repeats.len());
    assert_eq!(report["unique_frames"], unique);
    for (repeat, original) in &repeats {
        assert!(
            original < repeat,
            "frame {repeat} takes the result of the later {original}"
        );
        assert!(
            !repeats.contains_key(original),
            "frame {repeat} takes that of repeat {original}"
        );
    }
}

/// Prints repeats found of true repeats; fails when two frames that differ were merged.
fn assert_no_change_is_merged(clip: &str, at_least: f64) {
    let Some(truth) = truth() else { return };
    let path = asset(&format!("clips/2d/{clip}")).unwrap();
    let (plan, report) = plan_of(&path, &[]);
    assert_consistent(&plan, &report, truth.len() as u64);
    let repeats = repeats_of(&plan);
    let merged: Vec<_> = repeats
        .iter()
        .filter(|(repeat, original)| truth[**repeat as usize] != truth[**original as usize])
        .collect();
    let adjacent = |n: &usize| truth[*n] == truth[n - 1];
    let true_repeats = (1..truth.len()).filter(adjacent).count();
    let found = (1..truth.len())
        .filter(adjacent)
        .filter(|n| repeats.contains_key(&(*n as u64)))
        .count();
    let share = found as f64 / true_repeats as f64;
    let cell = format!("{found} of {true_repeats} ({:.1} %)", share * 100.0);
    println!(
        "| {clip} | repeats found {cell} | changes merged {} |",
        merged.len()
    );
    assert!(merged.is_empty(), "{clip}: real changes merged: {merged:?}");
    assert!(share >= at_least, "{clip}: found {cell}");
}

#[test]
fn no_real_change_of_the_dialogue_is_merged() {
    assert_no_change_is_merged("dialogue_limited.mp4", 0.4);
}

#[test]
fn no_real_change_of_the_hard_compressed_dialogue_is_merged() {
    assert_no_change_is_merged("dialogue_limited_web.mp4", 0.25);
}

#[test]
fn no_real_change_of_the_grainy_dialogue_is_merged() {
    assert_no_change_is_merged("dialogue_limited_grain.mp4", 0.0);
}

#[test]
fn without_reuse_every_frame_is_computed_and_the_plan_keeps_its_names() {
    let Some(clip) = asset("clips/2d/dialogue_limited_web.mp4") else {
        return;
    };
    let (plan, report) = plan_of(&clip, &["--reuse", "off"]);
    assert_consistent(&plan, &report, 540);
    assert_eq!(report["duplicates"], 0);
    assert_eq!(report["compute_fraction"], 1.0);
}

#[test]
fn a_higher_tolerance_finds_no_fewer_repeats() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=128x72:r=12:d=3 -vf noise=alls=2:allf=t,fps=24 \
         -c:v libx264 -crf 20 in.mkv",
    );
    let clip = env.path("in.mkv");
    let found = |tolerance: &str| {
        let (_, report) = plan_of(&clip, &["--tolerance", tolerance]);
        report["duplicates"].as_u64().unwrap()
    };
    let counts = ["0", "0.5", "2", "20"].map(found);
    println!("repeats at tolerance 0, 0.5, 2, 20: {counts:?}");
    assert!(counts.is_sorted(), "{counts:?}");
    assert!(counts[0] < counts[3], "{counts:?}");
}

#[test]
fn a_repeat_is_encoded_from_the_same_picture_at_its_own_time() {
    let Some(clip) = asset("clips/2d/dialogue_limited.mp4") else {
        return;
    };
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        &format!("-i {} -frames:v 48 -an -c copy in.mkv", clip.display()),
    );
    let (plan, output) = (env.path("plan.json"), env.path("out.mkv"));
    let more = ["--encoder", "ffv1", "--plan-out", plan.to_str().unwrap()];
    env.upscale(&env.path("in.mkv"), &output, &more)
        .expect_code(0);
    let repeats = repeats_of(&read_json(&plan));
    let pictures = picture_hashes(&output);
    let times = |path: &Path| -> Vec<Option<i64>> {
        let shown = ["-select_streams", "v", "-show_entries", "frame=pts"];
        let frames = ffprobe(path, &shown)["frames"].clone();
        let frames = frames.as_array().unwrap().iter();
        frames.map(|frame| frame["pts"].as_i64()).collect()
    };
    assert!(!repeats.is_empty());
    assert_eq!(times(&output), times(&env.path("in.mkv")));
    for (repeat, original) in repeats {
        assert_eq!(
            pictures[repeat as usize], pictures[original as usize],
            "frame {repeat}"
        );
    }
}

/// One hash per decoded frame.
fn picture_hashes(path: &Path) -> Vec<String> {
    let mut command = std::process::Command::new("ffmpeg");
    command
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v", "-f", "framemd5", "-"]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}
