use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use framewright_hash::Hash256;
use proptest::prelude::*;

use super::divide;
use crate::dataset::config::SplitConfig;
use crate::dataset::record::{
    Dataset, DatasetFrame, DatasetVideo, Downloaded, Drop, DropReason, Frame, Labels, Location,
    Order, Scores, Split, Video,
};

/// Videos of `frames` frames a second apart.
fn dataset(frames: &[usize]) -> Dataset {
    let mut dataset = Dataset::default();
    for (n, &frames) in frames.iter().enumerate() {
        add_video(&mut dataset, n, frames);
    }
    dataset
}

fn add_video(dataset: &mut Dataset, n: usize, frames: usize) {
    let video_id = id(n);
    dataset.videos.push(DatasetVideo {
        video: Video {
            video_id: video_id.parse().unwrap(),
            order: Order {
                line: n as u32,
                entry: 0,
            },
            source: format!("{n}.mp4"),
            location: Location::File(PathBuf::from(format!("/{n}.mp4"))),
        },
        downloaded: Downloaded {
            file: PathBuf::from(format!("/{n}.mp4")),
            size_bytes: 1,
            sha256: format!("{n:064x}"),
            title: None,
            extractor: "file".into(),
            licence: None,
            notes: Vec::new(),
        },
        size: [64, 48],
        codec: "h264".into(),
        duration_secs: Some(frames as f64),
        notes: Vec::new(),
    });
    for index in 0..frames {
        dataset.frames.push(DatasetFrame {
            video: dataset.videos.len() - 1,
            frame: Frame {
                image_id: format!("{video_id}_{index:08}"),
                frame_index: index as u64,
                pts_secs: index as f64,
                keyframe: false,
                scores: Scores {
                    sharpness: 1.0,
                    brightness: 1.0,
                    contrast: 1.0,
                    border: 0.0,
                },
                dct: Hash256::default(),
                dhash: Hash256::default(),
                mirrored: None,
                file: None,
                sha256: None,
            },
            labels: Labels::default(),
            dropped: None,
            split: None,
            group: String::new(),
            picture: None,
        });
    }
}

fn id(n: usize) -> String {
    // Spread, so that the order of names is not that of the inputs.
    format!(
        "{:016x}",
        (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    )
}

/// Says that the first frame of video `later` shows the first frame of video `earlier`.
fn link(dataset: &mut Dataset, later: usize, earlier: usize) {
    let original = format!("{}_{:08}", id(earlier), 0);
    let mut frames = dataset.frames.iter_mut();
    if let Some(frame) = frames.find(|frame| frame.video == later) {
        frame.dropped = Some(Drop {
            reason: DropReason::DuplicateAcrossVideos,
            duplicate_of: Some(original),
            distance: Some(3.0),
            kind: Some("dct"),
        });
    }
}

fn shares(train: f64, val: f64, test: f64) -> SplitConfig {
    SplitConfig {
        train,
        val,
        test,
        seed: 7,
    }
}

/// What became of every frame, by name.
fn outcome(dataset: &Dataset) -> BTreeMap<String, (Option<Split>, String, bool)> {
    let frames = dataset.frames.iter();
    frames
        .map(|frame| {
            let id = frame.frame.image_id.clone();
            (id, (frame.split, frame.group.clone(), frame.is_kept()))
        })
        .collect()
}

fn count(dataset: &Dataset, split: Split) -> usize {
    let frames = dataset.frames.iter();
    frames.filter(|frame| frame.split == Some(split)).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_group_is_in_two_parts_and_every_kept_frame_is_in_one(
        frames in prop::collection::vec(1_usize..6, 3..30),
        links in prop::collection::vec((0_usize..30, 0_usize..30), 0..12),
        seed: u64,
    ) {
        let mut dataset = dataset(&frames);
        for (a, b) in links {
            let (a, b) = (a % frames.len(), b % frames.len());
            if a != b {
                link(&mut dataset, a.max(b), a.min(b));
            }
        }
        let config = SplitConfig { seed, ..SplitConfig::default() };
        let (assignments, _) = divide(&mut dataset, &config, &BTreeMap::new());
        for frame in &dataset.frames {
            prop_assert_eq!(frame.is_kept(), frame.split.is_some());
        }
        if !assignments.is_empty() {
            let mut parts: BTreeMap<&str, BTreeSet<Split>> = BTreeMap::new();
            for frame in dataset.frames.iter().filter(|frame| frame.is_kept()) {
                parts.entry(&frame.group).or_default().extend(frame.split);
            }
            prop_assert!(parts.values().all(|parts| parts.len() == 1));
            for part in Split::ALL {
                prop_assert!(parts.values().any(|parts| parts.contains(&part)));
            }
        }
    }

    #[test]
    fn what_was_divided_stays_when_videos_are_added(
        before in 3_usize..12,
        after in 0_usize..12,
        seed: u64,
    ) {
        let config = SplitConfig { seed, ..SplitConfig::default() };
        let mut first = dataset(&vec![2; before]);
        let (assignments, _) = divide(&mut first, &config, &BTreeMap::new());
        let mut second = dataset(&vec![2; before + after]);
        divide(&mut second, &config, &assignments);
        let second = outcome(&second);
        for (image_id, outcome) in outcome(&first) {
            prop_assert_eq!(&second[&image_id], &outcome);
        }
    }

    #[test]
    fn the_order_of_the_frames_does_not_matter(
        frames in prop::collection::vec(0_usize..40, 1..6),
        order in any::<prop::sample::Index>(),
        linked: bool,
    ) {
        let mut plain = dataset(&frames);
        if linked && frames.len() > 2 {
            link(&mut plain, 2, 1);
        }
        let mut turned = plain.clone();
        if !turned.frames.is_empty() {
            let by = order.index(turned.frames.len());
            turned.frames.rotate_left(by);
            turned.frames.reverse();
        }
        let config = SplitConfig::default();
        let first = divide(&mut plain, &config, &BTreeMap::new());
        let second = divide(&mut turned, &config, &BTreeMap::new());
        prop_assert_eq!(first, second);
        prop_assert_eq!(outcome(&plain), outcome(&turned));
    }

    #[test]
    fn parts_cut_in_time_keep_their_distance(
        frames in prop::collection::vec(1_usize..400, 1..3),
        train in 0.0_f64..1.0,
        val in 0.0_f64..1.0,
        test in 0.0_f64..1.0,
    ) {
        let mut dataset = dataset(&frames);
        divide(&mut dataset, &shares(train, val, test), &BTreeMap::new());
        for a in &dataset.frames {
            prop_assert_eq!(a.is_kept(), a.split.is_some());
            for b in dataset.frames.iter().filter(|b| b.video == a.video) {
                let (Some(one), Some(other)) = (a.split, b.split) else { continue };
                let apart = (a.frame.pts_secs - b.frame.pts_secs).abs();
                prop_assert!(one == other || apart >= 2.0, "{apart} s between {one:?} and {other:?}");
            }
        }
    }
}

#[test]
fn many_groups_meet_the_shares() {
    let mut dataset = dataset(&vec![1; 3000]);
    divide(&mut dataset, &shares(8.0, 1.0, 1.0), &BTreeMap::new());
    for (split, share) in [(Split::Train, 0.8), (Split::Val, 0.1), (Split::Test, 0.1)] {
        let found = count(&dataset, split) as f64 / 3000.0;
        assert!((found - share).abs() < 0.03, "{split:?}: {found}");
    }
}

#[test]
fn a_part_without_a_share_stays_empty() {
    for frames in [vec![3; 40], vec![60], vec![3; 3]] {
        let mut dataset = dataset(&frames);
        divide(&mut dataset, &shares(0.7, 0.3, 0.0), &BTreeMap::new());
        assert_eq!(count(&dataset, Split::Test), 0);
        assert!(count(&dataset, Split::Train) > 0 && count(&dataset, Split::Val) > 0);
    }
}

#[test]
fn everything_may_be_one_part() {
    let mut dataset = dataset(&[5]);
    let (assignments, notes) = divide(&mut dataset, &shares(1.0, 0.0, 0.0), &BTreeMap::new());
    assert_eq!(count(&dataset, Split::Train), 5);
    assert_eq!((assignments.len(), notes.len()), (1, 0));
}

#[test]
fn the_same_file_under_two_names_is_one_group() {
    let mut dataset = dataset(&[2; 6]);
    dataset.videos[5].downloaded.sha256 = dataset.videos[2].downloaded.sha256.clone();
    divide(&mut dataset, &SplitConfig::default(), &BTreeMap::new());
    assert_eq!(dataset.frames[10].group, id(2));
    assert_eq!(dataset.frames[10].split, dataset.frames[4].split);
}

#[test]
fn groups_that_turn_out_to_be_one_follow_the_first_and_stay_there() {
    let config = SplitConfig::default();
    let mut plain = dataset(&[2; 8]);
    let (earlier, _) = divide(&mut plain, &config, &BTreeMap::new());
    let first = earlier[&id(0)];
    let other = (1..8).find(|&n| earlier[&id(n)] != first).unwrap();
    let mut linked = dataset(&[2; 8]);
    link(&mut linked, other, 0);
    let (assignments, notes) = divide(&mut linked, &config, &earlier);
    assert_eq!(assignments[&id(other)], first);
    let moved = notes.iter().filter(|note| note.contains("moves from"));
    assert_eq!(moved.count(), 1, "{notes:?}");
    // Known now: no more words about it, also when the first video is gone.
    let (_, notes) = divide(&mut linked, &config, &assignments);
    assert!(!notes.iter().any(|note| note.contains("moves from")));
    let mut without = dataset(&[2; 8]);
    without.frames.retain(|frame| frame.video != 0);
    divide(&mut without, &config, &assignments);
    let stays = without.frames.iter().find(|frame| frame.video == other);
    assert_eq!(stays.unwrap().split, Some(first));
}

#[test]
fn few_videos_are_cut_in_time_with_a_warning() {
    let mut dataset = dataset(&[100]);
    let (assignments, notes) = divide(&mut dataset, &shares(0.8, 0.1, 0.1), &BTreeMap::new());
    assert!(assignments.is_empty());
    assert!(
        notes[0].starts_with("there is only one group of videos"),
        "{notes:?}"
    );
    let counts = Split::ALL.map(|split| count(&dataset, split));
    assert_eq!(counts, [78, 10, 10]);
    let gaps = dataset
        .frames
        .iter()
        .filter_map(|frame| frame.dropped.as_ref());
    assert!(
        gaps.clone()
            .all(|dropped| dropped.reason == DropReason::GuardGap)
    );
    assert_eq!(gaps.count(), 2);
}

#[test]
fn a_video_too_short_to_be_cut_stays_whole() {
    let mut dataset = dataset(&[3, 2]);
    let (_, notes) = divide(&mut dataset, &SplitConfig::default(), &BTreeMap::new());
    assert_eq!(count(&dataset, Split::Train), 5);
    assert!(
        notes
            .iter()
            .any(|note| note.contains("no pictures are left for val"))
    );
}

#[test]
fn nothing_to_divide_is_no_trouble() {
    let mut dataset = dataset(&[0, 0]);
    let (assignments, notes) = divide(&mut dataset, &SplitConfig::default(), &BTreeMap::new());
    assert!(assignments.is_empty() && notes.is_empty(), "{notes:?}");
}
