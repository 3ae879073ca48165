//! One run of yt-dlp beside a proxy of its own, and everything that ends it: a stop, silence, too few bytes or too many,
//! and the time.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::launch::Place;
use super::options::MOST_SLEEPS;
use super::{PROGRESS, ProgressLine, YtDlp, fence, secs};
use crate::dataset::config::DownloadConfig;
use crate::dataset::download::classes;
use crate::dataset::download::guard::Guard;
use crate::dataset::download::http::on_disk;
use crate::dataset::download::pause::Stopped;
use crate::dataset::download::proxy::Proxy;
use crate::dataset::download::speed::SpeedFloor;
use crate::dataset::trouble::{Class, Setback, Trouble};
use crate::process::{Fault, Watched};

/// A run of yt-dlp that is wanted.
pub(super) struct Call<'a> {
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The folder it may write to.
    pub folder: &'a Path,
    /// Judges every address.
    pub guard: &'a Guard,
    /// How videos are fetched.
    pub config: &'a DownloadConfig,
    /// Whether the run is stopping.
    pub stopped: &'a Stopped,
    /// Time that is left for it.
    pub left: Duration,
    /// Most bytes that may come in all.
    pub most_bytes: u64,
    /// Most bytes of a file that it writes.
    pub file_bytes: u64,
}

/// How a run of yt-dlp ended.
pub(super) struct Ran {
    /// Its end as a process.
    pub watched: Watched,
    /// The refusals of the guard, in words.
    pub refusals: Vec<String>,
}

impl Ran {
    /// Notes on it, beside its own trouble.
    pub fn notes(&self) -> Vec<String> {
        let refusals = self.refusals.iter();
        refusals
            .map(|refused| format!("yt-dlp was kept from an address: {refused}"))
            .collect()
    }
}

impl YtDlp {
    /// Runs it; `enough` may end it as well.
    ///
    /// # Errors
    /// Trouble other than its own failure, which its status tells. The run is stopping.
    pub(super) fn run(
        &self,
        call: Call,
        on_line: &mut dyn FnMut(&str),
        enough: &dyn Fn() -> bool,
    ) -> Result<Ran, Setback> {
        let config = call.config;
        let begin = Instant::now();
        // It says nothing while it sleeps between requests.
        let stall = secs(config.stall_timeout + MOST_SLEEPS * config.sleep);
        let place = tempfile::tempdir().map_err(|error| on_disk(&error))?;
        let proxy = Proxy::open(call.guard, secs(config.stall_timeout), call.most_bytes);
        let proxy = proxy.map_err(|error| no_proxy(&error))?;
        let port = proxy.port().map_err(|error| no_proxy(&error))?;
        let fence = fence::around(&[call.folder, place.path()], port, call.file_bytes);
        let mut args = self.runtimes();
        args.extend(call.args);
        let speed = Speed::new(config, stall);
        let mut on_line = |line: &str| {
            speed.on_line(line, proxy.received());
            on_line(line);
        };
        let is_over = || {
            (call.stopped)()
                || enough()
                || begin.elapsed() > call.left
                || proxy.is_exhausted()
                || speed.is_too_low(proxy.received())
        };
        let at_home = Place {
            home: place.path(),
            proxy: proxy.url(),
            fence: Some(fence),
        };
        let launch = &self.launch;
        let watched = proxy
            .serve_beside(|| launch.watch(&args, &at_home, stall, &mut on_line, is_over))
            .map_err(|error| no_proxy(&error))?
            .map_err(|error| Trouble::new(Class::Environment, format!("{error:#}")))?;
        if (call.stopped)() {
            return Err(Setback::Stopped);
        }
        let failed = !watched.status.success();
        let network = |message: String| Some(Trouble::new(Class::Network, message));
        let trouble = match (speed.trouble.take(), &watched.fault) {
            (Some(trouble), _) => Some(trouble),
            (None, Some(Fault::Stalled)) => {
                network(format!("yt-dlp said nothing for {} s", stall.as_secs_f64()))
            }
            (None, Some(fault)) => network(format!("yt-dlp was ended: {fault}")),
            (None, None) if failed && proxy.is_exhausted() => {
                let message = format!("it sent more than {} bytes in all", call.most_bytes);
                Some(Trouble::new(Class::TooLarge, message))
            }
            (None, None) if failed && begin.elapsed() > call.left => network(format!(
                "yt-dlp was not done within {} s",
                config.total_timeout
            )),
            (None, None) => None,
        };
        if let Some(mut trouble) = trouble {
            trouble.details = classes::last_lines(&watched.tail, &self.version);
            return Err(trouble.into());
        }
        Ok(Ran {
            watched,
            refusals: proxy.refusals(),
        })
    }

    /// The JavaScript runtimes that it may use. Only Deno keeps a site's script from the network by itself.
    fn runtimes(&self) -> Vec<OsString> {
        let holds_network = fence::holds_network();
        let runtimes = self.launch.runtimes.iter();
        let usable = runtimes.filter(|(name, _)| *name == "deno" || holds_network);
        usable
            .flat_map(|(name, path)| {
                let mut runtime = OsString::from(format!("{name}:"));
                runtime.push(path);
                [OsString::from("--js-runtimes"), runtime]
            })
            .collect()
    }
}

/// The speed of the download itself: pages are small, and yt-dlp sleeps between them.
struct Speed<'a> {
    config: &'a DownloadConfig,
    window: Duration,
    /// `None` while no bytes of the video are fetched.
    floor: RefCell<Option<SpeedFloor>>,
    trouble: RefCell<Option<Trouble>>,
}

impl<'a> Speed<'a> {
    fn new(config: &'a DownloadConfig, window: Duration) -> Self {
        Self {
            config,
            window,
            floor: RefCell::default(),
            trouble: RefCell::default(),
        }
    }

    /// Takes note of when the download begins and ends.
    fn on_line(&self, line: &str, received_bytes: u64) {
        let Some(text) = line.strip_prefix(PROGRESS) else {
            return;
        };
        let progress: ProgressLine = serde_json::from_str(text).unwrap_or_default();
        let mut floor = self.floor.borrow_mut();
        if progress.status.as_deref() != Some("downloading") {
            *floor = None;
        } else if floor.is_none() {
            let min_speed = self.config.min_speed.unwrap_or(0);
            let mut begun = SpeedFloor::new(min_speed, self.config.rate_limit, self.window);
            begun.restart(received_bytes);
            *floor = Some(begun);
        }
    }

    /// True when the download has become too slow, which is kept as trouble.
    fn is_too_low(&self, received_bytes: u64) -> bool {
        let mut floor = self.floor.borrow_mut();
        let checked = floor.as_mut().map(|floor| floor.check(received_bytes));
        if let Some(Err(trouble)) = checked {
            *self.trouble.borrow_mut() = Some(trouble);
        }
        self.trouble.borrow().is_some()
    }
}

fn no_proxy(error: &io::Error) -> Trouble {
    let message = format!("{error}, cannot open a proxy for yt-dlp on 127.0.0.1");
    Trouble::new(Class::Environment, message)
}
