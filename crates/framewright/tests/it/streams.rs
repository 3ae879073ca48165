//! Every clip of `../shared/assets` in both containers: nothing is lost but the size.
//!
//! Each test prints its part of one table, also when it passes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::env::{Run, TestEnv, assets, decodable_frames, ffmpeg, names_in, read_json};
use compare::{Cell, Pair};
use facts::{Facts, frame_times};

mod compare;
mod facts;
mod picture;

const COLUMNS: [&str; 13] = [
    "clip",
    "box",
    "in/out/probe",
    "pts",
    "a/v offset",
    "audio",
    "subtitles",
    "chapters",
    "attached",
    "tags",
    "order",
    "geometry",
    "colour",
];

/// What the cheap encoder leaves out (B frames) is tried on the short clips.
const FAST: &[&str] = &[
    "--encoder",
    "libx264",
    "--preset",
    "ultrafast",
    "--crf",
    "30",
];
const WITH_B_FRAMES: &[&str] = &["--encoder", "libx264", "--preset", "veryfast"];

/// Subtitles MP4 has no place for as they are.
const NOT_IN_MP4: &[&str] = &["hdmv_pgs_subtitle", "ass", "subrip", "webvtt", "unknown"];

/// A source and what is read from it once for both containers.
struct Source {
    path: PathBuf,
    name: String,
    facts: Facts,
    frame_times: Vec<i64>,
    counted: u64,
}

impl Source {
    fn read(path: &Path) -> Self {
        let facts = Facts::of(path);
        let (frame_times, counted) = frame_times(path, facts.video().index);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Self {
            path: path.to_owned(),
            name,
            facts,
            frame_times,
            counted,
        }
    }
}

/// Upscales each clip into MKV and MP4, prints a row for each, and fails with every bad cell at once.
fn check(env: &TestEnv, clips: &[PathBuf], encoder: &[&str]) {
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    let mut wrong = Vec::new();
    for clip in clips {
        let source = Source::read(clip);
        for container in ["mkv", "mp4"] {
            let cells = match check_one(env, &source, container, encoder) {
                Ok(cells) => cells,
                Err(refusal) => vec![refusal],
            };
            let mut row = vec![source.name.clone(), container.to_owned()];
            for (n, cell) in cells.into_iter().enumerate() {
                let (Ok(text) | Err(text)) = &cell;
                if cell.is_err() {
                    let column = COLUMNS.get(n + 2).unwrap_or(&"");
                    wrong.push(format!("{} in {container}: {column}: {text}", source.name));
                }
                row.push(if cell.is_ok() {
                    text.clone()
                } else {
                    format!("WRONG {text}")
                });
            }
            rows.push(row);
        }
    }
    print_table(&rows);
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The cells after clip and container, or the one cell of a clip that was refused.
fn check_one(
    env: &TestEnv,
    source: &Source,
    container: &str,
    encoder: &[&str],
) -> Result<Vec<Cell>, Cell> {
    let folder = env.folder(&format!("{}.{container}.d", source.name));
    let output = folder.join(format!("out.{container}"));
    let report = env.path("report.json");
    let mut more = encoder.to_vec();
    more.extend(["--report", report.to_str().unwrap()]);
    let run = env.upscale(&source.path, &output, &more);
    if run.code != Some(0) {
        return Err(refusal(&source.facts, container, &run, &names_in(&folder)));
    }
    let left = names_in(&folder);
    if left != [format!("out.{container}")] {
        return Err(Err(format!("the output folder holds {left:?}")));
    }
    let cells = compare_all(env, source, &output, &read_json(&report));
    std::fs::remove_dir_all(&folder).unwrap();
    Ok(cells)
}

fn compare_all(env: &TestEnv, source: &Source, output: &Path, report: &Value) -> Vec<Cell> {
    let facts = Facts::of(output);
    let remux = plain_copy(env, &source.path, output);
    let pair = Pair {
        source_path: &source.path,
        output_path: output,
        source: &source.facts,
        output: &facts,
        remux: &remux,
        frame_times: &source.frame_times,
        report,
    };
    vec![
        compare::frames(&pair, source.counted).and_then(|cell| decodes(output, source, cell)),
        compare::pts(&pair),
        compare::av_offset(&pair),
        compare::audio(&pair),
        compare::subtitles(&pair, env.root()),
        compare::chapters(&pair),
        compare::attachments(&pair),
        compare::tags(&pair),
        compare::order(&pair),
        picture::geometry(&pair),
        picture::colour(&pair),
    ]
}

/// Short results are decoded in full; of long ones the packets were counted.
fn decodes(output: &Path, source: &Source, cell: String) -> Cell {
    if source.counted > 250 {
        return Ok(cell);
    }
    let (frames, complaints) = decodable_frames(output);
    let is_clean = frames == source.counted && complaints.is_empty();
    if is_clean {
        Ok(cell)
    } else {
        Err(format!("{cell}: {frames} decode, {complaints}"))
    }
}

/// What `ffmpeg -c copy` makes of the source in this container: all streams, else with its text
/// converted, else without subtitles, else with the picture encoded anew, where it cannot hold the rest.
fn plain_copy(env: &TestEnv, source: &Path, output: &Path) -> Facts {
    let copy = env.path(&format!(
        "copy.{}",
        output.extension().unwrap().to_string_lossy()
    ));
    let with = |maps: &str| {
        let mut command = std::process::Command::new("ffmpeg");
        command
            .args(["-v", "quiet", "-nostdin", "-y", "-i"])
            .arg(source);
        command.args(maps.split_whitespace()).arg(&copy);
        command.status().unwrap().success()
    };
    let small_picture = "-map 0 -c copy -c:v libx264 -preset ultrafast -s 64x64";
    let is_done = with("-map 0 -c copy")
        || with("-map 0 -map -0:t -c copy -c:s mov_text")
        || with("-map 0 -map -0:t -c copy -c:s srt")
        || with("-map 0 -map -0:s -map -0:t -c copy")
        || with(small_picture);
    assert!(is_done, "ffmpeg copies {}", source.display());
    Facts::of(&copy)
}

/// A refusal is right only for what the container really cannot hold, and names the one that can.
fn refusal(source: &Facts, container: &str, run: &Run, left: &[String]) -> Cell {
    let subtitles = source.of_kind("subtitle");
    let (other, reason) = if container == "mp4" {
        let misfit = subtitles
            .iter()
            .find(|stream| NOT_IN_MP4.contains(&&*stream.codec));
        let attached = source.of_kind("attachment");
        (
            ".mkv",
            misfit
                .or(attached.first())
                .map(|stream| stream.codec.clone()),
        )
    } else {
        let misfit = subtitles.iter().find(|stream| stream.codec == "mov_text");
        (".mp4", misfit.map(|stream| stream.codec.clone()))
    };
    let is_clear = run.code == Some(2) && run.error_lines().len() == 1;
    match reason {
        Some(reason) if is_clear && run.stderr.contains(other) && left.is_empty() => {
            Ok(format!("refused: {reason} needs {other}"))
        }
        _ => Err(format!(
            "exit {:?}, left {left:?}: {}",
            run.code,
            run.stderr.trim()
        )),
    }
}

fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let is_refusal = |row: &Vec<String>| row.len() < columns;
    let width = |n: usize| {
        let full = rows.iter().filter(|row| !is_refusal(row));
        full.filter_map(|row| row.get(n))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    for row in rows {
        let cells = row
            .iter()
            .enumerate()
            .map(|(n, cell)| format!("{cell:<width$}", width = width(n)));
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

/// The clips of one folder whose names satisfy `wanted`; None when there are no assets here.
fn clips(folder: &str, wanted: impl Fn(&str) -> bool) -> Option<Vec<PathBuf>> {
    let folder = assets()?.join("clips").join(folder);
    let names = names_in(&folder)
        .into_iter()
        .filter(|name| !name.contains(".truth."));
    let found: Vec<PathBuf> = names
        .filter(|name| wanted(name))
        .map(|n| folder.join(n))
        .collect();
    assert!(!found.is_empty(), "clips in {}", folder.display());
    Some(found)
}

macro_rules! every_stream_survives {
    ($($name:ident: $folder:literal, $encoder:expr, $wanted:expr;)*) => {$(
        #[test]
        fn $name() {
            let Some(clips) = clips($folder, $wanted) else { return };
            check(&TestEnv::new(), &clips, $encoder);
        }
    )*};
}

every_stream_survives! {
    every_stream_of_the_dialogue_clips_survives: "2d", FAST, |name| name.starts_with("dialogue");
    every_stream_of_the_pennychip_clips_survives: "2d", FAST, |name| name.starts_with("pennychip");
    every_stream_of_popeye_a_survives: "2d", FAST, |name| name == "popeye_a.mkv";
    every_stream_of_popeye_b_survives: "2d", FAST, |name| name == "popeye_b.mkv";
    every_stream_of_the_popeye_dvd_survives: "2d", FAST, |name| name == "popeye_b_dvd.mkv";
    every_stream_of_the_3d_clips_survives: "3d", FAST, |_| true;
    every_stream_of_the_odd_geometries_survives: "geometry", WITH_B_FRAMES, |_| true;
    every_stream_of_the_hdr_clips_survives: "hdr", FAST, |_| true;
    every_stream_of_the_interlaced_clip_survives: "interlaced", FAST, |_| true;
    every_stream_of_the_one_by_one_clip_survives: "live", FAST, |name| name.starts_with("one_by_one");
    every_stream_of_the_live_clips_survives: "live", FAST, |name| !name.starts_with("one_by_one");
    every_stream_of_the_many_stream_clips_survives: "streams", WITH_B_FRAMES, |_| true;
    every_stream_of_the_vfr_clips_survives: "vfr", FAST, |_| true;
}

#[test]
fn no_folder_of_clips_is_left_out() {
    let Some(assets) = assets() else { return };
    let known = [
        "2d",
        "3d",
        "broken",
        "geometry",
        "hdr",
        "interlaced",
        "live",
        "streams",
        "vfr",
    ];
    assert_eq!(names_in(&assets.join("clips")), known);
}

#[test]
fn fonts_titles_chapters_and_dispositions_survive() {
    let env = TestEnv::new();
    let metadata = ";FFMETADATA1\ntitle=A film\nartist=Somebody\ncomment=two words\n\
        [CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=Before\n\
        [CHAPTER]\nTIMEBASE=1/1000\nSTART=400\nEND=1000\ntitle=After\n";
    std::fs::write(env.path("chapters.txt"), metadata).unwrap();
    std::fs::write(
        env.path("words.srt"),
        "1\n00:00:00,100 --> 00:00:00,700\nHello\n",
    )
    .unwrap();
    std::fs::write(
        env.path("face.ttf"),
        b"not a real font, but bytes that must arrive",
    )
    .unwrap();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=160x90:r=25:d=1 -f lavfi -i sine=d=1 -f lavfi -i sine=f=880:d=1 \
         -i words.srt -i chapters.txt -map 0:v -map 1:a -map 2:a -map 3:s -map_metadata 4 \
         -c:v libx264 -c:a aac -c:s ass -metadata:s:a:0 language=jpn -metadata:s:a:1 language=eng \
         -metadata:s:a:1 title=Commentary -metadata:s:s:0 title=Signs -disposition:a:0 default \
         -disposition:a:1 comment -disposition:s:0 forced -attach face.ttf \
         -metadata:s:t mimetype=font/ttf full.mkv",
    );
    check(&env, &[env.path("full.mkv")], WITH_B_FRAMES);
}

#[test]
fn the_description_of_an_hdr_picture_survives() {
    let env = TestEnv::new();
    let display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)";
    ffmpeg(
        env.root(),
        &format!(
            "-f lavfi -i testsrc2=s=192x108:r=24:d=0.5 -vf format=yuv420p10le \
             -c:v libx265 -preset ultrafast -color_range tv -colorspace bt2020nc \
             -color_primaries bt2020 -color_trc smpte2084 \
             -x265-params log-level=none:hdr10=1:master-display={display}:max-cll=1000,400 hdr.mp4"
        ),
    );
    let source = Source::read(&env.path("hdr.mp4"));
    let data = facts::side_data(&source.path, source.facts.video());
    assert!(
        data.iter()
            .any(|datum| datum["side_data_type"] == "Mastering display metadata")
    );
    check(
        &env,
        &[source.path],
        &["--encoder", "libx265", "--preset", "ultrafast"],
    );
}

#[test]
fn a_cover_picture_is_not_taken_for_the_film() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=640x640:d=1 -frames:v 1 cover.png",
    );
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=160x90:r=25:d=1 -i cover.png -map 1 -map 0 -c:v:0 copy \
         -c:v:1 libx264 -disposition:v:0 attached_pic cover.mp4",
    );
    let output = env.path("out.mp4");
    env.upscale(&env.path("cover.mp4"), &output, WITH_B_FRAMES)
        .expect_code(0);
    let facts = Facts::of(&output);
    assert_eq!(facts.video().size(), (320, 180));
    let covers = facts
        .streams
        .iter()
        .filter(|stream| stream.is_cover())
        .count();
    assert_eq!(covers, 1, "covers in {facts:#?}");
}
