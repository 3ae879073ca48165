//! What is taken, what is refused, and what the help says.

use std::fs;
use std::path::PathBuf;

use super::*;

fn upscale(args: &str) -> Result<Options, clap::Error> {
    let words = ["framewright", "upscale"].into_iter();
    match parse(words.chain(args.split_whitespace()))? {
        Action::Upscale(options) => Ok(*options),
        _ => panic!("that was upscale"),
    }
}

/// The first line of a usage error, whose exit code is 2.
fn refusal(args: &str) -> String {
    let error = upscale(args).unwrap_err();
    assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()));
    error.to_string().lines().next().unwrap().to_owned()
}

#[test]
fn the_declaration_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let options = upscale("in.mkv -o out.mkv -m x2.onnx").unwrap();
    let expected = Options {
        input: "in.mkv".into(),
        output: Some("out.mkv".into()),
        model: Some("x2.onnx".into()),
        scale: None,
        device: Device::Auto,
        engine: Engine::Auto,
        precision: Precision::Auto,
        workers: None,
        memory_bytes: None,
        reuse: None,
        tolerance: 0.5,
        encoder: Encoder::Libx264,
        crf: None,
        preset: None,
        pix_fmt: None,
        overwrite: false,
        plan_only: false,
        plan_out: None,
        report: None,
        reuse_map: None,
        dump_composite: None,
        progress: ProgressMode::Auto,
        json: false,
        quiet: false,
        verbose: false,
    };
    assert_eq!(options, expected);
}

#[test]
fn every_option_arrives() {
    let options = upscale(
        "in.mkv -o out.mp4 --model m.onnx --scale 4 --device cpu --engine native --precision bf16 \
         --workers 3 --memory 800M --reuse off --tolerance 0 --encoder libsvtav1 --crf 30 --preset 6 \
         --pix-fmt yuv420p10le --overwrite --plan-out p.json --report r.json \
         --progress json --json -v",
    )
    .unwrap();
    assert_eq!(options.scale, Some(4));
    assert_eq!(options.device, Device::Cpu);
    assert_eq!(options.engine, Engine::Native);
    assert_eq!(options.precision, Precision::Bf16);
    assert_eq!(options.workers, Some(3));
    assert_eq!(options.memory_bytes, Some(800 << 20));
    assert_eq!(options.reuse, Some(Reuse::Off));
    assert!(options.tolerance.abs() < f32::EPSILON);
    assert_eq!(options.encoder.name(), "libsvtav1");
    assert_eq!(options.crf, Some(30));
    assert_eq!(options.preset.as_deref(), Some("6"));
    assert_eq!(options.pix_fmt.as_deref(), Some("yuv420p10le"));
    assert_eq!(options.plan_out, Some("p.json".into()));
    assert_eq!(options.report, Some("r.json".into()));
    assert_eq!(options.progress, ProgressMode::Json);
    assert!(options.overwrite && options.json && options.verbose);
}

#[test]
fn an_output_is_needed_unless_nothing_is_written() {
    assert_eq!(
        refusal("in.mkv"),
        "error: an output is needed: give -o FILE, or --encoder null to only measure"
    );
    assert_eq!(upscale("in.mkv --encoder null").unwrap().output, None);
    assert!(upscale("in.mkv --plan-only").unwrap().plan_only);
}

#[test]
fn values_out_of_range_are_refused() {
    for wrong in [
        "--workers 0",
        "--scale 0",
        "--scale 17",
        "--tolerance -1",
        "--tolerance NaN",
        "--tolerance inf",
        "--crf 64",
        "--device gpu",
        "--engine onnx",
        "--precision fp16",
        "--encoder mpeg2",
        "-q -v",
    ] {
        refusal(&format!("in.mkv -o out.mkv {wrong}"));
    }
}

#[test]
fn memory_is_given_in_bytes_or_with_a_binary_unit() {
    let memory = |size: &str| {
        let options = upscale(&format!("in.mkv -o out.mkv --memory {size}"));
        options.unwrap().memory_bytes
    };
    for size in [
        "4G",
        "4g",
        "4GB",
        "4gib",
        "4096M",
        "4194304K",
        "4294967296",
        "4294967296B",
    ] {
        assert_eq!(memory(size), Some(4 << 30), "{size}");
    }
    for size in ["64M", "64mib", "65536KiB", "67108864"] {
        assert_eq!(memory(size), Some(64 << 20), "{size}");
    }
}

#[test]
fn memory_that_is_nonsense_or_too_little_is_refused() {
    let refused = |size: &str| refusal(&format!("in.mkv -o out.mkv --memory={size}"));
    for size in [
        "", "G", "-4G", "+4G", "4P", "4.5G", "4GG", "4Gi", "64iB", "0x4G", "four", "4é",
    ] {
        let expected = format!(
            "error: invalid value '{size}' for '--memory <SIZE>': a size such as 4G or 800M"
        );
        assert_eq!(refused(size), expected);
    }
    // 2^64 bytes, and a number that is larger without a unit.
    for size in ["17179869184G", "99999999999999999999"] {
        assert!(
            refused(size).ends_with("a size such as 4G or 800M"),
            "{size}"
        );
    }
    for size in ["0", "4", "63M", "67108863", "65535K"] {
        assert!(
            refused(size).ends_with("at least 64M; without K, M or G it is in bytes"),
            "{size}"
        );
    }
}

#[test]
fn options_without_effect_are_refused() {
    let wrong = "--encoder ffv1 --crf 18";
    assert_eq!(
        refusal(&format!("in.mkv -o out.mkv {wrong}")),
        "error: --crf has no effect on ffv1"
    );
    refusal("in.mkv --encoder null --pix-fmt yuv420p");
    refusal("in.mkv --plan-only --report r.json");
}

#[test]
fn no_file_is_written_over_another_of_the_run() {
    assert_eq!(
        refusal("in.mkv -o ./in.mkv --overwrite"),
        "error: INPUT and --output are the same file"
    );
    refusal("in.mkv -o out.mkv --report out.mkv");
    refusal("in.mkv -o out.mkv --plan-out doc.json --report ./doc.json");
    let folder = tempfile::tempdir().unwrap();
    let (input, link) = (folder.path().join("in.mkv"), folder.path().join("link.mkv"));
    fs::write(&input, b"x").unwrap();
    std::os::unix::fs::symlink(&input, &link).unwrap();
    refusal(&format!("{} -o {}", input.display(), link.display()));
}

#[test]
fn an_input_may_look_like_an_option_after_two_dashes() {
    let options = upscale("-o out.mkv -- -in.mkv").unwrap();
    assert_eq!(options.input, PathBuf::from("-in.mkv"));
}

#[test]
fn the_help_lists_every_exit_code() {
    let error = upscale("--help").unwrap_err();
    assert_eq!(error.exit_code(), 0);
    let help = error.to_string();
    for exit in Exit::ALL {
        let line = format!("{:>3}  {}", exit.code(), exit.meaning());
        assert!(help.contains(&line), "{line}");
    }
}

#[test]
fn setup_takes_what_to_fetch_and_nothing_else() {
    let setup = |args: &[&str]| parse([&["framewright", "setup"], args].concat()).unwrap();
    assert_eq!(setup(&[]), Action::Setup { yt_dlp: false });
    assert_eq!(setup(&["--yt-dlp"]), Action::Setup { yt_dlp: true });
    parse(["framewright", "setup", "now"]).unwrap_err();
}

#[test]
fn models_are_listed_and_nothing_else() {
    let list = |json| Action::ListModels { json };
    assert_eq!(
        parse(["framewright", "models", "list"]).unwrap(),
        list(false)
    );
    let words = ["framewright", "models", "list", "--json"];
    assert_eq!(parse(words).unwrap(), list(true));
    for wrong in [
        &["models"][..],
        &["models", "help"],
        &["models", "list", "x"],
    ] {
        let words = ["framewright"].iter().chain(wrong);
        assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn the_help_names_the_default_model() {
    let help = upscale("-h").unwrap_err().to_string();
    let default = format!("[default: {}]", framewright_infer::DEFAULT_MODEL);
    assert!(help.contains(&default), "{help}");
}

fn bench(args: &str) -> Result<BenchOptions, clap::Error> {
    let words = ["framewright", "bench"].into_iter();
    match parse(words.chain(args.split_whitespace()))? {
        Action::Bench(options) => Ok(*options),
        other => panic!("that was {other:?}"),
    }
}

#[test]
fn bench_takes_the_defaults_of_upscale_and_needs_no_output() {
    let options = bench("in.mkv").unwrap();
    let like = upscale("in.mkv -o out.mkv").unwrap();
    let expected = Options {
        output: None,
        ..like
    };
    assert_eq!(options.upscale, expected);
    assert_eq!((options.start_secs, options.length_secs), (None, None));
}

#[test]
fn every_option_of_bench_arrives() {
    let options = bench(
        "in.mkv -m m.onnx --scale 4 --engine native --precision bf16 --workers 3 --memory 2G --tolerance 0 \
         --encoder libx265 --crf 30 --preset fast --start 1.5 --seconds 0.5 --json",
    )
    .unwrap();
    let like = upscale(
        "in.mkv -o o.mkv -m m.onnx --scale 4 --engine native --precision bf16 --workers 3 --memory 2G --tolerance 0 \
         --encoder libx265 --crf 30 --preset fast --json",
    )
    .unwrap();
    assert_eq!(options.upscale.output, None);
    let output = like.output.clone();
    assert_eq!(
        Options {
            output,
            ..options.upscale
        },
        like
    );
    assert_eq!(
        (options.start_secs, options.length_secs),
        (Some(1.5), Some(0.5))
    );
}

#[test]
fn bench_refuses_what_would_have_no_effect_or_no_sense() {
    for wrong in [
        "--seconds 0",
        "--seconds -1",
        "--start -1",
        "--start NaN",
        "--start inf",
        "--seconds 1e10",
    ] {
        assert_eq!(
            bench(&format!("in.mkv {wrong}")).unwrap_err().exit_code(),
            2,
            "{wrong}"
        );
    }
    for wrong in [
        "--encoder null --crf 20",
        "--encoder ffv1 --preset 1",
        "-o out.mkv",
        "--reuse off",
    ] {
        assert_eq!(
            bench(&format!("in.mkv {wrong}")).unwrap_err().exit_code(),
            2,
            "{wrong}"
        );
    }
}
