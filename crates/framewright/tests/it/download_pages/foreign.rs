//! What comes with yt-dlp and is not to: code that lies about, and addresses that a site leads to.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use framewright::dataset::trouble::Class;

use super::Bench;
use crate::env::TestEnv;
use crate::server::{File, answer, file, first, head, slow};

/// A listener that nobody may come to.
fn forbidden() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn yt_dlp_reaches_no_address_that_the_guard_refuses() {
    let Some(bench) = Bench::new() else { return };
    let (listener, to) = forbidden();
    let server = &bench.server;
    let html = |body: String| answer(&[("Content-Type", "text/html")], body.as_bytes());
    let list = |body: &str| {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{body}#EXT-X-ENDLIST\n");
        answer(
            &[("Content-Type", "application/vnd.apple.mpegurl")],
            text.as_bytes(),
        )
    };
    let redirect =
        |to: String| move |_: &_, stream: &mut _| head(stream, 302, &[("Location", to.clone())]);
    let video = |url: String| {
        html(format!(
            "<html><title>t</title><video src=\"{url}\"></video></html>"
        ))
    };
    let key = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"http://{to}/key\"\n#EXTINF:1,\n0.ts\n");
    // The part itself is there: only its key is not to be had.
    let _ = server.route("/0.ts", file(File::new(&[0x47; 1880])));
    let odd = to.replace("127.0.0.1", "0x7f.1");
    let urls = [
        server.route("/redirect", redirect(format!("http://{odd}/a"))),
        server.route("/embedded", video(format!("https://{to}/a.mp4"))),
        server.route("/part", list(&format!("#EXTINF:1,\nhttp://{to}/0.ts\n"))),
        server.route("/key", list(&key)),
    ];
    for url in urls {
        let trouble = bench.trouble(&url);
        assert_eq!(trouble.class, Class::Permanent, "{url}: {trouble:?}");
        assert!(
            trouble.message.contains("a loopback address"),
            "{url}: {trouble}"
        );
    }
    // Other ways than HTTP lead nowhere either; what is made of them is yt-dlp's.
    for url in [
        server.route("/ftp", video(format!("ftp://{to}/a.mp4"))),
        server.route("/rtmp", video(format!("rtmp://{to}/a.mp4"))),
        server.route("/file", list("#EXTINF:1,\nfile:///etc/passwd\n")),
    ] {
        let trouble = bench.trouble(&url);
        assert!(!trouble.message.is_empty(), "{url}: {trouble:?}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn yt_dlp_that_fetches_too_slowly_is_ended() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench.config.stall_timeout = 20.0;
    bench.config.min_speed = Some(50_000);
    let film = bench.film("1.mp4", 20);
    let drip = slow(File::new(&film), 1100, Duration::from_millis(500));
    let url = bench
        .server
        .route("/watch", first(1, file(File::new(&film)), drip));
    let trouble = bench.trouble(&url);
    assert_eq!(trouble.class, Class::Network, "{trouble:?}");
    assert!(trouble.message.contains("min_speed"), "{trouble:?}");
}

/// The folder of packages that holds the module `yt_dlp`.
fn packages() -> Option<PathBuf> {
    let ask = "import os, yt_dlp; print(os.path.dirname(os.path.dirname(yt_dlp.__file__)))";
    let output = Command::new("python3").args(["-c", ask]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| path.trim().into())
}

/// A program that runs everything that is planted here tells it by this file.
fn plant(env: &TestEnv) -> PathBuf {
    let told = env.path("PLANTED");
    let code = format!(
        "open({:?}, 'a').write(__file__ + '\\n')\n",
        told.display().to_string()
    );
    let home = env.folder("home");
    let put = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let user = |python: &str| home.join(format!(".local/lib/python3.{python}/site-packages"));
    let mut folders = vec![env.root().to_owned(), env.path("planted")];
    folders.extend((8..20).map(|minor| user(&minor.to_string())));
    for folder in folders {
        for name in [
            "optparse",
            "yt_dlp",
            "sitecustomize",
            "usercustomize",
            "json",
            "encodings",
        ] {
            put(&folder.join(format!("{name}.py")), &code);
        }
        put(&folder.join("evil.pth"), &format!("import os; {code}"));
    }
    let runs = format!("--exec before_dl:\"touch {}\"\n", told.display());
    for config in [
        "yt-dlp.conf",
        "home/yt-dlp.conf",
        "home/.config/yt-dlp/config",
        "home/.config/yt-dlp.conf",
        "home/.yt-dlp/config",
        "config/yt-dlp/config",
    ] {
        put(&env.path(config), &runs);
    }
    for plugins in [
        "yt-dlp-plugins",
        "home/.yt-dlp/plugins",
        "home/yt-dlp-plugins",
        "home/.config/yt-dlp/plugins",
        "home/.config/yt-dlp-plugins",
        "config/yt-dlp/plugins",
        "planted/yt-dlp-plugins",
    ] {
        let extractor = format!("{plugins}/evil/yt_dlp_plugins/extractor/evil.py");
        put(&env.path(&extractor), &code);
    }
    put(&env.path("planted/yt_dlp_plugins/extractor/evil.py"), &code);
    put(&env.path("yt_dlp_plugins/extractor/evil.py"), &code);
    told
}

/// A run over one page, with everything planted that Python and yt-dlp would take from somewhere.
fn run_planted(data: Option<&Path>) {
    let Some(bench) = Bench::new() else { return };
    let film = bench.film("1.mp4", 1);
    let url = bench.server.route("/watch", file(File::new(&film)));
    let env = TestEnv::new();
    let told = plant(&env);
    fs::write(env.path("list.txt"), url).unwrap();
    if let Some(packages) = data {
        let installed = env.folder("data/framewright/yt-dlp");
        for entry in fs::read_dir(packages).unwrap() {
            let entry = entry.unwrap();
            symlink(entry.path(), installed.join(entry.file_name())).unwrap();
        }
    }
    let allow = bench.server.host();
    let mut args = "dataset run --inputs list.txt -o out --progress none --allow-host"
        .split(' ')
        .collect::<Vec<_>>();
    args.push(&allow);
    let mut command = env.command(&args);
    command
        .env("HOME", env.path("home"))
        .env("XDG_CONFIG_HOME", env.path("config"))
        .env("XDG_DATA_HOME", env.folder("data"))
        .env(
            "PYTHONPATH",
            format!("{}::.", env.path("planted").display()),
        )
        .env("PYTHONSTARTUP", env.path("optparse.py"))
        .env("PYTHONUSERBASE", env.path("home/.local"))
        .env("PYTHONINSPECT", "1")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("http_proxy", "http://127.0.0.1:9")
        .env("NO_PROXY", "*");
    let run: crate::env::Run = command.output().unwrap().into();
    let run = run.expect_code(0);
    let planted = fs::read_to_string(&told).unwrap_or_default();
    assert!(planted.is_empty(), "{planted}\n{run:?}");
    assert!(fs::read_dir(env.path("out/imagefolder")).unwrap().count() > 0);
    // Nothing is left where it was run.
    assert!(!env.path("home/.cache").exists());
}

#[test]
fn a_yt_dlp_on_the_path_runs_nothing_that_lies_about() {
    run_planted(None);
}

#[test]
fn an_installed_yt_dlp_runs_nothing_that_lies_about() {
    let Some(packages) = packages() else {
        return println!("skipped: the module yt_dlp is not here");
    };
    run_planted(Some(&packages));
}

#[test]
fn pip_runs_nothing_that_lies_about() {
    let env = TestEnv::new();
    let told = plant(&env);
    for what in [&["setup"][..], &["setup", "--yt-dlp"]] {
        let mut command = env.command(what);
        command
            .env("HOME", env.path("home"))
            .env("XDG_DATA_HOME", env.folder("data"))
            .env(
                "PYTHONPATH",
                format!("{}::.", env.path("planted").display()),
            )
            .env("PYTHONUSERBASE", env.path("home/.local"))
            // Nothing is fetched: pip looks in an empty folder.
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", env.folder("no-packages"));
        let run: crate::env::Run = command.output().unwrap().into();
        run.expect_code(69);
    }
    assert_eq!(fs::read_to_string(&told).unwrap_or_default(), "");
}
