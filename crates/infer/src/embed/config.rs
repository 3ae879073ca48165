//! `preprocessor_config.json`: how Hugging Face's exporters say that pictures are prepared.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::resample::Filter;

/// What the file says; each part may be missing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Config {
    pub(super) mean: Option<[f32; 3]>,
    pub(super) deviation: Option<[f32; 3]>,
    pub(super) filter: Option<Filter>,
    /// Length that the shorter side is brought to.
    pub(super) shortest: Option<usize>,
    /// Width and height that pictures are stretched to.
    pub(super) stretched: Option<[usize; 2]>,
    /// Width and height that are cut out of the middle.
    pub(super) crop: Option<[usize; 2]>,
}

impl Config {
    /// The file in the folder of the model, or in the one above, since exporters put models into a folder `onnx`.
    pub(super) fn beside(model: &Path) -> Option<Self> {
        let folder = model.parent()?;
        let folders = [Some(folder), folder.parent()];
        let text = folders
            .into_iter()
            .flatten()
            .find_map(|folder| fs::read(folder.join("preprocessor_config.json")).ok())?;
        Some(Self::of(&serde_json::from_slice(&text).ok()?))
    }

    fn of(json: &Value) -> Self {
        let said = |key: &str| json[key].as_bool().unwrap_or(true);
        let normalises = said("do_normalize");
        let three = |key: &str, off: f32| {
            if !normalises {
                return Some([off; 3]);
            }
            let numbers = json[key].as_array()?;
            let numbers: Vec<f32> = numbers
                .iter()
                .filter_map(|n| n.as_f64().map(|n| n as f32))
                .collect();
            <[f32; 3]>::try_from(numbers).ok()
        };
        let size = &json["size"];
        let number = |value: &Value| {
            value
                .as_u64()
                .map(|n| n as usize)
                .filter(|n| (1..=8192).contains(n))
        };
        let sides = |value: &Value| match (number(&value["width"]), number(&value["height"])) {
            (Some(width), Some(height)) => Some([width, height]),
            _ => number(value).map(|side| [side, side]),
        };
        let crops = said("do_center_crop") && !json["crop_size"].is_null();
        let shortest = number(&size["shortest_edge"]).or_else(|| number(size).filter(|_| crops));
        Self {
            mean: three("image_mean", 0.0),
            deviation: three("image_std", 1.0),
            // Pillow's numbers.
            filter: match json["resample"].as_u64() {
                Some(2) => Some(Filter::Triangle),
                Some(3) => Some(Filter::Cubic),
                _ => None,
            },
            stretched: if shortest.is_none() {
                sides(size)
            } else {
                None
            },
            shortest,
            crop: if crops {
                sides(&json["crop_size"])
            } else {
                None
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::of(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn files_of_both_kinds_are_read() {
        let clip = config(
            r#"{"crop_size": 224, "do_center_crop": true, "do_normalize": true, "image_mean": [0.1, 0.2, 0.3],
                "image_std": [0.5, 0.6, 0.7], "resample": 3, "size": 224}"#,
        );
        assert_eq!(
            (clip.mean, clip.deviation),
            (Some([0.1, 0.2, 0.3]), Some([0.5, 0.6, 0.7]))
        );
        assert_eq!(
            (clip.shortest, clip.crop, clip.stretched),
            (Some(224), Some([224; 2]), None)
        );
        assert_eq!(clip.filter, Some(Filter::Cubic));

        let siglip = config(
            r#"{"do_normalize": true, "resample": 2, "size": {"height": 256, "width": 320}}"#,
        );
        assert_eq!(
            (siglip.shortest, siglip.crop, siglip.stretched),
            (None, None, Some([320, 256]))
        );
        assert_eq!((siglip.mean, siglip.filter), (None, Some(Filter::Triangle)));

        let dino = config(
            r#"{"crop_size": {"height": 224, "width": 224}, "size": {"shortest_edge": 256}}"#,
        );
        assert_eq!((dino.shortest, dino.crop), (Some(256), Some([224; 2])));
        assert_eq!(config(r#"{"do_normalize": false}"#).mean, Some([0.0; 3]));
        assert_eq!(config("[]"), Config::default());
    }
}
