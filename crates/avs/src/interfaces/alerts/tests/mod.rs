//! Alerts beside a conversation, and at random. A talker stands in for whoever holds the dialog channel; a room plays
//! what it is asked to and tells when. All else is tested from outside, in `tests/device`.

mod conversation;
mod walk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use antiphon_domain::focus::{Channel, Mixability};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::sound::SoundId;
use antiphon_domain::{HubTime, Moment, WallTime};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::device::{Device, DeviceConfig, DeviceInput};
use crate::effect::{AssetId, Effect, Receipt, SoundCommand, SoundSource, SoundStart};
use crate::exception::Refusal;
use crate::interfaces::{self, Handling, Interface, Turn};
use crate::iso8601;
use crate::message::{Directive, Header, StreamId};
use crate::session::EventOutcome;
use crate::signal::{Signal, SoundNews};

/// Takes and gives up the dialog channel by turns.
#[derive(Debug, Default)]
struct Talker(bool);

impl Interface for Talker {
    fn namespace(&self) -> &'static str {
        "Talker"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn on_directive(&mut self, _directive: &Directive, _turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        if *signal == Signal::UserActivity {
            self.0 = !self.0;
            if self.0 {
                turn.take_focus(Channel::Dialog, Mixability::Mixable);
            } else {
                turn.give_up_focus(Channel::Dialog);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Takes,
    Refuses,
    /// On disk, but nobody says so until asked.
    Silent,
}

#[derive(Clone, Debug)]
struct Ordered {
    start: SoundStart,
    began: Option<HubTime>,
}

/// How long every sound is.
const LENGTH: Duration = Duration::from_secs(3);

struct Bench {
    device: Device,
    ducking: bool,
    now: HubTime,
    corrected: i64,
    disk: Disk,
    unsaid: Vec<Receipt>,
    stored: BTreeMap<String, Value>,
    fetching: BTreeSet<AssetId>,
    /// Prepared sounds, and those ordered.
    room: BTreeMap<SoundId, Option<Ordered>>,
    /// When sounds ended, for those that follow.
    ended: BTreeMap<SoundId, HubTime>,
    alert_channel: bool,
    /// Everything that happened since it was last looked at.
    log: Vec<String>,
    /// Tokens that were said to be set, and not said to be gone.
    set: BTreeSet<String>,
    /// Tokens that were ever asked to be deleted in this life: after a power cut they may be gone already.
    deleted: BTreeSet<String>,
    /// Tokens that started and did not stop.
    open: BTreeSet<String>,
    messages: u64,
}

impl Bench {
    fn new(ducking: bool) -> Self {
        let mut bench = Self {
            device: Self::device(BTreeMap::new(), ducking),
            ducking,
            now: HubTime::EPOCH + Duration::from_secs(10_000),
            corrected: 0,
            disk: Disk::Takes,
            unsaid: Vec::new(),
            stored: BTreeMap::new(),
            fetching: BTreeSet::new(),
            room: BTreeMap::new(),
            ended: BTreeMap::new(),
            alert_channel: false,
            log: Vec::new(),
            set: BTreeSet::new(),
            deleted: BTreeSet::new(),
            open: BTreeSet::new(),
            messages: 0,
        };
        bench.input(DeviceInput::Connected);
        bench
    }

    fn device(stored: BTreeMap<String, Value>, ducking: bool) -> Device {
        let config = DeviceConfig { stored, ducking, ..Default::default() };
        let mut interfaces = interfaces::all(&config);
        interfaces.push(Box::new(Talker::default()));
        Device::with_interfaces(config, interfaces)
    }

    fn restart(&mut self) {
        self.device = Self::device(self.stored.clone(), self.ducking);
        self.room.clear();
        self.ended.clear();
        self.unsaid.clear();
        self.fetching.clear();
        self.open.clear();
        let deleted = std::mem::take(&mut self.deleted);
        self.set.retain(|token| !deleted.contains(token));
        self.alert_channel = false;
        // What ended with the power cut is heard of when the connection is there.
        self.unchecked(DeviceInput::Timeout);
        self.input(DeviceInput::Connected);
    }

    fn moment(&self) -> Moment {
        let wall = self.now.nanos() + (1_893_456_000 + self.corrected) * 1_000_000_000;
        Moment { hub: self.now, wall: WallTime::from_nanos(wall) }
    }

    fn input(&mut self, input: DeviceInput) {
        self.unchecked(input);
        self.check();
    }

    fn unchecked(&mut self, input: DeviceInput) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.device.handle_input(input, self.moment());
            while let Some(effect) = self.device.poll_output() {
                inputs.extend(self.obey(effect).map(DeviceInput::Signal));
            }
        }
    }

    fn obey(&mut self, effect: Effect) -> Option<Signal> {
        match effect {
            Effect::Send(event) => {
                let token = event.payload["token"].as_str().unwrap_or_default().to_owned();
                for gone in event.payload["tokens"].as_array().into_iter().flatten() {
                    if event.header.name == "DeleteAlertsSucceeded" {
                        self.set.remove(gone.as_str().unwrap());
                    }
                }
                if event.header.namespace == "Alerts" {
                    self.heard_of(&event.header.name, &token);
                }
                let outcome = EventOutcome::Accepted { status: 204 };
                return Some(Signal::Outcome { message_id: event.header.message_id, outcome });
            }
            Effect::Store { key, value, receipt } => {
                if self.disk != Disk::Refuses {
                    self.stored.insert(key, value);
                }
                let receipt = receipt?;
                if self.disk != Disk::Silent {
                    return Some(Signal::Stored(receipt, self.disk == Disk::Takes));
                }
                self.unsaid.push(receipt);
            }
            Effect::Fetch { asset, .. } => drop(self.fetching.insert(asset)),
            Effect::Discard(asset) => drop(self.fetching.remove(&asset)),
            Effect::Focus(view) => self.alert_channel = view.of(Channel::Alerts).is_some(),
            Effect::Sound(SoundCommand::Prepare { id, source }) => {
                self.log.push(match source {
                    SoundSource::BuiltIn(tone) => format!("{} is {tone:?}", id.number),
                    _ => format!("{} is a file", id.number),
                });
                assert!(self.room.insert(id, None).is_none(), "prepared twice");
            }
            Effect::Sound(SoundCommand::Play { id, start }) => {
                let after = self.now + Duration::from_secs(10);
                self.log.push(match start {
                    SoundStart::At(at) if at == after => format!("{} in 10 s", id.number),
                    SoundStart::At(_) => format!("{} on time", id.number),
                    SoundStart::Now => format!("{} now", id.number),
                    SoundStart::After { .. } => format!("{} next", id.number),
                });
                let place = self.room.get_mut(&id).expect("only what is prepared is played");
                *place = Some(Ordered { start, began: None });
            }
            Effect::Sound(SoundCommand::Stop { id }) => {
                self.log.push(format!("{} stops", id.number));
                self.room.remove(&id);
            }
            _ => {}
        }
        None
    }

    fn heard_of(&mut self, name: &str, token: &str) {
        self.log.push(format!("{name} {token}"));
        match name {
            "SetAlertSucceeded" => drop(self.set.insert(token.into())),
            "AlertStarted" => assert!(self.open.insert(token.into()), "{token} started twice"),
            "AlertStopped" => {
                self.open.remove(token);
                self.set.remove(token);
            }
            // One of these comes right after AlertStopped when something sounded.
            "DeleteAlertSucceeded" => drop(self.set.remove(token)),
            "AlertEnteredForeground" | "AlertEnteredBackground" => assert!(self.open.contains(token)),
            _ => {}
        }
    }

    /// What holds at every moment.
    fn check(&mut self) {
        let context = self.device.context(self.moment());
        let state = &context.iter().find(|entry| entry.header.name == "AlertsState").unwrap().payload;
        let (all, active) =
            (state["allAlerts"].as_array().unwrap(), state["activeAlerts"].as_array().unwrap());
        assert!(active.len() <= 1);
        assert!(active.iter().all(|alert| all.contains(alert)));
        let active: BTreeSet<String> = tokens(active);
        assert_eq!(active, self.open);
        let lost: Vec<_> = self.set.difference(&tokens(all)).cloned().collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        let sounding = self.room.values().flatten().filter(|ordered| ordered.began.is_some()).count();
        assert!(sounding <= 1, "two sounds at once");
        assert!(self.room.len() <= 2, "sounds are left behind: {:?}", self.room);
    }

    fn signal(&mut self, signal: Signal) -> Vec<String> {
        self.log.clear();
        self.input(DeviceInput::Signal(signal));
        std::mem::take(&mut self.log)
    }

    fn talk(&mut self) -> Vec<String> {
        self.signal(Signal::UserActivity)
    }

    fn directive(&mut self, name: &str, payload: Value) {
        self.messages += 1;
        let mut header = Header::new("Alerts", name);
        header.message_id = format!("m{}", self.messages);
        let payload = to_raw_value(&payload).unwrap();
        let directive = Directive { header, payload, raw: String::new(), stream: StreamId(1) };
        self.input(DeviceInput::Directive(directive));
    }

    fn set(&mut self, token: &str, seconds: i64, more: Value) {
        let at = WallTime::from_nanos(self.moment().wall.nanos() + seconds * 1_000_000_000);
        let mut payload = json!({ "token": token, "type": "ALARM", "scheduledTime": iso8601::format(at) });
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        self.directive("SetAlert", payload);
    }

    fn fetched(&mut self, ok: bool) {
        for asset in std::mem::take(&mut self.fetching) {
            let outcome = if ok { Ok(()) } else { Err(String::new()) };
            self.input(DeviceInput::Signal(Signal::Fetched(asset, outcome)));
        }
    }

    /// When a sound begins, as far as is known.
    fn begins(&self, ordered: &Ordered) -> Option<HubTime> {
        match ordered.start {
            _ if ordered.began.is_some() => None,
            SoundStart::Now => Some(self.now),
            SoundStart::At(at) => Some(at),
            SoundStart::After { id, pause } => self.ended.get(&id).map(|end| *end + pause),
        }
    }

    /// The next thing the room does by itself.
    fn next_in_room(&self) -> Option<(HubTime, SoundId, bool)> {
        let mut found: Option<(HubTime, SoundId, bool)> = None;
        for (id, ordered) in &self.room {
            let Some(ordered) = ordered else { continue };
            let next = match ordered.began {
                Some(began) => Some((began + LENGTH, *id, false)),
                None => self.begins(ordered).map(|at| (at.max(self.now), *id, true)),
            };
            // An end comes before a beginning.
            if let Some(next) = next
                && found.is_none_or(|found| (next.0, next.2) < (found.0, found.2))
            {
                found = Some(next);
            }
        }
        found
    }

    fn pass(&mut self, ms: u64) -> Vec<String> {
        self.log.clear();
        let end = self.now + Duration::from_millis(ms);
        loop {
            let room = self.next_in_room().filter(|(at, ..)| *at <= end);
            let due = self.device.deadline().filter(|due| *due <= end);
            match (room, due) {
                (Some((at, id, begins)), due) if due.is_none_or(|due| at <= due) => {
                    self.now = self.now.max(at);
                    let news = if begins {
                        if let Some(Some(ordered)) = self.room.get_mut(&id) {
                            ordered.began = Some(at);
                        }
                        SoundNews::Started { at }
                    } else {
                        self.room.remove(&id);
                        self.ended.insert(id, at);
                        SoundNews::Finished
                    };
                    self.input(DeviceInput::Signal(Signal::Sound(id, news)));
                }
                (_, Some(due)) => {
                    self.now = self.now.max(due);
                    self.input(DeviceInput::Timeout);
                }
                _ => break,
            }
        }
        self.now = end;
        std::mem::take(&mut self.log)
    }

    fn fail_a_sound(&mut self) {
        let error = MediaError { kind: MediaErrorKind::Unknown, message: String::new() };
        let Some(id) = self.room.keys().next_back().copied() else { return };
        self.room.remove(&id);
        self.input(DeviceInput::Signal(Signal::Sound(id, SoundNews::Failed(error))));
    }
}

fn tokens(alerts: &[Value]) -> BTreeSet<String> {
    alerts.iter().map(|alert| alert["token"].as_str().unwrap().to_owned()).collect()
}

fn files() -> Value {
    json!({
        "assets": [
            { "assetId": "a", "url": "https://media.test/a" },
            { "assetId": "b", "url": "https://media.test/b" },
        ],
        "assetPlayOrder": ["a"],
        "backgroundAlertAsset": "b",
        "loopCount": 2,
    })
}
