//! Our own name for a video.
//!
//! Invariant: a [`VideoId`] is 16 lowercase hexadecimal digits, whoever wrote the file it was read from. So it names one
//! folder under `state/videos`, and a path made with it cannot lead anywhere else.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// 16 lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VideoId(String);

impl VideoId {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for VideoId {
    fn from(number: u64) -> Self {
        Self(format!("{number:016x}"))
    }
}

impl FromStr for VideoId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 16 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            // The beginning of a foreign text is enough to recognise it by.
            let text: String = text.chars().take(40).collect();
            Err(format!(
                "the id of a video has 16 hexadecimal digits, not {text:?}"
            ))
        }
    }
}

impl TryFrom<String> for VideoId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<VideoId> for String {
    fn from(id: VideoId) -> Self {
        id.0
    }
}

impl Deref for VideoId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixteen_lowercase_digits_are_an_id() {
        assert_eq!("00000000000000ff".parse(), Ok(VideoId::from(255)));
        for text in [
            "",
            "..",
            "../../../films",
            "/etc/passwd",
            "00000000000000FF",
            "00000000000000f",
            "00000000000000fff",
            "000000000000/../",
            "00000000000000f\0",
            "ａ0000000000000",
        ] {
            assert!(text.parse::<VideoId>().is_err(), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<VideoId>(&json).is_err(), "{text:?}");
        }
    }
}
