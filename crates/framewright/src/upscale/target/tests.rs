//! What becomes of the final name, of what has it, of what others left, and of names that lead elsewhere.

use std::io::Write as _;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    names
}

fn claim(path: &Path, overwrite: bool) -> anyhow::Result<Target> {
    Target::claim(path, overwrite, &Others::default())
}

fn write(target: &Target, content: &[u8]) {
    target.file().unwrap().write_all(content).unwrap();
    target.sync().unwrap();
}

fn exit_of<T>(result: anyhow::Result<T>) -> Exit {
    Exit::of(&result.err().expect("must be refused"))
}

#[test]
fn the_final_name_appears_only_when_published() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mkv");
    let target = claim(&path, false).unwrap();
    write(&target, b"film");
    let before = names(folder.path());
    assert_eq!(before.len(), 2, "{before:?}");
    assert!(before.iter().all(|name| name.as_encoded_bytes()[0] == b'.'));
    target.publish().unwrap();
    assert_eq!(names(folder.path()), ["out.mkv"]);
    assert_eq!(fs::read(&path).unwrap(), b"film");
}

#[test]
fn a_run_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(claim(&folder.path().join("out.mkv"), false).unwrap());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_run_that_ends_at_once_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = claim(&folder.path().join("out.mkv"), false).unwrap();
    target.clean_up()();
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_an_interrupted_run_has_done_gets_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let target = claim(&folder.path().join("out.mkv"), false).unwrap();
    assert!(
        target
            .publish_partial()
            .unwrap()
            .ends_with("out.partial.mkv")
    );
    assert_eq!(names(folder.path()), ["out.partial.mkv"]);
}

#[test]
fn a_partial_file_is_replaced_only_when_outputs_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("out.partial.mkv"), b"old").unwrap();
    for (overwrite, name) in [(false, "out.partial-2.mkv"), (true, "out.partial.mkv")] {
        let target = claim(&at("out.mkv"), overwrite).unwrap();
        write(&target, b"new");
        assert_eq!(target.publish_partial().unwrap(), at(name));
        assert_eq!(fs::read(at(name)).unwrap(), b"new");
    }
    assert_eq!(
        names(folder.path()),
        ["out.partial-2.mkv", "out.partial.mkv"]
    );
}

#[test]
fn a_part_of_a_film_with_the_longest_name_has_a_name_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}.mkv", "é".repeat(125));
    let target = claim(&folder.path().join(long), false).unwrap();
    let part = target.publish_partial().unwrap();
    assert!(part.to_str().unwrap().ends_with("é.partial.mkv"));
    assert_eq!(names(folder.path()).len(), 1);
}

#[test]
fn a_partial_name_that_is_the_input_a_link_or_a_pipe_stays_also_with_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("input"), b"input").unwrap();
    fs::hard_link(at("input"), at("out.partial.mkv")).unwrap();
    symlink("input", at("out.partial-2.mkv")).unwrap();
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, at("out.partial-3.mkv"), FileType::Fifo, mode, 0).unwrap();
    let others = Others::new([("the input", at("input").as_path())]);
    let target = Target::claim(&at("out.mkv"), true, &others).unwrap();
    assert_eq!(target.publish_partial().unwrap(), at("out.partial-4.mkv"));
    assert_eq!(fs::read(at("out.partial.mkv")).unwrap(), b"input");
    assert_eq!(fs::read(at("out.partial-2.mkv")).unwrap(), b"input");
}

#[test]
fn no_output_replaces_another_file_of_its_run_by_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("input"), b"input").unwrap();
    fs::hard_link(at("input"), at("hard.mkv")).unwrap();
    symlink("input", at("soft.mkv")).unwrap();
    symlink(".", at("here")).unwrap();
    let others = Others::new([
        ("the input", at("input").as_path()),
        ("--report", at("report.mkv").as_path()),
    ]);
    for name in ["hard.mkv", "soft.mkv", "here/input", "here/report.mkv"] {
        let claimed = Target::claim(&at(name), true, &others);
        assert_eq!(exit_of(claimed), Exit::Usage, "{name}");
    }
    assert_eq!(fs::read(at("input")).unwrap(), b"input");
}

#[test]
fn an_input_that_was_put_in_the_outputs_place_is_not_replaced_and_the_work_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("input"), b"input").unwrap();
    let others = Others::new([("the input", at("input").as_path())]);
    let target = Target::claim(&at("out.mkv"), true, &others).unwrap();
    write(&target, b"film");
    fs::rename(at("input"), at("out.mkv")).unwrap();
    assert_eq!(exit_of(target.publish()), Exit::CannotCreate);
    assert_eq!(fs::read(at("out.mkv")).unwrap(), b"input");
    assert_eq!(fs::read(at("out.complete.mkv")).unwrap(), b"film");
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn two_runs_on_one_output_exclude_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mkv");
    let first = claim(&path, false).unwrap();
    assert_eq!(exit_of(claim(&path, true)), Exit::CannotCreate);
    drop(first);
    claim(&path, false).unwrap();
}

#[test]
fn a_file_that_only_looks_like_a_leftover_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("precious"), b"film").unwrap();
    symlink("precious", at(".out.mkv.partial")).unwrap();
    let target = claim(&at("out.mkv"), false).unwrap();
    write(&target, b"new");
    target.publish().unwrap();
    assert_eq!(fs::read(at("precious")).unwrap(), b"film");
    assert_eq!(
        names(folder.path()),
        [".out.mkv.partial", "out.mkv", "precious"]
    );
}

#[test]
fn an_existing_output_stays_as_it_is_unless_it_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mkv");
    fs::write(&path, b"old").unwrap();
    assert_eq!(exit_of(claim(&path, false)), Exit::CannotCreate);
    assert_eq!(names(folder.path()), ["out.mkv"]);
    let target = claim(&path, true).unwrap();
    write(&target, b"new");
    target.publish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn a_name_taken_meanwhile_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mkv");
    let target = claim(&path, false).unwrap();
    fs::write(&path, b"somebody else's").unwrap();
    assert!(target.publish().is_err());
    assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
    assert_eq!(names(folder.path()), ["out.mkv"]);
}

#[test]
fn what_cannot_be_renamed_safely_is_kept_under_another_name_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("out.complete.mkv"), b"old").unwrap();
    let mut target = claim(&at("out.mkv"), false).unwrap();
    write(&target, b"film");
    let error = target.cannot_name(&io::ErrorKind::Unsupported.into());
    drop(target);
    assert!(error.to_string().contains("out.complete-2.mkv"), "{error}");
    assert_eq!(fs::read(at("out.complete-2.mkv")).unwrap(), b"film");
    assert_eq!(
        names(folder.path()),
        ["out.complete-2.mkv", "out.complete.mkv"]
    );
}

#[test]
fn a_file_put_in_the_hidden_ones_place_is_neither_published_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    let target = claim(&folder.path().join("out.mkv"), true).unwrap();
    let hidden = target.hidden.entry().path();
    fs::remove_file(&hidden).unwrap();
    fs::write(&hidden, b"another's").unwrap();
    assert!(target.look_out().look().is_err());
    assert_eq!(exit_of(target.publish()), Exit::Io);
    assert_eq!(fs::read(&hidden).unwrap(), b"another's");
    assert_eq!(names(folder.path()), [hidden.file_name().unwrap()]);
}

#[test]
fn a_folder_moved_away_ends_the_run_and_nothing_is_left_in_it() {
    let root = tempfile::tempdir().unwrap();
    let (before, after) = (root.path().join("before"), root.path().join("after"));
    fs::create_dir(&before).unwrap();
    let target = claim(&before.join("out.mkv"), true).unwrap();
    let mut lookout = target.look_out();
    lookout.look_sometimes().unwrap();
    fs::rename(&before, &after).unwrap();
    assert!(lookout.look().is_err());
    assert_eq!(exit_of(target.publish()), Exit::Io);
    assert!(names(&after).is_empty());
}

#[test]
fn a_missing_folder_and_a_folder_as_output_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        exit_of(claim(&folder.path().join("none/out.mkv"), false)),
        Exit::CannotCreate
    );
    assert_eq!(exit_of(claim(folder.path(), true)), Exit::CannotCreate);
}

#[test]
fn a_pipe_a_device_and_an_open_file_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.mkv");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let others = ["/dev/null", "/dev/full", "/dev/stdout", "/proc/self/fd/1"];
    for path in others.map(Path::new).into_iter().chain([pipe.as_path()]) {
        assert_eq!(exit_of(claim(path, true)), Exit::CannotCreate);
    }
    assert_eq!(names(folder.path()), ["pipe.mkv"]);
}
