//! Pages by the yt-dlp that is installed; without one, every test says `skipped:`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use framewright::dataset::config::DownloadConfig;
use framewright::dataset::download::yt_dlp::YtDlp;
use framewright::dataset::download::{Downloader, Pace};
use framewright::dataset::inputs::{expand, video_id};
use framewright::dataset::record::{Downloaded, Location, Order, Video};
use framewright::dataset::trouble::{Class, Setback, Trouble};

use crate::env::{ffmpeg, names_in};
use crate::server::{File, Server, answer, cut, file, first, slow, status};

mod foreign;

struct Bench {
    server: Server,
    folder: tempfile::TempDir,
    config: DownloadConfig,
    yt_dlp: YtDlp,
}

impl Bench {
    /// None, and said so, without yt-dlp.
    fn new() -> Option<Self> {
        let yt_dlp = match YtDlp::find(None) {
            Ok(yt_dlp) => yt_dlp,
            Err(trouble) => {
                println!("skipped: {trouble}");
                return None;
            }
        };
        let server = Server::start();
        let config = DownloadConfig {
            allow_hosts: vec![server.host()],
            // Python takes its time to start on a busy machine.
            stall_timeout: 60.0,
            total_timeout: 120.0,
            tries: 1,
            sleep: 0.0,
            ..DownloadConfig::default()
        };
        Some(Self {
            server,
            folder: tempfile::tempdir().unwrap(),
            config,
            yt_dlp,
        })
    }

    fn downloader(&self) -> Downloader {
        self.downloader_stopped_by(&Arc::new(AtomicBool::new(false)))
    }

    fn downloader_stopped_by(&self, stop: &Arc<AtomicBool>) -> Downloader {
        let stop = stop.clone();
        let stopped = Arc::new(move || stop.load(Ordering::Relaxed));
        Downloader::with_pace(&self.config, stopped, Pace::default())
            .with_yt_dlp(Ok(self.yt_dlp.clone()))
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("video")
    }

    fn fetch(&self, url: &str) -> Result<Downloaded, Setback> {
        let verify = |_: &Path, _| Ok(());
        self.downloader()
            .fetch(&page(url), &self.folder(), &verify, &mut |_| ())
    }

    #[track_caller]
    fn trouble(&self, url: &str) -> Trouble {
        match self.fetch(url) {
            Err(Setback::Video(trouble)) => {
                let version = format!("yt-dlp {}", self.yt_dlp.version);
                assert!(
                    trouble.details.is_empty() || trouble.details[0] == version,
                    "{trouble:?}"
                );
                trouble
            }
            other => panic!("{other:?}"),
        }
    }

    /// A real film of this many seconds.
    fn film(&self, name: &str, secs: u32) -> Vec<u8> {
        let args = format!("-f lavfi -i testsrc=d={secs}:s=64x64 -c:v mpeg4 {name}");
        ffmpeg(self.folder.path(), &args);
        fs::read(self.folder.path().join(name)).unwrap()
    }
}

fn page(url: &str) -> Video {
    let location = Location::Page(url.into());
    Video {
        video_id: video_id(&location),
        order: Order { line: 0, entry: 0 },
        source: url.into(),
        location,
    }
}

#[test]
fn a_page_gives_its_video_under_our_name_and_two_of_one_name_both() {
    let Some(bench) = Bench::new() else { return };
    let films = [bench.film("1.mp4", 1), bench.film("2.mp4", 2)];
    for (n, film) in films.iter().enumerate() {
        let url = bench
            .server
            .route(&format!("/v{n}/watch"), file(File::new(film)));
        let folder = bench.folder.path().join(n.to_string());
        let mut seen = Vec::new();
        let done = bench.downloader();
        let done = done.fetch(&page(&url), &folder, &|_, _| Ok(()), &mut |p| seen.push(p));
        let done = done.unwrap();
        assert_eq!(done.file, Path::new("video.mp4"));
        assert_eq!(fs::read(folder.join("video.mp4")).unwrap(), *film);
        assert_eq!(
            (done.extractor.as_str(), done.title.as_deref()),
            ("Generic", Some("watch"))
        );
        assert_eq!(
            done.notes,
            [format!("fetched by yt-dlp {}", bench.yt_dlp.version)]
        );
        assert_eq!(names_in(&folder), ["video.mp4"]);
        assert_eq!(seen.last().unwrap().bytes, film.len() as u64);
    }
}

#[test]
fn a_playlist_of_parts_is_whole_or_nothing() {
    let Some(bench) = Bench::new() else { return };
    let film = bench.film("1.ts", 1);
    let list =
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n#EXT-X-ENDLIST\n";
    let headers = [("Content-Type", "application/vnd.apple.mpegurl")];
    for folder in ["/whole", "/cut"] {
        bench.server.route(
            &format!("{folder}/watch"),
            answer(&headers, list.as_bytes()),
        );
        bench
            .server
            .route(&format!("{folder}/0.ts"), file(File::new(&film)));
    }
    bench.server.route("/whole/1.ts", file(File::new(&film)));
    bench.server.route("/cut/1.ts", status(404, &[]));
    let duration = std::cell::Cell::new(None);
    let verify = |_: &Path, secs| {
        duration.set(secs);
        Ok(())
    };
    let whole = page(&bench.server.url("/whole/watch"));
    let downloader = bench.downloader();
    let done = downloader.fetch(&whole, &bench.folder(), &verify, &mut |_| ());
    assert_eq!(done.unwrap().size_bytes, 2 * film.len() as u64);
    assert_eq!(duration.get(), Some(2.0));
    fs::remove_dir_all(bench.folder()).unwrap();
    let trouble = bench.trouble(&bench.server.url("/cut/watch"));
    assert_eq!(trouble.class, Class::Truncated, "{trouble:?}");
    assert_eq!(names_in(&bench.folder()), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_a_page_has_its_class() {
    let Some(bench) = Bench::new() else { return };
    let html = answer(
        &[("Content-Type", "text/html")],
        b"<html><title>consent</title></html>",
    );
    let server = &bench.server;
    for (url, class) in [
        (server.route("/404", status(404, &[])), Class::Permanent),
        (server.route("/403", status(403, &[])), Class::Permanent),
        (server.route("/html", html), Class::Permanent),
        (server.route("/503", status(503, &[])), Class::Network),
        (server.route("/401", status(401, &[])), Class::Auth),
        (server.route("/429", status(429, &[])), Class::Rate),
    ] {
        let trouble = bench.trouble(&url);
        assert_eq!(trouble.class, class, "{url}: {trouble:?}");
        assert!(!trouble.details.is_empty());
    }
}

#[test]
fn a_page_on_a_private_address_is_not_given_to_yt_dlp() {
    let Some(bench) = Bench::new() else { return };
    let other = Server::start();
    let url = other.route("/watch", file(File::new(b"x")));
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::Permanent);
    assert!(trouble.message.contains("loopback"), "{trouble}");
    assert_eq!(other.requests("/watch").len(), 0);
}

#[test]
fn what_was_begun_is_gone_on_with_only_for_the_same_page() {
    let Some(bench) = Bench::new() else { return };
    let (one, two) = (bench.film("1.mp4", 1), bench.film("2.mp4", 2));
    // A first request looks at the page, the next ones are the download.
    let cuts = cut(File::new(&one), 500, 100);
    let a = bench
        .server
        .route("/a/watch", first(1, file(File::new(&one)), cuts));
    let b = bench.server.route("/b/watch", file(File::new(&two)));
    let trouble = bench.trouble(&a);
    assert_eq!(trouble.class, Class::Network, "{trouble:?}");
    assert_eq!(names_in(&bench.folder()), ["download"]);
    // Another page in the same folder under the same id, as after a change of the inputs.
    let mut other = page(&b);
    other.video_id = page(&a).video_id;
    bench
        .downloader()
        .fetch(&other, &bench.folder(), &|_, _| Ok(()), &mut |_| ())
        .unwrap();
    assert_eq!(fs::read(bench.folder().join("video.mp4")).unwrap(), two);
}

#[test]
fn sizes_and_lengths_beyond_what_is_allowed_are_not_taken() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let film = bench.film("1.mp4", 1);
    bench.config.max_file_size = Some(1000);
    let url = bench.server.route("/watch", file(File::new(&film)));
    assert_eq!(bench.trouble(&url).class, Class::TooLarge);
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n0.ts\n#EXT-X-ENDLIST\n";
    let headers = [("Content-Type", "application/vnd.apple.mpegurl")];
    let url = bench
        .server
        .route("/long", answer(&headers, list.as_bytes()));
    bench.config.max_file_size = None;
    bench.config.max_duration = Some(5.0);
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::TooLarge, "{trouble:?}");
    assert_eq!(trouble.message, "9 s is longer than max_duration, 5 s");
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n0.ts\n";
    let url = bench
        .server
        .route("/live", answer(&headers, list.as_bytes()));
    assert_eq!(bench.trouble(&url).message, "it is a live stream");
}

#[test]
fn a_stop_ends_yt_dlp() {
    let Some(bench) = Bench::new() else { return };
    let film = bench.film("1.mp4", 1);
    let stalls = slow(File::new(&film), 2000, Duration::from_mins(1));
    let url = bench
        .server
        .route("/watch", first(1, file(File::new(&film)), stalls));
    let stop = Arc::new(AtomicBool::new(false));
    let downloader = bench.downloader_stopped_by(&stop);
    let begin = Instant::now();
    let result = downloader.fetch(&page(&url), &bench.folder(), &|_, _| Ok(()), &mut |_| {
        stop.store(true, Ordering::Relaxed);
    });
    assert!(matches!(result, Err(Setback::Stopped)), "{result:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn cookies_are_sent_and_the_user_s_file_is_not_written() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let film = bench.film("1.mp4", 1);
    let url = bench.server.route("/watch", file(File::new(&film)));
    let cookies = bench.folder.path().join("cookies.txt");
    let text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4000000000\tname\tvalue\n";
    fs::write(&cookies, text).unwrap();
    bench.config.cookies = Some(cookies.clone());
    bench.fetch(&url).unwrap();
    assert_eq!(
        bench.server.requests("/watch")[0].header("cookie"),
        Some("name=value")
    );
    assert_eq!(fs::read_to_string(&cookies).unwrap(), text);
    assert_eq!(names_in(&bench.folder()), ["video.mp4"]);
}

#[test]
fn a_feed_becomes_its_entries_and_a_video_stays_one() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let item = |url: &str| {
        format!("<item><title>t</title><enclosure url=\"{url}\" type=\"video/mp4\"/></item>")
    };
    let urls = ["/a.mp4", "/b/watch", "/c/watch"].map(|path| bench.server.url(path));
    let items: String = urls.iter().map(|url| item(url)).collect();
    let feed = format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>f</title>{items}</channel></rss>"
    );
    let feed = answer(&[("Content-Type", "application/rss+xml")], feed.as_bytes());
    let feed = bench.server.route("/feed", feed);
    let film = bench.film("1.mp4", 1);
    let single = bench.server.route("/watch", file(File::new(&film)));
    bench.config.max_entries = 2;
    let downloader = bench.downloader();
    let inputs = [feed.clone(), single.clone()];
    let found = expand(&inputs, Path::new(""), &[], &mut |url| downloader.list(url)).unwrap();
    let locations: Vec<_> = found
        .videos
        .into_iter()
        .map(|video| video.location)
        .collect();
    assert_eq!(
        locations,
        [
            Location::Http(urls[0].clone()),
            Location::Page(urls[1].clone()),
            Location::Page(single)
        ]
    );
    assert_eq!(
        found.notes,
        [format!("{feed}: only its first 2 entries are taken")]
    );
    assert!(found.troubles.is_empty());
}
