//! The last step of recognising a detector: what it says of a picture has to make sense.

use framewright_media::Picture;

use super::decode::candidates;
use super::family::{Family, Shaped};
use crate::ort::Answer;

/// A picture with edges and colours, made by arithmetic: detectors are not asked what they see in it, only where.
pub(super) fn picture() -> Picture {
    let (width, height) = (640usize, 480usize);
    let mut data = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let inside = x.abs_diff(width / 2).pow(2) + y.abs_diff(height / 2).pow(2) < 150 * 150;
            let block = (x / 80 + y / 60) % 2 * 60;
            let shade = if inside { 200 } else { block + 40 };
            // Red by shade, green growing to the right, blue downwards.
            data.extend([shade, x * 255 / width, y * 255 / height].map(|v| v as u8));
        }
    }
    Picture {
        width,
        height,
        data,
    }
}

/// Finds out what the shapes did not show: whether scores are logits and boxes parts of the input. `free` is false where
/// the file has said in what units its boxes are.
pub(super) fn settle(
    shaped: &mut Shaped,
    answers: &[Answer],
    size: [usize; 2],
    free: bool,
) -> Result<(), String> {
    let scores = match shaped.family {
        Family::Detr => shaped.outputs[1..].to_vec(),
        Family::PicoDet => shaped.outputs[..shaped.outputs.len() / 2].to_vec(),
        _ => Vec::new(),
    };
    let is_probability = |value: &f32| (-1e-3..=1.0 + 1e-3).contains(value);
    let values = |i: &usize| answers.get(*i).map_or(&[][..], |answer| &answer.values);
    if !scores.iter().flat_map(values).all(is_probability) {
        shaped.logits = true;
        shaped
            .notes
            .push("scores are put through a sigmoid, the file gives them without".to_owned());
    }
    if free
        && matches!(
            shaped.family,
            Family::Yolo | Family::YoloV5 | Family::YoloEnd
        )
    {
        let all = candidates(shaped, answers, size, f32::NEG_INFINITY)?;
        let most = all
            .iter()
            .flat_map(|one| one.corners)
            .fold(0f32, |most, value| most.max(value.abs()));
        if most > 0.0 && most <= 2.0 {
            shaped.fractions = true;
            shaped
                .notes
                .push("boxes are parts of the input's width and height".to_owned());
        }
    }
    Ok(())
}

/// Checks boxes and scores; the error says what does not make sense.
pub(super) fn check(shaped: &Shaped, answers: &[Answer], size: [usize; 2]) -> Result<(), String> {
    let all = candidates(shaped, answers, size, f32::NEG_INFINITY)?;
    if let Some(wrong) = all
        .iter()
        .find(|one| !(-1e-3..=1.0 + 1e-3).contains(&one.score))
    {
        return Err(format!("a score is {}, not from 0 to 1", wrong.score));
    }
    let side = size.map(|side| side as f32);
    let near = |value: f32, axis: usize| (-0.05 * side[axis]..=1.05 * side[axis]).contains(&value);
    // A centre outside means other units; single boxes may leave the input, as those of its border do.
    let centred = all.iter().filter(|one| {
        let [x1, y1, x2, y2] = one.corners;
        near(f32::midpoint(x1, x2), 0) && near(f32::midpoint(y1, y2), 1)
    });
    share(
        centred.count(),
        all.len(),
        "centres of boxes outside the input",
    )?;
    let whole = all.iter().filter(|one| {
        let [x1, y1, x2, y2] = one.corners;
        x2 - x1 >= -1.0 && y2 - y1 >= -1.0 && x2 - x1 <= 4.0 * side[0] && y2 - y1 <= 4.0 * side[1]
    });
    share(
        whole.count(),
        all.len(),
        "boxes with sizes that are negative or far too large",
    )?;
    // Boxes of objects at the border do leave the input, but not by half of it.
    let (mut sure, mut inside) = (0, 0);
    for one in all.iter().filter(|one| one.score >= 0.25) {
        let near =
            |(i, &value): (usize, &f32)| (-0.5 * side[i % 2]..=1.5 * side[i % 2]).contains(&value);
        sure += 1;
        inside += usize::from(one.corners.iter().enumerate().all(near));
    }
    share(inside, sure, "boxes of objects that leave the input")
}

/// Fails when less than nine in ten are good.
fn share(good: usize, all: usize, what: &str) -> Result<(), String> {
    if 10 * good >= 9 * all {
        return Ok(());
    }
    Err(format!("{} of {all} {what}", all - good))
}
