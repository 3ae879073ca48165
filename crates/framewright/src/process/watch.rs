//! A child that is not believed: its output, its time and what it starts have bounds, and whatever it does, the call
//! comes back.
//!
//! Invariant: nothing of its output is kept but the last lines of its standard error, and no byte of it touches the disk.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{LOOK_EVERY, TAIL_BYTES, Tool, descendants};

/// How often a watched child is looked at when it says nothing.
const WATCH_EVERY: Duration = Duration::from_millis(50);
/// How often [`Limits::check`] is asked.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A longer time between two looks means that we were stopped or asleep ourselves.
const MOST_TIME_PER_LOOK: Duration = Duration::from_secs(1);
/// How long a watched child may take to end after SIGTERM, or after it closed its output.
const WATCH_GRACE: Duration = Duration::from_secs(5);
/// A line longer than this is no line of ours.
const MAX_LINE_BYTES: usize = 1 << 20;
/// What a child that has ended may have left in its pipes; more comes from what it started.
const LEFT_BYTES: u64 = 4 << 20;
/// Bytes of lines for each second, beside those that may come at once.
const LINES_PER_SEC: u64 = 64 << 10;
/// Bytes of standard error that may come at once, and for each second: FFmpeg has much to say of a damaged film.
const WORDS_AT_ONCE: u64 = 256 << 20;
const WORDS_PER_SEC: u64 = 8 << 20;

/// What a watched child has to keep to.
pub struct Limits<'a> {
    /// The longest time without a line that shows progress.
    pub stall: Duration,
    /// The longest time in all. Time in which we were stopped or asleep ourselves does not count, in both.
    pub total: Duration,
    /// Bytes of lines that may come at once.
    pub lines_bytes: u64,
    /// Is asked about every second, with its process id; a reason ends it.
    pub check: &'a dyn Fn(u32) -> Option<String>,
}

/// Why a watched child was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No progress for too long.
    Stalled,
    /// It took longer than it may in all.
    Late,
    /// It said more than anything of ours would.
    Flooded,
    /// It closed its output and went on.
    Detached,
    /// What [`Limits::check`] said.
    Broke(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stalled => "it made no progress for too long",
            Self::Late => "it took too long in all",
            Self::Flooded => "it wrote without end",
            Self::Detached => "it closed its output and did not end",
            Self::Broke(what) => what,
        })
    }
}

/// How a watched child ended.
#[derive(Debug)]
pub struct Watched {
    /// Its exit status.
    pub status: ExitStatus,
    /// The end of what it wrote to standard error.
    pub tail: String,
    /// Why it was ended, if not because it was cancelled or had ended by itself.
    pub fault: Option<Fault>,
}

impl Tool<'_> {
    /// Runs it in a process group of its own and hands each line of its standard output to `on_line`, which tells whether
    /// the line shows progress. The group is ended (SIGTERM, then SIGKILL) when `cancelled` says so or it breaks a limit.
    ///
    /// # Errors
    /// The program is missing ([`crate::exit::Exit::Unavailable`]) or cannot be started or read.
    pub fn watch(
        &self,
        args: &[&OsStr],
        limits: &Limits<'_>,
        mut on_line: impl FnMut(&str) -> bool,
        cancelled: impl Fn() -> bool,
    ) -> anyhow::Result<Watched> {
        let mark = descendants::new_mark();
        let leader = self.spawn_group(args, &mark)?;
        let mut child = Group { leader, mark };
        let out = child
            .leader
            .stdout
            .take()
            .context("the child has no output")?;
        let err = child
            .leader
            .stderr
            .take()
            .context("the child has no output")?;
        let (mut out, mut err) = (Pipe::new(out), Pipe::new(err));
        let (mut lines, mut tail) = (Lines::default(), Tail::default());
        let mut clock = Clock::default();
        let mut ending: Option<(Option<Fault>, Instant)> = None;
        while !child.has_ended()? {
            // One that has closed its output is about to end.
            let within = if out.is_closed() {
                LOOK_EVERY
            } else {
                WATCH_EVERY
            };
            let [said, worded] = read([&mut out, &mut err], within)?;
            tail.add(&worded);
            let progress = lines.add(&said, out.is_closed(), &mut on_line);
            clock.tick(progress, out.is_closed());
            if let Some((_, since)) = &ending {
                if since.elapsed() >= WATCH_GRACE {
                    child.signal(Signal::KILL);
                }
                continue;
            }
            let fault = if cancelled() {
                None
            } else if let Some(fault) = clock.fault(limits, &child, &out, &err) {
                Some(fault)
            } else {
                continue;
            };
            child.signal(match fault {
                None | Some(Fault::Stalled | Fault::Late) => Signal::TERM,
                // Not one that would listen.
                Some(_) => Signal::KILL,
            });
            ending = Some((fault, Instant::now()));
        }
        child.end_the_rest();
        let until = (out.bytes + err.bytes).saturating_add(LEFT_BYTES);
        while out.bytes + err.bytes < until {
            let [said, worded] = read([&mut out, &mut err], Duration::ZERO)?;
            tail.add(&worded);
            lines.add(&said, out.is_closed(), &mut on_line);
            if said.is_empty() && worded.is_empty() {
                break;
            }
        }
        lines.end(&mut on_line);
        let status = child.leader.wait();
        Ok(Watched {
            status: status
                .with_context(|| format!("cannot wait for {}", self.program.display()))?,
            tail: tail.text(),
            fault: ending.and_then(|(fault, _)| fault),
        })
    }
}

/// A child that leads a process group, and what it has started; all of that goes with it.
struct Group {
    leader: Child,
    mark: String,
}

impl Group {
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.leader), signal);
    }

    /// Ends what is left of it when the leader was not waited for yet: until then its id is its own, and nothing else is
    /// hit.
    fn end_the_rest(&self) {
        self.signal(Signal::KILL);
        descendants::end(&self.mark);
    }

    /// Whether it has ended; it is not waited for yet.
    fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(Pid::from_child(&self.leader)), options) {
            Ok(status) => Ok(status.is_some()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only after an error it still runs.
        if matches!(self.leader.try_wait(), Ok(None)) {
            self.end_the_rest();
            let _ = self.leader.wait();
        }
    }
}

/// The time of a child, without that in which we were asleep.
struct Clock {
    looked: Instant,
    /// When [`Limits::check`] is asked next.
    check_at: Duration,
    running: Duration,
    idle: Duration,
    /// Since it closed its output.
    detached: Duration,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            looked: Instant::now(),
            check_at: CHECK_EVERY,
            running: Duration::ZERO,
            idle: Duration::ZERO,
            detached: Duration::ZERO,
        }
    }
}

impl Clock {
    fn tick(&mut self, progress: bool, closed: bool) {
        let passed = self.looked.elapsed().min(MOST_TIME_PER_LOOK);
        self.looked = Instant::now();
        self.running += passed;
        self.idle = if progress {
            Duration::ZERO
        } else {
            self.idle + passed
        };
        if closed {
            self.detached += passed;
        }
    }

    fn fault(
        &mut self,
        limits: &Limits<'_>,
        child: &Group,
        out: &Pipe,
        err: &Pipe,
    ) -> Option<Fault> {
        let secs = self.running.as_secs();
        if out.bytes > limits.lines_bytes + LINES_PER_SEC * secs
            || err.bytes > WORDS_AT_ONCE + WORDS_PER_SEC * secs
        {
            return Some(Fault::Flooded);
        }
        if self.detached >= WATCH_GRACE {
            return Some(Fault::Detached);
        }
        if self.idle >= limits.stall {
            return Some(Fault::Stalled);
        }
        if self.running >= limits.total {
            return Some(Fault::Late);
        }
        if self.running < self.check_at {
            return None;
        }
        self.check_at = self.running + CHECK_EVERY;
        (limits.check)(child.leader.id()).map(Fault::Broke)
    }
}

/// Our end of a pipe that a child writes to.
struct Pipe {
    /// None once its end was read.
    file: Option<File>,
    /// That came so far.
    bytes: u64,
}

impl Pipe {
    fn new(end: impl Into<OwnedFd>) -> Self {
        Self {
            file: Some(File::from(end.into())),
            bytes: 0,
        }
    }

    fn is_closed(&self) -> bool {
        self.file.is_none()
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let Some(file) = &mut self.file else {
            return Ok(Vec::new());
        };
        let mut bytes = vec![0; 64 * 1024];
        match file.read(&mut bytes) {
            Ok(0) => self.file = None,
            Ok(n) => {
                self.bytes += n as u64;
                bytes.truncate(n);
                return Ok(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(Vec::new())
    }
}

/// Waits up to `timeout` until one of the pipes has something, and gives what came.
fn read(pipes: [&mut Pipe; 2], timeout: Duration) -> io::Result<[Vec<u8>; 2]> {
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    let open = pipes.iter().filter_map(|pipe| pipe.file.as_ref());
    let mut polled: Vec<PollFd<'_>> = open.map(|file| PollFd::new(file, PollFlags::IN)).collect();
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok([Vec::new(), Vec::new()]),
        Err(error) => return Err(error.into()),
    }
    let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
    let mut ready = ready.into_iter();
    let mut came = [Vec::new(), Vec::new()];
    for (pipe, came) in pipes.into_iter().zip(&mut came) {
        if !pipe.is_closed() && ready.next() == Some(true) {
            *came = pipe.read()?;
        }
    }
    Ok(came)
}

/// Lines of a child's output.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Hands on what lines are complete; gives whether one of them shows progress.
    fn add(&mut self, bytes: &[u8], is_end: bool, on_line: &mut impl FnMut(&str) -> bool) -> bool {
        let mut progress = false;
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.begun.len() + part.len() <= MAX_LINE_BYTES {
                self.begun.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                progress |= self.hand_on(on_line);
            }
        }
        if is_end {
            self.end(on_line);
        }
        progress
    }

    /// The last line may lack its end.
    fn end(&mut self, on_line: &mut impl FnMut(&str) -> bool) {
        if !self.begun.is_empty() {
            self.hand_on(on_line);
        }
    }

    fn hand_on(&mut self, on_line: &mut impl FnMut(&str) -> bool) -> bool {
        let progress = on_line(String::from_utf8_lossy(&self.begun).trim_end());
        self.begun.clear();
        progress
    }
}

/// The end of what came.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let before = self.0.len().saturating_sub(TAIL_BYTES as usize);
        self.0.drain(..before);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

#[cfg(test)]
mod tests;
