//! What was measured, as a document and as a table.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::modes::{Measured, Mode};
use super::quality::Quality;
use super::stretch::Stretch;
use crate::report::Model;
use crate::upscale::plan::Plan;
use crate::visible;

/// A run shorter than this says little: starting it and other programs count for too much.
const SHORT_SECS: f64 = 2.0;

/// What was measured. Serialised as version 1.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    version: u32,
    #[serde(serialize_with = "visible::lossy")]
    input: PathBuf,
    width: usize,
    height: usize,
    result_width: usize,
    result_height: usize,
    model: Model,
    engine: String,
    precision: String,
    workers: usize,
    tolerance: f32,
    encoder: &'static str,
    crf: Option<u8>,
    preset: Option<String>,
    /// Where the frames begin, in seconds from the first frame.
    start_secs: f64,
    /// How many frames were upscaled in each mode.
    frames: u64,
    /// Frames of the whole film, where known.
    film_frames: Option<u64>,
    film_frames_exact: bool,
    modes: Vec<Row>,
    missing: Option<Missing>,
    /// Whether the runs were so short that they say little.
    short: bool,
}

/// A mode.
#[derive(Debug, Clone, Serialize)]
struct Row {
    mode: &'static str,
    #[serde(skip)]
    title: &'static str,
    wall_secs: f64,
    fps: f64,
    /// Over the first mode.
    speed_up: f64,
    /// Arithmetic done over that of computing every frame in full.
    compute_fraction: f64,
    /// Frames computed from what the network's layers made of an earlier one.
    state_frames: u64,
    /// Of those, the share of each layer's pixels that was computed, on average.
    layer_fractions: Vec<f64>,
    /// Seconds that the whole film would take at this pace.
    film_secs: Option<f64>,
    /// Share of the time of its threads that each stage worked.
    busy: Vec<Busy>,
    /// Of the luma against that of all frames computed in full, before encoding; none where that is what is done.
    quality: Option<Quality>,
}

#[derive(Debug, Clone, Serialize)]
struct Busy {
    stage: String,
    share: f64,
}

/// A mode that this model does not have.
#[derive(Debug, Clone, Serialize)]
pub struct Missing {
    /// Its name.
    pub mode: &'static str,
    /// Why.
    pub why: String,
}

impl Document {
    /// Puts together what was measured, in the order of the runs.
    pub fn new(
        plan: &Plan,
        encoder: &'static str,
        stretch: &Stretch,
        measured: Vec<Measured>,
        qualities: &[(Mode, Quality)],
        missing: Option<Missing>,
    ) -> Self {
        let fps = |run: &Measured| run.frames as f64 / run.wall_secs;
        let slowest = measured.first().map_or(f64::NAN, fps);
        let short = measured.iter().any(|run| run.wall_secs < SHORT_SECS);
        let frames = measured.first().map_or(0, |run| run.frames);
        let rows = measured.into_iter().map(|run| Row {
            mode: run.mode.name(),
            title: run.mode.title(),
            wall_secs: run.wall_secs,
            fps: fps(&run),
            speed_up: fps(&run) / slowest,
            compute_fraction: run.effects.compute_fraction,
            state_frames: run.effects.state_frames,
            layer_fractions: run.effects.layer_fractions.clone(),
            film_secs: plan.input.frames.map(|frames| frames as f64 / fps(&run)),
            quality: qualities
                .iter()
                .find(|(mode, _)| *mode == run.mode)
                .map(|(_, quality)| *quality),
            busy: run
                .busy
                .into_iter()
                .map(|(stage, share)| Busy { stage, share })
                .collect(),
        });
        Self {
            version: 1,
            input: plan.input.path.clone(),
            width: plan.input.width,
            height: plan.input.height,
            result_width: plan.width,
            result_height: plan.height,
            model: plan.model.clone(),
            engine: plan.engine.clone(),
            precision: plan.precision.clone(),
            workers: plan.workers,
            tolerance: plan.tolerance,
            encoder,
            crf: plan.output.as_ref().and_then(|output| output.crf),
            preset: plan
                .output
                .as_ref()
                .and_then(|output| output.preset.clone()),
            start_secs: stretch.start_secs,
            frames,
            film_frames: plan.input.frames,
            film_frames_exact: plan.input.frames_exact,
            modes: rows.collect(),
            missing,
            short,
        }
    }

    /// For people; no line is wider than 100 columns, but for a long file name.
    pub fn table(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        self.speeds(&mut text);
        self.loads(&mut text);
        self.layers(&mut text);
        self.qualities(&mut text);
        self.legend(&mut text);
        text.truncate(text.trim_end().len());
        text
    }

    fn head(&self, text: &mut String) {
        let (width, height) = (self.width, self.height);
        let (result_width, result_height) = (self.result_width, self.result_height);
        line(text, format_args!("{}", visible::path(&self.input)));
        line(
            text,
            format_args!(
                "{} frames from second {:.1} on, {width}x{height} to {result_width}x{result_height}",
                self.frames, self.start_secs
            ),
        );
        let plural = if self.workers == 1 { "" } else { "s" };
        let crf = self.crf.map_or(String::new(), |crf| format!(" crf {crf}"));
        let preset = self.preset.as_ref();
        let preset = preset.map_or(String::new(), |preset| format!(" preset {preset}"));
        line(
            text,
            format_args!(
                "{} ({}, {}), {} worker{plural}, tolerance {}, {}{crf}{preset}",
                self.model.name,
                self.engine,
                self.precision,
                self.workers,
                self.tolerance,
                self.encoder
            ),
        );
        text.push('\n');
    }

    fn speeds(&self, text: &mut String) {
        let about = if self.film_frames_exact { "" } else { "~" };
        line(
            text,
            format_args!(
                "{:<34}{:>9}{:>10}{:>11}{:>13}",
                "", "fps", "speed-up", "computed", "whole film"
            ),
        );
        for (place, row) in (1..).zip(&self.modes) {
            let film = row
                .film_secs
                .map_or("?".to_owned(), |secs| format!("{about}{}", duration(secs)));
            line(
                text,
                format_args!(
                    "{:<34}{:>9.2}{:>9.2}x{:>9.1} %{:>13}",
                    format!("{place} {}", row.title),
                    row.fps,
                    row.speed_up,
                    100.0 * row.compute_fraction,
                    film
                ),
            );
        }
        if let Some(missing) = &self.missing {
            let place = self.modes.len() + 1;
            let title = Mode::REGION.title();
            line(
                text,
                format_args!("{place} {title}: missing, {}", missing.why),
            );
        }
        text.push('\n');
    }

    fn loads(&self, text: &mut String) {
        let mut heading = format!("{:<34}", "busy");
        for busy in self.modes.first().map_or(&[][..], |row| &row.busy) {
            let _ = write!(heading, "{:>10}", busy.stage);
        }
        line(text, format_args!("{heading}"));
        for (place, row) in (1..).zip(&self.modes) {
            let mut shares = format!("{:<34}", format!("{place} {}", row.title));
            for busy in &row.busy {
                let _ = write!(shares, "{:>8.0} %", 100.0 * busy.share);
            }
            line(text, format_args!("{shares}"));
        }
        text.push('\n');
    }

    /// How the change grows from layer to layer: a few of them, evenly chosen.
    fn layers(&self, text: &mut String) {
        let rows = (1..).zip(&self.modes);
        for (place, row) in rows.filter(|(_, row)| !row.layer_fractions.is_empty()) {
            let last = row.layer_fractions.len() - 1;
            let (mut heading, mut shares) = (String::new(), String::new());
            for layer in (0..=4).map(|n| n * last / 4) {
                let _ = write!(heading, "{:>10}", format!("layer {}", layer + 1));
                let _ = write!(shares, "{:>8.1} %", 100.0 * row.layer_fractions[layer]);
            }
            let title = format!("{place} {}", row.title);
            line(
                text,
                format_args!("{:<34}{heading}", "computed from the state"),
            );
            line(text, format_args!("{title:<34}{shares}"));
            let frames = format!("  in {} of {} frames", row.state_frames, self.frames);
            line(text, format_args!("{frames}"));
            text.push('\n');
        }
    }

    fn qualities(&self, text: &mut String) {
        let with_reuse = (1..).zip(&self.modes);
        let with_reuse = with_reuse.filter_map(|(place, row)| Some((place, row, row.quality?)));
        line(
            text,
            format_args!(
                "{:<34}{:>9}{:>8}{:>8}{:>12}{:>9}{:>9}",
                "against 2", "PSNR dB", "frame", "block", "SSIM", "frame", "block"
            ),
        );
        for (place, row, quality) in with_reuse {
            let title = format!("{place} {}", row.title);
            if quality.exact {
                line(text, format_args!("{title:<34}{:>9}", "exact"));
                continue;
            }
            line(
                text,
                format_args!(
                    "{title:<34}{:>9.2}{:>8.2}{:>8.2}{:>12.5}{:>9.5}{:>9.5}",
                    quality.psnr_db,
                    quality.worst_frame_psnr_db,
                    quality.worst_block_psnr_db,
                    quality.ssim,
                    quality.worst_frame_ssim,
                    quality.worst_block_ssim
                ),
            );
        }
        text.push('\n');
    }

    fn legend(&self, text: &mut String) {
        let lines = [
            "fps         frames per second from decoding to the finished file",
            "speed-up    fps over that of 1, which begins a frame when the one before is encoded",
            "computed    arithmetic of the network over that of computing every frame in full",
            "whole film  h:mm:ss for all frames, if they are like these",
            "busy        share of its threads' time in which a stage worked; the highest is the bottleneck",
            "PSNR, SSIM  luma before encoding, against 2: all frames, the worst frame, the worst 32x32 block",
        ];
        for what in lines {
            line(text, format_args!("{what}"));
        }
        if self.short {
            line(
                text,
                format_args!(
                    "Runs took less than {SHORT_SECS:.0} s: other programs count for much; --seconds measures longer"
                ),
            );
        }
    }
}

/// Adds a line without blanks at its end.
fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    let start = text.len();
    let _ = text.write_fmt(what);
    text.truncate(start + text[start..].trim_end().len());
    text.push('\n');
}

/// `h:mm:ss`, rounded up to seconds.
pub fn duration(secs: f64) -> String {
    let secs = secs.ceil() as u64;
    format!("{}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(quality: Quality) -> Document {
        let row = |mode: Mode, wall_secs: f64, computed: f64, quality| Row {
            mode: mode.name(),
            title: mode.title(),
            wall_secs,
            fps: 240.0 / wall_secs,
            speed_up: 48.0 / wall_secs,
            compute_fraction: computed,
            state_frames: 0,
            layer_fractions: Vec::new(),
            film_secs: Some(133_333.0 / 240.0 * wall_secs),
            busy: ["decode", "compare", "upscale", "compose", "encode"]
                .map(|stage| Busy {
                    stage: stage.to_owned(),
                    share: 0.5,
                })
                .to_vec(),
            quality,
        };
        let exact = Quality {
            exact: true,
            frames_that_differ: 0,
            psnr_db: f64::INFINITY,
            worst_frame_psnr_db: f64::INFINITY,
            worst_block_psnr_db: f64::INFINITY,
            ssim: 1.0,
            worst_frame_ssim: 1.0,
            worst_block_ssim: 1.0,
        };
        Document {
            version: 1,
            input: "film.mkv".into(),
            width: 1920,
            height: 1080,
            result_width: 30720,
            result_height: 17280,
            model: Model {
                name: "realesr-animevideov3".into(),
                sha256: None,
                scale: 2,
                passes: 1,
            },
            engine: "native".into(),
            precision: "bf16".into(),
            workers: 128,
            tolerance: 0.5,
            encoder: "libsvtav1",
            crf: Some(24),
            preset: Some("8".to_owned()),
            start_secs: 1234.5,
            frames: 480,
            film_frames: Some(133_333),
            film_frames_exact: false,
            modes: vec![
                row(Mode::ONE_AT_A_TIME, 48.0, 1.0, None),
                row(Mode::PIPELINED, 24.0, 1.0, None),
                row(Mode::FRAME, 12.0, 0.5, Some(exact)),
                row(Mode::REGION, 1.0, 0.25, Some(quality)),
                Row {
                    state_frames: 480,
                    layer_fractions: (0..18)
                        .map(|layer| 0.5 + 0.025 * f64::from(layer))
                        .collect(),
                    ..row(Mode::INCREMENTAL, 1.0, 0.1, Some(quality))
                },
            ],
            missing: None,
            short: true,
        }
    }

    const SOME: Quality = Quality {
        exact: false,
        frames_that_differ: 3,
        psnr_db: 54.321,
        worst_frame_psnr_db: 44.5,
        worst_block_psnr_db: 30.25,
        ssim: 0.999_87,
        worst_frame_ssim: 0.99,
        worst_block_ssim: -0.123_45,
    };

    #[test]
    fn the_table_is_narrow_enough_for_a_terminal() {
        let table = document(SOME).table();
        for line in table.lines() {
            let width = line.chars().count();
            assert!(width <= 100, "{width} columns: {line}");
        }
        let exact = table.lines().find(|line| line.ends_with("exact"));
        assert!(
            exact.is_some_and(|line| line.starts_with("3 pipelined, --reuse frame")),
            "{table}"
        );
        assert!(table.contains("0:09:16"), "{table}");
        assert!(table.contains("less than 2 s"), "{table}");
    }

    #[test]
    fn the_growth_from_layer_to_layer_is_shown_where_a_state_was_kept() {
        let table = document(SOME).table();
        let is_before = |line: &&str| !line.starts_with("computed from the state");
        let mut lines = table.lines().skip_while(is_before);
        assert!(
            lines.next().is_some_and(|line| line.ends_with("layer 18")),
            "{table}"
        );
        let shares: Vec<_> = lines.next().unwrap().split_whitespace().skip(4).collect();
        assert_eq!(
            shares,
            [
                "50.0", "%", "60.0", "%", "70.0", "%", "80.0", "%", "92.5", "%"
            ]
        );
        assert!(
            lines
                .next()
                .is_some_and(|line| line == "  in 480 of 480 frames"),
            "{table}"
        );
    }

    #[test]
    fn a_mode_that_is_missing_has_its_reason_in_its_row() {
        let mut document = document(SOME);
        document.modes.truncate(3);
        document.missing = Some(Missing {
            mode: Mode::REGION.name(),
            why: "no part can be computed alone".to_owned(),
        });
        let table = document.table();
        let row = "4 pipelined, --reuse region: missing, no part can be computed alone";
        assert!(table.lines().any(|line| line == row), "{table}");
    }

    #[test]
    fn what_is_exact_has_no_number_of_decibels_in_json() {
        let json = serde_json::to_value(document(SOME)).unwrap();
        assert!(json["modes"][0]["quality"].is_null());
        assert_eq!(json["modes"][2]["quality"]["exact"], true);
        assert!(json["modes"][2]["quality"]["psnr_db"].is_null());
        assert_eq!(json["modes"][3]["quality"]["worst_block_psnr_db"], 30.25);
        assert_eq!(json["modes"][3]["busy"][2]["stage"], "upscale");
    }

    #[test]
    fn durations_are_hours_minutes_and_seconds() {
        assert_eq!(duration(0.2), "0:00:01");
        assert_eq!(duration(3600.0 * 26.0 + 61.0), "26:01:01");
    }
}
