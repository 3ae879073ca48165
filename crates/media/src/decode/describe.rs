//! What a container says of itself: its streams, and the video before a frame of it is decoded.
#![expect(unsafe_code, reason = "reads FFmpeg's names")]

use ffmpeg_sys_the_third as ffi;

use crate::av::{Rational, text};
use crate::clip::{Clip, FrameCount, Stream, StreamKind, Video};
use crate::demux::Demuxer;
use crate::side_data;
use crate::tags::ColourTags;

/// The file as the clip whose video is the stream `index`.
pub(crate) fn describe(demuxer: &Demuxer, index: usize) -> Clip {
    let raw = demuxer.raw();
    // SAFETY: an open input has a format with a name.
    let container = unsafe { text((*raw.iformat).name) }.unwrap_or_default();
    let streams = (0..demuxer.streams().len())
        .map(|index| describe_stream(demuxer, index))
        .collect();
    Clip {
        path: demuxer.path.clone(),
        container,
        duration_secs: (raw.duration > 0)
            .then(|| raw.duration as f64 / f64::from(ffi::AV_TIME_BASE)),
        video: describe_video(demuxer, index),
        streams,
        n_chapters: raw.nb_chapters as usize,
    }
}

fn describe_stream(demuxer: &Demuxer, index: usize) -> Stream {
    let parameters = demuxer.parameters(index);
    Stream {
        index,
        kind: StreamKind::of(parameters.codec_type),
        codec: codec_name(parameters.codec_id),
        header_bytes: u64::try_from(parameters.extradata_size).unwrap_or(0),
        codec_id: parameters.codec_id,
    }
}

fn codec_name(id: ffi::AVCodecID) -> String {
    // SAFETY: returns a static string for any number.
    unsafe { text(ffi::avcodec_get_name(id)) }.unwrap_or_default()
}

fn describe_video(demuxer: &Demuxer, index: usize) -> Video {
    let (stream, parameters) = (demuxer.stream(index), demuxer.parameters(index));
    let time_base = Rational {
        num: stream.time_base.num,
        den: stream.time_base.den,
    };
    let frame_rate =
        Rational::known(stream.avg_frame_rate).or_else(|| Rational::known(stream.r_frame_rate));
    let side_data = side_data::of_stream(stream);
    Video {
        index,
        codec: codec_name(parameters.codec_id),
        width: parameters.width as usize,
        height: parameters.height as usize,
        pixel_format: crate::PixelFormat(ffi::AVPixelFormat(parameters.format)),
        tags: ColourTags {
            space: parameters.color_space,
            primaries: parameters.color_primaries,
            transfer: parameters.color_trc,
            range: parameters.color_range,
            location: parameters.chroma_location,
        },
        time_base,
        frame_rate,
        n_frames: count_frames(demuxer, stream, frame_rate),
        sample_aspect_ratio: Rational::known(stream.sample_aspect_ratio)
            .or_else(|| Rational::known(parameters.sample_aspect_ratio)),
        rotation: side_data::rotation(&side_data),
        interlaced: !matches!(
            parameters.field_order,
            ffi::AVFieldOrder::UNKNOWN | ffi::AVFieldOrder::PROGRESSIVE
        ),
        dolby_vision: side_data::has_dolby_vision(stream),
    }
}

/// The index's number of frames, unless the duration contradicts it: an edit list shows only a part of what is indexed.
fn count_frames(
    demuxer: &Demuxer,
    stream: &ffi::AVStream,
    rate: Option<Rational>,
) -> Option<FrameCount> {
    let indexed = u64::try_from(stream.nb_frames).ok().filter(|&n| n > 0);
    let tick = f64::from(stream.time_base.num) / f64::from(stream.time_base.den);
    let of_stream = (stream.duration > 0).then_some(stream.duration as f64 * tick);
    let of_file = demuxer.raw().duration;
    let of_file = (of_file > 0).then(|| of_file as f64 / f64::from(ffi::AV_TIME_BASE));
    let by_rate = of_stream
        .or(of_file)
        .zip(rate)
        .map(|(secs, rate)| (secs * rate.as_f64()).round() as u64);
    match (indexed, by_rate) {
        (Some(frames), Some(estimate)) if frames > estimate + 2 + estimate / 50 => {
            Some(FrameCount {
                frames: estimate,
                exact: false,
            })
        }
        (Some(frames), _) => Some(FrameCount {
            frames,
            exact: true,
        }),
        (None, estimate) => estimate.map(|frames| FrameCount {
            frames,
            exact: false,
        }),
    }
}
