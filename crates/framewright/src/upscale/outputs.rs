//! The files of a run: claimed before any work, opened, and given their names at its end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use framewright_media::{
    ColourTags, Container, Decoder, EncodeSettings, Encoder, Muxer, PixelFormat, pixel_formats,
};
use framewright_pipeline::Ending;

use crate::cli::Options;
use crate::exit::{Exit, fail};
use crate::screen::{Line, Screen};
use crate::upscale::Done;
use crate::upscale::interruption::{CleanUp, Interruption, STOPPED};
use crate::upscale::plan::{Action, Plan};
use crate::upscale::prepare::Prepared;
use crate::upscale::reuse_map::ReuseMap;
use crate::upscale::side_films::SideFilms;
use crate::upscale::target::{Others, Target};
use crate::upscale::trouble::marked;
use crate::upscale::writer::Writer;

/// Claimed files. Dropped without [`publish`](Self::publish), they leave nothing.
pub struct Outputs {
    film: Option<Target>,
    composites: Option<Target>,
    map: Option<Target>,
}

impl Outputs {
    /// Claims what the options name.
    ///
    /// # Errors
    /// A place is taken or cannot be written.
    pub fn claim(options: &Options, plan: &Plan) -> anyhow::Result<Self> {
        let model = options.model.as_ref().map(Path::new);
        let others = Others::new(
            [
                ("the input", Some(options.input.as_path())),
                // A built-in model has a name and no file.
                ("the model", model.filter(|model| model.exists())),
                ("--plan-out", options.plan_out.as_deref()),
                ("--report", options.report.as_deref()),
            ]
            .into_iter()
            .filter_map(|(name, path)| Some((name, path?))),
        );
        let claim = |path: Option<&PathBuf>| {
            path.map(|path| Target::claim(path, options.overwrite, &others))
                .transpose()
        };
        Ok(Self {
            film: claim(plan.output.as_ref().map(|output| &output.path))?,
            composites: claim(options.dump_composite.as_ref())?,
            map: claim(options.reuse_map.as_ref())?,
        })
    }

    /// What removes the files if the process has to end at once.
    pub fn clean_ups(&self) -> Vec<CleanUp> {
        let targets = [&self.film, &self.composites, &self.map].into_iter();
        let clean_ups = targets
            .flatten()
            .map(|target| Box::new(target.clean_up()) as CleanUp);
        clean_ups.collect()
    }

    /// Opens encoders and writes headers.
    ///
    /// # Errors
    /// An encoder or a container refuses what it is given.
    pub fn open(&self, prepared: &Prepared) -> anyhow::Result<(Writer, SideFilms)> {
        let film = match &self.film {
            Some(target) => open_film(prepared, target)?,
            None => Writer::Null,
        };
        let video = &prepared.decoder.clip().video;
        let mut side_films = SideFilms::default();
        let (width, height) = (video.width, video.height);
        let (tags, _) = video.tags.complete(video.pixel_format, width, height);
        if let Some(target) = &self.composites {
            let side = Side {
                encoder: "ffv1",
                crf: None,
                preset: None,
                pixel_format: video.pixel_format.planar(),
                tags,
            };
            side_films.composites = Some(side.open(target, &prepared.decoder)?);
        }
        if let Some(target) = &self.map {
            let pixel_format = ReuseMap::pixel_format(width, height);
            let tags = tags.for_output(pixel_format, width, height);
            let side = Side {
                encoder: "libx264",
                crf: Some(18.0),
                preset: Some("veryfast"),
                pixel_format,
                tags,
            };
            let writer = side.open(target, &prepared.decoder)?;
            side_films.map = Some(ReuseMap::new(writer, pixel_format, tags).map_err(marked)?);
        }
        Ok((film, side_films))
    }

    /// Gives the files their names: the final ones for a whole film, others for the playable part that an interrupted
    /// run did.
    ///
    /// # Errors
    /// A file cannot be completed, or frames are missing.
    pub fn publish(
        self,
        done: &Done<'_>,
        signals: &Interruption,
        screen: &Screen,
    ) -> anyhow::Result<Option<PathBuf>> {
        let (frames_in, frames_out) = (
            done.tally.frames_in.load(Relaxed),
            done.tally.frames_out.load(Relaxed),
        );
        let say = |text: String| screen.say(&Line::Info(text));
        match done.ended.ending {
            Ending::Stopped => {
                say(STOPPED.into());
                Ok(None)
            }
            Ending::Completed if frames_in != frames_out => Err(fail(
                Exit::Failed,
                format!("{frames_in} frames went in and {frames_out} came out; nothing is kept"),
            )),
            Ending::Completed => self.name(Target::publish, signals),
            Ending::Finished if frames_out == 0 => {
                say(
                    "interrupted before the first frame was done: nothing is left of this run"
                        .into(),
                );
                Ok(None)
            }
            Ending::Finished => {
                let path = self.name(Target::publish_partial, signals)?;
                if let Some(path) = &path {
                    say(format!(
                        "interrupted: the first {frames_out} frames are in a playable file: {}",
                        path.display()
                    ));
                }
                Ok(path)
            }
        }
    }

    /// Side films first: a film under its final name says that all is done.
    fn name(
        self,
        publish: fn(Target) -> anyhow::Result<PathBuf>,
        signals: &Interruption,
    ) -> anyhow::Result<Option<PathBuf>> {
        let targets = [&self.composites, &self.map, &self.film];
        for target in targets.into_iter().flatten() {
            target.sync()?;
        }
        // What takes long is done; from here on a signal that ends the process waits for the names.
        let named = signals.keeping_files();
        for side_film in [self.composites, self.map].into_iter().flatten() {
            publish(side_film)?;
        }
        let path = self.film.map(publish).transpose()?;
        named.all();
        Ok(path)
    }
}

fn open_film(prepared: &Prepared, target: &Target) -> anyhow::Result<Writer> {
    let Prepared { plan, decoder, .. } = prepared;
    let (Some(output), Some(container)) = (&plan.output, plan.decided.container) else {
        return Ok(Writer::Null);
    };
    let video = &decoder.clip().video;
    let settings = EncodeSettings {
        encoder: output.encoder.into(),
        crf: output.crf.map(f32::from),
        preset: output.preset.clone(),
        pixel_format: plan.decided.pixel_format,
        width: plan.width,
        height: plan.height,
        time_base: video.time_base,
        frame_rate: video.frame_rate,
        sample_aspect_ratio: video.sample_aspect_ratio,
        tags: plan.decided.tags,
        threads: plan.encoder_threads,
    };
    let left_out: Vec<usize> = plan
        .streams
        .iter()
        .filter(|s| s.action == Action::LeaveOut)
        .map(|s| s.index)
        .collect();
    open(&settings, target, container, decoder, &left_out)
}

fn open(
    settings: &EncodeSettings,
    target: &Target,
    container: Container,
    decoder: &Decoder,
    left_out: &[usize],
) -> anyhow::Result<Writer> {
    let encoder = Encoder::open(settings, container).map_err(marked)?;
    let (file, path) = (target.file()?, target.path());
    let muxer = Muxer::create(file, path, container, decoder, left_out, &encoder);
    Ok(Writer::File {
        encoder,
        muxer: Box::new(muxer.map_err(marked)?),
        lookout: target.look_out(),
    })
}

/// How a side film is written: the size and the timestamps are the source's.
struct Side {
    encoder: &'static str,
    crf: Option<f32>,
    preset: Option<&'static str>,
    pixel_format: PixelFormat,
    tags: ColourTags,
}

impl Side {
    fn open(&self, target: &Target, decoder: &Decoder) -> anyhow::Result<Writer> {
        let (clip, path) = (decoder.clip(), target.path());
        let extension = path.extension().map(OsStr::to_ascii_lowercase);
        let is_known = extension.is_some_and(|extension| {
            ["mkv", "mp4", "mov"]
                .iter()
                .any(|known| extension == *known)
        });
        let Some(container) = Container::for_path(path).filter(|_| is_known) else {
            let message = format!(
                "the name must end in .mkv, .mp4 or .mov: {}",
                path.display()
            );
            return Err(fail(Exit::Usage, message));
        };
        if !pixel_formats(self.encoder)
            .map_err(marked)?
            .contains(&self.pixel_format)
        {
            let message = format!(
                "{} cannot store {}, leave out {}",
                self.encoder,
                self.pixel_format.name(),
                path.display()
            );
            return Err(fail(Exit::Usage, message));
        }
        let video = &clip.video;
        let settings = EncodeSettings {
            encoder: self.encoder.into(),
            crf: self.crf,
            preset: self.preset.map(String::from),
            pixel_format: self.pixel_format,
            width: video.width,
            height: video.height,
            time_base: video.time_base,
            frame_rate: video.frame_rate,
            sample_aspect_ratio: video.sample_aspect_ratio,
            tags: self.tags,
            threads: None,
        };
        let others = clip.streams.iter().map(|stream| stream.index);
        let others: Vec<usize> = others.filter(|&index| index != video.index).collect();
        open(&settings, target, container, decoder, &others)
    }
}
