//! What must be the same in the source and in the upscaled file, one function per column of the table.
//!
//! Each returns the words for its cell, or what went wrong. Nothing here knows the program: only two
//! files, its report, and what a plain stream copy into the same container keeps (the yardstick for
//! tags and dispositions, which not every container can hold).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::facts::{Facts, Stream};
use crate::env::ffmpeg;

pub type Cell = Result<String, String>;

/// The coarsest tick of the two containers: Matroska's, and MP4's movie time scale for edit lists.
const CONTAINER_TICK_SECS: f64 = 0.001;
/// Half a tick is lost to rounding on the way in and on the way out, the rest is float dust.
const TICK_TOLERANCE_SECS: f64 = CONTAINER_TICK_SECS * 1.01;

/// Both files and what is known about the run between them.
pub struct Pair<'a> {
    pub source_path: &'a Path,
    pub output_path: &'a Path,
    pub source: &'a Facts,
    pub output: &'a Facts,
    /// the source streamed-copied into the output's container
    pub remux: &'a Facts,
    /// decoded frames of the source, in its own time base
    pub frame_times: &'a [i64],
    pub report: &'a Value,
}

impl Pair<'_> {
    /// All warnings and fallbacks of the report in one text.
    pub fn said(&self) -> String {
        format!("{} {}", self.report["warnings"], self.report["fallbacks"]).to_lowercase()
    }

    /// Seconds the whole time line moved.
    fn shift_secs(&self) -> f64 {
        let output = self.output.video();
        let first = output.first_pts().unwrap_or(0);
        let source = self.source.video().time_base.seconds(self.frame_times[0]);
        output.time_base.seconds(first) - source
    }
}

pub fn frames(pair: &Pair, counted: u64) -> Cell {
    let (n_in, n_out) = (&pair.report["frames_in"], &pair.report["frames_out"]);
    let written = pair.output.video().packets.len() as u64;
    let cell = format!("{n_in}/{n_out}/{counted}");
    let same = n_in.as_u64() == Some(counted) && n_out.as_u64() == Some(counted);
    if same && written == counted {
        Ok(cell)
    } else {
        Err(format!("{cell}, {written} packets"))
    }
}

/// The output's presentation times are the source's, rounded to the container's ticks. A time line
/// that starts below zero may move as a whole; any other may move by less than a tick.
pub fn pts(pair: &Pair) -> Cell {
    let (from, to) = (pair.source.video().time_base, pair.output.video().time_base);
    let expected: Vec<i64> = pair
        .frame_times
        .iter()
        .map(|&pts| from.rescale(pts, to))
        .collect();
    let video = pair.output.video();
    let mut found: Vec<i64> = video
        .packets
        .iter()
        .filter_map(|packet| packet.pts)
        .collect();
    found.sort_unstable();
    if found.len() != expected.len() {
        return Err(format!(
            "{} times, {} expected",
            found.len(),
            expected.len()
        ));
    }
    let is_mp4 = pair
        .output_path
        .extension()
        .is_some_and(|extension| extension == "mp4");
    if is_mp4 && !from.is_exact_in(to) {
        return Err(format!("time base {from:?} does not fit {to:?}"));
    }
    let shift = found[0] - expected[0];
    let mut both = expected.iter().zip(&found).enumerate();
    if let Some((n, (want, got))) = both.find(|(_, (want, got))| **want + shift != **got) {
        return Err(format!("frame {n}: {got}, expected {}", want + shift));
    }
    let may_move = pair.source.has_negative_times();
    match to.seconds(shift) {
        _ if shift == 0 => Ok("exact".to_owned()),
        secs if may_move || secs.abs() <= TICK_TOLERANCE_SECS => {
            Ok(format!("exact {:+.1} ms", secs * 1e3))
        }
        secs => Err(format!("all moved by {:+.1} ms", secs * 1e3)),
    }
}

/// The distance of the first audio packet from the first picture, for every audio stream.
pub fn av_offset(pair: &Pair) -> Cell {
    let mut worst = 0.0_f64;
    for (source, output) in both(pair, "audio") {
        let (Some(a), Some(b)) = (source.first_pts(), output.first_pts()) else {
            continue;
        };
        let moved = output.time_base.seconds(b) - source.time_base.seconds(a);
        let change = moved - pair.shift_secs();
        worst = if change.abs() > worst.abs() {
            change
        } else {
            worst
        };
    }
    let cell = format!("{:+.2} ms", worst * 1e3);
    match worst.abs() <= TICK_TOLERANCE_SECS {
        true if pair.source.of_kind("audio").is_empty() => Ok("-".to_owned()),
        true => Ok(cell),
        false => Err(cell),
    }
}

pub fn audio(pair: &Pair) -> Cell {
    let expected = pair.source.of_kind("audio").len();
    let found = pair.output.of_kind("audio").len();
    if expected != found {
        return Err(format!("{found} of {expected} streams"));
    }
    let mut cells = Vec::new();
    for (source, output) in both(pair, "audio") {
        same_packets(pair, source, output)?;
        cells.push(format!("{} {}", source.codec, source.packets.len()));
    }
    Ok(or_dash(cells.join(", ")))
}

/// Subtitles are copied packet by packet; text may change its form to fit the container, never its words.
pub fn subtitles(pair: &Pair, scratch: &Path) -> Cell {
    let sources = pair.source.of_kind("subtitle");
    let outputs = pair.output.of_kind("subtitle");
    if outputs.len() < sources.len() {
        let unknown = sources
            .iter()
            .filter(|stream| stream.codec == "unknown")
            .count();
        let is_said = pair.said().contains("subtitle");
        let lost = format!(
            "{} of {} lost",
            sources.len() - outputs.len(),
            sources.len()
        );
        let only_unknown = sources.len() - outputs.len() <= unknown;
        return if is_said && only_unknown {
            Ok(format!("{lost}, said"))
        } else {
            Err(lost)
        };
    }
    let mut cells = Vec::new();
    for (n, (source, output)) in both(pair, "subtitle").into_iter().enumerate() {
        if source.codec == output.codec || source.codec == "unknown" {
            same_packets(pair, source, output)?;
            cells.push(source.codec.clone());
        } else {
            same_words(pair, n, scratch)?;
            cells.push(format!("{}>{}", source.codec, output.codec));
        }
    }
    Ok(or_dash(cells.join(", ")))
}

pub fn chapters(pair: &Pair) -> Cell {
    let (source, output) = (&pair.source.chapters, &pair.output.chapters);
    if source.len() != output.len() {
        return Err(format!("{} of {}", output.len(), source.len()));
    }
    for (a, b) in source.iter().zip(output) {
        let fits = |was: f64, is: f64| {
            let moved = is - was;
            moved.abs() <= TICK_TOLERANCE_SECS
                || (moved - pair.shift_secs()).abs() <= TICK_TOLERANCE_SECS
        };
        let times = fits(a.start_secs, b.start_secs) && fits(a.end_secs, b.end_secs);
        if !times || a.title != b.title {
            return Err(format!("{b:?}, expected {a:?}"));
        }
    }
    Ok(or_dash(if source.is_empty() {
        String::new()
    } else {
        source.len().to_string()
    }))
}

pub fn attachments(pair: &Pair) -> Cell {
    let hashes = |facts: &Facts| -> Vec<(String, String)> {
        let of = |stream: &&Stream| {
            let name = stream.tags.get("filename").cloned().unwrap_or_default();
            (name, stream.text("extradata_hash").to_owned())
        };
        facts.of_kind("attachment").iter().map(of).collect()
    };
    let (source, output) = (hashes(pair.source), hashes(pair.output));
    let is_mp4 = pair.output_path.extension().is_some_and(|ext| ext == "mp4");
    if is_mp4 && !source.is_empty() && output.is_empty() && pair.said().contains("attachment") {
        return Ok(format!("{} lost, said", source.len()));
    }
    if source != output {
        return Err(format!("{output:?}, expected {source:?}"));
    }
    Ok(or_dash(if source.is_empty() {
        String::new()
    } else {
        source.len().to_string()
    }))
}

/// Every tag and disposition that a plain stream copy keeps is kept here too.
pub fn tags(pair: &Pair) -> Cell {
    let mut kept = check_tags("file", &pair.remux.tags, &pair.output.tags)?;
    for kind in ["video", "audio", "subtitle", "attachment"] {
        for (n, (source, output)) in both(pair, kind).into_iter().enumerate() {
            let name = format!("{kind} {}", source.index);
            let of_remux = pair.remux.of_kind(kind).get(n).copied();
            let copied = if kind == "video" {
                Some(pair.remux.video())
            } else {
                of_remux
            };
            if let Some(copied) = copied {
                kept += check_tags(&name, &copied.tags, &output.tags)?;
                check_dispositions(&name, copied, output)?;
            } else {
                let spoken = |key: &&String| ["language", "title"].contains(&key.as_str());
                let wanted = source.tags.iter().filter(|(key, _)| spoken(key));
                let wanted = wanted
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                kept += check_tags(&name, &wanted, &output.tags)?;
            }
        }
    }
    Ok(or_dash(if kept == 0 {
        String::new()
    } else {
        kept.to_string()
    }))
}

fn check_dispositions(name: &str, copied: &Stream, output: &Stream) -> Result<(), String> {
    if let Some(lost) = copied.dispositions.difference(&output.dispositions).next() {
        return Err(format!("{name}: disposition {lost} lost"));
    }
    // MP4 marks the first stream of a kind as default whatever it is told
    let mut gained = output.dispositions.difference(&copied.dispositions);
    match gained.find(|name| *name != "default") {
        Some(gained) => Err(format!("{name}: disposition {gained} gained")),
        None => Ok(()),
    }
}

/// Streams stand in the order of the source; a second video that is left behind is spoken of.
pub fn order(pair: &Pair) -> Cell {
    let is_stream = |stream: &&Stream| ["video", "audio", "subtitle"].contains(&&*stream.kind);
    let kinds = |facts: &Facts, keep: &dyn Fn(&Stream) -> bool| -> String {
        let streams = facts
            .streams
            .iter()
            .filter(is_stream)
            .filter(|stream| keep(stream));
        streams.map(|stream| stream.kind[..1].to_owned()).collect()
    };
    let chosen = pair.source.video().index;
    let all = kinds(pair.source, &|_| true);
    let one_video = kinds(pair.source, &|stream| {
        stream.kind != "video" || stream.index == chosen
    });
    let without_lost = |text: &str| text.replace('s', "");
    let found = kinds(pair.output, &|_| true);
    let lost_subtitles = found.matches('s').count() < all.matches('s').count();
    if found == all || (lost_subtitles && found == without_lost(&all)) {
        return Ok(found);
    }
    if found == one_video && pair.said().contains("video stream") {
        return Ok(format!("{found}, other video left, said"));
    }
    Err(format!("{found}, expected {all}"))
}

/// A line without `<font …>` and the like: how text looks is the container's affair.
fn without_markup(line: &str) -> String {
    let mut parts = line.split('<');
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('>').map_or(part, |(_, words)| words));
    first.chars().chain(rest.flat_map(str::chars)).collect()
}

/// Streams of one kind, side by side. Of the videos only the one that was upscaled.
fn both<'a>(pair: &Pair<'a>, kind: &str) -> Vec<(&'a Stream, &'a Stream)> {
    if kind == "video" {
        return vec![(pair.source.video(), pair.output.video())];
    }
    pair.source
        .of_kind(kind)
        .into_iter()
        .zip(pair.output.of_kind(kind))
        .collect()
}

/// The MD5 ffprobe gives for the two zero bytes MP4 puts where no subtitle is on screen.
const EMPTY_TEXT: &str = "MD5:c4103f122d27677c9db144cae1394a66";

fn same_packets(pair: &Pair, source: &Stream, output: &Stream) -> Result<(), String> {
    let spoken = |stream: &Stream| -> Vec<(Option<i64>, String)> {
        let packets = stream
            .packets
            .iter()
            .filter(|packet| packet.hash != EMPTY_TEXT);
        packets
            .map(|packet| (packet.pts, packet.hash.clone()))
            .collect()
    };
    let (before, after) = (spoken(source), spoken(output));
    let name = format!("{} {}", source.kind, source.index);
    if before.len() != after.len() {
        return Err(format!(
            "{name}: {} of {} packets",
            after.len(),
            before.len()
        ));
    }
    for (n, ((was_at, was), (is_at, is))) in before.iter().zip(&after).enumerate() {
        if was != is {
            return Err(format!("{name}: packet {n} has other bytes"));
        }
        let (Some(was_at), Some(is_at)) = (was_at, is_at) else {
            continue;
        };
        let moved = output.time_base.seconds(*is_at) - source.time_base.seconds(*was_at);
        if (moved - pair.shift_secs()).abs() > TICK_TOLERANCE_SECS {
            return Err(format!(
                "{name}: packet {n} moved by {:+.2} ms",
                moved * 1e3
            ));
        }
    }
    Ok(())
}

/// The words of the `n`th subtitle stream of both files, read as `SubRip`.
fn same_words(pair: &Pair, n: usize, scratch: &Path) -> Result<(), String> {
    let words = |path: &Path, name: &str| -> String {
        let input = path.display();
        ffmpeg(scratch, &format!("-i {input} -map 0:s:{n} -f srt {name}"));
        let text = fs::read_to_string(scratch.join(name)).unwrap();
        let spoken = text.lines().filter(|line| !line.contains(" --> "));
        spoken.map(without_markup).collect::<Vec<_>>().join("\n")
    };
    let (was, is) = (
        words(pair.source_path, "was.srt"),
        words(pair.output_path, "is.srt"),
    );
    if was == is {
        Ok(())
    } else {
        Err(format!("subtitle {n} says {is:?}, was {was:?}"))
    }
}

fn check_tags(
    name: &str,
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Result<usize, String> {
    for (key, value) in expected {
        let is = found.get(key);
        if is != Some(value) {
            return Err(format!("{name}: {key} is {is:?}, was {value:?}"));
        }
    }
    Ok(expected.len())
}

fn or_dash(cell: String) -> String {
    if cell.is_empty() {
        "-".to_owned()
    } else {
        cell
    }
}
