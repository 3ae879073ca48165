//! Standard error, shared by the messages and the progress display.
//!
//! Invariant: while a progress display runs, only its thread writes here. A message from
//! any other thread is put aside and shown with the next drawing, so a message never
//! garbles the bar and a stage never waits for a slow terminal. Nothing here panics when
//! standard error is closed, and nothing waits for long when nobody reads it. No colours are used, so `NO_COLOR` holds by itself.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    mem::{self, ManuallyDrop},
    os::fd::{FromRawFd as _, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::fs::{FileType, Mode, OFlags};
use serde_json::json;

use crate::{
    cli::ProgressMode,
    durable::accepts,
    exit::{Exit, describe},
    visible::{self, visible},
};

/// How long a reader of standard error may let a message wait.
const PATIENCE: Duration = Duration::from_millis(500);

/// Bytes that a pipe takes without waiting once it takes any.
const PIECE: usize = 4096;

/// Where a run's messages and progress go. Clones share it.
#[derive(Clone)]
pub struct Screen(Arc<Shared>);

struct Shared {
    display: Display,
    quiet: bool,
    aside: Mutex<Aside>,
}

/// Text put aside while a progress display owns standard error.
#[derive(Default)]
struct Aside {
    live: bool,
    lines: Vec<String>,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// A bar that redraws itself, on a terminal.
    Bar,
    /// A line now and then, for logs.
    Lines,
    /// One JSON object per line, for programs; messages too.
    Json,
    /// No progress.
    Off,
}

impl Display {
    /// What is shown for what was asked. A bar needs a terminal that can move the cursor.
    fn choose(mode: ProgressMode, quiet: bool, terminal: bool) -> Self {
        match mode {
            ProgressMode::Json => Self::Json,
            ProgressMode::None => Self::Off,
            ProgressMode::Auto if quiet => Self::Off,
            ProgressMode::Auto | ProgressMode::Bar if terminal => Self::Bar,
            ProgressMode::Auto | ProgressMode::Bar => Self::Lines,
        }
    }
}

/// One message for the person or program that reads along. Lowercase, no full stop.
#[derive(Debug, Clone)]
pub enum Line {
    /// What happens now.
    Info(String),
    /// What the user should know about the result.
    Warning(String),
    /// What is done in another way than asked or planned, and why.
    Fallback(String),
    /// Why the run failed; shown even when quiet.
    Error(String, Exit),
}

impl Screen {
    /// Standard error, with the display that was asked for and can be shown there. Quiet
    /// leaves only errors, and progress if asked for by name.
    pub fn new(mode: ProgressMode, quiet: bool) -> Self {
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        let terminal = io::stderr().is_terminal() && !dumb;
        Self::with(Display::choose(mode, quiet, terminal), quiet)
    }

    /// Shows errors only; for commands without progress, and tests.
    pub fn silent() -> Self {
        Self::with(Display::Off, true)
    }

    fn with(display: Display, quiet: bool) -> Self {
        Self(Arc::new(Shared {
            display,
            quiet,
            aside: Mutex::default(),
        }))
    }

    /// How progress is shown here.
    pub fn display(&self) -> Display {
        self.0.display
    }

    /// Shows a message: at once, or with the next drawing of the progress display.
    pub fn say(&self, line: &Line) {
        if self.0.quiet && !matches!(line, Line::Error(..)) {
            return;
        }
        let text = match self.0.display {
            Display::Json => as_json(line),
            _ => as_text(line),
        };
        let mut aside = self.aside();
        if aside.live {
            aside.lines.push(text);
        } else {
            write_lines(&[text]);
        }
    }

    /// Shows why the run failed. Called once, by `main`.
    pub fn error(&self, error: &anyhow::Error) {
        self.say(&Line::Error(describe(error), Exit::of(error)));
    }

    /// From now on messages wait for [`Screen::take_aside`].
    pub(crate) fn put_aside(&self) {
        self.aside().live = true;
    }

    /// The messages put aside since the last call.
    pub(crate) fn take_aside(&self) -> Vec<String> {
        mem::take(&mut self.aside().lines)
    }

    /// Messages are shown at once again, those put aside first.
    pub(crate) fn stop_putting_aside(&self) {
        let mut aside = self.aside();
        aside.live = false;
        write_lines(&mem::take(&mut aside.lines));
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        let aside = self.0.aside.lock();
        aside.expect("no code panics while it holds the messages")
    }
}

/// Writes whole lines to standard error. A reader that has gone is no reason to fail, and one that does not read none to
/// wait: after [`PATIENCE`] lines are dropped until it reads on. What a run has to say of its result is in the report, too.
pub(crate) fn write_lines(lines: &[String]) {
    static IS_STALLED: AtomicBool = AtomicBool::new(false);
    if lines.is_empty() {
        return;
    }
    let mut text = lines.join("\n");
    text.push('\n');
    let mut stderr = io::stderr().lock();
    for piece in text.as_bytes().chunks(PIECE) {
        let patience = if IS_STALLED.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            PATIENCE
        };
        let is_read = accepts(&stderr, patience);
        IS_STALLED.store(!is_read, Ordering::Relaxed);
        if !is_read || stderr.write_all(piece).is_err() {
            return;
        }
    }
}

/// Whether a little can be written to standard error without waiting.
pub(crate) fn is_read() -> bool {
    accepts(&io::stderr(), Duration::ZERO)
}

/// Libraries write to standard error, too, and they would wait for a pipe that nobody reads. This gives the process an
/// opening of the pipe of its own that does not wait; other processes that hold the pipe do not notice.
#[expect(unsafe_code, reason = "replaces descriptor 2")]
pub fn never_wait_for_stderr() {
    let is_pipe = rustix::fs::fstat(io::stderr())
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo);
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::open("/proc/self/fd/2", flags, Mode::empty());
    // A pipe of another user may not be opened again: then only our own messages do not wait.
    let (true, Ok(opened)) = (is_pipe, opened) else {
        return;
    };
    // SAFETY: descriptor 2 is open, since Rust opens it before `main`; it is not closed here, because the value is never
    // dropped.
    let mut stderr = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(2) });
    // The old opening stays where this fails.
    let _ = rustix::io::dup2(&opened, &mut stderr);
}

fn as_text(line: &Line) -> String {
    one_line(&match line {
        Line::Info(message) => message.clone(),
        Line::Warning(message) => format!("warning: {message}"),
        Line::Fallback(message) => format!("fallback: {message}"),
        Line::Error(message, _) => format!("error: {message}"),
    })
}

fn as_json(line: &Line) -> String {
    match line {
        Line::Info(message) => event("info", &json!({"message": message})),
        Line::Warning(message) => event("warning", &json!({"message": message})),
        Line::Fallback(message) => event("fallback", &json!({"message": message})),
        Line::Error(message, exit) => {
            event("error", &json!({"message": message, "exit": exit.code()}))
        }
    }
}

/// An event of version 1 on one line, `{"v":1,"event":"progress",…}`; `fields` is a JSON
/// object that is not empty.
pub(crate) fn event(name: &str, fields: &serde_json::Value) -> String {
    let fields = visible::json(&fields.to_string());
    let fields = fields.trim_start_matches('{');
    format!(r#"{{"v":1,"event":"{name}",{fields}"#)
}

/// Line ends become spaces and whatever else acts on a terminal visible: a file name must not be
/// able to move the cursor, nor a library's message to look like several of ours.
fn one_line(text: &str) -> String {
    visible(&text.trim_end().replace(['\n', '\r', '\t'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_needs_a_terminal_and_a_log_gets_lines() {
        use ProgressMode as Mode;
        let choose = Display::choose;
        assert_eq!(choose(Mode::Auto, false, true), Display::Bar);
        assert_eq!(choose(Mode::Auto, false, false), Display::Lines);
        assert_eq!(choose(Mode::Auto, true, true), Display::Off);
        assert_eq!(choose(Mode::Bar, false, false), Display::Lines);
        assert_eq!(choose(Mode::Bar, true, true), Display::Bar);
        assert_eq!(choose(Mode::Json, true, false), Display::Json);
        assert_eq!(choose(Mode::None, false, true), Display::Off);
    }

    #[test]
    fn messages_wait_while_a_display_is_live_and_keep_their_order() {
        let screen = Screen::with(Display::Lines, false);
        screen.put_aside();
        screen.say(&Line::Warning("one".into()));
        screen.clone().say(&Line::Fallback("two".into()));
        assert_eq!(screen.take_aside(), ["warning: one", "fallback: two"]);
        assert!(screen.take_aside().is_empty());
    }

    #[test]
    fn quiet_drops_all_but_errors() {
        let screen = Screen::silent();
        screen.put_aside();
        screen.say(&Line::Info("hello".into()));
        screen.say(&Line::Warning("odd".into()));
        screen.error(&crate::exit::fail(Exit::Io, "disk full"));
        assert_eq!(screen.take_aside(), ["error: disk full"]);
    }

    #[test]
    fn every_message_is_an_event_in_json() {
        let screen = Screen::with(Display::Json, false);
        screen.put_aside();
        screen.say(&Line::Warning("a \"quoted\"\nword".into()));
        screen.error(&crate::exit::fail(Exit::BadInput, "not a video"));
        let lines = screen.take_aside();
        assert_eq!(
            lines[0],
            r#"{"v":1,"event":"warning","message":"a \"quoted\"\nword"}"#
        );
        assert_eq!(
            lines[1],
            r#"{"v":1,"event":"error","exit":65,"message":"not a video"}"#
        );
    }

    #[test]
    fn a_message_is_one_line_and_cannot_move_the_cursor() {
        let line = Line::Error("bad\nname \u{1b}[2J.mp4\n".into(), Exit::Failed);
        assert_eq!(as_text(&line), r"error: bad name \u{1b}[2J.mp4");
        let line = Line::Warning("gpj.\u{202e}4pm \u{9b}31m".into());
        assert_eq!(as_text(&line), r"warning: gpj.\u{202e}4pm \u{9b}31m");
        assert!(as_json(&line).contains(r"gpj.\u202e4pm \u009b31m"));
    }
}
