//! What every client is told of its group, and whether it takes part.
//!
//! Pure. A client that leaves, or is taken by something else, goes to a group of its own that is stopped (messaging,
//! "External Source Handling"); it is never put back while the same sound goes on. What brings it back: its person
//! presses play there, content begins anew, or the hub puts it into another group.

use antiphon_endpoint::{NowPlaying, PlayState};
use serde_json::{Map, Value};

/// One client's place.
#[derive(Debug)]
pub struct Place {
    client: String,
    name: String,
    /// The hub's group and whether it plays; `None` outside a session or before the hub said.
    group: Option<(String, String)>,
    playing: bool,
    /// It has left: the group it was in then.
    left: Option<Option<String>>,
    /// Something happened since the last update was made.
    stale: bool,
    told: Option<Map<String, Value>>,
}

impl Place {
    /// A client in a group of its own.
    pub fn new(client: &str, name: &str) -> Self {
        let (client, name) = (client.into(), name.into());
        Self { client, name, group: None, playing: false, left: None, stale: true, told: None }
    }

    /// The connection has begun anew: nothing was told.
    pub fn forget(&mut self) {
        self.stale = true;
        self.told = None;
    }

    /// What the hub says of what is heard.
    pub fn now(&mut self, now: &NowPlaying) {
        self.stale = true;
        let group = now.group.as_ref().map(|group| (group.id.to_string(), group.name.clone()));
        let begins = now.state == PlayState::Playing && !self.playing;
        self.playing = now.state == PlayState::Playing;
        self.group = group;
        let id = self.group.as_ref().map(|(id, _)| id.clone());
        if begins || self.left.as_ref().is_some_and(|left| *left != id) {
            self.left = None;
        }
    }

    /// The session is over. Whoever has left then does not come back merely because the next session finds the same
    /// sound going on.
    pub fn alone(&mut self) {
        self.stale = true;
        self.group = None;
        self.playing = self.playing && self.has_left();
    }

    /// It leaves.
    pub fn leave(&mut self) {
        self.stale = true;
        self.left = Some(self.group.as_ref().map(|(id, _)| id.clone()));
    }

    /// It comes back by its own person's wish.
    pub fn come_back(&mut self) {
        self.stale = true;
        self.left = None;
    }

    /// Whether it has left.
    pub fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// The next `group/update`, when what it says has changed.
    pub fn update(&mut self) -> Option<Map<String, Value>> {
        if !std::mem::take(&mut self.stale) {
            return None;
        }
        let (id, name) = match &self.group {
            Some((id, name)) if !self.has_left() => (id.as_str(), name.as_str()),
            _ => (self.client.as_str(), self.name.as_str()),
        };
        let playing = self.playing && self.group.is_some() && !self.has_left();
        let mut update = Map::new();
        update.insert("playback_state".into(), if playing { "playing" } else { "stopped" }.into());
        update.insert("group_id".into(), id.into());
        update.insert("group_name".into(), name.into());
        if self.told.as_ref() == Some(&update) {
            return None;
        }
        self.told = Some(update.clone());
        Some(update)
    }
}
