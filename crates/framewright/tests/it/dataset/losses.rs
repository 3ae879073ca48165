//! A finished dataset stays what it is: what a later run does not have is said, and never replaced by nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;

use super::collection::bars;
use super::detector::photos;
use super::run_list;
use super::table::{files, holds, video_folders};
use crate::env::{TestEnv, assets};

const STAGES: [&str; 6] = ["download", "extract", "filter", "dedup", "detect", "export"];
const MORE: [&str; 4] = ["--every", "0.2s", "--format", "coco,imagefolder"];

/// A finished dataset `set` of some films.
fn finished(env: &TestEnv, n: u32) -> Vec<PathBuf> {
    let folder = env.folder("films");
    let films: Vec<_> = (0..n).map(|n| bars(&folder, n, 1.0)).collect();
    run_list(env, &films, "set", &MORE).expect_code(0);
    films
}

fn export_only(env: &TestEnv, films: &[PathBuf], more: &[&str]) -> crate::env::Run {
    run_list(
        env,
        films,
        "set",
        &[&MORE[2..], &["--stages", "export"], more].concat(),
    )
}

#[test]
fn no_choice_of_stages_changes_a_finished_dataset() {
    let env = TestEnv::new();
    let films = finished(&env, 2);
    let before = files(&env.path("set"));
    for chosen in 1_usize..1 << STAGES.len() {
        let stages: Vec<&str> = (STAGES.into_iter().enumerate())
            .filter(|(n, _)| chosen >> n & 1 == 1)
            .map(|(_, stage)| stage)
            .collect();
        let stages = stages.join(",");
        run_list(
            &env,
            &films,
            "set",
            &[&MORE[..], &["--stages", &stages]].concat(),
        )
        .expect_code(0);
        assert_eq!(files(&env.path("set")), before, "--stages {stages}");
    }
    env.run(&["dataset", "dedup", "set"]).expect_code(0);
    assert_eq!(files(&env.path("set")), before, "dedup");
    env.run(&["dataset", "retry", "--failed", "-o", "set"])
        .expect_code(0);
    assert_eq!(files(&env.path("set")), before, "retry");
}

#[test]
fn pictures_are_never_replaced_by_none() {
    let env = TestEnv::new();
    let films = finished(&env, 2);
    let before = files(&env.path("set"));
    // What was made with other settings cannot be used, and that is the end of this run alone.
    let other = export_only(&env, &films, &["--every", "0.4s"]).expect_code(65);
    for said in ["pictures of 2 videos would be lost", "with other settings"] {
        assert!(other.stderr.contains(said), "{said}: {other:?}");
    }
    assert_eq!(files(&env.path("set")), before);
    env.run(&["dataset", "dedup", "set"]).expect_code(0);
    // A filter that lets nothing pass.
    let config = "lists = ['list.txt']\noutput = 'set'\n[extract]\nevery = '0.2s'\n[filter]\nmin_sharpness = 1e9\n";
    fs::write(env.path("none.toml"), config).unwrap();
    let none = env.run(&["dataset", "run", "none.toml"]).expect_code(1);
    assert!(none.stderr.contains("would be lost"), "{none:?}");
    assert_eq!(files(&env.path("set")), before);
    // Results that are all damaged, with and without the table that tells what there was.
    run_list(&env, &films, "set", &MORE).expect_code(0);
    assert_eq!(files(&env.path("set")), before);
    for folder in video_folders(&env.path("set")) {
        fs::write(folder.join("extract.json"), "{").unwrap();
    }
    let damaged = env.run(&["dataset", "dedup", "set"]).expect_code(65);
    assert!(damaged.stderr.contains("extract.json"), "{damaged:?}");
    assert_eq!(files(&env.path("set")), before);
    fs::write(env.path("set/frames.parquet"), "no table").unwrap();
    let damaged = env.run(&["dataset", "dedup", "set"]).expect_code(65);
    assert!(damaged.stderr.contains("would be lost"), "{damaged:?}");
    // A run of all stages makes them again.
    run_list(&env, &films, "set", &MORE).expect_code(0);
    assert_eq!(files(&env.path("set")), before);
}

#[test]
fn a_video_that_drops_out_is_named_with_its_pictures() {
    let env = TestEnv::new();
    let films = finished(&env, 3);
    let before = files(&env.path("set"));
    fs::write(env.path("secret"), "SECRET").unwrap();
    let folder = video_folders(&env.path("set")).remove(1);
    let record = fs::read(folder.join("extract.json")).unwrap();
    let is_kept = |picture: &PathBuf| {
        let name = picture.file_name().unwrap().to_str().unwrap();
        before.keys().any(|file| file.ends_with(name))
    };
    let pictures = fs::read_dir(folder.join("frames")).unwrap();
    let mut pictures = pictures.map(|entry| entry.unwrap().path());
    let picture = pictures
        .find(is_kept)
        .expect("each film has a picture in the dataset");
    let content = fs::read(&picture).unwrap();
    let damage: [(&str, &dyn Fn()); 3] = [
        ("half a record", &|| {
            fs::write(folder.join("extract.json"), &record[..record.len() / 2]).unwrap();
        }),
        ("a picture that is gone", &|| {
            fs::remove_file(&picture).unwrap();
        }),
        ("a picture that is a link", &|| {
            fs::remove_file(&picture).unwrap();
            symlink(env.path("secret"), &picture).unwrap();
        }),
    ];
    for (what, damage) in damage {
        damage();
        let run = env
            .run(&["dataset", "dedup", "set", "--json"])
            .expect_code(3);
        assert!(
            run.stderr.contains("pictures are no longer in the dataset"),
            "{what}: {run:?}"
        );
        let summary: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(
            (&summary["done"], &summary["failed"]["environment"]),
            (&2.into(), &1.into()),
            "{what}: {summary:#}"
        );
        let status = env.run(&["dataset", "status", "set"]).expect_code(0);
        assert!(status.stdout.contains("1 failed"), "{what}: {status:?}");
        assert!(!holds(&env.path("set/imagefolder"), "SECRET"), "{what}");
        assert_ne!(files(&env.path("set")), before, "{what}");
        let _ = fs::remove_file(&picture);
        fs::write(&picture, &content).unwrap();
        run_list(&env, &films, "set", &MORE).expect_code(0);
        assert_eq!(files(&env.path("set")), before, "{what}, put right");
    }
    // One that the inputs do not name any more is the user's choice, and said too.
    let fewer = run_list(&env, &films[..2], "set", &MORE).expect_code(0);
    assert!(
        fewer
            .stderr
            .contains("of 1 videos that the inputs do not name any more"),
        "{fewer:?}"
    );
}

#[test]
fn a_film_that_is_gone_leaves_its_pictures() {
    let env = TestEnv::new();
    let films = finished(&env, 2);
    let before = files(&env.path("set"));
    fs::remove_file(&films[0]).unwrap();
    env.run(&["dataset", "dedup", "set"]).expect_code(0);
    assert_eq!(files(&env.path("set")), before);
    export_only(&env, &films, &["--every", "0.2s"]).expect_code(0);
    run_list(&env, &films, "set", &MORE).expect_code(0);
    assert_eq!(files(&env.path("set")), before);
}

#[test]
fn a_film_among_the_files_of_the_dataset_is_no_input() {
    let env = TestEnv::new();
    let films = finished(&env, 1);
    let mine = env.path("set/coco/mine.mp4");
    fs::copy(&films[0], &mine).unwrap();
    let run = run_list(&env, &[&films[0], &mine], "set", &MORE).expect_code(65);
    assert!(
        run.stderr.contains("among the files of the dataset"),
        "{run:?}"
    );
    assert!(mine.exists());
    // Nor is anything else of the user's replaced, and that is known before any work is done.
    let run = run_list(&env, &films, "set", &MORE).expect_code(73);
    assert!(run.stderr.contains("mine.mp4"), "{run:?}");
    assert!(mine.exists());
}

#[test]
fn labels_are_not_lost_by_the_choice_of_stages() {
    let env = TestEnv::new();
    let Some(film) = photos(&env) else { return };
    let model = assets().unwrap().join("models/yolox_nano_416.onnx");
    let config = |min_score: f32| {
        let text = format!(
            "lists = ['list.txt']\noutput = 'set'\n[extract]\nevery = '0.5s'\n[detect]\nmodel = '{}'\n\
             min_score = {min_score}\n[export]\nformats = ['coco']\n",
            model.display()
        );
        fs::write(env.path("set.toml"), text).unwrap();
    };
    config(0.3);
    fs::write(env.path("list.txt"), film.display().to_string()).unwrap();
    let run = env.run(&["dataset", "run", "set.toml"]);
    if run.lacks_onnx_runtime() {
        return;
    }
    run.expect_code(0);
    let before = files(&env.path("set"));
    for stages in ["export", "dedup,export", "detect,export", "filter,export"] {
        env.run(&["dataset", "run", "set.toml", "--stages", stages])
            .expect_code(0);
        assert_eq!(files(&env.path("set")), before, "--stages {stages}");
    }
    env.run(&["dataset", "dedup", "set"]).expect_code(0);
    assert_eq!(files(&env.path("set")), before, "dedup");
    // Objects that were found with another bound are none of these.
    config(0.5);
    let other = env.run(&["dataset", "run", "set.toml", "--stages", "export"]);
    let other = other.expect_code(65);
    assert!(other.stderr.contains("detect.json"), "{other:?}");
    assert_eq!(files(&env.path("set")), before);
}
