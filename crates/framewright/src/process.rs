//! The one home of child processes.
//!
//! Invariant: a child reads nothing from our standard input, prints nothing on our
//! terminal, is waited for, and does not outlive its call.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::exit::{Exit, fail};

/// How often a running child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a child may take to end after SIGINT.
const GRACE: Duration = Duration::from_secs(3);
/// What is kept of its standard error, from the end.
const TAIL_BYTES: u64 = 16 * 1024;

/// A program to run.
pub struct Tool<'a> {
    /// Its name, looked for in `PATH`.
    pub program: &'a str,
    /// What to do when it is not there, such as which package has it.
    pub missing: &'a str,
    /// Set for it beside our own environment.
    pub env: &'a [(&'a str, &'a OsStr)],
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
            .with_context(|| format!("cannot wait for {}", self.program))?;
        let tail = read_tail(&mut log).unwrap_or_default();
        Ok(Ended { status, tail })
    }

    #[expect(clippy::disallowed_methods, reason = "this is their one home")]
    fn spawn(&self, args: &[&OsStr], log: &File) -> anyhow::Result<Child> {
        let spawned = Command::new(self.program)
            .args(args)
            .envs(self.env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .spawn();
        spawned.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => fail(
                Exit::Unavailable,
                format!("{} is not installed; {}", self.program, self.missing),
            ),
            _ => fail(
                Exit::Unavailable,
                format!("{error}, cannot start {}", self.program),
            ),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    const SHELL: Tool<'_> = Tool {
        program: "sh",
        missing: "",
        env: &[],
    };

    fn shell(script: &str, cancelled: impl Fn() -> bool) -> Ended {
        let args = ["-c", script].map(OsStr::new);
        SHELL.run(&args, cancelled).unwrap()
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
            program: "no-such-program",
            missing: "install it with apt-get install no-such-package",
            env: &[],
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
    fn the_environment_given_is_added() {
        let tool = Tool {
            env: &[("FRAMEWRIGHT_TEST_WORD", OsStr::new("hello"))],
            ..SHELL
        };
        let args = ["-c", "echo $FRAMEWRIGHT_TEST_WORD; command -v sh"].map(OsStr::new);
        let ended = tool.run(&args, || false).unwrap();
        assert!(ended.tail.starts_with("hello\n/"), "{}", ended.tail);
    }
}
