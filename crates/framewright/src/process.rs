//! The one home of child processes.
//!
//! Invariant: a child reads nothing from our standard input, prints nothing on our
//! terminal, is waited for, and does not outlive its call; one that is watched does not
//! outlive us either, nor do the children it starts. Of our environment it gets what
//! [`KEPT`] names, and nothing that lies in the current folder is taken for a program.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::exit::{Exit, OrExit as _, fail};

/// How often a running child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a child may take to end after SIGINT.
const GRACE: Duration = Duration::from_secs(3);
/// What is kept of its standard error, from the end.
const TAIL_BYTES: u64 = 16 * 1024;

/// Variables that every child gets from our environment: where programs and libraries are, the language, the time zone
/// and the place for temporary files. What else a child needs, its caller names.
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
    /// Its environment beside [`KEPT`], of which it may replace some.
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
            .envs(KEPT.iter().filter_map(|&name| Some((name, kept(name)?))))
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

/// How a watched child ended.
#[derive(Debug)]
pub struct Watched {
    /// Its exit status.
    pub status: ExitStatus,
    /// The end of what it wrote to standard error.
    pub tail: String,
    /// It wrote nothing for too long, and was ended.
    pub stalled: bool,
}

/// How often a watched child is looked at when it says nothing.
const WATCH_EVERY: Duration = Duration::from_millis(50);
/// A longer time between two looks means that we were stopped or asleep ourselves.
const MOST_IDLE_PER_LOOK: Duration = Duration::from_secs(1);
/// How long a watched child may take to end after SIGTERM.
const WATCH_GRACE: Duration = Duration::from_secs(5);
/// A line longer than this is no line of ours.
const MAX_LINE_BYTES: usize = 1 << 20;

impl Tool<'_> {
    /// Runs it in a process group of its own and hands each line of its standard output to `on_line`. The group is
    /// ended (SIGTERM, then SIGKILL) when `cancelled` says so or no output came for `stall`.
    ///
    /// # Errors
    /// The program is missing ([`Exit::Unavailable`]) or cannot be started or read.
    pub fn watch(
        &self,
        args: &[&OsStr],
        stall: Duration,
        mut on_line: impl FnMut(&str),
        cancelled: impl Fn() -> bool,
    ) -> anyhow::Result<Watched> {
        let mut log = tempfile::tempfile().context("cannot create a temporary file")?;
        let mut child = Group(self.spawn_group(args, &log)?);
        let output = child.0.stdout.take().context("the child has no output")?;
        let watched = |stalled, status, log: &mut File| Watched {
            status,
            tail: read_tail(log).unwrap_or_default(),
            stalled,
        };
        let mut lines = Lines::new(output);
        let (mut idle, mut looked) = (Duration::ZERO, Instant::now());
        loop {
            if cancelled() {
                return Ok(watched(false, child.end()?, &mut log));
            }
            let more = lines.read(WATCH_EVERY, &mut on_line)?;
            let passed = looked.elapsed();
            looked = Instant::now();
            match more {
                Some(0) => idle += passed.min(MOST_IDLE_PER_LOOK),
                Some(_) => idle = Duration::ZERO,
                None => {
                    let status = wait(&mut child.0, &cancelled)
                        .with_context(|| format!("cannot wait for {}", self.program.display()))?;
                    return Ok(watched(false, status, &mut log));
                }
            }
            if idle >= stall {
                return Ok(watched(true, child.end()?, &mut log));
            }
        }
    }

    #[expect(unsafe_code, reason = "asks the kernel to end the child with us")]
    fn spawn_group(&self, args: &[&OsStr], log: &File) -> anyhow::Result<Child> {
        let mut command = self.command(args)?;
        command
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
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
                before_exec.as_ref().map_or(Ok(()), |fence| fence())
            });
        }
        command.spawn().map_err(|error| self.cannot_start(error))
    }
}

/// A child that leads a process group; what is left of the group goes with it.
struct Group(Child);

impl Group {
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.0), signal);
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < WATCH_GRACE {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            thread::sleep(LOOK_EVERY);
        }
        self.signal(Signal::KILL);
        self.0.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Also what a child that ended well has left running in its group.
        self.signal(Signal::KILL);
        let _ = self.0.wait();
    }
}

/// Lines of a child's output, read without waiting for ever.
struct Lines {
    output: ChildStdout,
    begun: Vec<u8>,
}

impl Lines {
    fn new(output: ChildStdout) -> Self {
        Self {
            output,
            begun: Vec::new(),
        }
    }

    /// Waits up to `timeout` for output and hands on what lines it completes; gives the number of bytes that came, `None`
    /// at the end.
    fn read(
        &mut self,
        timeout: Duration,
        on_line: &mut impl FnMut(&str),
    ) -> io::Result<Option<usize>> {
        let mut ready = [PollFd::new(&self.output, PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(Some(0)),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; 16 * 1024];
        let n = match self.output.read(&mut bytes) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Some(0)),
            Err(error) => return Err(error),
        };
        if n == 0 {
            if !self.begun.is_empty() {
                on_line(&String::from_utf8_lossy(&self.begun));
                self.begun.clear();
            }
            return Ok(None);
        }
        for part in bytes[..n].split_inclusive(|&byte| byte == b'\n') {
            if self.begun.len() + part.len() <= MAX_LINE_BYTES {
                self.begun.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                on_line(String::from_utf8_lossy(&self.begun).trim_end());
                self.begun.clear();
            }
        }
        Ok(Some(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    fn sh() -> Tool<'static> {
        Tool {
            program: OsStr::new("sh"),
            missing: "",
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

    fn watch_shell(
        script: &str,
        stall: Duration,
        cancelled: impl Fn() -> bool,
    ) -> (Watched, Vec<String>) {
        let mut lines = Vec::new();
        let args = ["-c", script].map(OsStr::new);
        let on_line = |line: &str| lines.push(line.to_owned());
        let watched = sh().watch(&args, stall, on_line, cancelled).unwrap();
        (watched, lines)
    }

    #[test]
    fn a_watched_child_hands_on_its_lines_and_its_last_words() {
        let script = "echo one; echo two; printf three; echo oh >&2; exit 4";
        let (watched, lines) = watch_shell(script, Duration::from_mins(1), || false);
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!((watched.status.code(), watched.stalled), (Some(4), false));
        assert_eq!(watched.tail.trim(), "oh");
    }

    #[test]
    fn a_child_that_says_nothing_is_ended_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > '{}'; wait", pid.display());
        let (watched, _) = watch_shell(&script, Duration::from_millis(300), || false);
        assert!(watched.stalled);
        let grandchild = std::fs::read_to_string(&pid).unwrap();
        let state = Path::new("/proc").join(grandchild.trim()).join("stat");
        // Gone, or a zombie until whoever adopted it looks.
        let is_running =
            || std::fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z "));
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
        assert_eq!((watched.stalled, lines.len()), (false, 6));
    }

    #[test]
    fn a_stopped_child_can_be_cancelled() {
        let (watched, _) = watch_shell("kill -STOP $$", Duration::from_millis(200), || false);
        assert!(watched.stalled);
        assert_eq!(watched.status.signal(), Some(9));
    }
}
