//! What went wrong with one video: data, not an error of the run.
//!
//! Invariant: the class alone decides whether and when it is tried again.

use std::fmt;

use serde::{Deserialize, Serialize};

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
