//! Time-outs, stops, places at a host, and what is made of a finished file.

use super::*;

#[test]
fn a_stall_ends_a_try_and_the_next_one_goes_on() {
    let bench = Bench::new();
    let film = film(100_000);
    let stalls = slow(File::new(&film), 40_000, Duration::from_mins(1));
    let url = bench
        .server
        .route("/a.mp4", first(1, stalls, file(File::new(&film))));
    let begin = Instant::now();
    assert_eq!(bench.bytes(&url), film);
    assert!((1.0..8.0).contains(&begin.elapsed().as_secs_f64()));
    assert_eq!(
        bench.server.requests("/a.mp4")[1].header("range"),
        Some("bytes=40000-")
    );
}

#[test]
fn a_server_that_never_answers_is_network_trouble() {
    let mut bench = Bench::new();
    bench.config.tries = 1;
    let url = bench.server.route("/a.mp4", |request, stream| {
        let silent = slow(File::new(b""), 1, Duration::ZERO);
        std::thread::sleep(Duration::from_secs(2));
        silent(request, stream)
    });
    let trouble = bench.trouble(&url);
    assert_eq!(
        (trouble.class, trouble.message.as_str()),
        (Class::Network, "no byte came for 1 s")
    );
}

#[test]
fn drops_of_bytes_end_at_the_total_time() {
    let mut bench = Bench::new();
    bench.config.total_timeout = 1.0;
    bench.config.tries = 1;
    let drip = slow(File::new(&film(100_000)), 600, Duration::from_millis(100));
    let url = bench.server.route("/a.mp4", drip);
    let begin = Instant::now();
    let trouble = bench.trouble(&url);
    assert_eq!(
        (trouble.class, trouble.message.as_str()),
        (Class::Network, "not done within 1 s")
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_server_that_is_too_slow_ends_by_the_least_speed() {
    let mut bench = Bench::new();
    bench.config.tries = 2;
    let film = film(100_000);
    // A byte now and then, well within the time of a stall.
    let drip = slow(File::new(&film), 100, Duration::from_millis(100));
    let url = bench.server.route("/a.mp4", drip);
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::Network, "{trouble}");
    assert!(trouble.message.contains("below min_speed"), "{trouble}");
    // What came is gone on with.
    let begun = bench.server.requests("/a.mp4")[1]
        .header("range")
        .map(str::to_owned);
    assert!(begun.is_some_and(|range| range != "bytes=0-"));
    bench.config.min_speed = Some(0);
    bench.config.total_timeout = 3.0;
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.message, "not done within 3 s");
}

#[test]
fn the_time_for_a_download_is_for_all_its_tries() {
    let mut bench = Bench::new();
    bench.config.total_timeout = 2.5;
    bench.config.tries = 100;
    let stalls = slow(File::new(&film(100_000)), 1000, Duration::from_mins(1));
    let url = bench.server.route("/a.mp4", stalls);
    assert_eq!(bench.trouble(&url).class, Class::Network);
    // A stall takes a second.
    assert!(bench.server.requests("/a.mp4").len() <= 4);
}

#[test]
fn headers_that_drip_end_like_silence() {
    use std::io::Write as _;
    let mut bench = Bench::new();
    bench.config.tries = 1;
    let url = bench.server.route("/a.mp4", |_, stream| {
        for byte in b"HTTP/1.1 200 OK\r\nX: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
        {
            stream.write_all(&[*byte])?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    });
    let trouble = bench.trouble(&url);
    assert_eq!(
        trouble.message,
        "the server did not come to the end of its headers"
    );
}

#[test]
fn a_rate_is_kept() {
    let mut bench = Bench::new();
    bench.config.rate_limit = Some(200_000);
    let film = film(200_000);
    let url = bench.server.route("/a.mp4", file(File::new(&film)));
    let begin = Instant::now();
    assert_eq!(bench.bytes(&url), film);
    assert!(
        (0.6..6.0).contains(&begin.elapsed().as_secs_f64()),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_stop_is_obeyed_at_once_wherever_it_finds_us() {
    let mut bench = Bench::new();
    bench.config.stall_timeout = 60.0;
    bench.config.total_timeout = 60.0;
    let film = film(100_000);
    let server = &bench.server;
    let urls = [
        server.route(
            "/stalls.mp4",
            slow(File::new(&film), 40_000, Duration::from_mins(1)),
        ),
        server.route("/silent.mp4", |_, stream| slow_reader(stream)),
        server.route("/later.mp4", status(503, &[("Retry-After", "1")])),
    ];
    for url in urls {
        let stop = Arc::new(AtomicBool::new(false));
        let downloader = bench.downloader_stopped_by(&stop);
        let timer = std::thread::spawn({
            let stop = stop.clone();
            move || {
                std::thread::sleep(Duration::from_millis(300));
                stop.store(true, Ordering::Relaxed);
            }
        });
        let begin = Instant::now();
        let result = fetch(&downloader, &Location::Http(url), &bench.folder());
        assert!(matches!(result, Err(Setback::Stopped)), "{result:?}");
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "{:?}",
            begin.elapsed()
        );
        timer.join().unwrap();
    }
    // What had come is there for the next run.
    let url = bench.server.route("/stalls.mp4", file(File::new(&film)));
    fs::remove_dir_all(bench.folder()).unwrap();
    assert_eq!(bench.bytes(&url), film);
}

/// Answers nothing until the client goes away.
fn slow_reader(stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    use std::io::Read as _;
    stream.read(&mut [0]).map(|_| ())
}

#[test]
fn only_what_is_verified_gets_a_name() {
    let bench = Bench::new();
    let url = bench.server.route("/a.mp4", file(File::new(&film(20_000))));
    let video = video_at(&Location::Http(url));
    for (class, requests) in [
        (Class::Truncated, 2),
        (Class::BadInput, 3),
        (Class::TooLarge, 4),
    ] {
        let refuse = |_: &Path, _| Err(Trouble::new(class, "no").into());
        let refused = bench
            .downloader()
            .fetch(&video, &bench.folder(), &refuse, &mut |_| ());
        assert_eq!(trouble(refused).class, class);
        assert_eq!(bench.names(), Vec::<String>::new());
        assert_eq!(bench.server.requests("/a.mp4").len(), requests, "{class:?}");
    }
    // Trouble with the machine is none with the file: it is not fetched again.
    let helpless = |_: &Path, _| Err(Trouble::new(Class::Environment, "no fence").into());
    let refused = bench
        .downloader()
        .fetch(&video, &bench.folder(), &helpless, &mut |_| ());
    assert_eq!(trouble(refused).class, Class::Environment);
    bench
        .downloader()
        .fetch(&video, &bench.folder(), &|_, _| Ok(()), &mut |_| ())
        .unwrap();
    assert_eq!(bench.server.requests("/a.mp4").len(), 5);
    assert_eq!(bench.names(), ["video.mp4"]);
}

#[test]
fn a_local_file_is_read_where_it_is_and_never_touched() {
    let bench = Bench::new();
    let path = bench.folder.path().join("mine.mp4");
    fs::write(&path, film(5000)).unwrap();
    let location = Location::File(path.clone());
    let done = fetch(&bench.downloader(), &location, &bench.folder()).unwrap();
    assert_eq!(
        (done.file.as_path(), done.size_bytes),
        (path.as_path(), 5000)
    );
    assert_eq!(done.extractor, "file");
    let refuse = |_: &Path, _| Err(Trouble::new(Class::Truncated, "cut").into());
    let refused =
        bench
            .downloader()
            .fetch(&video_at(&location), &bench.folder(), &refuse, &mut |_| ());
    assert_eq!(trouble(refused).class, Class::Truncated);
    assert_eq!(fs::read(&path).unwrap(), film(5000));
    fs::write(&path, b"").unwrap();
    let empty = trouble(fetch(&bench.downloader(), &location, &bench.folder()));
    assert_eq!(empty.class, Class::BadInput);
    let gone = Location::File(bench.folder.path().join("gone.mp4"));
    assert_eq!(
        trouble(fetch(&bench.downloader(), &gone, &bench.folder())).class,
        Class::BadInput
    );
}

#[test]
fn without_yt_dlp_a_page_may_still_be_a_plain_file() {
    let bench = Bench::new();
    let film = film(20_000);
    let url = bench.server.route("/get", file(File::new(&film)));
    let done = fetch(&bench.downloader(), &Location::Page(url), &bench.folder()).unwrap();
    assert_eq!(done.file, Path::new("video.mp4"));
    let html = answer(&[("Content-Type", "text/html")], b"<html>watch here</html>");
    let url = bench.server.route("/watch", html);
    let trouble = trouble(fetch(
        &bench.downloader(),
        &Location::Page(url),
        &bench.folder(),
    ));
    assert_eq!(trouble.class, Class::Environment);
    assert!(
        trouble.message.contains("yt-dlp is not installed"),
        "{trouble}"
    );
}

#[test]
fn a_host_has_its_places_and_no_more() {
    let mut bench = Bench::new();
    bench.config.per_host = 2;
    let busy = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let film = film(20_000);
    let url = bench.server.route("/a.mp4", {
        let (busy, most) = (busy.clone(), most.clone());
        let serve = file(File::new(&film));
        move |request, stream| {
            let now = busy.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(100));
            busy.fetch_sub(1, Ordering::SeqCst);
            serve(request, stream)
        }
    });
    let downloader = bench.downloader();
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (downloader, bench, url) = (&downloader, &bench, &url);
            scope.spawn(move || {
                let folder = bench.folder.path().join(n.to_string());
                fetch(downloader, &Location::Http(url.clone()), &folder).unwrap();
            });
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[test]
fn a_full_disk_is_trouble_with_the_machine() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        println!("skipped: there is no /dev/full");
        return;
    }
    let bench = Bench::new();
    let url = bench.server.route("/a.mp4", file(File::new(&film(20_000))));
    fs::create_dir_all(bench.folder()).unwrap();
    std::os::unix::fs::symlink(full, bench.folder().join("download.part")).unwrap();
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::Environment, "{trouble}");
}
