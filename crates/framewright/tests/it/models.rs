//! The built-in models, and several passes of one: nothing has to be there but the program.
//!
//! Weights and size of the default network may change; no test here rests on them.

use serde_json::Value;

use crate::env::{Run, TestEnv, decodable_frames, ffmpeg, ffprobe, names_in, read_json};

/// A quarter of a second.
fn small_clip(env: &TestEnv) {
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=96x64:r=24:d=0.25 -c:v libx264 -qp 0 -preset ultrafast -pix_fmt yuv420p in.mp4",
    );
}

/// A run of `in.mp4` into `out.mp4` that names no model, without Python, ONNX Runtime and a home that holds anything.
fn upscale(env: &TestEnv, more: &[&str]) -> Run {
    small_clip(env);
    let fixed = "upscale in.mp4 -o out.mp4 --preset ultrafast --progress none --plan-out plan.json --report report.json";
    let words: Vec<&str> = fixed.split(' ').chain(more.iter().copied()).collect();
    let mut command = env.command_without_onnx_runtime(&words);
    command.output().unwrap().into()
}

/// Plan and report, which have to agree on the model.
fn documents(env: &TestEnv) -> (Value, Value) {
    let plan = read_json(&env.path("plan.json"));
    let report = read_json(&env.path("report.json"));
    assert_eq!(plan["model"], report["model"]);
    (plan, report)
}

/// Width and height of `out.mp4`, every frame of which has to decode.
#[track_caller]
fn size(env: &TestEnv) -> (u64, u64) {
    let path = env.path("out.mp4");
    assert_eq!(decodable_frames(&path), (6, String::new()));
    let probed = ffprobe(&path, &["-show_streams", "-select_streams", "v:0"]);
    let side = |name: &str| probed["streams"][0][name].as_u64().unwrap();
    (side("width"), side("height"))
}

/// The reasons in the plan, a line each.
fn why(plan: &Value) -> String {
    let reasons = plan["why"].as_array().unwrap().iter();
    let lines: Vec<&str> = reasons.map(|reason| reason.as_str().unwrap()).collect();
    lines.join("\n")
}

/// `models list` with more words, on a machine without anything.
fn list(more: &[&str]) -> Run {
    let env = TestEnv::new();
    let words = [&["models", "list"], more].concat();
    let mut command = env.command_without_onnx_runtime(&words);
    let run = Run::from(command.output().unwrap()).expect_code(0);
    assert_eq!(run.stderr, "");
    run
}

fn listed() -> Vec<Value> {
    serde_json::from_str(&list(&["--json"]).stdout).unwrap()
}

#[test]
fn without_a_model_the_built_in_one_doubles_the_size() {
    let env = TestEnv::new();
    upscale(&env, &[]).expect_code(0);
    assert_eq!(size(&env), (192, 128));
    let (plan, report) = documents(&env);
    assert_eq!(report["frames_out"], 6);
    assert_eq!(plan["engine"], "native");
    assert_eq!(plan["model"]["name"], "lite-x2");
    assert_eq!(plan["model"]["scale"], 2);
    assert_eq!(plan["model"]["passes"], 1);
    assert_eq!(plan["model"]["sha256"], listed()[0]["sha256"]);
    let why = why(&plan);
    assert!(
        why.contains("model lite-x2: the default, none was named"),
        "{why}"
    );
    assert!(!why.contains("passes"), "{why}");
}

#[test]
fn a_model_that_is_named_is_not_said_to_be_the_default() {
    for model in ["lite-x2", "nearest-x2"] {
        let env = TestEnv::new();
        upscale(&env, &["-m", model]).expect_code(0);
        let (plan, _) = documents(&env);
        assert_eq!(plan["model"]["name"], model);
        assert!(!why(&plan).contains("the default"), "{plan:#}");
    }
    let env = TestEnv::new();
    small_clip(&env);
    let words = ["upscale", "in.mp4", "--plan-only", "--json"];
    let mut command = env.command(&words);
    let run = Run::from(
        command
            .env("FRAMEWRIGHT_MODEL", "nearest-x2")
            .output()
            .unwrap(),
    );
    let plan: Value = serde_json::from_str(&run.expect_code(0).stdout).unwrap();
    assert_eq!(plan["model"]["name"], "nearest-x2");
    let run = Run::from(command.env("FRAMEWRIGHT_MODEL", "").output().unwrap());
    let plan: Value = serde_json::from_str(&run.expect_code(0).stdout).unwrap();
    assert_eq!(plan["model"]["name"], "lite-x2", "empty is unset");
}

#[test]
fn scale_4_is_two_passes_with_every_frame() {
    for model in ["lite-x2", "nearest-x2"] {
        let env = TestEnv::new();
        let run = upscale(&env, &["-m", model, "--scale", "4", "-v"]).expect_code(0);
        assert_eq!(size(&env), (384, 256));
        let (plan, report) = documents(&env);
        assert_eq!(
            (&plan["width"], &plan["height"]),
            (&384.into(), &256.into())
        );
        assert_eq!(report["frames_in"], 6);
        assert_eq!(report["frames_out"], 6);
        assert_eq!(report["model"]["scale"], 4);
        assert_eq!(report["model"]["passes"], 2);
        let note = format!("scale 4: two passes of {model}, 2 times each");
        assert!(why(&plan).contains(&note), "{plan:#}");
        let line = format!("model: {model} x4 in 2 passes on cpu");
        assert!(run.stderr.contains(&line), "{run:#?}");
        // The source, what is between the passes, and the result, in f32.
        let pictures = 96 * 64 * (1 + 4 + 16) * 12;
        assert!(plan["worker_bytes"].as_u64().unwrap() >= pictures);
    }
}

#[test]
fn the_models_own_scale_may_be_asked_for() {
    let env = TestEnv::new();
    upscale(&env, &["--scale", "2"]).expect_code(0);
    assert_eq!(size(&env), (192, 128));
    assert_eq!(documents(&env).0["model"]["passes"], 1);
}

#[test]
fn a_scale_that_the_model_does_not_give_is_refused_and_nothing_is_written() {
    for (scale, said) in [
        ("1", "use --scale 2, 4, 8 or 16"),
        ("3", "use --scale 2, 4, 8 or 16"),
        ("0", "1..=16"),
        ("32", "1..=16"),
    ] {
        let env = TestEnv::new();
        let run = upscale(&env, &["--scale", scale]).expect_code(2);
        assert_eq!(run.error_lines().len(), 1, "{run:#?}");
        assert!(run.stderr.contains(said), "{run:#?}");
        assert_eq!(names_in(env.root()), ["home", "in.mp4"]);
    }
}

#[test]
fn onnx_runtime_is_not_for_the_built_in_network() {
    let env = TestEnv::new();
    let run = upscale(&env, &["--engine", "ort"]).expect_code(78);
    let said = "error: ONNX Runtime runs .onnx files only, leave out --engine ort: lite-x2";
    assert_eq!(run.error_lines(), [said]);
    assert_eq!(names_in(env.root()), ["home", "in.mp4"]);
}

#[test]
fn the_list_of_models_is_this() {
    let mut text = String::new();
    for line in list(&[]).stdout.lines() {
        let cells: Vec<&str> = line.split("  ").map(str::trim).collect();
        let cells: Vec<&str> = cells.into_iter().filter(|cell| !cell.is_empty()).collect();
        text.extend([cells.join(" | "), "\n".to_owned()]);
    }
    // What changes with the weights.
    let default = &listed()[0];
    let kilobytes = default["file_bytes"].as_u64().unwrap().div_ceil(1000);
    let network = format!(
        "{} channels x {} layers",
        default["channels"], default["layers"]
    );
    for (found, name) in [
        (network.as_str(), "[network]"),
        (&format!("{kilobytes} kB"), "[size]"),
        (&default["sha256"].as_str().unwrap()[..12], "[sha256]"),
    ] {
        assert!(text.contains(found), "{found} in {text}");
        text = text.replace(found, name);
    }
    insta::assert_snapshot!("models_list", text);
}

#[test]
fn the_list_of_models_in_json_is_this() {
    let mut models = listed();
    let default = &mut models[0];
    assert_eq!(default["sha256"].as_str().unwrap().len(), 64);
    assert!(default["file_bytes"].as_u64().unwrap() <= 300_000);
    for key in ["channels", "layers", "file_bytes", "sha256"] {
        assert!(!default[key].is_null(), "{key} in {default:#}");
        default[key] = "[of the weights]".into();
    }
    insta::assert_snapshot!(
        "models_list_json",
        serde_json::to_string_pretty(&models).unwrap()
    );
}
