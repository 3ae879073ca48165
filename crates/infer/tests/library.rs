//! Libraries that cannot be used. Each is loaded in a process of its own, since a process loads one for good.

#![expect(
    clippy::disallowed_methods,
    reason = "a test starts itself with other variables, and a compiler"
)]

use std::path::Path;
use std::process::Command;

use framewright_infer::{Choice, Engine, Error, Model};

/// Not a test of its own: what the next one runs with other libraries.
#[test]
#[ignore = "needs its own process; run by the test below"]
fn child_that_opens_a_model() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/nearest-x2.onnx"
    );
    match Model::open(
        path,
        Choice {
            engine: Engine::Ort,
            ..Choice::default()
        },
    ) {
        Ok(_) => println!("opened"),
        Err(error @ (Error::MissingLibrary { .. } | Error::Library { .. })) => {
            println!("library: {error}");
        }
        Err(error) => println!("other: {error}"),
    }
}

#[test]
fn a_library_that_cannot_be_used_is_named_with_the_command_that_fixes_it() {
    let folder = tempfile::tempdir().unwrap();
    let opened_with = |library: &Path| {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "child_that_opens_a_model",
            ])
            .env("FRAMEWRIGHT_ORT", library)
            .env("XDG_DATA_HOME", folder.path())
            .env("HOME", folder.path())
            .env("PATH", "")
            .env_remove("VIRTUAL_ENV")
            .env_remove("CONDA_PREFIX")
            .output()
            .unwrap();
        assert!(
            child.status.success(),
            "{}",
            String::from_utf8_lossy(&child.stderr)
        );
        let text = String::from_utf8(child.stdout).unwrap();
        let line = text
            .lines()
            .find(|line| line.contains("library: "))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains("`framewright setup`"), "{line}");
        line.to_owned()
    };
    let compiled = |name: &str, source: &str| {
        let path = folder.path().join(name);
        std::fs::write(path.with_extension("c"), source).unwrap();
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&path, &path.with_extension("c")])
            .status();
        assert!(made.unwrap().success());
        path
    };
    let text = folder.path().join("text.so");
    std::fs::write(&text, "not a library").unwrap();
    let other = compiled("other.so", "int answer(void) { return 42; }");
    let old = compiled(
        "old.so",
        "static const void *api(unsigned v) { return 0; }\n\
         static const char *version(void) { return \"1.16.3\"; }\n\
         static const struct { const void *(*a)(unsigned); const char *(*v)(void); } base = { api, version };\n\
         const void *OrtGetApiBase(void) { return &base; }",
    );
    for (library, reason) in [
        (text.as_path(), "does not load"),
        (&other, "is not ONNX Runtime"),
        (&old, "ONNX Runtime 1.16.3 is too old, 1.23 or later"),
        (&folder.path().join("gone.so"), "nothing that exists"),
    ] {
        let line = opened_with(library);
        assert!(
            line.contains(reason) && line.ends_with(library.to_str().unwrap()),
            "{line}"
        );
    }
    let line = opened_with(Path::new(""));
    assert!(line.contains("was not found"), "{line}");
}
