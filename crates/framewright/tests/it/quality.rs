//! The pixels: what comes out is what an independent computation gives (`bench/oracle/oracle.py`).

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::env::{TestEnv, asset, ffmpeg, read_json, repo_root};

const NETWORK: &str = "models/realesr-animevideov3-x2.onnx";
/// Engines, by what chooses them; bf16 would differ by more than rounding.
const NATIVE: &[&str] = &["--engine", "native", "--precision", "fp32"];
const ORT: &[&str] = &["--engine", "ort"];

/// A region of a clip as a lossless file of its own, with the clip's colour tags.
fn cut(env: &TestEnv, clip: &Path, crop: &str) {
    let input = clip.display();
    ffmpeg(
        env.root(),
        &format!(
            "-i {input} -map 0:v:0 -frames:v 8 -vf crop={crop} -c:v libx264 -qp 0 -preset ultrafast -an in.mkv"
        ),
    );
}

/// True when Python can import these; says so when it cannot.
fn python_has(modules: &str) -> bool {
    let check = Command::new("python3")
        .args(["-c", &format!("import {modules}")])
        .output();
    let has = check.is_ok_and(|output| output.status.success());
    if !has {
        println!("skipped: python3 cannot import {modules}");
    }
    has
}

/// The oracle's verdict on `out.mkv`.
fn judge(env: &TestEnv, model: &str) -> Value {
    let script = repo_root().join("bench/oracle/oracle.py");
    let mut command = Command::new("python3");
    command
        .arg(script)
        .args(["in.mkv", "out.mkv", "--model", model])
        .current_dir(env.root());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the oracle cannot judge: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_matches_the_oracle(clip: &str, crop: &str, pix_fmt: &str, model: &str, engine: &[&str]) {
    let modules = if model == NETWORK {
        "numpy, onnxruntime"
    } else {
        "numpy"
    };
    let Some(path) = asset(&format!("clips/{clip}")) else {
        return;
    };
    if !python_has(modules) {
        return;
    }
    let model_path = asset(model).unwrap();
    let model = if model == NETWORK {
        model_path.to_str().unwrap()
    } else {
        model
    };
    let env = TestEnv::new();
    cut(&env, &path, crop);
    let words = [
        "upscale", "in.mkv", "-o", "out.mkv", "-m", model, "--reuse", "off",
    ];
    let mut args = words.to_vec();
    args.extend([
        "--encoder",
        "ffv1",
        "--pix-fmt",
        pix_fmt,
        "--progress",
        "none",
        "--report",
        "report.json",
    ]);
    args.extend(engine);
    let run = env.run(&args);
    if run.lacks_onnx_runtime() {
        return;
    }
    run.expect_code(0);
    let report = read_json(&env.path("report.json"));
    let ran = if engine.is_empty() { "none" } else { engine[1] };
    assert_eq!(report["engine"], ran, "{report:#}");
    let verdict = judge(&env, model);
    for plane in verdict["planes"].as_array().unwrap() {
        let name = plane["name"].as_str().unwrap();
        let psnr = plane["psnr_db"].as_f64().unwrap();
        let worst = plane["max_difference"].as_u64().unwrap();
        let different = plane["share_different"].as_f64().unwrap() * 100.0;
        println!("| {clip} | {pix_fmt} | {name} | {psnr:.1} dB | max {worst} | {different:.3} % |");
        assert!(psnr >= 55.0 && worst <= 1, "{clip} {name}: {verdict:#}");
    }
}

macro_rules! pixels_match {
    ($($name:ident: $clip:literal, $crop:literal, $pix_fmt:literal, $model:expr, $engine:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_matches_the_oracle($clip, $crop, $pix_fmt, $model, $engine);
        }
    )*};
}

pixels_match! {
    the_network_on_bt709_matches_the_oracle:
        "2d/dialogue_limited.mp4", "320:180:260:120", "yuv420p", NETWORK, NATIVE;
    the_network_on_onnx_runtime_matches_the_oracle:
        "2d/dialogue_limited.mp4", "320:180:260:120", "yuv420p", NETWORK, ORT;
    the_network_on_bt601_sited_top_left_matches_the_oracle:
        "live/elf_toy.mp4", "320:180:200:150", "yuv420p", NETWORK, NATIVE;
    the_network_on_ten_bit_bt2020_matches_the_oracle:
        "hdr/hlg10.mp4", "320:180:800:450", "yuv420p10le", NETWORK, NATIVE;
    nearest_on_bt709_matches_the_oracle:
        "2d/popeye_a.mkv", "640:480:400:300", "yuv420p", "nearest-x2", &[];
    nearest_on_bt601_matches_the_oracle:
        "live/cars_topdown.mp4", "640:400:64:16", "yuv420p", "nearest-x2", &[];
    nearest_on_bt601_sited_top_left_matches_the_oracle:
        "live/elf_toy.mp4", "640:400:40:40", "yuv420p", "nearest-x2", &[];
    nearest_on_full_range_matches_the_oracle:
        "hdr/phone_fullrange.mp4", "640:400:600:300", "yuv420p", "nearest-x2", &[];
    nearest_on_ten_bit_bt2020_matches_the_oracle:
        "hdr/hdr10_av1.mp4", "640:400:40:400", "yuv420p10le", "nearest-x2", &[];
}
