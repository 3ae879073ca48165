//! A network loaded by ONNX Runtime: RGB tensor in, RGB tensor out.

use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::{RunOptions, Session};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use ort::{ErrorCode, inputs};

use framewright_media::PlanarRgb;

use super::one_line;
use crate::Region;
use crate::finite::NotFinite;
use crate::pad::{crop_into, pad_into};

/// The type of a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
}

/// A picture as the network takes it, `[1, 3, height, width]`.
pub(super) struct Input {
    width: usize,
    height: usize,
    values: InputValues,
}

enum InputValues {
    F32(Vec<f32>),
    F16(Vec<f16>),
}

impl Input {
    /// An empty tensor that will hold values of type `element`.
    pub(super) fn new(element: Element) -> Self {
        let values = match element {
            Element::F32 => InputValues::F32(Vec::new()),
            Element::F16 => InputValues::F16(Vec::new()),
        };
        Self {
            width: 0,
            height: 0,
            values,
        }
    }

    /// Takes the part `read` of `picture`, continued to `place`.
    pub(super) fn fill(&mut self, picture: &PlanarRgb, read: &Region, place: &Region) {
        (self.width, self.height) = (place.width(), place.height());
        match &mut self.values {
            InputValues::F32(to) => {
                pad_into(picture, read, place, to, <[f32]>::copy_from_slice);
            }
            InputValues::F16(to) => {
                pad_into(picture, read, place, to, <[f16]>::convert_from_f32_slice);
            }
        }
    }
}

/// The network's answer, `[1, 3, height, width]`, borrowed from ONNX Runtime.
pub(super) struct Output<'a> {
    pub(super) shape: &'a [i64],
    values: OutputValues<'a>,
}

enum OutputValues<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

impl Output<'_> {
    /// Checks that the answer is one RGB picture, `scale` times as large as `input`.
    pub(super) fn check(&self, input: &Input, scale: usize) -> Result<(), String> {
        let (width, height) = (input.width, input.height);
        if self.shape == [1, 3, (scale * height) as i64, (scale * width) as i64] {
            return Ok(());
        }
        Err(format!(
            "the model answered a {width}x{height} picture with a tensor {:?}, {scale} times its size was expected",
            self.shape
        ))
    }

    /// Writes the part from the column and row `from` on, as large as `picture` is. The shape must have been checked.
    pub(super) fn crop_into(
        &self,
        from: [usize; 2],
        picture: &mut PlanarRgb,
    ) -> Result<(), NotFinite> {
        let width = self.shape[3] as usize;
        match self.values {
            OutputValues::F32(values) => {
                crop_into(values, width, from, picture, <[f32]>::copy_from_slice)
            }
            OutputValues::F16(values) => crop_into(values, width, from, picture, |to, row| {
                row.convert_to_f32_slice(to);
            }),
        }
    }
}

/// A session with one compute thread, its input and output known to be RGB pictures of any size.
pub(super) struct Network {
    session: Session,
    pub(super) input: Element,
    output: Element,
}

impl Network {
    /// Loads a file; the error says what is wrong with it.
    pub(super) fn load(environment: &Environment, path: &Path) -> Result<Self, String> {
        let session = create(environment, path).map_err(|error| load_problem(&error))?;
        let input = one(session.inputs(), "input")?;
        let output = one(session.outputs(), "output")?;
        let (input, output) = (check_input(input)?, check_output(output)?);
        Ok(Self {
            session,
            input,
            output,
        })
    }

    /// Runs the network and hands its answer to `read`.
    pub(super) fn run<R>(
        &mut self,
        input: &Input,
        options: &RunOptions,
        read: impl FnOnce(&Output) -> R,
    ) -> Result<R, ort::Error> {
        let shape = [1, 3, input.height, input.width];
        let answer = match &input.values {
            InputValues::F32(values) => self.session.run_with_options(
                inputs![TensorRef::from_array_view((shape, &values[..]))?],
                options,
            ),
            InputValues::F16(values) => self.session.run_with_options(
                inputs![TensorRef::from_array_view((shape, &values[..]))?],
                options,
            ),
        }?;
        let (shape, values) = match self.output {
            Element::F32 => {
                let (shape, values) = answer[0].try_extract_tensor()?;
                (shape, OutputValues::F32(values))
            }
            Element::F16 => {
                let (shape, values) = answer[0].try_extract_tensor()?;
                (shape, OutputValues::F16(values))
            }
        };
        Ok(read(&Output { shape, values }))
    }
}

pub(super) fn create(environment: &Environment, path: &Path) -> Result<Session, ort::Error> {
    Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_log_level(LogLevel::Fatal)?
        // With a pattern the second run takes all activations as one block, while the arena keeps the pieces of the
        // first (realesr-animevideov3-x2 at 640x360: peak 505 MB with, 322 MB without, the same time).
        .with_memory_pattern(false)?
        .commit_from_file(path)
}

pub(super) fn load_problem(error: &ort::Error) -> String {
    match error.code() {
        ErrorCode::InvalidProtobuf => "this is not an ONNX model".to_owned(),
        _ => format!(
            "ONNX Runtime does not load this model: {}",
            one_line(error.message())
        ),
    }
}

fn one<'a>(outlets: &'a [Outlet], what: &str) -> Result<&'a Outlet, String> {
    if let [outlet] = outlets {
        return Ok(outlet);
    }
    let names: Vec<_> = outlets.iter().map(Outlet::name).collect();
    Err(format!(
        "the model has {} {what}s ({}), an upscaler has one",
        outlets.len(),
        names.join(", ")
    ))
}

/// Everything about the input can be told from its declaration.
fn check_input(outlet: &Outlet) -> Result<Element, String> {
    let (element, shape) = tensor(outlet, "input")?;
    let &[batch, channels, height, width] = shape else {
        return Err(format!(
            "the input has {} dimensions, a picture has 4 (batch, channels, height, width)",
            shape.len()
        ));
    };
    // -1 stands for a dimension that is not fixed.
    if batch > 1 {
        return Err(format!(
            "the model takes {batch} pictures at a time, export it with a batch of 1 or a dynamic one"
        ));
    }
    if width == 3 && channels != 3 {
        return Err("the model wants the channels last (NHWC), export it as NCHW".to_owned());
    }
    if channels != 3 && channels != -1 {
        return Err(format!(
            "the model takes {channels} channels, a picture has 3 (RGB)"
        ));
    }
    if height != -1 || width != -1 {
        let side = |side: i64| {
            if side == -1 {
                "any".to_owned()
            } else {
                side.to_string()
            }
        };
        let (width, height) = (side(width), side(height));
        return Err(format!(
            "the model was exported for the fixed size {width}x{height}, export it again with dynamic height and width"
        ));
    }
    Ok(element)
}

/// Exporters often declare the output's shape wrongly or not at all; the probe tells it. The type is reliable.
fn check_output(outlet: &Outlet) -> Result<Element, String> {
    Ok(tensor(outlet, "output")?.0)
}

fn tensor<'a>(outlet: &'a Outlet, what: &str) -> Result<(Element, &'a [i64]), String> {
    match outlet.dtype() {
        ValueType::Tensor {
            ty: TensorElementType::Float32,
            shape,
            ..
        } => Ok((Element::F32, &shape[..])),
        ValueType::Tensor {
            ty: TensorElementType::Float16,
            shape,
            ..
        } => Ok((Element::F16, &shape[..])),
        ValueType::Tensor { ty, .. } => {
            let ty = format!("{ty:?}").to_lowercase();
            Err(format!(
                "the {what} is of type {ty}, only float32 and float16 are known"
            ))
        }
        _ => Err(format!("the {what} is not a tensor")),
    }
}
