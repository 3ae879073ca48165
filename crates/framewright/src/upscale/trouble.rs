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

/// The code of the outermost error that has one: the cause may be wrapped by whoever found it.
fn exit_of(error: &(dyn Error + 'static)) -> Exit {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.find_map(known).unwrap_or(Exit::Failed)
}

fn known(error: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(marked) = error.downcast_ref::<Fail>() {
        return Some(marked.exit());
    }
    if let Some(error) = error.downcast_ref::<framewright_media::Error>() {
        return Some(of_media(error));
    }
    if let Some(error) = error.downcast_ref::<framewright_infer::Error>() {
        return Some(of_infer(error));
    }
    Exit::of_io(error.downcast_ref::<io::Error>()?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{boxed, fail};
    use anyhow::Context as _;
    use framewright_pipeline::{Control, run};

    /// The code of a run of which a stage fails with an error.
    fn code(error: impl FnOnce() -> Box<dyn Error + Send + Sync> + Send) -> Exit {
        let mut error = Some(error);
        let ended = run(&Control::new(), |p| {
            let rx = p.source("first", 1, move || match error.take() {
                Some(error) => Err::<Option<u8>, _>(error()),
                None => Ok(None),
            });
            p.sink("last", rx, |rx| {
                while rx.recv()?.is_some() {}
                Ok(())
            });
        });
        Exit::of(&from_failure(ended.expect_err("a stage failed")))
    }

    #[test]
    fn codes_survive_the_pipeline() {
        for exit in Exit::ALL {
            let marked = || Err::<(), _>(fail(exit, "odd")).context("cannot go on");
            assert_eq!(code(|| boxed(marked().unwrap_err())), exit);
        }
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(code(|| full().into()), Exit::Io);
        assert_eq!(code(|| boxed(full().into())), Exit::Io);
        // EMFILE: no more files may be open.
        assert_eq!(
            code(|| io::Error::from_raw_os_error(24).into()),
            Exit::Transient
        );
        assert_eq!(code(|| "odd".into()), Exit::Failed);
    }
}
