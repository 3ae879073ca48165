//! Bounds on what a file may make this process take before anyone has seen a frame of it.
//!
//! A few bytes of a header say how large frames are, and a few more how many packets there are. What is above these
//! numbers is refused by the header, with the numbers; what is below is counted by whoever plans the memory.
//!
//! Invariant: no decoder of a video is opened without a bound on its frames.
#![expect(unsafe_code, reason = "sets FFmpeg's own bounds")]

use std::sync::Once;

use ffmpeg_sys_the_third as ffi;

use crate::av::Dict;
use crate::pixel_format::PixelFormat;

/// Most pixels of a frame: 16K video (15360x8640) and pictures of 130 megapixels are below it.
pub const MAX_FRAME_PIXELS: u64 = 1 << 27;

/// Most pixels of a frame that is larger than the container says: 4K, for recordings that change their channel.
const MAX_CHANGED_PIXELS: u64 = 4096 * 2304;

/// Pixels that FFmpeg adds to each side of a frame when it compares it with its bound: rows are filled up to whole vectors.
const PADDING: u64 = 128;

/// Bytes of frames that a decoder's threads may hold beside its reference frames.
const THREAD_BYTES: u64 = 512 << 20;

/// FFmpeg's own bound of automatic threads.
const MAX_THREADS: u64 = 16;

/// Largest single allocation of FFmpeg: a frame of the most pixels at 8 bytes each, and padding. The table of contents of
/// an MP4 of some hundred bytes may otherwise ask for twice as much.
const MAX_ALLOCATION: usize = (1 << 30) + (64 << 20);

/// Bounds single allocations, once in the process.
pub(crate) fn bound_allocations() {
    static ONCE: Once = Once::new();
    // SAFETY: sets one number of FFmpeg's, atomically.
    ONCE.call_once(|| unsafe { ffi::av_max_alloc(MAX_ALLOCATION) });
}

/// Options that bound the frames which FFmpeg decodes by itself to learn what the streams are, one set for each stream.
pub(crate) fn of_probing(n_streams: usize) -> Vec<Dict> {
    let options = || {
        let mut options = Dict::new();
        options.set("max_pixels", &max_pixels(0, 0).to_string());
        options
    };
    (0..n_streams).map(|_| options()).collect()
}

/// Why frames of this size are refused, where they are.
pub(crate) fn refusal(width: i32, height: i32) -> Option<String> {
    (pixels(width, height) > MAX_FRAME_PIXELS).then(|| {
        format!(
            "its frames are said to be {width}x{height} pixels, and no video has more than {} million",
            MAX_FRAME_PIXELS / 1_000_000
        )
    })
}

/// 0 for a size that is not known.
fn pixels(width: i32, height: i32) -> u64 {
    (width.max(0) as u64) * (height.max(0) as u64)
}

/// FFmpeg's `max_pixels` for a decoder of a stream that announces `width` × `height`; where it announces nothing, as many as
/// any video has.
pub(crate) fn max_pixels(width: i32, height: i32) -> i64 {
    let announced = match pixels(width, height) {
        0 => MAX_FRAME_PIXELS,
        announced => announced.min(MAX_FRAME_PIXELS),
    };
    // Of a frame that is as wide as it can be for its pixels.
    let sides = (width.max(0) as u64) + (height.max(0) as u64);
    let padding = PADDING * (sides.clamp(1 << 15, 1 << 16) + PADDING);
    announced.max(MAX_CHANGED_PIXELS) as i64 + padding as i64
}

/// Threads of a decoder of such frames: those asked for, or one per core, and fewer where each would hold a large frame.
pub(crate) fn decoder_threads(asked: usize, format: PixelFormat, width: i32, height: i32) -> usize {
    let frame = match pixels(width, height) {
        // It may be of any size.
        0 => 2 * MAX_FRAME_PIXELS,
        _ => format.frame_bytes(width as usize, height as usize),
    };
    let fitting = (THREAD_BYTES / frame.max(1)).clamp(1, MAX_THREADS) as usize;
    let asked = match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        asked => asked,
    };
    asked.min(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_real_video_pass_and_larger_ones_are_named() {
        for (width, height) in [
            (7680, 4320),
            (15_360, 8640),
            (11_648, 8736),
            (0, 0),
            (-1, -1),
        ] {
            assert_eq!(refusal(width, height), None);
        }
        let said = refusal(16_000, 16_000).unwrap();
        assert!(
            said.contains("16000x16000") && said.contains("134 million"),
            "{said}"
        );
        assert!(refusal(i32::MAX, i32::MAX).is_some());
    }

    #[test]
    fn frames_may_grow_to_4k_and_no_further_than_announced() {
        let padding = 128 * ((1 << 15) + 128);
        assert_eq!(max_pixels(320, 180), 4096 * 2304 + padding);
        assert_eq!(max_pixels(0, 0), (1 << 27) + padding);
        // As FFmpeg compares them, with rows filled up.
        assert!(max_pixels(11_001, 9001) >= 11_072 * 9001);
        assert!(max_pixels(7680, 4320) < 7680 * 4320 + 2 * padding);
        assert!(max_pixels(i32::MAX, 1) < 1 << 40);
    }

    #[test]
    fn large_frames_have_fewer_threads() {
        let format = PixelFormat::from_name("yuv420p").unwrap();
        let threads = |asked, width, height| decoder_threads(asked, format, width, height);
        assert_eq!(threads(16, 1920, 1080), 16);
        assert_eq!(threads(16, 7680, 4320), 10);
        assert_eq!(threads(16, 15_360, 8640), 2);
        assert_eq!(threads(1, 15_360, 8640), 1);
        assert_eq!(threads(64, 0, 0), 2);
        assert!((1..=16).contains(&threads(0, 64, 64)));
    }
}
