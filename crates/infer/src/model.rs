//! A model by name or file, opened, checked and ready to make workers.

use std::fs;
use std::io;
use std::path::Path;

use crate::nearest::{self, Nearest};
use crate::ort::OnnxModel;
use crate::{Error, ModelInfo, Upscaler};

/// The names that need no file.
pub const NAMES: &[&str] = &[nearest::NAME];

/// A model that was found to work on this machine.
pub struct Model(Kind);

enum Kind {
    Nearest(ModelInfo),
    Onnx(OnnxModel),
}

impl Model {
    /// Opens one of [`NAMES`], or else the `.onnx` file of that path.
    ///
    /// A file is loaded and run on a few small pictures, which tells its scale and what sizes it takes; that is done
    /// once here, not in every worker.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::ReadModel`] and [`Error::Model`] for a wrong name or file;
    /// [`Error::MissingLibrary`] and [`Error::Library`] when there is nothing to run a file with.
    pub fn open(name_or_path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = name_or_path.as_ref();
        // Compared as text: `./nearest-x2` is a file.
        if path.as_os_str() == nearest::NAME {
            return Ok(Self(Kind::Nearest(nearest::info())));
        }
        let read = |cause| Error::ReadModel {
            path: path.to_owned(),
            cause,
        };
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_bare_name(path) => {
                return Err(Error::UnknownModel {
                    name: path.display().to_string(),
                    known: NAMES,
                });
            }
            Err(error) => return Err(read(error)),
            Ok(file) if file.is_dir() => return Err(read(io::ErrorKind::IsADirectory.into())),
            // A device or a pipe may never end.
            Ok(file) if !file.is_file() => {
                return Err(read(io::Error::other("not a regular file")));
            }
            Ok(_) => {}
        }
        Ok(Self(Kind::Onnx(OnnxModel::open(path)?)))
    }

    /// What was found out about it.
    pub fn info(&self) -> &ModelInfo {
        match &self.0 {
            Kind::Nearest(info) => info,
            Kind::Onnx(model) => model.info(),
        }
    }

    /// `n` upscalers, one for each worker thread; each computes on one thread of its own.
    ///
    /// # Errors
    /// [`Error::Model`] when the file cannot be loaded again, [`Error::Run`] when a thread cannot be started.
    pub fn upscalers(&self, n: usize) -> Result<Vec<Box<dyn Upscaler>>, Error> {
        (0..n)
            .map(|worker| -> Result<Box<dyn Upscaler>, Error> {
                Ok(match &self.0 {
                    Kind::Nearest(_) => Box::new(Nearest::new()),
                    Kind::Onnx(model) => Box::new(model.upscaler(worker)?),
                })
            })
            .collect()
    }
}

/// True for what reads as a name rather than as a path that was mistyped.
fn is_bare_name(path: &Path) -> bool {
    path.components().count() == 1 && path.extension().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name_or_path: impl AsRef<Path>) -> Error {
        Model::open(name_or_path).err().expect("must not open")
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let text = error("neerest-x2").to_string();
        assert!(
            text.contains("nearest-x2") && text.ends_with(": neerest-x2"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_a_readable_file_is_an_error_that_ends_with_the_path() {
        for path in [
            "gone.onnx",
            "some/folder/gone",
            "/",
            "/dev/zero",
            "./nearest-x2",
        ] {
            let error = error(path);
            assert!(matches!(error, Error::ReadModel { .. }), "{error:?}");
            assert!(error.to_string().ends_with(path), "{error}");
        }
    }

    #[test]
    fn nearest_x2_needs_no_library_and_makes_as_many_workers_as_asked() {
        let model = Model::open("nearest-x2").unwrap();
        assert_eq!(model.info().scale, 2);
        assert_eq!(model.upscalers(3).unwrap().len(), 3);
        assert_eq!(model.upscalers(1).unwrap()[0].model(), model.info());
    }
}
