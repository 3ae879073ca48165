//! The models that come with the program: no file has to be there for them.

use std::ffi::OsStr;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::model::hexadecimal;
use crate::native::safetensors;
use crate::nearest;

/// Name of the model that is taken when none is named.
pub const DEFAULT_MODEL: &str = "lite-x2";

/// Every built-in model, the default one first.
pub const BUILTINS: &[Builtin] = &[
    Builtin {
        name: DEFAULT_MODEL,
        about: "a small network for drawn and filmed video, true to the source",
        scale: 2,
        licence: "MIT OR Apache-2.0",
        file: Some(include_bytes!(
            "../../../models/lite-x2/lite-x2.safetensors"
        )),
    },
    Builtin {
        name: nearest::NAME,
        about: "no network, repeats each pixel; for tests and measurements",
        scale: 2,
        licence: "MIT OR Apache-2.0",
        file: None,
    },
];

/// A model that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// The name it is asked for by.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Result size over input size of one pass.
    pub scale: u32,
    /// SPDX expression.
    pub licence: &'static str,
    /// A `.safetensors` file of the Compact family; none for the scaler without a network.
    pub(crate) file: Option<&'static [u8]>,
}

/// The size of a Compact network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels between the layers.
    pub channels: usize,
    /// Convolutions between the first and the last.
    pub layers: usize,
}

impl Builtin {
    /// Bytes of its file.
    pub fn file_bytes(&self) -> Option<usize> {
        self.file.map(<[u8]>::len)
    }

    /// SHA-256 of its file in lower-case hexadecimal.
    pub fn sha256(&self) -> Option<String> {
        self.file.map(|file| hexadecimal(&Sha256::digest(file)))
    }

    /// The size of its network.
    pub fn shape(&self) -> Option<Shape> {
        let network = safetensors::read(self.file?).ok()?;
        Some(Shape {
            channels: network.convs[0].n_out,
            layers: network.convs.len() - 2,
        })
    }
}

/// The built-in model of that name. Compared as text: `./lite-x2` is a file.
pub(crate) fn find(name: &Path) -> Option<&'static Builtin> {
    BUILTINS
        .iter()
        .find(|builtin| name.as_os_str() == OsStr::new(builtin.name))
}

/// The names in the order of [`BUILTINS`].
pub(crate) fn names() -> Vec<&'static str> {
    BUILTINS.iter().map(|builtin| builtin.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_file_is_a_small_compact_network_of_the_scale_that_is_told() {
        for builtin in BUILTINS {
            let Some(file) = builtin.file else { continue };
            assert!(file.len() <= 300_000, "{}: {}", builtin.name, file.len());
            let network = safetensors::read(file).unwrap();
            assert_eq!(network.scale(), builtin.scale as usize, "{}", builtin.name);
            let shape = builtin.shape().unwrap();
            assert!(shape.channels >= 1 && shape.layers >= 1, "{shape:?}");
        }
        let default = find(Path::new(DEFAULT_MODEL)).unwrap();
        assert_eq!((default.name, default.scale), (BUILTINS[0].name, 2));
        assert!(default.file.is_some());
    }

    #[test]
    fn the_files_are_those_whose_sums_are_published() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        for builtin in BUILTINS {
            let Some(sha256) = builtin.sha256() else {
                continue;
            };
            let name = builtin.name;
            let sums = fs::read_to_string(models.join(name).join("SHA256SUMS")).unwrap();
            let line = format!("{sha256}  {name}.safetensors");
            assert!(sums.lines().any(|found| found == line), "{line} in {sums}");
        }
    }

    #[test]
    fn a_name_is_found_as_it_is_written_only() {
        assert_eq!(find(Path::new("nearest-x2")).unwrap().name, "nearest-x2");
        for other in [
            "./lite-x2",
            "lite-x2/",
            "LITE-X2",
            "lite-x2.safetensors",
            "",
        ] {
            assert!(find(Path::new(other)).is_none(), "{other}");
        }
    }
}
