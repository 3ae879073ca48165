//! `upscale` with a film beside the result, a plan and a report, into a folder where older ones may stand.

use std::path::Path;

use serde_json::Value;

use super::{
    Ended, Fault, Faults, Files, Findings, How, clip, for_each_fault, names_apart, restore, tree,
};
use crate::env::TestEnv;

const ARGS: [&str; 17] = [
    "upscale",
    "work/in.mp4",
    "-m",
    "nearest-x2",
    "-o",
    "work/out.mp4",
    "--reuse-map",
    "work/map.mp4",
    "--report",
    "work/report.json",
    "--plan-out",
    "work/plan.json",
    "--preset",
    "ultrafast",
    "--overwrite",
    "--progress",
    "none",
];
/// What a run makes.
const MADE: [&str; 4] = ["map.mp4", "out.mp4", "plan.json", "report.json"];

#[test]
fn an_upscale_survives_any_operation_that_fails() {
    all(false);
}

#[test]
fn an_upscale_survives_a_kill_at_any_operation() {
    all(true);
}

fn all(kills: bool) {
    let env = TestEnv::new();
    let work = env.folder("work").canonicalize().unwrap();
    clip(&env, "work/in.mp4", 1);
    std::fs::write(work.join("out.mkv"), b"a neighbour").unwrap();
    let before = tree(&work);
    env.run(&ARGS).expect_code(0);
    let whole = tree(&work);
    let mut with_older = before.clone();
    with_older.extend(MADE.map(|name| (name.to_owned(), format!("older {name}").into_bytes())));
    let faults = Faults::new(&env);
    let count = |call| {
        restore(&work, &before);
        let none = Fault {
            call,
            at: 0,
            how: How::Kill,
        };
        faults.run(&ARGS, &work, none).operations
    };
    for_each_fault(kills, count, |fault, findings| {
        // Every other time something stands there already, which is replaced by the whole result or not at all.
        let start = if fault.at % 2 == 0 {
            &with_older
        } else {
            &before
        };
        restore(&work, start);
        let ended = faults.run(&ARGS, &work, fault);
        let now = tree(&work);
        check(fault, &ended, [start, &now, &whole], findings);
        for (name, content) in &now {
            if is_kept_under_another_name(name, content, &ended, &whole) {
                std::fs::remove_file(work.join(name)).unwrap();
            }
        }
        let next = env.run(&ARGS);
        findings.expect(next.code == Some(0), fault, || {
            format!("the next run: {next:?}")
        });
        check_next(fault, &tree(&work), &whole, findings);
        ended
    });
}

/// After the run under a fault: the files before it, after it, and those of a whole run.
fn check(fault: Fault, ended: &Ended, files: [&Files; 3], findings: &mut Findings) {
    let [start, now, whole] = files;
    for (name, content) in now {
        let is_final = MADE.contains(&name.as_str());
        let is_older = start.get(name) == Some(content);
        // A run that is killed, or may not remove, leaves hidden files.
        let may_leave = fault.how == How::Kill || fault.call == "unlink";
        let is_left_over = name.starts_with('.') && may_leave;
        let is_kept = is_kept_under_another_name(name, content, ended, whole);
        let is_right =
            is_older || is_left_over || is_kept || is_final && is_whole(name, content, whole);
        findings.expect(is_right, fault, || {
            format!("{name} has {} bytes; {ended:?}", content.len())
        });
    }
    for name in start.keys() {
        let is_there = now.contains_key(name);
        findings.expect(is_there, fault, || format!("{name} is gone; {ended:?}"));
    }
    let mut codes = vec![0, 65, 69, 73, 74, 75, 77];
    if fault.call == "thread" {
        // An encoder that cannot start its threads says the same as one that refuses its options.
        codes.push(2);
    }
    let Some(code) = ended.check(fault, &codes, findings) else {
        return;
    };
    if code == 0 {
        for name in MADE {
            let made = now.get(name);
            let is_made = made.is_some_and(|content| is_whole(name, content, whole));
            findings.expect(is_made, fault, || {
                format!("ended with 0 and without {name}: {ended:?}")
            });
        }
    } else {
        let lines = ended.stderr.lines();
        let errors = lines.filter(|line| line.starts_with("error:")).count();
        findings.expect(errors == 1, fault, || format!("one error line: {ended:?}"));
    }
}

/// A result that could not be given its name stays as `NAME.complete.EXT`, whole, and that is said.
fn is_kept_under_another_name(name: &str, content: &[u8], ended: &Ended, whole: &Files) -> bool {
    let wanted = name.replace(".complete.", ".");
    wanted != name && ended.stderr.contains(name) && is_whole(&wanted, content, whole)
}

/// Videos have the very same bytes; documents hold times, and are whole when they can be read.
fn is_whole(name: &str, content: &[u8], whole: &Files) -> bool {
    if Path::new(name)
        .extension()
        .is_none_or(|kind| kind != "json")
    {
        return whole.get(name).is_some_and(|expected| expected == content);
    }
    let document: Value = serde_json::from_slice(content).unwrap_or_default();
    document["version"] == 1
}

/// After the run that follows: as if nothing had happened.
fn check_next(fault: Fault, now: &Files, whole: &Files, findings: &mut Findings) {
    let apart = names_apart(now, whole);
    findings.expect(apart.is_empty(), fault, || {
        format!("after the next run these are too many or missing: {apart:?}")
    });
    for (name, content) in now {
        let same = match whole.get(name) {
            Some(_) if MADE.contains(&name.as_str()) => is_whole(name, content, whole),
            expected => expected == Some(content),
        };
        findings.expect(same, fault, || format!("{name} after the next run"));
    }
}
