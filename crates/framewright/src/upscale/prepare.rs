//! Before anything is written: open the clip and the model, decide everything.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use framewright_infer::{Choice, DEFAULT_MODEL, Engine, Model, Precision};
use framewright_media::{
    Clip, Container, Decoder, Interrupt, check_colour, codec_of_encoder, pixel_formats,
};

use crate::cli::{self, Encoder, Options};
use crate::exit::{Exit, fail};
use crate::notes::Notes;
use crate::same_file::Place;
use crate::upscale::plan::{Action, EncoderFacts, Needs, Plan, plan};
use crate::upscale::resources::Machine;
use crate::upscale::target::refuse_special;
use crate::upscale::trouble::marked;

/// An opened clip and model, and what is to be done with them.
pub struct Prepared {
    /// At its first frame; reads what the plan copies.
    pub decoder: Decoder,
    /// Makes the workers.
    pub model: Model,
    /// The decisions.
    pub plan: Plan,
}

/// Opens, plans, and says what the user should know before the run.
///
/// # Errors
/// The input, the model or the combination of options is refused, with its exit code.
pub fn prepare(
    options: &Options,
    interrupt: &Interrupt,
    notes: &Notes,
) -> anyhow::Result<Prepared> {
    check_documents(options)?;
    let mut decoder = Decoder::open(&options.input, 0, interrupt).map_err(marked)?;
    check_colour(&decoder.clip().video).map_err(marked)?;
    let machine = Machine::here().with_memory(options.memory_bytes);
    let model = open_model(options, machine)?;
    let encoder = encoder_facts(options.encoder)?;
    let output = output(options, decoder.clip(), encoder.as_ref())?;
    let output = output
        .as_ref()
        .map(|(path, container)| (path.as_path(), *container));
    let video = &decoder.clip().video;
    let plan = plan(
        options,
        decoder.clip(),
        model.info(),
        Needs {
            worker_bytes: model.worker_bytes(video.width, video.height),
            state_bytes: model.incremental_bytes(video.width, video.height),
            decoder_bytes: decoder.memory_bytes(),
            file_bytes: file_bytes(&options.input),
        },
        machine,
        encoder.as_ref(),
        output,
    )?;
    for stream in plan
        .streams
        .iter()
        .filter(|stream| stream.action == Action::LeaveOut)
    {
        decoder.leave_out(stream.index);
    }
    if let (Some(path), None) = (&options.output, &encoder) {
        notes.warn(format!("--encoder null writes no file: {}", path.display()));
    }
    for fallback in &plan.fallbacks {
        notes.fallback(fallback.as_str());
    }
    for warning in &plan.warnings {
        notes.warn(warning.as_str());
    }
    Ok(Prepared {
        decoder,
        model,
        plan,
    })
}

/// Size of a plain file.
fn file_bytes(path: &Path) -> Option<u64> {
    let metadata = path.metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Plan and report are written at the end of a night: a folder that is not there is better said at its start.
fn check_documents(options: &Options) -> anyhow::Result<()> {
    for path in [&options.plan_out, &options.report].into_iter().flatten() {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            let message = format!("the folder does not exist: {}", path.display());
            return Err(fail(Exit::CannotCreate, message));
        }
    }
    Ok(())
}

fn open_model(options: &Options, machine: Machine) -> anyhow::Result<Model> {
    let name = options.model.as_deref();
    let name = name.unwrap_or(OsStr::new(DEFAULT_MODEL));
    let choice = choice(options);
    let opened = Model::open_within(Path::new(name), choice, machine.memory_bytes);
    let mut model = opened.map_err(marked)?;
    // A scaler without a network runs whatever was chosen.
    if model.info().engine == "none" {
        let without_effect = [
            ("--engine", choice.engine != Engine::Auto),
            ("--precision bf16", choice.precision == Precision::Bf16),
        ];
        if let Some((option, _)) = without_effect.iter().find(|(_, given)| *given) {
            let message = format!("{option} has no effect on {}", model.info().name);
            return Err(fail(Exit::Usage, message));
        }
    }
    if let Some(scale) = options.scale {
        model = model.with_scale(scale).map_err(marked)?;
    }
    Ok(model)
}

/// Engine and arithmetic in the inference library's words.
fn choice(options: &Options) -> Choice {
    Choice {
        engine: match options.engine {
            cli::Engine::Auto => Engine::Auto,
            cli::Engine::Native => Engine::Native,
            cli::Engine::Ort => Engine::Ort,
        },
        precision: match options.precision {
            cli::Precision::Auto => Precision::Auto,
            cli::Precision::Fp32 => Precision::Fp32,
            cli::Precision::Bf16 => Precision::Bf16,
        },
    }
}

fn encoder_facts(encoder: Encoder) -> anyhow::Result<Option<EncoderFacts>> {
    if encoder == Encoder::Null {
        return Ok(None);
    }
    let codec = codec_of_encoder(encoder.name()).map_err(marked)?;
    let pixel_formats = pixel_formats(encoder.name()).map_err(marked)?;
    Ok(Some(EncoderFacts {
        codec,
        pixel_formats,
    }))
}

/// The final path and its container: what the name says; for a folder, the source's name and kind.
fn output(
    options: &Options,
    clip: &Clip,
    encoder: Option<&EncoderFacts>,
) -> anyhow::Result<Option<(PathBuf, Container)>> {
    let (Some(path), Some(encoder)) = (&options.output, encoder) else {
        return Ok(None);
    };
    if path.is_dir() {
        let (container, extension) = Container::default_for(clip, &encoder.codec);
        let name = clip.path.file_stem().unwrap_or_default();
        let path = path.join(name).with_added_extension(extension);
        let is_input = matches!((Place::of(&path), Place::of(&clip.path)), (Some(one), Some(other)) if one == other);
        if is_input {
            let message = format!(
                "the output would replace the input; choose another folder: {}",
                path.display()
            );
            return Err(fail(Exit::Usage, message));
        }
        return Ok(Some((path, container)));
    }
    refuse_special(path)?;
    match Container::for_path(path) {
        Some(container) => Ok(Some((path.clone(), container))),
        None => Err(fail(
            Exit::Usage,
            format!(
                "the name of the output must end in .mkv, .mp4 or .mov: {}",
                path.display()
            ),
        )),
    }
}
