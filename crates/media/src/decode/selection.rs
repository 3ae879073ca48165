//! Decoding only some packets of a video.

use crate::packet::Packet;

/// What is done with a packet of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is left out.
    Skip,
    /// It is decoded, unless the decoder sees that no other frame is predicted from it.
    DecodeIfReference,
    /// It is decoded.
    Decode,
    /// Packets before it were left out, and decoding can begin with it: what the decoder still holds is fetched, the
    /// decoder is emptied, and then it is decoded.
    Restart,
}

/// One for each packet of the video. An iterator, since a file may have packets without end.
pub(crate) type Actions = Box<dyn Iterator<Item = Action> + Send>;

/// The actions, and how far they were taken.
pub(super) struct Selection {
    actions: Actions,
    /// Whether any packet was decoded.
    pub(super) has_begun: bool,
    /// A packet that waits until the decoder is empty.
    pub(super) held: Option<Packet>,
    /// Packets taken since a unit was delivered.
    pub(super) packets_in_unit: u32,
}

/// Packets after which a unit without a frame is delivered, so that whoever reads can tell that it goes on.
const MANY_PACKETS: u32 = 256;

impl Selection {
    pub(super) fn new(actions: Actions) -> Self {
        Self {
            actions,
            has_begun: false,
            held: None,
            packets_in_unit: 0,
        }
    }

    /// What to do with the next packet of the video. One that was not planned is left out: whoever made the plan finds
    /// that its number is wrong.
    pub(super) fn next(&mut self) -> Action {
        self.packets_in_unit += 1;
        self.actions.next().unwrap_or(Action::Skip)
    }

    pub(super) fn is_long(&self) -> bool {
        self.packets_in_unit >= MANY_PACKETS
    }
}
