//! Detectors find what the pictures show, and the dataset holds what was asked for.

use std::fs;

use serde_json::Value;

use super::run_list;
use super::table::{is_kept, rows};
use crate::env::{TestEnv, assets};

/// A film of the two photos, each shown for a second.
pub fn photos(env: &TestEnv) -> Option<std::path::PathBuf> {
    let photo = assets()?.join("images/photo");
    let film = env.path("photos.mkv");
    let graph =
        "[0:v]scale=768:576,setsar=1[a];[1:v]scale=768:576,setsar=1[b];[a][b]concat=n=2:v=1";
    let made = std::process::Command::new("ffmpeg")
        .args([
            "-v", "error", "-nostdin", "-y", "-loop", "1", "-t", "1", "-i",
        ])
        .arg(photo.join("dog.jpg"))
        .args(["-loop", "1", "-t", "1", "-i"])
        .arg(photo.join("person.jpg"))
        .args([
            "-filter_complex",
            graph,
            "-c:v",
            "libx264",
            "-crf",
            "12",
            "-pix_fmt",
            "yuv420p",
        ])
        .arg(&film)
        .status()
        .unwrap();
    assert!(made.success());
    Some(film)
}

#[test]
fn what_a_detector_finds_stands_in_the_annotations() {
    let env = TestEnv::new();
    let Some(film) = photos(&env) else { return };
    let model = assets().unwrap().join("models/yolox_nano_416.onnx");
    let more = [
        "--every",
        "0.5s",
        "--detector",
        model.to_str().unwrap(),
        "--format",
        "coco,yolo",
    ];
    let run = run_list(&env, &[&film], "set", &more);
    if run.lacks_onnx_runtime() {
        return;
    }
    run.expect_code(0);
    let mut found = Vec::new();
    for part in ["train", "val", "test"] {
        let path = env.path(&format!("set/coco/annotations/instances_{part}.json"));
        let Ok(text) = fs::read_to_string(path) else {
            continue;
        };
        let coco: Value = serde_json::from_str(&text).unwrap();
        let name = |id: &Value| {
            let categories = coco["categories"].as_array().unwrap();
            let category = categories
                .iter()
                .find(|category| category["id"] == *id)
                .unwrap();
            category["name"].as_str().unwrap().to_owned()
        };
        found.extend(
            coco["annotations"]
                .as_array()
                .unwrap()
                .iter()
                .map(|object| name(&object["category_id"])),
        );
    }
    for wanted in ["dog", "car", "bicycle", "person", "horse"] {
        assert!(
            found.iter().any(|name| name == wanted),
            "{wanted} is among {found:?}"
        );
    }
}

#[test]
fn only_pictures_with_a_wanted_class_are_kept() {
    let env = TestEnv::new();
    let Some(film) = photos(&env) else { return };
    let model = assets().unwrap().join("models/yolox_nano_416.onnx");
    let more = [
        "--every",
        "0.5s",
        "--detector",
        model.to_str().unwrap(),
        "--classes",
        "horse",
    ];
    let run = run_list(&env, &[&film], "set", &more);
    if run.lacks_onnx_runtime() {
        return;
    }
    run.expect_code(0);
    for row in rows(&env.path("set")) {
        let shows_horse = row["pts_secs"].parse::<f64>().unwrap() >= 0.99;
        let reason = row.get("drop_reason").map(String::as_str);
        match (shows_horse, is_kept(&row)) {
            (true, true) => {}
            (true, false) => assert_eq!(reason, Some("duplicate_in_video")),
            (false, _) => assert_eq!(reason, Some("no_wanted_class")),
        }
    }
    let unknown = ["--detector", model.to_str().unwrap(), "--classes", "dragon"];
    let refused = run_list(&env, &[&film], "other", &unknown).expect_code(78);
    assert!(
        refused.stderr.contains("does not know the class dragon"),
        "{refused:?}"
    );
}
