//! Scores and hashes of a frame, and whether it gets a picture.

use framewright_hash::{Fingerprint, Leaders, Luma, Measurer, Query};
use framewright_media::{Luma8, Orientation, Sample};

use super::protocol::{Extract, Write};
use crate::dataset::dedup;
use crate::dataset::filter::quality_drop;
use crate::dataset::record::{Frame, Mirrored, Scores};

/// The row of a frame, without its picture.
pub(super) fn measure(
    sample: &Sample,
    orientation: Orientation,
    request: &Extract,
    measurer: &mut Measurer,
) -> Frame {
    let luma = sample.frame.luma8().upright(orientation);
    let mut seen = measurer.see(&plane(&luma));
    let (scores, upright) = (seen.scores(), seen.fingerprint());
    let mirrored = request.mirrored.then(|| seen.mirrored());
    Frame {
        image_id: format!("{}_{:08}", request.video_id, sample.frame_index),
        frame_index: sample.frame_index,
        pts_secs: sample.pts_secs,
        keyframe: sample.keyframe,
        scores: Scores {
            sharpness: scores.sharpness,
            brightness: scores.brightness,
            contrast: scores.contrast,
            border: scores.border,
        },
        dct: upright.dct,
        dhash: upright.dhash,
        mirrored: mirrored.map(|print| Mirrored {
            dct: print.dct,
            dhash: print.dhash,
        }),
        file: None,
        sha256: None,
    }
}

fn plane<'a>(luma: &'a Luma8<'_>) -> Luma<'a> {
    Luma {
        width: luma.width,
        height: luma.height,
        stride: luma.stride,
        data: &luma.data,
        full_range: luma.full_range,
    }
}

/// Decides which frames get a picture, one after the other.
pub(super) struct Survivors<'a> {
    write: &'a Write,
    leaders: Option<Leaders>,
}

impl<'a> Survivors<'a> {
    pub(super) fn new(write: &'a Write) -> Self {
        let leaders = match write {
            Write::Survivors {
                filter,
                dedup: Some(config),
            } => dedup::thresholds(config, filter.min_contrast).map(Leaders::new),
            _ => None,
        };
        Self { write, leaders }
    }

    /// Whether the frame gets a picture: what the filter and the search for duplicates drop of the rows later does not
    /// need one.
    pub(super) fn keeps(&mut self, frame: &Frame) -> bool {
        let Write::Survivors { filter, dedup } = self.write else {
            return true;
        };
        if quality_drop(&frame.scores, filter).is_some() {
            return false;
        }
        let (Some(leaders), Some(config)) = (&mut self.leaders, dedup) else {
            return true;
        };
        let upright = dedup::fingerprint(frame);
        let mirrored = frame.mirrored.filter(|_| config.flip);
        let query = Query {
            upright,
            mirrored: mirrored.map(|print| Fingerprint {
                dct: print.dct,
                dhash: print.dhash,
                ..upright
            }),
        };
        leaders.see(&query).is_none()
    }
}
