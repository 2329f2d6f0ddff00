//! A turn: the moment, what an interface may see, and where it puts its wishes.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::focus::{Channel, FocusState, Mixability};
use antiphon_domain::{HubTime, Level, Moment};
use serde_json::json;

use super::Announcement;
use crate::effect::{Effect, PlayerCommand, Receipt, SoundCommand};
use crate::exception::{Refusal, encountered};
use crate::message::{Directive, Event, Retry};

/// What may be seen of a device while an interface acts or tells its state.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The moment on the hub's clock.
    pub now: HubTime,
    /// The same on both clocks.
    pub moment: Moment,
    /// What the speaker is asked to play at.
    pub level: Level,
    /// Who holds which channel.
    pub focus: &'a FocusState,
    /// The interface that shows something.
    pub visual: Option<&'static str>,
    /// Whether the connection is up and synchronised.
    pub connected: bool,
    /// Whether no directive waits or runs.
    pub quiet: bool,
    /// When the latest directive arrived that was to be carried out.
    pub last_directive: HubTime,
}

/// Something only the device machine can do, in its place among the effects.
#[derive(Debug)]
pub(crate) enum Wish {
    Effect(Effect),
    Take {
        channel: Channel,
        interface: &'static str,
        mixability: Mixability,
    },
    TakePatiently {
        channel: Channel,
        interface: &'static str,
        mixability: Mixability,
        patience: Duration,
    },
    GiveUp {
        channel: Channel,
        interface: &'static str,
    },
    StopForeground,
    TakeVisual(&'static str),
    GiveUpVisual(&'static str),
    SendWithContext(Event),
    Request(Event),
    SendCertified(Event),
    SendInOrder(Event),
    Announce(Announcement),
    /// The states are filled in.
    SendStateReport(Event),
    BeginDialog(String),
    Complete(String),
    Abandon(Directive),
    Refuse(Directive, Refusal),
    Settle(&'static str),
}

/// One call into one interface.
#[derive(Debug)]
pub struct Turn<'a> {
    /// What may be seen.
    pub view: View<'a>,
    interface: &'static str,
    wishes: &'a mut VecDeque<Wish>,
    receipts: &'a mut u64,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(
        view: View<'a>,
        interface: &'static str,
        wishes: &'a mut VecDeque<Wish>,
        receipts: &'a mut u64,
    ) -> Self {
        Self { view, interface, wishes, receipts }
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

    /// Sends what a person asks: with the full context as it is just before, and the dialog of its header made the
    /// current one before it leaves. The device follows its response (`Announcement::DialogOver`).
    pub fn request(&mut self, event: Event) {
        self.wishes.push_back(Wish::Request(event));
    }

    /// Sends `System.StateReport` with every interface's settings; hands back its messageId.
    pub fn send_state_report(&mut self) -> String {
        let mut event = Event::new("System", "StateReport", json!({}));
        event.retry = Retry::UntilAccepted;
        let message_id = event.header.message_id.clone();
        self.wishes.push_back(Wish::SendStateReport(event));
        message_id
    }

    /// Controls the player.
    pub fn player(&mut self, command: PlayerCommand) {
        self.effect(Effect::Player(command));
    }

    /// Controls a sound of this speaker alone.
    pub fn sound(&mut self, command: SoundCommand) {
        self.effect(Effect::Sound(command));
    }

    /// Keeps a value durably.
    pub fn store(&mut self, key: &str, value: serde_json::Value) {
        self.effect(Effect::Store { key: key.into(), value, receipt: None });
    }

    /// Keeps a value durably and wants to know when it is on disk (`Signal::Stored`).
    pub fn store_surely(&mut self, key: &str, value: serde_json::Value) -> Receipt {
        *self.receipts += 1;
        let receipt = Receipt(*self.receipts);
        self.effect(Effect::Store { key: key.into(), value, receipt: Some(receipt) });
        receipt
    }

    /// Sends an event that must arrive: kept on disk until the cloud has accepted it, in order with its like, over
    /// restarts and disconnections ("certified events").
    pub fn send_certified(&mut self, event: Event) {
        self.wishes.push_back(Wish::SendCertified(event));
    }

    /// Sends an event that must not overtake the certified ones before it. It is of no use later: offline it is dropped,
    /// and it is never repeated.
    pub fn send_in_order(&mut self, event: Event) {
        self.wishes.push_back(Wish::SendInOrder(event));
    }

    /// Tells the other interfaces something.
    pub fn announce(&mut self, announcement: Announcement) {
        self.wishes.push_back(Wish::Announce(announcement));
    }

    /// Shows something; whoever did before is no longer in focus.
    pub fn take_visual(&mut self) {
        self.wishes.push_back(Wish::TakeVisual(self.interface));
    }

    /// Shows nothing any more.
    pub fn give_up_visual(&mut self) {
        self.wishes.push_back(Wish::GiveUpVisual(self.interface));
    }

    /// Takes a channel; the answer comes by `on_focus`, always.
    pub fn take_focus(&mut self, channel: Channel, mixability: Mixability) {
        self.wishes.push_back(Wish::Take { channel, interface: self.interface, mixability });
    }

    /// Takes a channel for a while: whoever is displaced stands still, and has it back when this interface gives it up
    /// within `patience`; only then does it lose it.
    pub fn take_focus_patiently(&mut self, channel: Channel, mixability: Mixability, patience: Duration) {
        let interface = self.interface;
        self.wishes.push_back(Wish::TakePatiently { channel, interface, mixability, patience });
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

    /// A directive whose handling was answered `Running` was cut short: the rest of its dialog is cancelled, and the
    /// cloud knows why.
    pub fn abandon(&mut self, directive: Directive) {
        self.wishes.push_back(Wish::Abandon(directive));
    }

    /// Asks for `on_settled`: when all wishes are granted and all directives whose turn it is are carried out.
    pub fn when_settled(&mut self) {
        self.wishes.push_back(Wish::Settle(self.interface));
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
