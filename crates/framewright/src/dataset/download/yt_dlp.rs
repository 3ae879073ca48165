//! yt-dlp as a child process: one per video, and one per page that may be a playlist.
//!
//! Success is not its exit code, which is 0 also where nothing was fetched, but all of: exit code 0, the line of
//! `after_move`, and the file. It works in a folder of its own, `download/`, under our name for the video, because its
//! own names collide; a journal there says which address the folder belongs to, because it would go on with any `.part`
//! it finds. It keeps no archive, reads no configuration, runs no ffmpeg and writes to no cookie file but a copy. How it
//! is started is `yt_dlp/launch.rs`; all it fetches goes by a proxy of ours (`proxy.rs`), and the kernel keeps it to that
//! where it can (`yt_dlp/fence.rs`).
//!
//! Invariant: what is in the folder was fetched from the address in the journal.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use url::Url;

use super::Progress;
use super::classes;
use super::guard::Guard;
use super::http::{Cap, on_disk};
use super::pause::Stopped;
use crate::dataset::config::DownloadConfig;
use crate::dataset::trouble::{Class, Setback, Trouble};

use launch::{Launch, Place};
use listing::{EntryLine, listing};
use options::{common, download_args};
use run::{Call, Ran};

pub use listing::{ListEntry, Listing};

mod fence;
mod launch;
mod listing;
mod options;
mod run;

/// The oldest version that has all options used here.
pub const OLDEST: &str = "2025.11.12";
/// Its folder within that of the video.
pub const FOLDER: &str = "download";
/// In the data folder: what `framewright setup --yt-dlp` installs.
pub const INSTALLED: &str = "yt-dlp";
/// A place where no ffmpeg is: media is read behind the fence only, and nothing has to be merged.
pub(super) const NO_FFMPEG: &str = "/nonexistent/ffmpeg";
/// Where no proxy is: to say its version it needs no network.
const NO_PROXY: &str = "http://127.0.0.1:9";
const JOURNAL: &str = "journal.json";
const COOKIES: &str = "cookies.txt";
/// Longest that it may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(30);
/// Most that a list of videos may come to.
const MOST_LIST_BYTES: u64 = 1 << 30;
/// Most that comes beside a video: pages, scripts, and parts that are fetched again.
const MOST_BESIDE_BYTES: u64 = 256 << 20;

/// Marks of our lines among those of its own.
const PROGRESS: &str = "FRAMEWRIGHT-PROGRESS ";
const FOUND: &str = "FRAMEWRIGHT-FOUND ";
const MOVED: &str = "FRAMEWRIGHT-MOVED ";
const ENTRY: &str = "FRAMEWRIGHT-ENTRY ";

/// An installed yt-dlp that is new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YtDlp {
    launch: Launch,
    /// Its version, a date.
    pub version: String,
}

/// True where the kernel keeps yt-dlp, and all that it starts, to our proxy.
pub fn is_fenced() -> bool {
    fence::holds_network()
}

/// What it says of a video.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Info {
    /// Its name of the site.
    pub extractor_key: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Licence.
    pub license: Option<String>,
    /// Duration in seconds.
    pub duration: Option<f64>,
    live_status: Option<String>,
    playlist_count: Option<u64>,
    filepath: Option<PathBuf>,
}

impl Info {
    /// What is said when the page turned out to hold several videos.
    pub(super) fn first_of(&self) -> Option<String> {
        let count = self.playlist_count.filter(|&count| count > 1)?;
        Some(format!("the first of {count} videos of its page"))
    }
}

/// What one download needs.
pub struct Job<'a> {
    /// The page.
    pub url: &'a Url,
    /// Our name for the video.
    pub video_id: &'a str,
    /// The folder of the video.
    pub folder: &'a Path,
    /// How videos are fetched.
    pub config: &'a DownloadConfig,
    /// Most bytes of the file.
    pub cap: Cap,
    /// Judges every address.
    pub guard: &'a Guard,
    /// Time that is left for it.
    pub left: Duration,
    /// Whether the run is stopping.
    pub stopped: &'a Stopped,
}

impl YtDlp {
    /// The one that `framewright setup --yt-dlp` installed, else the one on `PATH`.
    ///
    /// # Errors
    /// Trouble with the machine: there is none, or it is too old.
    pub fn find(data_folder: Option<&Path>) -> Result<Self, Trouble> {
        let launch = Launch::find(data_folder)?;
        let version = ask_version(&launch)?;
        if is_older(&version, OLDEST) {
            let message =
                format!("yt-dlp {version} is older than {OLDEST}; run framewright setup --yt-dlp");
            return Err(Trouble::new(Class::Environment, message));
        }
        Ok(Self { launch, version })
    }

    /// Finds out whether a page is a playlist, and what is in it; at most `max_entries` of it.
    ///
    /// # Errors
    /// Trouble with the page, or the run is stopping.
    pub fn list(
        &self,
        url: &Url,
        guard: &Guard,
        config: &DownloadConfig,
        stopped: &Stopped,
    ) -> Result<Listing, Setback> {
        let work = tempfile::tempdir().map_err(|error| on_disk(&error))?;
        let mut args = common(config, work.path())?;
        // One more than is wanted, to know that there are more.
        let range = format!("1:{}", config.max_entries.saturating_add(1));
        let fields = "%(.{url,webpage_url,ie_key,_type,playlist_index,title})j";
        args.extend(
            [
                "--flat-playlist",
                "--lazy-playlist",
                "--simulate",
                "--playlist-items",
                &range,
            ]
            .map(OsString::from),
        );
        args.extend([OsString::from("--print"), format!("{ENTRY}{fields}").into()]);
        args.extend([OsString::from("--"), OsString::from(url.as_str())]);
        let mut lines: Vec<EntryLine> = Vec::new();
        let mut on_line = |line: &str| {
            if let Some(text) = line.strip_prefix(ENTRY) {
                lines.push(serde_json::from_str(text).unwrap_or_default());
            }
        };
        let call = Call {
            args,
            folder: work.path(),
            guard,
            config,
            stopped,
            left: secs(config.total_timeout),
            most_bytes: MOST_LIST_BYTES,
            file_bytes: MOST_LIST_BYTES,
        };
        let ran = self.run(call, &mut on_line, &|| false)?;
        let trouble = self.trouble_of(&ran);
        // Entries that came before something failed are entries.
        let trouble = match trouble {
            Some(trouble) if lines.is_empty() => return Err(trouble.into()),
            trouble => trouble,
        };
        let mut listing = listing(lines, config.max_entries);
        listing.notes.extend(ran.notes());
        if let Some(trouble) = trouble {
            listing
                .notes
                .push(format!("the list may go on: {}", trouble.message));
        }
        Ok(listing)
    }

    /// Downloads a page's video into [`FOLDER`] of the job's folder; gives the file, what is known of it, and what there
    /// is to say of the run.
    ///
    /// # Errors
    /// Trouble with the video; what came of it is left for another try. The run is stopping.
    pub fn fetch(
        &self,
        job: &Job,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<(PathBuf, Info, Vec<String>), Setback> {
        let folder = job.folder.join(FOLDER);
        prepare(&folder, job).map_err(|error| on_disk(&error))?;
        let args = download_args(job, &folder)?;
        let (mut found, mut moved) = (Info::default(), None);
        let too_large = RefCell::new(None);
        let mut on_line = |line: &str| {
            if let Some(text) = line.strip_prefix(PROGRESS) {
                let progress: ProgressLine = serde_json::from_str(text).unwrap_or_default();
                let progress = progress.read();
                let total = progress.total.unwrap_or(0);
                if progress.bytes.max(total) > job.cap.bytes {
                    *too_large.borrow_mut() = Some(job.cap.trouble(progress.total));
                }
                on_progress(progress);
            } else if let Some(text) = line.strip_prefix(FOUND) {
                found = serde_json::from_str(text).unwrap_or_default();
            } else if let Some(text) = line.strip_prefix(MOVED) {
                moved = serde_json::from_str::<Info>(text).ok();
            } else if line.contains("File is larger than max-filesize") {
                *too_large.borrow_mut() = Some(job.cap.trouble(None));
            }
        };
        let enough = || too_large.borrow().is_some();
        let call = Call {
            args,
            folder: &folder,
            guard: job.guard,
            config: job.config,
            stopped: job.stopped,
            left: job.left,
            most_bytes: job
                .cap
                .bytes
                .saturating_mul(2)
                .saturating_add(MOST_BESIDE_BYTES),
            // A block more than may be is written before it is noticed.
            file_bytes: job.cap.bytes.saturating_add(16 << 20),
        };
        let ran = self.run(call, &mut on_line, &enough);
        let _ = fs::remove_file(folder.join(COOKIES));
        // Both hold before the run's own end: it was ended because of the first, and skips because of the second.
        if let Some(trouble) = too_large.into_inner() {
            return Err(trouble.into());
        }
        let ran = ran?;
        if let Some(trouble) = self.trouble_of(&ran) {
            return Err(trouble.into());
        }
        let Some(info) = moved else {
            let tail = &ran.watched.tail;
            return Err(self.why_nothing(&found, job.config, tail).into());
        };
        let file = info.filepath.clone().unwrap_or_default();
        // A title may hold a line break and what looks like our line: only our own file is believed.
        let is_ours = file.parent() == Some(folder.as_path())
            && file.file_stem() == Some(OsStr::new(job.video_id))
            && fs::symlink_metadata(&file).is_ok_and(|about| about.is_file());
        if !is_ours {
            let message = "yt-dlp says that it is done, but there is no file";
            return Err(Trouble::new(Class::Truncated, message).into());
        }
        Ok((file, info, ran.notes()))
    }

    /// Its failure: the refusal of the guard, rather than what yt-dlp made of it.
    fn trouble_of(&self, ran: &Ran) -> Option<Trouble> {
        if ran.watched.status.success() {
            return None;
        }
        let mut trouble = classes::trouble_of(&ran.watched.tail, &self.version);
        // Not where a site says "later" or "who are you": that concerns all its videos.
        let is_of_video = matches!(
            trouble.class,
            Class::Permanent | Class::Network | Class::Truncated
        );
        if let [first, ..] = ran.refusals.as_slice()
            && is_of_video
        {
            trouble.class = Class::Permanent;
            trouble.message = format!("yt-dlp was led to where nothing is fetched from: {first}");
        }
        Some(trouble)
    }

    /// Why it ended well without a video: it rejected it, by our filter.
    fn why_nothing(&self, found: &Info, config: &DownloadConfig, stderr: &str) -> Trouble {
        let longest = config.max_duration;
        let (class, message) = match (found.live_status.as_deref(), found.duration, longest) {
            (Some("is_live"), ..) => (Class::Permanent, "it is a live stream".to_owned()),
            (Some("is_upcoming"), ..) => (Class::Permanent, "it is not out yet".to_owned()),
            (_, Some(secs), Some(most)) if secs > most => {
                let message = format!("{secs} s is longer than max_duration, {most} s");
                (Class::TooLarge, message)
            }
            _ => (Class::Permanent, "yt-dlp found nothing to take".to_owned()),
        };
        let mut trouble = Trouble::new(class, message);
        trouble.details = classes::last_lines(stderr, &self.version);
        trouble
    }
}

fn ask_version(launch: &Launch) -> Result<String, Trouble> {
    let place = tempfile::tempdir().map_err(|error| on_disk(&error))?;
    let args = ["--ignore-config", "--no-plugin-dirs", "--version"].map(OsString::from);
    let mut version = String::new();
    let begin = Instant::now();
    let on_line = |line: &str| line.trim().clone_into(&mut version);
    let is_late = || begin.elapsed() > VERSION_WITHIN;
    let at_home = Place {
        home: place.path(),
        proxy: NO_PROXY,
        fence: None,
    };
    let watched = launch
        .watch(&args, &at_home, VERSION_WITHIN, on_line, is_late)
        .map_err(|error| Trouble::new(Class::Environment, format!("{error:#}")))?;
    if !watched.status.success() || !version.starts_with(|first: char| first.is_ascii_digit()) {
        let message = "yt-dlp does not run; run framewright setup --yt-dlp";
        let mut trouble = Trouble::new(Class::Environment, message);
        trouble.details = classes::last_lines(&watched.tail, "?");
        return Err(trouble);
    }
    Ok(version)
}

fn secs(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX)
}

/// Makes the folder; what is there of another address, or of another choice of format, goes away.
fn prepare(folder: &Path, job: &Job) -> io::Result<()> {
    let journal = folder.join(JOURNAL);
    let content = serde_json::json!({ "url": job.url.as_str(), "height": job.config.height });
    let content = content.to_string().into_bytes();
    if fs::read(&journal).is_ok_and(|there| there == content) {
        return Ok(());
    }
    discard(job.folder)?;
    fs::create_dir(folder)?;
    crate::durable::write(&journal, &content)
}

/// Deletes all that a download left in a video's folder.
///
/// # Errors
/// It cannot be deleted.
pub fn discard(video_folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(video_folder.join(FOLDER)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProgressLine {
    status: Option<String>,
    downloaded_bytes: Option<f64>,
    total_bytes: Option<f64>,
    total_bytes_estimate: Option<f64>,
}

impl ProgressLine {
    fn read(&self) -> Progress {
        Progress {
            bytes: self.downloaded_bytes.unwrap_or(0.0) as u64,
            total: self
                .total_bytes
                .or(self.total_bytes_estimate)
                .map(|n| n as u64),
        }
    }
}

/// Compares dates such as `2025.11.12` and `2026.10.26.232500`.
fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        text.split('.')
            .map_while(|number| number.parse().ok())
            .collect()
    };
    numbers(version) < numbers(than)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates() {
        assert!(is_older("2024.12.13", OLDEST));
        assert!(is_older("2025.9.5", OLDEST));
        assert!(!is_older(OLDEST, OLDEST));
        assert!(!is_older("2025.11.12.232500", OLDEST));
        assert!(!is_older("2026.10.26", OLDEST));
    }
}
