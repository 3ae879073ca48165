//! Foreign text made safe to look at: names of files, titles, answers of servers, messages of libraries.
//!
//! Invariant: what comes out moves no cursor, changes no colour, begins no line of its own and turns the direction of no
//! text beside it.

use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Whether a character acts on what is around it instead of standing for something: the control characters of ASCII and
/// Latin-1, marks of direction (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), and separators of lines.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The text on one line, with what [`acts`] written as `\n` or `\u{1b}`.
pub fn visible(text: &str) -> String {
    escaped(text, |_| false)
}

/// As [`visible`], for text of several lines that are ours: their ends and tabs stay.
pub fn visible_lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' if !stays(c) => line.extend(c.escape_default()),
            c if acts(c) && !stays(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

/// A path on one line.
pub fn path(path: &Path) -> String {
    visible(&name(path))
}

/// The text of a path, with bytes that are not UTF-8 written as `\xff`, so that two names stay two.
pub fn name(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text += chunk.valid();
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The same JSON, with what [`acts`] as `\u` escapes, so that it can be shown and still holds the true text. The control
/// characters of ASCII are escapes in all JSON.
pub fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // JSON holds such a character in strings only.
        if c >= '\x7f' && acts(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Writes JSON as [`json()`] has it, without holding all of it.
///
/// # Errors
/// The writer refuses it.
pub fn write_json<T: Serialize + ?Sized>(to: impl io::Write, value: &T) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(to, Safe))
}

/// Compact JSON in which nothing [`acts`].
struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        to.write_all(json(fragment).as_bytes())
    }
}

/// A path as JSON, also where it is not UTF-8: its [`name`]. For `#[serde(serialize_with)]`.
///
/// # Errors
/// The serializer refuses it.
pub(crate) fn lossy<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&name(path))
}

/// As [`lossy`], for a path that may be absent.
///
/// # Errors
/// The serializer refuses it.
#[expect(clippy::ref_option, reason = "serde asks for this signature")]
pub(crate) fn lossy_option<S: serde::Serializer, P: AsRef<Path>>(
    path: &Option<P>,
    to: S,
) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| name(path.as_ref())).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that must never be seen raw.
    fn acting() -> impl Iterator<Item = char> {
        let ranges = [
            '\0'..='\x1f',
            '\x7f'..='\u{9f}',
            '\u{61c}'..='\u{61c}',
            '\u{200e}'..='\u{200f}',
            '\u{2028}'..='\u{202e}',
            '\u{2066}'..='\u{2069}',
        ];
        ranges.into_iter().flatten()
    }

    #[test]
    fn nothing_that_acts_comes_out_and_everything_else_does() {
        for c in acting() {
            assert!(acts(c), "{c:?}");
            let shown = visible(&format!("a{c}b"));
            assert!(!shown.chars().any(acts), "{shown:?}");
            assert!(shown.starts_with("a\\") && shown.ends_with('b'), "{shown}");
        }
        assert_eq!(visible("é 漢 ✓ \u{200d}"), "é 漢 ✓ \u{200d}");
        assert_eq!(visible("a\u{1b}[2J\u{202e}\n"), r"a\u{1b}[2J\u{202e}\n");
        assert_eq!(visible_lines("a\n\tb\r\u{9b}"), "a\n\tb\\r\\u{9b}");
    }

    #[test]
    fn json_keeps_the_text_and_shows_nothing_that_acts() {
        for c in acting() {
            let text = format!("a{c}b");
            let safe = json(&serde_json::to_string(&text).unwrap());
            let mut written = Vec::new();
            write_json(&mut written, &text).unwrap();
            assert_eq!(safe.as_bytes(), written);
            assert!(!safe.chars().any(acts), "{safe:?}");
            assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_can_stand_in_a_document() {
        let name = Path::new(std::ffi::OsStr::from_bytes(b"\xff.mp4"));
        let mut written = Vec::new();
        lossy(name, &mut serde_json::Serializer::new(&mut written)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), r#""\\xff.mp4""#);
    }
}
