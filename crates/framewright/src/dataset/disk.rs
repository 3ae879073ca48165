//! What the folder of a dataset may take of the disk, and what has to stay free on it.
//!
//! Counted is what the file system has allocated, as `du` shows it: each file once, however many names it has. All of the
//! folder counts: fetched files and those under way, pictures, what the program keeps for itself, the exports.
//!
//! ```text
//! all of the folder ─▶ Disk ─▶ room? ─▶ Share: a promise of room, and what the video's folder has grown to
//!                        │                 └─▶ Growth: measured while pictures are written, ends what does not fit
//!                        └────▶ fits? ─▶ an export, before it begins
//! ```
//! Invariant: the sum of what is there and what is promised stays within the bound; who grows beyond it is ended, not who
//! has a promise.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::record::VideoId;
use super::trouble::{Class, Trouble};
use crate::exit::{Exit, fail};

/// Bytes that stay free on the file system; a twentieth of it where that is less.
const RESERVE_BYTES: u64 = 64 << 20;
/// Shortest time between two measurements of a folder.
const MEASURE_EVERY: Duration = Duration::from_millis(50);
/// Measuring takes at most this part of the time.
const MEASURE_SHARE: u32 = 20;
/// Unit of what `st_blocks` counts.
const STAT_BLOCK_BYTES: u64 = 512;

/// The bound on a folder, shared by all who write in it.
#[derive(Clone)]
pub struct Disk(Arc<Shared>);

struct Shared {
    folder: Folder,
    limit_bytes: Option<u64>,
    share_bytes: u64,
    used: Mutex<Used>,
    full: OnceLock<String>,
}

#[derive(Default)]
struct Used {
    /// All but the folders of the videos: exports, and files with several names.
    rest_bytes: u64,
    /// The files directly in `state`: the registry and its log.
    state_bytes: u64,
    videos: HashMap<String, Taken>,
    /// The sum over `videos`.
    videos_bytes: u64,
    under_way: usize,
}

/// What one video takes.
#[derive(Default, Clone, Copy)]
struct Taken {
    bytes: u64,
    promised_bytes: u64,
}

impl Taken {
    fn counted(self) -> u64 {
        self.bytes.max(self.promised_bytes)
    }
}

impl Used {
    fn total(&self) -> u64 {
        self.rest_bytes + self.state_bytes + self.videos_bytes
    }

    fn of(&self, video_id: &str) -> Taken {
        self.videos.get(video_id).copied().unwrap_or_default()
    }

    fn set(&mut self, video_id: &str, taken: Taken) {
        let before = self.videos.insert(video_id.to_owned(), taken);
        self.videos_bytes -= before.unwrap_or_default().counted();
        self.videos_bytes += taken.counted();
    }
}

/// Whether another video may be begun.
pub enum Room {
    /// It may; its share is held until this is dropped.
    Yes(Share),
    /// Not before another one has ended.
    Later,
    /// Not in this run; the trouble says why.
    Never(Trouble),
}

/// The room of one video, held while it is worked on.
pub struct Share {
    disk: Disk,
    video_id: VideoId,
}

impl Disk {
    /// A bound of `limit_bytes` (none for no bound) on a folder, for videos of at most `max_file_size` bytes. Measures
    /// what is there.
    pub fn new(limit_bytes: Option<u64>, max_file_size: Option<u64>, folder: &Folder) -> Self {
        // Two at a time, however many workers there are: rather fewer at a time than refusing what is larger.
        let largest = |limit: u64| limit / 5 * 2;
        let share = |limit| max_file_size.map_or(largest(limit), |size| size.min(largest(limit)));
        let used = limit_bytes.map_or_else(Used::default, |_| measure(folder));
        Self(Arc::new(Shared {
            folder: folder.clone(),
            limit_bytes,
            share_bytes: limit_bytes.map_or(0, share),
            used: Mutex::new(used),
            full: OnceLock::new(),
        }))
    }

    /// Largest file that one video may fetch; none for no bound.
    pub fn largest_file(&self) -> Option<u64> {
        self.0.limit_bytes.map(|_| self.0.share_bytes)
    }

    /// Whether a video may be begun. One that is fetched is promised the room of the largest file; of one that lies
    /// elsewhere nobody knows what its pictures will take.
    pub fn room(&self, video_id: &VideoId, is_fetched: bool) -> Room {
        if let Some(trouble) = self.shortage() {
            return Room::Never(trouble);
        }
        let mut used = self.used();
        if let Some(limit) = self.0.limit_bytes {
            used.state_bytes = files_of_state(&self.0.folder);
            let mut taken = used.of(video_id);
            taken.promised_bytes = if is_fetched { self.0.share_bytes } else { 1 };
            let more = taken.counted() - used.of(video_id).counted();
            if used.total() + more > limit {
                return if used.under_way > 0 {
                    Room::Later
                } else {
                    Room::Never(no_room(used.total(), limit))
                };
            }
            used.set(video_id, taken);
        }
        used.under_way += 1;
        Room::Yes(Share {
            disk: self.clone(),
            video_id: video_id.clone(),
        })
    }

    /// Refuses an export that would take `gain_bytes` more while the old one is still there.
    ///
    /// # Errors
    /// [`Exit::Io`], with the numbers.
    pub fn fits(&self, gain_bytes: u64) -> anyhow::Result<()> {
        let folder = self.0.folder.root().display();
        if let Some(limit) = self.0.limit_bytes {
            let there = measure(&self.0.folder).total();
            if there + gain_bytes > limit {
                let message = format!(
                    "the export would take about {gain_bytes} bytes beside the {there} that are there, max_disk allows \
                     {limit}; allow more or write fewer formats: {folder}"
                );
                return Err(fail(Exit::Io, message));
            }
        }
        match space(self.0.folder.root()) {
            Ok((free, reserve)) if gain_bytes > free.saturating_sub(reserve) => {
                let message = format!(
                    "the export would take about {gain_bytes} bytes, {free} are free and {reserve} of them are to stay \
                     so; make room or write fewer formats: {folder}"
                );
                Err(fail(Exit::Io, message))
            }
            _ => Ok(()),
        }
    }

    /// Why the disk counts as full, once it did: the run then ends, for every other video would fail alike.
    pub fn full(&self) -> Option<&str> {
        self.0.full.get().map(String::as_str)
    }

    /// The trouble of whoever wants to write when hardly anything is free any more.
    pub fn shortage(&self) -> Option<Trouble> {
        let (free, reserve) = space(self.0.folder.root()).ok()?;
        if free >= reserve {
            return None;
        }
        let message = format!(
            "the disk is full: {free} bytes are free and {reserve} are to stay so; make room, then the same command goes \
             on: {}",
            self.0.folder.root().display()
        );
        let message = self.0.full.get_or_init(|| message);
        Some(Trouble::new(Class::Environment, message))
    }

    /// Notes that somebody found the disk full while it wrote, if that can be: what it had written may be gone already.
    pub fn found_full(&self) {
        let root = self.0.folder.root();
        let Ok((free, _)) = space(root) else { return };
        if free < RESERVE_BYTES {
            let message = format!(
                "the disk is full, {free} bytes are free; make room, then the same command goes on: {}",
                root.display()
            );
            self.0.full.get_or_init(|| message);
        }
    }

    /// Takes the size that the folder of a video has now; its trouble where that is too much beside all promises.
    fn grown(&self, video_id: &str, bytes: u64) -> Option<Trouble> {
        let limit = self.0.limit_bytes?;
        let mut used = self.used();
        let before = used.of(video_id);
        used.set(video_id, Taken { bytes, ..before });
        let total = used.total();
        if total <= limit {
            return None;
        }
        // It is about to be given up; what it took too much is not held against the others meanwhile.
        used.set(video_id, before);
        Some(no_room(total, limit))
    }

    /// Bytes of a video's folder; a link in its place is not followed.
    fn allocated_by(&self, video_id: &VideoId) -> u64 {
        self.0.folder.video(video_id).enter().map_or(0, allocated)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Sums; a thread that panicked left them as they were.
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_room(total: u64, limit: u64) -> Trouble {
    let message = format!(
        "there is no room for it: the folder holds {total} bytes with what is under way, max_disk allows {limit}; allow \
         more or move pictures away"
    );
    Trouble::new(Class::Environment, message)
}

impl Drop for Share {
    fn drop(&mut self) {
        let has_limit = self.disk.0.limit_bytes.is_some();
        let bytes = has_limit.then(|| self.disk.allocated_by(&self.video_id));
        let mut used = self.disk.used();
        used.under_way -= 1;
        if let Some(bytes) = bytes {
            let taken = Taken {
                bytes,
                promised_bytes: 0,
            };
            used.set(&self.video_id, taken);
        }
    }
}

/// Measures the folder of a video while something is written to it.
pub struct Growth<'a> {
    disk: &'a Disk,
    video_id: &'a VideoId,
    next: Cell<Instant>,
    trouble: RefCell<Option<Trouble>>,
}

impl<'a> Growth<'a> {
    /// Begins to measure.
    pub fn new(disk: &'a Disk, video_id: &'a VideoId) -> Self {
        Self {
            disk,
            video_id,
            next: Cell::new(Instant::now()),
            trouble: RefCell::new(None),
        }
    }

    /// Whether it has to end, because it does not fit; cheap enough to be asked all the time.
    pub fn is_too_much(&self) -> bool {
        let begun = Instant::now();
        if self.trouble.borrow().is_some() || begun < self.next.get() {
            return self.trouble.borrow().is_some();
        }
        let mut trouble = self.disk.shortage();
        if trouble.is_none() && self.disk.0.limit_bytes.is_some() {
            let bytes = self.disk.allocated_by(self.video_id);
            trouble = self.disk.grown(self.video_id, bytes);
        }
        let pause = (begun.elapsed() * MEASURE_SHARE).max(MEASURE_EVERY);
        self.next.set(Instant::now() + pause);
        *self.trouble.borrow_mut() = trouble;
        self.trouble.borrow().is_some()
    }

    /// Why it had to end.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.borrow().clone()
    }
}

impl Drop for Growth<'_> {
    fn drop(&mut self) {
        // What was given up is removed by now, and the next video of this worker may have its room.
        if self.disk.0.limit_bytes.is_some() {
            let bytes = self.disk.allocated_by(self.video_id);
            self.disk.grown(self.video_id, bytes);
        }
    }
}

/// Free bytes of a file system, and how many of them stay free.
fn space(folder: &Path) -> io::Result<(u64, u64)> {
    let system = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
    let reserve = RESERVE_BYTES.min(bytes(system.f_blocks) / 20);
    Ok((bytes(system.f_bavail), reserve))
}

/// What all of a folder takes, by whose it is.
fn measure(folder: &Folder) -> Used {
    let mut used = Used::default();
    let videos = folder.videos();
    let mut several = HashSet::new();
    walk(folder.root(), &mut |path, about| {
        if about.nlink() > 1 && about.is_file() && !several.insert((about.dev(), about.ino())) {
            return;
        }
        let bytes = about.blocks() * STAT_BLOCK_BYTES;
        let within = path.strip_prefix(&videos).ok();
        let video_id = within.and_then(|within| within.iter().next()?.to_str());
        match video_id {
            Some(video_id) if about.nlink() == 1 || about.is_dir() => {
                let taken = Taken {
                    bytes: used.of(video_id).bytes + bytes,
                    promised_bytes: 0,
                };
                used.set(video_id, taken);
            }
            _ if path.parent() == Some(&folder.state()) && about.is_file() => {
                used.state_bytes += bytes;
            }
            _ => used.rest_bytes += bytes,
        }
    });
    used
}

/// What the folder of a video takes; files that have another name as well stand elsewhere in the sum.
fn allocated(folder: &Path) -> u64 {
    let mut bytes = 0;
    walk(folder, &mut |_, about| {
        if about.is_dir() || about.nlink() == 1 {
            bytes += about.blocks() * STAT_BLOCK_BYTES;
        }
    });
    bytes
}

fn files_of_state(folder: &Folder) -> u64 {
    let entries = fs::read_dir(folder.state()).into_iter().flatten();
    let abouts = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    let files = abouts.filter(fs::Metadata::is_file);
    files.map(|about| about.blocks() * STAT_BLOCK_BYTES).sum()
}

/// Calls `see` for everything in a folder and for itself; what cannot be read is left out, and no link is followed.
fn walk(folder: &Path, see: &mut impl FnMut(&Path, &fs::Metadata)) {
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(about) = fs::symlink_metadata(&path) else {
            continue;
        };
        see(&path, &about);
        if about.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten();
            open.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("set")).unwrap();
        (dir, folder)
    }

    fn id(name: char) -> VideoId {
        u64::from(name).into()
    }

    fn share(disk: &Disk, name: char, is_fetched: bool) -> Share {
        match disk.room(&id(name), is_fetched) {
            Room::Yes(share) => share,
            _ => panic!("there is room"),
        }
    }

    fn write(folder: &Folder, video: char, name: &str, bytes: usize) {
        let its = folder.video(&id(video));
        let its = its.enter().unwrap();
        fs::create_dir_all(its).unwrap();
        fs::write(its.join(name), vec![7; bytes]).unwrap();
    }

    #[test]
    fn fetched_videos_wait_for_room_and_none_is_begun_that_can_never_fit() {
        let (_dir, folder) = folder();
        let disk = Disk::new(Some(100 << 20), None, &folder);
        assert_eq!(disk.largest_file(), Some(40 << 20));
        let (first, second) = (share(&disk, 'a', true), share(&disk, 'b', true));
        assert!(matches!(disk.room(&id('c'), true), Room::Later));
        write(&folder, 'a', "1.jpg", 25 << 20);
        drop(first);
        assert!(matches!(disk.room(&id('c'), true), Room::Later));
        drop(second);
        drop(share(&disk, 'c', true));
        write(&folder, 'c', "1.jpg", 45 << 20);
        drop(share(&disk, 'c', true));
        let Room::Never(trouble) = disk.room(&id('d'), true) else {
            panic!("nothing is under way that could make room")
        };
        assert_eq!(trouble.class, Class::Environment);
        assert!(trouble.message.contains("104857600"), "{}", trouble.message);
    }

    #[test]
    fn pictures_of_a_local_film_are_measured_while_they_are_written() {
        let (_dir, folder) = folder();
        let disk = Disk::new(Some(10 << 20), None, &folder);
        let _share = share(&disk, 'a', false);
        write(&folder, 'a', "1.png", 4 << 20);
        assert!(!Growth::new(&disk, &id('a')).is_too_much());
        write(&folder, 'b', "1.png", 4 << 20);
        drop(share(&disk, 'b', false));
        write(&folder, 'a', "2.png", 3 << 20);
        let a = id('a');
        let growth = Growth::new(&disk, &a);
        assert!(growth.is_too_much());
        assert_eq!(growth.trouble().unwrap().class, Class::Environment);
    }

    #[test]
    fn who_is_given_up_leaves_its_room_to_the_others_at_once() {
        let (_dir, folder) = folder();
        let disk = Disk::new(Some(10 << 20), None, &folder);
        let _shares = (share(&disk, 'a', false), share(&disk, 'b', false));
        let a = id('a');
        let growth = Growth::new(&disk, &a);
        write(&folder, 'a', "1.png", 12 << 20);
        assert!(growth.is_too_much());
        write(&folder, 'b', "1.png", 6 << 20);
        assert!(!Growth::new(&disk, &id('b')).is_too_much());
        fs::remove_dir_all(folder.video(&id('a')).enter().unwrap()).unwrap();
        drop(growth);
        write(&folder, 'b', "2.png", 3 << 20);
        assert!(!Growth::new(&disk, &id('b')).is_too_much());
    }

    #[test]
    fn what_is_there_already_counts_once_under_all_its_names() {
        let (_dir, folder) = folder();
        write(&folder, 'a', "1.jpg", 1 << 20);
        fs::create_dir(folder.root().join("coco")).unwrap();
        let (picture, link) = (
            folder.video(&id('a')).enter().unwrap().join("1.jpg"),
            folder.root().join("coco/1"),
        );
        fs::hard_link(picture, link).unwrap();
        fs::write(folder.state().join("registry.sqlite"), vec![7; 1 << 20]).unwrap();
        let total = measure(&folder).total();
        assert!((2 << 20..(2 << 20) + (1 << 17)).contains(&total), "{total}");
    }

    #[test]
    fn an_export_that_does_not_fit_is_refused_with_the_numbers() {
        let (_dir, folder) = folder();
        write(&folder, 'a', "1.jpg", 2 << 20);
        let disk = Disk::new(Some(4 << 20), None, &folder);
        disk.fits(1 << 20).unwrap();
        let error = disk.fits(3 << 20).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Io);
        let said = error.to_string();
        assert!(
            said.contains("3145728") && said.contains("4194304"),
            "{said}"
        );
        let unbounded = Disk::new(None, None, &folder);
        let error = unbounded.fits(1 << 60).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Io);
    }

    #[test]
    fn without_a_bound_there_is_always_room() {
        let (_dir, folder) = folder();
        let disk = Disk::new(None, Some(5), &folder);
        let _shares: Vec<Share> = (0..100_u8)
            .map(|n| share(&disk, char::from(n), true))
            .collect();
        assert_eq!(disk.largest_file(), None);
    }
}
