//! What is said of a dataset: `dataset status`, the last lines of a run, `--json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use framewright_pipeline::Control;
use serde::Serialize;

use super::folder::Folder;
use super::gather::Outcome;
use super::registry::{Registry, Row, State, rows_anew};
use super::tally::StageTime;
use super::trouble::Class;
use super::work::Job;
use crate::exit::{Exit, describe};
use crate::notes::Notes;
use crate::report;
use crate::screen::{Line, Screen};
use crate::visible::visible;

/// What a run did, for people and programs.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Version of this document, 1.
    pub version: u32,
    /// Videos of this run.
    pub videos: u64,
    /// Videos whose stages are done.
    pub done: u64,
    /// Videos that have trouble, by class.
    pub failed: BTreeMap<&'static str, u64>,
    /// Videos that are neither.
    pub pending: u64,
    /// What the dataset is.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What the stages did in this run.
    pub stages: Vec<StageTime>,
    /// The stage that took most of the time.
    pub bottleneck: Option<&'static str>,
    /// Time from start to end, in seconds.
    pub wall_secs: f64,
    /// What was done in another way than asked.
    pub fallbacks: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Summary {
    /// Sums up a run that has ended.
    pub fn new(job: &Job, rows: &[Row], outcome: Outcome, wall: Duration) -> Self {
        let count = |state| rows.iter().filter(|row| row.state == state).count() as u64;
        Self {
            version: 1,
            videos: rows.len() as u64,
            done: count(State::Done),
            failed: failed(rows),
            pending: count(State::Pending),
            outcome,
            stages: job.tally.stages(),
            bottleneck: job.tally.bottleneck(),
            wall_secs: wall.as_secs_f64(),
            fallbacks: job.notes.fallbacks(),
            warnings: job.notes.warnings(),
        }
    }
}

fn failed(rows: &[Row]) -> BTreeMap<&'static str, u64> {
    let mut failed = BTreeMap::new();
    for class in rows.iter().filter_map(|row| row.class) {
        *failed.entry(class.word()).or_default() += 1;
    }
    failed
}

/// Says what a run did: one line for each thing on the screen, or JSON on standard output.
///
/// # Errors
/// Standard output refuses it.
pub fn say(summary: &Summary, screen: &Screen, json: bool) -> anyhow::Result<()> {
    for note in &summary.outcome.notes {
        screen.say(&Line::Warning(note.clone()));
    }
    if json {
        return report::print_json(summary);
    }
    for line in lines(summary) {
        screen.say(&Line::Info(line));
    }
    Ok(())
}

fn lines(summary: &Summary) -> Vec<String> {
    let mut videos = format!("{} of {} videos done", summary.done, summary.videos);
    if !summary.failed.is_empty() {
        let _ = write!(videos, ", failed: {}", counts(&summary.failed));
    }
    if summary.pending > 0 {
        let _ = write!(videos, ", {} not finished", summary.pending);
    }
    let mut lines = vec![videos];
    let outcome = &summary.outcome;
    if outcome.frames > 0 {
        let mut frames = format!("{} of {} frames kept", outcome.kept, outcome.frames);
        if !outcome.dropped.is_empty() {
            let _ = write!(frames, ", dropped: {}", counts(&outcome.dropped));
        }
        lines.push(frames);
    }
    if !outcome.splits.is_empty() {
        lines.push(format!("parts: {}", counts(&outcome.splits)));
    }
    if !outcome.written.is_empty() {
        lines.push(format!("written: {}", outcome.written.join(", ")));
    }
    lines
}

/// `dark 3, duplicate_in_video 12`
fn counts(of: &BTreeMap<&'static str, u64>) -> String {
    let each: Vec<String> = of.iter().map(|(name, n)| format!("{name} {n}")).collect();
    each.join(", ")
}

/// `framewright dataset status`: how far each video is.
///
/// # Errors
/// There is no dataset, or standard output refuses it.
pub fn status(root: &Path, json: bool, screen: &Screen) -> anyhow::Result<()> {
    let folder = Folder::open(root)?;
    let notes = Notes::new(screen.clone());
    let registry = Registry::open(&folder, &notes, &Control::new());
    let rows = match registry.and_then(|registry| registry.rows()) {
        // The files know as much, except what is in the dataset.
        Err(error) if Exit::of(&error) == Exit::Permission => {
            notes.fallback(format!("{}; counted from the files", describe(&error)));
            rows_anew(&folder)?
        }
        rows => rows?,
    };
    if json {
        return report::print_json(&rows);
    }
    report::print(&table(&rows))
}

fn table(rows: &[Row]) -> String {
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    let mut text = format!(
        "{} videos: {} done, {} failed, {} not finished",
        rows.len(),
        count(State::Done),
        count(State::Failed),
        count(State::Pending)
    );
    let frames: u64 = rows.iter().filter_map(|row| row.frames).sum();
    let kept: u64 = rows.iter().filter_map(|row| row.kept).sum();
    let _ = write!(text, "\n{frames} frames looked at, {kept} in the dataset");
    for class in Class::ALL {
        let of_class: Vec<&Row> = rows.iter().filter(|row| row.class == Some(class)).collect();
        if of_class.is_empty() {
            continue;
        }
        let _ = write!(text, "\n\n{} ({}):", class.word(), of_class.len());
        for row in of_class {
            let message = visible(row.message.as_deref().unwrap_or_default());
            let tries = if row.attempts == 1 { "try" } else { "tries" };
            let _ = write!(
                text,
                "\n  {}  {message} ({} {tries})",
                visible(&row.source),
                row.attempts
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::record::Order;

    fn row(line: u32, class: Option<Class>) -> Row {
        Row {
            video_id: line.to_string(),
            order: Order { line, entry: 0 },
            source: format!("http://example.com/{line}.mp4"),
            state: if class.is_some() {
                State::Failed
            } else {
                State::Done
            },
            stage: None,
            class,
            message: class.map(|_| "it is gone (404)".to_owned()),
            attempts: 1,
            next_try_unix_secs: None,
            frames: Some(10),
            kept: Some(4),
        }
    }

    #[test]
    fn a_table_names_what_failed_by_what_helps() {
        let rows = [row(0, None), row(1, Some(Class::Permanent)), row(2, None)];
        insta::assert_snapshot!(table(&rows), @r"
        3 videos: 2 done, 1 failed, 0 not finished
        30 frames looked at, 12 in the dataset

        permanent (1):
          http://example.com/1.mp4  it is gone (404) (1 try)
        ");
    }

    #[test]
    fn neither_an_address_nor_an_answer_can_move_the_cursor() {
        let mut row = row(0, Some(Class::Network));
        row.source = "a\u{1b}[2J".into();
        row.message = Some("b\n\u{202e}c".into());
        let table = table(&[row]);
        assert!(
            table.ends_with(r"a\u{1b}[2J  b\n\u{202e}c (1 try)"),
            "{table}"
        );
    }
}
