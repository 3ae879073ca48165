//! From a file to pictures and their measures, in a process of its own that is fenced in.
//!
//! ```text
//! extract ─▶ `framewright dataset-worker` ─▶ fence ─▶ Sampler ─▶ scores, hashes ─▶ pictures
//!    │ lines: it goes on, trouble                                                │
//!    └◀── frames.new/extracted.json ◀── frames.new/<image_id>.jpg ◀──────────────┘
//!    └─▶ checked, made durable, renamed to `frames`
//! ```
//! The worker (`worker`) is this program again. It trusts nothing of the video, and this side trusts nothing of the
//! worker: what it leaves is looked at by name and kind, and everything it says has a bound. `protocol` is what they say
//! to each other, `fence` what keeps the worker in, `rules` what it is watched for from outside, `measure` what is
//! measured of a frame.
//!
//! Invariant: `frames` is there whole or not at all, and only pictures that a row names are in it.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, absolute};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::fs::syncfs;
use rustix::process::{Resource, getrlimit};

use crate::dataset::config::ExtractConfig;
use crate::dataset::readback::fits::check_frames;
use crate::dataset::record::Extracted;
use crate::dataset::trouble::{Class, Setback, Trouble, of_process};
use crate::exit::{Exit, fail};
use crate::process::{Fault, Limits, Tool, Watched};
use protocol::{Extract, Line, RESULT_FILE, Request, Said, Task};

pub use protocol::{Verified, Write};
pub use worker::work;

mod fence;
mod measure;
mod protocol;
mod rules;
mod worker;

/// Our own program, whatever became of its file since it was started.
pub const OWN_PROGRAM: &str = "/proc/self/exe";
/// The folder of pictures in that of a video.
pub const FRAMES: &str = "frames";
const NEW_FRAMES: &str = "frames.new";
/// Rows of half a million frames.
const MAX_RESULT_BYTES: u64 = 512 << 20;
/// What ends sooner than this has not used up its time of the processor, on however many cores.
const LEAST_OF_TIME_LIMIT: Duration = Duration::from_secs(20);
/// Of what a worker says at once: a few words, twice a second.
const MAX_LINES_BYTES: u64 = 2 << 20;
/// What a worker gets of our environment: where its libraries are, if not where they usually are.
const INHERITED: [&str; 1] = ["LD_LIBRARY_PATH"];
/// Lines of a worker's last words that are kept.
const DETAILS: usize = 20;

/// A video to take pictures from.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// The program whose `dataset-worker` does the work: [`OWN_PROGRAM`].
    pub program: &'a str,
    /// The beginning of the names of its pictures.
    pub video_id: &'a str,
    /// The file, absolute.
    pub file: &'a Path,
    /// The folder of the video; pictures go to `frames` in it.
    pub folder: &'a Path,
    /// Which frames, and how they are written.
    pub config: &'a ExtractConfig,
    /// Which of them get a picture.
    pub write: Write,
    /// Whether hashes of the mirrored pictures are wanted.
    pub mirrored: bool,
    /// Cores for this video.
    pub threads: usize,
}

/// What happens meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// So much is done.
    Progress {
        /// Frames looked at.
        frames: u64,
        /// Pictures written.
        pictures: u64,
    },
    /// What of the fence this system does not have; to be said once in a run.
    Unfenced(String),
}

/// Takes pictures from a video and measures them. What was in `frames` is replaced.
///
/// # Errors
/// [`Setback::Video`] when the video cannot be read or the disk is full, [`Setback::Stopped`] when `cancelled` says so,
/// [`Setback::Run`] when the worker cannot be started or not be fenced in as required.
pub fn extract(
    job: &Job<'_>,
    cancelled: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(Event),
) -> Result<Extracted, Setback> {
    let (new, done) = (job.folder.join(NEW_FRAMES), job.folder.join(FRAMES));
    remove(&new).map_err(of_folder)?;
    remove(&done).map_err(of_folder)?;
    fs::create_dir(&new).map_err(of_folder)?;
    let extracted = extract_to(job, &new, cancelled, on_event);
    if extracted.is_err() {
        // The cause is known already; the next try removes what is left.
        let _ = remove(&new);
        return extracted;
    }
    publish(&new, &done).map_err(of_folder)?;
    extracted
}

fn extract_to(
    job: &Job<'_>,
    new: &Path,
    cancelled: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(Event),
) -> Result<Extracted, Setback> {
    let config = job.config;
    let request = Request {
        sandbox: config.sandbox,
        task: Task::Extract(Extract {
            video_id: job.video_id.to_owned(),
            every: config.every,
            max_frames: config.max_frames,
            format: config.format,
            quality: config.quality,
            keep_damaged: config.keep_damaged,
            mirrored: job.mirrored,
            threads: job.threads,
            write: without_paths(job.write.clone()),
        }),
    };
    let worker = Worker {
        program: job.program,
        file: job.file,
        folder: Some(new),
        threads: job.threads,
        stall: Duration::try_from_secs_f64(config.stall_timeout).unwrap_or(Duration::MAX),
    };
    let last = worker.run(&request, cancelled, on_event)?;
    if last.is_some() {
        return Err(odd("it said more than it was asked for").into());
    }
    let extracted = read_result(new)?;
    check_files(&extracted, new, job)?;
    Ok(extracted)
}

/// Whether a file is a whole video: all its packets can be read, as many as it announces, and its beginning and its end
/// decode. Nothing is written.
///
/// # Errors
/// As [`extract`]; a file that is cut off is [`Class::Truncated`].
pub fn verify_file(
    program: &str,
    file: &Path,
    config: &ExtractConfig,
    cancelled: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(Event),
) -> Result<Verified, Setback> {
    let request = Request {
        sandbox: config.sandbox,
        task: Task::Verify,
    };
    let worker = Worker {
        program,
        file,
        folder: None,
        threads: 1,
        stall: Duration::try_from_secs_f64(config.stall_timeout).unwrap_or(Duration::MAX),
    };
    match worker.run(&request, cancelled, on_event)? {
        Some(Line::Verified(verified)) => Ok(verified),
        _ => Err(odd("it did not say what it found").into()),
    }
}

struct Worker<'a> {
    program: &'a str,
    file: &'a Path,
    /// Where it may write.
    folder: Option<&'a Path>,
    threads: usize,
    stall: Duration,
}

impl Worker<'_> {
    /// Runs it to its end. Gives the last thing it said beside its progress, if that was no trouble.
    fn run(
        &self,
        request: &Request,
        cancelled: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Option<Line>, Setback> {
        let request = serde_json::to_string(request).context("cannot write the request")?;
        // It works in `/`.
        let file = absolute(self.file).map_err(of_folder)?;
        let folder = self.folder.map(absolute).transpose().map_err(of_folder)?;
        let mut args = ["dataset-worker", "--", request.as_str()]
            .map(OsStr::new)
            .to_vec();
        args.push(file.as_os_str());
        args.extend(folder.as_deref().map(Path::as_os_str));
        let tool = Tool {
            program: OsStr::new(self.program),
            missing: "it is this program itself",
            inherits: &INHERITED,
            env: &[],
            folder: None,
            before_exec: None,
        };
        let said = Cell::new(Said::default());
        let broken = OnceCell::new();
        let check = |pid| {
            let rule = rules::broken(pid, self.threads, folder.as_deref(), said.get().pictures)?;
            Some(broken.get_or_init(|| rule).message.clone())
        };
        let limits = Limits {
            stall: self.stall,
            total: rules::total(&file),
            lines_bytes: MAX_LINES_BYTES,
            check: &check,
        };
        let (mut last, mut unfenced, begun) = (None, false, Instant::now());
        let on_line = |line: &str| match serde_json::from_str(line) {
            Ok(Line::Progress(now)) => {
                let goes_on = now.goes_on_from(said.get());
                if goes_on {
                    let (frames, pictures) = (now.frames, now.pictures);
                    on_event(Event::Progress { frames, pictures });
                    said.set(now);
                }
                goes_on
            }
            Ok(Line::Unfenced(missing)) => {
                if !std::mem::replace(&mut unfenced, true) {
                    on_event(Event::Unfenced(missing));
                }
                false
            }
            Ok(line) => {
                last = Some(line);
                false
            }
            Err(_) => false,
        };
        let watched = tool
            .watch(&args, &limits, on_line, cancelled)
            .map_err(of_process)?;
        if cancelled() {
            return Err(Setback::Stopped);
        }
        match broken.into_inner() {
            Some(trouble) => Err(trouble.into()),
            None => self.judge(&watched, begun.elapsed(), last),
        }
    }

    fn judge(
        &self,
        watched: &Watched,
        took: Duration,
        last: Option<Line>,
    ) -> Result<Option<Line>, Setback> {
        let details = || -> Vec<String> {
            let lines: Vec<&str> = watched.tail.lines().collect();
            let kept = lines.len().saturating_sub(DETAILS);
            lines[kept..].iter().map(|&line| line.to_owned()).collect()
        };
        if let Some(fault) = &watched.fault {
            let message = match fault {
                Fault::Stalled => {
                    let secs = self.stall.as_secs_f64();
                    format!("its decoding was stuck: nothing came for {secs} seconds")
                }
                Fault::Late => {
                    let secs = rules::total(self.file).as_secs();
                    format!("its decoding took more than {secs} seconds by the clock")
                }
                fault => odd(&fault.to_string()).message,
            };
            return Err(with_details(Class::BadInput, message, details()).into());
        }
        if let Some(Line::Trouble(trouble)) = last {
            return Err(trouble.into());
        }
        match watched.status.code() {
            Some(0) => Ok(last),
            // Fenced in as required, or not at all; the same for every video.
            Some(code) if code == i32::from(Exit::Unavailable.code()) => {
                let reason = watched.tail.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ").to_owned();
                Err(fail(Exit::Unavailable, reason).into())
            }
            _ => {
                let message = how_it_ended(watched.status);
                let class = match (watched.status.signal(), watched.status.code()) {
                    // Somebody ended it who had other reasons than the video, or it did not come as far as the video.
                    (Some(1 | 2 | 15), _) | (_, Some(1 | 2)) => Class::Environment,
                    // Also how its limit of time ends it.
                    (Some(9), _) if took < LEAST_OF_TIME_LIMIT => Class::Environment,
                    // It wanted more than this machine gives, though not more than it may.
                    (Some(6), _) if is_short_of_memory() => Class::Environment,
                    _ => Class::BadInput,
                };
                Err(with_details(class, message, details()).into())
            }
        }
    }
}

/// Whether this process, and so its children, may take less memory than the fence allows.
fn is_short_of_memory() -> bool {
    [Resource::As, Resource::Data].into_iter().any(|resource| {
        let limit = getrlimit(resource).current;
        limit.is_some_and(|bytes| bytes < fence::DATA_BYTES)
    })
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(6), _) => "its decoding was aborted, such as for wanting too much memory".into(),
        (Some(9), _) => "its decoding was killed, such as for want of memory".into(),
        (Some(11 | 4 | 7 | 8), _) => "it makes the decoder crash".into(),
        (Some(24), _) => "its decoding took more time of the processor than allowed".into(),
        (Some(signal), _) => format!("its decoding was ended by signal {signal}"),
        (_, Some(101)) => "it makes the decoder fail".into(),
        (_, code) => format!("its decoding failed with exit code {}", code.unwrap_or(-1)),
    }
}

fn with_details(class: Class, message: String, details: Vec<String>) -> Trouble {
    Trouble {
        details,
        ..Trouble::new(class, message)
    }
}

/// A worker that does not keep to the protocol: most likely no longer its own master.
fn odd(what: &str) -> Trouble {
    Trouble::new(
        Class::BadInput,
        format!("its decoder behaved oddly: {what}"),
    )
}

/// The worker reads no models and no earlier datasets.
fn without_paths(write: Write) -> Write {
    match write {
        Write::All => Write::All,
        Write::Survivors {
            mut filter,
            mut dedup,
        } => {
            filter.text_model = None;
            if let Some(dedup) = &mut dedup {
                dedup.against.clear();
                dedup.embedding = None;
            }
            Write::Survivors { filter, dedup }
        }
    }
}

fn read_result(new: &Path) -> Result<Extracted, Setback> {
    let path = new.join(RESULT_FILE);
    if !is_plain_file(&path) {
        return Err(odd("it left no result").into());
    }
    let mut json = Vec::new();
    let file = File::open(&path).map_err(of_folder)?;
    file.take(MAX_RESULT_BYTES)
        .read_to_end(&mut json)
        .map_err(of_folder)?;
    let extracted = serde_json::from_slice(&json);
    fs::remove_file(&path).map_err(of_folder)?;
    extracted.map_err(|_| odd("its result cannot be read").into())
}

/// A file with one name, and without set-user-ID and its like.
fn is_plain_file(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|it| it.is_file() && it.nlink() <= 1 && it.mode() & 0o7000 == 0)
}

/// Every row has the names it must have, and the folder holds the pictures of the rows and nothing else.
fn check_files(extracted: &Extracted, new: &Path, job: &Job<'_>) -> Result<(), Setback> {
    check_frames(extracted, job.video_id).map_err(|what| odd(&what))?;
    let extension = job.config.format.extension();
    let mut expected = BTreeSet::new();
    for frame in &extracted.frames {
        let image_id = format!("{}_{:08}", job.video_id, frame.frame_index);
        let name = format!("{image_id}.{extension}");
        let is_right = frame.file.as_ref().is_none_or(|file| *file == name);
        if frame.image_id != image_id || !is_right {
            return Err(odd("its rows have other names than they must").into());
        }
        if frame.file.is_some() {
            expected.insert(OsString::from(name));
        }
    }
    for entry in fs::read_dir(new).map_err(of_folder)? {
        let entry = entry.map_err(of_folder)?;
        if !expected.remove(&entry.file_name()) || !is_plain_file(&entry.path()) {
            return Err(odd("it left files that no row names").into());
        }
    }
    if expected.is_empty() {
        Ok(())
    } else {
        Err(odd("pictures are missing").into())
    }
}

/// Makes the pictures durable and gives their folder its name.
fn publish(new: &Path, done: &Path) -> io::Result<()> {
    // One call for all of them: thousands of fsyncs would take longer than the decoding.
    syncfs(File::open(new)?)?;
    fs::rename(new, done)?;
    let parent = done.parent().unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the argument of map_err")]
fn of_folder(error: io::Error) -> Setback {
    Trouble::with_disk(&error, "cannot use the folder of the pictures").into()
}
