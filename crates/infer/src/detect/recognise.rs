//! From a file that says little to a plan: which family it is of, how pictures go in, what its classes are called.

use super::facts::Facts;
use super::family::{Ends, Family, Shaped};
use super::{DetectorInfo, DetectorOptions, Plan, names, probe, session, sniff};
use crate::ort::{Element, Port, RunFailure, TensorSession};
use crate::prepare::Norm;

/// Finds the family; the error says why there is none.
pub(super) fn recognise(
    network: &mut TensorSession,
    facts: &Facts,
    options: &DetectorOptions,
    name: String,
    sha256: String,
) -> Result<(Plan, DetectorInfo), String> {
    let forced = options
        .format
        .as_deref()
        .map(Family::from_word)
        .transpose()?;
    let norm = options.norm.as_deref().map(Norm::from_word).transpose()?;
    let mut notes = Vec::new();
    let picture = picture_input(&network.inputs)?;
    let size = input_size(&network.inputs[picture], facts, &mut notes)?;
    let in_file = names_in_file(facts, &mut notes);
    let given = in_file.as_ref().or(options.names.as_ref());

    let tensor = vec![0.5; 3 * size[0] * size[1]];
    let shapes: Vec<Vec<usize>> = session::run(network, picture, size, &tensor)
        .map_err(RunFailure::into_problem)?
        .into_iter()
        .map(|answer| answer.shape)
        .collect();
    let (inputs, outputs) = (network.inputs.clone(), network.outputs.clone());
    let ends = Ends {
        facts,
        inputs: &inputs,
        outputs: &outputs,
        shapes: &shapes,
        size,
        names: given.map(Vec::len),
    };
    let help = |problem: String| {
        format!(
            "{problem} ({}); say what it is with --detector-format ({})",
            ends.describe(),
            Family::words()
        )
    };
    let possible = match forced {
        Some(family) => vec![sniff::forced(&ends, family).map_err(help)?],
        None => sniff::sniff(&ends).map_err(help)?,
    };

    let mut problem = None;
    for mut shaped in possible {
        let mut plan = Plan {
            name: name.clone(),
            norm: norm.unwrap_or_else(|| assumed_norm(&shaped, facts, &inputs[picture])),
            fit: shaped.family.fit(),
            shaped: shaped.clone(),
            size,
            picture,
            classes: 0,
            min_score: options.min_score,
            iou: options.iou,
        };
        let (answers, _) = session::look(network, &plan, &probe::picture(), &mut Vec::new())
            .map_err(RunFailure::into_problem)?;
        let free = facts.said("task").is_none() && forced.is_none();
        let sensible = probe::settle(&mut shaped, &answers, size, free)
            .and_then(|()| probe::check(&shaped, &answers, size));
        if let Err(why) = sensible {
            if forced.is_none() {
                let word = shaped.family.word();
                problem
                    .get_or_insert_with(|| format!("this looks like the format {word}, but {why}"));
                continue;
            }
            notes.push(format!("its answer to a test picture is strange: {why}"));
        }
        let names = class_names(shaped.classes, in_file, options.names.as_ref(), &mut notes)?;
        (plan.shaped, plan.classes) = (shaped, names.len());
        describe(&plan, facts, forced.is_some(), norm.is_some(), &mut notes);
        let info = DetectorInfo {
            name,
            sha256,
            family: plan.shaped.family.word(),
            norm: plan.norm.word,
            names,
            input: size,
            licence: facts.said("license").map(str::to_owned),
            notes,
        };
        return Ok((plan, info));
    }
    Err(help(problem.unwrap_or_default()))
}

/// Which input takes the picture.
fn picture_input(inputs: &[Port]) -> Result<usize, String> {
    let found = inputs.iter().position(|port| port.shape.len() == 4);
    let found = found.ok_or("the model takes no picture (an input of 4 dimensions)")?;
    let port = &inputs[found];
    let known = matches!(port.element, Element::F32 | Element::F16 | Element::U8);
    match port.shape[..] {
        _ if !known => Err("the model's input is neither float32, float16 nor uint8".to_owned()),
        [Some(batch), ..] if batch > 1 => Err(format!(
            "the model takes {batch} pictures at a time, export it with a batch of 1"
        )),
        [_, channels, _, Some(3)] if channels != Some(3) => {
            Err("the model wants the channels last (NHWC), export it as NCHW".to_owned())
        }
        [_, Some(channels), ..] if channels != 3 => Err(format!(
            "the model takes {channels} channels, a picture has 3"
        )),
        _ => Ok(found),
    }
}

/// Width and height of the input: the graph's, or what Ultralytics says, or 640.
fn input_size(port: &Port, facts: &Facts, notes: &mut Vec<String>) -> Result<[usize; 2], String> {
    const USUAL: usize = 640;
    const LARGEST: usize = 8192;
    if let Some(side) = port.shape[2..]
        .iter()
        .flatten()
        .find(|&&side| side > LARGEST)
    {
        return Err(format!(
            "the model's input has a side of {side} pixels, {LARGEST} is the most"
        ));
    }
    let fixed = [port.shape[3], port.shape[2]].map(|side| side.filter(|&side| side > 0));
    if let [Some(width), Some(height)] = fixed {
        return Ok([width, height]);
    }
    // "[640, 640]": rows first.
    let said: Vec<usize> = facts
        .said("imgsz")
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .filter(|side| (1..=LARGEST).contains(side))
        .collect();
    let usual = match said[..] {
        [height, width] => [width, height],
        [side] => [side, side],
        _ => [USUAL; 2],
    };
    let size = [0, 1].map(|axis| fixed[axis].unwrap_or(usual[axis]));
    notes.push(format!(
        "its input may have any size, {}x{} is used",
        size[0], size[1]
    ));
    Ok(size)
}

/// The names that the file gives.
fn names_in_file(facts: &Facts, notes: &mut Vec<String>) -> Option<Vec<String>> {
    let said = facts.said("names")?;
    let names = names::parse(said).filter(|names| !names.is_empty());
    if names.is_none() {
        notes.push("the names of classes in the file cannot be read".to_owned());
    }
    names
}

/// The family's colours, or what a graph that subtracts a mean itself leaves to do.
fn assumed_norm(shaped: &Shaped, facts: &Facts, port: &Port) -> Norm {
    let norm = shaped.norm.unwrap_or_else(|| shaped.family.norm());
    match &facts.baked {
        _ if port.element == Element::U8 => norm.baked(true),
        Some(baked) => norm.baked(baked.bytes),
        None => norm,
    }
}

/// The names of the classes: the file's, or those given, or COCO's, or numbers.
fn class_names(
    classes: Option<usize>,
    in_file: Option<Vec<String>>,
    given: Option<&Vec<String>>,
    notes: &mut Vec<String>,
) -> Result<Vec<String>, String> {
    if in_file.is_some() && given.is_some_and(|given| in_file.as_ref() != Some(given)) {
        notes.push("the file names its classes itself, the names given are not used".to_owned());
    }
    let (names, whose) = match (in_file, given) {
        (Some(names), _) => (names, "the file"),
        (None, Some(names)) => (names.clone(), "the list"),
        (None, None) => {
            let count = classes.unwrap_or(80);
            let Some(coco) = names::coco(count) else {
                notes.push(format!(
                    "its {count} classes have no names, they are called \"class 0\" and so on"
                ));
                return Ok((0..count).map(names::unnamed).collect());
            };
            let note = match classes {
                Some(_) => format!(
                    "the file names no classes: there are {count}, so COCO's names are assumed"
                ),
                None => "the file neither names nor counts its classes, COCO's 80 are assumed"
                    .to_owned(),
            };
            notes.push(note);
            return Ok(coco);
        }
    };
    match classes {
        Some(classes) if classes != names.len() => Err(format!(
            "{whose} names {} classes, the model has {classes}",
            names.len()
        )),
        _ => Ok(names),
    }
}

/// Adds what was concluded and assumed.
fn describe(plan: &Plan, facts: &Facts, forced: bool, norm_given: bool, notes: &mut Vec<String>) {
    let source = if forced {
        "as asked for"
    } else {
        "by its graph"
    };
    notes.insert(
        0,
        format!(
            "a detector of the format {}, {source}",
            plan.shaped.family.word()
        ),
    );
    notes.extend(plan.shaped.notes.iter().cloned());
    let colours = match &facts.baked {
        _ if norm_given => "as asked for".to_owned(),
        Some(baked) => format!(
            "assumed for this format; the graph begins with {} and so does the rest itself",
            baked.operators
        ),
        None => "assumed for this format, the graph does not show it (--detector-norm)".to_owned(),
    };
    notes.push(format!("it is given {}, {colours}", plan.norm.says));
    notes.push(format!("{}, as is usual for this format", plan.fit.says()));
    if let Some(licence) = facts.said("license") {
        notes.push(format!("the file states the licence {licence}"));
        if licence.contains("AGPL") {
            let note =
                "read what the AGPL asks before the model or what was made with it is passed on";
            notes.push(note.to_owned());
        }
    }
}
