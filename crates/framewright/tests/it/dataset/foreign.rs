//! The folder of a dataset may have come from anywhere: nothing outside of it is read, exported, moved or deleted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::collection::bars;
use super::run_list;
use super::table::{copy, holds, tree, video_folders};
use crate::env::{Run, TestEnv, read_json};

/// What a place is called, and where it is in a dataset.
type Place<'a> = (&'a str, &'a dyn Fn(&Path) -> PathBuf);

/// A finished dataset `made`, with neighbours that hold something precious.
fn made(env: &TestEnv) {
    let folder = env.folder("films");
    let films: Vec<_> = (0..2).map(|n| bars(&folder, n, 0.5)).collect();
    run_list(env, &films, "made", &["--every", "0.2s"]).expect_code(0);
    fs::write(env.path("secret.txt"), "SECRET").unwrap();
    fs::create_dir(env.path("holiday")).unwrap();
    fs::write(env.path("holiday/video.mp4"), "SECRET").unwrap();
}

/// A fresh copy of it in `work/set`.
fn fresh(env: &TestEnv) -> PathBuf {
    let _ = fs::remove_dir_all(env.path("work"));
    let set = env.path("work/set");
    copy(&env.path("made"), &set);
    set
}

/// Everything beside `work` and what commands are to write.
fn neighbours(env: &TestEnv) -> BTreeMap<String, String> {
    tree(env.root(), &[&env.path("work")])
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = read_json(path);
    change(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

const COMMANDS: [&[&str]; 5] = [
    &["dataset", "status", "work/set"],
    &["dataset", "merge", "work/set", "-o", "work/merged"],
    &["dataset", "dedup", "work/set", "--dry-run"],
    &["dataset", "dedup", "work/set"],
    &["dataset", "retry", "--failed", "-o", "work/set"],
];

/// Runs every command that reads a folder back; each ends in an orderly way and changes nothing beside it.
fn try_all(env: &TestEnv, what: &str) -> Vec<Run> {
    let before = neighbours(env);
    let runs = COMMANDS.map(|command| {
        let run = env.run(command);
        let is_orderly = matches!(run.code, Some(0 | 1 | 3 | 65 | 73 | 78));
        assert!(
            is_orderly && !run.stderr.contains("panicked"),
            "{what}: {command:?}: {run:#?}"
        );
        assert_eq!(neighbours(env), before, "{what}: {command:?}");
        run
    });
    for made in ["work/set/imagefolder", "work/merged"] {
        let made = env.path(made);
        assert!(
            !made.is_dir() || !holds(&made, "SECRET"),
            "{what}: {}",
            made.display()
        );
    }
    runs.into()
}

#[test]
fn names_that_lead_out_of_a_dataset_lead_nowhere() {
    let env = TestEnv::new();
    made(&env);
    let record = |set: &Path, name: &str| video_folders(set).remove(0).join(name);
    let names = ["../../../../../holiday/video.mp4", "/etc/passwd", ".."];
    for name in names {
        let set = fresh(&env);
        edit(&record(&set, "extract.json"), |json| {
            json["value"]["frames"][0]["file"] = name.into();
        });
        let runs = try_all(&env, &format!("a picture {name}"));
        // The other video is still taken.
        assert_eq!(runs[1].code, Some(3), "{:?}", runs[1]);

        let set = fresh(&env);
        let path = record(&set, "extract.json");
        edit(&path, |json| {
            json["value"]["frames"][0]["image_id"] = name.into();
        });
        try_all(&env, &format!("a frame {name}"));

        // The film of a video that is to be taken apart again.
        let set = fresh(&env);
        edit(&record(&set, "download.json"), |json| {
            json["value"]["file"] = name.into();
        });
        fs::remove_file(record(&set, "extract.json")).unwrap();
        try_all(&env, &format!("a film {name}"));

        let set = fresh(&env);
        edit(&set.join("state/inputs.json"), |json| {
            json["inputs"]["videos"][0]["video_id"] = name.into();
        });
        let runs = try_all(&env, &format!("an id {name}"));
        assert_eq!(runs[1].code, Some(65), "{:?}", runs[1]);
        assert!(
            runs[1].stderr.contains("16 hexadecimal digits"),
            "{:?}",
            runs[1]
        );
    }
}

#[test]
fn links_in_a_dataset_are_not_followed() {
    let env = TestEnv::new();
    made(&env);
    // A dataset of the same shape elsewhere, so that whatever is followed finds what it looks for.
    copy(&env.path("made"), &env.path("holiday/set"));
    let inside = |path: &Path| {
        let path = path.strip_prefix(env.path("work/set")).unwrap();
        env.path("holiday/set").join(path)
    };
    let video = |set: &Path| video_folders(set).remove(0);
    let picture = |set: &Path| {
        let frames = video(set).join("frames");
        let first = fs::read_dir(&frames).unwrap().next();
        frames.join(first.unwrap().unwrap().file_name())
    };
    let places: [Place<'_>; 9] = [
        ("the state", &|set| set.join("state")),
        ("the videos", &|set| set.join("state/videos")),
        ("the configuration", &|set| set.join("state/config.json")),
        ("the registry", &|set| set.join("state/registry.sqlite")),
        ("a video", &video),
        ("a record", &|set| video(set).join("extract.json")),
        ("the pictures", &|set| video(set).join("frames")),
        ("a picture", &picture),
        ("a format", &|set| set.join("imagefolder")),
    ];
    for (what, place) in places {
        let path = place(&fresh(&env));
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        symlink(inside(&path), &path).unwrap();
        try_all(&env, what);
    }
    // Files that a run writes, or goes on with.
    for name in [
        "report.html",
        "duplicates.html",
        "README.md",
        "frames.parquet",
    ] {
        let set = fresh(&env);
        let _ = fs::remove_file(set.join(name));
        symlink(env.path("secret.txt"), set.join(name)).unwrap();
        try_all(&env, name);
    }
    for name in ["failure.json", "download.part", "video.mp4", "source.json"] {
        let set = fresh(&env);
        let path = video(&set).join(name);
        let _ = fs::remove_file(&path);
        symlink(env.path("secret.txt"), &path).unwrap();
        try_all(&env, name);
    }
}

/// Every file of JSON in the state.
fn records(set: &Path) -> Vec<PathBuf> {
    let mut records = vec![
        set.join("state/config.json"),
        set.join("state/inputs.json"),
        set.join("state/splits.json"),
    ];
    for folder in video_folders(set) {
        for name in ["source.json", "download.json", "extract.json"] {
            records.push(folder.join(name));
        }
    }
    records
}

fn leaves(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Array(values) => values.iter_mut().flat_map(leaves).collect(),
        Value::Object(values) => values.values_mut().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

#[test]
fn a_state_that_was_changed_anywhere_does_no_harm() {
    let env = TestEnv::new();
    made(&env);
    let odd: [Value; 9] = [
        "../../../../../secret.txt".into(),
        "/etc/passwd".into(),
        "a\u{0}b".into(),
        (-1).into(),
        1e300.into(),
        u64::MAX.into(),
        Value::Null,
        Value::Array(Vec::new()),
        Value::Object(serde_json::Map::default()),
    ];
    // A linear congruence: the same changes every time.
    let mut seed = 7_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    for n in 0..12 {
        let set = fresh(&env);
        let records = records(&set);
        let record = &records[n % records.len()];
        let mut what = record.display().to_string();
        edit(record, |json| {
            for _ in 0..=random(3) {
                let mut leaves = leaves(json);
                if !leaves.is_empty() {
                    let leaf = random(leaves.len());
                    let value = &odd[random(odd.len())];
                    let _ = write!(what, ", {leaf} is {value}");
                    *leaves[leaf] = value.clone();
                }
            }
        });
        try_all(&env, &what);
    }
}
