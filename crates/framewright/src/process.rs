//! The one home of child processes.
//!
//! Invariant: a child reads nothing from our standard input, prints nothing on our
//! terminal, is waited for, and does not outlive its call; one that is watched does not
//! outlive us either, nor do the children it starts. Of our environment it gets what
//! its [`Tool`] names, and nothing that lies in the current folder is taken for a program.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

mod descendants;
mod watch;

pub use watch::{Fault, Limits, Watched};

use crate::exit::{Exit, OrExit as _, fail};

/// How often a running child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a child may take to end after SIGINT.
const GRACE: Duration = Duration::from_secs(3);
/// What is kept of its standard error, from the end.
const TAIL_BYTES: u64 = 16 * 1024;

/// Variables of our environment that programs need: where others and libraries are, the language, the time zone and the
/// place for temporary files.
pub const KEPT: [&str; 8] = [
    "PATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TZ",
    "TMPDIR",
];

/// Steps of a child before it becomes the program: system calls only, since it was forked from one of
/// several threads.
pub type BeforeExec = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// A program to run.
#[derive(Clone)]
pub struct Tool<'a> {
    /// Its path, or its name, looked for in the absolute folders of `PATH`.
    pub program: &'a OsStr,
    /// What to do when it is not there, such as which package has it.
    pub missing: &'a str,
    /// Variables of our environment that it gets: [`KEPT`], for most.
    pub inherits: &'a [&'a str],
    /// Set for it beside these, of which it may replace some.
    pub env: &'a [(&'a str, &'a OsStr)],
    /// The folder it works in; `None` for ours.
    pub folder: Option<&'a Path>,
    /// A fence of a watched child.
    pub before_exec: Option<BeforeExec>,
}

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// The end of what it wrote to standard output and standard error.
    pub tail: String,
}

impl Tool<'_> {
    /// Runs it to its end. It is asked to end (SIGINT, so that it can tidy up) as soon as
    /// `cancelled` says so, and killed if it does not.
    ///
    /// # Errors
    /// The program is missing ([`Exit::Unavailable`]) or cannot be started. A child that
    /// fails is no error here: the caller knows what it means.
    pub fn run(&self, args: &[&OsStr], cancelled: impl Fn() -> bool) -> anyhow::Result<Ended> {
        // A file, not a pipe: nobody has to read it for the child to go on.
        let mut log = tempfile::tempfile().context("cannot create a temporary file")?;
        let mut child = self.spawn(args, &log)?;
        let status = wait(&mut child, cancelled)
            .with_context(|| format!("cannot wait for {}", self.program.display()))?;
        let tail = read_tail(&mut log).unwrap_or_default();
        Ok(Ended { status, tail })
    }

    fn spawn(&self, args: &[&OsStr], log: &File) -> anyhow::Result<Child> {
        let spawned = self
            .command(args)?
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .spawn();
        spawned.map_err(|error| self.cannot_start(error))
    }

    /// The program with its arguments, its environment and its folder.
    #[expect(clippy::disallowed_methods, reason = "this is their one home")]
    fn command(&self, args: &[&OsStr]) -> anyhow::Result<Command> {
        let program = find_program(self.program)
            .ok_or_else(|| self.cannot_start(io::ErrorKind::NotFound.into()))?;
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .envs(
                self.inherits
                    .iter()
                    .filter_map(|&name| Some((name, kept(name)?))),
            )
            .envs(self.env.iter().copied())
            .stdin(Stdio::null());
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        Ok(command)
    }

    fn cannot_start(&self, error: io::Error) -> anyhow::Error {
        let program = self.program.display();
        if error.kind() == io::ErrorKind::NotFound {
            let message = format!("{program} is not installed; {}", self.missing);
            return fail(Exit::Unavailable, message);
        }
        // The cause stays in the chain: no process or memory just now is another matter than no program.
        let message = format!("{error}, cannot start {program}");
        let failed = Err::<(), _>(error).context(message);
        failed
            .or_exit(Exit::Unavailable)
            .expect_err("it was an error")
    }
}

/// A variable of our environment, as children get it.
fn kept(name: &str) -> Option<OsString> {
    let value = env::var_os(name)?;
    if name != "PATH" {
        return Some(value);
    }
    env::join_paths(absolute_folders(&value)).ok()
}

/// The folders of a `PATH` that do not depend on where we are: an empty one stands for the current folder, in which lies
/// what somebody else has put there.
fn absolute_folders(path: &OsStr) -> Vec<PathBuf> {
    let folders = env::split_paths(path);
    folders.filter(|folder| folder.is_absolute()).collect()
}

/// The path of a program that is installed; a path stays as it is.
pub fn find_program(name: &OsStr) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(name.into());
    }
    let is_program = |path: &PathBuf| {
        let about = path.metadata();
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let folders = absolute_folders(&env::var_os("PATH")?).into_iter();
    folders.map(|folder| folder.join(name)).find(is_program)
}

fn wait(child: &mut Child, cancelled: impl Fn() -> bool) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if cancelled() {
            return end(child);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn end(child: &mut Child) -> io::Result<ExitStatus> {
    let _ = kill_process(Pid::from_child(child), Signal::INT);
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(LOOK_EVERY);
    }
    child.kill()?;
    child.wait()
}

fn read_tail(log: &mut File) -> io::Result<String> {
    let size_bytes = log.metadata()?.len();
    log.seek(SeekFrom::Start(size_bytes.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    log.read_to_end(&mut tail)?;
    Ok(String::from_utf8_lossy(&tail).into_owned())
}

impl Tool<'_> {
    #[expect(unsafe_code, reason = "asks the kernel to end the child with us")]
    fn spawn_group(&self, args: &[&OsStr], mark: &str) -> anyhow::Result<Child> {
        let mut command = self.command(args)?;
        command
            .env(descendants::MARK, mark)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let parent = rustix::process::getpid();
        let before_exec = self.before_exec.clone();
        // SAFETY: between fork and exec only system calls are made, also by `before_exec`. The signal comes when the thread that called us
        // ends, and that thread waits here for the child.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                // We may have ended before the request.
                if rustix::process::getppid() != Some(parent) {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                // Whatever we were started with stays ours. Kernels before 5.11 cannot do it, nor do they have
                // Landlock, of which the user is told; so its failure says nothing new.
                libc::syscall(
                    libc::SYS_close_range,
                    3,
                    libc::c_uint::MAX,
                    libc::CLOSE_RANGE_CLOEXEC,
                );
                before_exec.as_ref().map_or(Ok(()), |fence| fence())
            });
        }
        command.spawn().map_err(|error| self.cannot_start(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    pub(super) fn sh() -> Tool<'static> {
        Tool {
            program: OsStr::new("sh"),
            missing: "",
            inherits: &KEPT,
            env: &[],
            folder: None,
            before_exec: None,
        }
    }

    fn shell(script: &str, cancelled: impl Fn() -> bool) -> Ended {
        let args = ["-c", script].map(OsStr::new);
        sh().run(&args, cancelled).unwrap()
    }

    /// A shell that prepares itself, says so, and is then cancelled.
    fn shell_until_ready(prepare: &str) -> Ended {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let touch = format!("touch '{}'", ready.display());
        let script = format!("{prepare}; {touch}; while :; do sleep 0.01; done");
        shell(&script, || ready.exists())
    }

    #[test]
    fn a_missing_program_says_what_to_do() {
        let tool = Tool {
            program: OsStr::new("no-such-program"),
            missing: "install it with apt-get install no-such-package",
            ..sh()
        };
        let error = tool.run(&[], || false).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Unavailable);
        assert_eq!(
            error.to_string(),
            "no-such-program is not installed; install it with apt-get install no-such-package"
        );
    }

    #[test]
    fn the_end_of_a_long_output_is_kept_and_blocks_nobody() {
        let ended = shell(
            "yes noise | head -c 3000000; echo last words >&2; exit 7",
            || false,
        );
        assert_eq!(ended.status.code(), Some(7));
        assert_eq!(ended.tail.len() as u64, TAIL_BYTES);
        assert!(ended.tail.ends_with("noise\nlast words\n"));
    }

    #[test]
    fn a_cancelled_child_may_tidy_up() {
        let ended = shell_until_ready("trap 'echo tidy; exit 5' INT");
        assert_eq!((ended.status.code(), ended.tail.trim()), (Some(5), "tidy"));
    }

    #[test]
    fn a_cancelled_child_that_does_not_listen_is_killed() {
        let ended = shell_until_ready("trap '' INT");
        assert_eq!(ended.status.signal(), Some(9));
    }

    #[test]
    fn a_child_gets_the_environment_that_is_named_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let tool = Tool {
            env: &[
                ("FRAMEWRIGHT_TEST_WORD", OsStr::new("hello")),
                ("TZ", OsStr::new("X")),
            ],
            folder: Some(folder.path()),
            ..sh()
        };
        let args = ["-c", "pwd; env"].map(OsStr::new);
        let ended = tool.run(&args, || false).unwrap();
        let mut lines = ended.tail.lines();
        let at = Path::new(lines.next().unwrap());
        assert_eq!(
            at.canonicalize().unwrap(),
            folder.path().canonicalize().unwrap()
        );
        let mut names = Vec::new();
        for line in lines {
            let (name, value) = line.split_once('=').unwrap();
            assert!(name != "TZ" || value == "X");
            names.push(name);
        }
        assert!(names.contains(&"FRAMEWRIGHT_TEST_WORD") && names.contains(&"PATH"));
        // What the shell sets by itself.
        let known = |name: &&str| {
            ["FRAMEWRIGHT_TEST_WORD", "PWD", "OLDPWD", "SHLVL", "_"].contains(name)
                || KEPT.contains(name)
        };
        assert!(names.iter().all(known), "{names:?}");
    }

    #[test]
    fn programs_are_looked_for_in_absolute_folders_only() {
        let path = ["", ".", "bin", "/usr/bin", "../x", "/bin"].map(Path::new);
        let path = env::join_paths(path).unwrap();
        assert_eq!(absolute_folders(&path), ["/usr/bin", "/bin"].map(Path::new));
        assert!(find_program(OsStr::new("sh")).unwrap().is_absolute());
        assert_eq!(find_program(OsStr::new("no-such-program")), None);
        assert_eq!(find_program(OsStr::new("/a/b")), Some("/a/b".into()));
    }
}
