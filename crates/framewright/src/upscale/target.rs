//! The output file on its way: claimed before any work, written under a hidden name beside the final one, published
//! whole or not at all.
//!
//! ```text
//! claim: .NAME.fw-lock ─▶ leftovers removed ─▶ .NAME.OWNER-N.partial, open ─▶ written ─▶ NAME, or NAME.partial.EXT
//! ```
//! Invariants, on every file system and at any moment of a kill:
//! * A file is made only of a name that is free, and never through a link. What is replaced is the final name alone, and
//!   the partial one, only with `--overwrite`, and never a file of this run: input, model, plan, report, another output.
//! * What gets the final name is the file that was written, as a whole; a name that has appeared meanwhile stays.
//! * Of two runs on one output the second is refused ([`lock`]). Where that fails, they still write different files.
//! * A run that ends leaves nothing but its output. What a killed one left is removed by the next on the same output, and
//!   nothing else is ([`durable::hidden`](crate::durable::hidden)).

mod lock;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::durable::hidden::{Hidden, remove_leftovers};
use crate::durable::is_open_file;
use crate::durable::parent::{Entry, Parent};
use crate::exit::{Exit, Fail, fail};
use crate::same_file::{FileId, Place};
use lock::{Lock, Refusal};

/// How often the hidden file is looked for while it is written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes of a name that another word still fits behind.
const MAX_STEM: usize = 200;

/// A claimed output. Dropped without [`publish`](Self::publish), it leaves nothing.
pub struct Target {
    path: PathBuf,
    parent: Arc<Parent>,
    name: OsString,
    overwrite: bool,
    others: Others,
    hidden: Hidden,
    lock: Lock,
}

/// The other files of a run, which no output may replace, with what they are called in messages.
#[derive(Clone, Default)]
pub struct Others(Arc<[(&'static str, Place)]>);

impl Others {
    /// Finds out where the paths lead now.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'static str, &'a Path)>) -> Self {
        let files = files.into_iter();
        let places = files.filter_map(|(name, path)| Some((name, Place::of(path)?)));
        Self(places.collect())
    }

    /// What the file at `path` is in this run, if it is one of these.
    fn find(&self, path: &Path) -> Option<&'static str> {
        let place = Place::of(path)?;
        let mut others = self.0.iter();
        others
            .find(|(_, other)| *other == place)
            .map(|(name, _)| *name)
    }

    fn ids(&self) -> Vec<FileId> {
        let ids = self.0.iter().filter_map(|(_, place)| match place {
            Place::File(id) => Some(*id),
            Place::Name(..) => None,
        });
        ids.collect()
    }
}

impl Target {
    /// Claims `path`.
    ///
    /// # Errors
    /// It is one of `others` (2); the file exists (and is not to be overwritten), is none, another run writes it, its
    /// folder is missing (73); the system refuses to write there (77).
    pub fn claim(path: &Path, overwrite: bool, others: &Others) -> anyhow::Result<Self> {
        refuse_special(path)?;
        // An existing link keeps pointing where it points; its target is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.file_name().is_none() {
            return Err(fail(Exit::Usage, "the output has no file name"));
        }
        if let Some(other) = others.find(&path) {
            let message = format!("the output would replace {other}: {}", path.display());
            return Err(fail(Exit::Usage, message));
        }
        let (parent, name) = Parent::of(&path).map_err(|error| cannot_write(&error, &path))?;
        let lock = Lock::take(&parent, &name).map_err(|refusal| no_lock(refusal, &path))?;
        remove_leftovers(&parent, &name, &others.ids());
        if fs::symlink_metadata(&path).is_ok() && !overwrite {
            return Err(fail(
                Exit::CannotCreate,
                format!(
                    "the output exists already; add --overwrite to replace it: {}",
                    path.display()
                ),
            ));
        }
        let hidden = Hidden::create(&parent, &name).map_err(|error| cannot_write(&error, &path))?;
        Ok(Self {
            path,
            parent,
            name,
            overwrite,
            others: others.clone(),
            hidden,
            lock,
        })
    }

    /// The final name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file to write to.
    ///
    /// # Errors
    /// The system has no file descriptor left.
    pub fn file(&self) -> anyhow::Result<File> {
        let file = self.hidden.file().try_clone();
        file.map_err(|error| cannot_write(&error, &self.path))
    }

    /// Looks after the hidden file while it is written.
    pub fn look_out(&self) -> Lookout {
        Lookout {
            entry: self.hidden.entry().clone(),
            path: self.path.clone(),
            next: Instant::now(),
        }
    }

    /// Removes what there is of this output, from any thread, for a process that has to end at once.
    pub fn clean_up(&self) -> impl FnOnce() + Send + use<> {
        let entries = [self.hidden.entry().clone(), self.lock.entry().clone()];
        move || entries.iter().for_each(Entry::remove)
    }

    /// Waits until what was written lasts through a power cut. Only then may it get a name.
    ///
    /// # Errors
    /// The disk is full or fails (74).
    pub fn sync(&self) -> anyhow::Result<()> {
        let synced = self.hidden.file().sync_all();
        synced.map_err(|error| {
            let path = self.path.display();
            let message =
                format!("cannot complete the output: {error}; nothing is left of this run: {path}");
            fail(Exit::Io, message)
        })
    }

    /// Moves the finished file to its final name.
    ///
    /// # Errors
    /// The hidden file is gone, or the final name was taken meanwhile. Nothing is left then, except where the system
    /// cannot rename: the message says under which name the file is kept.
    pub fn publish(mut self) -> anyhow::Result<PathBuf> {
        self.look_out().look()?;
        let to = self.path.clone();
        let name = self.name.clone();
        let renamed = if self.overwrite {
            if let Err(error) = refuse_special(&to) {
                return Err(self.keep(&error.to_string()));
            }
            if let Some(other) = self.others.find(&to) {
                return Err(self.keep(&format!("its name is that of {other} by now")));
            }
            self.hidden.replace(&name)
        } else {
            self.hidden.rename_new(&name)
        };
        renamed.map_err(|error| self.cannot_name(&error))?;
        self.last(&to)
    }

    /// Moves a file that is playable but not the whole film to `NAME.partial.EXT`. Where that is taken, to a name with a
    /// number; with `--overwrite` only what is no plain file, or a file of this run, is not replaced.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_partial(mut self) -> anyhow::Result<PathBuf> {
        self.look_out().look()?;
        for number in 1..=u32::MAX {
            let name = beside(&self.path, "partial", number);
            let to = self.path.with_file_name(&name);
            let is_ours = self.others.find(&to).is_some();
            let is_file = fs::symlink_metadata(&to).is_ok_and(|there| there.is_file());
            let renamed = match (self.overwrite && is_file, is_ours) {
                (_, true) => continue,
                (true, false) => self.hidden.replace(&name),
                (false, false) => self.hidden.rename_new(&name),
            };
            match renamed {
                Ok(()) => return self.last(&to),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.keep(&error.to_string())),
            }
        }
        Err(self.keep("all names of partial files are taken"))
    }

    fn last(&self, to: &Path) -> anyhow::Result<PathBuf> {
        let synced = self.parent.sync();
        synced.map_err(|error| cannot_write(&error, to))?;
        Ok(to.to_owned())
    }

    fn cannot_name(&mut self, error: &io::Error) -> anyhow::Error {
        match error.kind() {
            io::ErrorKind::AlreadyExists => fail(
                Exit::CannotCreate,
                format!(
                    "the output has appeared meanwhile and stays as it is; nothing is left of this run: {}",
                    self.path.display()
                ),
            ),
            io::ErrorKind::Unsupported => {
                self.keep("this file system cannot rename without replacing")
            }
            _ => self.keep(&error.to_string()),
        }
    }

    /// Why the output has another name than it should; the work of a whole run is not thrown away for that.
    fn keep(&mut self, why: &str) -> anyhow::Error {
        let place = match self.set_aside() {
            Some(path) => format!("what was done is in {}", path.display()),
            None => "nothing is left of this run".to_owned(),
        };
        let path = self.path.display();
        let message = format!("cannot name the output: {why}; {place}: {path}");
        fail(Exit::CannotCreate, message)
    }

    /// Calls the file `NAME.complete.EXT`, or by the first number that is free.
    fn set_aside(&mut self) -> Option<PathBuf> {
        let mut names = (1..100).map(|number| beside(&self.path, "complete", number));
        // Made first, so that nothing of anybody's is replaced also where a rename always replaces.
        let (name, made) = names.find_map(|name| {
            let made = self.parent.create_new(&name).ok()?;
            Some((name, made))
        })?;
        if self.hidden.replace(&name).is_ok() {
            return Some(self.path.with_file_name(name));
        }
        Entry::new(&self.parent, name, &made).ok()?.remove();
        None
    }
}

/// Looks after a hidden file, so that a run whose file has gone does not go on for hours.
pub struct Lookout {
    entry: Entry,
    path: PathBuf,
    next: Instant,
}

impl Lookout {
    /// Looks, if the last time was a while ago.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn look_sometimes(&mut self) -> Result<(), Fail> {
        let now = Instant::now();
        if now < self.next {
            return Ok(());
        }
        self.next = now + LOOK_EVERY;
        self.look()
    }

    /// Whether the file is where it was made.
    ///
    /// # Errors
    /// The file was removed or replaced, or its folder was moved or removed (74).
    pub fn look(&self) -> Result<(), Fail> {
        if self.entry.is_in_place() {
            return Ok(());
        }
        let path = self.path.display();
        let message = format!(
            "the output or its folder was moved or removed while it was written; nothing is left of this run: {path}"
        );
        Err(Fail::new(Exit::Io, message))
    }
}

/// A folder, a pipe or a device cannot be an output: it would be replaced by a file, or an open would wait.
///
/// # Errors
/// It is one (73).
pub fn refuse_special(path: &Path) -> anyhow::Result<()> {
    let found = fs::metadata(path).ok();
    let what = match found {
        _ if is_open_file(path) => "a pipe or an open file",
        Some(found) if found.is_dir() => "a folder",
        Some(found) if !found.is_file() => "a pipe or a device",
        _ => return Ok(()),
    };
    let advice = match path.to_str() {
        _ if what == "a folder" => "",
        Some("/dev/null") => "; --encoder null writes no file",
        _ => "; name a file to write",
    };
    let message = format!("the output is {what}{advice}: {}", path.display());
    Err(fail(Exit::CannotCreate, message))
}

/// `NAME.WORD.EXT`, then `NAME.WORD-2.EXT` and so on.
fn beside(path: &Path, word: &str, number: u32) -> OsString {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    if name.len() > MAX_STEM {
        let text = name.to_string_lossy();
        name = text[..text.floor_char_boundary(MAX_STEM)].into();
    }
    name.push(format!(".{word}"));
    if number > 1 {
        name.push(format!("-{number}"));
    }
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    name
}

fn no_lock(refusal: Refusal, path: &Path) -> anyhow::Error {
    let shown = path.display();
    let message = match refusal {
        Refusal::Io(error) => return cannot_write(&error, path),
        Refusal::Held(who) => format!("another run is writing this output ({who}): {shown}"),
        Refusal::HeldElsewhere(who, lock) => format!(
            "another run is writing this output ({who}; if it is gone, remove {}): {shown}",
            lock.display()
        ),
        Refusal::Foreign(lock) => format!(
            "the name of the output's lock file is taken, move away {}: {shown}",
            lock.display()
        ),
    };
    fail(Exit::CannotCreate, message)
}

fn cannot_write(error: &io::Error, path: &Path) -> anyhow::Error {
    fail(
        Exit::of_create(error),
        format!("cannot create the output: {error}: {}", path.display()),
    )
}

#[cfg(test)]
mod tests;
