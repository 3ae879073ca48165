//! Fetching a video: local files, plain HTTP, and everything else by yt-dlp.
//!
//! ```text
//!                       ┌ File: read where it is ──────────────────────────────────────────────┐
//! fetch(video, folder) ─┤ Http: place at the host ─▶ http::fetch ──┐                           ├─▶ hash ─▶ Downloaded
//!                       └ Page: place at the host ─▶ yt_dlp.fetch ─┴─▶ verify ─▶ video.<ext> ──┘
//!                                   ▲        trouble │ network: wait, again, up to `tries`
//!                                   └────────────────┤ rate, auth: the host is paused
//!                                                    │ truncated: once more from the beginning
//!                                                    └ the rest: the video's trouble
//! ```
//! What is under way is `download.part` with its journal, or the folder `download/`; both are gone on with by a later
//! run. Only a verified file gets the name `video.<ext>`, which is ours, never the server's.
//!
//! Addresses that are not of the public internet are refused unless `allow_hosts` names them (`download/guard.rs`), to
//! yt-dlp as well (`download/proxy.rs`). Proxies of the environment are not used: nobody could check where they connect.
//!
//! Invariant: a file named `video.*` was verified. Invariant: a file of the user's is never changed or deleted.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use framewright_infer::data_dir;
use sha2::{Digest as _, Sha256};
use ureq::Agent;
use url::Url;

use super::config::DownloadConfig;
use super::inputs::extension_of;
use super::record::{Downloaded, Location, Video};
use super::trouble::{Class, Setback, Trouble};
use crate::durable;

use guard::{Guard, Refused};
use hosts::Hosts;
use http::{Cap, Session, on_disk};
use pause::{backoff, sleep};
use yt_dlp::{Info, Job, Listing, YtDlp};

pub use hosts::Pace;
pub use pause::Stopped;

mod answer;
mod classes;
mod connect;
mod guard;
mod hosts;
mod http;
mod part;
mod pause;
mod proxy;
mod speed;
mod wire;
pub mod yt_dlp;

/// Tries of a video that came short or does not decode to its end.
const CLEAN_TRIES: u32 = 2;

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there.
    pub bytes: u64,
    /// Size of the whole, where it is known.
    pub total: Option<u64>,
}

/// Says whether a file is a whole video; is given the duration in seconds that the site states, where it does.
pub type Verify<'a> = &'a dyn Fn(&Path, Option<f64>) -> Result<(), Setback>;

/// Fetches videos, for all workers of a run.
pub struct Downloader {
    config: DownloadConfig,
    guard: Guard,
    agent: Agent,
    hosts: Hosts,
    stopped: Stopped,
    yt_dlp: OnceLock<Result<YtDlp, Trouble>>,
}

/// A file that is there and not yet verified.
struct Fetched {
    path: PathBuf,
    extension: String,
    /// Duration that the site states.
    duration_secs: Option<f64>,
    info: Info,
    notes: Vec<String>,
}

impl Downloader {
    /// Prepares; talks to nobody. `stopped` is asked all the time whether the run is stopping.
    pub fn new(config: &DownloadConfig, stopped: Stopped) -> Self {
        Self::with_pace(config, stopped, Pace::default())
    }

    /// As [`Downloader::new`], with other waits between tries.
    pub fn with_pace(config: &DownloadConfig, stopped: Stopped, pace: Pace) -> Self {
        let guard = Guard::new(&config.allow_hosts);
        let stall = seconds(config.stall_timeout);
        let total = seconds(config.total_timeout);
        Self {
            agent: wire::agent(guard.clone(), stall, total, stopped.clone()),
            hosts: Hosts::new(config.per_host, pace),
            guard,
            config: config.clone(),
            stopped,
            yt_dlp: OnceLock::new(),
        }
    }

    /// Uses this yt-dlp, or none, instead of looking for one.
    #[must_use]
    pub fn with_yt_dlp(self, yt_dlp: Result<YtDlp, Trouble>) -> Self {
        Self {
            yt_dlp: OnceLock::from(yt_dlp),
            ..self
        }
    }

    /// The yt-dlp that is used, or why there is none.
    ///
    /// # Errors
    /// It is not installed or too old.
    pub fn yt_dlp(&self) -> Result<&YtDlp, &Trouble> {
        self.yt_dlp
            .get_or_init(|| YtDlp::find(data_dir().as_deref()))
            .as_ref()
    }

    /// The part of the fence that the system does not have, once yt-dlp was used.
    pub fn unfenced(&self) -> Option<&'static str> {
        let is_used = matches!(self.yt_dlp.get(), Some(Ok(_)));
        (is_used && !yt_dlp::is_fenced()).then_some(
            "this kernel does not keep yt-dlp to the proxy that checks its addresses; it needs Linux 6.7 with Landlock",
        )
    }

    /// Gets the video's file into `folder`, or finds it where it is; it is then verified and hashed.
    ///
    /// # Errors
    /// Trouble with the video, the run is stopping, or `verify` says that the run cannot go on.
    pub fn fetch(
        &self,
        video: &Video,
        folder: &Path,
        verify: Verify,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Downloaded, Setback> {
        match &video.location {
            Location::File(path) => self.local(path, verify, on_progress),
            Location::Http(url) | Location::Page(url) => {
                self.remote(video, &parse(url)?, folder, verify, on_progress)
            }
        }
    }

    /// What a page holds, when it is a playlist.
    ///
    /// # Errors
    /// Trouble with the page, or the run is stopping.
    pub fn list(&self, url: &Url) -> Result<Listing, Setback> {
        let yt_dlp = self.yt_dlp().map_err(Trouble::clone)?;
        self.check(url)?;
        let name = hosts::name_of(url);
        let mut failed = 0;
        loop {
            let slot = self.hosts.enter(&name, &self.stopped)?;
            let listed = yt_dlp.list(url, &self.guard, &self.config, &self.stopped);
            drop(slot);
            match listed {
                Err(Setback::Video(trouble)) => {
                    let page = Location::Page(url.to_string());
                    let again = self.after(&trouble, &name, &page, &mut failed)?;
                    if !again {
                        return Err(trouble.into());
                    }
                }
                listed => {
                    self.hosts.done(&name);
                    return listed;
                }
            }
        }
    }

    fn local(
        &self,
        path: &Path,
        verify: Verify,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Downloaded, Setback> {
        check_local(path)?;
        verify(path, None)?;
        let (sha256, size_bytes) = self.hash(path, on_progress)?;
        Ok(Downloaded {
            file: path.to_owned(),
            size_bytes,
            sha256,
            title: None,
            extractor: "file".into(),
            licence: None,
            notes: Vec::new(),
        })
    }

    fn remote(
        &self,
        video: &Video,
        url: &Url,
        folder: &Path,
        verify: Verify,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Downloaded, Setback> {
        fs::create_dir_all(folder).map_err(|error| on_disk(&error))?;
        let folder = &std::path::absolute(folder).map_err(|error| on_disk(&error))?;
        let name = hosts::name_of(url);
        let (mut failed, mut short, mut spent) = (0, 0, Duration::ZERO);
        loop {
            let tried = self.try_once(video, url, &name, folder, &mut spent, on_progress);
            let tried = tried.and_then(|fetched| {
                self.hosts.done(&name);
                verify(&fetched.path, fetched.duration_secs)?;
                Ok(fetched)
            });
            let trouble = match tried {
                Ok(fetched) => return self.publish(fetched, folder),
                Err(Setback::Video(trouble)) => trouble,
                Err(setback) => return Err(setback),
            };
            match trouble.class {
                Class::Truncated | Class::BadInput | Class::TooLarge | Class::Permanent => {
                    discard(folder).map_err(|error| on_disk(&error))?;
                }
                Class::Network | Class::Rate | Class::Auth | Class::Environment => {}
            }
            if spent >= seconds(self.config.total_timeout) {
                return Err(trouble.into());
            }
            if trouble.class == Class::Truncated {
                short += 1;
                if short < CLEAN_TRIES {
                    continue;
                }
            } else if self.after(&trouble, &name, &video.location, &mut failed)? {
                continue;
            }
            return Err(trouble.into());
        }
    }

    /// What trouble means for the host, and whether it is worth another try, for which it has waited then.
    fn after(
        &self,
        trouble: &Trouble,
        name: &str,
        at: &Location,
        failed: &mut u32,
    ) -> Result<bool, Setback> {
        let is_page = matches!(at, Location::Page(_));
        let key = match at {
            Location::File(path) => path.to_string_lossy(),
            Location::Http(url) | Location::Page(url) => url.into(),
        };
        let asked = trouble.retry_after_secs.map(seconds);
        let pace = self.hosts.pace();
        let wait = match trouble.class {
            Class::Network => asked.unwrap_or_else(|| backoff(pace.backoff, *failed + 1, &key)),
            // A server of files that wants a password for one of them may give the others.
            Class::Auth if !is_page => return Ok(false),
            Class::Rate | Class::Auth => {
                let pause = self.hosts.pause(name, trouble.class, is_page, asked);
                if trouble.class == Class::Auth || pause > pace.short_wait {
                    let mut trouble = trouble.clone();
                    trouble.retry_after_secs = Some(pause.as_secs_f64());
                    return Err(trouble.into());
                }
                pause
            }
            _ => return Ok(false),
        };
        *failed += 1;
        if *failed >= self.config.tries.max(1) || wait > pace.short_wait {
            return Ok(false);
        }
        sleep(wait, &self.stopped)?;
        Ok(true)
    }

    /// One try, with a place at the host for as long as it takes, which is added to `spent`.
    fn try_once(
        &self,
        video: &Video,
        url: &Url,
        name: &str,
        folder: &Path,
        spent: &mut Duration,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Fetched, Setback> {
        let left = seconds(self.config.total_timeout).saturating_sub(*spent);
        let _slot = self.hosts.enter(name, &self.stopped)?;
        let begin = Instant::now();
        let fetched = self.fetch_once(video, url, folder, left, on_progress);
        *spent += begin.elapsed();
        fetched
    }

    fn fetch_once(
        &self,
        video: &Video,
        url: &Url,
        folder: &Path,
        left: Duration,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Fetched, Setback> {
        if !matches!(video.location, Location::Page(_)) {
            return self.by_http(url, folder, false, left, on_progress);
        }
        let missing = match self.yt_dlp() {
            Ok(yt_dlp) => return self.by_yt_dlp(yt_dlp, video, url, folder, left, on_progress),
            Err(missing) => missing,
        };
        // What looks like a page may be a plain file all the same.
        let plain = self.by_http(url, folder, true, left, on_progress);
        plain.map_err(|setback| match setback {
            Setback::Video(trouble) if trouble.class == Class::BadInput => {
                let message = format!(
                    "{}; pages need yt-dlp: {}",
                    trouble.message, missing.message
                );
                Trouble::new(Class::Environment, message).into()
            }
            other => other,
        })
    }

    fn by_http(
        &self,
        url: &Url,
        folder: &Path,
        only_video: bool,
        left: Duration,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Fetched, Setback> {
        let session = Session {
            agent: &self.agent,
            stopped: &self.stopped,
            stall: seconds(self.config.stall_timeout),
            total: seconds(self.config.total_timeout),
            left,
            min_speed: self.config.min_speed.unwrap_or(0),
            cap: self.cap(folder)?,
            rate_limit: self.config.rate_limit,
            only_video,
        };
        let kind = http::fetch(&session, url, folder, on_progress)?;
        let of_path = extension_of(Path::new(url.path()));
        let extension = of_path.or(kind).unwrap_or("mp4").to_owned();
        Ok(Fetched {
            path: folder.join(part::PART),
            extension,
            duration_secs: None,
            info: Info::default(),
            notes: Vec::new(),
        })
    }

    fn by_yt_dlp(
        &self,
        yt_dlp: &YtDlp,
        video: &Video,
        url: &Url,
        folder: &Path,
        left: Duration,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Fetched, Setback> {
        self.check(url)?;
        let job = Job {
            url,
            video_id: &video.video_id,
            folder,
            config: &self.config,
            cap: self.cap(folder)?,
            guard: &self.guard,
            left,
            stopped: &self.stopped,
        };
        let (path, info, of_run) = yt_dlp.fetch(&job, on_progress)?;
        let extension = extension_of(&path).unwrap_or("mp4").to_owned();
        let mut notes = vec![format!("fetched by yt-dlp {}", yt_dlp.version)];
        notes.extend(info.first_of());
        notes.extend(of_run);
        Ok(Fetched {
            path,
            extension,
            duration_secs: info.duration,
            info,
            notes,
        })
    }

    /// Checks the host of a page before anything is started for it.
    fn check(&self, url: &Url) -> Result<(), Trouble> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let checked = connect::resolve(&self.guard, host, port, || !(self.stopped)());
        checked.map(drop).map_err(|refused| {
            let class = match refused {
                Refused::Private { .. } => Class::Permanent,
                Refused::Unresolved(_) => Class::Network,
            };
            Trouble::new(class, refused.to_string())
        })
    }

    /// The most bytes of a file: as chosen, else half of the free space, so that no endless body fills the disk.
    fn cap(&self, folder: &Path) -> Result<Cap, Trouble> {
        if let Some(bytes) = self.config.max_file_size {
            return Ok(Cap {
                bytes,
                is_chosen: true,
            });
        }
        let disk = rustix::fs::statvfs(folder).map_err(|error| on_disk(&error.into()))?;
        let there = fs::metadata(folder.join(part::PART)).map_or(0, |part| part.len());
        Ok(Cap {
            bytes: disk.f_bavail.saturating_mul(disk.f_frsize).midpoint(there),
            is_chosen: false,
        })
    }

    /// Gives a verified file its name, and clears away what else there was.
    fn publish(&self, fetched: Fetched, folder: &Path) -> Result<Downloaded, Setback> {
        let (sha256, size_bytes) = self.hash(&fetched.path, &mut |_| ())?;
        let file = PathBuf::from(format!("video.{}", fetched.extension));
        remove_videos(folder)
            .and_then(|()| durable::publish(&fetched.path, &folder.join(&file)))
            .and_then(|()| discard(folder))
            .map_err(|error| on_disk(&error))?;
        let info = fetched.info;
        Ok(Downloaded {
            file,
            size_bytes,
            sha256,
            title: info.title,
            extractor: info.extractor_key.unwrap_or_else(|| "http".into()),
            licence: info.license,
            notes: fetched.notes,
        })
    }

    /// SHA-256 and size of a file.
    fn hash(
        &self,
        path: &Path,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<(String, u64), Setback> {
        let cannot_read = |error: io::Error| {
            let message = format!("{error}, cannot read {}", path.display());
            Trouble::with_file(&error, message)
        };
        let mut file = File::open(path).map_err(cannot_read)?;
        let total = file.metadata().map_err(cannot_read)?.len();
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let mut chunk = vec![0; 1 << 20];
        loop {
            let n = file.read(&mut chunk).map_err(cannot_read)?;
            if n == 0 {
                return Ok((hex(&hash.finalize()), bytes));
            }
            if (self.stopped)() {
                return Err(Setback::Stopped);
            }
            hash.update(&chunk[..n]);
            bytes += n as u64;
            let total = Some(total);
            on_progress(Progress { bytes, total });
        }
    }
}

/// Bytes as lowercase hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn seconds(secs: f64) -> Duration {
    // A time that is no time does not end anything.
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::from_hours(24 * 365))
}

fn parse(url: &str) -> Result<Url, Trouble> {
    let url = Url::parse(url);
    url.map_err(|error| Trouble::new(Class::BadInput, format!("not an address: {error}")))
}

/// A local file has to be there, plain, not empty and readable.
fn check_local(path: &Path) -> Result<(), Trouble> {
    let bad = |message: String| Trouble::new(Class::BadInput, message);
    let shown = path.display();
    let unread = |error| Trouble::with_file(&error, format!("{error}, cannot read {shown}"));
    let about = fs::metadata(path).map_err(unread)?;
    if !about.is_file() {
        return Err(bad(format!("not a file: {shown}")));
    }
    if about.len() == 0 {
        return Err(bad(format!("an empty file: {shown}")));
    }
    File::open(path).map(drop).map_err(unread)
}

/// Deletes all that downloads have left in a folder, finished files not included.
fn discard(folder: &Path) -> io::Result<()> {
    part::discard(folder)?;
    yt_dlp::discard(folder)
}

/// Deletes finished files of an earlier run, whose extension may have been another one.
fn remove_videos(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "video") && path.is_file() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
