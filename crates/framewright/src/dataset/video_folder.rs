//! The folder of one video under `state/videos`: the only way to what lies in it.
//!
//! Invariant: what is read, written or removed here lies in the folder itself. Before each of these it is made sure that
//! neither the folder nor anything in it is a link; a record is given out only when it fits its video.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::download::yt_dlp;
use super::extract::FRAMES;
use super::folder::write_json;
use super::inputs;
use super::readback::{self, fits::OfVideo};
use super::record::{Video, VideoId};
use super::trouble::{Class, Setback, Trouble};
use crate::exit::{Exit, OrExit as _, fail};

/// What says which video a folder is of.
pub const SOURCE: &str = "source.json";
/// Largest such file, in bytes.
const MOST_SOURCE_BYTES: u64 = 1 << 20;
/// How to have pictures made again.
pub const REMAKE: &str = "remove its extract.json to have the pictures made again";

/// The folder of a video. It need not be there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFolder {
    path: PathBuf,
}

impl VideoFolder {
    /// That of a video in the folder of all videos.
    pub fn new(videos: &Path, id: &VideoId) -> Self {
        Self {
            path: videos.join(id.as_str()),
        }
    }

    /// The path, for those who work in it.
    ///
    /// # Errors
    /// There is a link in it, or in its place.
    pub fn enter(&self) -> Result<&Path, Trouble> {
        readback::only_plain(&self.path)
            .and_then(|()| readback::only_plain(&self.path.join(yt_dlp::FOLDER)))
            .map_err(|message| Trouble::new(Class::Environment, message))?;
        Ok(&self.path)
    }

    /// Makes the folder, and writes down which video it is of.
    ///
    /// # Errors
    /// There is a link in it, or it cannot be written.
    pub fn begin(&self, video: &Video) -> Result<(), Setback> {
        let path = self.enter()?;
        if self.source(&video.video_id).ok().flatten().as_ref() == Some(video) {
            return Ok(());
        }
        fs::create_dir_all(path)
            .with_context(|| format!("cannot make the folder {}", path.display()))
            .or_exit(Exit::CannotCreate)?;
        self.write(SOURCE, video)
    }

    /// The video that the folder is of, by its own word.
    ///
    /// # Errors
    /// It cannot be read, or is of another video.
    pub fn source(&self, id: &VideoId) -> Result<Option<Video>, Trouble> {
        let path = self.enter()?.join(SOURCE);
        let video: Option<Video> =
            readback::json(&path, MOST_SOURCE_BYTES).map_err(|why| unusable(SOURCE, &why))?;
        let is_its = |video: &Video| {
            video.video_id == *id && inputs::video_id(&video.location) == video.video_id
        };
        match video {
            Some(video) if !is_its(&video) => Err(unusable(SOURCE, "it is of another video")),
            video => Ok(video),
        }
    }

    /// A record of `video`; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be read, or does not fit the video.
    pub fn read<T: OfVideo>(&self, name: &str, video: &Video) -> Result<Option<T>, Trouble> {
        let path = self.enter()?.join(name);
        let record: Option<T> =
            readback::json(&path, T::MOST_BYTES).map_err(|why| unusable(name, &why))?;
        if let Some(record) = &record {
            record.check(video).map_err(|why| unusable(name, &why))?;
        }
        Ok(record)
    }

    /// Whether there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path.join(name)).is_ok_and(|about| about.is_file())
    }

    /// Writes a record whole or not at all.
    ///
    /// # Errors
    /// There is a link in the folder, or it cannot be written.
    pub fn write<T: Serialize>(&self, name: &str, record: &T) -> Result<(), Setback> {
        let path = self.enter()?.join(name);
        Ok(write_json(&path, record)?)
    }

    /// Where the fetched film of this name lies.
    ///
    /// # Errors
    /// There is a link in the folder, or the name leads out of it.
    pub fn film(&self, file: &Path) -> Result<PathBuf, Trouble> {
        match file.to_str().filter(|name| readback::is_plain_name(name)) {
            Some(name) => Ok(self.enter()?.join(name)),
            None => Err(Trouble::new(
                Class::Environment,
                "its record names a film outside of its folder",
            )),
        }
    }

    /// Where the picture of this name lies.
    pub fn picture(&self, file: &str) -> PathBuf {
        self.path.join(FRAMES).join(file)
    }

    /// Makes sure that pictures are there and no links.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check_pictures<'a>(
        &self,
        mut files: impl Iterator<Item = &'a str>,
    ) -> Result<(), Trouble> {
        self.enter()?;
        let is_there = |file: &str| {
            readback::is_plain_name(file)
                && fs::symlink_metadata(self.picture(file)).is_ok_and(|about| about.is_file())
        };
        match files.find(|file| !is_there(file)) {
            None => Ok(()),
            Some(file) => Err(Trouble::new(
                Class::Environment,
                format!(
                    "a picture is not there, or no plain file; {REMAKE}: {}",
                    self.picture(file).display()
                ),
            )),
        }
    }

    /// Removes a file of this folder, which may be gone already.
    ///
    /// # Errors
    /// There is a link in the folder, or it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), Setback> {
        remove(&self.enter()?.join(name))
    }

    /// Removes pictures, which may be gone already.
    ///
    /// # Errors
    /// As [`VideoFolder::remove`].
    pub fn remove_pictures<'a>(
        &self,
        mut files: impl Iterator<Item = &'a str>,
    ) -> Result<(), Setback> {
        self.enter()?;
        files.try_for_each(|file| remove(&self.picture(file)))
    }
}

/// A record that cannot be used: the machine has to be helped, or the next run makes it again.
fn unusable(name: &str, why: &str) -> Trouble {
    Trouble::new(
        Class::Environment,
        format!("its {name} cannot be used: {why}"),
    )
}

fn remove(path: &Path) -> Result<(), Setback> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let message = format!("{error}, cannot remove {}", path.display());
            let exit = Exit::of_io(&error).unwrap_or(Exit::Io);
            Err(Setback::Run(fail(exit, message)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::record::{Location, Order};
    use std::os::unix::fs::symlink;

    fn video() -> Video {
        let location = Location::Http("http://example.com/a.mp4".into());
        Video {
            video_id: inputs::video_id(&location),
            order: Order { line: 0, entry: 0 },
            source: "http://example.com/a.mp4".into(),
            location,
        }
    }

    #[test]
    fn a_folder_says_which_video_it_is_of() {
        let dir = tempfile::tempdir().unwrap();
        let video = video();
        let folder = VideoFolder::new(dir.path(), &video.video_id);
        assert_eq!(folder.source(&video.video_id), Ok(None));
        folder.begin(&video).unwrap();
        assert_eq!(folder.source(&video.video_id), Ok(Some(video.clone())));
        assert!(folder.source(&VideoId::from(1)).is_err());
        let other = Video {
            location: Location::File("/etc/passwd".into()),
            ..video.clone()
        };
        folder.write(SOURCE, &other).unwrap();
        assert!(
            folder.source(&video.video_id).is_err(),
            "an id is of a place"
        );
        folder.begin(&video).unwrap();
        assert_eq!(folder.source(&video.video_id), Ok(Some(video)));
    }

    #[test]
    fn nothing_is_read_written_or_removed_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let precious = outside.path().join("precious.json");
        fs::write(&precious, "{}").unwrap();
        let video = video();
        let folder = VideoFolder::new(dir.path(), &video.video_id);
        let all_refuse = || {
            let name = "precious.json";
            assert!(folder.enter().is_err());
            assert!(folder.begin(&video).is_err());
            assert!(folder.source(&video.video_id).is_err());
            assert!(folder.write(name, &1).is_err());
            assert!(folder.remove(name).is_err());
            assert!(folder.remove_pictures([name].into_iter()).is_err());
            assert!(folder.film(Path::new(name)).is_err());
            assert!(folder.check_pictures([name].into_iter()).is_err());
            assert_eq!(fs::read(&precious).unwrap(), b"{}");
        };
        // The folder itself, a record, the pictures, the folder of a download, a part of a film.
        let place = dir.path().join(video.video_id.as_str());
        symlink(outside.path(), &place).unwrap();
        all_refuse();
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        for name in ["precious.json", FRAMES, "download", "download.part"] {
            symlink(outside.path(), place.join(name)).unwrap();
            all_refuse();
            fs::remove_file(place.join(name)).unwrap();
        }
        folder.begin(&video).unwrap();
        for film in ["../a.mp4", "/etc/passwd", "..", "a/b"] {
            assert!(folder.film(Path::new(film)).is_err(), "{film}");
        }
    }
}
