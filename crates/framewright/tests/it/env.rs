//! Where every test runs: a folder of its own, the program under test, and ffprobe to judge the result.
//!
//! Invariant: a test sees only files it made itself or files of `../shared/assets`, which it never writes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// What one run of a program left behind.
#[derive(Debug)]
pub struct Run {
    /// None when a signal ended the process
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    /// Fails with everything the program said when the exit code is another one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code; the run was {self:#?}");
        self
    }

    /// True, and said so, when the run wanted ONNX Runtime, which is not set up for the tests.
    pub fn lacks_onnx_runtime(&self) -> bool {
        let lacks = self.code == Some(69) && std::env::var_os("FRAMEWRIGHT_ORT").is_none();
        if lacks {
            println!("skipped: ONNX Runtime is not here: {}", self.stderr.trim());
        }
        lacks
    }

    pub fn error_lines(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter(|line| line.starts_with("error:"))
            .collect()
    }
}

/// A fresh folder that goes away with the value.
pub struct TestEnv {
    dir: tempfile::TempDir,
}

impl TestEnv {
    pub fn new() -> Self {
        Self {
            dir: tempfile::Builder::new()
                .prefix("framewright-it-")
                .tempdir()
                .unwrap(),
        }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes the folder `name` and returns its path.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The program, started in this folder, quiet about progress unless the test asks for it.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_framewright")), args)
    }

    /// As `command`, for a copy of the program at another place.
    pub fn command_of<S: AsRef<OsStr>>(&self, program: &Path, args: &[S]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.root())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let is_ours = name.to_string_lossy().starts_with("FRAMEWRIGHT_");
            if is_ours && name != "FRAMEWRIGHT_ORT" {
                command.env_remove(name);
            }
        }
        command.env("NO_COLOR", "1");
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        self.command(args).output().unwrap().into()
    }

    /// As `command`, on a machine without ONNX Runtime: no variable, no home and no Python leads to one.
    pub fn command_without_onnx_runtime<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.command(args);
        for name in [
            "FRAMEWRIGHT_ORT",
            "XDG_DATA_HOME",
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
        ] {
            command.env_remove(name);
        }
        command.env("HOME", self.folder("home")).env("PATH", "");
        command
    }

    /// `upscale input -o output` with the network-free model, then `more`.
    pub fn upscale(&self, input: &Path, output: &Path, more: &[&str]) -> Run {
        self.command(&upscale_args(input, output))
            .args(more)
            .output()
            .unwrap()
            .into()
    }

    /// Starts the program with its output collected, for tests that send signals.
    pub fn spawn<S: AsRef<OsStr>>(&self, args: &[S]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// The arguments every fast run shares: no network, the cheapest real encoder is left to the caller.
pub fn upscale_args(input: &Path, output: &Path) -> Vec<String> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let fixed = ["-m", "nearest-x2", "--progress", "none"].map(str::to_owned);
    let mut args = vec![
        "upscale".to_owned(),
        text(input),
        "-o".to_owned(),
        text(output),
    ];
    args.extend(fixed);
    args
}

/// As [`upscale_args`], with progress shown as `how` says.
pub fn upscale_args_with_progress(input: &Path, output: &Path, how: &str) -> Vec<String> {
    let mut args = upscale_args(input, output);
    let at = args.iter().position(|arg| arg == "none").unwrap();
    how.clone_into(&mut args[at]);
    args
}

/// Names in a folder, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{e}: {}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {}", path.display()))
}

pub fn repo_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// `../shared/assets` beside the repository; says so when it is not there.
pub fn assets() -> Option<PathBuf> {
    let folder = repo_root().join("../shared/assets");
    if folder.is_dir() {
        return folder.canonicalize().ok();
    }
    println!("skipped: ../shared/assets is not here");
    None
}

/// One file of `../shared/assets`.
pub fn asset(name: &str) -> Option<PathBuf> {
    assets().map(|folder| folder.join(name))
}

/// A model made for tests, from the inference crate.
pub fn fixture(name: &str) -> String {
    let path = repo_root().join("crates/infer/tests/fixtures").join(name);
    assert!(path.is_file(), "{}", path.display());
    path.to_str().unwrap().to_owned()
}

/// ffprobe's answer as JSON; the path goes last.
pub fn ffprobe(path: &Path, args: &[&str]) -> Value {
    let mut command = Command::new("ffprobe");
    command
        .args(["-v", "quiet", "-of", "json"])
        .args(args)
        .arg(path);
    let output = command.output().expect("ffprobe is installed");
    serde_json::from_slice(&output.stdout).expect("ffprobe writes JSON")
}

/// Runs ffmpeg in `folder`; the arguments are split at blanks, so no path may hold one.
#[track_caller]
pub fn ffmpeg(folder: &Path, args: &str) {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args.split_whitespace())
        .current_dir(folder);
    let output = command.output().expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg {args}: {said}");
}

/// Number of frames that decode, in the first video stream, and whether the decoder complained.
pub fn decodable_frames(path: &Path) -> (u64, String) {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-count_frames"]);
    command
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(path);
    let output = command.output().expect("ffprobe is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let count = text.trim().trim_end_matches(',').parse().unwrap_or(0);
    (count, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// True when this process may do anything to any file, so that permission bits stop nothing.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
