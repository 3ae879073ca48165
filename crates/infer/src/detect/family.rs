//! The kinds of detectors: how each takes a picture, and what its outputs look like.

use super::facts::Facts;
use crate::ort::Port;
use crate::prepare::{Fit, Norm};
use crate::resample::Filter;

/// A way in which detectors take pictures and give boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `[1, 4 + classes, anchors]`: centre and size in pixels of the input, scores. `YOLOv8` and later, `YOLOv5u`.
    Yolo,
    /// `[1, n, 6]`: corners in pixels of the input, score, class; overlaps are gone. `YOLOv10`, YOLO26, `nms=True`.
    YoloEnd,
    /// `[1, queries, 6]` or `[1, queries, 4 + classes]`: centre and size as parts of the input. Ultralytics' RT-DETR.
    RtDetr,
    /// `labels`, `boxes`, `scores` for `orig_target_sizes`. RT-DETR, D-FINE, DEIM.
    DetrDeploy,
    /// Boxes `[1, queries, 4]` as parts of the input and one independent score for each class. RF-DETR.
    Detr,
    /// As before, with classes that exclude each other, the last of which is "nothing". DETR, YOLOS.
    DetrSoftmax,
    /// `[1, anchors, 5 + classes]`, places relative to the grid of strides 8, 16 and 32.
    YoloX,
    /// The same, computed to pixels of the input.
    YoloXDecoded,
    /// `[1, 3 · anchors, 5 + classes]` in pixels of the input. `YOLOv5`, `YOLOv7`; `YOLOv6` with one anchor.
    YoloV5,
    /// `[n, 7]`: picture, corners in pixels of the input, class, score. `YOLOv7` with `--end2end`.
    YoloV7End,
    /// `[1, anchors, classes + 4 · bins]`: scores, then how likely each distance is. `NanoDet-Plus`.
    NanoDet,
    /// The same in an output of scores and one of distances for each stride.
    PicoDet,
    /// `[1, 5 + classes, rows, columns]` of the stride 16.
    FastestDet,
    /// `[n, 6]`: class, score, corners, for `image` and `scale_factor`. `PaddleDetection`.
    Paddle,
}

/// All of them with the word that chooses each.
const WORDS: [(&str, Family); 14] = [
    ("yolo", Family::Yolo),
    ("yolo-end2end", Family::YoloEnd),
    ("ultralytics-rtdetr", Family::RtDetr),
    ("detr-deploy", Family::DetrDeploy),
    ("detr", Family::Detr),
    ("detr-softmax", Family::DetrSoftmax),
    ("yolox", Family::YoloX),
    ("yolox-decoded", Family::YoloXDecoded),
    ("yolov5", Family::YoloV5),
    ("yolov7-end2end", Family::YoloV7End),
    ("nanodet", Family::NanoDet),
    ("picodet", Family::PicoDet),
    ("fastestdet", Family::FastestDet),
    ("paddle", Family::Paddle),
];

impl Family {
    /// The words that [`from_word`](Self::from_word) knows.
    pub(super) fn words() -> String {
        WORDS.map(|(word, _)| word).join(", ")
    }

    pub(super) fn from_word(word: &str) -> Result<Self, String> {
        let known = WORDS.iter().find(|(known, _)| *known == word);
        known.map(|&(_, family)| family).ok_or_else(|| {
            format!(
                "unknown detector format {word:?}, known are {}",
                Self::words()
            )
        })
    }

    pub(super) fn word(self) -> &'static str {
        let known = WORDS.iter().find(|(_, family)| *family == self);
        known.expect("every family has a word").0
    }

    /// The colours it was trained with.
    pub(super) fn norm(self) -> Norm {
        match self {
            Self::YoloX | Self::YoloXDecoded => Norm::BGR_255,
            Self::NanoDet => Norm::BGR_IMAGENET,
            Self::FastestDet => Norm::BGR_1,
            Self::Detr | Self::DetrSoftmax | Self::PicoDet | Self::Paddle => Norm::RGB_IMAGENET,
            Self::Yolo
            | Self::YoloEnd
            | Self::RtDetr
            | Self::DetrDeploy
            | Self::YoloV5
            | Self::YoloV7End => Norm::RGB_1,
        }
    }

    pub(super) fn fit(self) -> Fit {
        match self {
            Self::Yolo | Self::YoloEnd | Self::YoloV5 | Self::YoloV7End => Fit::Middle,
            Self::YoloX | Self::YoloXDecoded => Fit::Corner,
            Self::DetrDeploy | Self::Detr | Self::DetrSoftmax => Fit::Stretch(Filter::Triangle),
            Self::RtDetr | Self::NanoDet | Self::PicoDet | Self::FastestDet | Self::Paddle => {
                Fit::Stretch(Filter::Linear)
            }
        }
    }

    /// True where boxes of one object may overlap and the weaker ones are for us to drop.
    pub(super) fn overlaps(self) -> bool {
        match self {
            Self::Yolo
            | Self::YoloX
            | Self::YoloXDecoded
            | Self::YoloV5
            | Self::NanoDet
            | Self::PicoDet
            | Self::FastestDet => true,
            Self::YoloEnd
            | Self::RtDetr
            | Self::DetrDeploy
            | Self::Detr
            | Self::DetrSoftmax
            | Self::YoloV7End
            | Self::Paddle => false,
        }
    }
}

/// What stands on the graph's ends, as found by running it once.
pub(super) struct Ends<'a> {
    pub(super) facts: &'a Facts,
    pub(super) inputs: &'a [Port],
    pub(super) outputs: &'a [Port],
    /// The outputs' real shapes.
    pub(super) shapes: &'a [Vec<usize>],
    /// Width and height of the input.
    pub(super) size: [usize; 2],
    /// How many classes have names in the file or in the options.
    pub(super) names: Option<usize>,
}

/// A family that the outputs have the shapes of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shaped {
    pub(super) family: Family,
    /// Number of classes; none where the outputs do not show it.
    pub(super) classes: Option<usize>,
    /// Which outputs are read, in the family's order.
    pub(super) outputs: Vec<usize>,
    /// Strides of the grid, where the family has one.
    pub(super) strides: Vec<usize>,
    /// Boxes as parts of the input although the family has pixels.
    pub(super) fractions: bool,
    /// Scores are to be put through a sigmoid.
    pub(super) logits: bool,
    /// Colours where they are not the family's.
    pub(super) norm: Option<Norm>,
    /// Sentences on what was concluded.
    pub(super) notes: Vec<String>,
}

impl Ends<'_> {
    /// The shapes in words, for errors.
    pub(super) fn describe(&self) -> String {
        let shapes = self.outputs.iter().zip(self.shapes);
        let words: Vec<_> = shapes
            .map(|(port, shape)| format!("{} {shape:?}", port.name))
            .collect();
        format!(
            "input {}x{}, outputs {}",
            self.size[0],
            self.size[1],
            words.join(", ")
        )
    }

    /// Points of the grids of `strides`.
    pub(super) fn anchors(&self, strides: &[usize]) -> usize {
        let points =
            |stride: &usize| self.size[0].div_ceil(*stride) * self.size[1].div_ceil(*stride);
        strides.iter().map(points).sum()
    }

    /// `family` if the outputs can be its.
    pub(super) fn shaped(&self, family: Family) -> Option<Shaped> {
        let first = self.shapes.first()?.as_slice();
        let (mut classes, mut outputs, mut strides) = (None, vec![0], Vec::new());
        match (family, first) {
            (Family::Yolo, &[1, values, _]) if values > 4 => {
                classes = Some(
                    self.names
                        .filter(|&n| self.has_extras() && n <= values - 4)
                        .unwrap_or(values - 4),
                );
            }
            // These do not show how many classes there are.
            (Family::YoloEnd, &[1, _, 6..=usize::MAX])
            | (Family::RtDetr, &[1, _, 6])
            | (Family::YoloV7End, &[_, 7]) => {}
            (Family::RtDetr, &[1, _, values]) if values > 4 => classes = Some(values - 4),
            (Family::YoloX | Family::YoloXDecoded | Family::YoloV5, &[1, anchors, values])
                if values > 5 =>
            {
                classes = Some(values - 5);
                if family == Family::YoloX {
                    strides = self.grid(anchors)?;
                }
            }
            (Family::NanoDet, &[1, anchors, values]) => {
                strides = self.grid(anchors)?;
                classes = Some(self.distance_classes(values)?);
            }
            (Family::FastestDet, &[1, values, height, width])
                if values > 5 && [16 * width, 16 * height] == self.size =>
            {
                classes = Some(values - 5);
            }
            (Family::Paddle, &[_, 6]) if self.paddle() => {}
            (Family::DetrDeploy, _) => outputs = self.deployed()?,
            (Family::Detr | Family::DetrSoftmax, _) => {
                outputs = self.queries()?;
                let scores = *self.shapes[outputs[1]].last()?;
                classes = Some(scores - usize::from(family == Family::DetrSoftmax));
            }
            (Family::PicoDet, _) => {
                (outputs, strides) = self.pairs()?;
                classes = self.shapes[outputs[0]].last().copied();
            }
            _ => return None,
        }
        Some(Shaped {
            family,
            classes,
            outputs,
            strides,
            fractions: false,
            logits: false,
            norm: None,
            notes: Vec::new(),
        })
    }

    /// The outputs may hold masks or key points after the scores.
    pub(super) fn has_extras(&self) -> bool {
        matches!(self.facts.said("task"), Some("segment" | "pose"))
    }

    /// The strides of a grid with that many points.
    fn grid(&self, anchors: usize) -> Option<Vec<usize>> {
        const STRIDES: [usize; 4] = [8, 16, 32, 64];
        [3, 4]
            .into_iter()
            .map(|count| &STRIDES[..count])
            .find(|strides| self.anchors(strides) == anchors)
            .map(<[usize]>::to_vec)
    }

    /// Classes of a `NanoDet` row: what the four distances leave, which have 8 bins unless the names say otherwise.
    pub(super) fn distance_classes(&self, values: usize) -> Option<usize> {
        let classes = match self.names {
            Some(names)
                if values > names && (values - names).is_multiple_of(4) && values - names >= 8 =>
            {
                names
            }
            _ => values.checked_sub(32)?,
        };
        (classes > 0).then_some(classes)
    }

    fn named(&self, names: &[&str]) -> Option<usize> {
        self.outputs
            .iter()
            .position(|port| names.contains(&port.name.as_str()))
    }

    /// Labels, boxes and scores.
    fn deployed(&self) -> Option<Vec<usize>> {
        let sizes = self.inputs.get(1)?;
        if !sizes.element.is_integer() && !sizes.name.contains("size") {
            return None;
        }
        let boxes = self
            .shapes
            .iter()
            .position(|shape| matches!(shape[..], [1, _, 4]))?;
        let rows = &self.shapes[boxes][..2];
        let list = |integer: bool| {
            let fits = |&i: &usize| {
                self.shapes[i] == rows && self.outputs[i].element.is_integer() == integer
            };
            (0..self.shapes.len()).find(fits)
        };
        Some(vec![
            self.named(&["labels"]).or_else(|| list(true))?,
            boxes,
            self.named(&["scores"]).or_else(|| list(false))?,
        ])
        .filter(|found| self.shapes[found[0]] == rows && self.shapes[found[2]] == rows)
    }

    /// Boxes and scores of queries.
    fn queries(&self) -> Option<Vec<usize>> {
        let floats =
            |&i: &usize| !self.outputs[i].element.is_integer() && self.shapes[i].len() == 3;
        let is_boxes = |&i: &usize| floats(&i) && self.shapes[i][2] == 4;
        let boxes = self
            .named(&["dets", "pred_boxes", "boxes"])
            .filter(is_boxes)
            .or_else(|| (0..self.shapes.len()).find(is_boxes))?;
        let is_scores =
            |&i: &usize| i != boxes && floats(&i) && self.shapes[i][..2] == self.shapes[boxes][..2];
        let scores = self
            .named(&["labels", "logits", "pred_logits", "scores"])
            .filter(is_scores)
            .or_else(|| (0..self.shapes.len()).find(is_scores))?;
        let enough = self.shapes[boxes][0] == 1 && self.shapes[scores][2] > 1;
        enough.then(|| vec![boxes, scores])
    }

    /// Scores and distances by stride, scores first, and the strides.
    fn pairs(&self) -> Option<(Vec<usize>, Vec<usize>)> {
        let count = self.shapes.len() / 2;
        if !matches!(self.shapes.len(), 6 | 8) {
            return None;
        }
        let strides = [8, 16, 32, 64][..count].to_vec();
        let (mut scores, mut distances) = (Vec::new(), Vec::new());
        for stride in &strides {
            let points = self.anchors(&[*stride]);
            let fits = |&i: &usize| matches!(self.shapes[i][..], [1, n, _] if n == points);
            let both: Vec<usize> = (0..self.shapes.len()).filter(fits).collect();
            let &[a, b] = both.as_slice() else {
                return None;
            };
            // Exporters write all scores before all distances, or the two of a stride in turn.
            scores.push(a);
            distances.push(b);
        }
        let last = |i: &usize| self.shapes[*i][2];
        let alike = |all: &[usize]| all.iter().all(|i| last(i) == last(&all[0]));
        let fits = alike(&scores) && alike(&distances) && last(&distances[0]).is_multiple_of(4);
        fits.then(|| ([scores, distances].concat(), strides))
    }

    /// `PaddleDetection`'s inputs.
    fn paddle(&self) -> bool {
        self.inputs.len() > 1 && self.inputs.iter().any(|port| port.name == "scale_factor")
    }
}
