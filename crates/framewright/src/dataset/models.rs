//! The networks that look at pictures: a detector, a pair that compares with text, one that embeds.
//!
//! A file is read and checked once; each worker has sessions of its own, of one thread each.

use std::path::Path;

use anyhow::Context as _;
use framewright_infer::detect::{Detector, DetectorOptions, DetectorSession};
use framewright_infer::embed::{EmbedSession, PictureEmbedder, TextModel, similarity};
use framewright_media::Picture;

use super::config::{Config, Stage};
use super::keys::ModelDigests;
use super::record::{Labels, Object};
use crate::bounded;
use crate::exit::{Exit, OrExit as _, fail};
use crate::notes::Notes;
use crate::upscale::trouble::marked;

/// Most bytes of a file of class names.
const MOST_NAMES_BYTES: u64 = 4 << 20;

/// The models of a run, opened and checked.
#[derive(Default)]
pub struct Models {
    detector: Option<Detector>,
    text: Option<Text>,
    embedder: Option<PictureEmbedder>,
    digests: ModelDigests,
    names: Vec<String>,
    licence: Option<String>,
}

struct Text {
    model: TextModel,
    /// The wanted texts as unit vectors.
    wanted: Vec<Vec<f32>>,
}

/// What one worker thread has of them. The default has none.
#[derive(Default)]
pub struct ModelWorker {
    detector: Option<DetectorSession>,
    text: Option<(EmbedSession, Vec<Vec<f32>>)>,
    embedder: Option<EmbedSession>,
}

impl Models {
    /// Opens what the configuration names, and says what is assumed of it.
    ///
    /// # Errors
    /// [`Exit::Config`] when a file is not such a model; [`Exit::Unavailable`] without ONNX Runtime.
    pub fn open(config: &Config, notes: &Notes) -> anyhow::Result<Self> {
        let mut models = Self::default();
        if let Some(path) = &config.detect.model {
            let detector = open_detector(path, config)?;
            let info = detector.info();
            for note in &info.notes {
                notes.warn(format!("{}: {note}", file_name(path)));
            }
            check_classes(config, &info.names)?;
            models.names.clone_from(&info.names);
            models.licence.clone_from(&info.licence);
            models.digests.detector = Some(info.sha256.clone());
            models.detector = Some(detector);
        }
        if let (false, Some(pair)) = (config.filter.text.is_empty(), &config.filter.text_model) {
            let model =
                TextModel::open(&pair.vision, &pair.text, &pair.tokenizer).map_err(marked)?;
            for note in &model.info().notes {
                notes.warn(format!("{}: {note}", file_name(&pair.vision)));
            }
            models.digests.text = Some(model.info().sha256.clone());
            let wanted = model.embed_texts(&config.filter.text).map_err(marked)?;
            models.text = Some(Text { model, wanted });
        }
        if let Some(embedding) = &config.dedup.embedding {
            let embedder = PictureEmbedder::open(&embedding.model).map_err(marked)?;
            for note in &embedder.info().notes {
                notes.warn(format!("{}: {note}", file_name(&embedding.model)));
            }
            models.digests.embedding = Some(embedder.info().sha256.clone());
            models.embedder = Some(embedder);
        }
        Ok(models)
    }

    /// Digests of the files.
    pub fn digests(&self) -> &ModelDigests {
        &self.digests
    }

    /// Names of the detector's classes, by number; empty without a detector.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The licence that the detector's file states.
    pub fn licence(&self) -> Option<&str> {
        self.licence.as_deref()
    }

    /// Workers with what the stages to run need.
    ///
    /// # Errors
    /// A session cannot be made.
    pub fn workers(&self, n: usize, config: &Config) -> anyhow::Result<Vec<ModelWorker>> {
        let runs = config.runs(Stage::Filter) || config.runs(Stage::Detect);
        let worker = || {
            if !runs {
                return Ok(ModelWorker::default());
            }
            let text = match &self.text {
                Some(text) => Some((text.model.session().map_err(marked)?, text.wanted.clone())),
                None => None,
            };
            let detector = self.detector.as_ref().map(Detector::session);
            let embedder = self.embedder.as_ref().map(PictureEmbedder::session);
            Ok(ModelWorker {
                detector: detector.transpose().map_err(marked)?,
                text,
                embedder: embedder.transpose().map_err(marked)?,
            })
        };
        (0..n).map(|_| worker()).collect()
    }
}

fn open_detector(path: &Path, config: &Config) -> anyhow::Result<Detector> {
    let detect = &config.detect;
    let names = detect.names.as_deref().map(read_names).transpose()?;
    let options = DetectorOptions {
        format: detect.format.clone(),
        norm: detect.norm.clone(),
        names,
        min_score: detect.min_score,
        iou: detect.iou,
    };
    Detector::open(path, &options).map_err(marked)
}

fn read_names(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = bounded::read_text(path, MOST_NAMES_BYTES)
        .with_context(|| format!("cannot read the class names {}", path.display()))
        .or_exit(Exit::Config)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// A class that the detector does not know would silently drop everything.
fn check_classes(config: &Config, names: &[String]) -> anyhow::Result<()> {
    let wanted = config.filter.classes.iter().chain(&config.detect.classes);
    let mut unknown: Vec<&str> = wanted
        .filter(|class| !names.contains(class))
        .map(String::as_str)
        .collect();
    unknown.dedup();
    if unknown.is_empty() {
        return Ok(());
    }
    let known = names
        .iter()
        .take(12)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let more = if names.len() > 12 { ", …" } else { "" };
    let message = format!(
        "the detector does not know the class {}; it knows {known}{more}",
        unknown.join(", ")
    );
    Err(fail(Exit::Config, message))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

impl ModelWorker {
    /// What has to be known of a picture before duplicates are looked for.
    ///
    /// # Errors
    /// A network failed.
    pub fn judge(&mut self, picture: &Picture, config: &Config) -> anyhow::Result<Labels> {
        let mut labels = Labels::default();
        if !config.filter.classes.is_empty() {
            labels.objects = Some(self.detect(picture)?);
        }
        if let Some((session, wanted)) = &mut self.text {
            let vector = session.embed(picture).map_err(marked)?;
            let scores = wanted.iter().map(|text| similarity(&vector, text));
            labels.text_score = scores.reduce(f32::max);
        }
        if let Some(session) = &mut self.embedder {
            labels.embedding = Some(session.embed(picture).map_err(marked)?);
        }
        Ok(labels)
    }

    /// The objects in a picture, best first.
    ///
    /// # Errors
    /// The network failed.
    pub fn detect(&mut self, picture: &Picture) -> anyhow::Result<Vec<Object>> {
        let session = self
            .detector
            .as_mut()
            .context("a worker that detects has a detector")?;
        let found = session.detect(picture).map_err(marked)?;
        let object = |found: framewright_infer::detect::Detection| Object {
            class: found.class,
            score: found.score,
            bbox: found.bbox,
        };
        Ok(found.into_iter().map(object).collect())
    }
}
