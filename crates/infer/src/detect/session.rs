//! One thread's detector.

use framewright_media::Picture;

use super::decode::candidates;
use super::nms::keep;
use super::{Detection, Plan};
use crate::ort::{Answer, Feed, RunFailure, TensorSession};
use crate::prepare::Place;
use crate::{Canceller, Error};

/// A detector for one thread: a session of ONNX Runtime with one compute thread, and its memory.
pub struct DetectorSession {
    plan: Plan,
    network: TensorSession,
    /// Kept for its memory.
    tensor: Vec<f32>,
}

impl DetectorSession {
    pub(super) fn new(plan: Plan, network: TensorSession) -> Self {
        Self {
            plan,
            network,
            tensor: Vec::new(),
        }
    }

    /// The objects in `picture`, best first; at most 300.
    ///
    /// The same picture gives the same answer, in every session of a [`Detector`](super::Detector).
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails, or the network's answer holds NaN, infinity or a class without a name;
    /// [`Error::Cancelled`] after its canceller was used.
    pub fn detect(&mut self, picture: &Picture) -> Result<Vec<Detection>, Error> {
        let failed = |problem| Error::Run {
            problem,
            model: self.plan.name.clone(),
        };
        let size = [picture.width, picture.height];
        if size.contains(&0) || picture.data.len() != 3 * size[0] * size[1] {
            let problem = format!(
                "a picture of {}x{} pixels cannot be looked at",
                size[0], size[1]
            );
            return Err(failed(problem));
        }
        let plan = &self.plan;
        let (answers, place) = look(&mut self.network, plan, picture, &mut self.tensor)
            .map_err(|failure| failure.into_error(&plan.name))?;
        let mut found =
            candidates(&plan.shaped, &answers, plan.size, plan.min_score).map_err(failed)?;
        keep(
            &mut found,
            plan.shaped.family.overlaps().then_some(plan.iou),
        );
        let mut detections = Vec::with_capacity(found.len());
        for one in found {
            if one.class as usize >= plan.classes {
                let problem = format!(
                    "the detector found class {}, but only {} have names; give the names of all classes",
                    one.class, plan.classes
                );
                return Err(failed(problem));
            }
            if let Some(bbox) = place.back(one.corners, size) {
                detections.push(Detection {
                    class: one.class,
                    score: one.score.clamp(0.0, 1.0),
                    bbox,
                });
            }
        }
        Ok(detections)
    }

    /// A handle that ends the search in progress, or the next one, from another thread.
    pub fn canceller(&self) -> Canceller {
        self.network.canceller()
    }
}

/// Runs the network on `picture` and says where in the input it lay.
pub(super) fn look(
    network: &mut TensorSession,
    plan: &Plan,
    picture: &Picture,
    tensor: &mut Vec<f32>,
) -> Result<(Vec<Answer>, Place), RunFailure> {
    let place = Place::new(plan.fit, [picture.width, picture.height], plan.size);
    place.fill(picture, plan.fit, &plan.norm, plan.size, tensor);
    Ok((run(network, plan.picture, plan.size, tensor)?, place))
}

/// Runs the network on a filled input. `picture` says which input is the picture; the others are told its size.
pub(super) fn run(
    network: &mut TensorSession,
    picture: usize,
    size: [usize; 2],
    tensor: &[f32],
) -> Result<Vec<Answer>, RunFailure> {
    let shape = [1, 3, size[1], size[0]];
    // Boxes are wanted in pixels of the input: they are brought into the picture here, as those of all families.
    let across = size.map(|side| side as i64);
    let down = [size[1] as f32, size[0] as f32];
    let feeds: Vec<Feed> = network
        .inputs
        .iter()
        .enumerate()
        .map(|(i, port)| match (i == picture, port.name.as_str()) {
            (true, _) => Feed::Floats(&shape, tensor),
            (false, "scale_factor") => Feed::Floats(&[1, 2], &[1.0, 1.0]),
            // PaddleDetection counts rows first.
            (false, "im_shape") => Feed::Floats(&[1, 2], &down),
            (false, _) => Feed::Integers(&[1, 2], &across),
        })
        .collect();
    network.run(&feeds)
}
