//! Files with one input per line.

use std::fs;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, fail};

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
/// It cannot be read or is not UTF-8 (65).
pub fn read(list: &Path) -> anyhow::Result<Vec<Line>> {
    let shown = list.display();
    let content = fs::read(list).map_err(|error| {
        fail(
            Exit::BadInput,
            format!("{error}, cannot read the list {shown}"),
        )
    })?;
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
