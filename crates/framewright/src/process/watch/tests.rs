//! Shells in the role of children that behave well, badly or worse.

use std::cell::Cell;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::thread;

use super::*;
use crate::process::tests::sh;

const LONG: Duration = Duration::from_mins(10);

/// Runs a script within `limits`; a line that begins with `-` shows no progress.
fn watch_within(
    script: &str,
    limits: &Limits<'_>,
    cancelled: impl Fn() -> bool,
) -> (Watched, Vec<String>) {
    let mut lines = Vec::new();
    let args = ["-c", script].map(OsStr::new);
    let on_line = |line: &str| {
        lines.push(line.to_owned());
        !line.starts_with('-')
    };
    let watched = sh().watch(&args, limits, on_line, cancelled).unwrap();
    (watched, lines)
}

fn watch_shell(
    script: &str,
    stall: Duration,
    cancelled: impl Fn() -> bool,
) -> (Watched, Vec<String>) {
    let limits = Limits {
        stall,
        total: LONG,
        lines_bytes: 1 << 20,
        check: &|_| None,
    };
    watch_within(script, &limits, cancelled)
}

#[test]
fn a_watched_child_hands_on_its_lines_and_its_last_words() {
    let script = "echo one; echo two; printf three; echo oh >&2; exit 4";
    let (watched, lines) = watch_shell(script, Duration::from_mins(1), || false);
    assert_eq!(lines, ["one", "two", "three"]);
    assert_eq!((watched.status.code(), watched.fault), (Some(4), None));
    assert_eq!(watched.tail.trim(), "oh");
}

#[test]
fn a_child_that_says_nothing_is_ended_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > '{}'; wait", pid.display());
    let (watched, _) = watch_shell(&script, Duration::from_millis(300), || false);
    assert_eq!(watched.fault, Some(Fault::Stalled));
    let grandchild = fs::read_to_string(&pid).unwrap();
    let state = Path::new("/proc").join(grandchild.trim()).join("stat");
    // Gone, or a zombie until whoever adopted it looks.
    let is_running = || fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z "));
    let asked = Instant::now();
    while is_running() && asked.elapsed() < Duration::from_secs(20) {
        thread::sleep(LOOK_EVERY);
    }
    assert!(!is_running());
}

#[test]
fn a_child_that_keeps_talking_is_not_stuck() {
    let script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done";
    let (watched, lines) = watch_shell(script, Duration::from_secs(5), || false);
    assert_eq!((watched.fault, lines.len()), (None, 6));
}

#[test]
fn a_stopped_child_can_be_cancelled() {
    let (watched, _) = watch_shell("kill -STOP $$", Duration::from_millis(200), || false);
    assert_eq!(watched.fault, Some(Fault::Stalled));
    assert_eq!(watched.status.signal(), Some(9));
}

#[test]
fn a_child_that_drips_lines_without_progress_is_stuck() {
    let script = "while :; do echo -; printf x >&2; sleep 0.02; done";
    let (watched, lines) = watch_shell(script, Duration::from_millis(500), || false);
    assert_eq!(watched.fault, Some(Fault::Stalled));
    assert!(!lines.is_empty());
}

#[test]
fn a_child_that_writes_a_line_without_end_is_stuck() {
    let script = "while :; do printf xxxxxxxx; sleep 0.02; done";
    let (watched, lines) = watch_shell(script, Duration::from_millis(500), || false);
    assert_eq!(watched.fault, Some(Fault::Stalled));
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_child_that_floods_is_ended_and_nothing_of_it_is_kept() {
    let mut longest = 0;
    let mut on_line = |line: &str| {
        longest = longest.max(line.len());
        true
    };
    let limits = Limits {
        stall: LONG,
        total: LONG,
        lines_bytes: 1 << 20,
        check: &|_| None,
    };
    // Lines, one line, and words beside the lines.
    for script in [
        "yes",
        "yes | tr -d '\\n'",
        "yes $(yes 0123456789 | head -1000) >&2",
    ] {
        let args = ["-c", script].map(OsStr::new);
        let watched = sh().watch(&args, &limits, &mut on_line, || false).unwrap();
        assert_eq!(watched.fault, Some(Fault::Flooded), "{script}");
        assert!(watched.tail.len() as u64 <= TAIL_BYTES);
    }
    assert!(longest <= MAX_LINE_BYTES);
}

#[test]
fn a_child_that_closes_its_output_and_goes_on_is_ended() {
    let script = "exec >&- 2>&-; while :; do sleep 0.05; done";
    let (watched, _) = watch_shell(script, LONG, || false);
    assert_eq!(watched.fault, Some(Fault::Detached));
    assert_eq!(watched.status.signal(), Some(9));
}

#[test]
fn what_a_child_leaves_running_with_its_output_keeps_nobody_waiting() {
    let begun = Instant::now();
    let (watched, lines) = watch_shell("echo one; sleep 1000 & echo two", LONG, || false);
    assert_eq!((watched.status.code(), watched.fault), (Some(0), None));
    assert_eq!(lines, ["one", "two"]);
    assert!(begun.elapsed() < LONG);
}

#[test]
fn a_child_has_a_total_time_however_much_it_does() {
    let limits = Limits {
        stall: LONG,
        total: Duration::from_millis(500),
        lines_bytes: 1 << 20,
        check: &|_| None,
    };
    let script = "while :; do echo on; sleep 0.02; done";
    let (watched, _) = watch_within(script, &limits, || false);
    assert_eq!(watched.fault, Some(Fault::Late));
}

#[test]
fn a_child_is_checked_by_its_id_and_ended_for_a_reason() {
    let asked = Cell::new(0);
    let limits = Limits {
        stall: LONG,
        total: LONG,
        lines_bytes: 1 << 20,
        check: &|pid| {
            asked.set(asked.get() + 1);
            let is_there = Path::new("/proc").join(pid.to_string()).exists();
            (is_there && asked.get() == 2).then(|| "it is odd".to_owned())
        },
    };
    let (watched, _) = watch_within(
        "trap '' TERM; while :; do sleep 0.05; done",
        &limits,
        || false,
    );
    assert_eq!(watched.fault, Some(Fault::Broke("it is odd".to_owned())));
    assert_eq!(watched.status.signal(), Some(9));
}

#[test]
#[expect(unsafe_code, reason = "opens what a careless caller would")]
fn a_child_inherits_no_file() {
    let file = tempfile::tempfile().unwrap();
    // SAFETY: only the flag of a descriptor of ours changes.
    let leaked = unsafe { libc::dup(std::os::fd::AsRawFd::as_raw_fd(&file)) };
    assert!(leaked > 2);
    let (_, lines) = watch_shell("ls /proc/$$/fd", LONG, || false);
    assert_eq!(lines, ["0", "1", "2"]);
}

#[test]
fn a_child_gets_only_the_variables_that_it_is_given() {
    let limits = Limits {
        stall: LONG,
        total: LONG,
        lines_bytes: 1 << 20,
        check: &|_| None,
    };
    let tool = Tool {
        inherits: &["PATH", "NO_SUCH_VARIABLE"],
        ..sh()
    };
    let mut lines = Vec::new();
    let on_line = |line: &str| {
        lines.push(line.to_owned());
        true
    };
    let args = ["-c", "/usr/bin/env"].map(OsStr::new);
    tool.watch(&args, &limits, on_line, || false).unwrap();
    // The shell adds its own.
    let foreign = |line: &&String| {
        let name = line.split('=').next().unwrap_or_default();
        !["PATH", "FRAMEWRIGHT_CHILD", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name)
    };
    assert_eq!(lines.iter().filter(foreign).count(), 0, "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("PATH=")));
}

#[test]
fn what_a_child_starts_goes_with_it_also_from_another_session() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let start = format!(
        "for n in 1 2; do setsid sh -c 'echo $$ >> {0}; exec sleep 1000' & done; \
         while [ \"$(wc -l < {0})\" != 2 ]; do sleep 0.01; done",
        pids.display()
    );
    // Its own end, and ours.
    for (rest, fault) in [("", None), ("; sleep 1000", Some(Fault::Stalled))] {
        fs::write(&pids, "").unwrap();
        let (watched, _) = watch_shell(&format!("{start}{rest}"), Duration::from_secs(3), || false);
        assert_eq!(watched.fault, fault);
        for pid in fs::read_to_string(&pids).unwrap().lines() {
            let command = fs::read(Path::new("/proc").join(pid).join("cmdline"));
            // Gone, or a zombie, which has none.
            assert!(command.unwrap_or_default().is_empty(), "{pid} runs");
        }
    }
}
