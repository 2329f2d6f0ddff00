//! PlaybackController 1.1: keys of a remote control ("PlaybackController 1.1").
//!
//! A press is a request: the cloud answers with a Play, a Stop, or nothing, and we do nothing ourselves. It goes to
//! whoever began content last; a source that AVS does not control sees the wish itself. Offline a press is neither sent
//! nor kept.

use serde_json::{Value, json};

use super::{Announcement, Handling, Interface, Turn, unlisted};
use crate::exception::Refusal;
use crate::message::{Directive, Event, Retry};
use crate::signal::{Button, Signal, Toggle, Wish};

const NAMESPACE: &str = "PlaybackController";
/// Who receives the presses before anybody began content.
const FIRST: &str = "AudioPlayer";
/// The content source that acts on presses itself.
const BLUETOOTH: &str = "Bluetooth";

#[derive(Debug)]
pub(super) struct PlaybackController {
    /// Who began content last.
    source: &'static str,
}

impl PlaybackController {
    pub(super) fn new() -> Self {
        Self { source: FIRST }
    }

    fn is_the_clouds(&self, turn: &Turn<'_>) -> bool {
        self.source != BLUETOOTH && turn.view.connected
    }

    fn press(&self, button: Button, turn: &mut Turn<'_>) {
        if !self.is_the_clouds(turn) {
            return;
        }
        let (name, payload) = match button {
            Button::Play => ("PlayCommandIssued", json!({})),
            Button::Pause => ("PauseCommandIssued", json!({})),
            Button::Next => ("NextCommandIssued", json!({})),
            Button::Previous => ("PreviousCommandIssued", json!({})),
            Button::SkipForward => ("ButtonCommandIssued", json!({ "name": "SKIPFORWARD" })),
            Button::SkipBackward => ("ButtonCommandIssued", json!({ "name": "SKIPBACKWARD" })),
        };
        request(name, payload, turn);
    }

    fn switch(&self, toggle: Toggle, on: bool, turn: &mut Turn<'_>) {
        if !self.is_the_clouds(turn) {
            return;
        }
        let name = match toggle {
            Toggle::Shuffle => "SHUFFLE",
            Toggle::Loop => "LOOP",
            Toggle::Repeat => "REPEAT",
            Toggle::ThumbsUp => "THUMBSUP",
            Toggle::ThumbsDown => "THUMBSDOWN",
        };
        let action = if on { "SELECT" } else { "DESELECT" };
        request("ToggleCommandIssued", json!({ "name": name, "action": action }), turn);
    }
}

fn request(name: &str, payload: Value, turn: &mut Turn<'_>) {
    let mut event = Event::new(NAMESPACE, name, payload);
    // What was pressed a while ago is not wished for now.
    event.retry = Retry::Never;
    turn.send_with_context(event);
}

impl Interface for PlaybackController {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.1"
    }

    fn on_directive(&mut self, directive: &Directive, _turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        Err(unlisted(directive))
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::Wish(Wish::Button(button)) => self.press(*button, turn),
            Signal::Wish(Wish::Toggle(toggle, on)) => self.switch(*toggle, *on, turn),
            _ => {}
        }
    }

    fn on_announcement(&mut self, announcement: &Announcement, _turn: &mut Turn<'_>) {
        if let Announcement::ContentSource(source) = announcement {
            self.source = source;
        }
    }

    fn on_logout(&mut self, _turn: &mut Turn<'_>) {
        self.source = FIRST;
    }
}
