//! What a packet of a video says of its frame before it is decoded: whether decoding can begin with it, and whether it
//! is one frame that is shown.
//!
//! Formats: ITU-T H.264 7.3.1 and 7.3.3, ITU-T H.265 7.3.1.2 and 7.3.6, RFC 6386 9.1 (VP8), VP9 Bitstream Specification
//! 6.2 and Annex B. Only their first bits are read; what looks odd is an error, and then everything is decoded.

use ffmpeg_sys_the_third as ffi;

/// How packets of a codec are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// H.264; NAL units behind a length of so many bytes, or behind start codes (0).
    H264(usize),
    /// HEVC, as H.264.
    Hevc(usize),
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// MPEG-4 part 2: the container's mark of key frames is taken.
    Mpeg4,
    /// AV1, where a packet is what is shown at one time: as MPEG-4.
    Av1,
    /// Every frame stands for itself.
    IntraOnly,
}

/// What is known of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Facts {
    /// No frame from this one on, in the order of decoding, needs one before it; but for those shown before this one.
    pub(super) is_start: bool,
    /// It gives a frame; some are only there to predict from.
    pub(super) is_shown: bool,
    /// It has parameter sets that later packets need.
    pub(super) has_parameters: bool,
    /// Whether non-reference frames may be left out is not certain.
    pub(super) has_layers: bool,
    /// The decoder may call it a key frame, although decoding cannot begin with it.
    pub(super) is_recovery_point: bool,
}

impl Facts {
    const NONE: Self = Self {
        is_start: false,
        is_shown: true,
        has_parameters: false,
        has_layers: false,
        is_recovery_point: false,
    };
}

impl Syntax {
    /// How the packets of `codec` are read; none for a codec of which nothing is certain.
    pub(super) fn of(codec: ffi::AVCodecID, extradata: &[u8], intra_only: bool) -> Option<Self> {
        use ffi::AVCodecID as Id;
        // The configuration records of MP4 and Matroska begin with their version.
        let length = |place: usize| match extradata {
            [1, ..] => extradata.get(place).map(|byte| usize::from(byte & 3) + 1),
            _ => Some(0),
        };
        match codec {
            Id::H264 => length(4).map(Self::H264),
            Id::HEVC => length(21).map(Self::Hevc),
            Id::VP8 => Some(Self::Vp8),
            Id::VP9 => Some(Self::Vp9),
            Id::MPEG4 => Some(Self::Mpeg4),
            Id::AV1 => Some(Self::Av1),
            _ if intra_only => Some(Self::IntraOnly),
            _ => None,
        }
    }

    /// Whether the decoder leaves out frames that no other needs, when it is asked to, and nothing else changes by it.
    pub(super) fn has_unused_frames(self) -> bool {
        // VP8 and VP9 carry probabilities and segments from such frames as well.
        matches!(self, Self::H264(_) | Self::Hevc(_) | Self::Mpeg4)
    }

    /// Whether frames may be shown before a start that follows them in the file.
    pub(super) fn reorders(self) -> bool {
        matches!(self, Self::Hevc(_) | Self::Mpeg4)
    }

    /// Reads a packet that the container marked as key frame or not; none where it makes no sense.
    pub(super) fn read(self, data: &[u8], marked_key: bool) -> Option<Facts> {
        match self {
            Self::H264(length) => h264(NalUnits::new(data, length)),
            Self::Hevc(length) => hevc(NalUnits::new(data, length)),
            Self::Vp8 => vp8(data),
            Self::Vp9 => vp9(data),
            Self::Mpeg4 | Self::Av1 => Some(Facts {
                is_start: marked_key,
                ..Facts::NONE
            }),
            Self::IntraOnly => Some(Facts {
                is_start: true,
                ..Facts::NONE
            }),
        }
    }
}

/// Whether a packet of `codec` is one that gives a frame, as far as that is certain; `None` for a codec of which it is not.
pub(crate) fn gives_frame(codec: ffi::AVCodecID, data: &[u8]) -> Option<bool> {
    use ffi::AVCodecID as Id;
    // An empty packet repeats the frame before.
    if data.is_empty() {
        return Some(false);
    }
    match codec {
        Id::VP8 => Some(vp8(data).is_none_or(|facts| facts.is_shown)),
        Id::VP9 => Some(vp9(data).is_none_or(|facts| facts.is_shown)),
        // "Not coded": a place holder, as encoders and packed B-frames leave it.
        Id::MPEG4 => Some(data.len() > MAX_NOT_CODED_BYTES),
        // Parameters alone, as some writers put them before a frame.
        Id::H264 | Id::HEVC => Some(data.len() > MAX_PARAMETER_BYTES),
        Id::AV1
        | Id::MJPEG
        | Id::PNG
        | Id::GIF
        | Id::PRORES
        | Id::DNXHD
        | Id::FFV1
        | Id::HUFFYUV
        | Id::FFVHUFF
        | Id::UTVIDEO
        | Id::RAWVIDEO
        | Id::DVVIDEO
        | Id::QTRLE => Some(true),
        _ => None,
    }
}

/// A packet of MPEG-4 up to this size may hold no picture.
const MAX_NOT_CODED_BYTES: usize = 19;
/// A packet of H.264 or HEVC up to this size may hold parameters only; those of a still picture are as small.
const MAX_PARAMETER_BYTES: usize = 64;

fn h264(units: NalUnits<'_>) -> Option<Facts> {
    let mut facts = Facts::NONE;
    let mut pictures = 0;
    for unit in units {
        let unit = unit?;
        match unit.first()? & 31 {
            kind @ (1 | 5) => {
                facts.is_start |= kind == 5;
                // first_mb_in_slice is 0: one bit, set.
                pictures += u32::from(unit.get(1)? & 0x80 != 0);
            }
            // Data partitions, auxiliary pictures and scalable or multi-view coding.
            2..=4 | 14 | 15 | 19..=21 => return None,
            6 => facts.is_recovery_point |= has_recovery_point(&unit[1..]),
            7 | 8 => facts.has_parameters = true,
            _ => {}
        }
    }
    // Two fields of a picture count as two.
    (pictures == 1).then_some(facts)
}

/// Whether a message of supplemental enhancement information is a recovery point (payload type 6).
fn has_recovery_point(mut sei: &[u8]) -> bool {
    let number = |sei: &mut &[u8]| {
        let mut sum = 0;
        while let Some((&byte, rest)) = sei.split_first() {
            *sei = rest;
            sum += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
        sum
    };
    while sei.len() > 2 {
        let (kind, size) = (number(&mut sei), number(&mut sei));
        if kind == 6 {
            return true;
        }
        sei = sei.get(size..).unwrap_or_default();
    }
    false
}

fn hevc(units: NalUnits<'_>) -> Option<Facts> {
    let mut facts = Facts::NONE;
    let mut pictures = 0;
    for unit in units {
        let unit = unit?;
        let (kind, layer) = (
            unit.first()? >> 1 & 63,
            (unit[0] & 1) << 5 | unit.get(1)? >> 3,
        );
        facts.has_layers |= unit[1] & 7 != 1;
        match kind {
            _ if layer != 0 => return None,
            0..=9 | 16..=21 => {
                // BLA, IDR and CRA pictures.
                facts.is_start |= kind >= 16;
                pictures += u32::from(unit.get(2)? & 0x80 != 0);
            }
            10..=15 | 22..=31 => return None,
            32..=34 => facts.has_parameters = true,
            _ => {}
        }
    }
    (pictures == 1).then_some(facts)
}

fn vp8(data: &[u8]) -> Option<Facts> {
    let first = data.first()?;
    Some(Facts {
        is_start: first & 1 == 0,
        is_shown: first >> 4 & 1 == 1,
        ..Facts::NONE
    })
}

/// A packet with one frame, or a superframe of which one is shown.
fn vp9(data: &[u8]) -> Option<Facts> {
    let frames = vp9_frames(data)?;
    let mut facts = Facts {
        is_shown: false,
        ..Facts::NONE
    };
    for (n, frame) in frames.iter().enumerate() {
        let first = *frame.first()?;
        if first >> 6 != 2 || first >> 4 & 3 == 3 {
            return None;
        }
        let (repeats, is_key, is_shown) = (first & 8 != 0, first & 4 == 0, first & 2 != 0);
        if (repeats || is_shown) && std::mem::replace(&mut facts.is_shown, true) {
            return None;
        }
        facts.is_start |= n == 0 && is_key && !repeats;
    }
    Some(facts)
}

fn vp9_frames(data: &[u8]) -> Option<Vec<&[u8]>> {
    let marker = *data.last()?;
    let (n_frames, size_bytes) = (
        usize::from(marker & 7) + 1,
        usize::from(marker >> 3 & 3) + 1,
    );
    let index_bytes = 2 + n_frames * size_bytes;
    let index = data.len().checked_sub(index_bytes).map(|at| &data[at..]);
    let Some(index) = index.filter(|index| marker >> 5 == 6 && index[0] == marker) else {
        return Some(vec![data]);
    };
    let mut rest = &data[..data.len() - index_bytes];
    let sizes = index[1..index_bytes - 1].chunks_exact(size_bytes);
    sizes
        .map(|size| {
            let size = size
                .iter()
                .rev()
                .fold(0, |size, &byte| size << 8 | usize::from(byte));
            let frame = rest.get(..size)?;
            rest = &rest[size..];
            Some(frame)
        })
        .collect()
}

/// The NAL units of a packet; `None` where their lengths make no sense.
struct NalUnits<'a> {
    rest: &'a [u8],
    length_bytes: usize,
}

impl<'a> NalUnits<'a> {
    fn new(data: &'a [u8], length_bytes: usize) -> Self {
        let rest = if length_bytes == 0 {
            // Nothing stands before the first start code but zeros.
            next_start_code(data).map_or(&[][..], |(_, after)| &data[after..])
        } else {
            data
        };
        Self { rest, length_bytes }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        if self.length_bytes == 0 {
            let (end, after) =
                next_start_code(self.rest).unwrap_or((self.rest.len(), self.rest.len()));
            let unit = &self.rest[..end];
            self.rest = &self.rest[after..];
            return Some(Some(unit));
        }
        let Some((length, rest)) = self.rest.split_at_checked(self.length_bytes) else {
            self.rest = &[];
            return Some(None);
        };
        let length = length
            .iter()
            .fold(0, |length, &byte| length << 8 | usize::from(byte));
        let Some((unit, rest)) = rest.split_at_checked(length) else {
            self.rest = &[];
            return Some(None);
        };
        self.rest = rest;
        Some(Some(unit))
    }
}

/// Where the next `00 00 01` begins and ends.
fn next_start_code(data: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while at + 3 <= data.len() {
        match data[at + 2] {
            0 => at += 1,
            1 if data[at..at + 2] == [0, 0] => return Some((at, at + 3)),
            _ => at += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(units: &[&[u8]]) -> Vec<u8> {
        let unit = |unit: &&[u8]| [&(unit.len() as u32).to_be_bytes()[..], unit].concat();
        units.iter().flat_map(unit).collect()
    }

    fn with_start_codes(units: &[&[u8]]) -> Vec<u8> {
        units
            .iter()
            .flat_map(|unit| [&[0, 0, 1], *unit].concat())
            .collect()
    }

    #[test]
    fn h264_begins_with_an_idr_picture_in_either_packing() {
        let idr: &[&[u8]] = &[&[0x67, 1, 2], &[0x65, 0x88, 1], &[0x65, 0x20, 3]];
        for (syntax, data) in [
            (Syntax::H264(4), packed(idr)),
            (Syntax::H264(0), with_start_codes(idr)),
        ] {
            let facts = syntax.read(&data, false).unwrap();
            assert!(facts.is_start && facts.has_parameters && facts.is_shown);
            assert!(!facts.is_recovery_point);
        }
        let open: &[&[u8]] = &[&[6, 5, 1, 0, 6, 1, 0x84, 0x80], &[0x41, 0x9a]];
        let facts = Syntax::H264(4).read(&packed(open), true).unwrap();
        assert!(!facts.is_start && facts.is_recovery_point);
    }

    #[test]
    fn two_fields_no_picture_and_wrong_lengths_are_not_read() {
        for units in [
            &[&[0x41, 0x9a][..], &[0x41, 0x9a]][..],
            &[&[6, 5, 1, 0]],
            &[&[0x41, 0x20]],
            &[&[]],
        ] {
            assert_eq!(Syntax::H264(4).read(&packed(units), false), None);
        }
        assert_eq!(Syntax::H264(4).read(&[0, 0, 0, 9, 0x65, 0x88], true), None);
        assert_eq!(Syntax::H264(4).read(&[0, 0], true), None);
    }

    #[test]
    fn hevc_begins_with_a_random_access_picture() {
        let facts = |units: &[&[u8]]| Syntax::Hevc(4).read(&packed(units), false);
        for kind in [16, 19, 20, 21] {
            assert!(facts(&[&[kind << 1, 1, 0x80]]).unwrap().is_start);
        }
        let trailing = facts(&[&[2, 1, 0x80], &[2, 1, 0]]).unwrap();
        assert!(!trailing.is_start && !trailing.has_layers);
        assert!(facts(&[&[2, 2, 0x80]]).unwrap().has_layers);
        assert!(facts(&[&[64, 1, 0], &[2, 1, 0x80]]).unwrap().has_parameters);
        assert_eq!(facts(&[&[2, 9, 0x80]]), None);
    }

    #[test]
    fn vp8_and_vp9_say_what_is_key_and_what_is_hidden() {
        let vp8 = |first: u8| Syntax::Vp8.read(&[first], false).unwrap();
        assert!(vp8(0x10).is_start && vp8(0x10).is_shown);
        assert!(!vp8(0x01).is_start && !vp8(0x01).is_shown);
        let vp9 = |data: &[u8]| Syntax::Vp9.read(data, false);
        let (key, hidden, shown, repeat) = (0x82, 0x84, 0x86, 0x88);
        assert!(vp9(&[key, 0]).unwrap().is_start);
        assert!(!vp9(&[hidden, 0]).unwrap().is_shown);
        assert!(vp9(&[repeat, 0]).unwrap().is_shown);
        // A superframe of two, with one byte for each size.
        assert!(vp9(&[hidden, 5, shown, 0xc1, 2, 1, 0xc1]).unwrap().is_shown);
        assert_eq!(vp9(&[shown, 5, shown, 0xc1, 2, 1, 0xc1]), None);
        assert_eq!(vp9(&[shown, 5, shown, 0xc1, 2, 9, 0xc1]), None);
        assert_eq!(vp9(&[0x42]), None);
    }
}
