//! `framewright setup`: brings ONNX Runtime's CPU library, or yt-dlp, into the data folder.
//!
//! The library is taken out of the `onnxruntime` wheel that the ordinary pip client
//! downloads, from whatever index pip is set up for. Wheel and library are pinned by hash.
//!
//! yt-dlp changes with the sites it knows, so of it a least version is asked for and no hash; it gets a folder of its own
//! (`setup/yt_dlp.rs`).
//!
//! Invariant: the library in the data folder is whole or absent, and nothing else is left
//! behind, also by a run that was killed, once the next one has run.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use framewright_infer::data_dir;
use sha2::{Digest as _, Sha256};

use crate::{
    durable,
    exit::{Exit, OrExit as _, fail},
    process::{Ended, KEPT, Tool},
    screen::{Line, Screen},
    signals,
};

mod yt_dlp;

/// The version that is fetched; the infer crate's engine speaks its API.
const VERSION: &str = "1.31.1";
const LIBRARY: &str = "libonnxruntime.so";
/// Work in progress, inside the data folder so that the last step is a rename.
const PARTIAL: &str = ".setup.partial";
/// Where Python works, inside the work folder.
const EMPTY: &str = "empty";
/// Python that takes one file out of a wheel: archive, member, target folder.
const EXTRACT: &str = "import sys, zipfile; \
    zipfile.ZipFile(sys.argv[1]).extract(sys.argv[2], sys.argv[3])";

/// What is fetched, for what is said of it.
struct Product {
    name: &'static str,
    /// Its name and version in the index.
    package: &'static str,
    command: &'static str,
    /// What to do when the index does not have it.
    instead: &'static str,
}

const ONNX_RUNTIME: &Product = &Product {
    name: "ONNX Runtime",
    package: "onnxruntime 1.31.1",
    command: "framewright setup",
    instead: "set FRAMEWRIGHT_ORT to an installed library",
};

/// The wheel for one processor family, and the library inside.
struct Wheel {
    platform: &'static str,
    sha256: &'static str,
    library_sha256: &'static str,
}

const X86_64: Wheel = Wheel {
    platform: "manylinux_2_28_x86_64",
    sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
    library_sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
};
const AARCH64: Wheel = Wheel {
    platform: "manylinux_2_28_aarch64",
    sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
    library_sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
};

/// What [`run`] did.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// The library was there already, the same to the last bit.
    AlreadyThere(PathBuf),
    /// The library has been installed.
    Installed(PathBuf),
    /// yt-dlp of this version has been installed, or brought to it.
    YtDlp(String, PathBuf),
}

impl Done {
    /// The line for standard output.
    pub fn summary(&self) -> String {
        match self {
            Self::AlreadyThere(path) => {
                format!("ONNX Runtime {VERSION} is already at {}", path.display())
            }
            Self::Installed(path) => {
                format!("ONNX Runtime {VERSION} installed at {}", path.display())
            }
            Self::YtDlp(version, path) => {
                format!("yt-dlp {version} installed at {}", path.display())
            }
        }
    }
}

/// Fetches and installs the library. Does nothing when it is there.
///
/// # Errors
/// python3 or pip is missing, or there is no wheel for this machine (69); the index cannot
/// be reached (75); what came has another hash (65); the data folder cannot be written
/// (73, 74, 77); a signal came (130, 143). Nothing is left behind then.
pub fn run(screen: &Screen) -> anyhow::Result<Done> {
    let wheel = wheel_for(env::consts::OS, env::consts::ARCH)?;
    let folder = data_folder()?;
    let create = |error: io::Error| cannot_write(&error, &folder);
    let _lock = lock(&folder)?;
    let partial = Partial::create(folder.join(PARTIAL)).map_err(create)?;

    let target = folder.join(LIBRARY);
    if hash_of(&target).is_ok_and(|hash| hash == wheel.library_sha256) {
        return Ok(Done::AlreadyThere(target));
    }
    screen.say(&Line::Info(format!(
        "fetching ONNX Runtime {VERSION} with pip"
    )));
    let watch = signals::watch(|_| (), |_| ())?;
    let fetched = fetch(wheel, &partial.0, || watch.caught().is_some());
    if let Some(exit) = watch.caught() {
        return Err(fail(exit, "interrupted; nothing is installed"));
    }
    durable::publish(&fetched?, &target).map_err(create)?;
    Ok(Done::Installed(target))
}

/// Installs yt-dlp into a folder of its own in the data folder, or brings what is there to the newest version.
///
/// # Errors
/// As [`run`]; what was there before is still there then.
pub fn run_yt_dlp(screen: &Screen) -> anyhow::Result<Done> {
    let folder = data_folder()?;
    let _lock = lock(&folder)?;
    let partial = Partial::create(folder.join(PARTIAL));
    let partial = partial.map_err(|error| cannot_write(&error, &folder))?;
    screen.say(&Line::Info("fetching yt-dlp with pip".to_owned()));
    let watch = signals::watch(|_| (), |_| ())?;
    let fetched = yt_dlp::fetch(&partial.0, || watch.caught().is_some());
    if let Some(exit) = watch.caught() {
        return Err(fail(exit, "interrupted; nothing is installed"));
    }
    let (version, path) = yt_dlp::install(&fetched?, &partial.0, &folder)?;
    Ok(Done::YtDlp(version, path))
}

/// The data folder, made when it is not there.
fn data_folder() -> anyhow::Result<PathBuf> {
    let folder = data_dir().ok_or_else(|| {
        let message = "there is no folder for data; set HOME or XDG_DATA_HOME";
        fail(Exit::Config, message)
    })?;
    fs::create_dir_all(&folder).map_err(|error| cannot_write(&error, &folder))?;
    Ok(folder)
}

fn wheel_for(os: &str, arch: &str) -> anyhow::Result<&'static Wheel> {
    match (os, arch) {
        ("linux", "x86_64") => Ok(&X86_64),
        ("linux", "aarch64") => Ok(&AARCH64),
        _ => Err(fail(
            Exit::Unavailable,
            format!(
                "there is no ONNX Runtime to fetch for {os} on {arch}; \
                 install one and set FRAMEWRIGHT_ORT to its library"
            ),
        )),
    }
}

/// Downloads the wheel, takes the library out and checks it; gives its path in `work`.
fn fetch(wheel: &Wheel, work: &Path, cancelled: impl Fn() -> bool) -> anyhow::Result<PathBuf> {
    download(wheel, work, &cancelled)?;
    let archive = find_wheel(work)?;
    let member = format!("onnxruntime/capi/{LIBRARY}.{VERSION}");
    let args = [
        OsStr::new("-c"),
        OsStr::new(EXTRACT),
        archive.as_os_str(),
        OsStr::new(&member),
        work.as_os_str(),
    ];
    let ended = python(work, &args, &cancelled)?;
    if !ended.status.success() {
        return Err(python_failed(
            "taking it out of the wheel",
            ONNX_RUNTIME,
            &ended.tail,
        ));
    }
    let library = work.join(member);
    let hash = hash_of(&library).with_context(|| format!("cannot read {}", library.display()))?;
    if hash != wheel.library_sha256 {
        return Err(wrong_hash());
    }
    Ok(library)
}

fn download(wheel: &Wheel, work: &Path, cancelled: &impl Fn() -> bool) -> anyhow::Result<()> {
    let requirement = work.join("requirement.txt");
    let mut line = String::new();
    let _ = writeln!(
        line,
        "onnxruntime=={VERSION} --hash=sha256:{}",
        wheel.sha256
    );
    fs::write(&requirement, line).map_err(|error| cannot_write(&error, &requirement))?;
    let fixed = "-m pip --disable-pip-version-check --no-input download \
                 --progress-bar off --no-deps --only-binary=:all: --python-version 3.12 \
                 --implementation cp --abi cp312 --require-hashes --platform";
    let mut args: Vec<&OsStr> = fixed.split_whitespace().map(OsStr::new).collect();
    args.extend([
        OsStr::new(wheel.platform),
        OsStr::new("--dest"),
        work.as_os_str(),
        OsStr::new("-r"),
        requirement.as_os_str(),
    ]);
    let ended = python(work, &args, cancelled)?;
    if !ended.status.success() {
        return Err(python_failed("pip download", ONNX_RUNTIME, &ended.tail));
    }
    Ok(())
}

fn python(work: &Path, args: &[&OsStr], cancelled: impl Fn() -> bool) -> anyhow::Result<Ended> {
    // Isolated: modules that lie in the current folder, in the user's or in `PYTHONPATH` are not run.
    let isolated: Vec<&OsStr> = [OsStr::new("-I")].iter().chain(args).copied().collect();
    let folder = work.join(EMPTY);
    fs::create_dir_all(&folder).map_err(|error| cannot_write(&error, &folder))?;
    let own: Vec<(String, OsString)> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| is_for_pip(name))
        .collect();
    let mut env: Vec<(&str, &OsStr)> = Vec::new();
    env.extend(
        own.iter()
            .map(|(name, value)| (name.as_str(), value.as_os_str())),
    );
    // What pip leaves when it is killed goes away with the work folder.
    env.push(("TMPDIR", work.as_os_str()));
    let tool = Tool {
        program: OsStr::new("python3"),
        missing: "install it with apt-get install python3 python3-pip",
        inherits: &KEPT,
        env: &env,
        folder: Some(&folder),
        before_exec: None,
    };
    tool.run(&isolated, cancelled)
}

/// True for a variable that says which index pip is set up for, and by which way it is reached.
fn is_for_pip(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "HOME",
        "XDG_CONFIG_HOME",
        "XDG_CONFIG_DIRS",
        "XDG_CACHE_HOME",
        "NETRC",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ];
    const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    name.starts_with("PIP_")
        || NAMES.contains(&name)
        || PROXIES.contains(&name.to_ascii_uppercase().as_str())
}

/// What the words of pip or Python mean. They have one exit code for everything.
fn python_failed(what: &str, product: &Product, tail: &str) -> anyhow::Error {
    let says = |words: &[&str]| words.iter().any(|word| tail.contains(word));
    if says(&["No module named pip", "No module named 'pip'"]) {
        let message = "pip is not installed; install it with apt-get install python3-pip";
        return fail(Exit::Unavailable, message);
    }
    if says(&["DO NOT MATCH THE HASHES", "HashMismatch"]) {
        return wrong_hash();
    }
    if says(&["No space left on device", "Disk quota exceeded"]) {
        let message = format!("no space left for {} in the data folder", product.name);
        return fail(Exit::Io, message);
    }
    let no_network = [
        "NewConnectionError",
        "ConnectionError",
        "ConnectTimeout",
        "ReadTimeout",
        "timed out",
        "ProxyError",
        "ProtocolError",
        "IncompleteRead",
        "SSLError",
        "name resolution",
        "HTTP error 5",
        "Server Error",
    ];
    if says(&no_network) {
        let message = format!(
            "pip cannot reach its package index; check the network and run {} again",
            product.command
        );
        return fail(Exit::Transient, message);
    }
    if says(&["No matching distribution found", "Could not find a version"]) {
        let message = format!(
            "the package index pip is set up for does not have {}; use another index, or {}",
            product.package, product.instead
        );
        return fail(Exit::Unavailable, message);
    }
    fail(Exit::Failed, format!("{what} failed: {}", last_error(tail)))
}

fn wrong_hash() -> anyhow::Error {
    let message = format!(
        "what came is not the onnxruntime {VERSION} that framewright knows (its SHA-256 \
         differs); nothing is installed; check the package index pip is set up for"
    );
    fail(Exit::BadInput, message)
}

/// pip's own last `ERROR:` line, else its last line.
fn last_error(tail: &str) -> &str {
    let error = |line: &&str| line.starts_with("ERROR:");
    let lines = || tail.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().rfind(error).or_else(|| lines().next_back());
    line.unwrap_or("it says nothing")
        .trim_start_matches("ERROR: ")
}

fn find_wheel(folder: &Path) -> anyhow::Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .find(|path| path.extension() == Some(OsStr::new("whl")))
        .context("pip brought no wheel")
        .or_exit(Exit::Unavailable)
}

/// SHA-256 of a file, in lowercase hexadecimal.
fn hash_of(path: &Path) -> io::Result<String> {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(fs::read(path)?) {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

/// One setup at a time for one data folder. The lock ends with the process.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let file = File::open(folder).map_err(|error| cannot_write(&error, folder))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(fail(
            Exit::Transient,
            format!(
                "another framewright setup is at work in {}",
                folder.display()
            ),
        )),
        // Some network file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

fn cannot_write(error: &io::Error, path: &Path) -> anyhow::Error {
    let message = format!("{error}, cannot write {}", path.display());
    fail(Exit::of_create(error), message)
}

/// The work folder; gone when dropped. One that a killed run has left is emptied first.
struct Partial(PathBuf);

impl Partial {
    fn create(path: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&path)?,
        }
        Ok(Self(path))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_pip_fails_has_its_code() {
        let exit = |tail: &str| Exit::of(&python_failed("pip download", ONNX_RUNTIME, tail));
        assert_eq!(
            exit("/usr/bin/python3: No module named pip\n"),
            Exit::Unavailable
        );
        assert_eq!(
            exit("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."),
            Exit::BadInput
        );
        assert_eq!(
            exit("ERROR: Could not install: [Errno 28] No space left on device"),
            Exit::Io
        );
        let offline = "WARNING: Retrying (Retry(total=0)) after connection broken by \
                       'NewConnectionError(...)'\nERROR: No matching distribution found";
        assert_eq!(exit(offline), Exit::Transient);
        assert_eq!(
            exit("ERROR: No matching distribution found for onnxruntime==1.31.1"),
            Exit::Unavailable
        );
        assert_eq!(exit("ERROR: odd\n"), Exit::Failed);
        let odd = python_failed(
            "pip download",
            ONNX_RUNTIME,
            "WARNING: a\nERROR: odd\nnote: b\n",
        );
        assert_eq!(odd.to_string(), "pip download failed: odd");
    }

    #[test]
    fn what_is_said_names_the_version_that_is_fetched() {
        assert!(ONNX_RUNTIME.package.ends_with(VERSION));
    }

    #[test]
    fn machines_without_a_wheel_are_told_what_to_do() {
        let error = wheel_for("linux", "riscv64")
            .err()
            .expect("it has no wheel");
        assert_eq!(Exit::of(&error), Exit::Unavailable);
        assert!(error.to_string().contains("FRAMEWRIGHT_ORT"));
        assert!(wheel_for("linux", "aarch64").is_ok());
    }

    #[test]
    fn a_work_folder_goes_away_and_takes_leftovers_of_a_killed_run_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PARTIAL);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("leftover.whl"), b"half").unwrap();
        let partial = Partial::create(path.clone()).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::write(path.join("new"), b"x").unwrap();
        drop(partial);
        assert!(!path.exists());
    }

    #[test]
    fn two_setups_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        let error = lock(folder.path()).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Transient);
        // Not only dropped: a child that another test just started may hold a copy.
        first.unlock().unwrap();
        lock(folder.path()).unwrap();
    }

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, b"abc").unwrap();
        assert_eq!(
            hash_of(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
