//! The picture's side: how a picture is prepared, and which output is its vector.

use std::path::Path;

use framewright_media::Picture;

use super::config::Config;
use super::unit;
use crate::ort::{Answer, Element, Feed, Port, RunFailure, TensorSession};
use crate::prepare::{Norm, fill_middle};
use crate::resample::{Filter, resize};

/// What a model is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The shorter side is brought to the input's, bicubic, and the middle taken; mean and deviation are CLIP's own.
    Clip,
    /// Stretched to the input; from -1 to 1.
    SigLip,
    /// As `ImageNet`'s pictures are usually looked at: the middle 224 of 256.
    Pictures,
}

/// The means and standard deviations that CLIP was trained with.
const CLIP: ([f32; 3], [f32; 3]) = (
    [0.481_454_67, 0.457_827_5, 0.408_210_72],
    [0.268_629_55, 0.261_302_6, 0.275_777_1],
);
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::SigLip => "siglip",
            Self::Pictures => "pictures",
        }
    }
}

/// How pictures are looked at.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) kind: Kind,
    /// Width and height of the input.
    pub(super) size: [usize; 2],
    norm: Norm,
    filter: Filter,
    /// What the shorter side is brought to before the middle is taken; none to stretch.
    shortest: Option<usize>,
    output: Output,
}

/// Where a vector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) index: usize,
    /// The output has a vector for each part: the rank is 3.
    pub(super) is_sequence: bool,
}

impl Look {
    /// For the network of the file `path`, which is `kind` where the caller knows it.
    pub(super) fn new(
        network: &TensorSession,
        path: &Path,
        kind: Option<Kind>,
        notes: &mut Vec<String>,
    ) -> Result<Self, String> {
        let input = picture_input(&network.inputs)?;
        let output = output(
            &network.outputs,
            &[
                "image_embeds",
                "image_features",
                "pooler_output",
                "embedding",
            ],
        )?;
        let named = network.outputs[output.index].name == "image_embeds";
        let kind = kind.unwrap_or(if named { Kind::Clip } else { Kind::Pictures });
        let config = Config::beside(path);
        let source = if config.is_some() {
            "by the preprocessor_config.json beside it, and where that is silent as usual for its kind"
        } else {
            "as usual for its kind, which the file does not say"
        };
        let config = config.unwrap_or_default();
        let fixed = [input.shape[3], input.shape[2]].map(|side| side.filter(|&side| side > 0));
        let usual = config.crop.or(config.stretched).unwrap_or([224; 2]);
        let size = [0, 1].map(|axis| fixed[axis].unwrap_or(usual[axis]));
        if fixed.contains(&None) {
            notes.push(format!(
                "its input may have any size, {}x{} is used",
                size[0], size[1]
            ));
        }
        let short = size[0].min(size[1]);
        let (mean, deviation) = match kind {
            Kind::Clip => CLIP,
            Kind::SigLip => ([0.5; 3], [0.5; 3]),
            Kind::Pictures => IMAGENET,
        };
        let shortest = match kind {
            _ if config.stretched.is_some() => None,
            Kind::SigLip => None,
            Kind::Clip => Some(short),
            Kind::Pictures => Some((short * 256).div_ceil(224)),
        };
        let look = Self {
            kind,
            size,
            norm: Norm::of(
                config.mean.unwrap_or(mean),
                config.deviation.unwrap_or(deviation),
            ),
            filter: config.filter.unwrap_or(match kind {
                Kind::Clip | Kind::SigLip => Filter::Cubic,
                Kind::Pictures => Filter::Triangle,
            }),
            shortest: config
                .shortest
                .or(shortest)
                .filter(|_| config.stretched.is_none()),
            output,
        };
        notes.push(look.describe(source));
        if output.is_sequence {
            let name = &network.outputs[output.index].name;
            notes.push(format!("the first vector of the output {name} is taken, there is none for the whole picture"));
        }
        Ok(look)
    }

    fn describe(&self, source: &str) -> String {
        let filter = match self.filter {
            Filter::Cubic => "bicubic",
            Filter::Linear | Filter::Triangle => "bilinear",
        };
        let way = match self.shortest {
            Some(side) => {
                format!("the shorter side to {side} pixels ({filter}) and the middle of it")
            }
            None => format!("stretched ({filter})"),
        };
        let kind = self.kind.word();
        format!("taken for a model of the kind {kind}: RGB, {way}, mean and deviation {source}")
    }

    /// The unit vector of `picture`.
    pub(super) fn vector(
        &self,
        network: &mut TensorSession,
        picture: &Picture,
        tensor: &mut Vec<f32>,
    ) -> Result<Vec<f32>, RunFailure> {
        let (width, height) = (picture.width, picture.height);
        if width == 0 || height == 0 || picture.data.len() != 3 * width * height {
            let problem = format!("a picture of {width}x{height} pixels cannot be looked at");
            return Err(RunFailure::Problem(problem));
        }
        let [width, height] = self.resized([width, height]);
        let resized = resize(picture, width, height, self.filter);
        fill_middle(&resized, &self.norm, self.size, tensor);
        let answers = network.run(&[Feed::Floats(&[1, 3, self.size[1], self.size[0]], tensor)])?;
        let answer = answers
            .get(self.output.index)
            .ok_or_else(|| RunFailure::Problem("an output is missing".to_owned()))?;
        unit(row(answer, self.output, 0)).map_err(RunFailure::Problem)
    }

    /// Width and height that a picture is resized to; at least the input's.
    fn resized(&self, from: [usize; 2]) -> [usize; 2] {
        let Some(shortest) = self.shortest else {
            return self.size;
        };
        let short = from[0].min(from[1]);
        // The longer side is cut to whole pixels, as the reference implementations do.
        [0, 1].map(|axis| (shortest * from[axis] / short).max(self.size[axis]))
    }
}

/// Longest side of an input.
const LARGEST: usize = 8192;

/// The one input, which has to be a picture.
fn picture_input(inputs: &[Port]) -> Result<&Port, String> {
    let [port] = inputs else {
        let names: Vec<_> = inputs.iter().map(|port| port.name.as_str()).collect();
        return Err(format!(
            "the model has the inputs {}, one picture is wanted; export the picture's side alone",
            names.join(", ")
        ));
    };
    match port.shape[..] {
        [batch, channels, _, _]
            if batch.is_none_or(|n| n == 1) && channels.is_none_or(|n| n == 3) => {}
        _ => {
            return Err(
                "the model does not take a picture (float32 [1, 3, height, width])".to_owned(),
            );
        }
    }
    if let Some(side) = port.shape[2..]
        .iter()
        .flatten()
        .find(|&&side| side > LARGEST)
    {
        return Err(format!(
            "the model's input has a side of {side} pixels, {LARGEST} is the most"
        ));
    }
    match port.element {
        Element::F32 | Element::F16 => Ok(port),
        _ => Err("the model's input is neither float32 nor float16".to_owned()),
    }
}

/// The output that is a vector: one of these names, the first as long as it has one, else the first of rank 2; of a
/// sequence of vectors only where there is nothing else.
pub(super) fn output(outputs: &[Port], names: &[&str]) -> Result<Output, String> {
    let is_float = |port: &Port| matches!(port.element, Element::F32 | Element::F16);
    // An undeclared shape may be anything.
    let is_vector = |port: &Port| {
        let shape = &port.shape[..];
        // A map of features has no single place.
        let pooled = |side: &Option<usize>| side.is_none_or(|side| side == 1);
        is_float(port)
            && (matches!(shape, [] | [_, _]) || (shape.len() == 4 && shape[2..].iter().all(pooled)))
    };
    let named = names.iter().find_map(|name| {
        outputs
            .iter()
            .position(|port| port.name == *name && is_vector(port))
    });
    if let Some(index) = named.or_else(|| outputs.iter().position(is_vector)) {
        return Ok(Output {
            index,
            is_sequence: false,
        });
    }
    let sequence = outputs
        .iter()
        .position(|port| is_float(port) && port.shape.len() == 3);
    sequence
        .map(|index| Output {
            index,
            is_sequence: true,
        })
        .ok_or_else(|| "the model gives no vector".to_owned())
}

/// The vector of an answer; of a sequence the one at `place`.
pub(super) fn row(answer: &Answer, output: Output, place: usize) -> &[f32] {
    if !output.is_sequence {
        return &answer.values;
    }
    let length = answer.shape.last().copied().unwrap_or_default();
    answer
        .values
        .get(place * length..(place + 1) * length)
        .unwrap_or_default()
}
