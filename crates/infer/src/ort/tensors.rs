//! A network that is more than a picture to a picture: any tensors in, any out.
//!
//! Numbers go in and come out as `f32` and `i64` here; what type the file wants them in is looked up at its inputs.
//! A run is ended by its [`Canceller`] after the node of the graph it is in, which is short in networks of this kind.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use half::f16;
use half::slice::HalfFloatSliceExt;
use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, TensorRef, ValueType};

use super::session::{create, load_problem};
use super::{environment, one_line};
use crate::{Canceller, Error};

/// The type of a tensor's values, as far as they are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F16,
    I64,
    I32,
    U8,
    Other,
}

impl Element {
    fn of(element: TensorElementType) -> Self {
        match element {
            TensorElementType::Float32 => Self::F32,
            TensorElementType::Float16 => Self::F16,
            TensorElementType::Int64 => Self::I64,
            TensorElementType::Int32 => Self::I32,
            TensorElementType::Uint8 => Self::U8,
            _ => Self::Other,
        }
    }

    /// True for numbers that count or name something.
    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::I64 | Self::I32)
    }
}

/// An input or output as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) element: Element,
    /// None for a dimension that is not fixed; empty where nothing is declared.
    pub(crate) shape: Vec<Option<usize>>,
}

impl Port {
    fn new(outlet: &Outlet) -> Self {
        let (element, shape) = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => (
                Element::of(*ty),
                shape.iter().map(|&dim| usize::try_from(dim).ok()).collect(),
            ),
            _ => (Element::Other, Vec::new()),
        };
        Self {
            name: outlet.name().to_owned(),
            element,
            shape,
        }
    }
}

/// What goes into an input.
pub(crate) enum Feed<'a> {
    /// Becomes float32, float16 or, rounded, uint8.
    Floats(&'a [usize], &'a [f32]),
    /// Becomes int64, int32 or float32.
    Integers(&'a [usize], &'a [i64]),
}

/// An output. Integers are exact up to 2²⁴.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum RunFailure {
    Cancelled,
    /// What is wrong, in words.
    Problem(String),
}

impl RunFailure {
    /// What is wrong, in words.
    pub(crate) fn into_problem(self) -> String {
        match self {
            Self::Cancelled => "cancelled".to_owned(),
            Self::Problem(problem) => problem,
        }
    }

    /// The error for `model`.
    pub(crate) fn into_error(self, model: &str) -> Error {
        match self {
            Self::Cancelled => Error::Cancelled,
            Self::Problem(problem) => Error::Run {
                problem,
                model: model.to_owned(),
            },
        }
    }
}

/// A session with one compute thread.
pub(crate) struct TensorSession {
    session: Session,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    options: Arc<RunOptions>,
    cancelled: Arc<AtomicBool>,
}

impl TensorSession {
    /// Loads a file.
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        let unfit = |problem| Error::Model {
            problem,
            path: path.to_owned(),
        };
        let session = create(&environment()?, path).map_err(|error| unfit(load_problem(&error)))?;
        let options = RunOptions::new().map_err(|error| unfit(one_line(error.message())))?;
        Ok(Self {
            inputs: session.inputs().iter().map(Port::new).collect(),
            outputs: session.outputs().iter().map(Port::new).collect(),
            session,
            options: Arc::new(options),
            cancelled: Arc::default(),
        })
    }

    /// Runs the network; `feeds` are its inputs in their order.
    pub(crate) fn run(&mut self, feeds: &[Feed]) -> Result<Vec<Answer>, RunFailure> {
        if self.cancelled.load(Ordering::Acquire) {
            return Err(RunFailure::Cancelled);
        }
        let result = self.run_through(feeds);
        if self.cancelled.load(Ordering::Acquire) {
            return Err(RunFailure::Cancelled);
        }
        result.map_err(|error| RunFailure::Problem(one_line(error.message())))
    }

    fn run_through(&mut self, feeds: &[Feed]) -> Result<Vec<Answer>, ort::Error> {
        let values = feeds
            .iter()
            .zip(&self.inputs)
            .map(|(feed, port)| value(feed, port.element))
            .collect::<Result<Vec<_>, _>>()?;
        let answers = self.session.run_with_options(&values[..], &*self.options)?;
        answers.values().map(|value| answer(&value)).collect()
    }

    /// A handle that ends this and every later run.
    pub(crate) fn canceller(&self) -> Canceller {
        let (cancelled, options) = (Arc::clone(&self.cancelled), Arc::clone(&self.options));
        Canceller::new(move || {
            cancelled.store(true, Ordering::Release);
            // Fails only for a null pointer; without it the run would merely go on to its end.
            let _ = options.terminate();
        })
    }
}

/// `feed` as ONNX Runtime takes it for an input of type `element`.
fn value<'a>(feed: &Feed<'a>, element: Element) -> Result<SessionInputValue<'a>, ort::Error> {
    Ok(match (feed, element) {
        (&Feed::Floats(shape, values), Element::F16) => {
            let mut half = vec![f16::ZERO; values.len()];
            half.convert_from_f32_slice(values);
            Tensor::from_array((shape.to_vec(), half))?.into()
        }
        (&Feed::Floats(shape, values), Element::U8) => {
            let bytes: Vec<u8> = values.iter().map(|value| value.round() as u8).collect();
            Tensor::from_array((shape.to_vec(), bytes))?.into()
        }
        (&Feed::Floats(shape, values), _) => {
            TensorRef::from_array_view((shape.to_vec(), values))?.into()
        }
        (&Feed::Integers(shape, values), Element::I32) => {
            let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
            Tensor::from_array((shape.to_vec(), values))?.into()
        }
        (&Feed::Integers(shape, values), Element::F32) => {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            Tensor::from_array((shape.to_vec(), values))?.into()
        }
        (&Feed::Integers(shape, values), _) => {
            TensorRef::from_array_view((shape.to_vec(), values))?.into()
        }
    })
}

fn answer(value: &DynValue) -> Result<Answer, ort::Error> {
    let element = match value.dtype() {
        ValueType::Tensor { ty, .. } => Element::of(*ty),
        _ => Element::Other,
    };
    let (shape, values) = match element {
        Element::F16 => {
            let (shape, values) = value.try_extract_tensor::<f16>()?;
            (shape, values.to_f32_vec())
        }
        Element::I64 => {
            let (shape, values) = value.try_extract_tensor::<i64>()?;
            (shape, values.iter().map(|&value| value as f32).collect())
        }
        Element::I32 => {
            let (shape, values) = value.try_extract_tensor::<i32>()?;
            (shape, values.iter().map(|&value| value as f32).collect())
        }
        Element::U8 => {
            let (shape, values) = value.try_extract_tensor::<u8>()?;
            (shape, values.iter().map(|&value| value as f32).collect())
        }
        // Of another type: ONNX Runtime says so.
        Element::F32 | Element::Other => {
            let (shape, values) = value.try_extract_tensor::<f32>()?;
            (shape, values.to_vec())
        }
    };
    Ok(Answer {
        shape: shape.iter().map(|&dim| dim as usize).collect(),
        values,
    })
}
