//! How much memory decoding takes, for whoever plans it.
#![expect(unsafe_code, reason = "reads fields of an AVCodecContext")]

use ffmpeg_sys_the_third as ffi;

use super::Decoder;
use crate::limits::MAX_FRAME_PIXELS;

/// Bytes of an entry of FFmpeg's index with what MP4 keeps of a packet beside it, and of the same in a file that is written.
const INDEX_ENTRY_BYTES: u64 = 40 + 72;

/// Packets of 4 MiB that wait for a frame, and what a codec takes whatever its frames are.
const FIXED_BYTES: u64 = 8 << 20;

impl Decoder {
    /// Bytes that the decoder and the demuxer take at most for frames as large as the first: those that others are
    /// predicted from, one for each thread, the tables of the codec and the container, and what streams keep in their
    /// headers, attached files among it. Frames that were handed out are not counted.
    pub fn memory_bytes(&self) -> u64 {
        let video = &self.clip.video;
        let frame = video.pixel_format.frame_bytes(video.width, video.height);
        // SAFETY: the context is open.
        let (references, threads) = unsafe {
            let context = &*self.context;
            let threads = if context.active_thread_type == ffi::FF_THREAD_SLICE {
                1
            } else {
                context.thread_count
            };
            (context.refs.max(context.has_b_frames), threads)
        };
        let references = match video.codec.as_str() {
            "h264" => references.clamp(1, 16) as u64,
            // A level has room for six frames of its largest size, and for sixteen small ones.
            "hevc" if video.width * video.height < 1920 * 1088 => 16,
            "hevc" => 7,
            "vp9" | "av1" => 9,
            "vp8" | "theora" | "mpeg4" | "mpeg2video" | "mpeg1video" | "vc1" | "wmv3" => 4,
            _ => 1,
        };
        let frames = references + threads.max(1) as u64 + 1;
        // Borders beyond the picture, and what is noted of each block.
        frames * (frame + frame / 4) + self.header_bytes() + FIXED_BYTES
    }

    fn header_bytes(&self) -> u64 {
        let streams = (0..self.clip.streams.len()).map(|index| {
            // SAFETY: a valid stream, which is only read.
            let entries =
                unsafe { ffi::avformat_index_get_entries_count(self.demuxer.stream(index)) };
            let entries = u64::try_from(entries).unwrap_or(0);
            // The file that is written has its own copy.
            entries * INDEX_ENTRY_BYTES + 2 * self.clip.streams[index].header_bytes
        });
        streams.sum()
    }

    /// Why there is no first frame.
    pub(super) fn nothing_decodes(&self) -> String {
        let nothing = "no frame of the video can be decoded";
        if self.clip.video.width > 0 {
            return nothing.to_owned();
        }
        // The container leaves the size to the frames.
        let megapixels = MAX_FRAME_PIXELS / 1_000_000;
        format!("{nothing}, or its frames have more than {megapixels} million pixels")
    }
}
