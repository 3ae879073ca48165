//! What went wrong with one video: data, not an error of the run.
//!
//! Invariant: the class alone decides whether and when it is tried again.

use std::fmt;
use std::io;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::exit::describe;

/// Kind of trouble, by what helps.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Class {
    /// Gone, private, refused or not supported: trying again does not help.
    Permanent,
    /// The site wants a login, cookies or proof of a person.
    Auth,
    /// Too many requests: later.
    Rate,
    /// Connection, name, time-out or the server's own trouble: try again.
    Network,
    /// Less came than was announced, or what came does not decode to its end.
    Truncated,
    /// What came, or lies there, is not a video that can be read.
    BadInput,
    /// Larger or longer than allowed.
    TooLarge,
    /// A tool is missing, the disk is full: the machine has to be helped first.
    Environment,
}

impl Class {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 8] = [
        Self::Network,
        Self::Rate,
        Self::Auth,
        Self::Truncated,
        Self::BadInput,
        Self::TooLarge,
        Self::Permanent,
        Self::Environment,
    ];

    /// Its word in tables and on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Auth => "auth",
            Self::Rate => "rate",
            Self::Network => "network",
            Self::Truncated => "truncated",
            Self::BadInput => "bad_input",
            Self::TooLarge => "too_large",
            Self::Environment => "environment",
        }
    }

    /// Whether the next run tries again by itself; the others wait for `dataset retry --failed`.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Network | Self::Rate | Self::Environment)
    }
}

/// Whether the machine or its owner has to help before anything can be read or written, whatever the video is: no room,
/// no memory, no more files, processes or threads, no permission, a disk that fails.
pub fn is_of_machine(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::IO | Errno::NODEV)
    ) || matches!(
        error.kind(),
        Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::ReadOnlyFilesystem
            | Kind::PermissionDenied
            | Kind::OutOfMemory
    )
}

const DISK_FULL: &str = "the disk is full";

/// Why a video is not in the dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// What helps.
    pub class: Class,
    /// One line, lowercase, the cause first.
    pub message: String,
    /// The last lines that a tool wrote about it.
    pub details: Vec<String>,
    /// Seconds after which it is worth another try, where that is known.
    pub retry_after_secs: Option<f64>,
}

impl Trouble {
    /// Trouble with our own writing: the machine has to be helped, whatever the video is.
    pub fn with_disk(error: &io::Error, what: &str) -> Self {
        let message = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DISK_FULL.to_owned(),
            _ => format!("{what}: {error}"),
        };
        Self::new(Class::Environment, message)
    }

    /// Whether the disk was full, by what is said of it.
    pub fn is_full_disk(&self) -> bool {
        self.class == Class::Environment && self.message.starts_with(DISK_FULL)
    }

    /// Trouble with a file that cannot be read: the machine's where it is, else the file's.
    pub fn with_file(error: &io::Error, message: impl Into<String>) -> Self {
        let class = if is_of_machine(error) {
            Class::Environment
        } else {
            Class::BadInput
        };
        Self::new(class, message)
    }

    /// Trouble without anything a tool said.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            details: Vec::new(),
            retry_after_secs: None,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.class.word())
    }
}

impl std::error::Error for Trouble {}

/// Why work on a video ended without a result.
#[derive(Debug)]
pub enum Setback {
    /// The video has trouble; the run goes on.
    Video(Trouble),
    /// The run is stopping; nothing is known of the video.
    Stopped,
    /// The run cannot go on.
    Run(anyhow::Error),
}

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        Self::Video(trouble)
    }
}

impl From<anyhow::Error> for Setback {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

/// An error of starting or watching a process of ours: the video's trouble, to be tried again by the next run, where the
/// machine had no more processes, files or memory just then; else the run's.
pub fn of_process(error: anyhow::Error) -> Setback {
    let causes = || error.chain().filter_map(|cause| cause.downcast_ref());
    if causes().any(is_of_machine) {
        return Trouble::new(Class::Environment, describe(&error)).into();
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Exit, fail};
    use anyhow::Context as _;

    #[test]
    fn what_the_machine_lacks_is_never_the_fault_of_a_file() {
        // EIO, EAGAIN, ENOMEM, EACCES, ENFILE, EMFILE, ENOSPC, EROFS, EDQUOT
        for errno in [5, 11, 12, 13, 23, 24, 28, 30, 122] {
            let error = io::Error::from_raw_os_error(errno);
            let trouble = Trouble::with_file(&error, "odd");
            assert_eq!(trouble.class, Class::Environment, "{error}");
            let error = Err::<(), _>(error).context("cannot start").unwrap_err();
            let setback = of_process(error);
            let Setback::Video(trouble) = setback else {
                panic!("it is the machine's: {setback:?}")
            };
            assert!(trouble.class.is_transient());
        }
        let gone = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(Trouble::with_file(&gone, "odd").class, Class::BadInput);
        let missing = of_process(fail(Exit::Unavailable, "no sandbox"));
        assert!(matches!(missing, Setback::Run(error) if Exit::of(&error) == Exit::Unavailable));
    }
}
