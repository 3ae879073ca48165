//! The command lines of yt-dlp. Every option was looked up in the help of 2026.10.26.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{COOKIES, FOUND, Job, MOVED, NO_FFMPEG, PROGRESS};
use crate::dataset::config::DownloadConfig;
use crate::dataset::trouble::{Class, Trouble};

/// Least and most seconds of the wait before a download, in multiples of the wait between two requests: 10 to 20 s by
/// default, as yt-dlp's preset `sleep` has them.
const LEAST_SLEEPS: f64 = 10.0;
pub(super) const MOST_SLEEPS: f64 = 20.0;

/// Formats that yt-dlp fetches by HTTP without another program.
const BY_HTTP: &str = "[protocol~='^(https?|m3u8|m3u8_native|http_dash_segments|http_dash_segments_generator|ism|f4m)$']";

/// Options of every call.
pub(super) fn common(config: &DownloadConfig, folder: &Path) -> Result<Vec<OsString>, Trouble> {
    let socket_timeout = format!("{}", config.stall_timeout.min(20.0));
    // The proxy is in the environment: a command line shows its secret to everybody.
    let fixed = "--ignore-config --no-config-locations --no-plugin-dirs --no-remote-components --no-cache-dir \
                 --no-update --no-exec --no-playlist --newline --no-quiet --color never --downloader native \
                 --hls-prefer-native --ffmpeg-location";
    let mut args: Vec<OsString> = fixed.split_whitespace().map(OsString::from).collect();
    args.push(NO_FFMPEG.into());
    args.extend(["--socket-timeout", &socket_timeout].map(OsString::from));
    args.extend(
        "--retries 5 --extractor-retries 3"
            .split(' ')
            .map(OsString::from),
    );
    if config.sleep > 0.0 {
        args.extend([
            "--sleep-requests".into(),
            format!("{}", config.sleep).into(),
        ]);
    }
    if let Some(cookies) = &config.cookies {
        let copy = folder.join(COOKIES);
        copy_cookies(cookies, &copy).map_err(|error| {
            let message = format!("{error}, cannot read the cookies {}", cookies.display());
            Trouble::new(Class::Environment, message)
        })?;
        args.extend([OsString::from("--cookies"), copy.into()]);
    }
    Ok(args)
}

/// yt-dlp writes to its cookie file; each process gets a copy that nobody else may read.
fn copy_cookies(from: &Path, to: &Path) -> io::Result<()> {
    let content = fs::read(from)?;
    let _ = fs::remove_file(to);
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?
        .write_all(&content)
}

pub(super) fn download_args(job: &Job, folder: &Path) -> Result<Vec<OsString>, Trouble> {
    let config = job.config;
    let mut args = common(config, folder)?;
    let mut add = |option: &str, value: String| {
        args.extend([OsString::from(option), OsString::from(value)]);
    };
    let height = config.height;
    let longest = config
        .max_duration
        .map_or(String::new(), |most| format!(" & duration<=?{most}"));
    let fields = "%(.{extractor_key,title,license,duration,live_status,playlist_count,filepath})j";
    // Video alone where there is a choice: half the requests, nothing to merge. Only what it fetches by HTTP itself: for
    // others it starts programs that know of no proxy.
    add(
        "--format",
        format!("bv*[height<={height}]{BY_HTTP}/b{BY_HTTP}"),
    );
    add("--format-sort", format!("res:{height},vcodec:h264"));
    add(
        "--match-filters",
        format!("!is_live & !is_upcoming{longest}"),
    );
    add(
        "--progress-template",
        format!("download:{PROGRESS}%(progress)j"),
    );
    add("--progress-delta", "1".into());
    add("--print", format!("pre_process:{FOUND}{fields}"));
    add("--print", format!("after_move:{MOVED}{fields}"));
    add("--fragment-retries", "10".into());
    add("--concurrent-fragments", "2".into());
    add("--throttled-rate", "100K".into());
    add("--trim-filenames", "120".into());
    add("--fixup", "never".into());
    // A page that was not found to be a playlist when the inputs were read gives its first video.
    add("--playlist-items", "1".into());
    add("--max-filesize", job.cap.bytes.to_string());
    add("--output", format!("{}.%(ext)s", job.video_id));
    if let Some(rate) = config.rate_limit {
        add("--limit-rate", rate.to_string());
    }
    if config.sleep > 0.0 {
        add("--retry-sleep", "http:exp=1:30".into());
        add("--retry-sleep", "fragment:exp=1:20".into());
        add(
            "--min-sleep-interval",
            format!("{}", LEAST_SLEEPS * config.sleep),
        );
        add(
            "--max-sleep-interval",
            format!("{}", MOST_SLEEPS * config.sleep),
        );
    }
    let flags = "--progress --no-simulate --abort-on-unavailable-fragments --no-mtime \
                 --no-download-archive --continue";
    args.extend(flags.split_whitespace().map(OsString::from));
    let path = |kind: &str, path: &Path| {
        let mut value = OsString::from(kind);
        value.push(path);
        [OsString::from("--paths"), value]
    };
    args.extend(path("home:", folder));
    args.extend(path("temp:", &folder.join("tmp")));
    args.extend([OsString::from("--"), OsString::from(job.url.as_str())]);
    Ok(args)
}
