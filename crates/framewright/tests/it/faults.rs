//! The n-th operation of a run fails, or the process is killed there: nothing partial stands under a final name, nothing
//! else has changed, and the next run makes what an undisturbed one makes and leaves nothing over.
//!
//! `faults/faults.c` is compiled here and preloaded; it counts the operations on files below one folder. So every
//! operation that goes through libc is seen, FFmpeg's and `SQLite`'s too, whatever they are called for; what libc does for
//! itself, such as mapping memory for `malloc`, is not. A run is counted
//! first; then, for every kind of operation, some of them are made to fail, the first and the last among them. With
//! `FRAMEWRIGHT_TEST_FAULTS=dense` it is each of the first 60, and 60 of those behind.

mod dataset;
mod upscale;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::env::{TestEnv, repo_root};

/// The kinds of operations, and the error each of them fails with.
const CALLS: [(&str, i32); 10] = [
    ("write", libc_errno::ENOSPC),
    ("fsync", libc_errno::EIO),
    ("rename", libc_errno::EIO),
    ("open", libc_errno::EMFILE),
    ("mmap", libc_errno::ENOMEM),
    ("link", libc_errno::EMLINK),
    ("unlink", libc_errno::EIO),
    ("mkdir", libc_errno::ENOSPC),
    ("truncate", libc_errno::ENOSPC),
    ("thread", libc_errno::EAGAIN),
];

/// Longer than any run here on a busy machine.
const HANGS_AFTER: Duration = Duration::from_mins(2);

/// Numbers of Linux.
mod libc_errno {
    pub const EIO: i32 = 5;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EMFILE: i32 = 24;
    pub const ENOSPC: i32 = 28;
    pub const EMLINK: i32 = 31;
}

/// What happens at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Error(i32),
    Kill,
}

/// The n-th operation of a kind, counted from 1; 0 is none.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    at: u64,
    how: How,
}

/// How a run under a fault ended.
#[derive(Debug)]
struct Ended {
    /// none when a signal ended it
    code: Option<i32>,
    signal: Option<i32>,
    stderr: String,
    /// operations counted until the end
    operations: u64,
}

impl Ended {
    /// No panic, no signal but the one asked for, and a code that says why. Gives the code.
    fn check(&self, fault: Fault, allowed: &[i32], findings: &mut Findings) -> Option<i32> {
        let panicked = self.stderr.contains("panicked");
        findings.expect(!panicked, fault, || self.stderr.clone());
        let was_asked_for = fault.how == How::Kill && self.signal == Some(9);
        findings.expect(self.code.is_some() || was_asked_for, fault, || {
            format!("{self:?}")
        });
        let code = self.code?;
        findings.expect(allowed.contains(&code), fault, || format!("{self:?}"));
        Some(code)
    }
}

/// The preloaded library.
struct Faults<'a> {
    env: &'a TestEnv,
    library: PathBuf,
}

impl<'a> Faults<'a> {
    fn new(env: &'a TestEnv) -> Self {
        let library = env.path("faults.so");
        let source = repo_root().join("crates/framewright/tests/it/faults/faults.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
        let compiled = compiler.arg(&library).arg(source).status();
        assert!(compiled.expect("a C compiler is installed").success());
        Self { env, library }
    }

    /// Runs the program until it ends or is killed by the fault; operations below `under` count.
    fn run(&self, args: &[&str], under: &Path, fault: Fault) -> Ended {
        let (seen, said) = (self.env.path("seen"), self.env.path("said"));
        let _ = fs::remove_file(&seen);
        let how = match fault.how {
            How::Error(number) => number.to_string(),
            How::Kill => "kill".into(),
        };
        let mut command = self.env.command(args);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAULTS_UNDER", under)
            .env("FAULTS_CALL", fault.call)
            .env("FAULTS_AT", fault.at.to_string())
            .env("FAULTS_DO", how)
            .env("FAULTS_SEEN", &seen)
            .stderr(File::create(&said).unwrap());
        let (mut child, begun) = (command.spawn().unwrap(), Instant::now());
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > HANGS_AFTER {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{fault:?}: the run hangs");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let stderr = String::from_utf8_lossy(&fs::read(&said).unwrap()).into_owned();
        let operations = fs::read_to_string(&seen).unwrap_or_default();
        Ended {
            code: status.code(),
            signal: status.signal(),
            stderr,
            operations: operations.trim().parse().unwrap_or(0),
        }
    }
}

/// What did not hold, so that one run of a test shows all of it.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn expect(&mut self, holds: bool, fault: Fault, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(format!("{fault:?}: {}", what()));
        }
    }
}

/// Calls `each` with every fault that is tried, prints how the runs ended, and fails when anything was found. `count`
/// tells the operations of an undisturbed run.
fn for_each_fault(
    kills: bool,
    mut count: impl FnMut(&'static str) -> u64,
    mut each: impl FnMut(Fault, &mut Findings) -> Ended,
) {
    let mut findings = Findings::default();
    println!(
        "{:9} {:>10} {:>5}  ended with",
        "call", "operations", "tried"
    );
    for (call, number) in CALLS {
        let how = if kills { How::Kill } else { How::Error(number) };
        let operations = count(call);
        let mut codes: BTreeMap<String, usize> = BTreeMap::new();
        let moments = moments(operations);
        for &at in &moments {
            let ended = each(Fault { call, at, how }, &mut findings);
            let code = match ended.code {
                // Threads take turns, so two runs may differ by an operation or two.
                _ if ended.operations < at => "not reached".into(),
                Some(code) => code.to_string(),
                None => "killed".into(),
            };
            *codes.entry(code).or_default() += 1;
        }
        let codes: Vec<String> = codes
            .iter()
            .map(|(code, n)| format!("{code}: {n}"))
            .collect();
        let (tried, codes) = (moments.len(), codes.join(", "));
        println!("{call:9} {operations:>10} {tried:>5}  {codes}");
    }
    let Findings(found) = findings;
    assert!(
        found.is_empty(),
        "{} findings:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Which of so many operations are tried: all, or some spread evenly from the first to the last.
fn moments(operations: u64) -> Vec<u64> {
    let is_dense = std::env::var("FRAMEWRIGHT_TEST_FAULTS").is_ok_and(|word| word == "dense");
    let (all_of, spread) = if is_dense { (60, 60) } else { (1, 3) };
    let first = operations.min(all_of);
    let rest = operations - first;
    let mut moments: Vec<u64> = (1..=first).collect();
    let steps = spread.min(rest);
    moments.extend((1..=steps).map(|step| first + rest * step / steps));
    moments
}

type Files = BTreeMap<String, Vec<u8>>;

/// Names of the files that two trees do not have in common, or that differ; only those that `counts`.
fn differences(one: &Files, other: &Files, counts: impl Fn(&str) -> bool) -> Vec<String> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differs = |name: &&&String| counts(name) && one.get(**name) != other.get(**name);
    names
        .iter()
        .filter(differs)
        .map(ToString::to_string)
        .collect()
}

/// Names that only one of two trees has.
fn names_apart(one: &Files, other: &Files) -> Vec<String> {
    differences(one, other, |name| {
        one.contains_key(name) != other.contains_key(name)
    })
}

/// Content of every file below a folder, by its path.
fn tree(root: &Path) -> Files {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display().to_string();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

/// Makes `root` hold these files and no others.
fn restore(root: &Path, files: &Files) {
    let _ = fs::remove_dir_all(root);
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A clip of 10 frames with sound.
fn clip(env: &TestEnv, name: &str, seed: u32) {
    crate::env::ffmpeg(
        env.root(),
        &format!(
            "-f lavfi -i gradients=s=64x64:r=10:d=1:n=4:seed={seed}:speed=0.1 -f lavfi -i sine=d=1 -c:v libx264 \
             -preset ultrafast -pix_fmt yuv420p -c:a aac -threads 1 -bitexact {name}"
        ),
    );
}
