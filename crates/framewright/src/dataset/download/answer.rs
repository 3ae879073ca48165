//! What an answer of a server means: its status, its dates, and whether its body can be a video.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::http::HeaderMap;
use url::Url;

use crate::dataset::trouble::{Class, Trouble};

/// Longest that a server may ask to wait; what is longer is taken for this.
const MOST_RETRY_AFTER: Duration = Duration::from_hours(24);

/// A header as text; none when it is not there or not text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The trouble that a status is. Those of success and redirects are none of this function's.
pub fn trouble_of_status(status: u16, headers: &HeaderMap, url: &Url) -> Trouble {
    let host = url.host_str().unwrap_or_default();
    let (class, meaning) = match status {
        401 => (Class::Auth, "a login is wanted"),
        403 => (Class::Permanent, "refused"),
        404 => (Class::Permanent, "not found"),
        407 | 511 => (Class::Environment, "a proxy or a network asks for a login"),
        408 | 425 => (Class::Network, "later"),
        410 => (Class::Permanent, "gone"),
        429 => (Class::Rate, "too many requests"),
        451 => (Class::Permanent, "not available for legal reasons"),
        500..=599 => (Class::Network, "the server has trouble of its own"),
        _ => (Class::Permanent, "no answer that helps"),
    };
    let mut trouble = Trouble::new(class, format!("{host} answered {status}: {meaning}"));
    trouble.retry_after_secs = retry_after(headers).map(|wait| wait.as_secs_f64());
    trouble
}

/// How long the server asks to wait: seconds or a date, by its own clock where it tells the time.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, "retry-after")?;
    let wait = if let Ok(secs) = text.parse::<u64>() {
        Duration::from_secs(secs)
    } else {
        let until = unix_secs_of_date(text)?;
        let now = header(headers, "date").and_then(unix_secs_of_date);
        let here = || SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let now = now.or_else(|| here().map(|since| since.as_secs()))?;
        Duration::from_secs(until.saturating_sub(now))
    };
    Some(wait.min(MOST_RETRY_AFTER))
}

/// Seconds since 1970 of HTTP's preferred form of a date, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn unix_secs_of_date(text: &str) -> Option<u64> {
    /// From 1 March of year 0.
    const DAYS_TO_1970: u64 = 719_468;
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next().filter(|month| month.len() == 3)?;
    let month = (MONTHS.find(month)? / 3) as u64 + 1;
    let year: u64 = words.next()?.parse().ok()?;
    let mut time = words
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok());
    let (hours, minutes, secs) = (time.next()??, time.next()??, time.next()??);
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hours > 23 || minutes > 59 {
        return None;
    }
    // Days since 1 March of year 0: years begin with March, so that the leap day comes last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    Some((days - DAYS_TO_1970) * 86_400 + hours * 3600 + minutes * 60 + secs)
}

/// First byte and size of the whole, of `Content-Range: bytes 100-199/200`.
pub fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = header(headers, "content-range")?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    Some((first, total.trim().parse().ok()))
}

/// Why a body of this type is no video, as far as the type tells. Types that servers give to anything tell nothing.
pub fn not_video_by_type(content_type: Option<&str>) -> Option<String> {
    let content_type = content_type?.split(';').next()?.trim().to_ascii_lowercase();
    let what = match content_type.as_str() {
        "text/html" | "application/xhtml+xml" => "a web page",
        "application/json" | "text/xml" | "application/xml" | "text/css" | "text/javascript"
        | "application/pdf" => "a document",
        "application/vnd.apple.mpegurl"
        | "application/x-mpegurl"
        | "audio/mpegurl"
        | "audio/x-mpegurl"
        | "application/dash+xml" => "a playlist",
        image if image.starts_with("image/") => "a picture",
        _ => return None,
    };
    Some(format!("{what} ({content_type})"))
}

/// Kinds of file that are known by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A video container, and the extension that its files have.
    Video(&'static str),
    /// Something else.
    Other(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// What a file is by its first bytes, some hundred of them.
pub fn kind_of(head: &[u8]) -> Kind {
    let at = |offset: usize, bytes: &[u8]| {
        head.get(offset..)
            .is_some_and(|rest| rest.starts_with(bytes))
    };
    if at(4, b"ftypqt") || at(4, b"moov") || at(4, b"mdat") || at(4, b"wide") {
        return Kind::Video("mov");
    }
    if at(4, b"ftypavif") || at(4, b"ftypheic") || at(4, b"ftypmif1") {
        return Kind::Other("a picture");
    }
    if at(4, b"ftyp") || at(4, b"free") || at(4, b"skip") || at(4, b"styp") {
        return Kind::Video("mp4");
    }
    if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
        let is_webm = head.windows(4).take(64).any(|bytes| bytes == b"webm");
        return Kind::Video(if is_webm { "webm" } else { "mkv" });
    }
    let first_is = |magics: &[&[u8]]| magics.iter().any(|magic| at(0, magic));
    match () {
        () if at(0, b"RIFF") && at(8, b"AVI ") => Kind::Video("avi"),
        () if at(0, b"RIFF") && at(8, b"WEBP") => Kind::Other("a picture"),
        () if at(0, b"FLV\x01") => Kind::Video("flv"),
        () if at(0, b"OggS") => Kind::Video("ogv"),
        () if at(0, &[0x30, 0x26, 0xb2, 0x75]) => Kind::Video("wmv"),
        () if first_is(&[&[0, 0, 1, 0xba], &[0, 0, 1, 0xb3]]) => Kind::Video("mpg"),
        () if at(0, b"G") && at(188, b"G") => Kind::Video("ts"),
        () if at(4, b"G") && at(196, b"G") => Kind::Video("m2ts"),
        () if first_is(&[b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM"]) => Kind::Other("a picture"),
        () if first_is(&[b"\x1f\x8b", b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"BZh"]) => {
            Kind::Other("an archive")
        }
        () if at(0, b"%PDF") => Kind::Other("a document"),
        () => kind_of_text(head),
    }
}

fn kind_of_text(head: &[u8]) -> Kind {
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    let is_text = !text.is_empty()
        && text
            .iter()
            .all(|&byte| byte >= 0x20 || matches!(byte, b'\n' | b'\r' | b'\t' | 0x0c | 0x1b));
    let begins = |words: &[&str]| {
        words.iter().any(|word| {
            text.get(..word.len())
                .is_some_and(|first| first.eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    if begins(&["#EXTM3U", "ffconcat", "<MPD", "[playlist]"]) {
        return Kind::Other("a playlist");
    }
    if begins(&["<!doctype html", "<html", "<head", "<body", "<script"]) {
        return Kind::Other("a web page");
    }
    if is_text && head.len() >= 16 {
        return Kind::Other("text");
    }
    Kind::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in of {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn statuses_have_their_classes() {
        let url = Url::parse("http://h/x").unwrap();
        let class = |status| trouble_of_status(status, &HeaderMap::new(), &url).class;
        for (status, expected) in [
            (401, Class::Auth),
            (403, Class::Permanent),
            (404, Class::Permanent),
            (410, Class::Permanent),
            (429, Class::Rate),
            (500, Class::Network),
            (503, Class::Network),
            (599, Class::Network),
        ] {
            assert_eq!(class(status), expected, "{status}");
        }
    }

    #[test]
    fn a_date_counts_by_the_clock_of_the_server() {
        assert_eq!(
            unix_secs_of_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            unix_secs_of_date("Thu, 29 Feb 2024 00:00:00 GMT"),
            Some(1_709_164_800)
        );
        assert_eq!(unix_secs_of_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for odd in [
            "",
            "soon",
            "Sun, 06 nov 1994",
            "Sun, 06 Xxx 1994 08:49:37 GMT",
        ] {
            assert_eq!(unix_secs_of_date(odd), None, "{odd}");
        }
        let asked = headers(&[
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT"),
        ]);
        assert_eq!(retry_after(&asked), Some(Duration::from_mins(2)));
        assert_eq!(
            retry_after(&headers(&[("retry-after", "7")])),
            Some(Duration::from_secs(7))
        );
        let for_ever = headers(&[("retry-after", "99999999999")]);
        assert_eq!(retry_after(&for_ever), Some(MOST_RETRY_AFTER));
    }

    #[test]
    fn ranges_are_read() {
        let range = |text: &str| content_range(&headers(&[("content-range", text)]));
        assert_eq!(range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(range("bytes 100-199/*"), Some((100, None)));
        assert_eq!(range("bytes */200"), None);
        assert_eq!(range("items 1-2/3"), None);
    }

    #[test]
    fn first_bytes_tell_videos_from_the_rest() {
        let is_video = |head: &[u8]| matches!(kind_of(head), Kind::Video(_));
        assert!(is_video(b"\0\0\0\x20ftypisom\0\0\x02\0"));
        assert_eq!(
            kind_of(b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x84webm"),
            Kind::Video("webm")
        );
        let mut stream = vec![0; 400];
        (stream[0], stream[188]) = (b'G', b'G');
        assert_eq!(kind_of(&stream), Kind::Video("ts"));
        for (head, what) in [
            (&b"  <!DOCTYPE HTML><title>x"[..], "a web page"),
            (b"\xef\xbb\xbf#EXTM3U\n", "a playlist"),
            (b"ffconcat version 1.0\n", "a playlist"),
            (b"\xff\xd8\xff\xe0", "a picture"),
            (b"\x1f\x8b\x08", "an archive"),
            (b"{\"error\": \"no such video\"}", "text"),
        ] {
            assert_eq!(kind_of(head), Kind::Other(what));
        }
        assert_eq!(
            kind_of(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7]),
            Kind::Unknown
        );
    }
}
