//! `--reuse-map`: the film that shows what was computed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::env::{Run, TestEnv, asset, decodable_frames, ffmpeg, ffprobe, names_in};

const SIZE: (usize, usize) = (320, 240);

/// A white square of 16 pixels on grey that moves 24 pixels to the right in every second frame.
fn moving_square(env: &TestEnv) {
    ffmpeg(
        env.root(),
        "-f lavfi -i color=c=0x808080:s=320x240:r=12:d=1 -f lavfi -i color=c=white:s=16x16:r=12:d=1 \
         -filter_complex overlay=x=40+24*floor(6*t+0.1):y=128 -pix_fmt yuv420p -c:v ffv1 in.mkv",
    );
}

/// A run without a result, but with a map.
fn run(env: &TestEnv, input: &Path, map: &str, more: &[&str]) -> Run {
    let mut command = env.command(&["upscale", "--encoder", "null", "--progress", "none"]);
    command.args(["--reuse-map", map]);
    command.args(more).arg(input).output().unwrap().into()
}

/// The size of the first video stream.
fn size(path: &Path) -> (u64, u64) {
    let shown = [
        "-select_streams",
        "v:0",
        "-show_entries",
        "stream=width,height",
    ];
    let stream = ffprobe(path, &shown)["streams"][0].clone();
    let side = |name: &str| stream[name].as_u64().unwrap();
    (side("width"), side("height"))
}

/// The times of all frames, in seconds as ffprobe writes them.
fn times(path: &Path) -> Vec<String> {
    let shown = ["-select_streams", "v:0", "-show_entries", "frame=pts_time"];
    let frames = ffprobe(path, &shown)["frames"].clone();
    let frames = frames.as_array().unwrap().iter();
    frames
        .map(|frame| frame["pts_time"].as_str().unwrap().to_owned())
        .collect()
}

/// All frames as packed RGB.
fn pictures(path: &Path) -> Vec<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(path);
    command.args([
        "-map",
        "0:v",
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]);
    let bytes = command.output().unwrap().stdout;
    bytes
        .chunks(3 * SIZE.0 * SIZE.1)
        .map(<[u8]>::to_vec)
        .collect()
}

/// The pixels below the numbers that have a colour, of which the source has none, as columns and rows from first to last;
/// and whether that is the magenta of parts rather than the orange of whole pictures.
fn tinted(picture: &[u8]) -> Option<([usize; 2], [usize; 2], bool)> {
    let below = 64;
    let pixels = picture.chunks(3).enumerate().skip(below * SIZE.0);
    let coloured: Vec<_> = pixels
        .filter(|(_, rgb)| rgb.iter().max().unwrap() - rgb.iter().min().unwrap() > 24)
        .map(|(place, rgb)| (place % SIZE.0, place / SIZE.0, rgb[2] > rgb[1]))
        .collect();
    let range = |of: fn(&(usize, usize, bool)) -> usize| {
        let values = coloured.iter().map(of);
        Some([values.clone().min()?, values.max()?])
    };
    let n_magenta = coloured.iter().filter(|(.., magenta)| *magenta).count();
    Some((
        range(|p| p.0)?,
        range(|p| p.1)?,
        2 * n_magenta > coloured.len(),
    ))
}

#[test]
fn the_map_shows_the_source_with_its_times_and_tints_what_was_computed_and_nothing_else() {
    let env = TestEnv::new();
    moving_square(&env);
    run(&env, &env.path("in.mkv"), "map.mkv", &["--reuse", "region"]).expect_code(0);
    let map = env.path("map.mkv");
    assert_eq!(times(&map), times(&env.path("in.mkv")));
    assert_eq!(size(&map), (320, 240));
    let pictures = pictures(&map);
    assert_eq!(pictures.len(), 12);
    assert_eq!(
        tinted(&pictures[0]),
        Some(([0, 319], [64, 239], false)),
        "all of the first frame is new"
    );
    for (n, picture) in pictures.iter().enumerate().skip(1) {
        if n % 2 == 1 {
            assert_eq!(tinted(picture), None, "frame {n} is a repeat");
            continue;
        }
        let ([left, right], [top, bottom], is_magenta) = tinted(picture).expect("a part is tinted");
        let square = 40 + 24 * (n / 2);
        // The place that the square left, and the one where it came.
        assert!(
            left <= square - 24 && right >= square + 15,
            "frame {n}: {left}..={right}"
        );
        assert!(top <= 128 && bottom >= 143, "frame {n}: {top}..={bottom}");
        // The network looks 18 pixels around; cells and chroma samples add a few.
        let near = 40;
        assert!(
            left + near >= square - 24 && right <= square + 15 + near,
            "frame {n}: {left}..={right}"
        );
        assert!(
            top + near >= 128 && bottom <= 143 + near,
            "frame {n}: {top}..={bottom}"
        );
        assert!(is_magenta, "frame {n}");
    }
}

#[test]
fn without_parts_frames_are_tinted_as_a_whole_or_not_at_all() {
    let env = TestEnv::new();
    moving_square(&env);
    for (reuse, n_whole) in [("off", 12), ("frame", 6)] {
        let name = format!("{reuse}.mp4");
        run(&env, &env.path("in.mkv"), &name, &["--reuse", reuse]).expect_code(0);
        let pictures = pictures(&env.path(&name));
        let whole = Some(([0, 319], [64, 239], false));
        let tints: Vec<_> = pictures.iter().map(|picture| tinted(picture)).collect();
        assert_eq!(
            tints.iter().filter(|&&tint| tint == whole).count(),
            n_whole,
            "{reuse}: {tints:?}"
        );
        assert_eq!(
            tints.iter().filter(|tint| tint.is_none()).count(),
            12 - n_whole,
            "{reuse}"
        );
    }
}

#[test]
fn sources_of_ten_bits_and_of_odd_size_keep_their_size_and_their_frames() {
    for name in ["hdr/hlg10.mp4", "geometry/odd_853x479_yuv444.mp4"] {
        let Some(clip) = asset(&format!("clips/{name}")) else {
            return;
        };
        let env = TestEnv::new();
        ffmpeg(
            env.root(),
            &format!(
                "-i {} -map 0:v:0 -c copy -frames:v 6 in.mp4",
                clip.display()
            ),
        );
        let input = env.path("in.mp4");
        run(&env, &input, "map.mkv", &["-m", "nearest-x2"]).expect_code(0);
        let map = env.path("map.mkv");
        assert_eq!(size(&map), size(&input), "{name}");
        assert_eq!(
            decodable_frames(&map),
            (decodable_frames(&input).0, String::new()),
            "{name}"
        );
    }
}

#[test]
fn a_name_of_another_kind_or_of_the_source_or_a_taken_one_is_refused() {
    let env = TestEnv::new();
    moving_square(&env);
    let input = env.path("in.mkv");
    for name in ["map.png", "map.webm", "map", "in.mkv"] {
        let run = run(&env, &input, name, &[]).expect_code(2);
        assert_eq!(run.error_lines().len(), 1, "{run:#?}");
    }
    std::fs::write(env.path("taken.mkv"), "precious").unwrap();
    run(&env, &input, "taken.mkv", &[]).expect_code(73);
    assert_eq!(std::fs::read(env.path("taken.mkv")).unwrap(), b"precious");
    assert_eq!(names_in(env.root()), ["in.mkv", "taken.mkv"]);
}

#[test]
fn an_interrupted_run_leaves_the_part_of_the_map_that_belongs_to_the_part_of_the_film() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=320x180:r=24:d=60 -c:v libx264 -preset ultrafast in.mkv",
    );
    let folder = env.folder("out");
    let mut child = env.spawn(&[
        "upscale",
        "-m",
        "nearest-x2",
        "--progress",
        "json",
        "--encoder",
        "libx264",
        "--preset",
        "ultrafast",
        "--reuse-map",
        "out/map.mp4",
        "-o",
        "out/film.mkv",
        "in.mkv",
    ]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let progressed = lines.any(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap_or_default();
        event["done"].as_u64() >= Some(20)
    });
    assert!(progressed, "the run ended before 20 frames were done");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    lines.for_each(drop);
    Run::from(child.wait_with_output().unwrap()).expect_code(130);
    assert_eq!(names_in(&folder), ["film.partial.mkv", "map.partial.mp4"]);
    let film = decodable_frames(&folder.join("film.partial.mkv"));
    assert!(
        (20..1440).contains(&film.0) && film.1.is_empty(),
        "{film:?}"
    );
    assert_eq!(decodable_frames(&folder.join("map.partial.mp4")), film);
}
