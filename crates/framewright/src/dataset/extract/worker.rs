//! The worker's side: fenced in, it reads one video and writes its pictures.
//!
//! ```text
//! Sampler ─▶ measure ─▶ picture or not ─▶ [ convert, encode, write, SHA-256 ] ─▶ rows ─▶ extracted.json
//!  "decode", one thread                    "encode", one or more threads         "rows"
//! ```

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use framewright_hash::Measurer;
use framewright_media::{
    Error, Health, Interrupt, Next, Orientation, Picture, PictureError, PictureKind, PlanarRgb,
    SampleOptions, Sampler, Sampling, set_log_warnings, verify,
};
use framewright_pipeline::{BoxError, Cause, Control, Failure, run};
use sha2::{Digest as _, Sha256};

use super::fence;
use super::measure::{Survivors, measure};
use super::protocol::{Extract, Line, RESULT_FILE, Request, Said, Task, Verified};
use crate::cli::WorkerArgs;
use crate::dataset::config::{Every, PictureFormat};
use crate::dataset::record::{Extracted, Frame};
use crate::dataset::trouble::{Class, Trouble, is_of_machine};
use crate::exit::{Exit, OrExit as _, fail};

/// How often it says that it goes on, while it does.
const SAY_EVERY: Duration = Duration::from_millis(500);
/// Frames between decoding and rows, beside those in the decoder.
const WINDOW: usize = 4;

/// What the process does that [`super::extract`] and [`super::verify_file`] start.
///
/// # Errors
/// The request is none, or the fence is not to be had and required. Trouble with the video is said on standard output
/// and by the exit code.
pub fn work(args: &WorkerArgs) -> anyhow::Result<Exit> {
    let request: Request = serde_json::from_str(&args.request).or_exit(Exit::Usage)?;
    set_log_warnings(false);
    let threads = match &request.task {
        Task::Verify => 1,
        Task::Extract(extract) => extract.threads,
    };
    let (file, folder) = (&args.file, args.folder.as_deref());
    // No folder of the user's is that of a process that may be taken over.
    env::set_current_dir("/").context("cannot leave the folder")?;
    fence::limit(fence::size_of(file), threads)?;
    if let Some(missing) = fence::enclose(file, folder, request.sandbox)? {
        say(&Line::Unfenced(missing));
    }
    let done = match (&request.task, folder) {
        (Task::Verify, _) => check(file).map(|verified| say(&Line::Verified(verified))),
        (Task::Extract(extract), Some(folder)) => extract_to(extract, file, folder),
        (Task::Extract(_), None) => {
            return Err(fail(Exit::Usage, "there is no folder to write to"));
        }
    };
    match done {
        Ok(()) => Ok(Exit::Ok),
        Err(trouble) => {
            let exit = match trouble.class {
                Class::Environment => Exit::Io,
                _ => Exit::BadInput,
            };
            say(&Line::Trouble(trouble));
            Ok(exit)
        }
    }
}

/// One line on standard output. Nobody reads it any more: then the process is about to be ended.
fn say(line: &Line) {
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says now and then that work goes on, and only when it does.
#[derive(Clone, Default)]
struct Pulse(Arc<Counts>);

#[derive(Default)]
struct Counts {
    steps: AtomicU64,
    frames: AtomicU64,
    pictures: AtomicU64,
    said: Mutex<Option<Instant>>,
}

impl Pulse {
    fn beat(&self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        *said = Some(Instant::now());
        say(&Line::Progress(Said {
            steps: self.0.steps.load(Ordering::Relaxed),
            frames: self.0.frames.load(Ordering::Relaxed),
            pictures: self.0.pictures.load(Ordering::Relaxed),
        }));
    }
}

fn check(file: &Path) -> Result<Verified, Trouble> {
    let pulse = Pulse::default();
    let verified = verify(file, &Interrupt::default(), &mut || pulse.beat()).map_err(of_media)?;
    if let Some(reason) = verified.truncated {
        return Err(Trouble::new(Class::Truncated, reason));
    }
    let damaged = verified.damaged_frames;
    let note = format!("{damaged} frames of its beginning and end are damaged");
    Ok(Verified {
        width: verified.width,
        height: verified.height,
        codec: verified.codec,
        duration_secs: verified.duration_secs,
        read_until_secs: verified.read_until_secs,
        video_packets: verified.video_packets,
        notes: if damaged > 0 { vec![note] } else { Vec::new() },
    })
}

fn extract_to(request: &Extract, file: &Path, folder: &Path) -> Result<(), Trouble> {
    let pulse = Pulse::default();
    let mut reading = Reading {
        thorough: false,
        threads: request.threads.max(1),
    };
    let mut notes = Vec::new();
    let mut extracted = loop {
        match attempt(request, file, folder, reading, &pulse)? {
            Attempt::Done(extracted) => break extracted,
            Attempt::Unsure(why) if !reading.thorough => {
                reading.thorough = true;
                notes.push(format!(
                    "every frame was decoded, because the file is not as its packets say: {why}"
                ));
            }
            Attempt::Damaged if reading != Reading::REPRODUCIBLE => {
                reading = Reading::REPRODUCIBLE;
                notes.push(
                    "every frame was decoded, by one thread, because the video is damaged".into(),
                );
            }
            Attempt::Unsure(why) => return Err(Trouble::new(Class::BadInput, why)),
            Attempt::Damaged => return Err(Trouble::new(Class::BadInput, "it is damaged")),
        }
        clear(folder).map_err(|error| of_io(&error))?;
    };
    extracted.notes.extend(notes);
    let json = serde_json::to_vec(&extracted).map_err(|error| of_io(&error.into()))?;
    fs::write(folder.join(RESULT_FILE), json).map_err(|error| of_io(&error))
}

/// How a video is read. Each way that does not lead to the end is followed by a more certain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    thorough: bool,
    threads: usize,
}

impl Reading {
    /// The same pictures each time, whatever the file holds.
    const REPRODUCIBLE: Self = Self {
        thorough: true,
        threads: 1,
    };
}

fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

enum Attempt {
    Done(Extracted),
    /// The short way does not lead there.
    Unsure(String),
    /// Another time, these threads may make other pictures of it.
    Damaged,
}

/// A frame on its way: its row, and its pixels where it gets a picture.
struct Looked {
    row: Frame,
    pixels: Option<framewright_media::Frame>,
}

fn attempt(
    request: &Extract,
    file: &Path,
    folder: &Path,
    reading: Reading,
    pulse: &Pulse,
) -> Result<Attempt, Trouble> {
    let options = SampleOptions {
        sampling: sampling(request.every),
        max_frames: request.max_frames,
        threads: reading.threads,
        thorough: reading.thorough,
    };
    let beat = pulse.clone();
    let sampler = Sampler::open(file, &options, &Interrupt::default(), move || beat.beat());
    let mut sampler = sampler.map_err(of_media)?;
    let orientation = sampler.orientation();
    let (mut rows, mut given_up, mut left_out) = (Vec::new(), None, 0_u64);
    let mut measurer = Measurer::new();
    let mut survivors = Survivors::new(&request.write);
    let mut next = || -> Result<Option<Looked>, BoxError> {
        let sample = loop {
            match sampler.next().map_err(of_media)? {
                Next::Sample(sample) if sample.damaged && !request.keep_damaged => left_out += 1,
                Next::Sample(sample) => break sample,
                Next::End => return Ok(None),
                Next::Unsure(why) => {
                    given_up = Some(Attempt::Unsure(why));
                    return Ok(None);
                }
                Next::Damaged => {
                    given_up = Some(Attempt::Damaged);
                    return Ok(None);
                }
            }
        };
        let row = measure(&sample, orientation, request, &mut measurer);
        pulse.0.frames.fetch_add(1, Ordering::Relaxed);
        let pixels = survivors.keeps(&row).then_some(sample.frame);
        Ok(Some(Looked { row, pixels }))
    };
    let encoders = vec![PlanarRgb::default(); request.threads.div_ceil(2).max(1)];
    let ended = run(&Control::new(), |p| {
        let looked = p.source("decode", 1, &mut next);
        let done = p.par_map("encode", WINDOW, looked, encoders, |scratch, looked| {
            let row = write_picture(looked, orientation, request, folder, scratch)?;
            pulse
                .0
                .pictures
                .fetch_add(u64::from(row.file.is_some()), Ordering::Relaxed);
            pulse.beat();
            Ok(row)
        });
        p.sink("rows", done, |rx| {
            while let Some(row) = rx.recv()? {
                rows.push(row);
            }
            Ok(())
        });
    });
    ended.map_err(of_failure)?;
    if let Some(given_up) = given_up {
        return Ok(given_up);
    }
    let video = &sampler.clip().video;
    let (width, height) = orientation.turned_size(video.width, video.height);
    Ok(Attempt::Done(Extracted {
        width: width as u32,
        height: height as u32,
        codec: video.codec.clone(),
        duration_secs: sampler.clip().duration_secs,
        video_frames: sampler.video_frames(),
        frames: rows,
        notes: notes(
            &sampler.health(),
            left_out,
            video.sample_aspect_ratio.is_some_and(|it| it.num != it.den),
        ),
    }))
}

fn write_picture(
    looked: Looked,
    orientation: Orientation,
    request: &Extract,
    folder: &Path,
    scratch: &mut PlanarRgb,
) -> Result<Frame, Trouble> {
    let Looked { mut row, pixels } = looked;
    let Some(pixels) = pixels else { return Ok(row) };
    let picture = Picture::from_frame(&pixels, orientation, scratch).map_err(of_media)?;
    let bytes = picture.encode(kind(request.format), request.quality);
    let bytes = bytes.map_err(|error| of_picture(&error))?;
    let name = format!("{}.{}", row.image_id, request.format.extension());
    fs::write(folder.join(&name), &bytes).map_err(|error| of_io(&error))?;
    row.sha256 = Some(hex(&Sha256::digest(&bytes)));
    row.file = Some(name);
    Ok(row)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn sampling(every: Every) -> Sampling {
    match every {
        Every::Frames(n) => Sampling::Frames(n),
        Every::Seconds(secs) => Sampling::Seconds(secs),
        Every::Keyframes => Sampling::Keyframes,
        Every::Scenes => Sampling::Scenes,
    }
}

fn kind(format: PictureFormat) -> PictureKind {
    match format {
        PictureFormat::Jpeg => PictureKind::Jpeg,
        PictureFormat::Png => PictureKind::Png,
        PictureFormat::Webp => PictureKind::Webp,
    }
}

fn notes(health: &Health, left_out: u64, is_anamorphic: bool) -> Vec<String> {
    let of_health = health.notes().into_iter();
    let mut notes: Vec<String> = of_health
        .map(|(how, what)| match how {
            "truncated" => format!("the file is cut off: {what}"),
            _ => format!("the video is {how}: {what}"),
        })
        .collect();
    if left_out > 0 {
        notes.push(format!(
            "{left_out} frames that are damaged, or depend on one that is, are left out; keep_damaged takes them"
        ));
    }
    if is_anamorphic {
        notes.push("its pixels are not square; pictures have the size that is stored".into());
    }
    notes
}

fn of_media(error: Error) -> Trouble {
    let class = match &error {
        Error::Read { .. } => Class::Environment,
        Error::Open { cause, .. } if is_of_machine(cause) => Class::Environment,
        _ => Class::BadInput,
    };
    // The path is that of our own folder.
    let message = match error {
        Error::BadInput { reason, .. } => reason,
        Error::Open { cause, .. } => format!("cannot open the file: {cause}"),
        error => error.to_string(),
    };
    Trouble::new(class, message)
}

fn of_picture(error: &PictureError) -> Trouble {
    let class = match error {
        PictureError::TooLarge { .. } => Class::TooLarge,
        _ => Class::BadInput,
    };
    Trouble::new(class, error.to_string())
}

fn of_io(error: &io::Error) -> Trouble {
    let what = "cannot write pictures";
    match error.kind() {
        io::ErrorKind::FileTooLarge => Trouble::new(Class::TooLarge, format!("{what}: {error}")),
        _ => Trouble::with_disk(error, what),
    }
}

fn of_failure(failure: Failure) -> Trouble {
    match failure.cause {
        Cause::Error(error) => match error.downcast::<Trouble>() {
            Ok(trouble) => *trouble,
            Err(error) => Trouble::new(Class::Environment, error.to_string()),
        },
        Cause::Panic(message) => {
            let message = format!("{} panicked: {message}", failure.stage);
            Trouble::new(Class::BadInput, message)
        }
    }
}
