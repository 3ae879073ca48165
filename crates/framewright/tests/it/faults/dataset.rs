//! `dataset run` on two films, into a new folder or into that of a finished dataset of the first.

use std::collections::BTreeSet;
use std::fs;

use super::{
    Ended, Fault, Faults, Files, Findings, How, clip, differences, for_each_fault, names_apart,
    restore, tree,
};
use crate::env::TestEnv;

const ARGS: [&str; 14] = [
    "dataset",
    "run",
    "--inputs",
    "work/films.txt",
    "-o",
    "work/set",
    "--every",
    "0.3s",
    "--format",
    "imagefolder,webdataset,coco",
    "--workers",
    "1",
    "--progress",
    "none",
];

#[test]
fn a_dataset_survives_any_operation_that_fails() {
    all(false);
}

#[test]
fn a_dataset_survives_a_kill_at_any_operation() {
    all(true);
}

fn all(kills: bool) {
    let env = TestEnv::new();
    let work = env.folder("work").canonicalize().unwrap();
    clip(&env, "work/a.mp4", 1);
    clip(&env, "work/b.mp4", 2);
    fs::write(work.join("neighbour.jpg"), b"precious").unwrap();
    let list = |lines: &str| fs::write(work.join("films.txt"), lines).unwrap();
    list("a.mp4\n");
    env.run(&ARGS).expect_code(0);
    list("a.mp4\nb.mp4\n");
    let finished = tree(&work);
    fs::remove_dir_all(work.join("set")).unwrap();
    let empty = tree(&work);
    env.run(&ARGS).expect_code(0);
    let whole = tree(&work);
    let faults = Faults::new(&env);
    let count = |call| {
        restore(&work, &empty);
        let none = Fault {
            call,
            at: 0,
            how: How::Kill,
        };
        faults.run(&ARGS, &work, none).operations
    };
    for_each_fault(kills, count, |fault, findings| {
        let start = if fault.at % 2 == 0 { &finished } else { &empty };
        restore(&work, start);
        let ended = faults.run(&ARGS, &work, fault);
        check(fault, &ended, [start, &tree(&work), &whole], findings);
        let next = env.run(&ARGS);
        findings.expect(next.code == Some(0), fault, || {
            format!("the next run: {next:?}")
        });
        let now = tree(&work);
        let apart = names_apart(&now, &whole);
        findings.expect(apart.is_empty(), fault, || {
            format!("after the next run these are too many or missing: {apart:?}")
        });
        let differing = differences(&now, &whole, is_result);
        findings.expect(differing.is_empty(), fault, || {
            format!("after the next run these differ: {differing:?}")
        });
        ended
    });
}

/// After the run under a fault: every format is the older or the new one as a whole, or is not there yet. The files are
/// those before it, after it, and of a whole run.
fn check(fault: Fault, ended: &Ended, files: [&Files; 3], findings: &mut Findings) {
    let [start, now, whole] = files;
    let of = |files: &Files, place: &str| -> Files {
        let its = files.iter().filter(|(name, _)| place_of(name) == place);
        its.map(|(name, content)| (name.clone(), content.clone()))
            .collect()
    };
    let names = now.keys().chain(start.keys());
    let places: BTreeSet<&str> = names.map(|name| place_of(name)).collect();
    for place in places {
        let name = place.strip_prefix("set/").unwrap_or(place);
        if name == "state" || name == "report.html" || name.starts_with('.') {
            continue;
        }
        let its = of(now, place);
        let is_right = its == of(start, place) || its == of(whole, place);
        findings.expect(is_right, fault, || {
            format!(
                "{place} is neither the older nor the new one: {:?}; {ended:?}",
                its.keys()
            )
        });
    }
    let page = now.get("set/report.html");
    let is_whole = page.is_none_or(|page| page.trim_ascii_end().ends_with(b"</html>"));
    findings.expect(is_whole, fault, || format!("half a page; {ended:?}"));
    let code = ended.check(fault, &[0, 3, 69, 73, 74, 75, 77], findings);
    // What could not be removed is left to the next run.
    let is_there_for_good = |name: &str| is_result(name) && !name.starts_with("set/.");
    let differing = differences(now, whole, is_there_for_good);
    findings.expect(code != Some(0) || differing.is_empty(), fault, || {
        format!("ended with 0, and these differ: {differing:?}; {ended:?}")
    });
}

/// The file or folder in the dataset's folder, or beside it, that a file belongs to.
fn place_of(name: &str) -> &str {
    let Some(inside) = name.strip_prefix("set/") else {
        return name;
    };
    let end = inside.find('/').map_or(name.len(), |at| "set/".len() + at);
    &name[..end]
}

/// Files whose bytes depend on the inputs alone; not what a run keeps for itself, nor the page with its timings.
fn is_result(name: &str) -> bool {
    !name.starts_with("set/state/") && name != "set/report.html"
}
