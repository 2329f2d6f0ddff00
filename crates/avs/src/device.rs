//! One AVS device as a machine without I/O: its interfaces, what waits its turn, who is in front.
//!
//! Drive it so: [`Device::handle_input`] with the moment, then [`Device::poll_output`] until it is `None` and carry each
//! effect out in that order, then sleep until [`Device::deadline`] or the next input; at the deadline give
//! [`DeviceInput::Timeout`] (too early or too late does no harm). The speaker actor does. What a peer sends is answered
//! by ExceptionEncountered, never by a panic, and never held without bound.

mod config;
mod exchange;
mod grant;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use antiphon_domain::focus::FocusState;
use antiphon_domain::{HubTime, Level, Moment};
use serde_json::{Value, json};

use crate::effect::Effect;
use crate::exception::{Refusal, encountered};
use crate::interfaces::{self, Announcement, Handling, Interface, Turn, View, When, Wish};
use crate::message::{ContextEntry, Directive, Event, Retry};
use crate::outbox::{Outbox, OutboxCounts};
use crate::picture::Picture;
use crate::sequencer::Sequencer;
use crate::signal::Signal;
use crate::{capability, context, signal};
pub use config::DeviceConfig;
use exchange::Exchange;

/// What happens to a device.
#[derive(Clone, Debug)]
pub enum DeviceInput {
    /// A directive arrived.
    Directive(Directive),
    /// Something arrived that should have been a directive.
    Unparsable {
        /// It, as text.
        raw: String,
        /// What is wrong with it.
        why: String,
    },
    /// News from the world.
    Signal(Signal),
    /// The connection is up and synchronised.
    Connected,
    /// The connection is gone.
    Disconnected,
    /// The account is gone ([`Effect::LogOut`], a person, or the cloud revoked it): nothing of it may remain.
    LoggedOut,
    /// A moment passed, possibly the deadline.
    Timeout,
}

/// It holds the Dialog channel, too, but is no source of sound that a bare "stop" could mean (interface notes 10).
const LISTENER: &str = "SpeechRecognizer";

/// How many directives went which way since the device was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Carried out.
    pub handled: u64,
    /// Answered by ExceptionEncountered.
    pub refused: u64,
    /// Dropped: they belong to a dialog that is over.
    pub stale: u64,
}

/// One AVS device.
#[derive(Debug)]
pub struct Device {
    interfaces: Vec<Box<dyn Interface>>,
    sequencer: Sequencer,
    exchange: Exchange,
    focus: FocusState,
    visual: Option<&'static str>,
    connected: bool,
    level: Level,
    counts: Counts,
    receipts: u64,
    outbox: Outbox,
    wishes: VecDeque<Wish>,
    /// Who wants to be called when nothing else is to be done.
    settling: VecDeque<&'static str>,
    effects: VecDeque<Effect>,
}

impl Device {
    /// A device that has not heard anything yet.
    pub fn new(config: DeviceConfig) -> Self {
        let interfaces = interfaces::all(&config);
        Self::with_interfaces(config, interfaces)
    }

    pub(crate) fn with_interfaces(config: DeviceConfig, interfaces: Vec<Box<dyn Interface>>) -> Self {
        Self {
            interfaces,
            sequencer: Sequencer::default(),
            exchange: Exchange::default(),
            focus: FocusState::new(config.ducking).not_recording(LISTENER),
            visual: None,
            connected: false,
            level: config.level,
            counts: Counts::default(),
            receipts: 0,
            outbox: Outbox::new(&config.stored),
            wishes: VecDeque::new(),
            settling: VecDeque::new(),
            effects: VecDeque::new(),
        }
    }

    /// Takes in what happened at `now`.
    pub fn handle_input(&mut self, input: DeviceInput, now: Moment) {
        match input {
            DeviceInput::Directive(directive) => self.arrive(directive, now),
            DeviceInput::Unparsable { raw, why } => self.refuse(&raw, &Refusal::unexpected(why)),
            DeviceInput::Signal(signal) => {
                if let Signal::Levels { level, .. } = &signal {
                    self.level = *level;
                }
                self.exchange.hear(&signal);
                if signal == Signal::Wish(signal::Wish::StopForeground) {
                    self.wishes.push_back(Wish::StopForeground);
                }
                for index in 0..self.interfaces.len() {
                    self.call(index, now, |interface, turn| interface.on_signal(&signal, turn));
                }
                if let Signal::Outcome { message_id, outcome } = &signal {
                    self.outbox.outcome(message_id, outcome, now.hub, &mut self.effects);
                }
            }
            DeviceInput::Connected | DeviceInput::Disconnected => {
                let up = matches!(input, DeviceInput::Connected);
                self.connected = up;
                if !up {
                    self.exchange.cut();
                }
                for index in 0..self.interfaces.len() {
                    self.call(index, now, |interface, turn| interface.on_connection(up, turn));
                }
                self.outbox.connection(up, now.hub, &mut self.effects);
            }
            DeviceInput::LoggedOut => {
                self.exchange.cut();
                // First, so that cancelling finds nothing left to tell the cloud.
                for index in 0..self.interfaces.len() {
                    self.call(index, now, |interface, turn| interface.on_logout(turn));
                }
                let cancelled = self.sequencer.clear();
                self.cancel(&cancelled, now);
                self.advance(now);
                self.outbox.clear(&mut self.effects);
            }
            DeviceInput::Timeout => {}
        }
        self.advance(now);
        if self.focus.deadline().is_some_and(|due| due <= now.hub) {
            self.refocus(now, |focus| focus.expire(now.hub));
        }
        for index in 0..self.interfaces.len() {
            if self.interfaces[index].deadline().is_some_and(|due| due <= now.hub) {
                self.call(index, now, |interface, turn| interface.on_deadline(turn));
            }
        }
        self.advance(now);
        self.outbox.timeout(now.hub, &mut self.effects);
    }

    /// The next effect, in the order in which they are to be carried out.
    pub fn poll_output(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to come back with [`DeviceInput::Timeout`].
    pub fn deadline(&self) -> Option<HubTime> {
        let interfaces = self.interfaces.iter().filter_map(|interface| interface.deadline());
        interfaces.chain(self.outbox.deadline()).chain(self.focus.deadline()).min()
    }

    /// `System.SynchronizeState` with the state of every interface: the opening of each connection.
    pub fn synchronize_state(&self, now: Moment) -> Event {
        let mut event = Event::new("System", "SynchronizeState", json!({}));
        event.context = Some(self.context(now));
        event.retry = Retry::UntilAccepted;
        event
    }

    /// The state of every interface that has one.
    pub fn context(&self, now: Moment) -> Vec<ContextEntry> {
        context::collect(&self.interfaces, &self.view(now))
    }

    /// What a person may want to see of it.
    pub fn picture(&self, now: Moment) -> Picture {
        let mut picture = Picture::default();
        for interface in &self.interfaces {
            interface.show(&self.view(now), &mut picture);
        }
        picture
    }

    fn view(&self, now: Moment) -> View<'_> {
        View {
            now: now.hub,
            moment: now,
            level: self.level,
            focus: &self.focus,
            visual: self.visual,
            connected: self.connected,
            quiet: self.sequencer.is_quiet(),
            last_directive: self.exchange.latest(),
        }
    }

    /// The capability objects of every interface that can do something now.
    pub fn capabilities(&self) -> Vec<Value> {
        let declared = self.interfaces.iter().filter(|interface| interface.is_declared());
        declared.map(|interface| capability::object(interface.as_ref())).collect()
    }

    /// What every interface is called, its version, and the directives it knows.
    pub fn known(&self) -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
        let names =
            |interface: &dyn Interface| interface.directives().iter().map(|known| known.name).collect();
        self.interfaces.iter().map(|i| (i.namespace(), i.version(), names(i.as_ref()))).collect()
    }

    /// How many directives went which way.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How full the outbox is of events that must arrive.
    pub fn outbox(&self) -> OutboxCounts {
        self.outbox.counts()
    }

    fn arrive(&mut self, directive: Directive, now: Moment) {
        let header = &directive.header;
        if header.namespace == "System" && header.name == "Exception" {
            // The body of an HTTP error, not a directive; to answer it would be answered again.
            return;
        }
        // The id that counts in a NewDialogRequest is the one in its payload.
        let begins_dialog = header.namespace == "InteractionModel" && header.name == "NewDialogRequest";
        let found = self.find(&directive);
        if self.sequencer.is_stale(&directive) && !begins_dialog {
            let accepts = |(index, _): (usize, When)| self.interfaces[index].accepts_stale(&directive);
            if !found.is_some_and(accepts) {
                self.counts.stale += 1;
                return;
            }
        }
        self.exchange.arrived(now.hub);
        let Some((index, when)) = found else {
            let refusal =
                Refusal::unsupported(format!("{}.{} is not known here", header.namespace, header.name));
            return self.refuse(&directive.raw, &refusal);
        };
        // Even a payload that says nothing is an object.
        if !directive.payload.get().starts_with('{') {
            let refusal = Refusal::unexpected("a payload is an object");
            return self.fail(&directive, &refusal, now);
        }
        match when {
            When::OnArrival => self.carry_out(index, &directive, now),
            When::InTurn(policy) => {
                if let Err(refusal) = self.call(index, now, |i, turn| i.on_arrival(&directive, turn)) {
                    return self.fail(&directive, &refusal, now);
                }
                if self.sequencer.admit(directive.clone(), policy).is_err() {
                    self.call(index, now, |i, turn| i.on_cancel(&directive, turn));
                    self.refuse(&directive.raw, &Refusal::internal("too many directives are waiting"));
                }
            }
        }
    }

    /// Grants wishes and gives turns until there are none left.
    fn advance(&mut self, now: Moment) {
        loop {
            if let Some(wish) = self.wishes.pop_front() {
                self.grant(wish, now);
            } else if let Some(directive) = self.sequencer.next_turn() {
                // Only known directives are admitted.
                if let Some((index, _)) = self.find(&directive) {
                    self.carry_out(index, &directive, now);
                }
            } else if let Some(interface) = self.settling.pop_front() {
                if let Some(index) = self.interfaces.iter().position(|i| i.namespace() == interface) {
                    self.call(index, now, |interface, turn| interface.on_settled(turn));
                }
            } else if self.exchange.ends(self.sequencer.is_quiet()) {
                self.wishes.push_back(Wish::Announce(Announcement::DialogOver));
            } else {
                return;
            }
        }
    }

    fn carry_out(&mut self, index: usize, directive: &Directive, now: Moment) {
        match self.call(index, now, |interface, turn| interface.on_directive(directive, turn)) {
            Ok(Handling::Done) => {
                self.counts.handled += 1;
                self.sequencer.completed(&directive.header.message_id);
            }
            Ok(Handling::Running) => self.counts.handled += 1,
            Err(refusal) => self.fail(directive, &refusal, now),
        }
    }

    fn fail(&mut self, directive: &Directive, refusal: &Refusal, now: Moment) {
        self.refuse(&directive.raw, refusal);
        let rest = self.sequencer.failed(directive);
        self.cancel(&rest, now);
    }

    fn cancel(&mut self, directives: &[Directive], now: Moment) {
        for directive in directives {
            if let Some((index, _)) = self.find(directive) {
                self.call(index, now, |interface, turn| interface.on_cancel(directive, turn));
            }
        }
    }

    fn refuse(&mut self, raw: &str, refusal: &Refusal) {
        self.counts.refused += 1;
        self.wishes.push_back(Wish::Effect(Effect::Send(encountered(raw, refusal))));
    }

    fn find(&self, directive: &Directive) -> Option<(usize, When)> {
        let header = &directive.header;
        let index =
            self.interfaces.iter().position(|i| i.namespace() == header.namespace && i.is_declared())?;
        let known = self.interfaces[index].directives().iter().find(|known| known.name == header.name)?;
        Some((index, known.when))
    }

    fn call<R>(
        &mut self,
        index: usize,
        now: Moment,
        act: impl FnOnce(&mut dyn Interface, &mut Turn<'_>) -> R,
    ) -> R {
        let view = View {
            now: now.hub,
            moment: now,
            level: self.level,
            focus: &self.focus,
            visual: self.visual,
            connected: self.connected,
            quiet: self.sequencer.is_quiet(),
            last_directive: self.exchange.latest(),
        };
        let interface = &mut self.interfaces[index];
        let mut turn = Turn::new(view, interface.namespace(), &mut self.wishes, &mut self.receipts);
        act(interface.as_mut(), &mut turn)
    }
}
