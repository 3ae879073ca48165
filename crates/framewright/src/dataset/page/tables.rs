//! The page in numbers.

use std::collections::BTreeMap;

use crate::dataset::export::text::markup;
use crate::dataset::export::view;
use crate::dataset::page::{Page, RunFacts, section};
use crate::dataset::record::DropReason;

/// Rows of a table that may be as long as the list of videos.
const MOST_ROWS: usize = 2000;
const MOST_CLASSES: usize = 200;

/// The dataset on a glance.
pub(super) fn summary(page: &Page<'_>, facts: &RunFacts) -> String {
    let dataset = page.view.dataset;
    let objects: usize = page.view.pictures.iter().map(|p| p.boxes.len()).sum();
    let mut boxes = vec![
        ("pictures", page.view.pictures.len().to_string()),
        ("frames looked at", dataset.frames.len().to_string()),
        ("videos", dataset.videos.len().to_string()),
    ];
    if page.view.is_labelled() {
        boxes.push(("objects", objects.to_string()));
    }
    if !facts.failed.is_empty() {
        boxes.push(("videos with trouble", facts.failed.len().to_string()));
    }
    if facts.elapsed_secs > 0.0 {
        boxes.push(("time", duration(facts.elapsed_secs)));
    }
    let boxes = boxes.iter();
    let boxes: String = boxes
        .map(|(what, number)| format!("<div><b>{number}</b>{what}</div>\n"))
        .collect();
    format!("<div class=\"facts\">\n{boxes}</div>\n")
}

/// The parts.
pub(super) fn parts(page: &Page<'_>) -> String {
    let counts = page.counts();
    let rows = counts
        .iter()
        .map(|(split, count)| (split.word().to_owned(), *count));
    section("Parts", &bars("part", "pictures", rows.collect()))
}

/// How often each class was found.
pub(super) fn classes(page: &Page<'_>) -> String {
    let mut counts = vec![0; page.view.classes.names.len()];
    for found in page.view.pictures.iter().flat_map(|p| &p.boxes) {
        counts[found.class as usize] += 1;
    }
    let names = page.view.classes.names.iter().cloned();
    let mut rows: Vec<(String, usize)> = names.zip(counts).collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let left = rows.len().saturating_sub(MOST_CLASSES);
    rows.truncate(MOST_CLASSES);
    let more = more(left, "classes");
    section("Classes", &(bars("class", "objects", rows) + &more))
}

/// What was left out, by reason.
pub(super) fn drops(page: &Page<'_>) -> String {
    let mut counts: BTreeMap<DropReason, usize> = BTreeMap::new();
    let dropped = page.view.dataset.frames.iter();
    for dropped in dropped.filter_map(|frame| frame.dropped.as_ref()) {
        *counts.entry(dropped.reason).or_default() += 1;
    }
    let rows = counts
        .into_iter()
        .map(|(reason, count)| (reason.word().to_owned(), count));
    section("Left out", &bars("reason", "frames", rows.collect()))
}

/// Every video and what became of its frames.
pub(super) fn videos(page: &Page<'_>) -> String {
    let dataset = page.view.dataset;
    let mut tallies = vec![Tally::default(); dataset.videos.len()];
    for frame in &dataset.frames {
        let tally = &mut tallies[frame.video];
        tally.seen += 1;
        match &frame.dropped {
            None => tally.kept += 1,
            Some(dropped) => *tally.dropped.entry(dropped.reason).or_default() += 1,
        }
    }
    let rows = dataset.videos.iter().zip(&tallies).take(MOST_ROWS);
    let rows: String = rows
        .map(|(video, tally)| {
            let reasons = tally.dropped.iter();
            let reasons = reasons.map(|(reason, count)| format!("{} {count}", reason.word()));
            let title = video.downloaded.title.as_deref().unwrap_or_default();
            let source = view::source(video);
            let source = if title.is_empty() || title == source {
                markup(&source)
            } else {
                format!("{}<br>{}", markup(title), markup(&source))
            };
            format!(
                "<tr><td>{}</td><td>{source}</td><td class=\"n\">{}&times;{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td></tr>\n",
                markup(&video.video.video_id),
                video.size[0],
                video.size[1],
                video.duration_secs.map_or("?".into(), duration),
                tally.seen,
                tally.kept,
                reasons.collect::<Vec<_>>().join(", "),
                markup(&video.notes.join("; ")),
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let more = more(dataset.videos.len().saturating_sub(MOST_ROWS), "videos");
    let head = "<tr><th>video</th><th>source</th><th class=\"n\">size</th><th class=\"n\">length</th>\
                <th class=\"n\">frames</th><th class=\"n\">kept</th><th>left out</th><th>notes</th></tr>\n";
    section(
        "Videos",
        &format!("<div class=\"wide\"><table>\n{head}{rows}</table></div>\n{more}"),
    )
}

#[derive(Clone, Default)]
struct Tally {
    seen: usize,
    kept: usize,
    dropped: BTreeMap<DropReason, usize>,
}

/// The videos that are not in the dataset, and why.
pub(super) fn failed(facts: &RunFacts) -> String {
    let rows = facts.failed.iter().take(MOST_ROWS);
    let rows: String = rows
        .map(|video| {
            let trouble = &video.trouble;
            let details = if trouble.details.is_empty() {
                String::new()
            } else {
                let details = markup(&trouble.details.join("\n"));
                format!("<details><summary>details</summary><pre>{details}</pre></details>")
            };
            format!(
                "<tr><td>{}</td><td class=\"bad\">{}</td><td>{}{details}</td></tr>\n",
                markup(&view::without_credentials(&video.source)),
                trouble.class.word(),
                markup(&trouble.message),
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let more = more(facts.failed.len().saturating_sub(MOST_ROWS), "videos");
    let head = "<tr><th>source</th><th>class</th><th>trouble</th></tr>\n";
    section(
        "Trouble",
        &format!("<div class=\"wide\"><table>\n{head}{rows}</table></div>\n{more}"),
    )
}

/// Where the time went.
pub(super) fn stages(facts: &RunFacts) -> String {
    let rows: String = facts
        .stages
        .iter()
        .map(|stage| {
            format!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1}</td><td class=\"n\">{:.1}</td></tr>\n",
                markup(&stage.name),
                stage.items,
                stage.busy_secs,
                stage.waiting_secs,
            )
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let head = "<tr><th>stage</th><th class=\"n\">videos</th><th class=\"n\">seconds of work</th>\
                <th class=\"n\">seconds of waiting</th></tr>\n";
    section("Stages", &format!("<table>\n{head}{rows}</table>\n"))
}

/// What the user should know.
pub(super) fn notes(page: &Page<'_>) -> String {
    let notes = page.view.dataset.notes.iter().take(MOST_ROWS);
    let notes: String = notes
        .map(|note| format!("<li>{}</li>\n", markup(note)))
        .collect();
    if notes.is_empty() {
        return notes;
    }
    section("Notes", &format!("<ul>\n{notes}</ul>\n"))
}

/// A table whose numbers are drawn as well.
fn bars(what: &str, of: &str, rows: Vec<(String, usize)>) -> String {
    let largest = rows.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if largest == 0 {
        return String::new();
    }
    let row = |(name, count): (String, usize)| {
        format!(
            "<tr><td>{}</td><td class=\"n\">{count}</td><td class=\"share\"><i style=\"width:{:.1}%\"></i></td></tr>\n",
            markup(&name),
            100.0 * count as f64 / largest as f64
        )
    };
    let rows: String = rows.into_iter().map(row).collect();
    format!("<table>\n<tr><th>{what}</th><th class=\"n\">{of}</th><th></th></tr>\n{rows}</table>\n")
}

/// How much a bounded list leaves out.
pub(super) fn more(left: usize, what: &str) -> String {
    match left {
        0 => String::new(),
        n => format!("<p>and {n} more {what}: see frames.parquet</p>\n"),
    }
}

/// Such as `1:02:03`.
fn duration(secs: f64) -> String {
    let whole = secs.round().clamp(0.0, 1e9) as u64;
    let (hours, minutes, secs) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{secs:02}"),
        hours => format!("{hours}:{minutes:02}:{secs:02}"),
    }
}
