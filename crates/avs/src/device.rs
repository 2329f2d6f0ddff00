//! One AVS device as a machine without I/O: its interfaces, what waits its turn, who is in front.
//!
//! Drive it so: [`Device::handle_input`] with the moment, then [`Device::poll_output`] until it is `None` and carry each
//! effect out in that order, then sleep until [`Device::deadline`] or the next input; at the deadline give
//! [`DeviceInput::Timeout`] (too early or too late does no harm). The speaker actor does. What a peer sends is answered
//! by ExceptionEncountered, never by a panic, and never held without bound.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use antiphon_domain::focus::{FocusChange, FocusState};
use antiphon_domain::{HubTime, Level, Moment, Volume};
use serde_json::{Value, json};

use crate::effect::Effect;
use crate::exception::{Refusal, encountered};
use crate::interfaces::{self, Handling, Interface, Turn, View, When, Wish};
use crate::message::{ContextEntry, Directive, Event, Retry};
use crate::outbox::{Outbox, OutboxCounts};
use crate::picture::Picture;
use crate::sequencer::Sequencer;
use crate::signal::Signal;
use crate::{capability, context};

#[cfg(test)]
mod tests;

/// What a device needs to know from the beginning.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// What the speaker is asked to play at.
    pub level: Level,
    /// The firmware version, 1 to 2147483647 (System.SoftwareInfo).
    pub firmware_version: u32,
    /// The player's name as a reversed domain name (AudioPlayer fingerprint).
    pub package: String,
    /// The locales supported; the first is in force until another is chosen.
    pub locales: Vec<String>,
    /// The ordered combinations of locales supported.
    pub locale_combinations: Vec<Vec<String>>,
    /// How long before it is heard a sound must be ordered: the endpoint's lead.
    pub lead: Duration,
    /// The hub's inputs this speaker may play: name and what people call it (Alexa.InputController).
    pub inputs: Vec<(String, Vec<String>)>,
    /// Whether it has a microphone of its own that can be opened at any time.
    pub microphone: bool,
    /// Whether the machine's Bluetooth adapter is this speaker's.
    pub bluetooth: bool,
    /// Whether it is declared by the Capabilities API (then Settings 1.0 and SetEndpoint are its), not by
    /// Alexa.Discovery.
    pub legacy: bool,
    /// Whether content may go on quietly under speech; otherwise it pauses.
    pub ducking: bool,
    /// What [`Effect::Store`] gave to keep, the latest of each key.
    pub stored: BTreeMap<String, Value>,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        let locales = ["en-US", "de-DE", "en-AU", "en-CA", "en-GB", "es-ES", "fr-FR", "it-IT", "ja-JP"];
        Self {
            level: Level { volume: Volume::SAFE, muted: false },
            firmware_version: 1,
            package: "local.antiphon.hub".into(),
            locales: locales.map(Into::into).to_vec(),
            locale_combinations: Vec::new(),
            lead: Duration::from_millis(100),
            inputs: Vec::new(),
            microphone: false,
            bluetooth: false,
            legacy: false,
            ducking: true,
            stored: BTreeMap::new(),
        }
    }
}

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
    focus: FocusState,
    visual: Option<&'static str>,
    connected: bool,
    level: Level,
    counts: Counts,
    receipts: u64,
    outbox: Outbox,
    wishes: VecDeque<Wish>,
    effects: VecDeque<Effect>,
}

impl Device {
    /// A device that has not heard anything yet.
    pub fn new(config: DeviceConfig) -> Self {
        let interfaces = interfaces::all(&config);
        Self::with_interfaces(config, interfaces)
    }

    fn with_interfaces(config: DeviceConfig, interfaces: Vec<Box<dyn Interface>>) -> Self {
        Self {
            interfaces,
            sequencer: Sequencer::default(),
            focus: FocusState::new(config.ducking),
            visual: None,
            connected: false,
            level: config.level,
            counts: Counts::default(),
            receipts: 0,
            outbox: Outbox::new(&config.stored),
            wishes: VecDeque::new(),
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
                for index in 0..self.interfaces.len() {
                    self.call(index, now, |interface, turn| interface.on_connection(up, turn));
                }
                self.outbox.connection(up, now.hub, &mut self.effects);
            }
            DeviceInput::LoggedOut => {
                let cancelled = self.sequencer.clear();
                self.cancel(&cancelled, now);
                for index in 0..self.interfaces.len() {
                    self.call(index, now, |interface, turn| interface.on_logout(turn));
                }
                self.advance(now);
                self.outbox.clear(&mut self.effects);
            }
            DeviceInput::Timeout => {}
        }
        self.advance(now);
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
        interfaces.chain(self.outbox.deadline()).min()
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
        }
    }

    /// The capability objects of every interface.
    pub fn capabilities(&self) -> Vec<Value> {
        self.interfaces.iter().map(|interface| capability::object(interface.as_ref())).collect()
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
        if self.sequencer.is_stale(&directive) && !begins_dialog {
            self.counts.stale += 1;
            return;
        }
        let Some((index, when)) = self.find(&directive) else {
            let refusal =
                Refusal::unsupported(format!("{}.{} is not known here", header.namespace, header.name));
            return self.refuse(&directive.raw, &refusal);
        };
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

    fn grant(&mut self, wish: Wish, now: Moment) {
        match wish {
            Wish::Effect(effect) => self.effects.push_back(effect),
            Wish::Take { channel, interface, mixability } => {
                self.refocus(now, |focus| focus.take(channel, interface, mixability, now.hub));
            }
            Wish::GiveUp { channel, interface } => {
                self.refocus(now, |focus| focus.give_up(channel, interface, now.hub));
            }
            Wish::TakeVisual(interface) => self.visual = Some(interface),
            Wish::GiveUpVisual(interface) => {
                if self.visual == Some(interface) {
                    self.visual = None;
                }
            }
            Wish::SendCertified(event) => self.outbox.push(event, now.hub, &mut self.effects),
            Wish::Announce(announcement) => {
                for index in 0..self.interfaces.len() {
                    self.call(index, now, |interface, turn| interface.on_announcement(&announcement, turn));
                }
            }
            Wish::SendWithContext(mut event) => {
                event.context = Some(self.context(now));
                self.effects.push_back(Effect::Send(event));
            }
            Wish::SendStateReport => {
                let mut states = Vec::new();
                for interface in &self.interfaces {
                    states.extend(interface.settings());
                }
                let mut event = Event::new("System", "StateReport", json!({ "states": states }));
                event.retry = Retry::UntilAccepted;
                self.effects.push_back(Effect::Send(event));
            }
            Wish::BeginDialog(id) => {
                let cancelled = self.sequencer.begin_dialog(id);
                self.cancel(&cancelled, now);
            }
            Wish::Complete(message_id) => self.sequencer.completed(&message_id),
            Wish::Refuse(directive, refusal) => self.fail(&directive, &refusal, now),
        }
    }

    fn refocus(&mut self, now: Moment, change: impl FnOnce(&mut FocusState) -> Vec<FocusChange>) {
        let before = self.focus.view();
        let changes = change(&mut self.focus);
        let after = self.focus.view();
        if after != before {
            self.effects.push_back(Effect::Focus(after));
        }
        for change in changes {
            if let Some(index) = self.interfaces.iter().position(|i| i.namespace() == change.interface) {
                self.call(index, now, |interface, turn| interface.on_focus(change, turn));
            }
        }
    }

    fn find(&self, directive: &Directive) -> Option<(usize, When)> {
        let header = &directive.header;
        let index = self.interfaces.iter().position(|i| i.namespace() == header.namespace)?;
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
        };
        let interface = &mut self.interfaces[index];
        let mut turn = Turn::new(view, interface.namespace(), &mut self.wishes, &mut self.receipts);
        act(interface.as_mut(), &mut turn)
    }
}
