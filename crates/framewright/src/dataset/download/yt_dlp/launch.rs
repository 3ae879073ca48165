//! How yt-dlp is found and started, so that nothing else that lies about is run with it.
//!
//! Python takes modules from the current folder, from what `PYTHONPATH` names and from the user's folder, and runs the
//! `sitecustomize` and `usercustomize` that it finds there. So yt-dlp is found once, and Python is then started in its
//! isolated mode (`-I`), which takes nothing of that, with the one folder named that yt-dlp itself lies in. It works in a
//! private folder, which is its home as well, and gets no variable but those set here.
//!
//! Invariant: what is run is the program that was found, by its absolute path.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::INSTALLED;
use crate::dataset::trouble::{Class, Trouble};
use crate::process::{BeforeExec, KEPT, Limits, Tool, Watched, find_program};

/// Runs the module `yt_dlp` of the folder that is the first argument: a folder of packages, or one that such a folder is
/// installed in. It comes after Python's own modules, which nothing in it may stand in for.
const RUN_MODULE: &str = r#"
import os, runpy, sys
prefix = sys.argv.pop(1)
packages = os.path.join(prefix, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
places = [place for place in (prefix, packages) if os.path.isfile(os.path.join(place, "yt_dlp", "__main__.py"))]
others = [at for at, place in enumerate(sys.path) if place.endswith("-packages")]
at = others[0] if others else len(sys.path)
sys.path[at:at] = places
runpy.run_module("yt_dlp", run_name="__main__", alter_sys=True)
"#;
/// A `PATH` that leads nowhere: yt-dlp would run what it finds, such as `rtmpdump` or `mpv`.
const NO_PROGRAMS: &str = "/nonexistent";
/// Read of a script, to know how it is run.
const SCRIPT_BYTES: u64 = 64 * 1024;

/// An installed yt-dlp, and how it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    program: PathBuf,
    /// Arguments before its own.
    args: Vec<OsString>,
    /// The program is a script that needs others, such as the shims of version managers.
    gets_path: bool,
    /// JavaScript runtimes, by name.
    pub runtimes: Vec<(&'static str, PathBuf)>,
}

/// Where one run of it has its place.
pub struct Place<'a> {
    /// A private folder, its home and the one it works in.
    pub home: &'a Path,
    /// The proxy by which it fetches everything.
    pub proxy: &'a str,
    /// The fence around it.
    pub fence: Option<BeforeExec>,
}

impl Launch {
    /// The one that `framewright setup --yt-dlp` installed, else the one on `PATH`.
    ///
    /// # Errors
    /// There is none, or no Python to run it.
    pub fn find(data_folder: Option<&Path>) -> Result<Self, Trouble> {
        let installed = data_folder
            .map(|folder| folder.join(INSTALLED))
            .filter(|folder| folder.join("yt_dlp").is_dir());
        if let Some(folder) = installed {
            return Ok(Self::of_module(program("python3")?, &folder));
        }
        let found = program("yt-dlp")?;
        match Script::read(&found) {
            Some(Script { python, is_wrapper }) if is_wrapper => {
                // Where links lead: what is installed beside it is not beside a link to it.
                let script = found.canonicalize().unwrap_or(found);
                let prefix = script.parent().and_then(Path::parent);
                Ok(Self::of_module(python, prefix.unwrap_or(Path::new("/"))))
            }
            Some(Script { python, .. }) => Ok(Self::of_python(python, vec![found.into()])),
            None => Ok(Self::new(found, Vec::new())),
        }
    }

    fn of_module(python: PathBuf, prefix: &Path) -> Self {
        let prefix = std::path::absolute(prefix).unwrap_or_else(|_| prefix.to_owned());
        let args = vec!["-c".into(), RUN_MODULE.into(), prefix.into()];
        Self::of_python(python, args)
    }

    fn of_python(python: PathBuf, args: Vec<OsString>) -> Self {
        // Isolated, and its lines come as they are written.
        let flags = ["-I", "-u"].map(OsString::from);
        Self::new(python, flags.into_iter().chain(args).collect())
    }

    fn new(program: PathBuf, args: Vec<OsString>) -> Self {
        let beside = program.parent().map(Path::to_owned);
        let runtime = |name: &'static str| {
            let beside = beside.iter().map(|folder| folder.join(name));
            let beside = beside.into_iter().find(|path| path.is_file());
            Some((name, beside.or_else(|| find_program(OsStr::new(name)))?))
        };
        Self {
            gets_path: is_script(&program),
            runtimes: ["deno", "node"].into_iter().filter_map(runtime).collect(),
            program,
            args,
        }
    }

    /// Runs it where it has its place.
    ///
    /// # Errors
    /// It cannot be started or read.
    pub fn watch(
        &self,
        args: &[OsString],
        place: &Place,
        stall: Duration,
        mut on_line: impl FnMut(&str),
        cancelled: impl Fn() -> bool,
    ) -> anyhow::Result<Watched> {
        let [home, proxy] = [place.home.as_os_str(), OsStr::new(place.proxy)];
        let mut env: Vec<(&str, &OsStr)> = Vec::new();
        env.extend(
            [
                "HOME",
                "TMPDIR",
                "XDG_CONFIG_HOME",
                "XDG_CACHE_HOME",
                "XDG_DATA_HOME",
            ]
            .map(|name| (name, home)),
        );
        env.extend(
            ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy"].map(|name| (name, proxy)),
        );
        // For a yt-dlp that is not started as Python; in isolated mode they mean nothing.
        env.extend(
            [
                "PYTHONSAFEPATH",
                "PYTHONNOUSERSITE",
                "PYTHONUNBUFFERED",
                "YTDLP_NO_PLUGINS",
            ]
            .map(|name| (name, OsStr::new("1"))),
        );
        if !self.gets_path {
            env.push(("PATH", OsStr::new(NO_PROGRAMS)));
        }
        let all: Vec<&OsStr> = self
            .args
            .iter()
            .chain(args)
            .map(OsString::as_os_str)
            .collect();
        let tool = Tool {
            program: self.program.as_os_str(),
            missing: "run framewright setup --yt-dlp",
            inherits: &KEPT,
            env: &env,
            folder: Some(place.home),
            before_exec: place.fence.clone(),
        };
        let limits = Limits {
            stall,
            // `cancelled` knows of it.
            total: Duration::MAX,
            // A playlist comes at once.
            lines_bytes: 64 << 20,
            check: &|_| None,
        };
        let on_line = |line: &str| {
            on_line(line);
            true
        };
        tool.watch(&all, &limits, on_line, cancelled)
    }
}

fn program(name: &str) -> Result<PathBuf, Trouble> {
    find_program(OsStr::new(name)).ok_or_else(|| {
        let message = format!("{name} is not installed; run framewright setup --yt-dlp");
        Trouble::new(Class::Environment, message)
    })
}

fn is_script(path: &Path) -> bool {
    let mut begin = [0; 2];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut begin))
        .is_ok()
        && begin == *b"#!"
}

/// A script of Python.
struct Script {
    python: PathBuf,
    /// It does nothing but run the module `yt_dlp`, as installers write it; else it is an archive, or somebody's own.
    is_wrapper: bool,
}

impl Script {
    /// `None` for what is no script of Python.
    fn read(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        let read = |file: File| file.take(SCRIPT_BYTES).read_to_end(&mut bytes);
        let _: io::Result<usize> = File::open(path).and_then(read);
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let first = std::str::from_utf8(bytes[..end].strip_prefix(b"#!")?).ok()?;
        let rest = &bytes[end + 1..];
        let mut words = first.split_whitespace();
        let mut python = Path::new(words.next()?);
        if python.file_name() == Some(OsStr::new("env")) {
            python = Path::new(words.find(|word| !word.starts_with('-'))?);
        }
        let name = python.file_name()?.to_str()?;
        let is_archive = rest.starts_with(b"PK");
        let names_module = rest.windows(6).any(|window| window == b"yt_dlp");
        name.starts_with("python").then_some(())?;
        Some(Self {
            python: find_program(python.as_os_str())?,
            is_wrapper: !is_archive && names_module,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn script(text: &[u8]) -> Option<(PathBuf, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("yt-dlp");
        fs::write(&path, text).unwrap();
        Script::read(&path).map(|script| (script.python, script.is_wrapper))
    }

    #[test]
    fn scripts_of_python_are_known_by_their_first_line() {
        let python = PathBuf::from("/opt/a/bin/python3.12");
        let wrapper =
            b"#!/opt/a/bin/python3.12\nimport sys\nfrom yt_dlp import main\nsys.exit(main())\n";
        assert_eq!(script(wrapper), Some((python.clone(), true)));
        let archive = b"#!/opt/a/bin/python3.12\nPK\x03\x04yt_dlp/__main__.py";
        assert_eq!(script(archive), Some((python.clone(), false)));
        assert_eq!(
            script(b"#!/opt/a/bin/python3.12\nprint(1)\n"),
            Some((python, false))
        );
        assert_eq!(script(b"#!/bin/sh\nexec yt_dlp\n"), None);
        assert_eq!(script(b"\x7fELF\n"), None);
        assert_eq!(script(b""), None);
    }

    #[test]
    fn the_child_gets_a_private_home_the_proxy_and_nothing_else_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("yt-dlp");
        let script = "#!/bin/sh\necho \"FOLDER=$(pwd)\"; echo \"FILES=$(ls -A)\"; env\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(
            &program,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let launch = Launch::new(program, Vec::new());
        assert!(launch.gets_path);
        let place = tempfile::tempdir().unwrap();
        let at_home = Place {
            home: place.path(),
            proxy: "http://proxy",
            fence: None,
        };
        let mut lines = Vec::new();
        let on_line = |line: &str| lines.push(line.to_owned());
        let minute = Duration::from_mins(1);
        let watched = launch.watch(&[], &at_home, minute, on_line, || false);
        assert!(watched.unwrap().status.success());
        let at = place.path().canonicalize().unwrap();
        let at = at.to_str().unwrap();
        for line in &lines {
            let (name, value) = line.split_once('=').unwrap();
            let expected = match name {
                "FOLDER" | "PWD" | "HOME" | "TMPDIR" => Some(at),
                name if name.starts_with("XDG_") => Some(at),
                name if name.ends_with("_proxy") => Some("http://proxy"),
                "FILES" => Some(""),
                name if name.starts_with("PYTHON") => Some("1"),
                "YTDLP_NO_PLUGINS" => Some("1"),
                // By the last one, what it starts is found and ended with it.
                "SHLVL" | "_" | "OLDPWD" | "FRAMEWRIGHT_CHILD" => None,
                name if KEPT.contains(&name) => None,
                other => panic!("{other} is handed on: {lines:#?}"),
            };
            assert!(expected.is_none_or(|expected| value == expected), "{line}");
        }
        assert!(lines.len() >= 12, "{lines:?}");
    }
}
