//! A made-up dataset in all formats, read by the libraries that trainers use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use framewright::dataset::config::{Config, Format, PictureFormat};
use framewright::dataset::page::{self, FailedVideo, RunFacts, StageFacts};
use framewright::dataset::record::{Dataset, Drop, DropReason, Labels, Object, Split};
use framewright::dataset::trouble::{Class, Trouble};
use framewright::dataset::{export, split};

use crate::env::{TestEnv, repo_root};
use made_up::{ALL_FORMATS, config, labelled, plain};

mod made_up;

fn write(dataset: &Dataset, config: &Config, root: &Path) -> Vec<export::Written> {
    fs::create_dir_all(root).unwrap();
    let written = export::write(dataset, config, root, &|| false).unwrap();
    written.expect("nobody stopped it")
}

/// All files below a folder by their relative paths.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

/// The judgement of `loaders/check.py`; none where Python lacks a library.
fn judge(root: &Path) -> Option<String> {
    let modules = "pycocotools.coco, webdataset, datasets, pyarrow, PIL";
    let has = Command::new("python3")
        .args(["-c", &format!("import {modules}")])
        .output();
    if !has.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 cannot import {modules}");
        return None;
    }
    let script = repo_root().join("crates/framewright/tests/loaders/check.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_format_is_read_by_its_readers() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let written = write(&labelled(&env), &config(&ALL_FORMATS), &root);
    assert_eq!(written.len(), 9);
    assert!(written.iter().all(|written| written.path.exists()));
    if let Some(said) = judge(&root) {
        println!("{said}");
        assert!(
            said.ends_with("coco, yolo, voc, webdataset, imagefolder, parquet, croissant.json\n")
        );
    }
}

#[test]
fn without_a_detector_there_are_pictures_only() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    write(&plain(&env), &config(&ALL_FORMATS), &root);
    judge(&root);
    assert!(
        fs::read_to_string(root.join("yolo/data.yaml"))
            .unwrap()
            .ends_with("names: {}\n")
    );
}

#[test]
fn only_the_wanted_classes_are_written_and_numbered_anew() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let mut config = config(&[Format::Yolo, Format::Coco]);
    config.detect.classes = vec!["dog: big".into()];
    write(&labelled(&env), &config, &root);
    judge(&root);
    let yaml = fs::read_to_string(root.join("yolo/data.yaml")).unwrap();
    assert!(yaml.ends_with("names:\n  0: \"dog: big\"\n"), "{yaml}");
}

#[test]
fn a_part_in_which_nothing_was_found_is_read_too() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let mut dataset = labelled(&env);
    for frame in &mut dataset.frames {
        if frame.split == Some(Split::Val) {
            frame.labels.objects = Some(Vec::new());
        }
    }
    write(&dataset, &config(&ALL_FORMATS), &root);
    judge(&root);
    assert!(root.join("imagefolder/val/metadata.parquet").exists());
}

#[test]
fn few_videos_are_read_by_the_readers_too() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let mut dataset = labelled(&env);
    dataset.frames.retain(|frame| frame.video == 1);
    for frame in &mut dataset.frames {
        frame.dropped = None;
    }
    let config = config(&[Format::Yolo, Format::ImageFolder]);
    split::divide(&mut dataset, &config.split, &BTreeMap::new());
    write(&dataset, &config, &root);
    judge(&root);
}

#[test]
fn the_same_dataset_gives_the_same_bytes() {
    let env = TestEnv::new();
    let dataset = labelled(&env);
    let config = config(&ALL_FORMATS);
    let (first, second) = (env.path("a/made-up"), env.path("b/made-up"));
    write(&dataset, &config, &first);
    write(&dataset, &config, &second);
    // Once more over what is there.
    write(&dataset, &config, &second);
    assert_eq!(tree(&first), tree(&second));
    let place = env.root().to_str().unwrap().as_bytes().to_vec();
    for (name, content) in tree(&first) {
        let tells = content.windows(place.len()).any(|part| part == place);
        assert!(!tells, "{} tells where it was made", name.display());
    }
}

#[test]
fn pictures_may_come_from_the_export_that_is_replaced() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let mut dataset = labelled(&env);
    let mut config = config(&[Format::ImageFolder, Format::Voc]);
    write(&dataset, &config, &root);
    fs::remove_dir_all(env.path("pictures")).unwrap();
    for frame in dataset.frames.iter_mut().filter(|frame| frame.is_kept()) {
        let name = frame
            .picture
            .as_ref()
            .and_then(|path| path.file_name())
            .unwrap();
        let split = frame.split.unwrap().word();
        frame.picture = Some(root.join("imagefolder").join(split).join(name));
    }
    config.split.seed = 99;
    split::divide(&mut dataset, &config.split, &BTreeMap::new());
    write(&dataset, &config, &root);
    judge(&root);
}

#[test]
fn a_stopped_export_leaves_everything_as_it_was() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let dataset = labelled(&env);
    let config = config(&ALL_FORMATS);
    write(&dataset, &config, &root);
    let before = tree(&root);
    let left = std::cell::Cell::new(40);
    let stopped = || {
        left.set(left.get() - 1);
        left.get() < 0
    };
    let mut changed = dataset.clone();
    changed.frames.truncate(10);
    let written = export::write(&changed, &config, &root, &stopped).unwrap();
    assert_eq!(written, None);
    assert_eq!(tree(&root), before);
}

#[test]
fn a_missing_picture_ends_the_export_and_leaves_everything_as_it_was() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let mut dataset = labelled(&env);
    let config = config(&ALL_FORMATS);
    write(&dataset, &config, &root);
    let before = tree(&root);
    let kept = dataset.frames.iter_mut().find(|frame| frame.is_kept());
    kept.unwrap().picture = Some(env.path("gone.jpg"));
    let error = export::write(&dataset, &config, &root, &|| false).unwrap_err();
    assert!(error.to_string().contains("gone.jpg"), "{error}");
    assert_eq!(tree(&root), before);
}

#[test]
fn what_a_killed_export_left_goes_away() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let (dataset, config) = (labelled(&env), config(&[Format::Coco]));
    write(&dataset, &config, &root);
    let before = tree(&root);
    fs::create_dir(root.join(".coco.new")).unwrap();
    fs::write(root.join(".coco.new/half"), b"x").unwrap();
    fs::create_dir(root.join(".tables.new")).unwrap();
    fs::rename(root.join("coco"), root.join(".coco.old")).unwrap();
    export::recover(&root).unwrap();
    assert_eq!(tree(&root), before);
}

#[test]
fn an_earlier_dataset_is_read_back() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let dataset = labelled(&env);
    write(&dataset, &config(&[Format::ImageFolder]), &root);
    let frames = export::read_provenance(&root.join(export::PROVENANCE)).unwrap();
    assert_eq!(frames.len(), dataset.frames.len());
    for (read, frame) in frames.iter().zip(&dataset.frames) {
        let scores = frame.frame.scores;
        assert_eq!(read.image_id, frame.frame.image_id);
        assert_eq!((read.dct, read.dhash), (frame.frame.dct, frame.frame.dhash));
        assert_eq!(read.kept, frame.is_kept());
        assert_eq!(
            (read.contrast, read.brightness),
            (scores.contrast, scores.brightness)
        );
    }
    let wrong = env.path("wrong.parquet");
    fs::write(&wrong, b"PAR1 nothing PAR1").unwrap();
    assert!(export::read_provenance(&wrong).is_err());
}

#[test]
fn what_another_choice_of_formats_left_is_told() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let dataset = labelled(&env);
    write(&dataset, &config(&[Format::Coco, Format::Voc]), &root);
    let outdated = export::outdated(&config(&[Format::Coco]), &root);
    assert_eq!(outdated, [root.join("voc")]);
}

#[test]
fn settings_of_how_the_work_is_done_do_not_change_the_hash() {
    let plain = Config::default();
    let mut other = Config::default();
    other.run.workers = Some(7);
    other.extract.stall_timeout = 5.0;
    other.inputs.push("film.mp4".into());
    assert_eq!(
        export::config_hash(&plain).unwrap(),
        export::config_hash(&other).unwrap()
    );
    other.extract.format = PictureFormat::Png;
    assert_ne!(
        export::config_hash(&plain).unwrap(),
        export::config_hash(&other).unwrap()
    );
}

#[test]
fn the_files_people_read() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let dataset = labelled(&env);
    write(&dataset, &config(&ALL_FORMATS), &root);
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    insta::assert_snapshot!("card", read("README.md").replace(version, "VERSION"));
    insta::assert_snapshot!("data_yaml", read("yolo/data.yaml"));
    let labelled = &dataset.frames[2].frame.image_id;
    insta::assert_snapshot!("voc", read(&format!("voc/Annotations/{labelled}.xml")));
    let coco: serde_json::Value =
        serde_json::from_str(&read("coco/annotations/instances_val.json")).unwrap();
    let coco = serde_json::to_string_pretty(&coco).unwrap();
    insta::assert_snapshot!("coco", coco.replace(version, "VERSION"));
}

fn facts() -> RunFacts {
    let trouble = Trouble {
        class: Class::Network,
        message: "connection reset <by> peer".into(),
        details: vec!["ERROR: </pre><script>".into()],
        retry_after_secs: None,
    };
    RunFacts {
        stages: vec![StageFacts {
            name: "extract".into(),
            items: 5,
            busy_secs: 12.5,
            waiting_secs: 0.25,
        }],
        failed: vec![FailedVideo {
            source: "https://example.org/<img src=x onerror=alert(1)>".into(),
            trouble,
        }],
        elapsed_secs: 3723.0,
    }
}

#[test]
fn the_page_shows_foreign_text_as_text_and_links_to_pictures_that_are_there() {
    let env = TestEnv::new();
    let root = env.path("made-up");
    let (dataset, config) = (labelled(&env), config(&ALL_FORMATS));
    write(&dataset, &config, &root);
    let path = page::write(&dataset, &config, &root, &facts()).unwrap();
    let html = fs::read_to_string(path).unwrap();
    for hostile in [
        "<script",
        "</script",
        "<img src=x",
        "<b>\"x",
        "<b>&quot;x",
        "secret",
    ] {
        assert!(!html.contains(hostile), "{hostile}");
    }
    assert!(html.contains("&lt;/script&gt;") && html.contains("1:02:03"));
    let links: Vec<&str> = html.split("src=\"").skip(1).collect();
    let links: Vec<&str> = links
        .iter()
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let kept = dataset
        .frames
        .iter()
        .filter(|frame| frame.is_kept())
        .count();
    assert!(links.len() >= kept, "{} links", links.len());
    for link in links {
        assert!(root.join(link).is_file(), "{link}");
    }
}

#[test]
fn the_page_is_bounded() {
    let env = TestEnv::new();
    let mut dataset = labelled(&env);
    let kept = dataset
        .frames
        .iter()
        .find(|frame| frame.is_kept())
        .unwrap()
        .clone();
    for n in 0..5000 {
        let mut frame = kept.clone();
        frame.frame.image_id = format!("more_{n:08}");
        if n % 2 == 0 {
            frame.split = None;
            frame.dropped = Some(Drop {
                reason: DropReason::DuplicateInVideo,
                duplicate_of: Some(kept.frame.image_id.clone()),
                distance: Some(1.0),
                kind: Some("dct"),
            });
        } else {
            frame.split = Some(Split::Val);
        }
        frame.labels = Labels {
            objects: Some(vec![Object {
                class: 0,
                score: 0.5,
                bbox: [1.0, 1.0, 5.0, 5.0],
            }]),
            ..Labels::default()
        };
        dataset.frames.push(frame);
    }
    let html = page::render(&dataset, &config(&[Format::Coco]), env.root(), &facts()).unwrap();
    assert!(html.matches("<figure>").count() <= 200 + 2 * 60);
    assert!(html.len() < 300_000, "{} bytes", html.len());
    // A dataset without picture files has a page as well.
    page::render(&dataset, &config(&[Format::Parquet]), env.root(), &facts()).unwrap();
}
