//! Files under hidden names beside the final ones, and the removal of those that dead processes left.
//!
//! A hidden name says whose it is: `.NAME.OWNER-N.partial`, with the [`Owner`]'s host, boot, process and start. The file is
//! locked for as long as it is open, where the file system has locks.
//!
//! Invariant: a hidden file is made exclusively. Invariant: removed is only a plain file whose name has this form and whose
//! owner is known to be gone: it is a process of this host that does not run, or nobody of another one holds the lock. In
//! doubt a file stays, since every run takes a name of its own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::owner::{Owner, short_hash};
use super::parent::{Entry, Parent};
use crate::same_file::FileId;

const SUFFIX: &str = ".partial";

/// Bytes of a final name that a hidden one repeats, so that it fits where the final one does.
const MAX_REPEATED: usize = 60;

/// A hidden file of this process. Dropped before it has its final name, it is removed.
pub struct Hidden {
    entry: Entry,
    file: File,
    is_named: bool,
}

impl Hidden {
    /// Makes one for the file that is to be called `name`.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(parent: &Arc<Parent>, name: &OsStr) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let hidden = dotted(name, &format!(".{}-{count}{SUFFIX}", Owner::this()));
            match parent.create_new(&hidden) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    // Tells other hosts and containers that the file is in use; without locks they leave it alone.
                    let _ = file.try_lock();
                    return Ok(Self {
                        entry: Entry::new(parent, hidden, &file)?,
                        file,
                        is_named: false,
                    });
                }
            }
        }
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The hidden name.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Gives the file its final name, replacing what has it.
    ///
    /// # Errors
    /// What the system says; the file is still hidden then.
    pub fn replace(&mut self, name: &OsStr) -> io::Result<()> {
        self.entry.parent().rename(self.entry.name(), name)?;
        self.is_named = true;
        Ok(())
    }

    /// Gives the file its final name, which must be free.
    ///
    /// # Errors
    /// As [`Parent::rename_new`]; the file is still hidden then.
    pub fn rename_new(&mut self, name: &OsStr) -> io::Result<()> {
        self.entry.parent().rename_new(self.entry.name(), name)?;
        self.is_named = true;
        Ok(())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.is_named {
            self.entry.remove();
        }
    }
}

/// Removes what dead processes left of files that were to be called `name`, but none of `spared`.
pub fn remove_leftovers(parent: &Arc<Parent>, name: &OsStr, spared: &[FileId]) {
    // Leftovers harm nothing: what cannot be read or removed now is left to the next run.
    let Ok(names) = parent.names() else { return };
    for hidden in names {
        let Some(owner) = owner_of(&hidden, name) else {
            continue;
        };
        let Ok(file) = parent.open(&hidden) else {
            continue;
        };
        let is_dead = match owner.is_running() {
            Some(is_running) => !is_running,
            None => file.try_lock().is_ok(),
        };
        let entry = Entry::new(parent, hidden, &file);
        if let (true, Ok(entry)) = (is_dead, entry)
            && !spared.contains(&entry.id())
        {
            entry.remove();
        }
    }
}

/// The owner in a hidden name for `name`; none for any other name.
fn owner_of(hidden: &OsStr, name: &OsStr) -> Option<Owner> {
    let tail = hidden
        .as_bytes()
        .strip_prefix(dotted(name, ".").as_bytes())?;
    let tag = std::str::from_utf8(tail).ok()?.strip_suffix(SUFFIX)?;
    let (owner, count) = tag.rsplit_once('-')?;
    let is_count = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    Owner::parse(owner).filter(|_| is_count)
}

/// `.NAME` and `tail`; of a long name its beginning and a hash.
pub fn dotted(name: &OsStr, tail: &str) -> OsString {
    let mut dotted = OsString::from(".");
    if name.len() <= MAX_REPEATED {
        dotted.push(name);
    } else {
        let text = name.to_string_lossy();
        dotted.push(&text[..text.floor_char_boundary(MAX_REPEATED)]);
        dotted.push(format!("~{:08x}", short_hash(name.as_bytes())));
    }
    dotted.push(tail);
    dotted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The hidden name that a process which has ended would have left.
    fn of_the_dead(name: &str) -> String {
        let tag = Owner::this().to_string();
        let (process, start) = tag.rsplit_once('-').unwrap();
        let earlier = start.parse::<u64>().unwrap() + 1;
        format!(".{name}.{process}-{earlier}-0.partial")
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_dead_processes_left_is_removed_and_nothing_that_only_looks_like_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (parent, name) = Parent::of(&at("o.mp4")).unwrap();
        let alive = Hidden::create(&parent, &name).unwrap();
        let dead = of_the_dead("o.mp4");
        let of_another = of_the_dead("o.mp4.mp4");
        let altered = dead.replace(".partial", ".part");
        for name in [&dead, &of_another, &altered, ".o.mp4.partial"] {
            fs::write(at(name), b"x").unwrap();
        }
        remove_leftovers(&parent, &name, &[]);
        let mut left: Vec<OsString> = [&of_another, &altered, ".o.mp4.partial"]
            .map(OsString::from)
            .into();
        left.push(alive.entry().name().to_owned());
        left.sort();
        assert_eq!(names(folder.path()), left);
    }

    #[test]
    fn a_leftover_that_is_somebodys_input_or_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (parent, name) = Parent::of(&folder.path().join("o.mp4")).unwrap();
        let dead = folder.path().join(of_the_dead("o.mp4"));
        fs::write(&dead, b"x").unwrap();
        let input = FileId::of(&fs::metadata(&dead).unwrap());
        remove_leftovers(&parent, &name, &[input]);
        assert!(dead.exists());
        fs::rename(&dead, folder.path().join("film")).unwrap();
        std::os::unix::fs::symlink("film", &dead).unwrap();
        remove_leftovers(&parent, &name, &[]);
        assert!(dead.is_symlink() && folder.path().join("film").exists());
    }

    #[test]
    fn of_another_host_a_file_is_removed_only_when_nobody_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder
            .path()
            .join(".o.mp4.fw1-00000001-00000002-3-4-0.partial");
        let (parent, name) = Parent::of(&folder.path().join("o.mp4")).unwrap();
        let held = File::create(&path).unwrap();
        held.try_lock().unwrap();
        remove_leftovers(&parent, &name, &[]);
        assert!(path.exists());
        drop(held);
        remove_leftovers(&parent, &name, &[]);
        assert!(!path.exists());
    }

    #[test]
    fn the_longest_names_have_hidden_ones_that_fit_and_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        for long in ["é".repeat(127), "x".repeat(255)] {
            let (parent, name) = Parent::of(&folder.path().join(long)).unwrap();
            let hidden = Hidden::create(&parent, &name).unwrap();
            let hidden_name = hidden.entry().name();
            assert!(hidden_name.len() < 143, "{}", hidden_name.len());
            assert_eq!(owner_of(hidden_name, &name), Some(Owner::this()));
        }
        assert!(names(folder.path()).is_empty());
    }
}
