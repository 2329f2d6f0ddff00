//! Certified events: what the cloud must hear of, in order, over disconnections and restarts (interface notes 0.1).
//!
//! Owned and driven by the device machine. An event is handed to the store before it is sent, but nobody waits for the
//! disk: a power cut within the moment of a write may take an event along that has just come. One event is on its way
//! at a time and keeps its messageId at every repetition; who was heard twice is known by it. Limits and delays are
//! the reference client's (AVS Device SDK 3.0.0).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use antiphon_domain::HubTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::effect::Effect;
use crate::message::{Event, Header, Retry};
use crate::session::EventOutcome;

const KEY: &str = "outbox";
/// As many may wait.
const ROOM: usize = 50;
/// As many waiting are worth a warning.
const MANY: usize = 25;
/// How long after a failure the next attempt is made; the last one again and again.
const DELAYS: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(50), Duration::from_secs(250), Duration::from_secs(1250)];
/// After so long without a word about an event it is taken for lost (ours: the link tells sooner).
const PATIENCE: Duration = Duration::from_secs(120);

/// How full a device's outbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Events that wait, the one on its way with them; at most 50.
    pub waiting: usize,
    /// Whether that is worth a warning (from 25).
    pub many: bool,
    /// Events that will never arrive: there was no room, or the cloud calls them malformed.
    pub lost: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Letter {
    header: Header,
    payload: Value,
    /// It only has its place among the others: it is not kept, and lost is lost.
    #[serde(skip)]
    fleeting: bool,
}

impl Letter {
    fn is(&self, namespace: &str, name: &str) -> bool {
        self.header.namespace == namespace && self.header.name == name
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is on its way, and nothing will be by itself.
    Idle,
    /// The first one is on its way since then.
    Sent(HubTime),
    /// The first one is sent again at that moment.
    Again(HubTime),
}

/// The certified events of one device.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<Letter>,
    connected: bool,
    state: State,
    failures: usize,
    lost: u64,
}

impl Outbox {
    /// With what waited when the device was last alive.
    pub(crate) fn new(stored: &BTreeMap<String, Value>) -> Self {
        let mut waiting = VecDeque::new();
        for value in stored.get(KEY).and_then(Value::as_array).into_iter().flatten().take(ROOM) {
            if let Ok(letter) = serde_json::from_value(value.clone()) {
                waiting.push_back(letter);
            }
        }
        Self { waiting, connected: false, state: State::Idle, failures: 0, lost: 0 }
    }

    /// Takes an event in that only must not overtake those that wait. It is of no use later: without a connection it
    /// is dropped, and it is not repeated.
    pub(crate) fn push_fleeting(&mut self, event: Event, now: HubTime, effects: &mut VecDeque<Effect>) {
        if self.connected && self.waiting.len() < ROOM {
            self.waiting.push_back(Letter { header: event.header, payload: event.payload, fleeting: true });
            self.send_next(now, effects);
        }
    }

    /// Takes an event in that must arrive.
    pub(crate) fn push(&mut self, event: Event, now: HubTime, effects: &mut VecDeque<Effect>) {
        let letter = Letter { header: event.header, payload: event.payload, fleeting: false };
        // Of a volume that is turned offline only the last one says anything.
        let stale = |old: &Letter| letter.is("Alerts", "VolumeChanged") && old.is("Alerts", "VolumeChanged");
        if !self.connected && self.waiting.back().is_some_and(stale) {
            self.waiting.pop_back();
        }
        if self.waiting.len() >= ROOM && !self.make_room(&letter) {
            self.lost += 1;
            return;
        }
        self.waiting.push_back(letter);
        self.store(effects);
        self.send_next(now, effects);
    }

    /// Beyond its limit the newest is refused. But that an alert stopped is never given up for anything else: for that
    /// the newest event that says something less is refused in its place.
    fn make_room(&mut self, letter: &Letter) -> bool {
        if !letter.is("Alerts", "AlertStopped") {
            return false;
        }
        let first = usize::from(matches!(self.state, State::Sent(_)));
        let found = self.waiting.iter().rposition(|old| !old.is("Alerts", "AlertStopped"));
        match found.filter(|index| *index >= first) {
            Some(index) => {
                self.waiting.remove(index);
                self.lost += 1;
                true
            }
            None => false,
        }
    }

    /// The connection came up or went.
    pub(crate) fn connection(&mut self, up: bool, now: HubTime, effects: &mut VecDeque<Effect>) {
        self.connected = up;
        self.state = State::Idle;
        self.failures = 0;
        self.waiting.retain(|letter| !letter.fleeting);
        self.send_next(now, effects);
    }

    /// What became of an event, of these or of others.
    pub(crate) fn outcome(
        &mut self,
        message_id: &str,
        outcome: &EventOutcome,
        now: HubTime,
        effects: &mut VecDeque<Effect>,
    ) {
        let Some(first) = self.waiting.front().filter(|first| first.header.message_id == message_id) else {
            return;
        };
        match outcome {
            EventOutcome::Accepted { .. } => {}
            _ if first.fleeting => {}
            // What was malformed once is so always.
            EventOutcome::Refused { status: 400, .. } => self.lost += 1,
            _ => return self.failed(now),
        }
        self.drop_first(now, effects);
    }

    fn drop_first(&mut self, now: HubTime, effects: &mut VecDeque<Effect>) {
        let first = self.waiting.pop_front();
        self.state = State::Idle;
        self.failures = 0;
        if first.is_some_and(|first| !first.fleeting) {
            self.store(effects);
        }
        self.send_next(now, effects);
    }

    fn failed(&mut self, now: HubTime) {
        if self.connected && matches!(self.state, State::Sent(_)) {
            let delay = DELAYS[self.failures.min(DELAYS.len() - 1)];
            self.failures += 1;
            self.state = State::Again(now + delay);
        }
    }

    /// When it wants to be woken.
    pub(crate) fn deadline(&self) -> Option<HubTime> {
        match self.state {
            State::Idle => None,
            State::Sent(at) => Some(at + PATIENCE),
            State::Again(at) => Some(at),
        }
    }

    /// A moment passed.
    pub(crate) fn timeout(&mut self, now: HubTime, effects: &mut VecDeque<Effect>) {
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        match self.state {
            State::Sent(_) if self.waiting.front().is_some_and(|first| first.fleeting) => {
                self.drop_first(now, effects);
            }
            State::Sent(_) => self.failed(now),
            _ => {
                self.state = State::Idle;
                self.send_next(now, effects);
            }
        }
    }

    /// Forgets everything: the account it was for is gone.
    pub(crate) fn clear(&mut self, effects: &mut VecDeque<Effect>) {
        self.waiting.clear();
        self.state = State::Idle;
        effects.push_back(Effect::Store { key: KEY.into(), value: Value::Null, receipt: None });
    }

    /// How full it is.
    pub(crate) fn counts(&self) -> OutboxCounts {
        let waiting = self.waiting.len();
        OutboxCounts { waiting, many: waiting >= MANY, lost: self.lost }
    }

    fn store(&self, effects: &mut VecDeque<Effect>) {
        let kept: Vec<&Letter> = self.waiting.iter().filter(|letter| !letter.fleeting).collect();
        let value = if kept.is_empty() { Value::Null } else { json!(kept) };
        effects.push_back(Effect::Store { key: KEY.into(), value, receipt: None });
    }

    fn send_next(&mut self, now: HubTime, effects: &mut VecDeque<Effect>) {
        if !self.connected || self.state != State::Idle {
            return;
        }
        let Some(letter) = self.waiting.front() else { return };
        self.state = State::Sent(now);
        // Repetition is ours alone: the link reports each failure at once.
        effects.push_back(Effect::Send(Event {
            header: letter.header.clone(),
            payload: letter.payload.clone(),
            context: None,
            retry: Retry::Never,
            audio: None,
        }));
    }
}
