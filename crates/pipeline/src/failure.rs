//! How a run goes wrong: the one stage that failed first and why, and the error that merely says "we are stopping".
//!
//! Invariant: [`Stopped`] is a consequence, never a cause.

use std::any::Any;
use std::error::Error;
use std::fmt;

/// Any error a body may return.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The run is stopping, or nobody reads what this stage sends any more: return it, `?` does.
///
/// A body that returns it, itself or as the [source](Error::source) of its own error, is not taken for the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl Error for Stopped {}

/// The first stage that failed, and why.
#[derive(Debug)]
pub struct Failure {
    /// Name of the stage.
    pub stage: String,
    /// What happened there.
    pub cause: Cause,
}

/// Why a stage failed.
#[derive(Debug)]
pub enum Cause {
    /// Its body returned this error.
    Error(BoxError),
    /// Its body panicked with this message.
    Panic(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Error(error) => write!(f, "{}: {error}", self.stage),
            Cause::Panic(message) => write!(f, "{}: panicked: {message}", self.stage),
        }
    }
}

impl Error for Failure {
    /// What stands behind the cause. The cause itself is already in the message, and in [`Failure::cause`] for a downcast.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Error(error) => error.source(),
            Cause::Panic(_) => None,
        }
    }
}

impl Cause {
    pub(crate) fn from_panic(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned());
        Self::Panic(message.unwrap_or_else(|| "without a message".to_owned()))
    }
}

/// Whether `error` is [`Stopped`] or was made from it.
pub(crate) fn comes_from_stopped(error: &(dyn Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |&error| error.source());
    chain.any(<dyn Error>::is::<Stopped>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(Stopped);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot hand the frame on")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn stopped_is_recognised_behind_another_error() {
        assert!(comes_from_stopped(&Stopped));
        assert!(comes_from_stopped(&Wrapped(Stopped)));
        assert!(!comes_from_stopped(&fmt::Error));
    }

    #[test]
    fn the_message_names_the_stage_and_says_the_cause_once() {
        let failure = Failure {
            stage: "decode".into(),
            cause: Cause::Error(Box::new(Wrapped(Stopped))),
        };
        assert_eq!(failure.to_string(), "decode: cannot hand the frame on");
        assert_eq!(
            failure.source().map(ToString::to_string),
            Some("stopped".to_owned())
        );
        let failure = Failure {
            stage: "encode".into(),
            cause: Cause::from_panic(&"no room"),
        };
        assert_eq!(failure.to_string(), "encode: panicked: no room");
    }
}
