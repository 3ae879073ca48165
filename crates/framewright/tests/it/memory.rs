//! Memory is planned before it is taken: what a file asks for in a few bytes is refused by a rule, what does not fit is
//! refused or made smaller, and a run stays within its plan.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use crate::env::{Run, TestEnv, asset, ffmpeg, ffprobe, read_json, upscale_args};

/// What the program itself takes, with room for another version of its libraries.
const SMALL: u64 = 160 << 20;

/// The most memory that the process held, and how it ended.
fn watched(mut child: Child) -> (u64, Run) {
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kilobytes = 0;
    let code = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak_kilobytes = peak_kilobytes.max(kilobytes.unwrap_or(0));
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.unwrap().read_to_string(&mut stderr).unwrap();
    let run = Run {
        code,
        stdout,
        stderr,
    };
    (peak_kilobytes << 10, run)
}

fn null_run(env: &TestEnv, input: &Path, more: &[&str]) -> (u64, Run) {
    let input = input.to_str().unwrap();
    let fixed = ["upscale", input, "-m", "nearest-x2", "--encoder", "null"];
    let args = [&fixed[..], &["--progress", "none"], more].concat();
    watched(env.spawn(&args))
}

/// Refused by the rule, before anything was decoded.
#[track_caller]
fn assert_bomb(env: &TestEnv, input: &Path, size: &str) {
    let (peak, run) = null_run(env, input, &[]);
    let run = run.expect_code(65);
    assert!(
        run.stderr.contains(size) && run.stderr.contains("134 million"),
        "{run:#?}"
    );
    assert!(peak < SMALL, "{} MB for {run:#?}", peak >> 20);
}

#[test]
fn frames_larger_than_any_video_are_refused_by_their_header() {
    let env = TestEnv::new();
    if let Some(gif) = asset("cases/attack/g16000.gif") {
        assert_bomb(&env, &gif, "16000x16000");
    }
    let y4m = env.path("bomb.y4m");
    fs::write(&y4m, "YUV4MPEG2 W15000 H15000 F25:1 C420jpeg\nFRAME\n").unwrap();
    assert_bomb(&env, &y4m, "15000x15000");
    ffmpeg(
        env.root(),
        "-f lavfi -i color=s=300x300:r=5:d=1 -c:v rawvideo -pix_fmt yuv420p raw.avi",
    );
    patch(
        &env.path("raw.avi"),
        &300_u32.to_le_bytes(),
        &16_000_u32.to_le_bytes(),
    );
    assert_bomb(&env, &env.path("raw.avi"), "16000x16000");
    // A picture's own header, of which the container says nothing.
    let video = "-f lavfi -i color=s=300x300:r=5:d=1 -c:v png picture.mkv";
    ffmpeg(env.root(), video);
    patch(
        &env.path("picture.mkv"),
        &300_u32.to_be_bytes(),
        &16_000_u32.to_be_bytes(),
    );
    let (peak, run) = null_run(&env, &env.path("picture.mkv"), &[]);
    run.expect_code(65);
    assert!(peak < SMALL, "{} MB", peak >> 20);
}

/// Replaces a number wherever it stands.
fn patch(path: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let mut n = 0;
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            n += 1;
        }
    }
    assert!(n > 0, "{from:?} stands in {}", path.display());
    fs::write(path, bytes).unwrap();
}

/// Bits, most significant first.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn u(&mut self, n_bits: u32, value: u32) -> &mut Self {
        self.0
            .extend((0..n_bits).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// Exponential Golomb code.
    fn ue(&mut self, value: u32) -> &mut Self {
        let n_bits = 32 - (value + 1).leading_zeros();
        self.u(n_bits - 1, 0).u(n_bits, value + 1)
    }

    /// A unit of H.264 with these bits, and the bytes that keep its text from looking like a start code.
    fn unit(&mut self, head: u8) -> Vec<u8> {
        self.u(1, 1);
        let mut unit = vec![0, 0, 0, 1, head];
        let bytes = self.0.chunks(8).map(|bits| {
            let byte = bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
            byte << (8 - bits.len())
        });
        let mut zeros = 0;
        for byte in bytes {
            if zeros >= 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}

/// A key frame of H.264 in 40 bytes, with so many macroblocks of 16×16 in each direction.
fn key_frame(blocks: u32) -> Vec<u8> {
    let mut sps = Bits::default();
    sps.u(8, 66)
        .u(8, 0)
        .u(8, 62)
        .ue(0)
        .ue(0)
        .ue(2)
        .ue(1)
        .u(1, 0);
    sps.ue(blocks - 1).ue(blocks - 1).u(4, 0b1100);
    let mut pps = Bits::default();
    pps.ue(0)
        .ue(0)
        .u(2, 0)
        .ue(0)
        .ue(0)
        .ue(0)
        .u(3, 0)
        .ue(0)
        .ue(0)
        .ue(0)
        .u(3, 0);
    let mut slice = Bits::default();
    slice.ue(0).ue(7).ue(0).u(4, 0).ue(0).u(2, 0).ue(0);
    // Blocks of noise.
    slice.u(32, 0x5a3c_96e1).u(32, 0x1234_5678);
    [sps.unit(0x67), pps.unit(0x68), slice.unit(0x65)].concat()
}

#[test]
fn a_stream_whose_frames_turn_huge_goes_on_in_little_memory() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=320x180:r=24:d=1 -c:v libx264 -preset ultrafast -bf 0 -f h264 plain.h264",
    );
    let plain = fs::read(env.path("plain.h264")).unwrap();
    let bomb = [&plain[..], &key_frame(1000).repeat(5), &plain].concat();
    fs::write(env.path("in.h264"), bomb).unwrap();
    let (peak, run) = null_run(&env, &env.path("in.h264"), &["--report", "report.json"]);
    let run = run.expect_code(0);
    assert!(run.stderr.contains("the input is damaged"), "{run:#?}");
    assert!(
        read_json(&env.path("report.json"))["frames_out"]
            .as_u64()
            .unwrap()
            >= 46
    );
    // H.264 makes 100 MB of tables for the blocks of such a frame, in each thread, before it asks for a frame of 400 MB.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tables = threads.min(16) as u64 * (128 << 20);
    assert!(peak < SMALL + tables, "{} MB", peak >> 20);
    // From the beginning on, where only the frames say their size.
    fs::write(env.path("all.h264"), key_frame(1000).repeat(5)).unwrap();
    let (peak, run) = null_run(&env, &env.path("all.h264"), &[]);
    let run = run.expect_code(65);
    // Said by the header, or by the decoder that gave none of them.
    assert!(run.stderr.contains("134 million"), "{run:#?}");
    assert!(peak < SMALL + tables, "{} MB", peak >> 20);
}

#[test]
fn a_container_that_lies_about_the_size_is_not_believed() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=300x300:r=24:d=0.5 -c:v libx264 -preset ultrafast in.mkv",
    );
    // PixelWidth and PixelHeight.
    patch(
        &env.path("in.mkv"),
        &[0xb0, 0x82, 0x01, 0x2c],
        &[0xb0, 0x82, 0x40, 0],
    );
    patch(
        &env.path("in.mkv"),
        &[0xba, 0x82, 0x01, 0x2c],
        &[0xba, 0x82, 0x40, 0],
    );
    let (peak, run) = null_run(&env, &env.path("in.mkv"), &["--plan-out", "plan.json"]);
    run.expect_code(0);
    assert_eq!(read_json(&env.path("plan.json"))["input"]["width"], 300);
    assert!(peak < SMALL, "{} MB", peak >> 20);
}

#[test]
fn a_photograph_is_planned_where_it_fits_and_refused_with_the_numbers_where_not() {
    let env = TestEnv::new();
    // 64 megapixels of one colour; the result has four times as many.
    ffmpeg(
        env.root(),
        "-f lavfi -i color=gray:s=8000x8000:r=1:d=1 -pix_fmt gray -c:v ffv1 in.mkv",
    );
    let more = ["--memory", "8G", "--plan-only", "--json"];
    let (_, run) = null_run(&env, &env.path("in.mkv"), &more);
    let plan: Value = serde_json::from_str(&run.expect_code(0).stdout).unwrap();
    assert_eq!(plan["memory"]["limit_bytes"], 8_u64 << 30);
    assert_eq!(plan["memory"]["limit_from"], "asked");
    let (_, run) = null_run(&env, &env.path("in.mkv"), &["--memory", "1G"]);
    let run = run.expect_code(69);
    assert!(
        run.stderr.contains("8000x8000") && run.stderr.contains("1024 MB (--memory)"),
        "{run:#?}"
    );
}

#[test]
fn frames_out_of_all_proportion_to_the_file_are_bad_input_where_they_do_not_fit() {
    let env = TestEnv::new();
    let mut gif = b"GIF89a".to_vec();
    gif.extend([8000_u16; 2].map(u16::to_le_bytes).concat());
    gif.extend([0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
    gif.extend([0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b]);
    fs::write(env.path("in.gif"), &gif).unwrap();
    let (_, run) = null_run(&env, &env.path("in.gif"), &["--memory", "600M"]);
    let run = run.expect_code(65);
    let said = format!("a file of {} bytes", gif.len());
    assert!(
        run.stderr.contains(&said) && run.stderr.contains("600 MB"),
        "{run:#?}"
    );
}

#[test]
fn a_result_larger_than_ffmpeg_lays_out_is_refused_before_the_run() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i color=s=2048x1200:r=5:d=0.2 -c:v libx264 -preset ultrafast in.mp4",
    );
    let (_, run) = null_run(&env, &env.path("in.mp4"), &["--scale", "16"]);
    let run = run.expect_code(2);
    assert!(
        run.stderr.contains("32768x19200") && run.stderr.contains("--scale"),
        "{run:#?}"
    );
    // By the model's own scale the clip is what is too large.
    ffmpeg(
        env.root(),
        "-f lavfi -i color=gray:s=11000x9000:r=1:d=1 -pix_fmt gray -c:v ffv1 wide.mkv",
    );
    let (_, run) = null_run(&env, &env.path("wide.mkv"), &[]);
    let run = run.expect_code(65);
    assert!(run.stderr.contains("22000x18000 pixels"), "{run:#?}");
}

/// The plan of a run, and the most that it took.
fn measured(env: &TestEnv, model: &[&str], more: &[&str]) -> (Value, u64) {
    let fixed = ["upscale", "in.mp4", "--progress", "none", "--overwrite"];
    let files = ["--plan-out", "plan.json", "--report", "report.json"];
    env.run(&[&fixed[..], model, &files, more].concat())
        .expect_code(0);
    let report = read_json(&env.path("report.json"));
    let plan = read_json(&env.path("plan.json"));
    (
        plan["memory"].clone(),
        report["peak_rss_bytes"].as_u64().unwrap(),
    )
}

#[test]
fn a_run_stays_within_its_plan() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=640x360:r=24:d=2.5 -c:v libx264 -preset ultrafast -refs 4 in.mp4",
    );
    let nearest = ["-m", "nearest-x2"];
    let film = ["-o", "out.mp4"];
    for (model, more) in [
        (&nearest[..], &["--encoder", "null"][..]),
        (&nearest, &["-o", "out.mp4", "--preset", "veryfast"]),
        (&nearest, &film),
        (
            &["-m", "nearest-x2", "--scale", "4"],
            &["--encoder", "null"],
        ),
        (
            &nearest,
            &["--encoder", "null", "--dump-composite", "c.mkv"],
        ),
    ] {
        let (memory, peak) = measured(&env, model, more);
        let planned = memory["planned_bytes"].as_u64().unwrap();
        println!(
            "{model:?} {more:?}: {} MB of {} MB",
            peak >> 20,
            planned >> 20
        );
        assert!(peak <= planned, "{model:?} {more:?}: {peak} of {memory}");
    }
}

#[test]
fn a_run_that_does_not_fit_is_made_smaller_or_refused_with_the_number() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=960x540:r=24:d=0.5 -c:v libx264 -preset ultrafast in.mp4",
    );
    let nearest = ["-m", "nearest-x2", "--workers", "16", "-o", "out.mp4"];
    let (memory, peak) = measured(&env, &nearest, &["--memory", "900M"]);
    let planned = memory["planned_bytes"].as_u64().unwrap();
    assert!(
        peak <= planned && planned <= 900 << 20,
        "{peak} of {memory}"
    );
    let plan = read_json(&env.path("plan.json"));
    assert!(plan["workers"].as_u64().unwrap() < 16, "{plan}");
    assert!(
        plan["fallbacks"]
            .to_string()
            .contains("instead of 16 workers"),
        "{plan}"
    );

    let args = upscale_args(&env.path("in.mp4"), &env.path("small.mp4"));
    let refused = [&args[..], &["--memory".into(), "200M".into()]].concat();
    let run = env.run(&refused).expect_code(69);
    assert!(run.stderr.contains("200 MB (--memory)"), "{run:#?}");
    assert!(run.stderr.contains("for the encoder"), "{run:#?}");
    assert!(!env.path("small.mp4").exists());
}

#[test]
fn a_subtitle_without_end_is_left_out_and_said_and_the_others_stay() {
    let env = TestEnv::new();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=96x64:r=24:d=2 -c:v libx264 -preset ultrafast a.mkv",
    );
    let bomb = "<b>x</b>".repeat(100_000);
    let srt = format!(
        "1\n00:00:00,000 --> 00:00:00,500\nfirst\n\n2\n00:00:00,500 --> 00:00:01,000\n{bomb}\n\n\
         3\n00:00:01,000 --> 00:00:01,500\n<i>third</i>\n\n"
    );
    fs::write(env.path("s.srt"), srt).unwrap();
    ffmpeg(
        env.root(),
        "-i a.mkv -i s.srt -map 0:v -map 1 -c copy in.mkv",
    );
    let run = env.upscale(
        &env.path("in.mkv"),
        &env.path("out.mp4"),
        &["--preset", "ultrafast"],
    );
    let run = run.expect_code(0);
    assert!(
        run.stderr.contains("1 subtitle of more than 16 KiB"),
        "{run:#?}"
    );
    ffmpeg(env.root(), "-i out.mp4 -map 0:s out.srt");
    let text = fs::read_to_string(env.path("out.srt")).unwrap();
    assert!(
        text.contains("first") && text.contains("third") && !text.contains('x'),
        "{text}"
    );
}

#[test]
fn chapters_and_tags_beyond_all_measure_are_left_out_and_said() {
    let env = TestEnv::new();
    let mut text = format!(
        ";FFMETADATA1\ntitle=kept\ncomment={}\n",
        "x".repeat(300 << 10)
    );
    for n in 0..4100 {
        let end = n + 1;
        let chapter = format!("[CHAPTER]\nTIMEBASE=1/10000\nSTART={n}\nEND={end}\ntitle={n}\n");
        text.push_str(&chapter);
    }
    fs::write(env.path("meta.txt"), text).unwrap();
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=96x64:r=24:d=1 -i meta.txt -map_metadata 1 -c:v libx264 -preset ultrafast in.mkv",
    );
    let run = env.upscale(
        &env.path("in.mkv"),
        &env.path("out.mkv"),
        &["--preset", "ultrafast"],
    );
    let run = run.expect_code(0);
    assert!(
        run.stderr.contains("4 chapters beyond the 4096th"),
        "{run:#?}"
    );
    assert!(
        run.stderr.contains("1 tag too many or too long"),
        "{run:#?}"
    );
    let found = ffprobe(&env.path("out.mkv"), &["-show_chapters", "-show_format"]);
    assert_eq!(found["chapters"].as_array().unwrap().len(), 4096);
    assert_eq!(found["format"]["tags"]["title"], "kept");
}

#[test]
fn large_packets_of_other_streams_go_over_unchanged() {
    let env = TestEnv::new();
    // 6 MB of sound each second, between pictures of which many repeat.
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=96x64:r=2:d=4 -f lavfi -i anoisesrc=r=192000:d=4:seed=1 -filter:v fps=8 -ac 8 \
         -c:v libx264 -preset ultrafast -c:a pcm_s32le in.mkv",
    );
    let args = [
        "upscale",
        "in.mkv",
        "-o",
        "out.mkv",
        "-m",
        "lite-x2",
        "--preset",
        "ultrafast",
    ];
    let more = ["--progress", "none", "--report", "report.json"];
    env.run(&[&args[..], &more].concat()).expect_code(0);
    assert_eq!(read_json(&env.path("report.json"))["frames_out"], 32);
    let sound = |name: &str| {
        ffmpeg(
            env.root(),
            &format!("-i {name} -map 0:a -c copy -f md5 {name}.md5"),
        );
        fs::read_to_string(env.path(&format!("{name}.md5"))).unwrap()
    };
    assert_eq!(sound("in.mkv"), sound("out.mkv"));
}
