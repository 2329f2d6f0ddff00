//! The controller role: what may be pressed at a client, and what it is told of its group's level.
//!
//! Pure. The group's volume is the hub's own slider (product: the laws of volume), not the mean that the spec computes:
//! every surface of the hub shows the same number.

use antiphon_domain::Volume;
use antiphon_endpoint::{Button, NowPlaying};
use serde_json::{Map, Value};

/// What may be pressed.
const COMMANDS: [&str; 7] = ["play", "pause", "stop", "next", "previous", "volume", "mute"];

/// What one client's controller was told.
#[derive(Debug, Default)]
pub struct Controller {
    level: Option<(Volume, bool)>,
    told: Option<(Volume, bool)>,
}

impl Controller {
    /// The connection has begun anew.
    pub fn forget(&mut self) {
        self.told = None;
    }

    /// What the hub says.
    pub fn now(&mut self, now: &NowPlaying) {
        self.level = now.group.as_ref().map(|group| (group.volume, group.muted));
    }

    /// The button that a command of the client means; `None` for one that we do not offer, which is to be ignored.
    pub fn pressed(&self, controller: &Value) -> Result<Option<Button>, String> {
        let command = controller.get("command").and_then(Value::as_str).ok_or("a command without a name")?;
        Ok(match command {
            "play" => Some(Button::Play),
            "pause" => Some(Button::Pause),
            "stop" => Some(Button::Stop),
            "next" => Some(Button::Next),
            "previous" => Some(Button::Previous),
            "volume" => {
                let volume = controller.get("volume").and_then(Value::as_i64);
                let volume = volume.and_then(|volume| Volume::new(volume).ok());
                Some(Button::GroupVolume(volume.ok_or("a volume out of range")?))
            }
            "mute" => {
                let mute = controller.get("mute").and_then(Value::as_bool);
                Some(Button::GroupMute(mute.ok_or("a mute that is neither on nor off")?))
            }
            _ => None,
        })
    }

    /// The controller object of the next `server/state`, when it has changed. Before the hub said how loud the group is,
    /// the client's own volume stands for it; `alone` says that it is in no group of the hub's.
    pub fn state(&mut self, own: Option<Volume>, alone: bool) -> Option<Map<String, Value>> {
        let (volume, muted) = match self.level {
            Some(level) if !alone => level,
            _ => (own.unwrap_or(Volume::MAX), false),
        };
        // Nothing else of it ever changes.
        if self.told.replace((volume, muted)) == Some((volume, muted)) {
            return None;
        }
        let mut state = Map::new();
        state.insert("supported_commands".into(), COMMANDS.to_vec().into());
        state.insert("volume".into(), volume.get().into());
        state.insert("muted".into(), muted.into());
        state.insert("repeat".into(), "off".into());
        state.insert("shuffle".into(), false.into());
        Some(state)
    }
}
