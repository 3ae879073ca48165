//! What a record of a video has to hold to be one of that video.
//!
//! Invariant: every name in a record that passes is made from the video's own id or is plain, and every number is finite.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::is_plain_name;
use crate::dataset::record::{
    Downloaded, Extracted, Frame, Labelled, Labels, Location, Object, Scores, Video,
};
use crate::dataset::registry::Failure;
use crate::dataset::results::{Kept, KeyOf};

/// Longest side of a picture, in pixels.
const MOST_PIXELS: u32 = 1 << 20;
/// Classes that a detector may have; the exports list them all.
const MOST_CLASSES: u32 = 1 << 16;
/// Objects in one picture.
const MOST_OBJECTS: usize = 1 << 16;
/// Numbers in one embedding.
const MOST_EMBEDDING: usize = 1 << 16;
/// Tries of a video, of all runs.
const MOST_ATTEMPTS: u32 = 1 << 24;
/// Largest record of one video, in bytes: rows of half a million frames.
const MOST_BYTES: u64 = 512 << 20;
/// Largest record without rows, in bytes.
const MOST_SMALL_BYTES: u64 = 16 << 20;
/// Kinds of picture file.
const EXTENSIONS: [&str; 3] = ["jpg", "png", "webp"];

/// A record in the folder of a video.
pub trait OfVideo: DeserializeOwned {
    /// Largest file that can be one, in bytes.
    const MOST_BYTES: u64;

    /// Makes sure that it is one of this video.
    ///
    /// # Errors
    /// Says what does not fit.
    fn check(&self, video: &Video) -> Result<(), String>;
}

/// A key is only ever compared.
impl OfVideo for KeyOf {
    const MOST_BYTES: u64 = MOST_BYTES;

    fn check(&self, _video: &Video) -> Result<(), String> {
        Ok(())
    }
}

impl<T: OfVideo> OfVideo for Kept<T> {
    const MOST_BYTES: u64 = T::MOST_BYTES;

    fn check(&self, video: &Video) -> Result<(), String> {
        self.value.check(video)
    }
}

impl OfVideo for Downloaded {
    const MOST_BYTES: u64 = MOST_SMALL_BYTES;

    /// A local film is the one that the inputs name: a record cannot name another file of this machine.
    fn check(&self, video: &Video) -> Result<(), String> {
        let is_right = match &video.location {
            Location::File(path) => self.file == *path,
            Location::Http(_) | Location::Page(_) => is_film(&self.file),
        };
        must(is_right, "it names a file that is not the video's")?;
        must(is_sha256(&self.sha256), "its digest is none")
    }
}

/// `video.<extension>`, as the download names it.
fn is_film(file: &Path) -> bool {
    let name = file.to_str().filter(|name| is_plain_name(name));
    let extension = name.and_then(|name| name.strip_prefix("video."));
    let is_extension = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    extension.is_some_and(|extension| !extension.is_empty() && is_extension(extension))
}

impl OfVideo for Extracted {
    const MOST_BYTES: u64 = MOST_BYTES;

    fn check(&self, video: &Video) -> Result<(), String> {
        check_frames(self, &video.video_id)
    }
}

/// Makes sure that rows are those of a video: named by its id and their numbers, in order, with finite measures.
///
/// # Errors
/// Says what does not fit.
pub fn check_frames(extracted: &Extracted, video_id: &str) -> Result<(), String> {
    let sides = [extracted.width, extracted.height];
    must(
        sides.iter().all(|side| (1..=MOST_PIXELS).contains(side)),
        "its pictures have no size that can be",
    )?;
    let duration = extracted.duration_secs.unwrap_or(0.0);
    must(duration.is_finite(), "its duration is no number")?;
    let mut last = None;
    for frame in &extracted.frames {
        check_frame(frame, video_id)?;
        must(
            last.is_none_or(|last| last < frame.frame_index),
            "its frames are not in order",
        )?;
        last = Some(frame.frame_index);
    }
    Ok(())
}

fn check_frame(frame: &Frame, video_id: &str) -> Result<(), String> {
    let image_id = format!("{video_id}_{:08}", frame.frame_index);
    must(
        frame.image_id == image_id,
        "a frame has another name than its own",
    )?;
    must(
        i64::try_from(frame.frame_index).is_ok(),
        "the number of a frame is too large",
    )?;
    let is_own = |file: &str| {
        let extension = file
            .strip_prefix(&image_id)
            .and_then(|end| end.strip_prefix('.'));
        extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
    };
    must(
        frame.file.as_deref().is_none_or(is_own),
        "a frame names a picture that is not its own",
    )?;
    must(
        frame.sha256.as_deref().is_none_or(is_sha256),
        "the digest of a picture is none",
    )?;
    let Scores {
        sharpness,
        brightness,
        contrast,
        border,
    } = frame.scores;
    must(
        frame.pts_secs.is_finite() && all_finite(&[sharpness, brightness, contrast, border]),
        "a measure of a frame is no number",
    )
}

impl OfVideo for Labelled {
    const MOST_BYTES: u64 = MOST_BYTES;

    fn check(&self, video: &Video) -> Result<(), String> {
        for (image_id, labels) in &self.pictures {
            let number = image_id
                .strip_prefix(video.video_id.as_str())
                .and_then(|end| end.strip_prefix('_'));
            let is_own = number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()));
            must(is_own, "it labels pictures that are not the video's")?;
            check_labels(labels)?;
        }
        Ok(())
    }
}

fn check_labels(labels: &Labels) -> Result<(), String> {
    let objects = labels.objects.as_deref().unwrap_or_default();
    must(
        objects.len() <= MOST_OBJECTS,
        "a picture has too many objects",
    )?;
    for Object { class, score, bbox } in objects {
        must(*class < MOST_CLASSES, "the class of an object is too large")?;
        must(
            score.is_finite() && all_finite(bbox),
            "the place of an object is no number",
        )?;
    }
    let embedding = labels.embedding.as_deref().unwrap_or_default();
    must(
        embedding.len() <= MOST_EMBEDDING && all_finite(embedding),
        "an embedding is no vector",
    )?;
    must(
        labels.text_score.is_none_or(f32::is_finite),
        "the likeness to a text is no number",
    )
}

impl OfVideo for Failure {
    const MOST_BYTES: u64 = MOST_SMALL_BYTES;

    fn check(&self, _video: &Video) -> Result<(), String> {
        let after = self.trouble.retry_after_secs.unwrap_or(0.0);
        let at = self.next_try_unix_secs.unwrap_or(0);
        must(
            self.attempts <= MOST_ATTEMPTS && after.is_finite() && i64::try_from(at).is_ok(),
            "its numbers are too large",
        )
    }
}

fn must(holds: bool, else_said: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(else_said.to_owned())
    }
}

fn all_finite(numbers: &[f32]) -> bool {
    numbers.iter().all(|number| number.is_finite())
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
