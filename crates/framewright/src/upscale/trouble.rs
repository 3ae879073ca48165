//! From the libraries' errors to exit codes: who can do something about it.

use std::error::Error;
use std::io;

use framewright_media::AvError;
use framewright_pipeline::{Cause, Failure};

use crate::exit::{Exit, Fail, OrExit as _};

/// An error of the media or inference library, marked with its exit code.
pub fn marked<E: Error + Send + Sync + 'static>(error: E) -> anyhow::Error {
    let exit = exit_of(&error);
    Err::<(), _>(error)
        .or_exit(exit)
        .expect_err("it was an error")
}

/// The failure of a stage, marked with the exit code of its cause.
pub fn from_failure(failure: Failure) -> anyhow::Error {
    let exit = match &failure.cause {
        Cause::Error(error) => exit_of(&**error),
        Cause::Panic(_) => Exit::Failed,
    };
    Err::<(), _>(failure)
        .or_exit(exit)
        .expect_err("it was an error")
}

fn exit_of(error: &(dyn Error + 'static)) -> Exit {
    if let Some(marked) = error.downcast_ref::<Fail>() {
        return marked.exit();
    }
    if let Some(error) = error.downcast_ref::<framewright_media::Error>() {
        return of_media(error);
    }
    if let Some(error) = error.downcast_ref::<framewright_infer::Error>() {
        return of_infer(error);
    }
    Exit::Failed
}

fn of_media(error: &framewright_media::Error) -> Exit {
    use framewright_media::Error as E;
    match error {
        E::Open { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        E::Open { .. } | E::BadInput { .. } | E::Unsupported(_) => Exit::BadInput,
        E::Read { .. } | E::Write { .. } => Exit::Io,
        E::EncoderMissing { .. } => Exit::Unavailable,
        E::EncoderRefuses { .. } | E::ContainerRefuses { .. } => Exit::Usage,
        E::Create { cause, .. } => of_create(*cause),
        E::Av { .. } | E::Interrupted => Exit::Failed,
    }
}

fn of_create(cause: AvError) -> Exit {
    cause
        .io_kind()
        .map_or(Exit::CannotCreate, |kind| Exit::of_create(&kind.into()))
}

fn of_infer(error: &framewright_infer::Error) -> Exit {
    use framewright_infer::Error as E;
    match error {
        E::MissingLibrary { .. } | E::Library { .. } => Exit::Unavailable,
        E::ReadModel { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => {
            Exit::Permission
        }
        E::UnknownModel { .. } | E::ReadModel { .. } | E::Model { .. } | E::NotFinite { .. } => {
            Exit::Config
        }
        E::Scale { .. } | E::Precision { .. } | E::Processor { .. } => Exit::Usage,
        E::Cancelled | E::Run { .. } => Exit::Failed,
    }
}
