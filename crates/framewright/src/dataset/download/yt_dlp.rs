//! yt-dlp as a child process: one per video, and one per page that may be a playlist.
//!
//! Success is not its exit code, which is 0 also where nothing was fetched, but all of: exit code 0, the line of
//! `after_move`, and the file. It works in a folder of its own, `download/`, under our name for the video, because its
//! own names collide; a journal there says which address the folder belongs to, because it would go on with any `.part`
//! it finds. It keeps no archive, reads no configuration, runs no ffmpeg and writes to no cookie file but a copy.
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
use super::http::{Cap, on_disk};
use super::pause::Stopped;
use crate::dataset::config::DownloadConfig;
use crate::dataset::trouble::{Class, Setback, Trouble};
use crate::process::{Tool, Watched};

use listing::{EntryLine, listing};
use options::{MOST_SLEEPS, common, download_args};

pub use listing::{ListEntry, Listing};

mod listing;
mod options;

/// The oldest version that has all options used here.
pub const OLDEST: &str = "2025.11.12";
/// Its folder within that of the video.
pub const FOLDER: &str = "download";
/// In the data folder: what `framewright setup --yt-dlp` installs.
pub const INSTALLED: &str = "yt-dlp";
/// A place where no ffmpeg is: media is read behind the fence only, and nothing has to be merged.
pub(super) const NO_FFMPEG: &str = "/nonexistent/ffmpeg";
const JOURNAL: &str = "journal.json";
const COOKIES: &str = "cookies.txt";
/// Longest that it may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(30);

/// Marks of our lines among those of its own.
const PROGRESS: &str = "FRAMEWRIGHT-PROGRESS ";
const FOUND: &str = "FRAMEWRIGHT-FOUND ";
const MOVED: &str = "FRAMEWRIGHT-MOVED ";
const ENTRY: &str = "FRAMEWRIGHT-ENTRY ";

/// An installed yt-dlp that is new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YtDlp {
    program: String,
    python_path: Option<PathBuf>,
    /// Its version, a date.
    pub version: String,
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
    /// Whether the run is stopping.
    pub stopped: &'a Stopped,
}

impl YtDlp {
    /// The one that `framewright setup --yt-dlp` installed, else the one on `PATH`.
    ///
    /// # Errors
    /// Trouble with the machine: there is none, or it is too old.
    pub fn find(data_folder: Option<&Path>) -> Result<Self, Trouble> {
        let installed = data_folder
            .map(|folder| folder.join(INSTALLED))
            .filter(|folder| folder.join("yt_dlp").is_dir())
            .map(|folder| Self {
                program: "python3".into(),
                python_path: Some(folder),
                version: String::new(),
            });
        let on_path = Self {
            program: "yt-dlp".into(),
            python_path: None,
            version: String::new(),
        };
        let mut found = installed.unwrap_or(on_path);
        found.version = found.ask_version()?;
        if is_older(&found.version, OLDEST) {
            let version = &found.version;
            let message =
                format!("yt-dlp {version} is older than {OLDEST}; run framewright setup --yt-dlp");
            return Err(Trouble::new(Class::Environment, message));
        }
        Ok(found)
    }

    fn ask_version(&self) -> Result<String, Trouble> {
        let mut version = String::new();
        let begin = Instant::now();
        let watched = self
            .watch(
                &[
                    OsString::from("--ignore-config"),
                    OsString::from("--version"),
                ],
                VERSION_WITHIN,
                |line| line.trim().clone_into(&mut version),
                || begin.elapsed() > VERSION_WITHIN,
            )
            .map_err(|error| Trouble::new(Class::Environment, format!("{error:#}")))?;
        if !watched.status.success() || !version.starts_with(|first: char| first.is_ascii_digit()) {
            let mut trouble = Trouble::new(
                Class::Environment,
                "yt-dlp does not run; run framewright setup --yt-dlp",
            );
            trouble.details = classes::last_lines(&watched.tail, "?");
            return Err(trouble);
        }
        Ok(version)
    }

    fn watch(
        &self,
        args: &[OsString],
        stall: Duration,
        on_line: impl FnMut(&str),
        cancelled: impl Fn() -> bool,
    ) -> anyhow::Result<Watched> {
        let mut env = vec![("PYTHONUNBUFFERED", OsStr::new("1"))];
        let mut all: Vec<&OsStr> = Vec::new();
        if let Some(folder) = &self.python_path {
            env.push(("PYTHONPATH", folder.as_os_str()));
            all.extend(["-m", "yt_dlp"].map(OsStr::new));
        }
        all.extend(args.iter().map(OsString::as_os_str));
        let tool = Tool {
            program: &self.program,
            missing: "run framewright setup --yt-dlp",
            env: &env,
        };
        tool.watch(&all, stall, on_line, cancelled)
    }

    /// Finds out whether a page is a playlist, and what is in it; at most `max_entries` of it.
    ///
    /// # Errors
    /// Trouble with the page, or the run is stopping.
    pub fn list(
        &self,
        url: &Url,
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
        let watched = self.run(&args, config, stopped, &mut on_line, &|| false)?;
        // Entries that came before something failed are entries.
        if !watched.status.success() && lines.is_empty() {
            return Err(classes::trouble_of(&watched.tail, &self.version).into());
        }
        let mut listing = listing(lines, config.max_entries);
        if !watched.status.success() {
            let trouble = classes::trouble_of(&watched.tail, &self.version);
            listing
                .notes
                .push(format!("the list may go on: {}", trouble.message));
        }
        Ok(listing)
    }

    /// Downloads a page's video into [`FOLDER`] of the job's folder; gives the file and what is known of it.
    ///
    /// # Errors
    /// Trouble with the video; what came of it is left for another try. The run is stopping.
    pub fn fetch(
        &self,
        job: &Job,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<(PathBuf, Info), Setback> {
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
        let ran = self.run(&args, job.config, job.stopped, &mut on_line, &enough);
        let _ = fs::remove_file(folder.join(COOKIES));
        // Both hold before the run's own end: it was ended because of the first, and skips because of the second.
        if let Some(trouble) = too_large.into_inner() {
            return Err(trouble.into());
        }
        let watched = ran?;
        let trouble = || classes::trouble_of(&watched.tail, &self.version);
        if !watched.status.success() {
            return Err(trouble().into());
        }
        let Some(info) = moved else {
            return Err(self.why_nothing(&found, job.config, &watched.tail).into());
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
        Ok((file, info))
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

    /// Runs it; ends it when the run stops, when it says nothing for too long or takes too long in all.
    fn run(
        &self,
        args: &[OsString],
        config: &DownloadConfig,
        stopped: &Stopped,
        on_line: &mut dyn FnMut(&str),
        enough: &dyn Fn() -> bool,
    ) -> Result<Watched, Setback> {
        let begin = Instant::now();
        let total = secs(config.total_timeout);
        // It says nothing while it sleeps between requests.
        let stall = secs(config.stall_timeout + MOST_SLEEPS * config.sleep);
        let watched = self
            .watch(args, stall, on_line, || {
                stopped() || enough() || begin.elapsed() > total
            })
            .map_err(|error| Trouble::new(Class::Environment, format!("{error:#}")))?;
        if stopped() {
            return Err(Setback::Stopped);
        }
        let silent = format!("yt-dlp said nothing for {} s", stall.as_secs_f64());
        let late = format!("yt-dlp was not done within {} s", total.as_secs_f64());
        let message = match () {
            () if watched.stalled => silent,
            () if !watched.status.success() && begin.elapsed() > total => late,
            () => return Ok(watched),
        };
        let mut trouble = Trouble::new(Class::Network, message);
        trouble.details = classes::last_lines(&watched.tail, &self.version);
        Err(trouble.into())
    }
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
