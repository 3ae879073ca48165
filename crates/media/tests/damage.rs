//! Loss is said wherever anything in the file tells of it, and a clean file says nothing.
#![expect(
    clippy::disallowed_methods,
    reason = "tests, and ffmpeg makes their clips"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use framewright_media::{Decoder, Error, Health, Interrupt};

/// Two seconds of every container and codec with sound where it takes some, with B-frames where the codec has them.
const CLIPS: [(&str, &str); 20] = [
    ("h264.mkv", "-c:v libx264 -g 12 -bf 2 -c:a aac"),
    (
        "h264.mp4",
        "-c:v libx264 -g 12 -bf 2 -c:a aac -movflags +faststart",
    ),
    (
        "fragments.mp4",
        "-c:v libx264 -g 12 -movflags +frag_keyframe+empty_moov -an",
    ),
    (
        "open-gop.mkv",
        "-c:v libx264 -x264-params open-gop=1:keyint=12 -an",
    ),
    ("mpeg4.avi", "-c:v mpeg4 -g 12 -bf 2 -c:a mp2"),
    ("mjpeg.avi", "-c:v mjpeg -c:a pcm_s16le"),
    ("raw.avi", "-c:v rawvideo -an -t 0.2"),
    (
        "vp8.webm",
        "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 8 -deadline realtime -c:a libvorbis",
    ),
    ("theora.ogg", "-c:v libtheora -c:a libvorbis"),
    ("h264.ts", "-c:v libx264 -g 12 -bf 2 -c:a mp2"),
    ("mpeg2.vob", "-c:v mpeg2video -bf 2 -c:a ac3"),
    ("h264.flv", "-c:v libx264 -bf 2 -c:a aac"),
    ("wmv2.wmv", "-c:v wmv2 -c:a wmav2"),
    ("gif.gif", "-c:v gif -an -t 0.5"),
    ("mpeg4.nut", "-c:v mpeg4 -bf 2 -c:a mp2"),
    ("roq.roq", "-c:v roqvideo -r 30 -an -t 0.5"),
    ("dv.dv", "-c:v dvvideo -s 720x576 -r 25 -an -t 0.2"),
    ("mpeg2.mxf", "-c:v mpeg2video -r 25 -an"),
    ("png.mov", "-c:v png -an -t 0.5"),
    ("late.mkv", "-c:v libx264 -c:a aac -output_ts_offset 5"),
];

fn make(folder: &Path, name: &str, arguments: &str) -> PathBuf {
    let path = folder.join(name);
    let source = "-v error -nostdin -y -f lavfi -i testsrc2=s=160x96:r=24:d=2 -f lavfi -i sine=d=2 -pix_fmt yuv420p";
    let arguments = if name.ends_with("png.mov") || name.ends_with("gif") {
        arguments.to_owned() + " -pix_fmt rgb8"
    } else {
        arguments.to_owned()
    };
    let arguments = arguments.replace(
        "-c:v png -an -t 0.5 -pix_fmt rgb8",
        "-c:v png -an -t 0.5 -pix_fmt rgb24",
    );
    let output = Command::new("ffmpeg")
        .args(source.split_whitespace())
        .args(arguments.split_whitespace())
        .arg(&path)
        .output()
        .expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    path
}

fn health(path: &Path) -> Result<Health, Error> {
    let mut decoder = Decoder::open(path, 2, &Interrupt::default())?;
    while decoder.next_unit()?.is_some() {}
    Ok(decoder.health().clone())
}

/// What was said, but for timestamps that a clean file lacks.
fn said(health: &Health) -> Vec<String> {
    let notes = health.notes().into_iter();
    notes
        .filter(|(how, _)| *how != "irregular")
        .map(|(_, what)| what)
        .collect()
}

#[test]
fn a_clean_file_of_any_container_says_nothing_and_a_cut_one_speaks() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing in these announces their end, and cut between packets they are whole.
    let announce_nothing = ["h264.ts", "mpeg2.vob", "mpeg4.nut", "roq.roq", "dv.dv"];
    for (name, arguments) in CLIPS {
        let clip = make(folder.path(), name, arguments);
        let whole = health(&clip).unwrap();
        assert_eq!(said(&whole), Vec::<String>::new(), "{name}");
        assert!(
            !whole.has_lost_most() && whole.missing_frames == 0,
            "{name}: {whole:?}"
        );
        let bytes = std::fs::read(&clip).unwrap();
        for share in [995, 900, 600] {
            let cut = folder.path().join(format!("cut-{name}"));
            std::fs::write(&cut, &bytes[..bytes.len() * share / 1000]).unwrap();
            // Some do not open at all then, such as a MOV with its index at the end.
            let Ok(cut) = health(&cut) else { continue };
            assert!(
                announce_nothing.contains(&name)
                    || cut.frames == whole.frames
                    || !said(&cut).is_empty(),
                "{name} cut at {share}: {} of {} frames, and nothing said",
                cut.frames,
                whole.frames
            );
        }
    }
}

#[test]
fn a_matroska_file_cut_within_its_last_frames_is_said_to_be_cut() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make(folder.path(), "clip.mkv", "-c:v libx264 -g 12 -an");
    let bytes = std::fs::read(&clip).unwrap();
    std::fs::write(&clip, &bytes[..bytes.len() * 9905 / 10_000]).unwrap();
    assert!(health(&clip).unwrap().truncated.is_some());
}

#[test]
fn bad_bytes_cost_their_frames_and_the_film_goes_on_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("clip.avi", "-c:v mjpeg -an"),
        ("clip.mkv", "-c:v libx264 -g 6 -an"),
        ("clip.mov", "-c:v mjpeg -an -movflags +faststart"),
        ("clip.ts", "-c:v mpeg2video -g 6 -an"),
    ] {
        let clip = make(folder.path(), name, arguments);
        let whole = health(&clip).unwrap().frames;
        let mut bytes = std::fs::read(&clip).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 3000].fill(0x5a);
        std::fs::write(&clip, bytes).unwrap();
        let damaged = health(&clip).unwrap();
        assert!(
            damaged.frames >= whole * 2 / 3,
            "{name}: {} of {whole}",
            damaged.frames
        );
        assert!(!said(&damaged).is_empty(), "{name}");
        assert!(!damaged.has_lost_most(), "{name}: {damaged:?}");
    }
}

#[test]
fn what_was_lost_is_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make(
        folder.path(),
        "clip.mp4",
        "-c:v libx264 -g 12 -bf 0 -an -movflags +faststart",
    );
    let bytes = std::fs::read(&clip).unwrap();
    std::fs::write(&clip, &bytes[..bytes.len() * 3 / 10]).unwrap();
    let cut = health(&clip).unwrap();
    assert!(cut.has_lost_most(), "{cut:?}");
    assert!(
        (46..=50).contains(&(cut.frames + cut.missing_frames)),
        "{cut:?}"
    );
}
