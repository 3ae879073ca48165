//! What a new dataset would lose of the one that stands in its place.
//!
//! Invariant: pictures are never replaced by none, and those of a video never go without a word.

use std::collections::BTreeSet;

use super::config::Stage;
use super::export::{self, Standing};
use super::gather::Gathering;
use super::record::{Dataset, DatasetFrame, Video};
use super::registry::Failure;
use super::results::Absence;
use super::work::{FAILURE, Job};
use crate::exit::{Exit, fail};

/// Says which videos are left out and what goes with them, before anything is replaced.
///
/// # Errors
/// Nothing is left for the dataset, while the one that stands there has pictures: it stays as it is.
pub fn weigh(
    job: &Job,
    listed: &[Video],
    gathering: &Gathering,
    dataset: &Dataset,
) -> anyhow::Result<()> {
    if !job.config.runs(Stage::Export) {
        return Ok(());
    }
    let standing = export::standing(job.folder.root());
    let is_empty = !dataset.frames.iter().any(DatasetFrame::is_kept);
    if is_empty && standing.pictures > 0 {
        return Err(refusal(job, listed, gathering, &standing));
    }
    for video in listed {
        let Some(absence) = gathering.left_out.get(&video.video_id) else {
            continue;
        };
        let source = &video.source;
        let why = reason(job, video, absence);
        match (standing.of_videos.get(video.video_id.as_str()), absence) {
            (Some(pictures), _) => job.notes.warn(format!(
                "{source}: its {pictures} pictures are no longer in the dataset: {why}"
            )),
            (None, Absence::NotDone(_)) => {}
            (None, _) => job
                .notes
                .warn(format!("{source}: it is not in the dataset: {why}")),
        }
    }
    let listed: BTreeSet<&str> = listed.iter().map(|video| video.video_id.as_str()).collect();
    let unlisted = standing.of_videos.iter();
    let unlisted = unlisted.filter(|(id, _)| !listed.contains(id.as_str()));
    let (videos, pictures) = unlisted.fold((0, 0), |(n, sum), (_, more)| (n + 1, sum + more));
    if videos > 0 {
        job.notes.warn(format!(
            "{pictures} pictures of {videos} videos that the inputs do not name any more are no longer in the dataset"
        ));
    }
    Ok(())
}

/// Why a video is left out: how it failed, where it did.
fn reason(job: &Job, video: &Video, absence: &Absence) -> String {
    let folder = job.folder.video(&video.video_id);
    let failure: Option<Failure> = folder.read(FAILURE, video).unwrap_or_default();
    match (absence, failure) {
        (Absence::NotDone(_), Some(failure)) => failure.trouble.to_string(),
        _ => absence.message(),
    }
}

fn refusal<'a>(
    job: &Job,
    listed: &'a [Video],
    gathering: &'a Gathering,
    standing: &Standing,
) -> anyhow::Error {
    let left_out = |video: &'a Video| Some((video, gathering.left_out.get(&video.video_id)?));
    let left_out: Vec<(&Video, &Absence)> = listed.iter().filter_map(left_out).collect();
    // What another run could have used tells more than what was never done.
    let is_there = |(_, absence): &&(&Video, &Absence)| !matches!(absence, Absence::NotDone(_));
    let first = left_out.iter().find(is_there).or(left_out.first());
    let said = |&(video, absence): &(&Video, &Absence)| {
        format!("{}: {}", video.source, reason(job, video, absence))
    };
    let (exit, why) = match first {
        Some(first) if is_there(&first) => (Exit::BadInput, said(first)),
        _ if !gathering.videos.is_empty() => (
            Exit::Failed,
            "filter and dedup leave none of the frames; change them".to_owned(),
        ),
        Some(first) => (Exit::SomeFailed, said(first)),
        None => (Exit::BadInput, "the inputs name no video".to_owned()),
    };
    let lost = match standing.of_videos.len() {
        0 => format!("{} files", standing.pictures),
        videos => format!("{} pictures of {videos} videos", standing.pictures),
    };
    let message = format!(
        "the dataset would be empty and {lost} would be lost: {why}; it stays as it was, run all stages or choose \
         another folder than {}",
        job.folder.root().display()
    );
    fail(exit, message)
}
