//! What becomes of every frame: a pure function of what the stages learned, in input order.
//!
//! ```text
//! a video:     measures ─▶ classes ─▶ text ─▶ leaders of the video        drops_of_video
//! all videos:  leaders across videos, in input order ─▶ split             decide
//! ```
//! Invariant: nothing here depends on the order in which videos were finished, or on how many were worked on at a time.

use std::collections::BTreeMap;

use framewright_pipeline::Control;

use super::config::Config;
use super::dedup::{self, Candidate, Earlier};
use super::filter::quality_drop;
use super::record::{
    Dataset, DatasetFrame, DatasetVideo, Downloaded, Drop, DropReason, Extracted, Frame, Labelled,
    Labels, Split, Video, VideoId,
};
use super::split;
use super::video_folder::VideoFolder;
use crate::upscale::trouble::from_failure;

/// Everything that is known of a video whose stages are done.
pub struct Gathered {
    /// What it is.
    pub video: Video,
    /// Its file.
    pub downloaded: Downloaded,
    /// Its frames.
    pub extracted: Extracted,
    /// What the models said.
    pub labelled: Labelled,
}

/// Which frames of a video are dropped before other videos are looked at; `names` are the detector's classes.
pub fn drops_of_video(
    extracted: &Extracted,
    labelled: &Labelled,
    config: &Config,
    names: &[String],
) -> Vec<Option<Drop>> {
    let mut drops: Vec<Option<Drop>> = extracted
        .frames
        .iter()
        .map(|frame| {
            let by_quality = || quality_drop(&frame.scores, &config.filter);
            let by_model = || model_drop(labelled.pictures.get(&frame.image_id)?, config, names);
            by_quality().or_else(by_model).map(plain)
        })
        .collect();
    let candidates: Vec<Candidate<'_>> = (extracted.frames.iter())
        .zip(&drops)
        .filter(|(_, drop)| drop.is_none())
        .map(|(frame, _)| candidate(0, frame, labelled))
        .collect();
    let within = dedup::within_video(&candidates, &config.dedup, config.filter.min_contrast);
    let kept = drops.iter_mut().filter(|drop| drop.is_none());
    for (drop, duplicate) in kept.zip(within) {
        *drop = duplicate;
    }
    drops
}

fn candidate<'a>(video: usize, frame: &'a Frame, labelled: &'a Labelled) -> Candidate<'a> {
    let labels = labelled.pictures.get(&frame.image_id);
    Candidate {
        video,
        frame,
        embedding: labels.and_then(|labels| labels.embedding.as_deref()),
    }
}

fn plain(reason: DropReason) -> Drop {
    Drop {
        reason,
        duplicate_of: None,
        distance: None,
        kind: None,
    }
}

/// Why a picture is not wanted by what the models said of it.
fn model_drop(labels: &Labels, config: &Config, names: &[String]) -> Option<DropReason> {
    let filter = &config.filter;
    if filter.score_only {
        return None;
    }
    if let (false, Some(objects)) = (filter.classes.is_empty(), &labels.objects) {
        let is_wanted = |class: u32| {
            names
                .get(class as usize)
                .is_some_and(|name| filter.classes.contains(name))
        };
        if !objects.iter().any(|object| is_wanted(object.class)) {
            return Some(DropReason::NoWantedClass);
        }
    }
    let is_unlike = labels
        .text_score
        .is_some_and(|score| score < filter.min_text_score);
    (is_unlike && !filter.text.is_empty()).then_some(DropReason::UnlikeText)
}

/// What decides beside the videos themselves.
pub struct Context<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The detector's classes.
    pub names: &'a [String],
    /// Pictures of earlier datasets.
    pub earlier: &'a [Earlier],
    /// To which part the groups went before.
    pub splits: &'a BTreeMap<String, Split>,
    /// The folder of each video.
    pub folder_of: &'a dyn Fn(&VideoId) -> VideoFolder,
    /// Threads for the search.
    pub workers: usize,
    /// Ends it early.
    pub control: &'a Control,
}

/// Puts all videos, given in input order, together; gives the dataset and to which part each group goes; none when the
/// run is being stopped.
///
/// # Errors
/// The search for duplicates could not be run.
pub fn decide(
    videos: &[Gathered],
    context: &Context<'_>,
) -> anyhow::Result<Option<(Dataset, BTreeMap<String, Split>)>> {
    let config = context.config;
    let mut drops: Vec<Vec<Option<Drop>>> = videos
        .iter()
        .map(|video| drops_of_video(&video.extracted, &video.labelled, config, context.names))
        .collect();
    let candidates = candidates(videos, &drops);
    let frames = videos.iter().flat_map(|video| &video.extracted.frames);
    let judged = frames.zip(drops.iter().flatten().map(Option::as_ref));
    let members = dedup::members(judged, &candidates);
    let (gate, workers) = (config.filter.min_contrast, context.workers);
    let across = dedup::across(
        &candidates,
        &members,
        context.earlier,
        &config.dedup,
        gate,
        workers,
        context.control,
    );
    let Some(across) = across.map_err(from_failure)? else {
        return Ok(None);
    };
    let kept = drops.iter_mut().flatten().filter(|drop| drop.is_none());
    for (drop, duplicate) in kept.zip(across) {
        *drop = duplicate;
    }
    let mut dataset = Dataset {
        class_names: context.names.to_vec(),
        ..Dataset::default()
    };
    for (n, (video, drops)) in videos.iter().zip(drops).enumerate() {
        dataset.videos.push(dataset_video(video));
        let folder = (context.folder_of)(&video.video.video_id);
        for (frame, dropped) in video.extracted.frames.iter().zip(drops) {
            dataset
                .frames
                .push(dataset_frame(n, video, frame, dropped, &folder));
        }
    }
    let (splits, notes) = split::divide(&mut dataset, &config.split, context.splits);
    dataset.notes.extend(notes);
    Ok(Some((dataset, splits)))
}

/// What is left of all videos, in input order.
pub fn candidates<'a>(videos: &'a [Gathered], drops: &[Vec<Option<Drop>>]) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for (n, (video, drops)) in videos.iter().zip(drops).enumerate() {
        let kept = video
            .extracted
            .frames
            .iter()
            .zip(drops)
            .filter(|(_, drop)| drop.is_none());
        candidates.extend(kept.map(|(frame, _)| candidate(n, frame, &video.labelled)));
    }
    candidates
}

fn dataset_video(gathered: &Gathered) -> DatasetVideo {
    let extracted = &gathered.extracted;
    let notes = gathered.downloaded.notes.iter().chain(&extracted.notes);
    DatasetVideo {
        video: gathered.video.clone(),
        downloaded: gathered.downloaded.clone(),
        size: [extracted.width, extracted.height],
        codec: extracted.codec.clone(),
        duration_secs: extracted.duration_secs,
        notes: notes.cloned().collect(),
    }
}

fn dataset_frame(
    video: usize,
    gathered: &Gathered,
    frame: &Frame,
    dropped: Option<Drop>,
    folder: &VideoFolder,
) -> DatasetFrame {
    let labels = gathered.labelled.pictures.get(&frame.image_id);
    let mut frame = frame.clone();
    let mut picture = frame.file.as_ref().map(|file| folder.picture(file));
    // Which pictures of dropped frames were written depends on how the stages were run; the dataset does not.
    if dropped.is_some() {
        (frame.file, frame.sha256) = (None, None);
        picture = picture.filter(|picture| picture.exists());
    }
    DatasetFrame {
        video,
        frame,
        labels: labels.cloned().unwrap_or_default(),
        picture,
        dropped,
        split: None,
        group: gathered.video.video_id.to_string(),
    }
}
