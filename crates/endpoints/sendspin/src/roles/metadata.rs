//! The metadata role: what is heard, as text, and how far it is.
//!
//! Pure. States take effect at once; none is scheduled, because the hub says what is heard when it is.

use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_endpoint::{NowPlaying, PlayState};
use serde_json::{Map, Value};

use super::micros;

/// What one client's display was told.
#[derive(Debug, Default)]
pub struct Metadata {
    now: NowPlaying,
    due: bool,
}

impl Metadata {
    /// The connection has begun anew: a state is due.
    pub fn forget(&mut self) {
        self.due = true;
    }

    /// What the hub says.
    pub fn now(&mut self, now: &NowPlaying) {
        let what = |now: &NowPlaying| NowPlaying { artwork: None, group: None, ..now.clone() };
        let (next, before) = (what(now), what(&self.now));
        if next != before {
            self.now = next;
            self.due = true;
        }
    }

    /// The metadata object of the next `server/state`, when one is due; of nothing for a client that takes no part.
    pub fn state(&mut self, at: HubTime, alone: bool) -> Option<Map<String, Value>> {
        if !std::mem::take(&mut self.due) {
            return None;
        }
        let mut state = Map::new();
        // Never in the future: that would schedule it.
        let since = self.now.position.map_or(at, |(since, _)| since.min(at));
        state.insert("timestamp".into(), micros(since).min(micros(at)).into());
        if alone || self.now.state == PlayState::Stopped {
            return Some(state);
        }
        for (key, value) in
            [("title", &self.now.title), ("artist", &self.now.artist), ("album", &self.now.album)]
        {
            if let Some(value) = value {
                state.insert(key.into(), value.as_str().into());
            }
        }
        if let Some((moment, position)) = self.now.position {
            let playing = self.now.state == PlayState::Playing;
            // Where it will be at a moment that is still to come, seen from now.
            let ahead = if playing { moment.since(at) } else { Duration::ZERO };
            let mut progress = Map::new();
            progress.insert("track_progress".into(), millis(position.saturating_sub(ahead)).into());
            progress.insert("track_duration".into(), millis(self.now.length.unwrap_or_default()).into());
            progress.insert("playback_speed".into(), if playing { 1000 } else { 0 }.into());
            state.insert("progress".into(), progress.into());
        }
        Some(state)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
