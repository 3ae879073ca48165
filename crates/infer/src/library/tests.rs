//! The search, on folders made for it.

use super::*;
use tempfile::TempDir;

/// A machine with the given files, all empty, and the given variables, whose values are below its root.
struct Machine {
    root: TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Machine {
    fn new(files: &[&str], variables: &[(&'static str, &'static str)]) -> Self {
        let root = TempDir::new().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Self {
            root,
            variables: variables.to_vec(),
        }
    }

    fn search(&self) -> Result<String, Error> {
        let root = self.root.path();
        let variables = |name: &str| {
            let (_, value) = self.variables.iter().find(|(n, _)| *n == name)?;
            let below = |part: &str| {
                if part.is_empty() {
                    OsString::new()
                } else {
                    root.join(part).into()
                }
            };
            Some(std::env::join_paths(value.split(':').map(below)).unwrap())
        };
        let found = search(&variables, Some(&root.join("bin/framewright")))?;
        Ok(found
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned())
    }
}

const EVERYWHERE: &[&str] = &[
    "asked/libonnxruntime.so.1.31.1",
    "bin/libonnxruntime.so",
    "data/framewright/libonnxruntime.so.1.30.0",
    "venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.29.0",
    "usr/bin/python3",
    "usr/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.28.0",
];
const VARIABLES: &[(&str, &str)] = &[
    ("FRAMEWRIGHT_ORT", "asked"),
    ("XDG_DATA_HOME", "data"),
    ("VIRTUAL_ENV", "venv"),
    ("PATH", "opt/bin:usr/bin"),
];

#[test]
fn the_places_are_searched_in_the_documented_order() {
    let order = [
        "asked/libonnxruntime.so.1.31.1",
        "bin/libonnxruntime.so",
        "data/framewright/libonnxruntime.so.1.30.0",
        "venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.29.0",
        "usr/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.28.0",
    ];
    for first in 0..order.len() {
        let files: Vec<_> = EVERYWHERE
            .iter()
            .copied()
            .filter(|file| !order[..first].contains(file))
            .collect();
        let variables = &VARIABLES[usize::from(first > 0)..];
        assert_eq!(
            Machine::new(&files, variables).search().unwrap(),
            order[first]
        );
    }
}

#[test]
fn a_set_but_wrong_framewright_ort_is_an_error_although_others_are_there() {
    for (wrong, words) in [
        ("gone/libonnxruntime.so", "nothing that exists"),
        ("usr", "a folder without"),
    ] {
        let machine = Machine::new(
            EVERYWHERE,
            &[("FRAMEWRIGHT_ORT", wrong), ("XDG_DATA_HOME", "data")],
        );
        let error = machine.search().unwrap_err();
        assert!(matches!(error, Error::Library { .. }));
        let text = error.to_string();
        assert!(
            text.contains(words) && text.contains("framewright setup") && text.ends_with(wrong),
            "{text}"
        );
    }
}

#[test]
fn framewright_ort_may_name_the_file_under_any_name_and_empty_means_unset() {
    let machine = Machine::new(
        &["x/my-build.so", "bin/libonnxruntime.so"],
        &[("FRAMEWRIGHT_ORT", "x/my-build.so")],
    );
    assert_eq!(machine.search().unwrap(), "x/my-build.so");
    let machine = Machine::new(&["bin/libonnxruntime.so"], &[("FRAMEWRIGHT_ORT", "")]);
    assert_eq!(machine.search().unwrap(), "bin/libonnxruntime.so");
}

#[test]
fn nothing_found_names_the_command_that_fixes_it_and_every_place() {
    let machine = Machine::new(&["usr/bin/python3"], &VARIABLES[1..]);
    let error = machine.search().unwrap_err();
    assert!(matches!(error, Error::MissingLibrary { .. }));
    let text = error.to_string();
    for part in [
        "`framewright setup`",
        "FRAMEWRIGHT_ORT",
        "/bin",
        "/data/framewright",
        "/venv",
        "/usr",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(!text.contains('\n'));
}

#[test]
fn without_home_and_python_it_says_so_and_does_not_fail_otherwise() {
    let error = Machine::new(&[], &[]).search().unwrap_err();
    assert!(
        error.to_string().contains("of which there is none"),
        "{error}"
    );
}

#[test]
fn the_unversioned_name_wins_then_the_highest_version_by_number() {
    let files = [
        "bin/libonnxruntime.so.1.9.0",
        "bin/libonnxruntime.so.1.31.1",
        "bin/libonnxruntime.so.1.4.0",
    ];
    assert_eq!(
        Machine::new(&files, &[]).search().unwrap(),
        "bin/libonnxruntime.so.1.31.1"
    );
    let files = ["bin/libonnxruntime.so.1.9.0", "bin/libonnxruntime.so"];
    assert_eq!(
        Machine::new(&files, &[]).search().unwrap(),
        "bin/libonnxruntime.so"
    );
}

#[test]
fn provider_libraries_and_leftovers_are_not_taken_for_the_runtime() {
    let files = [
        "bin/libonnxruntime_providers_shared.so",
        "bin/libonnxruntime.so.partial",
        "bin/libonnxruntime.so.1.partial",
    ];
    assert!(matches!(
        Machine::new(&files, &[]).search(),
        Err(Error::MissingLibrary { .. })
    ));
}

#[test]
fn debian_system_packages_and_user_packages_are_found() {
    for packages in [
        "usr/local/lib/python3.11/dist-packages",
        "home/.local/lib/python3.12/site-packages",
    ] {
        let library = format!("{packages}/onnxruntime/capi/libonnxruntime.so.1.31.1");
        let machine = Machine::new(
            &["usr/bin/python3", &library],
            &[("PATH", "usr/bin"), ("HOME", "home")],
        );
        assert_eq!(machine.search().unwrap(), library);
    }
}

#[cfg(unix)]
#[test]
fn a_python_that_is_a_link_leads_to_its_own_environment() {
    let library = "envs/a/lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1";
    let machine = Machine::new(&["envs/a/bin/python3.12", library], &[("PATH", "shims")]);
    let root = machine.root.path();
    fs::create_dir(root.join("shims")).unwrap();
    std::os::unix::fs::symlink(
        root.join("envs/a/bin/python3.12"),
        root.join("shims/python3"),
    )
    .unwrap();
    assert_eq!(machine.search().unwrap(), library);
}

#[test]
fn the_data_folder_follows_xdg_and_ignores_a_relative_one() {
    let folder = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), OsString::from(v)))
            .collect();
        data_dir_of(&|name| {
            pairs
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
        })
    };
    assert_eq!(
        folder(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]).unwrap(),
        Path::new("/x/framewright")
    );
    let home = Path::new("/h/.local/share/framewright");
    assert_eq!(
        folder(&[("XDG_DATA_HOME", "x"), ("HOME", "/h")]).unwrap(),
        home
    );
    assert_eq!(folder(&[("HOME", "/h")]).unwrap(), home);
    assert_eq!(folder(&[]), None);
}
