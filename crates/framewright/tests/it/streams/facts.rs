//! What ffprobe says about a file, in the form two files can be compared in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::env::ffprobe;

/// A rational number of seconds per tick, as ffprobe writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase {
    pub num: i128,
    pub den: i128,
}

impl TimeBase {
    fn parse(text: &str) -> Self {
        let (num, den) = text.split_once('/').unwrap();
        Self {
            num: num.parse().unwrap(),
            den: den.parse().unwrap(),
        }
    }

    pub fn seconds(self, ticks: i64) -> f64 {
        ticks as f64 * self.num as f64 / self.den as f64
    }

    /// `ticks` of this time base in ticks of `other`, rounded to nearest, halves away from zero:
    /// the rule of libavutil's `av_rescale_q`.
    pub fn rescale(self, ticks: i64, other: Self) -> i64 {
        let numerator = i128::from(ticks) * self.num * other.den;
        let denominator = self.den * other.num;
        let rounded = (numerator.abs() * 2 + denominator) / (denominator * 2);
        (rounded * numerator.signum()) as i64
    }

    /// True when every time of `self` is a whole number of ticks of `other`.
    pub fn is_exact_in(self, other: Self) -> bool {
        (self.num * other.den) % (self.den * other.num) == 0
    }
}

#[derive(Debug)]
pub struct Packet {
    pub pts: Option<i64>,
    pub hash: String,
}

#[derive(Debug)]
pub struct Stream {
    pub index: u64,
    /// video, audio, subtitle, attachment, data
    pub kind: String,
    pub codec: String,
    pub time_base: TimeBase,
    pub packets: Vec<Packet>,
    pub tags: BTreeMap<String, String>,
    pub dispositions: BTreeSet<String>,
    /// everything else ffprobe said
    pub json: Value,
}

impl Stream {
    pub fn text(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or("unknown")
    }

    pub fn size(&self) -> (u64, u64) {
        let side = |key: &str| self.json[key].as_u64().unwrap_or(0);
        (side("width"), side("height"))
    }

    pub fn is_cover(&self) -> bool {
        self.dispositions.contains("attached_pic")
    }

    pub fn first_pts(&self) -> Option<i64> {
        self.packets.iter().filter_map(|packet| packet.pts).min()
    }
}

#[derive(Debug)]
pub struct Chapter {
    pub start_secs: f64,
    pub end_secs: f64,
    pub title: String,
}

/// One file.
#[derive(Debug)]
pub struct Facts {
    pub streams: Vec<Stream>,
    pub chapters: Vec<Chapter>,
    pub tags: BTreeMap<String, String>,
}

impl Facts {
    pub fn of(path: &Path) -> Self {
        let shown = [
            "-show_streams",
            "-show_packets",
            "-show_format",
            "-show_chapters",
        ];
        let mut args = shown.to_vec();
        args.extend(["-show_data_hash", "md5"]);
        let json = ffprobe(path, &args);
        let mut streams: Vec<Stream> = items(&json, "streams").map(stream).collect();
        for packet in items(&json, "packets") {
            let index = packet["stream_index"].as_u64().unwrap();
            let owner = streams.iter_mut().find(|stream| stream.index == index);
            if let Some(owner) = owner {
                let hash = packet["data_hash"].as_str().unwrap_or("").to_owned();
                owner.packets.push(Packet {
                    pts: packet["pts"].as_i64(),
                    hash,
                });
            }
        }
        let chapters = items(&json, "chapters").map(chapter).collect();
        Self {
            streams,
            chapters,
            tags: tags(&json["format"]),
        }
    }

    /// The picture: of several video streams the largest, the first among equals, never a cover.
    pub fn video(&self) -> &Stream {
        let videos = self
            .of_kind("video")
            .into_iter()
            .filter(|stream| !stream.is_cover());
        let area = |stream: &Stream| stream.size().0 * stream.size().1;
        let largest = videos.reduce(|best, next| if area(next) > area(best) { next } else { best });
        largest.expect("a video stream")
    }

    pub fn of_kind(&self, kind: &str) -> Vec<&Stream> {
        self.streams
            .iter()
            .filter(|stream| stream.kind == kind)
            .collect()
    }

    pub fn has_negative_times(&self) -> bool {
        self.streams
            .iter()
            .any(|stream| stream.first_pts().is_some_and(|pts| pts < 0))
    }
}

/// Presentation times of the decoded frames of one stream, and ffprobe's own count of them.
pub fn frame_times(path: &Path, stream: u64) -> (Vec<i64>, u64) {
    let index = stream.to_string();
    let entries = "frame=best_effort_timestamp:stream=nb_read_frames";
    let args = [
        "-select_streams",
        &index,
        "-count_frames",
        "-show_entries",
        entries,
    ];
    let json = ffprobe(path, &args);
    let times = items(&json, "frames")
        .filter_map(|frame| frame["best_effort_timestamp"].as_i64())
        .collect();
    let counted = json["streams"][0]["nb_read_frames"].as_str().unwrap_or("0");
    (times, counted.parse().unwrap())
}

/// Side data of the stream and of its first frame: containers keep it at the first, bit streams at the second.
pub fn side_data(path: &Path, stream: &Stream) -> Vec<Value> {
    let index = stream.index.to_string();
    let args = [
        "-select_streams",
        &index,
        "-read_intervals",
        "%+#1",
        "-show_frames",
    ];
    let json = ffprobe(path, &args);
    let of_frame = items(&json["frames"][0], "side_data_list");
    items(&stream.json, "side_data_list")
        .chain(of_frame)
        .cloned()
        .collect()
}

fn items<'a>(json: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    json[key]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}

fn stream(json: &Value) -> Stream {
    let dispositions = json["disposition"].as_object().into_iter().flatten();
    Stream {
        index: json["index"].as_u64().unwrap(),
        kind: json["codec_type"].as_str().unwrap_or("unknown").to_owned(),
        codec: json["codec_name"].as_str().unwrap_or("unknown").to_owned(),
        time_base: TimeBase::parse(json["time_base"].as_str().unwrap()),
        packets: Vec::new(),
        tags: tags(json),
        dispositions: dispositions
            .filter(|(_, on)| on.as_u64() == Some(1))
            .map(|(name, _)| name.clone())
            .collect(),
        json: json.clone(),
    }
}

fn chapter(json: &Value) -> Chapter {
    let secs = |key: &str| json[key].as_str().unwrap().parse().unwrap();
    let title = json["tags"]["title"].as_str().unwrap_or("").to_owned();
    Chapter {
        start_secs: secs("start_time"),
        end_secs: secs("end_time"),
        title,
    }
}

/// Tags a muxer writes about itself, about the brand of the file, or about the bytes it counted:
/// they describe the old file and have no place in the new one.
fn is_bookkeeping(key: &str) -> bool {
    let exact = [
        "encoder",
        "major_brand",
        "minor_version",
        "compatible_brands",
        "vendor_id",
    ];
    let prefixes = ["handler", "duration", "bps", "number_of_", "_statistics"];
    exact.contains(&key) || prefixes.iter().any(|prefix| key.starts_with(prefix))
}

/// Tags with lower-case keys: containers differ in case only. "und" is how MP4 says "no language".
fn tags(json: &Value) -> BTreeMap<String, String> {
    let pairs = json["tags"].as_object().into_iter().flatten();
    let lower = pairs.map(|(key, value)| (key.to_lowercase(), value.as_str().unwrap_or("")));
    lower
        .filter(|(key, value)| !is_bookkeeping(key) && (key != "language" || *value != "und"))
        .map(|(key, value)| (key, value.to_owned()))
        .collect()
}
