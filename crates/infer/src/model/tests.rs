//! Names, files, scales and what is refused.

use super::*;
use crate::{BUILTINS, DEFAULT_MODEL};
use framewright_media::PlanarRgb;

fn error(name_or_path: impl AsRef<Path>) -> Error {
    Model::open(name_or_path, Choice::default())
        .err()
        .expect("must not open")
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let text = error("neerest-x2").to_string();
    assert!(
        text.contains("(lite-x2, nearest-x2)") && text.ends_with(": neerest-x2"),
        "{text}"
    );
}

#[test]
fn what_is_not_a_readable_file_is_an_error_that_ends_with_the_path() {
    for path in [
        "gone.onnx",
        "some/folder/gone",
        "/",
        "/dev/zero",
        "./nearest-x2",
        "./lite-x2",
    ] {
        let error = error(path);
        assert!(matches!(error, Error::ReadModel { .. }), "{error:?}");
        assert!(error.to_string().ends_with(path), "{error}");
    }
}

#[test]
fn the_instruction_set_asked_for_is_taken_if_it_is_there() {
    assert_eq!(isa(None).unwrap(), Isa::best());
    assert_eq!(isa(Some(OsString::new())).unwrap(), Isa::best());
    for available in Isa::available() {
        assert_eq!(isa(Some(available.key().into())).unwrap(), available);
    }
    let text = isa(Some("avx1024".into())).unwrap_err().to_string();
    assert!(
        text.contains("portable") && text.ends_with(": avx1024"),
        "{text}"
    );
}

#[test]
fn the_default_model_is_inside_and_runs_on_the_engine_native() {
    let model = Model::open(DEFAULT_MODEL, Choice::default()).unwrap();
    let info = model.info();
    assert_eq!((info.name.as_str(), info.engine), ("lite-x2", "native"));
    assert_eq!((info.scale, info.passes), (2, 1));
    assert_eq!(info.sha256, BUILTINS[0].sha256());
    assert_eq!(info.sha256.as_ref().map(String::len), Some(64));
    let mut output = PlanarRgb::default();
    let mut upscalers = model.upscalers(1).unwrap();
    upscalers[0]
        .run(&PlanarRgb::new(17, 9), &mut output)
        .unwrap();
    assert_eq!((output.width(), output.height()), (34, 18));
}

#[test]
fn onnx_runtime_does_not_run_the_built_in_network() {
    let choice = Choice {
        engine: Engine::Ort,
        ..Choice::default()
    };
    let error = Model::open(DEFAULT_MODEL, choice).err().unwrap();
    assert!(matches!(error, Error::Model { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "ONNX Runtime runs .onnx files only, leave out --engine ort: lite-x2"
    );
}

#[test]
fn a_scale_is_the_models_own_or_a_power_of_it() {
    let open = || Model::open("nearest-x2", Choice::default()).unwrap();
    for (scale, passes) in [(2, 1), (4, 2), (8, 3), (16, 4)] {
        let model = open().with_scale(scale).unwrap();
        assert_eq!((model.info().scale, model.info().passes), (scale, passes));
        assert_eq!(model.upscalers(1).unwrap()[0].model(), model.info());
        // The last word counts, and nothing of the one before is left.
        let back = model.with_scale(2).unwrap();
        assert_eq!(back.info(), open().info());
    }
    for scale in [0, 1, 3, 6, 12, 32] {
        let error = open().with_scale(scale).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "nearest-x2 does not give scale {scale}, and nothing is resized silently; use --scale 2, 4, 8 or \
                 16, or another model"
            )
        );
    }
}

#[test]
fn a_worker_of_several_passes_holds_its_last_network_and_the_pictures_between() {
    let open = || Model::open(DEFAULT_MODEL, Choice::default()).unwrap();
    let one = open();
    let bytes = |scale| open().with_scale(scale).unwrap().worker_bytes(96, 64);
    let picture = |factor| 3 * 4 * (factor * 96 * factor * 64) as u64;
    assert_eq!(bytes(2), one.worker_bytes(96, 64));
    assert_eq!(bytes(4), one.worker_bytes(192, 128) + picture(2));
    let between = picture(2) + picture(4);
    assert_eq!(bytes(8), one.worker_bytes(384, 256) + between);
    let scaler = Model::open("nearest-x2", Choice::default()).unwrap();
    let scaler = scaler.with_scale(8).unwrap();
    assert_eq!(scaler.worker_bytes(96, 64), between);
}

#[test]
fn nearest_x2_needs_no_library_and_makes_as_many_workers_as_asked() {
    let model = Model::open("nearest-x2", Choice::default()).unwrap();
    assert_eq!(model.info().scale, 2);
    assert_eq!(model.upscalers(3).unwrap().len(), 3);
    assert_eq!(model.upscalers(1).unwrap()[0].model(), model.info());
}
