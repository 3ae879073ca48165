//! Output containers: which one a name stands for, and which streams it can hold.
#![expect(unsafe_code, reason = "asks FFmpeg's static format tables")]

use std::path::Path;

use ffmpeg_sys_the_third as ffi;

use crate::av;
use crate::clip::{Clip, Stream, StreamKind};
use crate::subtitle;

/// A container format to write.
#[derive(Debug, Clone, Copy)]
pub struct Container(pub(crate) &'static ffi::AVOutputFormat);

// SAFETY: points into FFmpeg's static tables, which nobody writes to.
unsafe impl Send for Container {}
// SAFETY: as above.
unsafe impl Sync for Container {}

impl Container {
    /// The container that the extension of `path` stands for.
    pub fn for_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_lowercase();
        let name = av::cstr(&format!("x.{extension}"));
        // SAFETY: the string lives through the call; the result is null or static.
        let format = unsafe {
            ffi::av_guess_format(std::ptr::null(), name.as_ptr(), std::ptr::null()).as_ref()
        }?;
        let found = Self(format);
        // Picture files, playlists and raw streams have muxers too; a film needs a real container.
        [
            "matroska", "webm", "mp4", "mov", "ipod", "avi", "mpegts", "nut", "flv", "3gp",
        ]
        .contains(&found.name().as_str())
        .then_some(found)
    }

    /// Matroska, which holds nearly everything.
    pub fn matroska() -> Self {
        Self::for_path(Path::new("x.mkv")).expect("FFmpeg is never built without Matroska")
    }

    /// The container a clip gets where the user leaves the choice: its own kind if that can hold the new video and
    /// every stream, else Matroska. With the extension of a file of that kind.
    pub fn default_for(clip: &Clip, video_codec: &str) -> (Self, &'static str) {
        let own = [("mov,mp4", "mp4"), ("mpegts", "ts"), ("avi", "avi")]
            .into_iter()
            .find(|(names, _)| clip.container.starts_with(names))
            .and_then(|(_, extension)| {
                Some((
                    Self::for_path(Path::new(&format!("x.{extension}")))?,
                    extension,
                ))
            });
        match own {
            Some((own, extension))
                if own.holds_codec(video_codec) && own.missing(clip).is_empty() =>
            {
                (own, extension)
            }
            _ => (Self::matroska(), "mkv"),
        }
    }

    /// FFmpeg's short name.
    pub fn name(self) -> String {
        // SAFETY: a format has a static name.
        unsafe { av::text(self.0.name) }.unwrap_or_default()
    }

    /// Of the family of `QuickTime`: takes `movflags`.
    pub(crate) fn is_mov(self) -> bool {
        matches!(self.name().as_str(), "mp4" | "mov" | "ipod" | "3gp")
    }

    /// Blocks before time zero have a place in Matroska, edit lists in MP4.
    pub(crate) fn keeps_negative_timestamps(self) -> bool {
        self.is_mov() || matches!(self.name().as_str(), "matroska" | "webm")
    }

    /// Whether the rotation that players apply can be stored: always in MP4 and MOV, in Matroska since FFmpeg 6.1.
    pub fn keeps_rotation(self) -> bool {
        self.is_mov() || (cfg!(ffmpeg_6_1) && self.name() == "matroska")
    }

    /// Whether its muxer (before FFmpeg 6.1, seen with 5.1) writes the encoder delay of Opus, which readers subtract,
    /// without moving the timestamps by as much.
    pub(crate) fn forgets_opus_delay(self) -> bool {
        cfg!(not(ffmpeg_6_1)) && matches!(self.name().as_str(), "matroska" | "webm")
    }

    /// Whether a stream can be copied into it as it is.
    pub fn holds(self, stream: &Stream) -> bool {
        match stream.kind {
            StreamKind::Attachment => self.name() == "matroska",
            // FFmpeg's tables know names for data streams that its muxers then refuse.
            StreamKind::Data => false,
            _ => self.holds_id(stream.codec_id),
        }
    }

    /// Whether a stream that it cannot hold is text subtitles, which are converted.
    pub fn converts(self, stream: &Stream) -> bool {
        !self.holds(stream) && subtitle::encoder_for(self, stream).is_some()
    }

    /// Whether video of the codec called `name` (FFmpeg's name, such as `h264`) can be written to it.
    pub fn holds_codec(self, name: &str) -> bool {
        // SAFETY: the string lives through the call; the result is null or static.
        let descriptor =
            unsafe { ffi::avcodec_descriptor_get_by_name(av::cstr(name).as_ptr()).as_ref() };
        descriptor.is_some_and(|descriptor| self.holds_id(descriptor.id))
    }

    fn holds_id(self, id: ffi::AVCodecID) -> bool {
        // SAFETY: asks static tables.
        unsafe { ffi::avformat_query_codec(self.0, id, ffi::FF_COMPLIANCE_EXPERIMENTAL) == 1 }
    }

    /// The streams of a clip that it cannot hold although another container could. Data streams are left aside (nobody
    /// expects time codes to survive), and so is what FFmpeg itself does not know.
    pub fn missing(self, clip: &Clip) -> Vec<&Stream> {
        clip.streams
            .iter()
            .filter(|stream| stream.index != clip.video.index && stream.kind != StreamKind::Data)
            .filter(|stream| stream.is_known() && !self.holds(stream) && !self.converts(stream))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Container {
        Container::for_path(Path::new(name)).unwrap()
    }

    fn stream(kind: StreamKind, codec_id: ffi::AVCodecID) -> Stream {
        Stream {
            index: 1,
            kind,
            codec: String::new(),
            codec_id,
            header_bytes: 0,
        }
    }

    #[test]
    fn only_film_containers_are_recognised() {
        assert_eq!(named("a.mkv").name(), "matroska");
        assert_eq!(named("a.MP4").name(), "mp4");
        for name in ["a", "a.png", "a.txt", "a.m3u8", "a.h264"] {
            assert!(Container::for_path(Path::new(name)).is_none(), "{name}");
        }
    }

    #[test]
    fn mp4_holds_no_picture_subtitles_of_blu_rays_and_no_fonts() {
        let pgs = stream(StreamKind::Subtitle, ffi::AVCodecID::HDMV_PGS_SUBTITLE);
        let font = stream(StreamKind::Attachment, ffi::AVCodecID::TTF);
        assert!(!named("a.mp4").holds(&pgs) && named("a.mkv").holds(&pgs));
        assert!(!named("a.mp4").holds(&font) && named("a.mkv").holds(&font));
        assert!(named("a.mp4").holds(&stream(StreamKind::Audio, ffi::AVCodecID::AAC)));
    }
}
