//! A small dataset with everything that is hard to write down.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use framewright::dataset::config::{Config, Format};
use framewright::dataset::record::{
    Dataset, DatasetFrame, DatasetVideo, Downloaded, Drop, DropReason, Frame, Labels, Location,
    Object, Order, Scores, Video,
};
use framewright::dataset::split;
use image::{Rgb, RgbImage};

use crate::env::TestEnv;

pub const ALL_FORMATS: [Format; 7] = [
    Format::Coco,
    Format::Yolo,
    Format::Voc,
    Format::WebDataset,
    Format::ImageFolder,
    Format::Parquet,
    Format::Croissant,
];

pub fn config(formats: &[Format]) -> Config {
    let mut config = Config::default();
    config.export.formats = formats.to_vec();
    config.export.name = Some("made \"up\" <i>& co".into());
    config.export.licence = Some("cc-by-4.0".into());
    config.export.description = Some("Pictures of *nothing* | at all".into());
    config.export.shard_size = 4;
    config
}

/// Five videos; the fourth shares a frame with the first, the fifth is dark.
pub fn plain(env: &TestEnv) -> Dataset {
    let hostile = "</script><b>\"x\" & 'y'</b> 日本 \u{202e}é|`";
    let mut dataset = Dataset {
        videos: vec![
            video(
                0,
                "films/\"odd\" & <name>.mp4",
                None,
                Some(hostile),
                Some("CC BY <4.0>"),
            ),
            video(
                1,
                "https://me:secret@example.org/a.mp4?b=1&c=2",
                Some(false),
                Some("plain"),
                None,
            ),
            video(
                2,
                "https://example.org/watch?v=3",
                Some(true),
                None,
                Some("Standard"),
            ),
            video(3, "films/again.mp4", None, Some(hostile), None),
            video(4, "films/night.mp4", None, None, None),
        ],
        notes: vec!["a note with <tags> | and *stars*".into()],
        ..Dataset::default()
    };
    for (video, frames) in [9, 14, 5, 4, 2].into_iter().enumerate() {
        for index in 0..frames {
            let frame = frame(env, &dataset.videos[video], video, index);
            dataset.frames.push(frame);
        }
    }
    let original = dataset.frames[0].frame.image_id.clone();
    let mut drop = |place: usize, reason, duplicate_of, distance: Option<f32>| {
        let kind = distance.map(|_| "dct");
        dataset.frames[place].dropped = Some(Drop {
            reason,
            duplicate_of,
            distance,
            kind,
        });
    };
    drop(
        1,
        DropReason::DuplicateInVideo,
        Some(original.clone()),
        Some(12.0),
    );
    drop(3, DropReason::Blurred, None, None);
    drop(
        28,
        DropReason::DuplicateAcrossVideos,
        Some(original),
        Some(47.0),
    );
    drop(32, DropReason::Dark, None, None);
    drop(33, DropReason::Dark, None, None);
    split::divide(&mut dataset, &Config::default().split, &BTreeMap::new());
    dataset
}

/// As [`plain`], after a detector.
pub fn labelled(env: &TestEnv) -> Dataset {
    let mut dataset = plain(env);
    dataset.class_names = ["person", "traffic \"light\" <red>", "dog: big"]
        .map(String::from)
        .to_vec();
    for (place, frame) in dataset.frames.iter_mut().enumerate() {
        // Some pictures have none, one was not shown to the detector.
        let objects = (0..place % 4).map(|n| Object {
            class: ((place + n) % 3) as u32,
            score: 0.9 - 0.1 * n as f32,
            bbox: [3.3 * n as f32, 2.7, 20.123 + n as f32, 30.456],
        });
        let mut objects: Vec<Object> = objects.collect();
        if place == 2 {
            // To the very edge, and beyond it by what floats do.
            objects[0].bbox = [0.0, 0.0, 64.000_01, 48.0];
        }
        frame.labels = Labels {
            objects: (place != 3).then_some(objects),
            text_score: (place % 2 == 0).then_some(0.25),
            embedding: None,
        };
    }
    dataset
}

fn video(
    n: u32,
    source: &str,
    is_page: Option<bool>,
    title: Option<&str>,
    licence: Option<&str>,
) -> DatasetVideo {
    DatasetVideo {
        video: Video {
            video_id: (0xabc0_0000_u64 + u64::from(n)).into(),
            order: Order { line: n, entry: 0 },
            source: source.into(),
            location: match is_page {
                None => Location::File(PathBuf::from(format!("/films/{n}.mp4"))),
                Some(false) => Location::Http(source.into()),
                Some(true) => Location::Page(source.into()),
            },
        },
        downloaded: Downloaded {
            file: PathBuf::from("video.mp4"),
            size_bytes: 1000,
            sha256: format!("{n:064x}"),
            title: title.map(String::from),
            extractor: "file".into(),
            licence: licence.map(String::from),
            notes: Vec::new(),
        },
        size: if n == 1 { [97, 61] } else { [64, 48] },
        codec: "h264".into(),
        duration_secs: Some(20.0),
        notes: Vec::new(),
    }
}

fn frame(env: &TestEnv, of: &DatasetVideo, video: usize, index: u64) -> DatasetFrame {
    let image_id = format!("{}_{:08}", of.video.video_id, index * 30);
    let extension = if video == 2 { "png" } else { "jpg" };
    let picture = env
        .folder("pictures")
        .join(format!("{image_id}.{extension}"));
    let [width, height] = of.size;
    let shade = |x: u32, y: u32| {
        let level = |way: u32| (way * 3 + index as u32 * 17) as u8;
        Rgb([level(x), level(y), (video * 50) as u8])
    };
    RgbImage::from_fn(width, height, shade)
        .save(&picture)
        .unwrap();
    let bytes = fs::read(&picture).unwrap();
    let bits = index.wrapping_mul(0x1234_5678_9abc_def1) + video as u64;
    DatasetFrame {
        video,
        frame: Frame {
            image_id: image_id.clone(),
            frame_index: index * 30,
            pts_secs: index as f64 * 1.001,
            keyframe: index == 0,
            scores: Scores {
                sharpness: 100.5 + index as f32,
                brightness: 99.25,
                contrast: 12.125,
                border: 0.0,
            },
            dct: format!("{bits:064x}").parse().unwrap(),
            dhash: format!("{:064x}", !bits).parse().unwrap(),
            mirrored: None,
            file: Some(format!("{image_id}.{extension}")),
            sha256: Some(sha256(&bytes)),
        },
        labels: Labels::default(),
        dropped: None,
        split: None,
        group: String::new(),
        picture: Some(picture),
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(bytes);
    let digits = |byte: &u8| [byte >> 4, byte & 15];
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap();
    digest.iter().flat_map(digits).map(digit).collect()
}
