//! What runs the network: chosen by the file and by what is asked, said in plan and report, and the same pictures.

use std::fs;

use serde_json::Value;

use crate::env::{Run, TestEnv, asset, ffmpeg, fixture, names_in, read_json};

/// A network of the Compact family with random weights, which runs everywhere.
const COMPACT: &str = "compact/x2.onnx";
/// One that is not: ONNX Runtime only.
const OTHER: &str = "nearest-x2.onnx";
/// Of the Compact family, as people use it; with assets only.
const REAL: &str = "models/realesr-animevideov3-x2.onnx";

/// A quarter of a second.
fn small_clip(env: &TestEnv) {
    ffmpeg(
        env.root(),
        "-f lavfi -i testsrc2=s=96x64:r=24:d=0.25 -c:v libx264 -qp 0 -preset ultrafast -pix_fmt yuv420p in.mkv",
    );
}

/// The words of a lossless run of `in.mkv` into `name`.mkv, with plan and report of that name.
fn words(name: &str, model: &str, more: &[&str]) -> Vec<String> {
    let fixed = "upscale in.mkv --reuse off --encoder ffv1 --progress none"
        .split(' ')
        .map(str::to_owned);
    let mut words: Vec<String> = fixed.collect();
    words.extend(["-m".to_owned(), model.to_owned()]);
    for (option, ending) in [
        ("-o", "mkv"),
        ("--plan-out", "plan.json"),
        ("--report", "report.json"),
    ] {
        words.extend([option.to_owned(), format!("{name}.{ending}")]);
    }
    words.extend(more.iter().map(|&word| word.to_owned()));
    words
}

/// Plan and report of the run `name`, which have to agree on what ran.
fn documents(env: &TestEnv, name: &str) -> (Value, Value) {
    let read = |what| read_json(&env.path(&format!("{name}.{what}.json")));
    let (plan, report) = (read("plan"), read("report"));
    for key in ["engine", "precision", "device"] {
        assert_eq!(plan[key], report[key], "{key} in {plan:#} and {report:#}");
    }
    (plan, report)
}

/// The reasons in the plan, a line each.
fn why(plan: &Value) -> String {
    let reasons = plan["why"].as_array().unwrap().iter();
    let lines: Vec<&str> = reasons.map(|reason| reason.as_str().unwrap()).collect();
    lines.join("\n")
}

/// All samples of a lossless 8-bit file.
fn samples(env: &TestEnv, name: &str) -> Vec<u8> {
    ffmpeg(env.root(), &format!("-i {name}.mkv -f rawvideo {name}.raw"));
    fs::read(env.path(&format!("{name}.raw"))).unwrap()
}

#[test]
fn a_compact_network_needs_no_onnx_runtime() {
    let env = TestEnv::new();
    small_clip(&env);
    let real = asset(REAL).map(|path| path.to_str().unwrap().to_owned());
    for (n, model) in [fixture(COMPACT)].into_iter().chain(real).enumerate() {
        let name = format!("out{n}");
        let mut command = env.command_without_onnx_runtime(&words(&name, &model, &[]));
        Run::from(command.output().unwrap()).expect_code(0);
        let (plan, report) = documents(&env, &name);
        assert_eq!(plan["engine"], "native", "{plan:#}");
        assert_eq!(report["frames_out"], 6, "{report:#}");
        assert!(plan["worker_bytes"].as_u64().unwrap() > 96 * 64 * 5 * 12);
        let why = why(&plan);
        println!("{why}");
        let precision = format!("precision {}", plan["precision"].as_str().unwrap());
        for reason in ["engine native", precision.as_str()] {
            assert!(why.contains(reason), "{reason} in {why}");
        }
    }
}

#[test]
fn weights_as_safetensors_give_the_same_pictures() {
    let env = TestEnv::new();
    small_clip(&env);
    let onnx = fixture(COMPACT);
    let safetensors = fixture("compact/x2.safetensors");
    env.run(&words("onnx", &onnx, &[])).expect_code(0);
    let more = ["--engine", "native"];
    env.run(&words("safetensors", &safetensors, &more))
        .expect_code(0);
    assert_eq!(documents(&env, "safetensors").1["engine"], "native");
    assert!(samples(&env, "onnx") == samples(&env, "safetensors"));
}

#[test]
fn both_engines_give_the_same_pictures() {
    let (Some(model), Some(clip)) = (asset(REAL), asset("clips/2d/dialogue_limited.mp4")) else {
        return;
    };
    let env = TestEnv::new();
    let clip = clip.display();
    ffmpeg(
        env.root(),
        &format!(
            "-ss 1 -i {clip} -an -frames:v 6 -vf crop=160:90:260:120 -c:v libx264 -qp 0 in.mkv"
        ),
    );
    let model = model.to_str().unwrap();
    let run = env.run(&words("ort", model, &["--engine", "ort"]));
    if run.lacks_onnx_runtime() {
        return;
    }
    run.expect_code(0);
    let more = ["--precision", "fp32"];
    env.run(&words("native", model, &more)).expect_code(0);
    let (plan, _) = documents(&env, "ort");
    assert_eq!([&plan["engine"], &plan["precision"]], ["ort", "fp32"]);
    assert!(why(&plan).contains("engine ort: "), "{plan:#}");
    let (plan, _) = documents(&env, "native");
    assert_eq!([&plan["engine"], &plan["precision"]], ["native", "fp32"]);
    assert!(why(&plan).contains("precision fp32, as asked"), "{plan:#}");
    let (ort, native) = (samples(&env, "ort"), samples(&env, "native"));
    assert_eq!(
        (ort.len(), native.len()),
        (6 * 320 * 180 * 3 / 2, ort.len())
    );
    let differences = ort.iter().zip(&native).map(|(a, b)| a.abs_diff(*b));
    let different = differences.clone().filter(|&levels| levels > 0).count();
    println!("{different} of {} samples differ", ort.len());
    assert!(differences.max().unwrap() <= 1);
}

#[test]
fn a_network_that_is_not_compact_runs_on_onnx_runtime() {
    let env = TestEnv::new();
    small_clip(&env);
    let run = env.run(&words("out", &fixture(OTHER), &[]));
    if run.lacks_onnx_runtime() {
        return;
    }
    run.expect_code(0);
    let (plan, _) = documents(&env, "out");
    assert_eq!(plan["engine"], "ort", "{plan:#}");
    let why = why(&plan);
    println!("{why}");
    assert!(why.contains("engine ort: "), "{why}");
    assert!(
        why.contains("precision fp32: the only one of this engine"),
        "{why}"
    );
}

#[test]
fn an_engine_or_precision_that_the_model_cannot_have_is_refused() {
    let env = TestEnv::new();
    small_clip(&env);
    let (other, safetensors) = (fixture(OTHER), fixture("compact/x2.safetensors"));
    let refused: [(&str, &[&str], i32, &[&str]); 5] = [
        (
            &other,
            &["--engine", "native"],
            78,
            &["Compact", "leave out --engine native"],
        ),
        (
            &safetensors,
            &["--engine", "ort"],
            78,
            &[".onnx files only"],
        ),
        (
            &other,
            &["--precision", "bf16"],
            2,
            &["fp32", "use --precision auto or fp32"],
        ),
        (
            "nearest-x2",
            &["--engine", "native"],
            2,
            &["--engine has no effect on nearest-x2"],
        ),
        (
            "nearest-x2",
            &["--precision", "bf16"],
            2,
            &["--precision bf16 has no effect on nearest-x2"],
        ),
    ];
    for (model, more, code, said) in refused {
        // Before ONNX Runtime is looked for.
        let mut command = env.command_without_onnx_runtime(&words("out", model, more));
        let run = Run::from(command.output().unwrap()).expect_code(code);
        assert_eq!(run.error_lines().len(), 1, "{run:#?}");
        println!("{code}: {}", run.stderr.trim());
        for words in said {
            assert!(run.stderr.contains(words), "{words:?} in {run:#?}");
        }
        assert_eq!(names_in(env.root()), ["home", "in.mkv"]);
    }
}

#[test]
fn the_instruction_set_can_be_chosen_for_the_same_bits_everywhere() {
    let env = TestEnv::new();
    small_clip(&env);
    let model = fixture(COMPACT);
    let run = |name: &str, isa: &str, more: &[&str]| {
        let mut command = env.command_without_onnx_runtime(&words(name, &model, more));
        Run::from(command.env("FRAMEWRIGHT_ISA", isa).output().unwrap())
    };
    run("portable", "portable", &[]).expect_code(0);
    let (plan, _) = documents(&env, "portable");
    assert_eq!(plan["precision"], "fp32");
    assert!(why(&plan).contains("on portable code"), "{plan:#}");
    run("best", "", &["--precision", "fp32"]).expect_code(0);
    let (portable, best) = (samples(&env, "portable"), samples(&env, "best"));
    let most = portable
        .iter()
        .zip(&best)
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(most.unwrap() <= 1);

    let refused = run("out", "mmx", &[]).expect_code(2);
    assert!(
        refused.stderr.contains("portable") && refused.stderr.contains("mmx"),
        "{refused:#?}"
    );
    let refused = run("out", "portable", &["--precision", "bf16"]).expect_code(2);
    assert!(
        refused
            .stderr
            .contains("portable code has no bf16 products"),
        "{refused:#?}"
    );
}
