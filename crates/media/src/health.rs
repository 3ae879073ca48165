//! What was found wrong with a clip while it was read, and what that comes to.
//!
//! Counters are filled where packets and frames pass; [`Health::notes`] is the one place that puts them into words.

/// Damage and losses; complete once [`Decoder::next_unit`](crate::Decoder::next_unit) has returned `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Frames that came out of the decoder.
    pub frames: u64,
    /// Frames that came, but that the decoder marked as damaged.
    pub corrupt_frames: u64,
    /// Video packets that are there, but of which no frame came.
    pub undecodable_packets: u64,
    /// Frames that the file holds packets of, or announces, and that did not come. Estimated where the file has no index.
    pub missing_frames: u64,
    /// Packets of any stream that the container gave in part, or marked as damaged.
    pub damaged_packets: u64,
    /// Places at which the container's data made no sense and reading went on behind them.
    pub read_errors: u64,
    /// Errors that FFmpeg logged, by kind, the most frequent first.
    pub logged_errors: Vec<(String, u64)>,
    /// Frames whose timestamp was missing or did not increase, and was moved behind the one before.
    pub repaired_timestamps: u64,
    /// The file ends before it should, by its own index, header or structure.
    pub truncated: Option<String>,
}

/// Kinds of logged errors that are named in a note.
const MAX_NAMED_KINDS: usize = 3;

impl Health {
    /// Whether more than half of the video's frames did not come.
    pub fn has_lost_most(&self) -> bool {
        self.missing_frames > self.frames
    }

    /// Errors that FFmpeg logged.
    pub fn n_logged_errors(&self) -> u64 {
        self.logged_errors.iter().map(|(_, n)| n).sum()
    }

    /// Whether anything in the data was damaged; a timestamp that was repaired is no damage.
    pub(crate) fn is_damaged(&self) -> bool {
        self.corrupt_frames + self.undecodable_packets + self.damaged_packets + self.read_errors > 0
            || !self.logged_errors.is_empty()
    }

    /// One note for each kind of fault, for people: how the clip is ("damaged"), and by what ("3 video packets not decoded
    /// at all").
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        let counted = [
            (
                "damaged",
                self.corrupt_frames,
                "frame",
                "decoded with errors",
            ),
            (
                "damaged",
                self.undecodable_packets,
                "video packet",
                "not decoded at all",
            ),
            (
                "damaged",
                self.damaged_packets,
                "packet",
                "cut or marked as damaged in the container",
            ),
            (
                "damaged",
                self.read_errors,
                "place",
                "where the container makes no sense, skipped",
            ),
            (
                "irregular",
                self.repaired_timestamps,
                "frame",
                "without a timestamp or with one that does not increase, set behind the one before",
            ),
        ];
        let mut notes: Vec<_> = counted
            .into_iter()
            .filter(|(_, n, ..)| *n > 0)
            .map(|(how, n, of, what)| (how, format!("{n} {of}{} {what}", plural(n))))
            .collect();
        notes.extend(self.logged_note().map(|note| ("damaged", note)));
        notes.extend(self.truncated.clone().map(|how| ("truncated", how)));
        if self.missing_frames > 0 {
            let (missing, all) = (
                self.missing_frames,
                self.frames.saturating_add(self.missing_frames),
            );
            notes.push((
                "incomplete",
                format!("{missing} of {all} frames are missing"),
            ));
        }
        notes
    }

    fn logged_note(&self) -> Option<String> {
        let logged = self.n_logged_errors();
        let named = self.logged_errors.iter().take(MAX_NAMED_KINDS);
        let named: Vec<String> = named.map(|(kind, n)| format!("{kind} ({n})")).collect();
        let more = if self.logged_errors.len() > MAX_NAMED_KINDS {
            ", …"
        } else {
            ""
        };
        (logged > 0).then(|| {
            let named = named.join(", ");
            format!(
                "{logged} error{} logged by FFmpeg: {named}{more}",
                plural(logged)
            )
        })
    }
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_is_lost_when_more_frames_are_missing_than_came() {
        let of = |frames, missing_frames| Health {
            frames,
            missing_frames,
            ..Health::default()
        };
        assert!(!of(10, 10).has_lost_most());
        assert!(of(10, 11).has_lost_most());
    }

    #[test]
    fn every_counter_has_its_note_and_a_sound_clip_has_none() {
        assert!(Health::default().notes().is_empty());
        let kinds = ["a", "b", "c", "d"].map(|kind| (kind.to_owned(), 2));
        let health = Health {
            frames: 7,
            corrupt_frames: 1,
            undecodable_packets: 2,
            missing_frames: 3,
            damaged_packets: 4,
            read_errors: 5,
            logged_errors: kinds.to_vec(),
            repaired_timestamps: 6,
            truncated: Some("5 of 9 bytes are there".into()),
        };
        let notes = health.notes();
        assert_eq!(notes.len(), 8);
        assert_eq!(notes[0].1, "1 frame decoded with errors");
        assert_eq!(notes[1].1, "2 video packets not decoded at all");
        assert_eq!(
            notes[5].1,
            "8 errors logged by FFmpeg: a (2), b (2), c (2), …"
        );
        assert_eq!(notes[6], ("truncated", "5 of 9 bytes are there".into()));
        assert_eq!(notes[7].1, "3 of 10 frames are missing");
    }
}
