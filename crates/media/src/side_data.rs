//! Side data of streams and frames: rotation, HDR mastering display, content light level.
//!
//! FFmpeg 6.1 moved a stream's side data to its codec parameters; this file is the only place that knows.
#![expect(unsafe_code, reason = "reads and writes FFmpeg's side data arrays")]

use std::ptr;
use std::slice;

use ffmpeg_sys_the_third as ffi;

use crate::frame::Frame;
use crate::orientation::Orientation;

/// A kind of side data, and its bytes in FFmpeg's layout of this process.
pub(crate) type Entry = (ffi::AVPacketSideDataType, Vec<u8>);

/// What describes the picture and stays true after upscaling. Not here: statistics of the old encode (CPB), and Dolby
/// Vision, whose per-frame data a new encode loses.
const OF_PICTURE: [ffi::AVPacketSideDataType; 6] = [
    ffi::AVPacketSideDataType::DISPLAYMATRIX,
    ffi::AVPacketSideDataType::STEREO3D,
    ffi::AVPacketSideDataType::SPHERICAL,
    ffi::AVPacketSideDataType::MASTERING_DISPLAY_METADATA,
    ffi::AVPacketSideDataType::CONTENT_LIGHT_LEVEL,
    ffi::AVPacketSideDataType::ICC_PROFILE,
];

/// Frame side data that a container stores for the whole stream.
const FROM_FRAME: [(ffi::AVFrameSideDataType, ffi::AVPacketSideDataType); 2] = [
    (
        ffi::AVFrameSideDataType::MASTERING_DISPLAY_METADATA,
        ffi::AVPacketSideDataType::MASTERING_DISPLAY_METADATA,
    ),
    (
        ffi::AVFrameSideDataType::CONTENT_LIGHT_LEVEL,
        ffi::AVPacketSideDataType::CONTENT_LIGHT_LEVEL,
    ),
];

/// The side data of a video stream that its upscaled twin keeps: the container's, and what only the first frame says.
pub(crate) fn of_picture(stream: &ffi::AVStream, first: &Frame) -> Vec<Entry> {
    let mut entries: Vec<Entry> = of_stream(stream)
        .into_iter()
        .filter(|(kind, _)| OF_PICTURE.contains(kind))
        .collect();
    for (in_frame, in_stream) in FROM_FRAME {
        if !entries.iter().any(|(kind, _)| *kind == in_stream)
            && let Some(bytes) = of_frame(first, in_frame)
        {
            entries.push((in_stream, bytes));
        }
    }
    entries
}

/// Whether the stream carries Dolby Vision configuration, which cannot be kept.
pub(crate) fn has_dolby_vision(stream: &ffi::AVStream) -> bool {
    of_stream(stream)
        .iter()
        .any(|(kind, _)| *kind == ffi::AVPacketSideDataType::DOVI_CONF)
}

/// The display matrix of an upright picture, in FFmpeg's 16.16 and 2.30 fixed point.
const UPRIGHT: [i32; 9] = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30];

/// The display matrix, where there is a whole one.
fn display_matrix(entries: &[Entry]) -> Option<Vec<i32>> {
    let (_, bytes) = entries
        .iter()
        .find(|(kind, _)| *kind == ffi::AVPacketSideDataType::DISPLAYMATRIX)?;
    let numbers = bytes.as_chunks::<4>().0;
    let matrix: Vec<i32> = numbers.iter().map(|b| i32::from_ne_bytes(*b)).collect();
    (matrix.len() >= UPRIGHT.len()).then_some(matrix)
}

/// How players turn the picture.
pub(crate) fn orientation(entries: &[Entry]) -> Orientation {
    display_matrix(entries).map_or(Orientation::default(), |matrix| {
        Orientation::from_matrix(&matrix)
    })
}

/// The rotation players apply, in degrees counter-clockwise (0 for one that only mirrors); `None` for an upright picture.
pub(crate) fn rotation(entries: &[Entry]) -> Option<i32> {
    let matrix = display_matrix(entries)?;
    if matrix[..UPRIGHT.len()] == UPRIGHT {
        return None;
    }
    // SAFETY: a display matrix is nine 32-bit integers; a shorter one does not come here.
    let degrees = unsafe { ffi::av_display_rotation_get(matrix.as_ptr()) };
    Some(if degrees.is_nan() {
        0
    } else {
        degrees.round() as i32
    })
}

fn of_frame(frame: &Frame, kind: ffi::AVFrameSideDataType) -> Option<Vec<u8>> {
    // SAFETY: the frame is valid; the result is null or valid as long as the frame.
    let entry = unsafe { ffi::av_frame_get_side_data(frame.as_ptr(), kind).as_ref() }?;
    // SAFETY: an entry holds `size` readable bytes.
    Some(unsafe { bytes_of(entry.data, entry.size) })
}

/// # Safety
/// `data` is null or readable for `size` bytes.
unsafe fn bytes_of(data: *const u8, size: usize) -> Vec<u8> {
    if data.is_null() {
        return Vec::new();
    }
    // SAFETY: promised by the caller.
    unsafe { slice::from_raw_parts(data, size) }.to_vec()
}

pub(crate) fn of_stream(stream: &ffi::AVStream) -> Vec<Entry> {
    #[cfg(not(ffmpeg_6_1))]
    let (array, count) = (stream.side_data, stream.nb_side_data);
    #[cfg(ffmpeg_6_1)]
    // SAFETY: every stream has codec parameters.
    let (array, count) = unsafe {
        (
            (*stream.codecpar).coded_side_data,
            (*stream.codecpar).nb_coded_side_data,
        )
    };
    if array.is_null() {
        return Vec::new();
    }
    // SAFETY: FFmpeg keeps `count` entries there, each with `size` bytes behind `data`.
    unsafe { slice::from_raw_parts(array, count as usize) }
        .iter()
        // SAFETY: as above.
        .map(|entry| (entry.type_, unsafe { bytes_of(entry.data, entry.size) }))
        .collect()
}

/// Adds an entry to an output stream.
pub(crate) fn add_to_stream(stream: &mut ffi::AVStream, (kind, bytes): &Entry) {
    #[cfg(not(ffmpeg_6_1))]
    // SAFETY: the stream is valid; FFmpeg allocates the entry and returns null when it cannot.
    let data = unsafe { ffi::av_stream_new_side_data(stream, *kind, bytes.len()) };
    #[cfg(ffmpeg_6_1)]
    // SAFETY: as above, in the codec parameters every stream has.
    let data = unsafe {
        let parameters = &mut *stream.codecpar;
        ffi::av_packet_side_data_new(
            &raw mut parameters.coded_side_data,
            &raw mut parameters.nb_coded_side_data,
            *kind,
            bytes.len(),
            0,
        )
        .as_ref()
        .map_or(ptr::null_mut(), |entry| entry.data)
    };
    assert_ne!(data, ptr::null_mut(), "out of memory");
    // SAFETY: the entry has room for `bytes.len()` bytes.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(numbers: [i32; 9]) -> Vec<Entry> {
        let bytes = numbers
            .iter()
            .flat_map(|number| number.to_ne_bytes())
            .collect();
        vec![(ffi::AVPacketSideDataType::DISPLAYMATRIX, bytes)]
    }

    #[test]
    fn only_a_turned_or_mirrored_picture_has_a_rotation() {
        let one = 1 << 16;
        assert_eq!(rotation(&[]), None);
        assert_eq!(rotation(&matrix(UPRIGHT)), None);
        assert_eq!(
            rotation(&matrix([0, one, 0, -one, 0, 0, 0, 0, 1 << 30])),
            Some(-90)
        );
        assert_eq!(
            rotation(&matrix([-one, 0, 0, 0, -one, 0, 0, 0, 1 << 30])).map(i32::abs),
            Some(180)
        );
        assert!(rotation(&matrix([-one, 0, 0, 0, one, 0, 0, 0, 1 << 30])).is_some());
    }
}
