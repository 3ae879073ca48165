//! Exit codes: what the process tells the script that called it.
//!
//! The numbers follow BSD's `sysexits.h` where it has one, and 128 + signal for
//! interruptions, so that a scheduler can tell "try again" from "never will work".
//! Invariant: every error reaches `main` as an [`anyhow::Error`], is printed there once,
//! and [`Exit::of`] gives its number; an error without a mark is [`Exit::Failed`].

use std::{error::Error, fmt, io, process::ExitCode};

use rustix::io::Errno;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for is done.
    Ok = 0,
    /// A failure that none of the other codes describes.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Finished, but some items of several failed, or most frames of the film were lost.
    SomeFailed = 3,
    /// The input is missing, damaged beyond use, or not a video.
    BadInput = 65,
    /// A library, a tool, a device or as much memory as is needed is not there.
    Unavailable = 69,
    /// The output cannot be created, or is there already.
    CannotCreate = 73,
    /// Reading or writing failed on the way, such as a full disk.
    Io = 74,
    /// It may work the next time: network, another run in the way.
    Transient = 75,
    /// The system does not allow it.
    Permission = 77,
    /// The model or the configuration cannot be used.
    Config = 78,
    /// Ended by SIGINT (Ctrl-C).
    Interrupted = 130,
    /// Ended by SIGTERM or SIGHUP.
    Terminated = 143,
}

impl Exit {
    /// Every code, in ascending order.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::SomeFailed,
        Self::BadInput,
        Self::Unavailable,
        Self::CannotCreate,
        Self::Io,
        Self::Transient,
        Self::Permission,
        Self::Config,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// One line for the help text.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failed => "failed",
            Self::Usage => "wrong command line",
            Self::SomeFailed => "finished, some items failed",
            Self::BadInput => "bad input",
            Self::Unavailable => "a library, tool, device or memory is missing",
            Self::CannotCreate => "the output cannot be created, or exists already",
            Self::Io => "reading or writing failed, such as a full disk",
            Self::Transient => "may work the next time, such as no network",
            Self::Permission => "not permitted",
            Self::Config => "the model or the configuration cannot be used",
            Self::Interrupted => "interrupted by Ctrl-C",
            Self::Terminated => "terminated by SIGTERM or SIGHUP",
        }
    }

    /// The code for an error: that of the outermost mark ([`fail`], [`OrExit::or_exit`]),
    /// else what an I/O error in its chain says by itself, else [`Exit::Failed`].
    pub fn of(error: &anyhow::Error) -> Self {
        if let Some(mark) = error.downcast_ref::<Fail>() {
            return mark.exit;
        }
        let of_cause = |cause: &(dyn Error + 'static)| {
            if let Some(mark) = cause.downcast_ref::<Fail>() {
                return Some(mark.exit);
            }
            Self::of_io(cause.downcast_ref::<io::Error>()?)
        };
        error.chain().find_map(of_cause).unwrap_or(Self::Failed)
    }

    /// The kinds that mean the same wherever they happen; "not found" is not one of them.
    pub(crate) fn of_io(error: &io::Error) -> Option<Self> {
        use io::ErrorKind as Kind;
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        if let Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN) = errno {
            return Some(Self::Transient);
        }
        match error.kind() {
            Kind::OutOfMemory => Some(Self::Unavailable),
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Some(Self::Io),
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Some(Self::Permission),
            _ => None,
        }
    }

    /// The code for not being able to write at a place: disk full and permission by
    /// themselves, anything else is [`Exit::CannotCreate`].
    pub fn of_create(error: &io::Error) -> Self {
        Self::of_io(error).unwrap_or(Self::CannotCreate)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error marked with the code that the process is to end with. Shows as the error itself.
#[derive(Debug)]
pub struct Fail {
    exit: Exit,
    error: anyhow::Error,
}

impl Fail {
    /// A message and the code that the process is to end with.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            error: anyhow::Error::msg(message.into()),
        }
    }

    /// The code it is marked with.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl Error for Fail {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// An error with this message that ends the process with this code.
pub fn fail(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    let error = anyhow::Error::msg(message.into());
    Fail { exit, error }.into()
}

/// The error as a stage of a pipeline may return it: what stands around it in the pipeline still finds its code. An
/// [`anyhow::Error`] that is boxed by `?` or `into` has none any more.
pub fn boxed(error: anyhow::Error) -> Box<dyn Error + Send + Sync> {
    let exit = Exit::of(&error);
    Box::new(Fail { exit, error })
}

/// Marks the error of a result with an exit code; its message stays as it is.
pub trait OrExit<T> {
    /// The same result, its error marked.
    ///
    /// # Errors
    /// The same error.
    fn or_exit(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            Fail { exit, error }.into()
        })
    }
}

/// The error in one line: what failed, then its causes. A cause whose words stand there already
/// is left out: many libraries put the words of the cause into their own.
pub fn describe(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line += ": ";
            line += &cause;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    fn io_error(kind: io::ErrorKind) -> io::Error {
        io::Error::from(kind)
    }

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 65, 69, 73, 74, 75, 77, 78, 130, 143]);
    }

    #[test]
    fn a_mark_survives_context_on_both_sides() {
        let error = Err::<(), _>(io_error(io::ErrorKind::NotFound))
            .context("cannot open the model")
            .or_exit(Exit::Config)
            .context("cannot plan")
            .expect_err("it is an error");
        assert_eq!(Exit::of(&error), Exit::Config);
        assert_eq!(
            format!("{error:#}"),
            "cannot plan: cannot open the model: entity not found"
        );
    }

    #[test]
    fn a_mark_survives_the_box_of_a_stage() {
        let error = Err::<(), _>(fail(Exit::Transient, "locked"))
            .context("cannot write")
            .expect_err("it is an error");
        let boxed = boxed(error);
        let mark = boxed.downcast_ref::<Fail>().expect("it is marked");
        assert_eq!(mark.exit(), Exit::Transient);
        assert_eq!(boxed.to_string(), "cannot write");
    }

    #[test]
    fn a_cause_is_said_once() {
        let cause = io_error(io::ErrorKind::NotFound);
        let error = anyhow::Error::from(cause).context("entity not found: in.mkv");
        assert_eq!(describe(&error), "entity not found: in.mkv");
        let error = error.context("cannot plan");
        assert_eq!(describe(&error), "cannot plan: entity not found: in.mkv");
    }

    #[test]
    fn the_outermost_mark_decides() {
        let inner = fail(Exit::Io, "disk full");
        let outer = Err::<(), _>(inner).or_exit(Exit::CannotCreate);
        assert_eq!(
            Exit::of(&outer.expect_err("it is an error")),
            Exit::CannotCreate
        );
    }

    #[test]
    fn a_mark_given_as_context_counts() {
        let mark = Fail {
            exit: Exit::BadInput,
            error: anyhow::Error::msg("not a video"),
        };
        let error = anyhow::Error::new(io_error(io::ErrorKind::InvalidData)).context(mark);
        assert_eq!(Exit::of(&error), Exit::BadInput);
    }

    #[test]
    fn a_full_disk_and_a_refusal_need_no_mark() {
        let of = |kind| Exit::of(&anyhow::Error::new(io_error(kind)).context("cannot write"));
        assert_eq!(of(io::ErrorKind::StorageFull), Exit::Io);
        assert_eq!(of(io::ErrorKind::PermissionDenied), Exit::Permission);
        assert_eq!(of(io::ErrorKind::NotFound), Exit::Failed);
        assert_eq!(Exit::of(&anyhow::Error::msg("odd")), Exit::Failed);
    }
}
