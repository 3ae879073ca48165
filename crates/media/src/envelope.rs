//! The size or the end that a file announces in its own structure, against what is there. A demuxer ends quietly at the end
//! of the bytes, so a file cut between two packets looks whole to it.
//!
//! Only the structure's outermost layer is read: a few bytes per box or chunk. A file of another kind, or one that
//! announces nothing, is taken as whole.
//!
//! Formats: RFC 8794 and 9559 (Matroska), ISO/IEC 14496-12 (MP4), `OpenDML` 1.02 (AVI), Advanced Systems Format 01.20.03,
//! Adobe Flash Video 10.1 Annex E, RFC 3533 (Ogg), `GIF89a`, SMPTE ST 377-1 (MXF).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Boxes or chunks that are looked at.
const MAX_PARTS: usize = 1 << 20;
/// Bytes at the end in which the last page of Ogg begins: a page has at most 65,307.
const OGG_TAIL: u64 = 65_536;
/// Bytes a RIFF file may be shorter than it says: writers disagree about its padding and its header.
const RIFF_SLACK: u64 = 8;

/// How a file is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// In words.
    pub(crate) how: String,
    /// Bytes that are there, and those that were announced, where a number was.
    pub(crate) bytes: Option<(u64, u64)>,
}

/// What is missing of a file: bytes that it announces, or its end mark. `None` for a whole one.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn missing(path: &Path) -> io::Result<Option<Missing>> {
    // Opening a pipe here would take bytes from the one that is being read.
    if !path.metadata()?.is_file() {
        return Ok(None);
    }
    let mut file = File::open(path)?;
    let len = file.seek(SeekFrom::End(0))?;
    let mut start = [0; 16];
    if len < 64 {
        return Ok(None);
    }
    read_at(&mut file, 0, &mut start)?;
    let announced = match start {
        [0x1f, 0x07, 0x00, flags, ..] => Some(dv(flags, len)),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska(&mut file)?,
        [b'R', b'I', b'F', b'F', ..] => riff(&mut file, len)?,
        [_, _, _, _, b'f', b't', b'y', b'p', ..]
        | [_, _, _, _, b'm', b'o', b'o', b'v', ..]
        | [_, _, _, _, b'w', b'i', b'd', b'e', ..]
        | [_, _, _, _, b'm', b'd', b'a', b't', ..] => mp4(&mut file, len)?,
        [
            0x06,
            0x0e,
            0x2b,
            0x34,
            0x02,
            0x05,
            0x01,
            0x01,
            0x0d,
            0x01,
            0x02,
            0x01,
            0x01,
            0x02,
            ..,
        ] => mxf(&mut file)?,
        ASF_HEADER => asf(&mut file)?,
        [b'O', b'g', b'g', b'S', ..] => return Ok(ogg(&mut file, len)?.map(no_end)),
        [b'F', b'L', b'V', 1, ..] => return Ok(flv(&mut file, len)?.map(no_end)),
        [b'G', b'I', b'F', b'8', ..] => return Ok(gif(&mut file, len)?.map(no_end)),
        _ => None,
    };
    let short = announced.filter(|&announced| announced > len);
    Ok(short.map(|announced| Missing {
        how: format!("{len} of {announced} bytes are there"),
        bytes: Some((len, announced)),
    }))
}

fn no_end(how: &str) -> Missing {
    Missing {
        how: how.into(),
        bytes: None,
    }
}

fn read_at(file: &mut File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

/// End of the segment, unless its size is unknown, as in a live recording.
fn matroska(file: &mut File) -> io::Result<Option<u64>> {
    let mut bytes = [0; 64];
    read_at(file, 0, &mut bytes)?;
    let segment = || {
        let (header, header_size) = ebml_size(&bytes[4..])?;
        let segment = 4 + header_size + usize::try_from(header).ok()?;
        let rest = bytes
            .get(segment..)?
            .strip_prefix(&[0x18, 0x53, 0x80, 0x67])?;
        let (size, size_bytes) = ebml_size(rest)?;
        (segment + 4 + size_bytes)
            .try_into()
            .ok()
            .and_then(|start: u64| start.checked_add(size))
    };
    Ok(segment())
}

/// A size of EBML and the bytes it takes; `None` where it is unknown or cut.
fn ebml_size(bytes: &[u8]) -> Option<(u64, usize)> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    let field = bytes.get(..length).filter(|_| length <= 8)?;
    let value = field
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte));
    let ones = (1 << (7 * length)) - 1;
    let value = value & ones;
    (value != ones).then_some((value, length))
}

/// End of the last top-level box.
fn mp4(file: &mut File, len: u64) -> io::Result<Option<u64>> {
    const KNOWN: [&[u8; 4]; 16] = [
        b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"uuid", b"sidx", b"mfra",
        b"styp", b"meta", b"pnot", b"udta", b"emsg", b"prft",
    ];
    let mut at = 0;
    for _ in 0..MAX_PARTS {
        if at + 8 > len {
            return Ok(None);
        }
        let mut header = [0; 8];
        read_at(file, at, &mut header)?;
        let [s0, s1, s2, s3, kind @ ..] = header;
        // Padding, or something foreign behind the last box.
        if !KNOWN.contains(&&kind) {
            return Ok(None);
        }
        let size = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => return Ok(None),
            1 if at + 16 <= len => {
                let mut size = [0; 8];
                read_at(file, at + 8, &mut size)?;
                u64::from_be_bytes(size)
            }
            size => u64::from(size),
        };
        let Some(end) = at.checked_add(size).filter(|_| size >= 8) else {
            return Ok(None);
        };
        if end > len {
            return Ok(Some(end));
        }
        at = end;
    }
    Ok(None)
}

/// End of the last RIFF chunk; files above a gigabyte have several.
fn riff(file: &mut File, len: u64) -> io::Result<Option<u64>> {
    let mut at = 0;
    while at + 12 <= len {
        let mut header = [0; 12];
        read_at(file, at, &mut header)?;
        let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        // A size that was never filled in.
        if &header[..4] != b"RIFF" || size == 0 || size >= u32::MAX - 64 {
            return Ok(None);
        }
        let end = at + 8 + u64::from(size);
        if end > len + RIFF_SLACK {
            return Ok(Some(end));
        }
        at = end + end % 2;
    }
    Ok(None)
}

const ASF_HEADER: [u8; 16] = [
    0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c,
];
const ASF_FILE_PROPERTIES: [u8; 16] = [
    0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65,
];

/// The file size among the file properties, unless it is a broadcast.
fn asf(file: &mut File) -> io::Result<Option<u64>> {
    let mut header = vec![0; 4096];
    file.rewind()?;
    let n = file.read(&mut header)?;
    let at = header[..n]
        .windows(16)
        .position(|it| it == ASF_FILE_PROPERTIES);
    let properties = at.and_then(|at| header.get(at..at + 92));
    Ok(properties.and_then(|it| {
        let size = u64::from_le_bytes(it[40..48].try_into().ok()?);
        let is_broadcast = it[88] & 1 != 0;
        (!is_broadcast && size > 0).then_some(size)
    }))
}

/// Where the footer begins, by the header partition.
fn mxf(file: &mut File) -> io::Result<Option<u64>> {
    let mut bytes = [0; 64];
    read_at(file, 0, &mut bytes)?;
    // The key, its length in 1 to 9 bytes, versions and grid (8 bytes), this and the previous partition (16 bytes).
    let length = if bytes[16] & 0x80 == 0 {
        1
    } else {
        1 + usize::from(bytes[16] & 0x0f)
    };
    let footer = bytes.get(16 + length + 24..16 + length + 32);
    let footer = footer
        .and_then(|it| it.try_into().ok())
        .map(u64::from_be_bytes);
    // A partition has at least its key there.
    Ok(footer.filter(|&at| at > 0).map(|at| at.saturating_add(16)))
}

/// End of the last frame: all are of the size of the first one's system, of one channel.
fn dv(flags: u8, len: u64) -> u64 {
    let frame_bytes = if flags & 0x80 == 0 { 120_000 } else { 144_000 };
    len.next_multiple_of(frame_bytes)
}

/// What is wrong with the last page, unless it is whole and marked as the last of its stream.
fn ogg(file: &mut File, len: u64) -> io::Result<Option<&'static str>> {
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(len.saturating_sub(OGG_TAIL)))?;
    file.read_to_end(&mut tail)?;
    let last = tail.windows(5).rposition(|it| it == b"OggS\0");
    let Some(page) = last.and_then(|at| tail.get(at..)) else {
        return Ok(Some("it does not end with a page"));
    };
    let lacing = page
        .get(26)
        .and_then(|&n| page.get(27..27 + usize::from(n)));
    let size = lacing
        .map(|lacing| 27 + lacing.len() + lacing.iter().map(|&it| usize::from(it)).sum::<usize>());
    Ok(match size {
        Some(size) if size <= page.len() && page[5] & 4 != 0 => None,
        Some(size) if size <= page.len() => Some("its last page is not marked as the last"),
        _ => Some("its last page is cut"),
    })
}

/// What is wrong with the last tag, unless the last four bytes are the size of one that begins there.
fn flv(file: &mut File, len: u64) -> io::Result<Option<&'static str>> {
    let mut last = [0; 4];
    read_at(file, len - 4, &mut last)?;
    let size = u64::from(u32::from_be_bytes(last));
    let mut is_whole = false;
    if (11..len - 13).contains(&size) {
        let mut header = [0; 4];
        read_at(file, len - 4 - size, &mut header)?;
        let data = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        is_whole = u64::from(data) + 11 == size;
    }
    Ok((!is_whole).then_some("its last tag is cut"))
}

/// That the trailer is not there; zeros may follow it.
fn gif(file: &mut File, len: u64) -> io::Result<Option<&'static str>> {
    let mut tail = [0; 64];
    read_at(file, len - 64, &mut tail)?;
    let last = tail.iter().rfind(|&&byte| byte != 0);
    Ok((last != Some(&b';')).then_some("its end mark is not there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing_of(bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        missing(&path).unwrap().map(|missing| missing.how)
    }

    /// Whole as it is, and cut by a byte.
    fn is_told(bytes: &[u8]) {
        assert_eq!(missing_of(bytes), None);
        let cut = missing_of(&bytes[..bytes.len() - 1]);
        assert!(cut.is_some(), "{:?}", &bytes[..16]);
    }

    fn padded(start: &[u8], len: usize) -> Vec<u8> {
        let mut bytes = start.to_vec();
        bytes.resize(len, 7);
        bytes
    }

    #[test]
    fn a_matroska_file_that_misses_a_byte_of_its_segment_is_cut() {
        let header = [
            0x1a, 0x45, 0xdf, 0xa3, 0x81, 0, 0x18, 0x53, 0x80, 0x67, 0x40, 200,
        ];
        is_told(&padded(&header, 212));
        // The size of a live recording is unknown: all ones.
        let mut live = header;
        live[10..].copy_from_slice(&[0x7f, 0xff]);
        assert_eq!(missing_of(&padded(&live, 100)), None);
    }

    #[test]
    fn an_mp4_file_that_misses_a_byte_of_its_last_box_is_cut() {
        let mut bytes = vec![0, 0, 0, 16];
        bytes.extend_from_slice(b"ftypisom\0\0\0\0");
        bytes.extend_from_slice(&[0, 0, 0, 100]);
        bytes.extend_from_slice(b"mdat");
        let bytes = padded(&bytes, 116);
        is_told(&bytes);
        // What stands behind the last box is not its.
        assert_eq!(missing_of(&padded(&bytes, 130)), None);
    }

    #[test]
    fn an_avi_file_that_misses_more_than_padding_is_cut() {
        let bytes = padded(b"RIFF\x78\0\0\0AVI ", 128);
        assert_eq!(missing_of(&bytes), None);
        assert_eq!(missing_of(&bytes[..121]), None);
        assert!(missing_of(&bytes[..119]).is_some());
        assert_eq!(missing_of(&padded(b"RIFF\0\0\0\0AVI ", 100)), None);
    }

    #[test]
    fn an_ogg_file_ends_with_a_whole_page_that_is_marked() {
        let page = |flags| {
            let mut page = b"OggS\0".to_vec();
            page.push(flags);
            page.resize(26, 0);
            page.extend_from_slice(&[1, 50]);
            padded(&page, 78)
        };
        is_told(&page(4));
        assert!(missing_of(&page(0)).is_some_and(|it| it.contains("marked")));
    }

    #[test]
    fn a_flash_video_ends_with_the_size_of_its_last_tag() {
        let mut bytes = padded(b"FLV\x01\x05\0\0\0\x09\0\0\0\0", 13);
        bytes.extend_from_slice(&[9, 0, 0, 60]);
        let mut bytes = padded(&bytes, 13 + 71);
        bytes.extend_from_slice(&71_u32.to_be_bytes());
        is_told(&bytes);
    }

    #[test]
    fn a_gif_ends_with_its_trailer() {
        let mut bytes = padded(b"GIF89a", 80);
        bytes.push(b';');
        is_told(&bytes);
        bytes.extend_from_slice(&[0, 0]);
        assert_eq!(missing_of(&bytes), None);
    }

    #[test]
    fn other_files_announce_nothing() {
        assert_eq!(missing_of(&[0x47; 188]), None);
        assert_eq!(missing_of(b"short"), None);
    }
}
