//! `report.json`, version 1: what a run did, for scripts and for the one line at its end.
//!
//! Invariant: a field of version 1 keeps its name and meaning; a new one may be added.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::{
    durable,
    exit::{Exit, OrExit as _},
    upscale::savings::Effects,
    visible::{self, visible_lines},
};

/// The whole document. Frames are counted as the decoder gives them.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of this document, 1.
    pub version: u32,
    /// The source file.
    #[serde(serialize_with = "visible::lossy")]
    pub input: PathBuf,
    /// The file written; none with the null encoder.
    #[serde(serialize_with = "visible::lossy_option")]
    pub output: Option<PathBuf>,
    /// Frames decoded.
    pub frames_in: u64,
    /// Frames encoded.
    pub frames_out: u64,
    /// Frames that were computed, whole or in part.
    pub unique_frames: u64,
    /// Frames that took the result of an earlier one.
    pub duplicates: u64,
    /// `duplicates` of `frames_in`, in per cent.
    pub duplicate_percentage: f64,
    /// What using results again came to.
    #[serde(flatten)]
    pub effects: Effects,
    /// Time from start to the finished file, in seconds.
    pub wall_secs: f64,
    /// Processor time of all threads, user and system, in seconds.
    pub cpu_secs: f64,
    /// `frames_out` over `wall_secs`.
    pub fps: f64,
    /// The most memory the process held at once.
    pub peak_rss_bytes: u64,
    /// What ran the network, such as `ort`.
    pub engine: String,
    /// Where it ran, such as `cpu`.
    pub device: String,
    /// The arithmetic of the network, such as `fp32`.
    pub precision: String,
    /// The network.
    pub model: Model,
    /// The stages in the order of the data flow.
    pub stages: Vec<Stage>,
    /// Name of the stage that all others waited for.
    pub bottleneck: Option<String>,
    /// Frames that the decoder marked as damaged.
    pub corrupt_frames: u64,
    /// Whether the input ends before the end it announces.
    pub truncated: bool,
    /// Video packets that are there, but gave no frame.
    pub undecodable_packets: u64,
    /// Frames that the file announces or holds packets of, and that did not come.
    pub missing_frames: u64,
    /// Packets of any stream that the container gave in part, or marked as damaged.
    pub damaged_packets: u64,
    /// Places at which the container made no sense.
    pub read_errors: u64,
    /// Errors that FFmpeg logged about the input.
    pub logged_errors: u64,
    /// What was done instead of what was asked or planned, with the reason.
    pub fallbacks: Vec<String>,
    /// What the user should know about the result.
    pub warnings: Vec<String>,
}

/// Identity of the network.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
    /// Name or file name.
    pub name: String,
    /// Of the model file, in hexadecimal; none for a scaler without a file.
    pub sha256: Option<String>,
    /// Enlargement in each direction, by all passes together.
    pub scale: u32,
    /// How often the network runs on each picture, from the second time on its own result.
    pub passes: u32,
}

/// What one stage did with its time, summed over its threads.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    /// Name, as on the thread.
    pub name: String,
    /// Items passed on.
    pub items: u64,
    /// Time at work, in seconds.
    pub busy_secs: f64,
    /// Time waiting for the stage before, in seconds.
    pub input_wait_secs: f64,
    /// Time waiting for the stage after, in seconds.
    pub output_wait_secs: f64,
}

impl Report {
    /// The line for people at the end of a run.
    pub fn summary(&self) -> String {
        let mut line = format!("{} frames", self.frames_out);
        if self.duplicates > 0 {
            let share = self.duplicate_percentage;
            let _ = write!(line, ", {} repeats ({share:.1} %)", self.duplicates);
        }
        let computed = 100.0 * self.effects.compute_fraction;
        if computed < 99.95 {
            let _ = write!(line, ", {computed:.1} % computed");
        }
        let _ = write!(line, ", {:.1} s, {:.2} fps", self.wall_secs, self.fps);
        if let Some(output) = &self.output {
            let _ = write!(line, ", {}", visible::path(output));
        }
        line
    }
}

/// Writes a document as JSON: whole or not at all ([`durable::write`]).
///
/// # Errors
/// The place cannot be written; marked with its exit code, path last.
pub fn write_json<T: Serialize>(path: &Path, document: &T) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(document).context("cannot put into JSON")?;
    let json = visible::json(&json) + "\n";
    durable::write(path, json.as_bytes()).map_err(|error| {
        let exit = Exit::of_create(&error);
        let message = format!("{error}, cannot write {}", path.display());
        crate::exit::fail(exit, message)
    })
}

/// Prints a result, one line or several, to standard output. A reader that has gone
/// (`| head`) is no error: it has what it wanted. Names in it went through [`visible()`](visible::visible()), which leaves
/// no line ends in them; whatever else acts on a terminal is made visible here.
///
/// # Errors
/// Standard output cannot be written, such as to a full disk.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", visible_lines(text)).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error)
            .context("cannot write to standard output")
            .or_exit(Exit::Io),
        _ => Ok(()),
    }
}

/// Prints a document as JSON to standard output.
///
/// # Errors
/// As [`print()`].
pub fn print_json<T: Serialize>(document: &T) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(document).context("cannot put into JSON")?;
    print(&visible::json(&json))
}

/// Processor time of this process so far, all threads, user and system, in seconds.
pub fn cpu_secs() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The most memory this process has held at once; 0 where the system does not tell.
/// Not `getrusage`: its figure is inherited from the program that started this one.
pub fn peak_rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    vm_hwm_bytes(&status).unwrap_or(0)
}

fn vm_hwm_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            version: 1,
            input: "in.mkv".into(),
            output: Some("out.mkv".into()),
            frames_in: 240,
            frames_out: 240,
            unique_frames: 202,
            duplicates: 38,
            duplicate_percentage: 15.833,
            effects: Effects {
                compute_fraction: 0.3417,
                cells_changed_fraction: 0.2,
                older_composite_hits: 3,
                moved_frames: 2,
                worst_tolerated_difference: 0.5,
                state_frames: 7,
                layer_fractions: vec![0.125, 0.25],
            },
            wall_secs: 20.0,
            cpu_secs: 39.0,
            fps: 12.0,
            peak_rss_bytes: 1 << 28,
            engine: "ort".into(),
            device: "cpu".into(),
            precision: "fp32".into(),
            model: Model {
                name: "tiny-x2".into(),
                sha256: None,
                scale: 2,
                passes: 1,
            },
            stages: vec![Stage {
                name: "decode".into(),
                items: 240,
                busy_secs: 1.5,
                input_wait_secs: 0.0,
                output_wait_secs: 18.5,
            }],
            bottleneck: Some("upscale".into()),
            corrupt_frames: 0,
            truncated: false,
            undecodable_packets: 0,
            missing_frames: 0,
            damaged_packets: 0,
            read_errors: 0,
            logged_errors: 0,
            fallbacks: vec![],
            warnings: vec![],
        }
    }

    #[test]
    fn version_1_has_the_promised_fields_in_order() {
        let json = serde_json::to_string(&report()).unwrap();
        let fields = "version input output frames_in frames_out unique_frames duplicates \
                      duplicate_percentage compute_fraction cells_changed_fraction \
                      older_composite_hits moved_frames worst_tolerated_difference state_frames layer_fractions wall_secs cpu_secs fps \
                      peak_rss_bytes engine device precision model name sha256 scale passes stages \
                      name items busy_secs input_wait_secs output_wait_secs bottleneck \
                      corrupt_frames truncated undecodable_packets missing_frames damaged_packets \
                      read_errors logged_errors fallbacks warnings";
        let mut rest = json.as_str();
        for field in fields.split_whitespace() {
            let key = format!("\"{field}\":");
            let at = rest
                .find(&key)
                .unwrap_or_else(|| panic!("{field} in {rest}"));
            rest = &rest[at + key.len()..];
        }
        assert_eq!(
            json.matches("\":").count(),
            fields.split_whitespace().count()
        );
    }

    #[test]
    fn the_summary_names_repeats_only_if_there_are_any() {
        let mut report = report();
        assert_eq!(
            report.summary(),
            "240 frames, 38 repeats (15.8 %), 34.2 % computed, 20.0 s, 12.00 fps, out.mkv"
        );
        report.duplicates = 0;
        report.output = None;
        report.effects.compute_fraction = 1.0;
        assert_eq!(report.summary(), "240 frames, 20.0 s, 12.00 fps");
    }

    #[test]
    fn a_document_that_cannot_be_written_says_where_and_has_its_code() {
        let error = write_json(Path::new("/nonexistent/report.json"), &1).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::CannotCreate);
        assert!(error.to_string().ends_with("/nonexistent/report.json"));
    }

    #[test]
    fn processor_time_counts_work() {
        let before = cpu_secs();
        let mut x = 1_u64;
        while cpu_secs() - before < 0.01 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(cpu_secs() - before >= 0.01);
    }

    #[test]
    fn peak_memory_follows_an_allocation() {
        let before = peak_rss_bytes();
        assert!(before > 0);
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(peak_rss_bytes() >= before.max(64 << 20));
        drop(block);
        assert!(peak_rss_bytes() >= 64 << 20, "a peak does not go back");
        assert_eq!(
            vm_hwm_bytes("VmPeak: 9 kB\nVmHWM:\t  12 kB\n"),
            Some(12 * 1024)
        );
    }
}
