//! A model by name or file, opened, checked and ready to make workers.

use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::native::{Arithmetic, Isa, NativeModel, Network, NotCompact, onnx, safetensors};
use crate::nearest::{self, Nearest};
use crate::ort::OnnxModel;
use crate::{Error, ModelInfo, Upscaler};

/// The names that need no file.
pub const NAMES: &[&str] = &[nearest::NAME];

/// What is to run a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Engine {
    /// [`Native`](Self::Native) where it can, else [`Ort`](Self::Ort).
    #[default]
    Auto,
    /// Our own kernels, for networks of the Compact family.
    Native,
    /// ONNX Runtime, for any ONNX file.
    Ort,
}

/// The arithmetic that is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// The fastest that the engine does well on this machine.
    #[default]
    Auto,
    /// 32-bit floating point.
    Fp32,
    /// Products of bfloat16, sums in fp32.
    Bf16,
}

/// Engine and arithmetic, as asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice {
    /// What is to run the model.
    pub engine: Engine,
    /// The arithmetic.
    pub precision: Precision,
}

/// A model that was found to work on this machine.
pub struct Model(Kind);

enum Kind {
    Nearest(ModelInfo),
    Native(NativeModel),
    Onnx(OnnxModel),
}

impl Model {
    /// Opens one of [`NAMES`], or else the `.onnx` or `.safetensors` file of that path.
    ///
    /// A network of the Compact family runs on the engine `native`, if `choice` does not say otherwise. Any other ONNX
    /// file is loaded by ONNX Runtime and run on a few small pictures, which tells its scale and what sizes it takes;
    /// that is done once here, not in every worker.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::ReadModel`] and [`Error::Model`] for a wrong name or file, or for a file that
    /// the engine asked for does not run; [`Error::Precision`] for an arithmetic that it does not have here,
    /// [`Error::Processor`] for a `FRAMEWRIGHT_ISA` that this processor does not have;
    /// [`Error::MissingLibrary`] and [`Error::Library`] when ONNX Runtime is needed and is not there.
    pub fn open(name_or_path: impl AsRef<Path>, choice: Choice) -> Result<Self, Error> {
        let path = name_or_path.as_ref();
        // Compared as text: `./nearest-x2` is a file.
        if path.as_os_str() == nearest::NAME {
            return Ok(Self(Kind::Nearest(nearest::info())));
        }
        let file = read(path)?;
        let sha256 = hexadecimal(&Sha256::digest(&file));
        let kind = match network(path, &file, choice.engine)? {
            Ok(network) => Kind::Native(native(&network, choice.precision, stem(path), sha256)?),
            Err(NotCompact(_)) if choice.precision == Precision::Bf16 => {
                return Err(Error::Precision {
                    problem: "ONNX Runtime computes this model in fp32".to_owned(),
                });
            }
            Err(NotCompact(why)) => {
                let mut model = OnnxModel::open(path, sha256)?;
                model.note(format!("engine ort: {why}"));
                Kind::Onnx(model)
            }
        };
        Ok(Self(kind))
    }

    /// What was found out about it.
    pub fn info(&self) -> &ModelInfo {
        match &self.0 {
            Kind::Nearest(info) => info,
            Kind::Native(model) => model.info(),
            Kind::Onnx(model) => model.info(),
        }
    }

    /// Bytes that each upscaler takes for pictures of `width` × `height`, without the pictures themselves.
    ///
    /// Exact for the engine `native`. For `ort` an estimate: what a network of 64 channels was measured to take.
    pub fn worker_bytes(&self, width: usize, height: usize) -> u64 {
        // Five layers' worth of activations in fp32 are alive at once (ONNX Runtime 1.31).
        const ORT_BYTES_PER_PIXEL: u64 = 5 * 64 * 4;
        match &self.0 {
            Kind::Nearest(_) => 0,
            Kind::Native(model) => model.worker_bytes(width, height),
            Kind::Onnx(_) => ORT_BYTES_PER_PIXEL * (width * height) as u64,
        }
    }

    /// `n` upscalers, one for each worker thread; each computes on one thread.
    ///
    /// # Errors
    /// [`Error::Model`] when the file cannot be loaded again, [`Error::Run`] when a thread cannot be started.
    pub fn upscalers(&self, n: usize) -> Result<Vec<Box<dyn Upscaler>>, Error> {
        (0..n)
            .map(|worker| -> Result<Box<dyn Upscaler>, Error> {
                Ok(match &self.0 {
                    Kind::Nearest(_) => Box::new(Nearest::new()),
                    Kind::Native(model) => Box::new(model.upscaler()),
                    Kind::Onnx(model) => Box::new(model.upscaler(worker)?),
                })
            })
            .collect()
    }
}

/// The bytes of a model file.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let cannot = |cause| Error::ReadModel {
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
        Err(error) => return Err(cannot(error)),
        Ok(file) if file.is_dir() => return Err(cannot(io::ErrorKind::IsADirectory.into())),
        // A device or a pipe may never end.
        Ok(file) if !file.is_file() => return Err(cannot(io::Error::other("not a regular file"))),
        Ok(_) => {}
    }
    fs::read(path).map_err(cannot)
}

/// The network in `file` for the engine `native`, or why ONNX Runtime takes the file.
///
/// The outer error is for a file that cannot go there either.
fn network(path: &Path, file: &[u8], engine: Engine) -> Result<Result<Network, NotCompact>, Error> {
    let unfit = |problem: String| Error::Model {
        problem,
        path: path.to_owned(),
    };
    if file.is_empty() {
        return Err(unfit("the model file is empty".to_owned()));
    }
    let is_safetensors = path
        .extension()
        .is_some_and(|extension| extension == "safetensors");
    if engine == Engine::Ort {
        if is_safetensors {
            return Err(unfit(
                "ONNX Runtime runs .onnx files only, leave out --engine ort".to_owned(),
            ));
        }
        return Ok(Err(NotCompact("asked for".to_owned())));
    }
    let network = if is_safetensors {
        safetensors::read(file)
    } else {
        onnx::read(file)
    };
    match network {
        Err(NotCompact(why)) if is_safetensors || engine == Engine::Native => {
            let way_out = if is_safetensors {
                "export it as .onnx"
            } else {
                "leave out --engine native"
            };
            Err(unfit(format!(
                "the engine native runs networks of the Compact family only ({why}), {way_out}"
            )))
        }
        network => Ok(network),
    }
}

/// `network` on the instruction set and in the arithmetic that this machine, the environment and the user have chosen.
fn native(
    network: &Network,
    precision: Precision,
    name: String,
    sha256: String,
) -> Result<NativeModel, Error> {
    let isa = isa(env::var_os("FRAMEWRIGHT_ISA"))?;
    let bf16 = precision == Precision::Bf16 || (precision == Precision::Auto && isa.has_bf16());
    let arithmetic = if bf16 {
        Arithmetic::Bf16
    } else {
        Arithmetic::Fp32
    };
    NativeModel::new(network, isa, arithmetic, name, sha256).ok_or_else(|| Error::Precision {
        problem: format!("{isa} has no bf16 products, they need AVX512-BF16"),
    })
}

/// The best instruction set, or the one that is asked for.
fn isa(asked: Option<OsString>) -> Result<Isa, Error> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Ok(Isa::best());
    };
    Isa::available()
        .find(|isa| asked == isa.key())
        .ok_or_else(|| Error::Processor {
            asked: asked.to_string_lossy().into_owned(),
            known: Isa::available().map(Isa::key).collect(),
        })
}

/// The name of a model: its file's name without the extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

/// True for what reads as a name rather than as a path that was mistyped.
fn is_bare_name(path: &Path) -> bool {
    path.components().count() == 1 && path.extension().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name_or_path: impl AsRef<Path>) -> Error {
        Model::open(name_or_path, Choice::default())
            .err()
            .expect("must not open")
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
    fn the_instruction_set_asked_for_is_taken_if_it_is_there() {
        assert_eq!(isa(None).unwrap(), Isa::best());
        assert_eq!(isa(Some(OsString::new())).unwrap(), Isa::best());
        for available in Isa::available() {
            assert_eq!(isa(Some(available.key().into())).unwrap(), available);
        }
        let text = isa(Some("avx1024".into())).unwrap_err().to_string();
        assert!(
            text.contains("portable") && text.ends_with(": avx1024"),
            "{text}"
        );
    }

    #[test]
    fn nearest_x2_needs_no_library_and_makes_as_many_workers_as_asked() {
        let model = Model::open("nearest-x2", Choice::default()).unwrap();
        assert_eq!(model.info().scale, 2);
        assert_eq!(model.upscalers(3).unwrap().len(), 3);
        assert_eq!(model.upscalers(1).unwrap()[0].model(), model.info());
    }
}
