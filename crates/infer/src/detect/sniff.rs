//! Which family a file is of, by what its graph shows; never by its name.
//!
//! The steps are tried in order, the surest first. One may leave more than one family: they are tried on a picture, best
//! guess first, and the first whose boxes and scores make sense is taken (`probe.rs`).

use super::family::{Ends, Family, Shaped};

/// The families that a file may be of, best guess first. The error says what was seen and what to do.
pub(super) fn sniff(ends: &Ends) -> Result<Vec<Shaped>, String> {
    let found = if is_ultralytics(ends) {
        ultralytics(ends)?
    } else if let Some(shaped) = ends.shaped(Family::DetrDeploy) {
        vec![shaped]
    } else if let Some(shaped) = ends.shaped(Family::Paddle) {
        vec![colours_assumed(shaped)]
    } else if ends.inputs.len() > 1 {
        let names: Vec<_> = ends.inputs.iter().map(|port| port.name.as_str()).collect();
        return Err(format!(
            "a detector with the inputs {} is not known",
            names.join(", ")
        ));
    } else if let Some(shaped) = queries(ends) {
        vec![shaped]
    } else if let Some(shaped) = ends.shaped(Family::PicoDet) {
        vec![shaped]
    } else if ends.shapes.len() == 1 {
        single(ends)
    } else {
        Vec::new()
    };
    if found.is_empty() {
        return Err("this is no detector of a known kind".to_owned());
    }
    Ok(found)
}

/// What a person says it is, if the shapes allow it.
pub(super) fn forced(ends: &Ends, family: Family) -> Result<Shaped, String> {
    check_task(ends)?;
    ends.shaped(family).ok_or_else(|| {
        format!(
            "the model cannot be of the format {:?}, its shapes are others",
            family.word()
        )
    })
}

fn is_ultralytics(ends: &Ends) -> bool {
    ends.facts.said("task").is_some() && ends.facts.said("names").is_some()
}

/// Refuses what is no detector by its own word.
fn check_task(ends: &Ends) -> Result<(), String> {
    match ends.facts.said("task") {
        None | Some("detect") => Ok(()),
        Some("segment" | "pose") if ends.names.is_some() => Ok(()),
        Some("segment" | "pose") => Err(
            "the file does not name its classes, so its boxes cannot be told from the rest"
                .to_owned(),
        ),
        Some(task) => Err(format!(
            "this is a model for the task {task:?}, not a detector"
        )),
    }
}

/// Step 1: Ultralytics says what it exported.
fn ultralytics(ends: &Ends) -> Result<Vec<Shaped>, String> {
    check_task(ends)?;
    let head = ends.facts.said("head").unwrap_or_default();
    let is_detr = head == "RTDETRDecoder" || (head.is_empty() && ends.facts.has("GridSample"));
    let first = ends.shapes.first().map(Vec::as_slice);
    let extras = ends.has_extras();
    let mut shaped = match first {
        Some(_) if is_detr => ends.shaped(Family::RtDetr),
        Some([1, _, 6]) => ends.shaped(Family::YoloEnd),
        // Masks or key points follow after the six.
        Some([1, rows, values])
            if extras
                && values < rows
                && *values > 6
                && ends.facts.said("end2end") == Some("True") =>
        {
            ends.shaped(Family::YoloEnd)
        }
        _ => ends.shaped(Family::Yolo),
    }
    .ok_or("the outputs are not those of an Ultralytics detector")?;
    if let (Some(classes), Some(names), false) = (shaped.classes, ends.names, extras)
        && classes != names
    {
        return Err(format!(
            "the file names {names} classes and scores {classes}"
        ));
    }
    if extras {
        shaped
            .notes
            .push("only the boxes of its masks or key points are used".to_owned());
    }
    if ends.facts.has("NonMaxSuppression") {
        let note = "overlaps and low scores are dropped inside the file, by the thresholds it was exported with (0.25 unless \
             it was said)";
        shaped.notes.push(note.to_owned());
    }
    let mut found = vec![shaped];
    if is_detr && found[0].classes.is_none() && ends.names == Some(2) {
        // Six numbers are also a box and the scores of two classes, as older versions write them.
        let older = Shaped {
            classes: Some(2),
            ..found[0].clone()
        };
        found.push(older);
    }
    Ok(found)
}

/// Step 3: boxes and scores of queries.
fn queries(ends: &Ends) -> Option<Shaped> {
    let shaped = ends.shaped(Family::Detr)?;
    let (queries, scores) = (&ends.shapes[shaped.outputs[1]], shaped.classes?);
    let transformers = ends.outputs[shaped.outputs[1]].name == "logits";
    // DETR has 100 queries, and with COCO's numbers 91 classes and "nothing".
    if transformers && (queries[1] == 100 || scores == 92) {
        let mut shaped = ends.shaped(Family::DetrSoftmax)?;
        let note = "classes are taken to exclude each other, the last to be \"nothing\"";
        shaped.notes.push(note.to_owned());
        return Some(shaped);
    }
    let mut shaped = shaped;
    if transformers {
        // Transformers' RT-DETR does not subtract a mean.
        shaped.norm = Some(crate::prepare::Norm::RGB_1);
    }
    Some(shaped)
}

/// Steps 4 and 5: one output.
fn single(ends: &Ends) -> Vec<Shaped> {
    let Some(&[1, rows, values]) = ends.shapes.first().map(Vec::as_slice) else {
        let suppresses = ends.facts.has("NonMaxSuppression");
        let seven = ends.shaped(Family::YoloV7End).filter(|_| suppresses);
        return ends
            .shaped(Family::FastestDet)
            .or(seven)
            .into_iter()
            .collect();
    };
    let grid = |strides: &[usize], times: usize| rows == times * ends.anchors(strides);
    let families: &[Family] = if grid(&[8, 16, 32], 1) && values > 5 {
        // YOLOv6 has the same shape: it fails as YOLOX, since its places are pixels already.
        if ends.facts.has("Exp") {
            &[Family::YoloXDecoded]
        } else {
            &[Family::YoloX, Family::YoloV5, Family::YoloXDecoded]
        }
    } else if grid(&[8, 16, 32], 3) || grid(&[8, 16, 32, 64], 3) {
        &[Family::YoloV5]
    } else if grid(&[8, 16, 32, 64], 1) {
        &[Family::NanoDet]
    } else if values < rows && values == 6 && rows <= 1000 {
        &[Family::YoloEnd]
    } else if rows < values {
        &[Family::Yolo]
    } else {
        &[]
    };
    families
        .iter()
        .filter_map(|&family| ends.shaped(family))
        .collect()
}

fn colours_assumed(mut shaped: Shaped) -> Shaped {
    let note = "PicoDet's colours are assumed; PP-YOLOE+ takes --detector-norm rgb-1";
    shaped.notes.push(note.to_owned());
    shaped
}
