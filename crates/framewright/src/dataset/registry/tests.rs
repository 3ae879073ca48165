//! Registries that are lost, held, damaged and planted.

use super::*;
use crate::dataset::inputs::video_id;
use crate::dataset::record::Location;
use crate::screen::Screen;

fn folder_with_videos(n: u32) -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("set")).unwrap();
    for line in 0..n {
        let address = format!("http://example.com/{line}.mp4");
        let location = Location::Http(address.clone());
        let video = Video {
            video_id: video_id(&location),
            order: Order { line, entry: 0 },
            source: address,
            location,
        };
        let its = folder.video(&video.video_id);
        its.begin(&video).unwrap();
        if line % 2 == 1 {
            let failure = Failure {
                stage: Stage::Download,
                key: "0".into(),
                trouble: Trouble::new(Class::Network, "no route"),
                attempts: 2,
                next_try_unix_secs: None,
            };
            its.write(FAILURE, &failure).unwrap();
        }
    }
    (dir, folder)
}

fn notes() -> Notes {
    Notes::new(Screen::silent())
}

fn open(folder: &Folder) -> anyhow::Result<Registry> {
    Registry::open(folder, &notes(), &Control::new())
}

#[test]
fn a_registry_that_is_lost_or_damaged_is_made_again_from_the_files() {
    let (_dir, folder) = folder_with_videos(3);
    let first = open(&folder).unwrap().rows().unwrap();
    assert_eq!(first.len(), 3);
    assert_eq!(
        (first[1].state, first[1].class),
        (State::Failed, Some(Class::Network))
    );
    fs::remove_file(folder.registry()).unwrap();
    assert_eq!(open(&folder).unwrap().rows().unwrap(), first);
    fs::write(
        folder.registry(),
        "this is no database at all, but it is long enough to be looked at",
    )
    .unwrap();
    let notes = notes();
    assert_eq!(
        Registry::open(&folder, &notes, &Control::new())
            .unwrap()
            .rows()
            .unwrap(),
        first
    );
    assert_eq!(notes.warnings().len(), 1);
}

#[test]
fn a_row_is_written_over_and_read_back() {
    let (_dir, folder) = folder_with_videos(1);
    let registry = open(&folder).unwrap();
    let mut row = registry.rows().unwrap().remove(0);
    row.state = State::Done;
    row.stage = Some(Stage::Extract);
    row.kept = Some(12);
    registry.put(&row).unwrap();
    assert_eq!(registry.rows().unwrap(), [row]);
}

#[test]
fn a_registry_of_a_newer_program_is_refused() {
    let (_dir, folder) = folder_with_videos(1);
    drop(open(&folder).unwrap());
    let connection = Connection::open(folder.registry()).unwrap();
    connection
        .pragma_update(None, "user_version", VERSION + 1)
        .unwrap();
    let error = open(&folder).err().unwrap();
    assert_eq!(Exit::of(&error), Exit::Config);
}

/// Does something to the files of a closed registry.
type Damage = fn(&Path);

/// Changes the database behind the program's back.
fn execute(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn whatever_was_done_to_it_it_is_made_again_and_that_is_said_once() {
    let ways: [(&str, Damage); 13] = [
        ("truncated", |path| {
            let half = fs::metadata(path).unwrap().len() / 2 + 100;
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(half).unwrap();
        }),
        ("zeroed", |path| fs::write(path, [0; 8192]).unwrap()),
        ("garbage", |path| fs::write(path, [0xA5; 5000]).unwrap()),
        ("not UTF-8", |path| {
            let mut bytes = fs::read(path).unwrap();
            let at = bytes.windows(5).position(|it| it == b"1.mp4").unwrap();
            bytes[at] = 0xff;
            fs::write(path, bytes).unwrap();
        }),
        ("a number as text", |path| {
            execute(path, "UPDATE videos SET attempts = 'many'");
        }),
        ("a number too large", |path| {
            execute(path, "UPDATE videos SET line = -5");
        }),
        ("another table", |path| {
            execute(path, "DROP TABLE videos; CREATE TABLE videos (a)");
        }),
        ("a trigger", |path| {
            let sql = "CREATE TRIGGER t AFTER INSERT ON videos BEGIN DELETE FROM videos; END";
            execute(path, sql);
        }),
        ("a view", |path| {
            execute(path, "DROP TABLE videos; CREATE VIEW videos AS SELECT 1");
        }),
        ("a folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::write(path.join("inside"), "x").unwrap();
        }),
        ("a link", |path| {
            let elsewhere = path.with_file_name("elsewhere");
            fs::rename(path, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, path).unwrap();
        }),
        ("a dead link", |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/nonexistent/x", path).unwrap();
        }),
        ("a folder as its log", |path| {
            fs::create_dir(path.with_extension("sqlite-wal")).unwrap();
        }),
    ];
    for (way, damage) in ways {
        let (_dir, folder) = folder_with_videos(3);
        let first = open(&folder).unwrap().rows().unwrap();
        // A closed registry has no log, so all of it is in one file.
        damage(&folder.registry());
        let notes = notes();
        let again = Registry::open(&folder, &notes, &Control::new()).unwrap();
        assert_eq!(again.rows().unwrap(), first, "{way}");
        assert_eq!(notes.warnings().len(), 1, "{way}");
        again.put(&first[0]).unwrap();
        drop(again);
        let notes = self::notes();
        drop(Registry::open(&folder, &notes, &Control::new()).unwrap());
        assert!(notes.warnings().is_empty(), "{way}");
    }
}

#[test]
fn a_log_that_was_left_over_harms_nothing() {
    for kind in ["sqlite-wal", "sqlite-shm", "sqlite-journal"] {
        let (_dir, folder) = folder_with_videos(3);
        let first = open(&folder).unwrap().rows().unwrap();
        fs::write(folder.registry().with_extension(kind), vec![0x5A; 40_000]).unwrap();
        assert_eq!(open(&folder).unwrap().rows().unwrap(), first, "{kind}");
    }
}

#[test]
fn one_that_is_damaged_while_it_is_open_is_made_again() {
    let (_dir, folder) = folder_with_videos(3);
    let notes = notes();
    let registry = Registry::open(&folder, &notes, &Control::new()).unwrap();
    let rows = registry.rows().unwrap();
    execute(&folder.registry(), "DROP TABLE videos");
    registry.put(&rows[0]).unwrap();
    assert_eq!(registry.rows().unwrap(), rows);
    assert_eq!(notes.warnings().len(), 1);
}

#[test]
fn one_that_another_program_holds_is_waited_for_and_then_told_so() {
    let (_dir, folder) = folder_with_videos(2);
    let control = Control::new();
    let open = |patience| Registry::open_within(patience, &folder, &notes(), &control);
    let registry = open(Duration::from_millis(100)).unwrap();
    let rows = registry.rows().unwrap();
    let other = Connection::open(folder.registry()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = registry.put(&rows[0]).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Transient, "{error:#}");
    let error = registry.replace(&rows).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Transient, "{error:#}");
    // Whoever is told to stop does not wait.
    let registry = Registry {
        patience: Duration::from_hours(1),
        ..registry
    };
    control.stop();
    registry.put(&rows[0]).unwrap_err();
    other.execute_batch("COMMIT").unwrap();
    registry.replace(&rows).unwrap();
    assert_eq!(registry.rows().unwrap(), rows);
}
