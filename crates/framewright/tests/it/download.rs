//! Downloads from a server that misbehaves in every way that servers do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use framewright::dataset::config::DownloadConfig;
use framewright::dataset::download::{Downloader, Pace, Progress};
use framewright::dataset::inputs::video_id;
use framewright::dataset::record::{Downloaded, Location, Order, Video};
use framewright::dataset::trouble::{Class, Setback, Trouble};

use crate::env::names_in;
use crate::server::{File, Server, answer, chunked, cut, endless, file, first, head, slow, status};

mod patience;

/// Something that begins as an mp4 file does, and is different everywhere.
fn film(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    b"\0\0\0\x20ftypisom"
        .iter()
        .copied()
        .chain(noise)
        .take(len)
        .collect()
}

/// A folder, a server that may be fetched from, and short waits.
struct Bench {
    server: Server,
    folder: tempfile::TempDir,
    config: DownloadConfig,
    pace: Pace,
}

impl Bench {
    fn new() -> Self {
        let server = Server::start();
        let config = DownloadConfig {
            allow_hosts: vec![server.host()],
            stall_timeout: 1.0,
            total_timeout: 20.0,
            tries: 4,
            sleep: 0.0,
            ..DownloadConfig::default()
        };
        let pace = Pace {
            backoff: Duration::from_millis(10),
            short_wait: Duration::from_secs(2),
            ..Pace::default()
        };
        Self {
            server,
            folder: tempfile::tempdir().unwrap(),
            config,
            pace,
        }
    }

    fn downloader(&self) -> Downloader {
        self.downloader_stopped_by(&Arc::new(AtomicBool::new(false)))
    }

    fn downloader_stopped_by(&self, stop: &Arc<AtomicBool>) -> Downloader {
        let stop = stop.clone();
        let stopped = Arc::new(move || stop.load(Ordering::Relaxed));
        let none = Trouble::new(Class::Environment, "yt-dlp is not installed");
        Downloader::with_pace(&self.config, stopped, self.pace.clone()).with_yt_dlp(Err(none))
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("video")
    }

    fn fetch(&self, url: &str) -> Result<Downloaded, Setback> {
        fetch(
            &self.downloader(),
            &Location::Http(url.into()),
            &self.folder(),
        )
    }

    /// The video's file, fetched from `url`.
    #[track_caller]
    fn bytes(&self, url: &str) -> Vec<u8> {
        let done = self.fetch(url).unwrap();
        fs::read(self.folder().join(done.file)).unwrap()
    }

    #[track_caller]
    fn trouble(&self, url: &str) -> Trouble {
        trouble(self.fetch(url))
    }

    fn names(&self) -> Vec<String> {
        names_in(&self.folder())
    }
}

fn fetch(
    downloader: &Downloader,
    location: &Location,
    folder: &Path,
) -> Result<Downloaded, Setback> {
    let video = video_at(location);
    downloader.fetch(&video, folder, &|_, _| Ok(()), &mut |_| ())
}

fn video_at(location: &Location) -> Video {
    Video {
        video_id: video_id(location),
        order: Order { line: 0, entry: 0 },
        source: "line".into(),
        location: location.clone(),
    }
}

#[track_caller]
fn trouble(result: Result<Downloaded, Setback>) -> Trouble {
    match result {
        Err(Setback::Video(trouble)) => trouble,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_file_is_fetched_verified_hashed_and_named_by_us() {
    let bench = Bench::new();
    let film = film(300_000);
    let url = bench
        .server
        .route("/..%2f/x%20y.MP4", file(File::new(&film)));
    let mut seen = Vec::new();
    let folder = bench.folder();
    let verify = |path: &Path, duration: Option<f64>| {
        assert_eq!(fs::read(path).unwrap(), film);
        assert!(!folder.join("video.mp4").exists());
        assert_eq!(duration, None);
        Ok(())
    };
    let done = bench
        .downloader()
        .fetch(
            &video_at(&Location::Http(url)),
            &folder,
            &verify,
            &mut |p| seen.push(p),
        )
        .unwrap();
    assert_eq!(bench.names(), ["video.mp4"]);
    assert_eq!(done.file, Path::new("video.mp4"));
    assert_eq!(
        (done.size_bytes, done.extractor.as_str()),
        (300_000, "http")
    );
    assert_eq!(done.sha256.len(), 64);
    let last = Progress {
        bytes: 300_000,
        total: Some(300_000),
    };
    assert_eq!(seen.last(), Some(&last));
}

#[test]
fn a_connection_that_is_cut_is_taken_up_where_it_ended() {
    let bench = Bench::new();
    let film = film(200_000);
    let url = bench
        .server
        .route("/a.mp4", cut(File::new(&film), 60_000, 3));
    assert_eq!(bench.bytes(&url), film);
    let ranges: Vec<_> = bench.server.requests("/a.mp4");
    let ranges: Vec<_> = ranges
        .iter()
        .map(|request| request.header("range"))
        .collect();
    let resumed = ["bytes=60000-", "bytes=120000-", "bytes=180000-"].map(Some);
    assert_eq!(ranges[0], None);
    assert_eq!(ranges[1..], resumed);
    let second = &bench.server.requests("/a.mp4")[1];
    assert_eq!(second.header("if-range"), Some("\"v1\""));
}

#[test]
fn what_is_always_cut_is_network_trouble_and_the_next_run_goes_on() {
    let bench = Bench::new();
    let film = film(100_000);
    let url = bench
        .server
        .route("/a.mp4", cut(File::new(&film), 10_000, 6));
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::Network);
    assert_eq!(
        trouble.message,
        "the connection ended after 40000 of 100000 bytes"
    );
    assert_eq!(bench.names(), ["download.json.part", "download.part"]);
    assert_eq!(bench.bytes(&url), film);
    assert_eq!(bench.names(), ["video.mp4"]);
    assert_eq!(
        bench.server.requests("/a.mp4")[4].header("range"),
        Some("bytes=40000-")
    );
}

#[test]
fn a_part_of_another_address_is_not_gone_on_with() {
    let bench = Bench::new();
    let (one, two) = (film(50_000), vec![7; 80_000]);
    let a = bench
        .server
        .route("/a.mp4", cut(File::new(&one), 10_000, 9));
    let b = bench.server.route("/b.mp4", file(File::new(&two)));
    bench.trouble(&a);
    assert_eq!(bench.bytes(&b), two);
    assert_eq!(bench.server.requests("/b.mp4")[0].header("range"), None);
}

#[test]
fn another_version_or_a_server_without_parts_begins_anew() {
    let film = film(90_000);
    let old = File::new(&vec![9; 90_000]);
    let changed = File {
        etag: Some("\"v2\"".into()),
        ..File::new(&film)
    };
    let without = File {
        ranges: false,
        ..File::new(&film)
    };
    // Says yes to the part, but of another version: only its ETag tells.
    let careless = {
        let film = film.clone();
        move |request: &crate::server::Request, stream: &mut std::net::TcpStream| {
            use std::io::Write as _;
            let etag = ("ETag", "\"v2\"".to_owned());
            let length = |n: usize| ("Content-Length", n.to_string());
            if request.header("range").is_some() {
                let range = ("Content-Range", "bytes 30000-89999/90000".into());
                head(stream, 206, &[etag, range, length(60_000)])?;
                return stream.write_all(&film[30_000..]);
            }
            head(stream, 200, &[etag, length(90_000)])?;
            stream.write_all(&film)
        }
    };
    let bench = Bench::new();
    let server = &bench.server;
    let urls = [
        server.route(
            "/1.mp4",
            first(1, cut(old.clone(), 30_000, 1), file(changed)),
        ),
        server.route(
            "/2.mp4",
            first(1, cut(old.clone(), 30_000, 1), file(without)),
        ),
        server.route("/3.mp4", first(1, cut(old.clone(), 30_000, 1), careless)),
    ];
    for url in urls {
        assert_eq!(bench.bytes(&url), film, "{url}");
    }
    // Shorter than what is there: 416.
    let shorter = File {
        etag: Some("\"v1\"".into()),
        ..File::new(&film[..20_000])
    };
    let url = server.route("/4.mp4", first(1, cut(old, 30_000, 1), file(shorter)));
    assert_eq!(bench.bytes(&url), film[..20_000]);
    assert_eq!(server.requests("/4.mp4").len(), 3);
}

#[test]
fn without_a_version_a_part_is_worth_nothing() {
    let bench = Bench::new();
    let film = film(90_000);
    let unversioned = File {
        etag: None,
        ..File::new(&film)
    };
    let url = bench.server.route("/a.mp4", cut(unversioned, 30_000, 1));
    assert_eq!(bench.bytes(&url), film);
    assert_eq!(bench.server.requests("/a.mp4")[1].header("range"), None);
}

#[test]
fn statuses_are_trouble_of_their_class_and_only_the_server_s_own_are_tried_again() {
    let bench = Bench::new();
    let film = film(20_000);
    for (code, class) in [
        (403, Class::Permanent),
        (404, Class::Permanent),
        (410, Class::Permanent),
    ] {
        let path = format!("/{code}.mp4");
        let url = bench.server.route(&path, status(code, &[]));
        assert_eq!(bench.trouble(&url).class, class);
        assert_eq!(bench.server.requests(&path).len(), 1);
    }
    for code in [500, 503] {
        let path = format!("/{code}.mp4");
        let answer = first(3, status(code, &[]), file(File::new(&film)));
        let url = bench.server.route(&path, answer);
        assert_eq!(bench.bytes(&url), film);
        assert_eq!(bench.server.requests(&path).len(), 4);
    }
    let url = bench.server.route("/always.mp4", status(502, &[]));
    assert_eq!(bench.trouble(&url).class, Class::Network);
    assert_eq!(bench.server.requests("/always.mp4").len(), 4);
}

#[test]
fn too_many_requests_wait_a_short_time_and_pause_the_host_for_a_long_one() {
    let bench = Bench::new();
    let film = film(20_000);
    let busy = status(429, &[("Retry-After", "1")]);
    let url = bench
        .server
        .route("/a.mp4", first(1, busy, file(File::new(&film))));
    let begin = Instant::now();
    assert_eq!(bench.bytes(&url), film);
    assert!(begin.elapsed() >= Duration::from_secs(1));

    let url = bench
        .server
        .route("/b.mp4", status(429, &[("Retry-After", "600")]));
    let downloader = bench.downloader();
    let fetch = |url: &str| fetch(&downloader, &Location::Http(url.into()), &bench.folder());
    let first = trouble(fetch(&url));
    assert_eq!(
        (first.class, first.retry_after_secs),
        (Class::Rate, Some(600.0))
    );
    // The next video of the host is not even asked for.
    let next = bench.server.route("/c.mp4", file(File::new(&film)));
    let next = trouble(fetch(&next));
    assert_eq!(next.class, Class::Rate);
    assert!((590.0..=600.0).contains(&next.retry_after_secs.unwrap()));
    assert_eq!(bench.server.requests("/c.mp4").len(), 0);
}

#[test]
fn a_file_behind_a_login_is_its_own_trouble() {
    let bench = Bench::new();
    let closed = Location::Http(bench.server.route("/a.mp4", status(401, &[])));
    let open = Location::Http(bench.server.route("/b.mp4", file(File::new(&film(5000)))));
    let downloader = bench.downloader();
    let trouble = trouble(fetch(&downloader, &closed, &bench.folder()));
    assert_eq!(trouble.class, Class::Auth);
    assert_eq!(bench.server.requests("/a.mp4").len(), 1);
    fetch(&downloader, &open, &bench.folder()).unwrap();
}

#[test]
fn redirects_are_followed_and_judged_one_by_one() {
    let bench = Bench::new();
    let film = film(20_000);
    let redirect = |to: &str| status(302, &[("Location", to)]);
    let server = &bench.server;
    server.route("/film.mp4", file(File::new(&film)));
    let good = server.route("/good.mp4", redirect("film.mp4"));
    assert_eq!(bench.bytes(&good), film);

    let other = Server::start();
    let secret = other.route("/secret.mp4", file(File::new(&film)));
    for to in [
        secret.as_str(),
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/x.mp4",
        "http://[::ffff:127.0.0.1]/x.mp4",
        "http://localhost/x.mp4",
        "http://0/x.mp4",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x.mp4",
    ] {
        let url = server.route("/bad.mp4", redirect(to));
        let begin = Instant::now();
        let trouble = bench.trouble(&url);
        assert_eq!(trouble.class, Class::Permanent, "{to}: {trouble}");
        assert!(trouble.message.contains("not fetched"), "{to}: {trouble}");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(other.requests("/secret.mp4").len(), 0);

    let url = server.route("/loop.mp4", redirect("/loop.mp4"));
    assert_eq!(bench.trouble(&url).message, "more than 5 redirects");
    assert_eq!(server.requests("/loop.mp4").len(), 6);
}

#[test]
fn a_private_address_is_refused_unless_it_is_named() {
    let bench = Bench::new();
    let other = Server::start();
    let url = other.route("/a.mp4", file(File::new(&film(20_000))));
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::Permanent);
    assert_eq!(
        trouble.message,
        "127.0.0.1 is a loopback address, which is not fetched from; allow_hosts can name it"
    );
    assert_eq!(other.requests("/a.mp4").len(), 0);
}

/// Path, headers, body, and what is said of it.
type Case<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a [u8], &'a str);

#[test]
fn what_is_no_video_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let film = film(20_000);
    let html = b"<!DOCTYPE html><html><title>Before you continue</title></html>";
    let cases: [Case; 7] = [
        (
            "/1.mp4",
            &[("Content-Type", "text/html; charset=utf-8")],
            html,
            "a web page",
        ),
        (
            "/2.mp4",
            &[("Content-Type", "video/mp4")],
            html,
            "a web page",
        ),
        (
            "/3.mp4",
            &[("Content-Type", "video/mp4")],
            b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
            "a playlist",
        ),
        ("/4.mp4", &[], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture"),
        (
            "/5.mp4",
            &[("Content-Type", "image/jpeg")],
            &[1; 600],
            "a picture",
        ),
        (
            "/6.mp4",
            &[],
            b"ffconcat version 1.0\nfile /etc/passwd\n",
            "a playlist",
        ),
        (
            "/7.mp4",
            &[("Content-Encoding", "gzip")],
            &film,
            "compressed with gzip",
        ),
    ];
    for (path, headers, body, said) in cases {
        let url = bench.server.route(path, answer(headers, body));
        let trouble = bench.trouble(&url);
        assert_eq!(trouble.class, Class::BadInput, "{path}");
        assert!(trouble.message.contains(said), "{trouble}");
        assert_eq!(bench.names(), Vec::<String>::new());
        assert_eq!(bench.server.requests(path).len(), 1);
    }
    // Servers that do not know what they serve are no reason to refuse a video.
    let url = bench
        .server
        .route("/8.mp4", answer(&[("Content-Type", "text/plain")], &film));
    assert_eq!(bench.bytes(&url), film);
}

#[test]
fn an_empty_body_is_tried_once_more() {
    let bench = Bench::new();
    let url = bench
        .server
        .route("/a.mp4", answer(&[("Content-Length", "0")], b""));
    assert_eq!(bench.trouble(&url).class, Class::Truncated);
    assert_eq!(bench.server.requests("/a.mp4").len(), 2);
}

#[test]
fn a_length_that_is_not_kept_is_noticed() {
    let bench = Bench::new();
    let film = film(20_000);
    let longer = answer(&[("Content-Length", "30000")], &film);
    let url = bench.server.route("/a.mp4", longer);
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::Network);
    assert_eq!(
        trouble.message,
        "the connection ended after 20000 of 30000 bytes"
    );
    let url = bench.server.route("/b.mp4", chunked(&film));
    assert_eq!(bench.bytes(&url), film);
}

#[test]
fn large_bodies_end_at_the_cap_announced_or_not() {
    let mut bench = Bench::new();
    bench.config.max_file_size = Some(1 << 20);
    let announced = answer(&[("Content-Length", "99999999999")], &film(1000));
    let announced = bench.server.route("/a.mp4", announced);
    let never_ends = bench.server.route("/b.mp4", endless(&film(1000)));
    for url in [announced, never_ends] {
        let trouble = bench.trouble(&url);
        assert_eq!(trouble.class, Class::TooLarge, "{trouble}");
        assert!(trouble.message.contains("max_file_size"), "{trouble}");
        assert_eq!(bench.names(), Vec::<String>::new());
    }
}

#[test]
fn without_a_cap_the_free_space_is_one() {
    let bench = Bench::new();
    let url = bench.server.route(
        "/a.mp4",
        answer(&[("Content-Length", "9999999999999999")], &film(1000)),
    );
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::TooLarge);
    assert!(
        trouble.message.contains("half of the free space"),
        "{trouble}"
    );
}
