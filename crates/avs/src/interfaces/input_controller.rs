//! Alexa.InputController 3.0: the hub's inputs as content of this speaker ("Alexa.InputController 3.0").
//!
//! Owns which input is selected. An input takes the content channel, so the AudioPlayer stops; whoever takes the channel
//! from it ends the selection. Inputs are live: what pauses one ends its stream, and the sound of then begins a new one.

use antiphon_domain::focus::{Channel, Focus, FocusChange, Mixability};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Announcement, Handling, Interface, Known, Turn, View, payload, unlisted};
use crate::device::DeviceConfig;
use crate::effect::{PlayerCommand, PlayerId, PlayerSource};
use crate::exception::Refusal;
use crate::message::Directive;
use crate::picture::Picture;
use crate::sequencer::Policy;
use crate::signal::{PlayerNews, Signal, Wish};

const NAMESPACE: &str = "Alexa.InputController";

/// The names an input may have without its number; the fixed list of the documentation, with how many there are of each
/// (0: it bears no number).
const NAMES: [(&str, u32); 27] = [
    ("AUX", 7),
    ("BLURAY", 0),
    ("CABLE", 0),
    ("CD", 0),
    ("COAX", 2),
    ("COMPOSITE", 1),
    ("DVD", 0),
    ("GAME", 0),
    ("HD RADIO", 0),
    ("HDMI", 10),
    ("HDMI ARC", 0),
    ("INPUT", 10),
    ("IPOD", 0),
    ("LINE", 7),
    ("MEDIA PLAYER", 0),
    ("OPTICAL", 2),
    ("PHONO", 0),
    ("PLAYSTATION", 0),
    ("SATELLITE", 0),
    ("SMARTCAST", 0),
    ("TUNER", 0),
    ("TV", 0),
    ("USB DAC", 0),
    ("VIDEO", 3),
    ("XBOX", 0),
    ("PLAYSTATION 3", 0),
    ("PLAYSTATION 4", 0),
];

/// Whether AVS knows an input by this name (Alexa.InputController 3.0), e.g. `LINE 1`.
pub fn is_input_name(name: &str) -> bool {
    NAMES.iter().any(|(known, count)| match count {
        0 => *known == name,
        count => (1..=*count).any(|number| format!("{known} {number}") == name),
    })
}

/// The input that is selected.
#[derive(Debug)]
struct Selected {
    name: String,
    /// Its stream, while it has one.
    id: Option<PlayerId>,
    sounded: bool,
    /// The directive that asked for it, until it sounds.
    raw: Option<String>,
}

#[derive(Debug)]
pub(super) struct InputController {
    inputs: Vec<(String, Vec<String>)>,
    selected: Option<Selected>,
    next_id: u64,
}

#[derive(Deserialize)]
struct SelectInput {
    input: String,
}

impl InputController {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        Self { inputs: config.inputs.clone(), selected: None, next_id: PlayerId::INPUT }
    }

    fn knows(&self, name: &str) -> bool {
        self.inputs.iter().any(|(input, _)| input == name)
    }

    fn select(&mut self, name: &str, raw: Option<String>, turn: &mut Turn<'_>) {
        if self.selected.as_ref().is_some_and(|selected| selected.name == name) {
            return;
        }
        if let Some(old) = self.selected.take() {
            end(&old, turn);
        }
        self.selected = Some(Selected { name: name.into(), id: None, sounded: false, raw });
        turn.take_focus(Channel::Content, Mixability::Mixable);
        turn.announce(Announcement::ContentSource(NAMESPACE));
    }

    fn deselect(&mut self, turn: &mut Turn<'_>) {
        if let Some(selected) = self.selected.take() {
            end(&selected, turn);
            turn.give_up_focus(Channel::Content);
        }
    }

    /// The stream ended, or could not begin.
    fn gone(&mut self, why: &str, turn: &mut Turn<'_>) {
        let Some(selected) = self.selected.take() else { return };
        if let Some(raw) = selected.raw.filter(|_| !selected.sounded) {
            turn.regret(&raw, &Refusal::internal(format!("{}: {why}", selected.name)));
        }
        turn.give_up_focus(Channel::Content);
    }
}

fn end(selected: &Selected, turn: &mut Turn<'_>) {
    if let Some(id) = selected.id {
        turn.player(PlayerCommand::Stop { id });
    }
}

impl Interface for InputController {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "3.0"
    }

    fn configurations(&self) -> Option<Value> {
        let mut inputs = Vec::new();
        for (name, friendly) in &self.inputs {
            inputs.push(json!({ "name": name, "friendlyNames": friendly }));
        }
        Some(json!({ "inputs": inputs }))
    }

    fn directives(&self) -> &'static [Known] {
        const { &[Known::in_turn("SelectInput", Policy::FREE)] }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        if directive.header.name != "SelectInput" {
            return Err(unlisted(directive));
        }
        let wanted: SelectInput = payload(directive)?;
        if !self.knows(&wanted.input) {
            return Err(Refusal::unexpected(format!("there is no input {:?} here", wanted.input)));
        }
        self.select(&wanted.input, Some(directive.raw.clone()), turn);
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::Wish(Wish::SelectInput(name)) if self.knows(name) => self.select(name, None, turn),
            Signal::ContentTaken | Signal::ContentStopped => self.deselect(turn),
            Signal::Player(id, news) => {
                let Some(selected) = self.selected.as_mut().filter(|selected| selected.id == Some(*id))
                else {
                    return;
                };
                match news {
                    PlayerNews::Started { .. } => selected.sounded = true,
                    PlayerNews::Taken => self.deselect(turn),
                    PlayerNews::Failed(error) => self.gone(&error.message, turn),
                    PlayerNews::Unattached => self.gone("it is not there", turn),
                    PlayerNews::Finished | PlayerNews::Stopped { .. } => self.gone("it ended", turn),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn on_focus(&mut self, change: FocusChange, turn: &mut Turn<'_>) {
        let Some(selected) = self.selected.as_mut() else { return };
        match change.focus {
            Focus::Foreground | Focus::Ducked if selected.id.is_none() => {
                let id = PlayerId(self.next_id);
                self.next_id += 1;
                selected.id = Some(id);
                let source = PlayerSource::Input(selected.name.clone());
                turn.player(PlayerCommand::Prepare { id, source });
                turn.player(PlayerCommand::Play { id, after: None });
            }
            Focus::Foreground | Focus::Ducked => {}
            Focus::Paused => {
                end(selected, turn);
                selected.id = None;
            }
            Focus::None => {
                end(selected, turn);
                self.selected = None;
            }
        }
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.deselect(turn);
    }

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        if let Some(selected) = &self.selected {
            picture.input = Some(selected.name.clone());
        }
    }
}
