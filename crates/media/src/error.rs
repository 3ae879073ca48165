//! What can go wrong with a clip, by what the reader can do about it.

use std::io;
use std::path::PathBuf;

use crate::av::AvError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input cannot be opened or read: missing, a folder, no permission.
    #[error("cannot open the input: {cause}: {}", path.display())]
    Open {
        /// The operating system's reason.
        cause: io::Error,
        /// The input.
        path: PathBuf,
    },
    /// The input is not a video this program reads, or holds no picture that decodes.
    #[error("{reason}: {}", path.display())]
    BadInput {
        /// What is wrong, and what to do where something can be done.
        reason: String,
        /// The input.
        path: PathBuf,
    },
    /// Reading stopped in the middle with an error of the operating system.
    #[error("cannot read on: {cause}: {}", path.display())]
    Read {
        /// FFmpeg's reason.
        cause: AvError,
        /// The input.
        path: PathBuf,
    },
    /// A colour matrix or pixel format that cannot be converted.
    #[error("{0}")]
    Unsupported(String),
    /// The encoder is not in this FFmpeg.
    #[error("this FFmpeg was built without the encoder {encoder}; choose another by --encoder")]
    EncoderMissing {
        /// FFmpeg's name of the encoder.
        encoder: String,
    },
    /// The encoder does not start with these settings.
    #[error("the encoder {encoder} {reason}")]
    EncoderRefuses {
        /// FFmpeg's name of the encoder.
        encoder: String,
        /// What it refuses.
        reason: String,
    },
    /// The container does not take this set of streams.
    #[error(
        "{container} does not take these streams ({cause}); choose an output that ends in .mkv"
    )]
    ContainerRefuses {
        /// FFmpeg's name of the container.
        container: String,
        /// FFmpeg's reason.
        cause: AvError,
    },
    /// The output cannot be created.
    #[error("cannot create the output: {cause}: {}", path.display())]
    Create {
        /// FFmpeg's reason.
        cause: AvError,
        /// The file.
        path: PathBuf,
    },
    /// Writing failed: the disk is full, or an I/O error.
    #[error("cannot write the output: {cause}: {}", path.display())]
    Write {
        /// FFmpeg's reason.
        cause: AvError,
        /// The file.
        path: PathBuf,
    },
    /// A call into FFmpeg failed in a way that has no better place; names the call.
    #[error("{call} failed: {cause}")]
    Av {
        /// The function or step.
        call: &'static str,
        /// FFmpeg's reason.
        cause: AvError,
    },
    /// Reading or writing was interrupted by a stop.
    #[error("stopped")]
    Interrupted,
}

impl Error {
    pub(crate) fn av(call: &'static str) -> impl Fn(AvError) -> Self {
        move |cause| Self::Av { call, cause }
    }
}
