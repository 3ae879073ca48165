//! Object detectors in ONNX files: recognised from their graph, prepared for, decoded and sorted out by us.
//!
//! ```text
//! Detector::open(file)                               session()                detect(picture)
//!   facts.rs   metadata, operators, colours baked in    one per thread          ../prepare.rs  resize, lay, colours
//!   recognise.rs, in which
//!   family.rs  which shapes each family has             DetectorSession         ONNX Runtime, one compute thread
//!   sniff.rs   six steps: which families it may be                              decode.rs  candidates
//!   probe.rs   a run: boxes and scores make sense                               nms.rs     best first, overlaps gone
//!   names.rs   what classes are called                                          Place::back  into the picture
//! ```
//! What the graph cannot show – colour order, scale, how pictures are laid into the input – is the habit of the family; each
//! assumption is a sentence in [`DetectorInfo::notes`].

mod decode;
mod facts;
mod family;
mod names;
mod nms;
mod probe;
mod recognise;
mod session;
mod sniff;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;
use crate::model::{hexadecimal, read_file, stem};
use crate::ort::TensorSession;
use crate::prepare::{Fit, Norm};
use facts::Facts;
use family::Shaped;
use recognise::recognise;
pub use session::DetectorSession;

/// What may be said of a detector beyond its file.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorOptions {
    /// The family, instead of what the graph shows: a word of [`DetectorInfo::family`].
    pub format: Option<String>,
    /// Colour order and scale of the input, instead of the family's: a word of [`DetectorInfo::norm`].
    pub norm: Option<String>,
    /// Names of the classes, where the file has none.
    pub names: Option<Vec<String>>,
    /// Least score of an object, 0 to 1.
    pub min_score: f32,
    /// Overlap (intersection over union) above which the weaker of two boxes of a class is dropped.
    pub iou: f32,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self {
            format: None,
            norm: None,
            names: None,
            min_score: 0.3,
            iou: 0.6,
        }
    }
}

/// What was found out about a detector; goes into the plan and the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectorInfo {
    /// The file's name without its extension.
    pub name: String,
    /// SHA-256 of the file in lower-case hexadecimal.
    pub sha256: String,
    /// The word of its family, such as `yolox`.
    pub family: &'static str,
    /// The word of its colour order and scale, such as `bgr-255`.
    pub norm: &'static str,
    /// Name of each class, by number.
    pub names: Vec<String>,
    /// Width and height of the network's input.
    pub input: [usize; 2],
    /// The licence that the file states.
    pub licence: Option<String>,
    /// Sentences for the plan: what was concluded from what, and what was assumed.
    pub notes: Vec<String>,
}

/// An object in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Its class, a number into [`DetectorInfo::names`].
    pub class: u32,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// Left, top, width and height in pixels of the picture; inside it and not empty.
    pub bbox: [f32; 4],
}

/// How pictures are brought to the network and its answers back.
#[derive(Debug, Clone)]
struct Plan {
    name: String,
    shaped: Shaped,
    norm: Norm,
    fit: Fit,
    /// Width and height of the input.
    size: [usize; 2],
    /// Which input is the picture.
    picture: usize,
    /// How many classes have names.
    classes: usize,
    min_score: f32,
    iou: f32,
}

/// A file that is known to be a detector; shared by the sessions of all threads.
pub struct Detector {
    path: PathBuf,
    plan: Plan,
    info: DetectorInfo,
}

impl Detector {
    /// Opens an `.onnx` file, recognises its family and runs it once on a picture made for that.
    ///
    /// # Errors
    /// [`Error::ReadModel`] for a file that cannot be read, [`Error::Model`] for one that is no detector of a known family
    /// – with the shapes that were seen – and for options that do not fit it; [`Error::MissingLibrary`] and
    /// [`Error::Library`] when ONNX Runtime is not there.
    pub fn open(path: impl AsRef<Path>, options: &DetectorOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let unfit = |problem| Error::Model {
            problem,
            path: path.to_owned(),
        };
        let file = read_file(path)?;
        let sha256 = hexadecimal(&Sha256::digest(&file));
        let facts = Facts::read(&file).map_err(unfit)?;
        drop(file);
        let mut network = TensorSession::load(path)?;
        let (plan, info) =
            recognise(&mut network, &facts, options, stem(path), sha256).map_err(unfit)?;
        Ok(Self {
            path: path.to_owned(),
            plan,
            info,
        })
    }

    /// What was found out when it was opened.
    pub fn info(&self) -> &DetectorInfo {
        &self.info
    }

    /// Loads the file once more, for one thread.
    ///
    /// # Errors
    /// As [`open`](Self::open), where the file is gone since.
    pub fn session(&self) -> Result<DetectorSession, Error> {
        let network = TensorSession::load(&self.path)?;
        Ok(DetectorSession::new(self.plan.clone(), network))
    }
}
