//! Files with one input per line.

use std::path::{Path, PathBuf};

use crate::bounded;
use crate::exit::{Exit, fail};

/// Most bytes of a list: a million addresses.
const MOST_BYTES: u64 = 256 << 20;
/// Most bytes of a line: more than any path or usual address has.
const MOST_LINE_BYTES: usize = 16 << 10;

/// One input.
pub struct Line {
    /// What stands there, without blanks around it.
    pub text: String,
    /// What relative paths are relative to.
    pub folder: PathBuf,
}

/// The inputs of a list: UTF-8 with or without a byte order mark, lines that end as on any system; empty ones and those
/// that begin with `#` do not count.
///
/// # Errors
/// It cannot be read, is no plain file, is too large or is not UTF-8 (65).
pub fn read(list: &Path) -> anyhow::Result<Vec<Line>> {
    let shown = list.display();
    let content = content(list)?;
    let text = content
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(content.as_slice());
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = content[..error.valid_up_to()]
            .split(|&byte| byte == b'\n')
            .count();
        let message = format!("not UTF-8 in line {line} of the list {shown}; save it as UTF-8");
        fail(Exit::BadInput, message)
    })?;
    let is_long = |line: &&str| line.len() > MOST_LINE_BYTES;
    if let Some(line) = text.split(['\n', '\r']).find(is_long) {
        let begin: String = line.chars().take(20).collect();
        let message = format!(
            "a line is longer than {MOST_LINE_BYTES} bytes, \"{begin}…\" of the list {shown}"
        );
        return Err(fail(Exit::BadInput, message));
    }
    let folder = list.parent().unwrap_or(Path::new(""));
    let lines = text.split(['\n', '\r']).map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines
        .map(|line| Line {
            text: line.to_owned(),
            folder: folder.to_owned(),
        })
        .collect())
}

/// The bytes of a list.
///
/// # Errors
/// As [`read`].
pub fn content(list: &Path) -> anyhow::Result<Vec<u8>> {
    bounded::read(list, MOST_BYTES).map_err(|error| {
        let message = format!("{error}, cannot read the list {}", list.display());
        fail(Exit::BadInput, message)
    })
}
