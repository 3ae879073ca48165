//! Two hundred videos from a server of which a tenth is bad in every way there is.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::collection::bars;
use super::table::rows;
use crate::env::TestEnv;
use crate::server::{self, File, Server};

const GOOD: usize = 180;

/// Every bad video: its path, and the class that it has to be counted under.
const BAD: [(&str, &str); 20] = [
    ("gone1", "permanent"),
    ("gone2", "permanent"),
    ("gone3", "permanent"),
    ("gone4", "permanent"),
    ("private1", "permanent"),
    ("private2", "permanent"),
    ("broken1", "network"),
    ("broken2", "network"),
    ("broken3", "network"),
    ("cut1", "network"),
    ("cut2", "network"),
    ("cut3", "network"),
    ("stuck1", "network"),
    ("page1", "bad_input"),
    ("page2", "bad_input"),
    ("empty1", "truncated"),
    ("half1", "bad_input"),
    ("half2", "bad_input"),
    ("endless1", "too_large"),
    ("elsewhere1", "permanent"),
];
// A server that is asked too much is in `download.rs`: it makes all videos of its host wait.

fn make_it_bad(server: &Server, name: &str, film: &[u8]) {
    let path = format!("/bad/{name}.mp4");
    let kind = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let _ = match kind {
        "gone" => server.route(&path, server::status(404, &[])),
        "private" => server.route(&path, server::status(403, &[])),
        "broken" => server.route(&path, server::status(500, &[])),
        "cut" => server.route(
            &path,
            server::cut(File::new(film), film.len() / 3, usize::MAX),
        ),
        "stuck" => server.route(
            &path,
            server::slow(File::new(film), 1000, Duration::from_mins(1)),
        ),
        "page" => server.route(
            &path,
            server::answer(&[("Content-Type", "text/html")], b"<html>sign in"),
        ),
        "empty" => server.route(&path, server::answer(&[("Content-Type", "video/mp4")], b"")),
        "half" => server.route(&path, server::file(File::new(&film[..film.len() / 2]))),
        "endless" => server.route(&path, server::endless(film)),
        "elsewhere" => {
            let to = [("Location", "http://169.254.169.254/latest/meta-data")];
            server.route(&path, server::status(302, &to))
        }
        other => panic!("no such way to be bad: {other}"),
    };
}

#[test]
fn every_one_of_two_hundred_videos_is_accounted_for_and_a_retry_mends_what_passes() {
    let env = TestEnv::new();
    let folder = env.folder("films");
    let films: Vec<Vec<u8>> = (0..12)
        .map(|n| fs::read(bars(&folder, n, 0.5)).unwrap())
        .collect();
    let server = Server::start();
    let mut list = Vec::new();
    for n in 0..GOOD {
        // The same name in every folder: names of the server's must not matter.
        let path = format!("/{n}/video.mp4");
        let url = server.route(&path, server::file(File::new(&films[n % films.len()])));
        list.push(url);
        if n % 9 == 0 {
            let (name, _) = BAD[n / 9];
            make_it_bad(&server, name, &films[0]);
            list.push(server.url(&format!("/bad/{name}.mp4")));
        }
    }
    fs::write(env.path("list.txt"), list.join("\n")).unwrap();
    let config = format!(
        "lists = ['list.txt']\noutput = 'set'\n[download]\ntries = 2\nstall_timeout = 1\nmax_file_size = '1M'\n\
         allow_hosts = ['{}']\n[extract]\nevery = '0.2s'\n",
        server.host()
    );
    fs::write(env.path("set.toml"), config).unwrap();

    let run = env
        .run(&["dataset", "run", "set.toml", "--json", "--workers", "4"])
        .expect_code(3);
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&summary["videos"], &summary["done"]),
        (&200.into(), &GOOD.into()),
        "{summary:#}"
    );
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, class) in BAD {
        *wanted.entry(class).or_default() += 1;
    }
    assert_eq!(summary["failed"], serde_json::to_value(&wanted).unwrap());
    assert_eq!(summary["pending"], 0);

    let status = env
        .run(&["dataset", "status", "set", "--json"])
        .expect_code(0);
    let listed: Vec<Value> = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(listed.len(), 200);
    for (name, class) in BAD {
        let url = server.url(&format!("/bad/{name}.mp4"));
        let row = listed
            .iter()
            .find(|row| row["source"] == url.as_str())
            .unwrap();
        assert_eq!(
            (&row["state"], &row["class"]),
            (&"failed".into(), &class.into()),
            "{row:#}"
        );
    }
    let downloads = rows(&env.path("set"));
    assert!(downloads.iter().all(|row| !row["source"].contains("/bad/")));

    // What passes has passed; what is gone stays gone.
    for (name, class) in BAD {
        if class == "network" {
            server.route(
                &format!("/bad/{name}.mp4"),
                server::file(File::new(&films[1])),
            );
        }
    }
    let again = [
        "dataset", "retry", "--failed", "--class", "network", "-o", "set", "--json",
    ];
    let run = env.run(&again).expect_code(3);
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(summary["done"], GOOD + 7, "{summary:#}");
    assert!(summary["failed"].get("network").is_none());
}
