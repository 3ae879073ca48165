//! The two phases against their definition, and the dry run.

use proptest::prelude::*;

use super::*;
use crate::dataset::config::EmbeddingConfig;
use crate::dataset::record::{Mirrored, Scores};

const MIN_CONTRAST: f32 = 3.0;

/// A frame with hashes made of a seed.
fn frame(video: usize, n: usize, seed: u64) -> Frame {
    let hash = |n: u64| Hash256([1, 2, 3, 4].map(|word| noise(seed * 16 + 4 * n + word)));
    Frame {
        image_id: format!("{video:016x}_{n:08}"),
        frame_index: n as u64,
        pts_secs: n as f64,
        keyframe: false,
        scores: Scores {
            sharpness: 100.0,
            brightness: 100.0,
            contrast: 40.0,
            border: 0.0,
        },
        dct: hash(0),
        dhash: hash(1),
        mirrored: None,
        file: None,
        sha256: None,
    }
}

/// The mixing of `SplitMix64`.
fn noise(n: u64) -> u64 {
    let n = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}

/// With the first `bits` of the DCT hash turned over.
fn at_distance(mut frame: Frame, bits: usize) -> Frame {
    (0..bits).for_each(|bit| frame.dct.0[bit / 64] ^= 1 << (bit % 64));
    // of another picture, so that only the other hash can match
    frame.dhash = Hash256(frame.dhash.0.map(|word| noise(word ^ frame.frame_index)));
    frame
}

fn candidates(videos: &[Vec<Frame>]) -> Vec<Candidate<'_>> {
    let of_video = |(video, frames): (usize, &'_ Vec<Frame>)| -> Vec<(usize, usize)> {
        (0..frames.len()).map(|n| (video, n)).collect()
    };
    let all = videos.iter().enumerate().flat_map(of_video);
    all.map(|(video, n)| Candidate {
        video,
        frame: &videos[video][n],
        embedding: None,
    })
    .collect()
}

fn all_across(
    candidates: &[Candidate<'_>],
    earlier: &[Earlier],
    config: &DedupConfig,
    workers: usize,
) -> Vec<Option<Drop>> {
    across(
        candidates,
        &[],
        earlier,
        config,
        MIN_CONTRAST,
        workers,
        &Control::new(),
    )
    .unwrap()
    .unwrap()
}

fn duplicate_of(drop: Option<&Drop>) -> Option<&str> {
    drop.and_then(|drop| drop.duplicate_of.as_deref())
}

/// Videos of frames of a few seeds, at a few distances from each other, some featureless.
fn collections() -> impl Strategy<Value = Vec<Vec<Frame>>> {
    let recipe = (
        0_u64..12,
        prop::sample::select(vec![0, 10, 24, 30, 48, 49, 80]),
        0_u8..8,
    );
    let videos = prop::collection::vec(prop::collection::vec(recipe, 0..12), 1..6);
    videos.prop_map(|videos| {
        let made = |(video, frames): (usize, Vec<(u64, usize, u8)>)| {
            let frames = frames
                .into_iter()
                .enumerate()
                .map(|(n, (seed, bits, tone))| {
                    let mut frame = at_distance(frame(video, n, seed), bits);
                    frame.scores.brightness = f32::from(tone) * 3.0;
                    frame.scores.contrast = if tone == 0 { 1.0 } else { 40.0 };
                    frame
                });
            frames.collect()
        };
        videos.into_iter().enumerate().map(made).collect()
    })
}

proptest! {
    /// A frame is dropped if and only if a leader of an earlier video matches, and names the first one.
    #[test]
    fn frames_name_the_first_leader_that_matches(videos in collections()) {
        let config = DedupConfig::default();
        let thresholds = thresholds(&config, MIN_CONTRAST).unwrap();
        let all = candidates(&videos);
        let matches = |a: &Frame, b: &Frame| {
            let (a, b) = (fingerprint(a), fingerprint(b));
            match [a, b].map(|print| thresholds.has_features(&print)) {
                [true, true] => thresholds.compare([&a.dct, &a.dhash], [&b.dct, &b.dhash]).is_some(),
                [false, false] => (a.brightness - b.brightness).abs() <= 4.0,
                _ => false,
            }
        };
        let mut leaders: Vec<&Candidate<'_>> = Vec::new();
        let drops = all_across(&all, &[], &config, 1);
        for (candidate, drop) in all.iter().zip(&drops) {
            let mut others = leaders.iter().filter(|leader| leader.video < candidate.video);
            let expected = others.find(|leader| matches(leader.frame, candidate.frame));
            prop_assert_eq!(duplicate_of(drop.as_ref()), expected.map(|leader| leader.frame.image_id.as_str()));
            if expected.is_none() {
                leaders.push(candidate);
            }
        }
    }

    /// What phase one leaves is never dropped for a frame of its own video.
    #[test]
    fn the_second_phase_drops_across_videos_only(videos in collections()) {
        let config = DedupConfig::default();
        let all = candidates(&videos);
        let by_video = all.chunk_by(|a, b| a.video == b.video);
        let first: Vec<_> = by_video.flat_map(|frames| within_video(frames, &config, MIN_CONTRAST)).collect();
        let left: Vec<_> = all.iter().zip(&first).filter(|(_, drop)| drop.is_none()).map(|(one, _)| *one).collect();
        for drop in all_across(&left, &[], &config, 1).iter().flatten() {
            prop_assert_eq!(drop.reason, DropReason::DuplicateAcrossVideos);
        }
    }
}

#[test]
fn any_number_of_workers_gives_the_same_result() {
    // enough for batches that are spread over threads; every third frame has an earlier one that it is near to
    let frames = |video: usize| {
        let one = move |n: usize| {
            let seed = if n.is_multiple_of(3) {
                (n / 3) as u64
            } else {
                (video * 10_000 + n) as u64
            };
            at_distance(frame(video, n, seed), n % 40)
        };
        (0..4000).map(one).collect()
    };
    let videos = vec![frames(1), frames(2)];
    let all = candidates(&videos);
    let config = DedupConfig::default();
    let one = all_across(&all, &[], &config, 1);
    let dropped = one.iter().flatten().count();
    assert!((1000..3000).contains(&dropped), "{dropped}");
    for workers in [2, 5] {
        assert_eq!(
            all_across(&all, &[], &config, workers),
            one,
            "{workers} workers"
        );
    }
}

#[test]
fn a_stopped_run_gives_nothing() {
    let videos = vec![vec![frame(0, 0, 1)]];
    let control = Control::new();
    control.stop();
    let found = across(
        &candidates(&videos),
        &[],
        &[],
        &DedupConfig::default(),
        MIN_CONTRAST,
        2,
        &control,
    );
    assert!(found.unwrap().is_none());
}

#[test]
fn leaders_do_not_drift() {
    // each 30 bits from the one before: a chain would swallow all of them
    let frames: Vec<_> = (0..5)
        .map(|n| at_distance(frame(0, n, 1), 30 * n))
        .collect();
    let drops = within_video(
        &candidates(&[frames]),
        &DedupConfig::default(),
        MIN_CONTRAST,
    );
    let dropped: Vec<_> = drops.iter().map(Option::is_some).collect();
    assert_eq!(dropped, [false, true, false, true, false]);
    let second = drops[1].as_ref().unwrap();
    assert_eq!((second.distance, second.kind), (Some(30.0), Some("dct")));
}

#[test]
fn frames_of_earlier_datasets_come_first() {
    let videos = vec![vec![frame(0, 0, 1), frame(0, 1, 2)], vec![frame(1, 0, 2)]];
    let known = frame(7, 0, 2);
    let earlier = Earlier {
        image_id: known.image_id.clone(),
        dct: known.dct,
        dhash: known.dhash,
        contrast: 40.0,
        brightness: 0.0,
    };
    let drops = all_across(&candidates(&videos), &[earlier], &DedupConfig::default(), 1);
    assert_eq!(drops[0], None);
    for drop in &drops[1..] {
        let drop = drop.as_ref().unwrap();
        assert_eq!(drop.reason, DropReason::DuplicateOfEarlierDataset);
        assert_eq!(duplicate_of(Some(drop)), Some(known.image_id.as_str()));
    }
}

#[test]
fn a_frame_of_another_video_is_named() {
    let videos = vec![vec![frame(0, 0, 1)], vec![frame(1, 0, 1)]];
    let drops = all_across(&candidates(&videos), &[], &DedupConfig::default(), 1);
    let drop = drops[1].as_ref().unwrap();
    assert_eq!(drop.reason, DropReason::DuplicateAcrossVideos);
    assert_eq!(
        duplicate_of(Some(drop)),
        Some(videos[0][0].image_id.as_str())
    );
}

#[test]
fn mirrored_frames_count_where_they_are_asked_for() {
    let turned = frame(0, 0, 1);
    let mut second = frame(0, 1, 2);
    second.mirrored = Some(Mirrored {
        dct: turned.dct,
        dhash: turned.dhash,
    });
    let videos = vec![vec![turned, second]];
    let found = |flip| {
        let config = DedupConfig {
            flip,
            ..DedupConfig::default()
        };
        within_video(&candidates(&videos), &config, MIN_CONTRAST)[1].clone()
    };
    assert_eq!(found(false), None);
    assert_eq!(found(true).unwrap().kind, Some("dct_mirrored"));
}

#[test]
fn embeddings_are_a_further_test_and_never_for_featureless_frames() {
    let mut frames: Vec<_> = (0..4).map(|n| frame(0, n, n as u64)).collect();
    frames[3].scores.contrast = 1.0;
    let vectors = [[1.0, 0.0], [0.6, 0.8], [0.96, 0.28], [1.0, 0.0]];
    let all = frames
        .iter()
        .zip(&vectors)
        .map(|(frame, vector)| Candidate {
            video: 0,
            frame,
            embedding: Some(vector.as_slice()),
        });
    let all: Vec<_> = all.collect();
    let config = DedupConfig {
        embedding: Some(EmbeddingConfig {
            model: "model.onnx".into(),
            min_cosine: 0.95,
        }),
        ..DedupConfig::default()
    };
    let of_videos = |video: usize| Candidate {
        video,
        ..all[video]
    };
    let apart: Vec<_> = (0..all.len()).map(of_videos).collect();
    for drops in [
        within_video(&all, &config, MIN_CONTRAST),
        all_across(&apart, &[], &config, 2),
    ] {
        let dropped: Vec<_> = drops.iter().map(Option::is_some).collect();
        assert_eq!(dropped, [false, false, true, false]);
        let drop = drops[2].as_ref().unwrap();
        assert_eq!(drop.kind, Some("embedding"));
        assert!((drop.distance.unwrap() - 0.04).abs() < 1e-6);
        assert_eq!(duplicate_of(Some(drop)), Some(frames[0].image_id.as_str()));
    }
}

#[test]
fn nothing_is_dropped_when_it_is_off() {
    let videos = vec![vec![frame(0, 0, 1), frame(0, 1, 1)]];
    let config = DedupConfig {
        preset: Preset::Off,
        ..DedupConfig::default()
    };
    let all = candidates(&videos);
    assert_eq!(within_video(&all, &config, MIN_CONTRAST), [None, None]);
    assert_eq!(all_across(&all, &[], &config, 1), [None, None]);
}

#[test]
fn thresholds_of_the_configuration_override_the_preset() {
    let config = DedupConfig {
        preset: Preset::Strict,
        dhash: Some(8),
        ..DedupConfig::default()
    };
    let found = thresholds(&config, 5.0).unwrap();
    assert_eq!((found.dct, found.dhash), (16, 8));
    assert!((found.min_contrast - 5.0).abs() < 1e-6);
}

#[test]
fn a_dry_run_shows_distances_and_pairs_on_both_sides() {
    let near = |video: usize, bits: [usize; 4]| -> Vec<Frame> {
        // Numbers of their own, so that the other hash differs across videos too.
        let made = |(n, bits): (usize, usize)| at_distance(frame(video, 10 * video + n, 5), bits);
        bits.into_iter().enumerate().map(made).collect()
    };
    let mut videos = vec![near(0, [0, 40, 60, 200]), near(1, [44, 130, 100, 160])];
    videos[1][2].scores.contrast = 1.0;
    let all = candidates(&videos);
    let config = DedupConfig::default();
    let survey = |workers| {
        survey(&all, &[], &config, MIN_CONTRAST, workers, &Control::new())
            .unwrap()
            .unwrap()
    };
    let found = survey(1);
    assert_eq!(survey(3), found);
    // within: 40 and 60 to the first, 200 to the third (140); 130 to 44, 160 to 130
    let rows = |distances: &Distances| -> Vec<(usize, u64)> {
        let rows = distances
            .dct
            .iter()
            .enumerate()
            .filter(|(_, frames)| **frames > 0);
        rows.map(|(row, frames)| (row, *frames)).collect()
    };
    assert_eq!(
        rows(&found.within),
        [(4, 1), (5, 1), (8, 1), (11, 1), (18, 1)]
    );
    // across: 44 to 60, 130 to 60
    assert_eq!(rows(&found.across), [(2, 1), (9, 1)]);
    assert_eq!((found.featureless, found.dropped), (1, [2, 1]));
    let text = found.histogram();
    assert!(
        text.contains("41-48") && text.contains("dct up to 48 is the same"),
        "{text}"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.html");
    write_sheet(&path, &found, |image_id| {
        Some(folder.path().join("frames").join(format!("{image_id}.jpg")))
    })
    .unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    let shown = format!("src=\"frames/{}.jpg\"", videos[0][1].image_id);
    assert!(page.contains(&shown), "{page}");
    assert!(
        page.contains("Within a video: dct up to 48 bits")
            && page.contains("Across videos: dct above 48 bits")
    );
}

#[test]
fn the_copy_of_a_frame_that_was_thinned_out_is_left_out_in_favour_of_its_leader() {
    let leader = frame(0, 0, 1);
    let member = at_distance(frame(0, 1, 1), 40);
    // 70 bits from the leader, 30 from the frame that it stands for
    let copy = at_distance(frame(1, 0, 1), 70);
    let videos = vec![vec![leader], vec![copy]];
    let all = candidates(&videos);
    let config = DedupConfig::default();
    assert_eq!(all_across(&all, &[], &config, 1), [None, None]);
    let members = [vec![&member], Vec::new()];
    let control = Control::new();
    let drops = across(&all, &members, &[], &config, MIN_CONTRAST, 1, &control);
    let drops = drops.unwrap().unwrap();
    assert_eq!(
        duplicate_of(drops[1].as_ref()),
        Some(videos[0][0].image_id.as_str())
    );
    assert_eq!(drops[1].as_ref().unwrap().distance, Some(30.0));
}

#[test]
fn what_a_leader_stands_for_takes_no_further_frames_of_its_own_video() {
    let member = at_distance(frame(0, 1, 1), 40);
    let videos = vec![vec![frame(0, 0, 1), at_distance(frame(0, 2, 1), 70)]];
    let members = [vec![&member], Vec::new()];
    let (config, control) = (DedupConfig::default(), Control::new());
    let all = candidates(&videos);
    let drops = across(&all, &members, &[], &config, MIN_CONTRAST, 1, &control);
    assert_eq!(drops.unwrap().unwrap(), [None, None]);
}
