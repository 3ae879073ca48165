//! Object detectors in ONNX files: recognised from their graph, prepared for, decoded and sorted out by us.
//!
//! ```text
//! Detector::open(file)                               session()                detect(picture)
//!   facts.rs   metadata, operators, colours baked in    one per thread          ../prepare.rs  resize, lay, colours
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
mod session;
mod sniff;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;
use crate::model::{hexadecimal, read_file, stem};
use crate::ort::{Element, Port, TensorSession};
use crate::prepare::{Fit, Norm};
use facts::Facts;
use family::{Ends, Family, Shaped};
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

/// Finds the family; the error says why there is none.
fn recognise(
    network: &mut TensorSession,
    facts: &Facts,
    options: &DetectorOptions,
    name: String,
    sha256: String,
) -> Result<(Plan, DetectorInfo), String> {
    let forced = options
        .format
        .as_deref()
        .map(Family::from_word)
        .transpose()?;
    let norm = options.norm.as_deref().map(Norm::from_word).transpose()?;
    let mut notes = Vec::new();
    let picture = picture_input(&network.inputs)?;
    let size = input_size(&network.inputs[picture], facts, &mut notes);
    let said = facts.said("names");
    let in_file = said
        .and_then(names::parse)
        .filter(|names| !names.is_empty());
    if said.is_some() && in_file.is_none() {
        notes.push("the names of classes in the file cannot be read".to_owned());
    }
    let given = in_file.as_ref().or(options.names.as_ref());

    let tensor = vec![0.5; 3 * size[0] * size[1]];
    let failed = |failure: crate::ort::RunFailure| failure.into_problem();
    let shapes: Vec<Vec<usize>> = session::run(network, picture, size, &tensor)
        .map_err(failed)?
        .into_iter()
        .map(|answer| answer.shape)
        .collect();
    let (inputs, outputs) = (network.inputs.clone(), network.outputs.clone());
    let ends = Ends {
        facts,
        inputs: &inputs,
        outputs: &outputs,
        shapes: &shapes,
        size,
        names: given.map(Vec::len),
    };
    let help = |problem: String| {
        format!(
            "{problem} ({}); say what it is with --detector-format ({})",
            ends.describe(),
            Family::words()
        )
    };
    let possible = match forced {
        Some(family) => vec![sniff::forced(&ends, family).map_err(help)?],
        None => sniff::sniff(&ends).map_err(help)?,
    };

    let mut problem = String::new();
    for mut shaped in possible {
        let plan = |shaped: Shaped| Plan {
            name: name.clone(),
            norm: norm.unwrap_or_else(|| assumed_norm(&shaped, facts, &inputs[picture])),
            fit: shaped.family.fit(),
            size,
            picture,
            classes: 0,
            min_score: options.min_score,
            iou: options.iou,
            shaped,
        };
        let first = plan(shaped.clone());
        let (answers, _) =
            session::look(network, &first, &probe::picture(), &mut Vec::new()).map_err(failed)?;
        let free = facts.said("task").is_none() && forced.is_none();
        let sensible = probe::settle(&mut shaped, &answers, size, free)
            .and_then(|()| probe::check(&shaped, &answers, size));
        match (sensible, forced) {
            (Ok(()), _) => {}
            (Err(why), Some(_)) => {
                notes.push(format!("its answer to a test picture is strange: {why}"))
            }
            (Err(why), None) => {
                if problem.is_empty() {
                    problem = format!(
                        "this looks like the format {}, but {why}",
                        shaped.family.word()
                    );
                }
                continue;
            }
        }
        let mut plan = plan(shaped);
        let names = class_names(
            plan.shaped.classes,
            in_file,
            options.names.as_ref(),
            &mut notes,
        )
        .map_err(help)?;
        plan.classes = names.len();
        describe(&plan, facts, forced.is_some(), norm.is_some(), &mut notes);
        let info = DetectorInfo {
            name,
            sha256,
            family: plan.shaped.family.word(),
            norm: plan.norm.word,
            names,
            input: size,
            licence: facts.said("license").map(str::to_owned),
            notes,
        };
        return Ok((plan, info));
    }
    Err(help(problem))
}

/// Which input takes the picture.
fn picture_input(inputs: &[Port]) -> Result<usize, String> {
    let found = inputs.iter().position(|port| port.shape.len() == 4);
    let found = found.ok_or("the model takes no picture (an input of 4 dimensions)")?;
    let port = &inputs[found];
    let known = matches!(port.element, Element::F32 | Element::F16 | Element::U8);
    match port.shape[..] {
        _ if !known => Err("the model's input is neither float32, float16 nor uint8".to_owned()),
        [Some(batch), ..] if batch > 1 => Err(format!(
            "the model takes {batch} pictures at a time, export it with a batch of 1"
        )),
        [_, channels, _, Some(3)] if channels != Some(3) => {
            Err("the model wants the channels last (NHWC), export it as NCHW".to_owned())
        }
        [_, Some(channels), ..] if channels != 3 => Err(format!(
            "the model takes {channels} channels, a picture has 3"
        )),
        _ => Ok(found),
    }
}

/// Width and height of the input: the graph's, or what Ultralytics says, or 640.
fn input_size(port: &Port, facts: &Facts, notes: &mut Vec<String>) -> [usize; 2] {
    const USUAL: usize = 640;
    const LARGEST: usize = 8192;
    let fixed = [port.shape[3], port.shape[2]].map(|side| side.filter(|&side| side > 0));
    if let [Some(width), Some(height)] = fixed {
        return [width, height];
    }
    // "[640, 640]": rows first.
    let said: Vec<usize> = facts
        .said("imgsz")
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .filter(|side| (1..=LARGEST).contains(side))
        .collect();
    let usual = match said[..] {
        [height, width] => [width, height],
        [side] => [side, side],
        _ => [USUAL; 2],
    };
    let size = [0, 1].map(|axis| fixed[axis].unwrap_or(usual[axis]));
    notes.push(format!(
        "its input may have any size, {}x{} is used",
        size[0], size[1]
    ));
    size
}

/// The family's colours, or what a graph that subtracts a mean itself leaves to do.
fn assumed_norm(shaped: &Shaped, facts: &Facts, port: &Port) -> Norm {
    let norm = shaped.norm.unwrap_or_else(|| shaped.family.norm());
    match &facts.baked {
        _ if port.element == Element::U8 => norm.baked(true),
        Some(baked) => norm.baked(baked.bytes),
        None => norm,
    }
}

/// The names of the classes: the file's, or those given, or COCO's, or numbers.
fn class_names(
    classes: Option<usize>,
    in_file: Option<Vec<String>>,
    given: Option<&Vec<String>>,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, String> {
    if in_file.is_some() && given.is_some_and(|given| in_file.as_ref() != Some(given)) {
        notes.push("the file names its classes itself, the names given are not used".to_owned());
    }
    let (names, whose) = match (in_file, given) {
        (Some(names), _) => (names, "the file"),
        (None, Some(names)) => (names.clone(), "the list"),
        (None, None) => {
            let count = classes.unwrap_or(80);
            let Some(coco) = names::coco(count) else {
                notes.push(format!(
                    "its {count} classes have no names, they are called \"class 0\" and so on"
                ));
                return Ok((0..count).map(names::unnamed).collect());
            };
            let note = match classes {
                Some(_) => format!(
                    "the file names no classes: there are {count}, so COCO's names are assumed"
                ),
                None => "the file neither names nor counts its classes, COCO's 80 are assumed"
                    .to_owned(),
            };
            notes.push(note);
            return Ok(coco);
        }
    };
    match classes {
        Some(classes) if classes != names.len() => Err(format!(
            "{whose} names {} classes, the model has {classes}",
            names.len()
        )),
        _ => Ok(names),
    }
}

/// Adds what was concluded and assumed.
fn describe(plan: &Plan, facts: &Facts, forced: bool, norm_given: bool, notes: &mut Vec<String>) {
    let source = if forced {
        "as asked for"
    } else {
        "by its graph"
    };
    notes.insert(
        0,
        format!(
            "a detector of the format {}, {source}",
            plan.shaped.family.word()
        ),
    );
    notes.extend(plan.shaped.notes.iter().cloned());
    let colours = match &facts.baked {
        _ if norm_given => "as asked for".to_owned(),
        Some(baked) => format!(
            "assumed for this format; the graph begins with {} and so does the rest itself",
            baked.operators
        ),
        None => "assumed for this format, the graph does not show it (--detector-norm)".to_owned(),
    };
    notes.push(format!("it is given {}, {colours}", plan.norm.says));
    notes.push(format!("{}, as is usual for this format", plan.fit.says()));
    if let Some(licence) = facts.said("license") {
        notes.push(format!("the file states the licence {licence}"));
        if licence.contains("AGPL") {
            let note =
                "read what the AGPL asks before the model or what was made with it is passed on";
            notes.push(note.to_owned());
        }
    }
}
