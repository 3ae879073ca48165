//! Merging destroys neither the parts nor a dataset that stands in the output's place.

use std::fs;
use std::path::Path;

use super::collection::bars;
use super::run_list;
use super::table::{copy, files, tree, video_folders};
use crate::env::{Run, TestEnv};

/// Two parts, `p0` and `p1`, of a few films.
fn parts(env: &TestEnv) {
    let folder = env.folder("films");
    let films: Vec<_> = (0..4).map(|n| bars(&folder, n, 0.5)).collect();
    for n in 0..2 {
        let shard = format!("{n}/2");
        let more = ["--every", "0.2s", "--shard", &shard];
        run_list(env, &films, &format!("p{n}"), &more).expect_code(0);
    }
}

fn merge(env: &TestEnv, parts: &[&str], output: &str) -> Run {
    let mut args = vec!["dataset", "merge"];
    args.extend(parts);
    args.extend(["-o", output]);
    env.run(&args)
}

fn all(env: &TestEnv) -> std::collections::BTreeMap<String, String> {
    tree(env.root(), &[])
}

#[test]
fn parts_and_output_are_different_folders() {
    let env = TestEnv::new();
    parts(&env);
    std::os::unix::fs::symlink(env.path("p0"), env.path("also-p0")).unwrap();
    fs::create_dir_all(env.path("out/state/videos")).unwrap();
    copy(&env.path("p1"), &env.path("out/imagefolder"));
    let before = all(&env);
    for (parts, output) in [
        (&["p0", "p1"][..], "p0"),
        (&["p0", "p1"], "also-p0"),
        (&["p0", "p1"], "p1/state"),
        (&["p0", "p1"], "p1/inner/set"),
        (&["p0", "p0"], "merged"),
        (&["p0", "also-p0"], "merged"),
        (&["p0", "out/imagefolder"], "out"),
    ] {
        let run = merge(&env, parts, output).expect_code(2);
        assert_eq!(run.error_lines().len(), 1, "{run:?}");
        assert_eq!(all(&env), before, "{parts:?} into {output}");
    }
}

#[test]
fn a_dataset_of_other_videos_is_not_replaced() {
    let env = TestEnv::new();
    let other = bars(&env.folder("others"), 9, 0.5);
    run_list(&env, &[other], "other", &["--every", "0.2s"]).expect_code(0);
    parts(&env);
    let before = all(&env);
    let refused = merge(&env, &["p0", "p1"], "other").expect_code(73);
    assert!(refused.stderr.contains("another dataset"), "{refused:?}");
    let lock = |tree: std::collections::BTreeMap<String, String>| {
        tree.into_iter()
            .filter(|(name, _)| !name.ends_with("/lock"))
    };
    assert!(lock(all(&env)).eq(lock(before)));
}

#[test]
fn a_video_that_is_in_no_part_or_failed_in_one_is_not_lost_in_silence() {
    let env = TestEnv::new();
    parts(&env);
    let whole = merge(&env, &["p0", "p1"], "merged/set").expect_code(0);
    assert!(!whole.stderr.contains("not finished"), "{whole:?}");
    let made = files(&env.path("merged/set"));
    // Without one of the parts its videos are not finished, which was no word and exit code 0.
    let half = merge(&env, &["p0"], "half/set").expect_code(3);
    assert!(half.stderr.contains("not finished"), "{half:?}");
    // A part where a video has failed since does not replace what was merged before.
    for folder in video_folders(&env.path("p0")) {
        if folder.join("extract.json").exists() {
            fail(&folder);
        }
    }
    merge(&env, &["p0", "p1"], "merged/set").expect_code(0);
    assert_eq!(files(&env.path("merged/set")), made);
}

fn fail(folder: &Path) {
    let failure = r#"{"stage":"extract","key":"","attempts":1,"next_try_unix_secs":null,
        "trouble":{"class":"bad_input","message":"made up","details":[],"retry_after_secs":null}}"#;
    fs::write(folder.join("failure.json"), failure).unwrap();
}
