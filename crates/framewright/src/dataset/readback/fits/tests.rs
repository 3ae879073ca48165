//! Records that were changed in every place, by rule and at random: none that passes leads anywhere else.

use serde_json::{Value, json};

use super::*;
use crate::dataset::inputs::video_id;
use crate::dataset::record::Order;

fn video(location: Location) -> Video {
    Video {
        video_id: video_id(&location),
        order: Order { line: 0, entry: 0 },
        source: "a.mp4".into(),
        location,
    }
}

fn local() -> Video {
    video(Location::File("/films/a.mp4".into()))
}

fn remote() -> Video {
    video(Location::Http("http://example.com/a.mp4".into()))
}

fn downloaded(file: &str) -> Value {
    json!({"file": file, "size_bytes": 5, "sha256": "0".repeat(64), "title": null, "extractor": "http",
        "licence": null, "notes": []})
}

fn extracted(video: &Video) -> Value {
    let id = &video.video_id;
    let frame = |n: u64| {
        json!({"image_id": format!("{id}_{n:08}"), "frame_index": n, "pts_secs": 0.5, "keyframe": true,
            "scores": {"sharpness": 1.0, "brightness": 2.0, "contrast": 3.0, "border": 0.0},
            "dct": "0".repeat(64), "dhash": "0".repeat(64), "file": format!("{id}_{n:08}.jpg"),
            "sha256": "0".repeat(64)})
    };
    json!({"width": 64, "height": 48, "codec": "h264", "duration_secs": 1.0, "video_frames": 9,
        "frames": [frame(0), frame(3), frame(7)], "notes": []})
}

fn labelled(video: &Video) -> Value {
    let id = format!("{}_00000003", video.video_id);
    let object = json!({"class": 3, "score": 0.5, "bbox": [0.0, 1.0, 2.0, 3.0]});
    json!({"pictures": {id: {"objects": [object], "text_score": 0.5, "embedding": [0.6, 0.8]}}})
}

fn read<T: OfVideo>(value: &Value, video: &Video) -> Result<T, String> {
    let record: T = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    record.check(video).map(|()| record)
}

#[test]
fn what_the_stages_write_fits() {
    read::<Downloaded>(&downloaded("/films/a.mp4"), &local()).unwrap();
    read::<Downloaded>(&downloaded("video.webm"), &remote()).unwrap();
    read::<Extracted>(&extracted(&local()), &local()).unwrap();
    read::<Labelled>(&labelled(&local()), &local()).unwrap();
}

#[test]
fn a_film_is_the_one_of_the_inputs_or_lies_in_the_videos_folder() {
    for file in [
        "/films/b.mp4",
        "/etc/passwd",
        "../../../../victim.mp4",
        "video.mp4",
        "",
    ] {
        assert!(
            read::<Downloaded>(&downloaded(file), &local()).is_err(),
            "{file}"
        );
    }
    for file in [
        "/films/a.mp4",
        "../video.mp4",
        "frames/video.mp4",
        "video.",
        "video./a",
        "extract.json",
        "video.mp4\0",
        "video.a.b",
        "",
    ] {
        assert!(
            read::<Downloaded>(&downloaded(file), &remote()).is_err(),
            "{file}"
        );
    }
}

#[test]
fn names_and_numbers_that_do_not_fit_are_refused() {
    let video = local();
    let secret = json!("../../../../../secret.txt");
    for (place, value) in [
        ("/frames/1/file", secret.clone()),
        ("/frames/1/file", json!("/etc/passwd")),
        ("/frames/1/file", json!("a.jpg")),
        ("/frames/1/image_id", secret),
        ("/frames/1/image_id", json!("")),
        ("/frames/1/frame_index", json!(4)),
        ("/frames/1/frame_index", json!(u64::MAX)),
        ("/frames/1/scores/contrast", json!(1e300)),
        ("/frames/1/sha256", json!("none")),
        ("/width", json!(0)),
        ("/height", json!(u32::MAX)),
    ] {
        let mut record = extracted(&video);
        *record.pointer_mut(place).unwrap() = value.clone();
        assert!(
            read::<Extracted>(&record, &video).is_err(),
            "{place} {value}"
        );
    }
    let mut twice = extracted(&video);
    let first = twice["frames"][0].clone();
    twice["frames"].as_array_mut().unwrap().push(first);
    assert!(read::<Extracted>(&twice, &video).is_err());
    assert!(read::<Extracted>(&extracted(&remote()), &video).is_err());
    let id = format!("/pictures/{}_00000003", video.video_id);
    for (place, value) in [
        ("/objects/0/class", json!(u32::MAX)),
        ("/objects/0/bbox/2", json!(1e300)),
        ("/objects/0/score", json!(-1e300)),
        ("/text_score", json!(1e300)),
        ("/embedding/0", json!(1e300)),
    ] {
        let mut record = labelled(&video);
        *record.pointer_mut(&format!("{id}{place}")).unwrap() = value.clone();
        assert!(
            read::<Labelled>(&record, &video).is_err(),
            "{place} {value}"
        );
    }
    let failure = |attempts: u64, at: u64| {
        json!({"stage": "extract", "key": "", "attempts": attempts, "next_try_unix_secs": at,
            "trouble": {"class": "network", "message": "", "details": [], "retry_after_secs": null}})
    };
    read::<Failure>(&failure(3, 1 << 40), &video).unwrap();
    assert!(read::<Failure>(&failure(u64::from(u32::MAX), 1), &video).is_err());
    assert!(read::<Failure>(&failure(1, u64::MAX), &video).is_err());
}

/// Every value of a document, in order.
fn places(value: &mut Value) -> Vec<&mut Value> {
    // A value and those in it cannot be borrowed together, so the leaves alone.
    match value {
        Value::Array(values) => values.iter_mut().flat_map(places).collect(),
        Value::Object(values) => values.values_mut().flat_map(places).collect(),
        leaf => vec![leaf],
    }
}

#[test]
fn two_thousand_changed_records_pass_only_with_their_own_names() {
    let video = local();
    let id = video.video_id.as_str();
    let odd = [
        json!("../../x"),
        json!("/etc/passwd"),
        json!(""),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(null),
        json!([]),
        json!({}),
        json!("a\u{0}b"),
        json!(true),
        json!(format!("{id}_00000003.jpg")),
    ];
    // A linear congruence: the same records every time.
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let mut passed = 0;
    for _ in 0..2_000 {
        let mut record = extracted(&video);
        for _ in 0..=random(2) {
            let mut places = places(&mut record);
            if places.is_empty() {
                continue;
            }
            let place = random(places.len());
            *places[place] = odd[random(odd.len())].clone();
        }
        let Ok(extracted) = read::<Extracted>(&record, &video) else {
            continue;
        };
        passed += 1;
        for frame in extracted.frames {
            let own = format!("{id}_{:08}", frame.frame_index);
            let file = frame.file.unwrap_or_else(|| format!("{own}.jpg"));
            assert!(frame.image_id == own && file == format!("{own}.jpg"));
            assert!(frame.pts_secs.is_finite() && frame.scores.contrast.is_finite());
        }
    }
    assert!(passed > 0, "some changes matter to nobody");
}
