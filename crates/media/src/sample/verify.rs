//! Whether a file is a whole video: all packets can be read, as much is there as it announces, and its beginning and
//! its end decode.

use std::ops::Range;
use std::path::Path;

use super::scan::Scan;
use crate::Error;
use crate::decode::{Action, Decoder};
use crate::demux::Interrupt;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Width in pixels, as stored.
    pub width: usize,
    /// Height in pixels, as stored.
    pub height: usize,
    /// FFmpeg's name of the codec.
    pub codec: String,
    /// What the container says about the duration, in seconds.
    pub duration_secs: Option<f64>,
    /// Where the last packet ends, in seconds; what a page announces is compared with this.
    pub read_until_secs: f64,
    /// Packets of the video.
    pub video_packets: u64,
    /// Frames of the beginning and the end that are damaged or missing.
    pub damaged_frames: u64,
    /// What is missing of the file, by its own announcements, or what of it does not decode.
    pub truncated: Option<String>,
}

/// Most packets that are decoded of the first group and of the last.
const MAX_PACKETS: u64 = 600;

/// Reads `path` to its end, and decodes what depends on its first and on its last key frame, up to 600 packets of each.
/// `step` is called often.
///
/// # Errors
/// As [`Decoder::open`]: [`Error::BadInput`] when it is not a video or its beginning does not decode.
pub fn verify(
    path: &Path,
    interrupt: &Interrupt,
    step: &mut (dyn FnMut() + Send),
) -> Result<Verified, Error> {
    let scan = Scan::read(path, interrupt, step)?;
    let n_packets = scan.n_packets;
    let first_group = 0..scan.second_marked.unwrap_or(n_packets).min(MAX_PACKETS);
    let mut decoder = open_part(path, first_group, n_packets, interrupt)?;
    let mut damaged = decode_all(&mut decoder, step)?;
    let video = &decoder.clip().video;
    let mut truncated = scan.truncated;
    if let Some(last) = scan.last_marked.filter(|&last| last > 0) {
        let last_group = last..n_packets.min(last + MAX_PACKETS);
        match open_part(path, last_group, n_packets, interrupt) {
            Ok(mut decoder) => damaged += decode_all(&mut decoder, step)?,
            Err(Error::BadInput { .. }) => {
                let reason = "what follows its last key frame does not decode".into();
                truncated = truncated.or(Some(reason));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Verified {
        width: video.width,
        height: video.height,
        codec: video.codec.clone(),
        duration_secs: scan.clip.duration_secs,
        read_until_secs: scan.read_until_secs,
        video_packets: n_packets,
        damaged_frames: damaged,
        truncated,
    })
}

fn open_part(
    path: &Path,
    part: Range<u64>,
    n_packets: u64,
    interrupt: &Interrupt,
) -> Result<Decoder, Error> {
    let actions = (0..n_packets).map(move |n| {
        if part.contains(&n) {
            Action::Decode
        } else {
            Action::Skip
        }
    });
    Decoder::open_selected(path, 1, interrupt, Some(Box::new(actions)))
}

/// Damaged frames and refused packets.
fn decode_all(decoder: &mut Decoder, step: &mut (dyn FnMut() + Send)) -> Result<u64, Error> {
    while decoder.next_unit()?.is_some() {
        step();
    }
    Ok(decoder.health().corrupt_frames + decoder.health().undecodable_packets)
}
