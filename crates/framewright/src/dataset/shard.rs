//! A part of the videos, for runs on several machines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::record::Video;

/// Part `index` of `of` parts; written `0/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// At least 1.
    pub of: u32,
}

impl Shard {
    /// Whether a video is in this part: decided by its own name, so that parts need not know of each other.
    pub fn holds(self, video: &Video) -> bool {
        let number = u64::from_str_radix(&video.video_id, 16).unwrap_or_default();
        number % u64::from(self.of) == u64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shard = text.split_once('/').and_then(|(index, of)| {
            Some(Self {
                index: index.parse().ok()?,
                of: of.parse().ok()?,
            })
        });
        shard
            .filter(|shard| shard.index < shard.of)
            .ok_or_else(|| "such as 0/4, the first of four parts; the last is 3/4".to_owned())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::record::{Location, Order};

    #[test]
    fn every_video_is_in_exactly_one_part() {
        for n in 0..40_u64 {
            let video = Video {
                video_id: n.wrapping_mul(0x9E37_79B9_7F4A_7C15).into(),
                order: Order { line: 0, entry: 0 },
                source: String::new(),
                location: Location::Http(String::new()),
            };
            let parts = (0..4).map(|index| Shard { index, of: 4 });
            assert_eq!(parts.filter(|part| part.holds(&video)).count(), 1);
        }
    }

    #[test]
    fn parts_count_from_zero() {
        assert_eq!("3/4".parse(), Ok(Shard { index: 3, of: 4 }));
        for text in ["4/4", "0/0", "1", "-1/4", "1/4/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
