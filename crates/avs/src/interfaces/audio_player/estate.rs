//! What the leader of a group leaves to the next: its streams as they stand.

use crate::effect::PlayerId;

/// The streams of one AudioPlayer, to be taken over by another speaker's while they go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estate {
    players: Vec<PlayerId>,
}

impl Estate {
    /// The streams in it, the current one first.
    pub fn players(&self) -> &[PlayerId] {
        &self.players
    }

    /// Gives the streams other names: those of the heir's device.
    pub fn rename(&mut self, name: impl FnMut(PlayerId) -> PlayerId) {
        self.players = self.players.iter().copied().map(name).collect();
    }

    /// Whether there is nothing to take over.
    pub fn is_empty(&self) -> bool {
        self.players.is_empty()
    }
}
