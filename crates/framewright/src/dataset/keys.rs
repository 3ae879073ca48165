//! What a result was made from, as a short key: the same key means that it need not be made again.
//!
//! Each stage's key holds that of the stage before, everything of the configuration that decides its result, and a
//! number that rises when the stage's own way of working changes. Which stages a run runs is no part of it: a later run of
//! other stages uses what is there.

use std::fmt::Write as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::config::Config;
use super::record::{Location, Video};

/// Rises when what a stage writes changes its meaning.
const VERSION: u32 = 1;

fn key(of: &Value) -> String {
    let mut hex = String::with_capacity(16);
    for byte in &Sha256::digest(of.to_string().as_bytes())[..8] {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Of the file: a local one is known by its size and time, so that a changed film is read again.
pub fn download(video: &Video, config: &Config) -> String {
    let of = match &video.location {
        Location::File(path) => json!(["file", path, stamp(path)]),
        Location::Http(url) => json!(["http", url]),
        Location::Page(url) => json!(["page", url, config.download.height]),
    };
    key(&json!([VERSION, of]))
}

fn stamp(path: &Path) -> Value {
    let Ok(metadata) = path.metadata() else {
        return Value::Null;
    };
    let changed = metadata.modified().ok();
    let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    json!([
        metadata.len(),
        changed.map(|time| time.as_nanos().to_string())
    ])
}

/// Which pictures of a video are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Of every frame that is looked at.
    All,
    /// Of the frames that the filter, and without models the search for duplicates, let pass.
    Survivors,
}

/// Of the rows and pictures of a video.
pub fn extract(downloaded_sha256: &str, config: &Config, written: Written) -> String {
    let extract = &config.extract;
    let rules = match written {
        Written::All => Value::Null,
        Written::Survivors => {
            let by_class = !config.filter.classes.is_empty();
            let detector = by_class.then(|| json!([config.detect.model, config.detect.min_score]));
            json!([config.filter, in_video(config), detector])
        }
    };
    let how = json!([
        extract.every,
        extract.format,
        extract.quality,
        extract.max_frames,
        extract.keep_damaged,
        config.dedup.flip
    ]);
    key(&json!([VERSION, downloaded_sha256, how, rules]))
}

/// What decides about duplicates within a video.
fn in_video(config: &Config) -> Value {
    let dedup = &config.dedup;
    json!([
        dedup.preset,
        dedup.dct,
        dedup.dhash,
        dedup.flip,
        dedup.embedding
    ])
}

/// Digests of the model files that a run uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelDigests {
    /// Of the detector.
    pub detector: Option<String>,
    /// Of the text pair and its tokenizer.
    pub text: Option<String>,
    /// Of the embedding network.
    pub embedding: Option<String>,
}

/// Of what the models said before duplicates were looked for.
pub fn filter(extract: &str, config: &Config, models: &ModelDigests) -> String {
    let filter = &config.filter;
    let shown = json!([
        filter.min_sharpness,
        filter.min_brightness,
        filter.max_brightness,
        filter.min_contrast,
        filter.max_border,
        filter.score_only
    ]);
    let detector = (!filter.classes.is_empty()).then(|| detector(config, models));
    let text = (!filter.text.is_empty()).then(|| json!([models.text, filter.text]));
    key(&json!([
        VERSION,
        extract,
        shown,
        filter.classes,
        filter.min_text_score,
        detector,
        text,
        models.embedding
    ]))
}

/// Of what the detector found in the pictures that are left.
pub fn detect(filter: &str, config: &Config, models: &ModelDigests) -> String {
    key(&json!([
        VERSION,
        filter,
        detector(config, models),
        in_video(config)
    ]))
}

fn detector(config: &Config, models: &ModelDigests) -> Value {
    let detect = &config.detect;
    json!([
        models.detector,
        detect.names,
        detect.min_score,
        detect.iou,
        detect.format,
        detect.norm
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::config::Every;

    #[test]
    fn what_changes_nothing_keeps_the_key_and_what_changes_pictures_does_not() {
        let config = Config::default();
        let mut other = config.clone();
        other.run.workers = Some(7);
        other.export.name = Some("a".into());
        other.split.seed = 3;
        let survivors = |config: &Config| extract("00", config, Written::Survivors);
        assert_eq!(survivors(&config), survivors(&other));
        other.extract.every = Every::Keyframes;
        assert_ne!(survivors(&config), survivors(&other));
        let mut other = config.clone();
        other.extract.keep_damaged = true;
        assert_ne!(survivors(&config), survivors(&other));
        let mut other = config.clone();
        other.detect.model = Some("detector.onnx".into());
        assert_eq!(survivors(&config), survivors(&other));
        other.filter.classes = vec!["cat".into()];
        assert_ne!(survivors(&config), survivors(&other));
        let mut other = config.clone();
        other.filter.min_sharpness = 10.0;
        let all = |config: &Config| extract("00", config, Written::All);
        assert_eq!(all(&config), all(&other));
    }

    #[test]
    fn a_film_that_was_written_anew_has_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let video = Video {
            video_id: 0.into(),
            order: crate::dataset::record::Order { line: 0, entry: 0 },
            source: "a.mp4".into(),
            location: Location::File(path.clone()),
        };
        let key = || download(&video, &Config::default());
        let absent = key();
        std::fs::write(&path, "one").unwrap();
        let first = key();
        std::fs::write(&path, "longer").unwrap();
        assert!(absent != first && first != key());
    }
}
