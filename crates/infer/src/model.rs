//! A model by name or file, opened, checked and ready to make workers.

use std::borrow::Cow;
use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::builtin::{self, Builtin};
use crate::native::{
    Arithmetic, Incremental, Isa, NativeModel, Network, NotCompact, onnx, safetensors,
};
use crate::nearest::{self, Nearest};
use crate::ort::OnnxModel;
use crate::passes::{self, Passes};
use crate::{Error, ModelInfo, Upscaler};

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
pub struct Model {
    kind: Kind,
    /// Of all passes together.
    info: ModelInfo,
}

enum Kind {
    Nearest(ModelInfo),
    Native(NativeModel),
    Onnx(OnnxModel),
}

impl Kind {
    /// What was found out about one pass.
    fn info(&self) -> &ModelInfo {
        match self {
            Self::Nearest(info) => info,
            Self::Native(model) => model.info(),
            Self::Onnx(model) => model.info(),
        }
    }
}

impl Model {
    /// Opens one of [`BUILTINS`](crate::BUILTINS) by its name, or else the `.onnx` or `.safetensors` file of that path.
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
        Self::open_within(name_or_path, choice, u64::MAX)
    }

    /// As [`open`](Self::open), where running it on those pictures takes no more than `memory_bytes`, as far as the file
    /// states its sizes.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::Model`] for a network that takes more.
    pub fn open_within(
        name_or_path: impl AsRef<Path>,
        choice: Choice,
        memory_bytes: u64,
    ) -> Result<Self, Error> {
        let path = name_or_path.as_ref();
        let (file, is_safetensors) = match builtin::find(path) {
            Some(Builtin { file: None, .. }) => {
                return Ok(Self::in_one_pass(Kind::Nearest(nearest::info())));
            }
            Some(Builtin {
                file: Some(file), ..
            }) => (Cow::Borrowed(*file), true),
            None => (Cow::Owned(read(path)?), is_safetensors(path)),
        };
        let sha256 = hexadecimal(&Sha256::digest(&file));
        let kind = match network(path, &file, is_safetensors, choice.engine)? {
            Ok(network) => Kind::Native(native(&network, choice.precision, stem(path), sha256)?),
            Err(NotCompact(_)) if choice.precision == Precision::Bf16 => {
                return Err(Error::Precision {
                    problem: "ONNX Runtime computes this model in fp32".to_owned(),
                });
            }
            Err(NotCompact(why)) => {
                let mut model = OnnxModel::open(path, &file, sha256, memory_bytes)?;
                model.note(format!("engine ort: {why}"));
                Kind::Onnx(model)
            }
        };
        Ok(Self::in_one_pass(kind))
    }

    fn in_one_pass(kind: Kind) -> Self {
        let info = kind.info().clone();
        Self { kind, info }
    }

    /// The same model for `scale` times the size: its own scale, or a power of it up to 16 in as many passes.
    ///
    /// # Errors
    /// [`Error::Scale`] for any other scale.
    pub fn with_scale(mut self, scale: u32) -> Result<Self, Error> {
        let one = self.kind.info();
        let known = passes::scales(one.scale);
        let Some(place) = known.iter().position(|&known| known == scale) else {
            return Err(Error::Scale {
                asked: scale,
                model: one.name.clone(),
                known,
            });
        };
        self.info = passes::info(one, place as u32 + 1);
        Ok(self)
    }

    /// What was found out about it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Bytes that each upscaler takes for pictures of `width` × `height`, without the pictures themselves: the network's
    /// in its last and largest pass, and the pictures between the passes.
    ///
    /// Exact for the engine `native`. For `ort` an estimate by the layers of its graph.
    pub fn worker_bytes(&self, width: usize, height: usize) -> u64 {
        let (own, passes) = (self.kind.info().scale, self.info.passes);
        let between = passes::between_bytes(own, passes, width, height);
        let (width, height) = passes::largest_input(own, passes, width, height);
        between
            + match &self.kind {
                Kind::Nearest(_) => 0,
                Kind::Native(model) => model.worker_bytes(width, height),
                Kind::Onnx(model) => model.activation_bytes(width, height),
            }
    }

    /// Bytes of the state that workers of [`incremental`](Self::incremental) share, for pictures of `width` × `height`; none
    /// where the engine keeps none, or the model runs in several passes.
    pub fn incremental_bytes(&self, width: usize, height: usize) -> Option<u64> {
        let model = self.keeps_state()?;
        Some(model.incremental_bytes(width, height))
    }

    /// `n` workers that bring one kept state of the network from picture to picture, each `width` × `height` pixels large;
    /// none where [`incremental_bytes`](Self::incremental_bytes) says none. The state takes memory as it is filled.
    pub fn incremental(&self, width: usize, height: usize, n: usize) -> Option<Vec<Incremental>> {
        let model = self.keeps_state()?;
        Some(model.incremental(width, height, n))
    }

    fn keeps_state(&self) -> Option<&NativeModel> {
        match &self.kind {
            Kind::Native(model) if self.info.passes == 1 => Some(model),
            _ => None,
        }
    }

    /// `n` upscalers, one for each worker thread; each computes on one thread.
    ///
    /// # Errors
    /// [`Error::Model`] when the file cannot be loaded again, [`Error::Run`] when a thread cannot be started.
    pub fn upscalers(&self, n: usize) -> Result<Vec<Box<dyn Upscaler>>, Error> {
        (0..n)
            .map(|worker| {
                let one: Box<dyn Upscaler> = match &self.kind {
                    Kind::Nearest(_) => Box::new(Nearest::new()),
                    Kind::Native(model) => Box::new(model.upscaler()),
                    Kind::Onnx(model) => Box::new(model.upscaler(worker)?),
                };
                Ok(match self.info.passes {
                    1 => one,
                    _ => Box::new(Passes::new(one, self.info.clone())),
                })
            })
            .collect()
    }
}

/// The bytes of a model file.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    match read_file(path) {
        Err(Error::ReadModel { cause, .. })
            if cause.kind() == io::ErrorKind::NotFound && is_bare_name(path) =>
        {
            Err(Error::UnknownModel {
                name: path.display().to_string(),
                known: builtin::names(),
            })
        }
        read => read,
    }
}

/// The bytes of a file that has no name of ours.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let cannot = |cause| Error::ReadModel {
        path: path.to_owned(),
        cause,
    };
    match fs::metadata(path) {
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
fn network(
    path: &Path,
    file: &[u8],
    is_safetensors: bool,
    engine: Engine,
) -> Result<Result<Network, NotCompact>, Error> {
    let unfit = |problem: String| Error::Model {
        problem,
        path: path.to_owned(),
    };
    if file.is_empty() {
        return Err(unfit("the model file is empty".to_owned()));
    }
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

/// True for a file that its name says to be one.
fn is_safetensors(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "safetensors")
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

/// Lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
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
mod tests;
