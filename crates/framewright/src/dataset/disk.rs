//! The bound on what lies in the folder of a dataset.
//!
//! A video is begun only when its share fits beside what is there already; its share is the largest file it may fetch.
//! What its pictures take is counted when it ends. Local files take no share, for they lie elsewhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a folder, shared by all who write in it.
#[derive(Clone)]
pub struct Disk {
    limit_bytes: Option<u64>,
    share_bytes: u64,
    used: Arc<Mutex<Used>>,
}

#[derive(Default)]
struct Used {
    /// Pictures and records that stay.
    kept_bytes: u64,
    /// Shares of the videos that are worked on.
    shares: u64,
}

/// Whether another video may be begun.
pub enum Room {
    /// It may; its share is held until this is dropped.
    Yes(Share),
    /// Not before another one has ended.
    Later,
    /// Not in this run: what is there already leaves no room.
    Never,
}

/// A share of the folder, held by one video.
pub struct Share(Option<Disk>);

impl Disk {
    /// A bound of `limit_bytes` (none for no bound) on a folder that holds `kept_bytes`, for videos of at most
    /// `max_file_size` bytes.
    pub fn new(limit_bytes: Option<u64>, max_file_size: Option<u64>, kept_bytes: u64) -> Self {
        // Two at a time, however many workers there are: rather fewer at a time than refusing what is larger.
        let largest = |limit: u64| limit / 5 * 2;
        let share = |limit| max_file_size.map_or(largest(limit), |size| size.min(largest(limit)));
        Self {
            limit_bytes,
            share_bytes: limit_bytes.map_or(0, share),
            used: Arc::new(Mutex::new(Used {
                kept_bytes,
                shares: 0,
            })),
        }
    }

    /// Largest file that one video may fetch; none for no bound.
    pub fn largest_file(&self) -> Option<u64> {
        self.limit_bytes.map(|_| self.share_bytes)
    }

    /// Whether a video that is fetched may be begun.
    pub fn room(&self) -> Room {
        let Some(limit) = self.limit_bytes else {
            return Room::Yes(Share(None));
        };
        let mut used = self.used();
        let held = used.kept_bytes + used.shares * self.share_bytes;
        if held + self.share_bytes <= limit {
            used.shares += 1;
            return Room::Yes(Share(Some(self.clone())));
        }
        if used.shares > 0 {
            Room::Later
        } else {
            Room::Never
        }
    }

    /// Counts bytes that stay.
    pub fn keep(&self, bytes: u64) {
        self.used().kept_bytes += bytes;
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Two sums; a thread that panicked left them as they were.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(disk) = &self.0 {
            disk.used().shares -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(disk: &Disk) -> Share {
        match disk.room() {
            Room::Yes(share) => share,
            _ => panic!("there is room"),
        }
    }

    #[test]
    fn videos_wait_for_room_and_none_is_begun_that_can_never_fit() {
        let disk = Disk::new(Some(100), None, 10);
        assert_eq!(disk.largest_file(), Some(40));
        let (first, second) = (share(&disk), share(&disk));
        assert!(matches!(disk.room(), Room::Later));
        drop(first);
        disk.keep(20);
        assert!(matches!(disk.room(), Room::Later));
        drop(second);
        drop(share(&disk));
        disk.keep(40);
        assert!(matches!(disk.room(), Room::Never));
    }

    #[test]
    fn without_a_bound_there_is_always_room() {
        let disk = Disk::new(None, Some(5), u64::MAX);
        let _shares: Vec<Share> = (0..100).map(|_| share(&disk)).collect();
        assert_eq!(disk.largest_file(), None);
    }
}
