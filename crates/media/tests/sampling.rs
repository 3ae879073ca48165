//! Samples of a video: the short way gives what decoding everything gives, to the bit.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests, and ffmpeg makes their clips"
)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use framewright_media::{
    Decoder, Error, Interrupt, Next, Sample, SampleOptions, Sampler, Sampling, verify,
};

/// What is compared of a sample: number, time, mark and all pixels.
type Row = (u64, f64, bool, u64);

struct Taken {
    rows: Vec<Row>,
    video_frames: u64,
    /// Why everything was decoded, or why the short way was given up.
    why: Option<String>,
}

fn row(sample: &Sample) -> Row {
    let frame = &sample.frame;
    let mut hasher = DefaultHasher::new();
    for (plane, bytes) in frame.planes().into_iter().enumerate() {
        let across = if plane == 0 || frame.pixel_format().is_rgb() {
            0
        } else {
            frame.pixel_format().chroma_shift().0
        };
        let sample_bytes = if frame.pixel_format().depth() > 8 {
            2
        } else {
            1
        };
        let row_bytes = sample_bytes * frame.width().div_ceil(1 << across);
        for row in bytes.chunks(frame.stride(plane).max(1)) {
            row[..row_bytes].hash(&mut hasher);
        }
    }
    (
        sample.frame_index,
        sample.pts_secs,
        sample.keyframe,
        hasher.finish(),
    )
}

fn options(sampling: Sampling, thorough: bool, threads: usize) -> SampleOptions {
    SampleOptions {
        sampling,
        max_frames: None,
        threads,
        thorough,
    }
}

fn take(path: &Path, options: &SampleOptions) -> Result<Taken, Error> {
    let mut sampler = Sampler::open(path, options, &Interrupt::default(), || {})?;
    let mut rows = Vec::new();
    let why = loop {
        match sampler.next()? {
            Next::Sample(sample) => rows.push(row(&sample)),
            Next::End => break sampler.why_thorough().map(str::to_owned),
            Next::Unsure(why) => break Some(format!("given up: {why}")),
            Next::Damaged => break Some("given up: damaged".to_owned()),
        }
    };
    Ok(Taken {
        rows,
        video_frames: sampler.video_frames(),
        why,
    })
}

/// What `sampling` takes of all frames of a video, by its definition.
fn taken_of_all(all: &[Row], sampling: Sampling, tick_secs: f64) -> Vec<Row> {
    let mut target = 0.0;
    let is_taken = |row: &&Row| match sampling {
        Sampling::Frames(n) => row.0.is_multiple_of(n),
        Sampling::Keyframes => row.2,
        Sampling::Seconds(step) => {
            let now = row.1 + tick_secs.min(1e-3);
            let is_first = now >= target;
            while now >= target {
                target += step;
            }
            is_first
        }
        Sampling::Scenes => unreachable!("not by definition"),
    };
    all.iter().filter(is_taken).copied().collect()
}

/// Compares the short way with all frames of the whole one; gives the reason why everything was decoded.
fn assert_same(path: &Path, threads: usize, samplings: &[Sampling]) -> Option<String> {
    let name = path.display();
    let Ok(whole) = take(path, &options(Sampling::Frames(1), true, 1)) else {
        return Some("it does not open".into());
    };
    let tick_secs = tick_secs(path);
    let mut reason = None;
    for &sampling in samplings {
        let short = take(path, &options(sampling, false, threads)).unwrap();
        if !short
            .why
            .as_ref()
            .is_some_and(|why| why.starts_with("given up"))
        {
            let expected = taken_of_all(&whole.rows, sampling, tick_secs);
            assert_eq!(short.rows, expected, "{name} {sampling:?}");
            assert_eq!(
                whole.video_frames, short.video_frames,
                "{name} {sampling:?}"
            );
        }
        reason = short.why.or(reason);
    }
    reason
}

fn tick_secs(path: &Path) -> f64 {
    let decoder = Decoder::open(path, 1, &Interrupt::default()).unwrap();
    decoder.clip().video.time_base.as_f64()
}

fn assets() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/assets/clips");
    let found = folder.is_dir();
    if !found {
        println!("skipped: the shared assets are not there");
    }
    found.then_some(folder)
}

#[test]
fn the_short_way_gives_what_decoding_everything_gives() {
    let Some(assets) = assets() else { return };
    // Long clips of the same kinds as others.
    let left_out = [
        "popeye_a.mkv",
        "popeye_b_dvd.mkv",
        "truncated_60pct.mkv",
        "dialogue_limited_grain.mp4",
        "dialogue_limited_web.mp4",
        "pennychip_reading.mp4",
        "pennychip_retro_gaming.mp4",
    ];
    let samplings = [
        Sampling::Seconds(1.0),
        Sampling::Frames(30),
        Sampling::Keyframes,
    ];
    let mut planned = Vec::new();
    for folder in std::fs::read_dir(assets).unwrap() {
        for clip in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let clip = clip.unwrap().path();
            let name = clip.file_name().unwrap().to_str().unwrap().to_owned();
            if clip.extension().is_some_and(|it| it == "json") || left_out.contains(&&*name) {
                continue;
            }
            match assert_same(&clip, 1, &samplings) {
                None => planned.push(name),
                Some(why) => println!("{name}: {why}"),
            }
        }
    }
    println!("planned: {planned:?}");
    for name in [
        "dialogue_limited.mp4",
        "bbb_30s.webm",
        "bbb_642x642_vp9.webm",
        "popeye_b.mkv",
        "dialogue_vfr.mp4",
        "hdr10_av1.mp4",
        "rotate_90.mov",
        "odd_853x479_yuv444.mp4",
    ] {
        assert!(planned.iter().any(|it| it == name), "{name} is not planned");
    }
}

/// A clip made by ffmpeg: ten seconds with much movement.
fn clip(folder: &Path, name: &str, codec: &str) -> PathBuf {
    let path = folder.join(name);
    let made = "-v error -nostdin -f lavfi -i testsrc2=s=192x128:r=25:d=10";
    run(made, codec, &path);
    path
}

fn run(made: &str, codec: &str, path: &Path) {
    let output = Command::new("ffmpeg")
        .args(made.split_whitespace())
        .args(codec.split_whitespace())
        .arg(path)
        .output()
        .expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_short_way_holds_for_every_structure_of_groups() {
    let folder = tempfile::tempdir().unwrap();
    let x265 = "-c:v libx265 -preset ultrafast -x265-params log-level=error:";
    let clips = [
        ("closed.mp4", "-c:v libx264 -g 25 -bf 3 -b_strategy 0".to_owned(), true),
        ("pyramid.mkv", "-c:v libx264 -g 50 -bf 8 -b-pyramid normal -refs 5".to_owned(), true),
        ("one_group.mp4", "-c:v libx264 -g 1000 -bf 2".to_owned(), true),
        ("intra.mp4", "-c:v libx264 -g 1".to_owned(), true),
        // Not all of its key frames are ones to begin with: one group, then.
        ("open.mkv", "-c:v libx264 -g 25 -bf 3 -x264-params open-gop=1".to_owned(), true),
        ("refresh.mkv", "-c:v libx264 -g 25 -x264-params intra-refresh=1".to_owned(), true),
        ("stream.ts", "-c:v libx264 -g 25 -bf 2".to_owned(), true),
        ("interlaced.mp4", "-c:v libx264 -g 25 -flags +ildct+ilme".to_owned(), false),
        ("hevc_open.mkv", format!("{x265}keyint=25:bframes=4:open-gop=1 "), true),
        ("hevc_closed.mp4", format!("{x265}keyint=25:bframes=4:open-gop=0 "), true),
        ("hevc_layers.mkv", format!("{x265}keyint=25:bframes=4:temporal-layers=3 "), true),
        ("mpeg4.mp4", "-c:v mpeg4 -g 12 -bf 2 -q:v 4".to_owned(), true),
        ("mpeg4.avi", "-c:v mpeg4 -g 12 -bf 2 -q:v 4".to_owned(), false),
        ("mpeg2.mkv", "-c:v mpeg2video -g 12 -bf 2".to_owned(), false),
        ("altref.webm", "-c:v libvpx -g 40 -auto-alt-ref 1 -lag-in-frames 16 -b:v 300k -deadline good -cpu-used 4".to_owned(), true),
        ("altref9.webm", "-c:v libvpx-vp9 -g 40 -auto-alt-ref 1 -lag-in-frames 16 -b:v 300k -deadline good -cpu-used 5".to_owned(), true),
        ("av1.mp4", "-c:v libsvtav1 -g 40 -preset 12".to_owned(), true),
        ("jpeg.mov", "-c:v mjpeg -q:v 3".to_owned(), true),
        ("prores.mov", "-c:v prores_ks -profile:v 0".to_owned(), true),
        // An edit that leaves its beginning empty.
        ("late.mp4", "-c:v libx264 -g 250 -bf 2 -output_ts_offset 3.21".to_owned(), true),
    ];
    for (name, codec, is_planned) in clips {
        let path = clip(folder.path(), name, &codec);
        for threads in [1, 3] {
            let why = assert_same(
                &path,
                threads,
                &[
                    Sampling::Seconds(0.5),
                    Sampling::Seconds(0.07),
                    Sampling::Seconds(3.3),
                    Sampling::Frames(1),
                    Sampling::Frames(7),
                    Sampling::Frames(60),
                    Sampling::Keyframes,
                ],
            );
            println!("{name}: {why:?}");
            let reason = why.as_deref().unwrap_or_default();
            let only_keys = reason.starts_with("decoding cannot begin");
            assert_eq!(why.is_none() || only_keys, is_planned, "{name}: {why:?}");
        }
    }
}

#[test]
fn a_cut_that_begins_between_key_frames_is_decoded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), "in.mp4", "-c:v libx264 -g 100 -bf 2");
    let cut = folder.path().join("cut.mp4");
    run(
        &format!("-v error -nostdin -ss 1.5 -i {}", path.display()),
        "-c copy",
        &cut,
    );
    let why = assert_same(&cut, 1, &[Sampling::Seconds(0.5), Sampling::Frames(7)]);
    println!("{why:?}");
}

#[test]
fn scenes_begin_at_hard_cuts_and_not_in_pans_and_fades() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cuts.mp4");
    let cuts = "-v error -nostdin -f lavfi -i testsrc2=s=192x128:r=25:d=2 -f lavfi -i smptebars=s=192x128:r=25:d=2 \
                -f lavfi -i mandelbrot=s=192x128:r=25 -f lavfi -i testsrc2=s=192x128:r=25:d=2 \
                -filter_complex [2]trim=duration=2[m];[0][1][m][3]concat=n=4,format=yuv420p";
    run(cuts, "-c:v libx264 -t 8", &path);
    let scenes = take(&path, &options(Sampling::Scenes, false, 1)).unwrap();
    let indices: Vec<u64> = scenes.rows.iter().map(|row| row.0).collect();
    assert_eq!(indices, [0, 50, 100, 150]);
    let path = folder.path().join("fade.mp4");
    let fade = "-v error -nostdin -f lavfi -i mandelbrot=s=192x128:r=25 -t 6 \
                -vf fade=in:0:50,fade=out:100:50,format=yuv420p";
    run(fade, "-c:v libx264", &path);
    let scenes = take(&path, &options(Sampling::Scenes, false, 1)).unwrap();
    assert_eq!(scenes.rows.iter().map(|row| row.0).collect::<Vec<_>>(), [0]);
}

#[test]
fn no_more_frames_are_taken_than_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), "in.mp4", "-c:v libx264 -g 25 -bf 2");
    for thorough in [false, true] {
        let mut options = options(Sampling::Seconds(1.0), thorough, 1);
        options.max_frames = Some(3);
        let taken = take(&path, &options).unwrap();
        let secs: Vec<f64> = taken.rows.iter().map(|row| row.1).collect();
        assert_eq!(secs, [0.0, 1.0, 2.0]);
        assert_eq!(taken.video_frames, 250);
    }
}

#[test]
fn damage_in_what_is_decoded_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(
        folder.path(),
        "in.mp4",
        "-c:v libx264 -g 25 -bf 2 -b:v 800k",
    );
    let mut bytes = std::fs::read(&path).unwrap();
    // In the middle of the frames: the tables that say where they are stand behind.
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let short = take(&path, &options(Sampling::Frames(1), false, 1)).unwrap();
    assert!(short.why.is_some(), "it was taken for whole");
}

#[test]
fn a_whole_file_is_verified_and_a_cut_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), "in.mkv", "-c:v libx264 -g 25 -bf 2");
    let check = |path: &Path| verify(path, &Interrupt::default(), &mut || {});
    let whole = check(&path).unwrap();
    assert_eq!(
        (whole.width, whole.video_packets, whole.damaged_frames),
        (192, 250, 0)
    );
    assert_eq!(whole.truncated, None);
    assert!((whole.read_until_secs - 10.0).abs() < 0.1 && whole.codec == "h264");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    assert!(check(&path).unwrap().truncated.is_some());
    std::fs::write(&path, "<html>not found</html>").unwrap();
    assert!(matches!(check(&path), Err(Error::BadInput { .. })));
    let playlist = folder.path().join("list.mp4");
    std::fs::write(
        &playlist,
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nin.mkv\n#EXT-X-ENDLIST\n",
    )
    .unwrap();
    assert!(matches!(check(&playlist), Err(Error::BadInput { .. })));
    std::fs::write(&playlist, "ffconcat version 1.0\nfile in.mkv\n").unwrap();
    assert!(matches!(check(&playlist), Err(Error::BadInput { .. })));
}
