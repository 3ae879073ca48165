//! Which videos belong together.

use std::collections::HashMap;

use crate::dataset::record::Dataset;

/// Which group each video is in.
pub(super) struct Groups {
    /// The group of each video, known by the place of its first video.
    pub(super) of: Vec<usize>,
}

/// Joins videos that are the same file or share a frame, and those that are joined to the same one.
pub(super) fn find(dataset: &Dataset) -> Groups {
    let mut union = Union((0..dataset.videos.len()).collect());
    let mut by_content = HashMap::new();
    let mut by_id = HashMap::new();
    for (place, video) in dataset.videos.iter().enumerate() {
        let same_file = by_content.entry(&video.downloaded.sha256);
        union.join(place, *same_file.or_insert(place));
        let same_video = by_id.entry(video.video.video_id.as_str());
        union.join(place, *same_video.or_insert(place));
    }
    for frame in &dataset.frames {
        let dropped = frame.dropped.as_ref();
        let original = dropped.and_then(|dropped| dropped.duplicate_of.as_deref());
        // An image_id is the video_id and the number of the frame. An original of an earlier dataset may be of no video here.
        let video = original.and_then(|image_id| image_id.rsplit_once('_'));
        if let Some(&other) = video.and_then(|(video_id, _)| by_id.get(video_id)) {
            union.join(frame.video, other);
        }
    }
    let of = (0..dataset.videos.len()).map(|place| union.first(place));
    Groups { of: of.collect() }
}

/// Disjoint sets; each is known by its smallest member.
struct Union(Vec<usize>);

impl Union {
    fn first(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b)] = a.min(b);
    }
}
