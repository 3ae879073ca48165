//! The same inputs give the same dataset, however the work is done.

use super::collection::{Edit, bars, collection};
use super::run_list;
use super::table::files;
use crate::env::TestEnv;

const ALL: &str = "coco,yolo,voc,webdataset,imagefolder,parquet,croissant";

#[test]
fn any_number_of_workers_and_both_modes_make_the_same_dataset() {
    let env = TestEnv::new();
    let Some(films) = collection(&env, 2.0, &[Edit::Reencoded, Edit::Logo]) else {
        return;
    };
    let paths: Vec<_> = films.iter().map(|film| film.path.clone()).collect();
    let mut first = None;
    for workers in ["1", "2", "5"] {
        for mode in ["per-video", "per-stage"] {
            let output = format!("{workers}-{mode}/set");
            let more = [
                "--every",
                "0.5s",
                "--workers",
                workers,
                "--mode",
                mode,
                "--format",
                ALL,
            ];
            run_list(&env, &paths, &output, &more).expect_code(0);
            let made = files(&env.path(&output));
            match &first {
                None => first = Some(made),
                Some(first) => assert_eq!(first, &made, "{workers} workers, {mode}"),
            }
        }
    }
}

#[test]
fn parts_that_are_merged_make_the_dataset_of_one_run() {
    let env = TestEnv::new();
    let folder = env.folder("films");
    let films: Vec<_> = (0..8)
        .map(|n| bars(&folder, n / 2, 1.0 + f64::from(n % 2)))
        .collect();
    run_list(&env, &films, "whole/set", &["--every", "0.2s"]).expect_code(0);
    let parts: Vec<String> = (0..4).map(|n| format!("part{n}")).collect();
    for (n, part) in parts.iter().enumerate() {
        run_list(
            &env,
            &films,
            part,
            &["--every", "0.2s", "--shard", &format!("{n}/4")],
        )
        .expect_code(0);
        // Again: what is done is done.
        run_list(
            &env,
            &films,
            part,
            &["--every", "0.2s", "--shard", &format!("{n}/4")],
        )
        .expect_code(0);
    }
    let mut merge = vec!["dataset", "merge"];
    merge.extend(parts.iter().map(String::as_str));
    merge.extend(["-o", "merged/set"]);
    env.run(&merge).expect_code(0);
    assert_eq!(
        files(&env.path("merged/set")),
        files(&env.path("whole/set"))
    );
    // Merging twice is merging once.
    env.run(&merge).expect_code(0);
    assert_eq!(
        files(&env.path("merged/set")),
        files(&env.path("whole/set"))
    );
}

#[test]
fn stages_that_are_run_one_by_one_make_the_dataset_of_one_run() {
    let env = TestEnv::new();
    let folder = env.folder("films");
    let films: Vec<_> = (0..3).map(|n| bars(&folder, n, 1.0)).collect();
    run_list(&env, &films, "whole/set", &["--every", "0.2s"]).expect_code(0);
    for stages in ["download", "extract", "filter,dedup", "detect", "export"] {
        run_list(
            &env,
            &films,
            "steps/set",
            &["--every", "0.2s", "--stages", stages],
        )
        .expect_code(0);
    }
    assert_eq!(files(&env.path("steps/set")), files(&env.path("whole/set")));
    let early = run_list(&env, &films, "early", &["--stages", "extract"]).expect_code(3);
    assert!(
        early.stderr.contains("run the stage download first"),
        "{early:?}"
    );
}

#[test]
fn a_dataset_that_grows_keeps_its_pictures_where_they_are() {
    let env = TestEnv::new();
    let folder = env.folder("films");
    let films: Vec<_> = (0..8).map(|n| bars(&folder, n, 1.0)).collect();
    run_list(&env, &films[..5], "set", &["--every", "0.2s"]).expect_code(0);
    let before = files(&env.path("set"));
    run_list(&env, &films, "set", &["--every", "0.2s"]).expect_code(0);
    let after = files(&env.path("set"));
    for (name, digest) in before
        .iter()
        .filter(|(name, _)| name.starts_with("imagefolder") && !name.contains("metadata"))
    {
        assert_eq!(after.get(name), Some(digest), "{name} stays");
    }
    assert!(after.len() > before.len());
}
