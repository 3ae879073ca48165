//! Lists and folders as users have them.

use super::*;
use crate::dataset::download::yt_dlp::ListEntry;
use crate::exit::Exit;
use std::fs;

fn no_lister(_: &Url) -> Result<Listing, Setback> {
    panic!("nobody is to be asked")
}

fn sources(inputs: &Inputs) -> Vec<&str> {
    let sources = inputs.videos.iter().map(|video| video.source.as_str());
    sources.collect()
}

fn texts(inputs: &[&str]) -> Vec<String> {
    inputs.iter().map(|&text| text.to_owned()).collect()
}

fn touch(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"x").unwrap();
}

#[test]
fn a_list_has_marks_comments_and_line_ends_of_any_system() {
    let folder = tempfile::tempdir().unwrap();
    touch(&folder.path().join("a b.mp4"));
    touch(&folder.path().join("c.mkv"));
    let list = folder.path().join("list.txt");
    fs::write(
        &list,
        "\u{feff}# mine\r\n\r\n  a b.mp4 \r\nc.mkv\rhttps://h/d.mp4",
    )
    .unwrap();
    let inputs = expand(&[], Path::new(""), &[list], &mut no_lister).unwrap();
    assert_eq!(sources(&inputs), ["a b.mp4", "c.mkv", "https://h/d.mp4"]);
    assert_eq!(inputs.troubles, BTreeMap::new());
    assert_eq!(
        inputs.videos[0].location,
        Location::File(folder.path().join("a b.mp4"))
    );
    assert_eq!(inputs.videos[2].order, Order { line: 2, entry: 0 });
}

#[test]
fn a_list_that_cannot_be_read_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    let exit = |list: &Path| match expand(&[], Path::new(""), &[list.to_owned()], &mut no_lister) {
        Err(Setback::Run(error)) => Exit::of(&error),
        other => panic!("{other:?}"),
    };
    assert_eq!(exit(&list), Exit::BadInput);
    fs::write(&list, b"a\nb\xff\xfe").unwrap();
    assert_eq!(exit(&list), Exit::BadInput);
}

#[test]
fn a_folder_gives_its_videos_deeply_by_the_bytes_of_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in [
        "b.MP4",
        "a/z.mkv",
        "B.mp4",
        "a.webm",
        ".hidden.mp4",
        ".git/x.mp4",
        "notes.txt",
    ] {
        touch(&root.join(name));
    }
    std::os::unix::fs::symlink(root, root.join("a/loop")).unwrap();
    let text = root.to_str().unwrap();
    let inputs = expand(&texts(&[text]), Path::new(""), &[], &mut no_lister).unwrap();
    let expected = ["B.mp4", "a.webm", "a/z.mkv", "b.MP4"].map(|name| format!("{text}/{name}"));
    assert_eq!(sources(&inputs), expected);
    let orders: Vec<_> = inputs
        .videos
        .iter()
        .map(|video| (video.order.line, video.order.entry))
        .collect();
    assert_eq!(orders, [(0, 0), (0, 1), (0, 2), (0, 3)]);
}

#[test]
fn a_pattern_gives_what_it_matches() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("odd [name]");
    for name in ["x/2.mp4", "x/1.mp4", "x/1.txt", "y/3.mp4"] {
        touch(&root.join(name));
    }
    let list = root.join("list.txt");
    fs::write(&list, "*/*.mp4\nno*\n").unwrap();
    let inputs = expand(&[], Path::new(""), &[list], &mut no_lister).unwrap();
    assert_eq!(sources(&inputs), ["x/1.mp4", "x/2.mp4", "y/3.mp4", "no*"]);
    assert_eq!(inputs.troubles.len(), 1);
    assert_eq!(
        inputs.troubles[&inputs.videos[3].video_id].class,
        Class::BadInput
    );
}

#[test]
fn what_is_not_there_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let given = texts(&[
        "/no/such.mp4",
        empty.to_str().unwrap(),
        "s3://b/x.mp4",
        "http://",
    ]);
    let inputs = expand(&given, Path::new(""), &[], &mut no_lister).unwrap();
    assert_eq!(sources(&inputs), given);
    assert_eq!(inputs.troubles.len(), 4);
}

#[test]
fn the_same_thing_counts_once_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let a = folder.path().join("a.mp4");
    touch(&a);
    let dotted = folder.path().join("./a.mp4");
    let given = texts(&[
        a.to_str().unwrap(),
        dotted.to_str().unwrap(),
        "http://Host:80/v.mp4#t=1",
        "HTTP://host/v.mp4",
        "http://host/v.mp4?x",
    ]);
    let inputs = expand(&given, Path::new(""), &[], &mut no_lister).unwrap();
    assert_eq!(inputs.videos.len(), 3);
    assert_eq!(inputs.notes.len(), 2);
    assert!(
        inputs.notes[1].contains("inputs 3 and 4"),
        "{:?}",
        inputs.notes
    );
}

#[test]
fn ids_are_those_of_the_place() {
    // printf %s http://h/a.mp4 | sha256sum
    let id = video_id(&Location::Http("http://h/a.mp4".into()));
    assert_eq!(id, video_id(&Location::Page("http://h/a.mp4".into())));
    assert_eq!(id.len(), 16);
    let link = tempfile::tempdir().unwrap();
    let path = link.path().join("a.mp4");
    assert_ne!(video_id(&Location::File(path)), id);
}

fn list_of(urls: &[&str]) -> Listing {
    let entries = urls.iter().map(|url| ListEntry {
        url: Url::parse(url).unwrap(),
        is_list: url.contains("tab"),
    });
    Listing {
        entries: Some(entries.collect()),
        notes: vec!["2 of its entries are deleted or private: number 3, 4".into()],
    }
}

#[test]
fn a_playlist_becomes_its_entries_and_tabs_theirs() {
    let mut lister = |url: &Url| match url.path() {
        "/@channel" => Ok(list_of(&["https://h/tab1", "https://h/9"])),
        "/tab1" => Ok(list_of(&["https://h/1", "https://h/2.mp4", "https://h/9"])),
        other => panic!("{other}"),
    };
    let inputs = expand(
        &texts(&["https://h/@channel"]),
        Path::new(""),
        &[],
        &mut lister,
    )
    .unwrap();
    assert_eq!(sources(&inputs), ["https://h/@channel"; 3]);
    let locations: Vec<_> = inputs
        .videos
        .iter()
        .map(|video| video.location.clone())
        .collect();
    assert_eq!(
        locations,
        [
            Location::Page("https://h/1".into()),
            Location::Http("https://h/2.mp4".into()),
            Location::Page("https://h/9".into()),
        ]
    );
    assert_eq!(inputs.notes.len(), 3, "{:?}", inputs.notes);
}

#[test]
fn a_page_that_could_not_be_asked_is_asked_again_and_nothing_else() {
    let mut lister = |url: &Url| match url.path() {
        "/ok" => Ok(Listing::default()),
        "/list" => Err(Trouble::new(Class::Network, "timed out").into()),
        _ => Err(Trouble::new(Class::Permanent, "private").into()),
    };
    let given = texts(&[
        "https://h/ok",
        "https://h/list",
        "https://h/private",
        "https://h/x.mp4",
    ]);
    let first = expand(&given, Path::new(""), &[], &mut lister).unwrap();
    assert_eq!(first.troubles.len(), 2);
    assert_eq!(first.unexpanded, [first.videos[1].video_id.clone()]);
    let stored: Inputs = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    assert_eq!(stored, first);
    let mut asked = 0;
    let mut lister = |url: &Url| {
        asked += 1;
        assert_eq!(url.path(), "/list");
        Ok(list_of(&["https://h/1", "https://h/2"]))
    };
    let again = expand_again(stored, &mut lister).unwrap();
    assert_eq!(asked, 1);
    assert_eq!(again.unexpanded, []);
    assert_eq!(again.videos.len(), 5);
    assert_eq!(again.videos[2].order, Order { line: 1, entry: 1 });
    assert_eq!(again.troubles.len(), 1);
    // As if it had gone well at once.
    let mut whole = |url: &Url| match url.path() {
        "/ok" => Ok(Listing::default()),
        "/list" => Ok(list_of(&["https://h/1", "https://h/2"])),
        _ => Err(Trouble::new(Class::Permanent, "private").into()),
    };
    assert_eq!(
        expand(&given, Path::new(""), &[], &mut whole).unwrap(),
        again
    );
}

#[test]
fn videos_of_well_known_sites_are_not_asked_for_lists() {
    let one = |url: &str| addresses::is_one_video(&Url::parse(url).unwrap());
    assert!(one("https://www.youtube.com/watch?v=abc&list=x"));
    assert!(one("https://youtu.be/abc"));
    assert!(one("https://www.youtube.com/shorts/abc"));
    assert!(one("https://vimeo.com/12345"));
    assert!(!one("https://www.youtube.com/playlist?list=x"));
    assert!(!one("https://www.youtube.com/@name/videos"));
    assert!(!one("https://www.youtube.com/embed/videoseries?list=x"));
    assert!(!one("https://vimeo.com/channels/x"));
    assert!(!one("https://example.org/a"));
}

#[test]
fn what_comes_after_a_tab_that_was_asked_again_moves_on() {
    let given = texts(&["https://h/@channel"]);
    let mut lister = |url: &Url| match url.path() {
        "/@channel" => Ok(list_of(&["https://h/tab1", "https://h/8", "https://h/9"])),
        _ => Err(Trouble::new(Class::Rate, "later").into()),
    };
    let first = expand(&given, Path::new(""), &[], &mut lister).unwrap();
    assert_eq!(first.videos.len(), 3);
    let mut lister = |url: &Url| match url.path() {
        "/tab1" => Ok(list_of(&["https://h/1", "https://h/2", "https://h/3"])),
        other => panic!("{other}"),
    };
    let again = expand_again(first, &mut lister).unwrap();
    let found: Vec<_> = again
        .videos
        .iter()
        .map(|video| (video.order.entry, &video.location))
        .collect();
    let expected = ["1", "2", "3", "8", "9"].map(|id| Location::Page(format!("https://h/{id}")));
    let expected: Vec<_> = (0..).zip(&expected).collect();
    assert_eq!(found, expected);
}
