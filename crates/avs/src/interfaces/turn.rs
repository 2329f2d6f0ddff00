//! A turn: the moment, what an interface may see, and where it puts its wishes.

use std::collections::VecDeque;

use antiphon_domain::focus::{Channel, FocusState, Mixability};
use antiphon_domain::{HubTime, Level};

use crate::effect::{Effect, PlayerCommand};
use crate::exception::{Refusal, encountered};
use crate::message::{Directive, Event};

/// What may be seen of a device while an interface acts or tells its state.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The moment.
    pub now: HubTime,
    /// What the speaker is asked to play at.
    pub level: Level,
    /// Who holds which channel.
    pub focus: &'a FocusState,
}

/// Something only the device machine can do, in its place among the effects.
#[derive(Debug)]
pub(crate) enum Wish {
    Effect(Effect),
    Take { channel: Channel, interface: &'static str, mixability: Mixability },
    GiveUp { channel: Channel, interface: &'static str },
    SendWithContext(Event),
    SendStateReport,
    BeginDialog(String),
    Complete(String),
    Refuse(Directive, Refusal),
}

/// One call into one interface.
#[derive(Debug)]
pub struct Turn<'a> {
    /// What may be seen.
    pub view: View<'a>,
    interface: &'static str,
    wishes: &'a mut VecDeque<Wish>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(view: View<'a>, interface: &'static str, wishes: &'a mut VecDeque<Wish>) -> Self {
        Self { view, interface, wishes }
    }

    /// The moment.
    pub fn now(&self) -> HubTime {
        self.view.now
    }

    /// Any effect.
    pub fn effect(&mut self, effect: Effect) {
        self.wishes.push_back(Wish::Effect(effect));
    }

    /// Sends an event.
    pub fn send(&mut self, event: Event) {
        self.effect(Effect::Send(event));
    }

    /// Sends an event with the full context, as it is when this turn is over.
    pub fn send_with_context(&mut self, event: Event) {
        self.wishes.push_back(Wish::SendWithContext(event));
    }

    /// Sends `System.StateReport` with every interface's settings.
    pub fn send_state_report(&mut self) {
        self.wishes.push_back(Wish::SendStateReport);
    }

    /// Controls the player.
    pub fn player(&mut self, command: PlayerCommand) {
        self.effect(Effect::Player(command));
    }

    /// Keeps a value durably.
    pub fn store(&mut self, key: &str, value: serde_json::Value) {
        self.effect(Effect::Store { key: key.into(), value });
    }

    /// Takes a channel; the answer comes by `on_focus`, always.
    pub fn take_focus(&mut self, channel: Channel, mixability: Mixability) {
        self.wishes.push_back(Wish::Take { channel, interface: self.interface, mixability });
    }

    /// Gives a channel up.
    pub fn give_up_focus(&mut self, channel: Channel) {
        self.wishes.push_back(Wish::GiveUp { channel, interface: self.interface });
    }

    /// Makes a dialog the current one.
    pub fn begin_dialog(&mut self, id: String) {
        self.wishes.push_back(Wish::BeginDialog(id));
    }

    /// A blocking directive is done.
    pub fn complete(&mut self, message_id: &str) {
        self.wishes.push_back(Wish::Complete(message_id.into()));
    }

    /// A directive whose handling was answered `Running` failed; the rest of its dialog is cancelled.
    pub fn refuse(&mut self, directive: Directive, refusal: Refusal) {
        self.wishes.push_back(Wish::Refuse(directive, refusal));
    }

    /// Tells the cloud that a directive, already counted as handled, came to nothing.
    pub fn regret(&mut self, raw: &str, refusal: &Refusal) {
        self.send(encountered(raw, refusal));
    }
}
