//! Vectors of pictures and texts: CLIP and its kin, and any network that makes a vector of a picture.
//!
//! ```text
//! TextModel::open(vision, text, tokenizer)          PictureEmbedder::open(file)
//!   embed_texts(texts) ─▶ unit vectors                 │
//!   session() ─▶ EmbedSession, one per thread ◀────────┘ session()
//!                  embed(picture): look.rs resizes, crops, normalises ─▶ ONNX Runtime ─▶ unit vector
//! similarity(a, b): cosine, from -1 to 1
//! ```
//! How pictures are prepared comes from the file `preprocessor_config.json` beside the model, where exporters put one
//! (`config.rs`), else from what the model is taken for; [`EmbedInfo::notes`] says which.

mod config;
mod look;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::{hexadecimal, read_file, stem};
use crate::ort::TensorSession;
use crate::{Canceller, Error};
use framewright_media::Picture;
use look::{Kind, Look};
pub use text::TextModel;

/// What was found out about a model that makes vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedInfo {
    /// The name of the picture's side: its file without the extension.
    pub name: String,
    /// `clip`, `siglip` or `pictures`.
    pub kind: &'static str,
    /// SHA-256 of the file of the picture's side in lower-case hexadecimal.
    pub sha256: String,
    /// SHA-256 of the file of the text's side, where there is one.
    pub text_sha256: Option<String>,
    /// Width and height of the input.
    pub input: [usize; 2],
    /// Numbers in a vector.
    pub dimensions: usize,
    /// Sentences for the plan: how pictures and texts are prepared, and where that is from.
    pub notes: Vec<String>,
}

/// Any network that makes one vector of a picture; shared by the sessions of all threads.
pub struct PictureEmbedder {
    path: PathBuf,
    look: Look,
    info: EmbedInfo,
}

impl PictureEmbedder {
    /// Opens an `.onnx` file and runs it once.
    ///
    /// # Errors
    /// [`Error::ReadModel`] for a file that cannot be read, [`Error::Model`] for one that does not make a vector of a
    /// picture; [`Error::MissingLibrary`] and [`Error::Library`] when ONNX Runtime is not there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_as(path.as_ref(), None)
    }

    fn open_as(path: &Path, kind: Option<Kind>) -> Result<Self, Error> {
        let unfit = |problem| Error::Model {
            problem,
            path: path.to_owned(),
        };
        let sha256 = digest(path)?;
        let mut network = TensorSession::load(path)?;
        let mut notes = Vec::new();
        let look = Look::new(&network, path, kind, &mut notes).map_err(unfit)?;
        // Neither black nor white, whose vectors some networks make zero.
        let grey = Picture {
            width: 64,
            height: 48,
            data: (0..64 * 48 * 3).map(|i| (i % 251) as u8).collect(),
        };
        let mut tensor = Vec::new();
        let vector = look
            .vector(&mut network, &grey, &mut tensor)
            .map_err(|failure| unfit(failure.into_problem()))?;
        let info = EmbedInfo {
            name: stem(path),
            kind: look.kind.word(),
            sha256,
            text_sha256: None,
            input: look.size,
            dimensions: vector.len(),
            notes,
        };
        Ok(Self {
            path: path.to_owned(),
            look,
            info,
        })
    }

    /// What was found out when it was opened.
    pub fn info(&self) -> &EmbedInfo {
        &self.info
    }

    /// Loads the file once more, for one thread.
    ///
    /// # Errors
    /// As [`open`](Self::open), where the file is gone since.
    pub fn session(&self) -> Result<EmbedSession, Error> {
        Ok(EmbedSession {
            name: self.info.name.clone(),
            look: self.look.clone(),
            network: TensorSession::load(&self.path)?,
            tensor: Vec::new(),
        })
    }
}

/// Makes vectors of pictures, for one thread: a session of ONNX Runtime with one compute thread, and its memory.
pub struct EmbedSession {
    name: String,
    look: Look,
    network: TensorSession,
    /// Kept for its memory.
    tensor: Vec<f32>,
}

impl EmbedSession {
    /// The vector of `picture`, of length 1.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails or the vector is zero or holds NaN; [`Error::Cancelled`] after its canceller
    /// was used.
    pub fn embed(&mut self, picture: &Picture) -> Result<Vec<f32>, Error> {
        self.look
            .vector(&mut self.network, picture, &mut self.tensor)
            .map_err(|failure| failure.into_error(&self.name))
    }

    /// A handle that ends the run in progress, or the next one, from another thread.
    pub fn canceller(&self) -> Canceller {
        self.network.canceller()
    }
}

/// Cosine of the angle between two vectors of length 1, from -1 to 1.
///
/// # Panics
/// When they have different numbers of dimensions.
pub fn similarity(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one model");
    let sum: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    sum.clamp(-1.0, 1.0)
}

/// `vector` at length 1; the error says why it has no direction.
fn unit(vector: &[f32]) -> Result<Vec<f32>, String> {
    // In f64, so that numbers whose squares do not fit f32 have a length too.
    let square: f64 = vector.iter().map(|&value| f64::from(value).powi(2)).sum();
    if !square.is_finite() {
        return Err("the model gave a vector with NaN or infinity".to_owned());
    }
    if square == 0.0 {
        return Err("the model gave the vector zero, which is like nothing".to_owned());
    }
    let length = square.sqrt();
    Ok(vector
        .iter()
        .map(|&value| (f64::from(value) / length) as f32)
        .collect())
}

fn digest(path: &Path) -> Result<String, Error> {
    Ok(hexadecimal(&Sha256::digest(read_file(path)?)))
}
