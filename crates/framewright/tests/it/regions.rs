//! Reuse by regions: the result is the network's answer to the composite, to the last bit, and the composite shows what
//! the frame shows. ffmpeg decodes and hashes; nothing of the program judges itself.

use std::path::Path;
use std::process::Command;

use crate::env::{TestEnv, asset, ffmpeg, fixture, read_json};

/// Clips of every kind that breaks somebody: drawings, grain, film, 4:4:4 of odd size, ten bits. With the frames taken.
const CLIPS: [(&str, &str); 7] = [
    ("2d/dialogue_limited.mp4", "24"),
    ("2d/dialogue_limited_web.mp4", "30"),
    ("2d/dialogue_limited_grain.mp4", "3"),
    ("2d/popeye_b_dvd.mkv", "8"),
    ("2d/pennychip_reading.mp4", "3"),
    ("geometry/odd_853x479_yuv444.mp4", "3"),
    ("hdr/hdr10_av1.mp4", "2"),
];

/// The first frames of a clip as a lossless file of its own, `in.mkv`.
fn beginning(env: &TestEnv, clip: &Path, frames: &str) {
    let clip = clip.display();
    let args = format!("-i {clip} -map 0:v:0 -frames:v {frames} -c:v ffv1 in.mkv");
    ffmpeg(env.root(), &args);
}

/// Upscales into ffv1, and gives one hash per decoded frame.
fn hashes(env: &TestEnv, input: &str, output: &str, more: &[&str]) -> Vec<String> {
    let words = ["upscale", input, "-o", output, "--encoder", "ffv1"];
    let words = [&words[..], &["--progress", "none", "--overwrite"], more].concat();
    env.run(&words).expect_code(0);
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(env.path(output));
    command.args(["-map", "0:v", "-f", "framemd5", "-"]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

#[test]
fn at_tolerance_zero_every_frame_has_the_bits_of_a_full_run() {
    for (clip, frames) in CLIPS {
        let Some(path) = asset(&format!("clips/{clip}")) else {
            return;
        };
        let env = TestEnv::new();
        beginning(&env, &path, frames);
        let full = hashes(&env, "in.mkv", "full.mkv", &["--reuse", "off"]);
        assert_eq!(full.len().to_string(), frames, "{clip}");
        for way in ["incremental", "region"] {
            let more = ["--reuse", way, "--tolerance", "0"];
            let reused = hashes(&env, "in.mkv", "reused.mkv", &more);
            assert_eq!(reused, full, "{clip}, {way}");
        }
    }
}

#[test]
fn at_any_tolerance_the_result_is_that_of_a_full_run_on_the_composite() {
    for (clip, frames) in CLIPS {
        let Some(path) = asset(&format!("clips/{clip}")) else {
            return;
        };
        let env = TestEnv::new();
        beginning(&env, &path, frames);
        let full = |name| hashes(&env, name, "full.mkv", &["--reuse", "off"]);
        let more = ["--dump-composite", "composite.mkv"];
        let reused = hashes(&env, "in.mkv", "reused.mkv", &more);
        assert_eq!(reused, full("composite.mkv"), "{clip}");
        if clip.contains("web") {
            let alone = hashes(&env, "in.mkv", "alone.mkv", &["--workers", "1"]);
            assert_eq!(reused, alone, "{clip} with one worker");
            let more = ["--tolerance", "6", "--dump-composite", "coarse.mkv"];
            let coarse = hashes(&env, "in.mkv", "reused.mkv", &more);
            assert_eq!(coarse, full("coarse.mkv"), "{clip} at tolerance 6");
            assert_ne!(coarse, reused);
            let more = ["--reuse", "region", "--dump-composite", "region.mkv"];
            let regions = hashes(&env, "in.mkv", "reused.mkv", &more);
            assert_eq!(regions, full("region.mkv"), "{clip} by regions");
        }
    }
}

/// One pan by 4 pixels every other frame, and one by 3 pixels every frame.
#[test]
fn pans_are_built_upon_what_has_moved_with_the_bits_of_a_full_run() {
    for clip in ["dialogue_limited.mp4", "dialogue_limited_web.mp4"] {
        let Some(path) = asset(&format!("clips/2d/{clip}")) else {
            return;
        };
        let env = TestEnv::new();
        let path = path.display();
        let filter = "select='between(n,134,145)+between(n,496,503)',setpts=N/FRAME_RATE/TB";
        let args = format!("-i {path} -map 0:v:0 -vf {filter} -c:v ffv1 in.mkv");
        ffmpeg(env.root(), &args);
        let full = |name| hashes(&env, name, "full.mkv", &["--reuse", "off"]);
        let report = ["--report", "report.json"];
        let exact = [&report[..], &["--tolerance", "0"]].concat();
        let reused = hashes(&env, "in.mkv", "reused.mkv", &exact);
        assert_eq!(reused, full("in.mkv"), "{clip}");
        assert_eq!(reused.len(), 20);
        let more = ["--dump-composite", "composite.mkv"];
        let reused = hashes(&env, "in.mkv", "reused.mkv", &[&report[..], &more].concat());
        assert_eq!(reused, full("composite.mkv"), "{clip}");
        let report = read_json(&env.path("report.json"));
        // Twelve frames in six places, of which the first is new, and eight, of which two are.
        assert!(report["moved_frames"].as_u64().unwrap() >= 10, "{report}");
        assert!(
            report["compute_fraction"].as_f64().unwrap() < 0.35,
            "{report}"
        );
    }
}

/// Talking, then a jump to another shot, then talking again: the state is filled twice and used in between.
#[test]
fn a_dialogue_is_computed_from_the_state_and_the_plan_says_what_that_takes() {
    let Some(path) = asset("clips/2d/dialogue_limited_web.mp4") else {
        return;
    };
    let env = TestEnv::new();
    let filter = "select='between(n,40,55)+between(n,210,225)',setpts=N/FRAME_RATE/TB";
    let args = format!(
        "-i {} -map 0:v:0 -vf {filter} -c:v ffv1 in.mkv",
        path.display()
    );
    ffmpeg(env.root(), &args);
    let run = |more: &[&str]| {
        let words = [
            "upscale",
            "in.mkv",
            "--encoder",
            "null",
            "--progress",
            "none",
            "--report",
            "report.json",
        ];
        env.run(&[&words[..], more].concat()).expect_code(0);
        read_json(&env.path("report.json"))
    };
    let (report, regions) = (
        run(&["--plan-out", "plan.json"]),
        run(&["--reuse", "region"]),
    );
    let computed = |report: &serde_json::Value| report["compute_fraction"].as_f64().unwrap();
    assert!(
        computed(&report) < 0.8 * computed(&regions),
        "{report} {regions}"
    );
    assert!(report["state_frames"].as_u64().unwrap() > 10, "{report}");
    let layers: Vec<_> = report["layer_fractions"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(layers.len(), 10);
    let share = |layer: usize| layers[layer].as_f64().unwrap();
    assert!(
        share(0) > 0.0 && share(0) < share(9) && share(9) < 1.0,
        "{report}"
    );
    assert_eq!(regions["state_frames"], 0);
    let plan = read_json(&env.path("plan.json"));
    assert_eq!(plan["reuse"], "incremental");
    assert!(
        plan["state_bytes"].as_u64().unwrap() > 200_000_000,
        "{plan}"
    );
    assert!(plan["state_cost"].as_f64().unwrap() >= 0.5, "{plan}");
    // Where it does not fit, parts are computed, and it is said; the result is the same.
    let small = ["--memory", "400M", "--plan-out", "plan.json"];
    assert_eq!(run(&small)["state_frames"], 0);
    let plan = read_json(&env.path("plan.json"));
    assert_eq!(
        (&plan["reuse"], &plan["state_bytes"]),
        (&"region".into(), &serde_json::Value::Null)
    );
    let why = plan["why"].to_string();
    assert!(
        why.contains("more than half of the memory (--memory decides)"),
        "{why}"
    );
    let asked = run(&[&small[..], &["--reuse", "incremental"]].concat());
    assert!(
        asked["fallbacks"].to_string().contains("--memory decides"),
        "{asked}"
    );
}

#[test]
fn several_passes_show_the_composite_too() {
    let Some(path) = asset("clips/2d/dialogue_limited_web.mp4") else {
        return;
    };
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        &format!(
            "-ss 4 -i {} -map 0:v:0 -vf crop=160:120:340:100 -frames:v 24 -c:v ffv1 in.mkv",
            path.display()
        ),
    );
    let more = ["--scale", "4", "--dump-composite", "composite.mkv"];
    let reused = hashes(&env, "in.mkv", "reused.mkv", &more);
    let full = hashes(
        &env,
        "composite.mkv",
        "full.mkv",
        &["--scale", "4", "--reuse", "off"],
    );
    assert_eq!(reused, full);
}

/// Luma of all frames, `width` × `height` each.
fn luma(path: &Path, (width, height): (usize, usize)) -> Vec<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(path);
    command.args([
        "-map",
        "0:v",
        "-fps_mode",
        "passthrough",
        "-vf",
        "extractplanes=y",
    ]);
    command.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    let bytes = command.output().unwrap().stdout;
    bytes
        .chunks_exact(width * height)
        .map(<[u8]>::to_vec)
        .collect()
}

/// The largest mean difference of a block of 8×8.
fn worst_block(a: &[u8], b: &[u8], (width, height): (usize, usize)) -> f64 {
    let mut worst = 0;
    for top in (0..height - 7).step_by(8) {
        for left in (0..width - 7).step_by(8) {
            let row = |y: usize| (top + y) * width + left;
            let rows = (0..8).map(|y| a[row(y)..row(y) + 8].iter().zip(&b[row(y)..row(y) + 8]));
            worst = worst.max(rows.flatten().map(|(a, b)| u32::from(a.abs_diff(*b))).sum());
        }
    }
    f64::from(worst) / 64.0
}

/// The smallest real change of the dialogue is 12 levels in a block of 8×8, and the composite of each frame, whose result
/// is shown (see above), differs from it by no more than half a level.
#[test]
fn every_real_change_is_shown_in_its_very_frame() {
    const SIZE: (usize, usize) = (854, 480);
    for clip in ["dialogue_limited.mp4", "dialogue_limited_web.mp4"] {
        let Some(path) = asset(&format!("clips/2d/{clip}")) else {
            return;
        };
        let env = TestEnv::new();
        let words = [
            "upscale",
            path.to_str().unwrap(),
            "-m",
            "nearest-x2",
            "--encoder",
            "null",
        ];
        let more = [
            "--dump-composite",
            "composite.mkv",
            "--report",
            "report.json",
        ];
        let run = env.run(&[&words[..], &more, &["--progress", "none"]].concat());
        run.expect_code(0);
        let source = luma(&path, SIZE);
        let shown = luma(&env.path("composite.mkv"), SIZE);
        assert_eq!((source.len(), shown.len()), (540, 540));
        let pairs = source.iter().zip(&shown);
        let worst = pairs
            .map(|(source, shown)| worst_block(source, shown, SIZE))
            .fold(0.0, f64::max);
        println!("{clip}: worst difference of a block from what is shown: {worst} levels");
        assert!(worst <= 0.5, "{clip}: {worst}");
        let report = read_json(&env.path("report.json"));
        let number = |name: &str| report[name].as_f64().unwrap();
        assert!(number("worst_tolerated_difference") <= 0.5);
        assert!(number("compute_fraction") < 0.17, "{report}");
        assert!(number("moved_frames") > 70.0, "{report}");
        assert!(number("cells_changed_fraction") < number("compute_fraction"));
        assert!(number("older_composite_hits") > 20.0);
    }
}

#[test]
fn damage_is_shown_where_it_is_and_nowhere_else() {
    let Some(clip) = asset("clips/broken/corrupted.mp4") else {
        return;
    };
    let env = TestEnv::new();
    let clip = clip.to_str().unwrap();
    let full = hashes(
        &env,
        clip,
        "full.mkv",
        &["-m", "nearest-x2", "--reuse", "off"],
    );
    let more = ["-m", "nearest-x2", "--tolerance", "0"];
    assert_eq!(hashes(&env, clip, "reused.mkv", &more), full);
}

#[test]
fn a_model_that_looks_at_the_whole_picture_computes_whole_frames_and_says_so() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=64x48:r=8:d=1 -c:v ffv1 in.mkv",
    );
    let model = fixture("reach/unlimited/squeeze-excite.onnx");
    let report = env.path("report.json");
    let words = [
        "upscale",
        "in.mkv",
        "--encoder",
        "null",
        "-m",
        &model,
        "--progress",
        "none",
    ];
    let run = env.run(&[&words[..], &["--report", report.to_str().unwrap()]].concat());
    if run.lacks_onnx_runtime() {
        return;
    }
    let said = run.expect_code(0).stderr;
    assert!(
        said.contains("only whole frames are used again with squeeze-excite"),
        "{said}"
    );
    let report = read_json(&report);
    assert!(
        report["fallbacks"]
            .to_string()
            .contains("only whole frames")
    );
}
