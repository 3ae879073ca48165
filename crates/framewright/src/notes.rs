//! What a run has to tell: warnings, and the fallbacks it took.
//!
//! Invariant: a fallback is never silent. Every note is shown once, when it happens,
//! and stands in the report.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::screen::{Line, Screen};

/// Different notes of one kind that are kept and shown; a damaged video could give one
/// for each frame.
const MAX_KEPT: usize = 100;

/// Collects notes from any thread. Clones share one list. Never waits for the terminal.
#[derive(Clone)]
pub struct Notes {
    screen: Screen,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    warnings: Vec<String>,
    fallbacks: Vec<String>,
}

impl Notes {
    /// An empty list that shows its notes on this screen.
    pub fn new(screen: Screen) -> Self {
        Self {
            screen,
            kept: Arc::default(),
        }
    }

    /// Something the user should know about the result. The same text counts once.
    pub fn warn(&self, message: impl Into<String>) {
        let shown = keep(&mut self.lock().warnings, message.into());
        if let Some(message) = shown {
            self.screen.say(&Line::Warning(message));
        }
    }

    /// Something is done in another way than asked or planned: what, and why. The same
    /// text counts once.
    pub fn fallback(&self, message: impl Into<String>) {
        let shown = keep(&mut self.lock().fallbacks, message.into());
        if let Some(message) = shown {
            self.screen.say(&Line::Fallback(message));
        }
    }

    /// The warnings so far, oldest first, for the report.
    pub fn warnings(&self) -> Vec<String> {
        self.lock().warnings.clone()
    }

    /// The fallbacks so far, oldest first, for the report.
    pub fn fallbacks(&self) -> Vec<String> {
        self.lock().fallbacks.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .expect("no code panics while it holds the notes")
    }
}

/// Keeps a new message and gives back what is to be shown for it, if anything.
fn keep(kept: &mut Vec<String>, mut message: String) -> Option<String> {
    if kept.len() > MAX_KEPT || kept.contains(&message) {
        return None;
    }
    if kept.len() == MAX_KEPT {
        "more of these are not listed".clone_into(&mut message);
    }
    kept.push(message.clone());
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> Notes {
        Notes::new(Screen::silent())
    }

    #[test]
    fn the_same_note_counts_once_and_clones_share_the_list() {
        let notes = notes();
        notes.clone().warn("12 frames are damaged");
        notes.warn("12 frames are damaged");
        notes.fallback("12 frames are damaged");
        assert_eq!(notes.warnings(), ["12 frames are damaged"]);
        assert_eq!(notes.fallbacks(), ["12 frames are damaged"]);
    }

    #[test]
    fn a_flood_of_notes_is_cut_and_says_so() {
        let notes = notes();
        for frame in 0..10_000 {
            notes.warn(format!("frame {frame} is damaged"));
        }
        let warnings = notes.warnings();
        assert_eq!(warnings.len(), MAX_KEPT + 1);
        assert_eq!(warnings[MAX_KEPT], "more of these are not listed");
    }
}
