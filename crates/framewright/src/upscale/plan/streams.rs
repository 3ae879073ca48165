//! What becomes of each stream, and what the container cannot keep.

use std::path::Path;

use framewright_media::{Clip, Container, Stream};
use serde::Serialize;

use crate::exit::{Exit, fail};
use crate::upscale::plan::EncoderFacts;

/// One stream of the input.
#[derive(Debug, Clone, Serialize)]
pub struct StreamPlan {
    /// Index in the input.
    pub index: usize,
    /// What it carries.
    pub kind: String,
    /// FFmpeg's name of its codec.
    pub codec: String,
    /// What becomes of it.
    pub action: Action,
}

/// What becomes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The video this is about.
    Upscale,
    /// Its packets go over as they are.
    Copy,
    /// Its text goes over in the form that the container knows.
    Convert,
    /// It stays behind; a warning says why.
    LeaveOut,
}

/// Most bytes that the headers of copied streams hold together, attached files among them. They are in memory twice, and the
/// fonts of a film have a tenth of it.
const MAX_HEADER_BYTES: u64 = 256 << 20;

/// What becomes of each stream of `clip`, in order.
///
/// # Errors
/// The container cannot hold the encoder's video, or a stream that would be missed.
pub(super) fn choose_streams(
    clip: &Clip,
    encoder: Option<&EncoderFacts>,
    output: Option<(&Path, Container)>,
) -> anyhow::Result<Vec<StreamPlan>> {
    let plan = |stream: &Stream, action| StreamPlan {
        index: stream.index,
        kind: stream.kind.to_string(),
        codec: stream.codec.clone(),
        action,
    };
    let container = output.map(|(_, container)| container);
    if let (Some(container), Some(encoder)) = (container, encoder) {
        check_container(clip, encoder, container)?;
    }
    let mut header_bytes = 0;
    Ok(clip
        .streams
        .iter()
        .map(|stream| {
            header_bytes += stream.header_bytes;
            let action = match container {
                _ if stream.index == clip.video.index => Action::Upscale,
                Some(_) if header_bytes > MAX_HEADER_BYTES => Action::LeaveOut,
                Some(container) if container.holds(stream) => Action::Copy,
                Some(container) if container.converts(stream) => Action::Convert,
                _ => Action::LeaveOut,
            };
            plan(stream, action)
        })
        .collect())
}

/// A sentence for each stream that goes over in another form.
pub(super) fn conversions(
    streams: &[StreamPlan],
    output: Option<(&Path, Container)>,
) -> Vec<String> {
    let Some((_, container)) = output else {
        return Vec::new();
    };
    let converted = streams
        .iter()
        .filter(|stream| stream.action == Action::Convert);
    converted
        .map(|stream| {
            let (index, codec, container) = (stream.index, &stream.codec, container.name());
            format!(
                "subtitle stream {index} is converted as text: {container} does not know {codec}"
            )
        })
        .collect()
}

/// What to say of streams whose headers are more than is kept.
pub(super) fn too_large(clip: &Clip) -> Option<String> {
    let bytes: u64 = clip.streams.iter().map(|stream| stream.header_bytes).sum();
    (bytes > MAX_HEADER_BYTES).then(|| {
        format!(
            "attached files and headers of streams take {} MB; what is beyond {} MB is left out",
            bytes >> 20,
            MAX_HEADER_BYTES >> 20
        )
    })
}

/// What to say of a rotation that the container can keep only as a tag.
pub(super) fn lost_rotation(clip: &Clip, output: Option<(&Path, Container)>) -> Option<String> {
    let (_, container) = output.filter(|(_, container)| !container.keeps_rotation())?;
    let degrees = clip.video.rotation?;
    Some(format!(
        "the rotation of {degrees} degrees is kept as a tag that few players follow: {} cannot store it here; \
         an output that ends in .mp4 or .mov can",
        container.name()
    ))
}

/// Refuses a container that cannot hold the video or a stream that must not be lost, and says which can.
fn check_container(
    clip: &Clip,
    encoder: &EncoderFacts,
    container: Container,
) -> anyhow::Result<()> {
    let name = container.name();
    if !container.holds_codec(&encoder.codec) {
        let message = format!(
            "{name} cannot hold {} video; choose an output that ends in .mkv",
            encoder.codec
        );
        return Err(fail(Exit::Usage, message));
    }
    let missing = container.missing(clip);
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = missing
        .iter()
        .map(|stream| format!("{} stream {} ({})", stream.kind, stream.index, stream.codec))
        .collect();
    let message = format!(
        "{name} cannot hold {}; choose an output that ends in .mkv",
        list.join(", ")
    );
    Err(fail(Exit::Usage, message))
}
