//! Alerts beside a conversation, and at random. A talker stands in for whoever holds the dialog channel; a room plays
//! what it is asked to and tells when. All else is tested from outside, in `tests/device`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use antiphon_domain::focus::{Channel, Mixability};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::sound::SoundId;
use antiphon_domain::{HubTime, Moment, WallTime};
use proptest::prelude::*;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::device::{Device, DeviceConfig, DeviceInput};
use crate::effect::{AssetId, Effect, Receipt, SoundCommand, SoundSource, SoundStart};
use crate::exception::Refusal;
use crate::interfaces::{self, Handling, Interface, Turn};
use crate::iso8601;
use crate::message::{Directive, Header, StreamId};
use crate::session::EventOutcome;
use crate::signal::{Signal, SoundNews, Wish};

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

#[test]
fn an_alert_that_falls_due_in_a_conversation_is_short_until_it_ends() {
    let mut bench = Bench::new(true);
    bench.set("a", 10, json!({ "loopCount": 1 }));
    bench.talk();
    let begun = bench.pass(10_000);
    assert_eq!(begun, ["1 is AlarmShort", "1 on time", "AlertStarted a", "AlertEnteredBackground a"]);
    // Its passes begin ten seconds apart, and are not counted.
    assert_eq!(bench.pass(9_999), ["2 is AlarmShort", "2 on time"]);
    assert_eq!(bench.pass(1), Vec::<String>::new());
    assert_eq!(bench.pass(30_000).len(), 6);
    bench.pass(1_000);
    let front = bench.talk();
    assert_eq!(front, ["5 stops", "6 is Alarm", "6 now", "AlertEnteredForeground a"]);
    assert_eq!(bench.pass(3_000), ["AlertStopped a"]);
    assert!(!bench.alert_channel);
}

#[test]
fn an_alert_that_is_interrupted_waits_ten_seconds_and_begins_anew_afterwards() {
    let mut bench = Bench::new(true);
    bench.set("a", 10, files());
    bench.fetched(true);
    assert_eq!(bench.pass(10_000)[0], "1 is a file");
    assert_eq!(bench.pass(4_000).len(), 0, "both passes are ordered already");
    let behind = bench.talk();
    assert_eq!(behind, ["2 stops", "3 is a file", "3 in 10 s", "AlertEnteredBackground a"]);
    bench.pass(11_000);
    let front = bench.talk();
    assert_eq!(front, ["3 stops", "4 is a file", "4 now", "AlertEnteredForeground a"]);
    // The full count again.
    assert_eq!(bench.pass(5_999), ["5 is a file", "5 next"]);
    assert_eq!(bench.pass(1), ["AlertStopped a"]);
}

#[test]
fn a_short_form_that_cannot_be_played_is_the_built_in_one() {
    let mut bench = Bench::new(true);
    bench.set("a", 10, files());
    bench.fetched(true);
    bench.talk();
    assert_eq!(bench.pass(11_000)[0], "1 is a file");
    bench.log.clear();
    bench.fail_a_sound();
    assert_eq!(bench.log, ["2 is AlarmShort", "2 now"]);
    // In front its own files are played.
    assert_eq!(bench.talk()[1], "3 is a file");
}

#[test]
fn where_nothing_is_ducked_an_alert_is_silent_behind_a_conversation() {
    let mut bench = Bench::new(false);
    bench.set("a", 10, json!({}));
    bench.talk();
    let begun = bench.pass(10_000);
    assert_eq!(
        begun,
        ["1 is AlarmShort", "1 on time", "1 stops", "AlertStarted a", "AlertEnteredBackground a"]
    );
    assert!(bench.pass(60_000).is_empty());
    assert_eq!(bench.talk()[..2], ["2 is Alarm", "2 now"]);
    bench.pass(1_000);
    assert_eq!(bench.talk(), ["3 stops", "2 stops", "AlertEnteredBackground a"]);
}

#[test]
fn a_conversation_that_begins_in_the_last_moment_is_heeded() {
    let mut bench = Bench::new(true);
    bench.set("a", 10, json!({}));
    // Prepared, then ordered, then claimed: each time before it is due.
    for ms in [6_000, 3_700, 250] {
        bench.pass(ms);
        bench.talk();
        bench.talk();
    }
    bench.talk();
    bench.pass(49);
    let begun = bench.pass(1);
    assert_eq!(begun, ["AlertStarted a", "AlertEnteredBackground a"]);
}

#[derive(Clone, Debug)]
enum Step {
    Set { token: u8, seconds: i64, files: bool, loops: u8 },
    Delete(u8),
    DeleteTwo(u8),
    StopHere,
    Talk,
    Pass(u64),
    Disk(Disk),
    Say,
    Fetched(bool),
    Fail,
    Correct(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let disk = prop_oneof![2 => Just(Disk::Takes), 1 => Just(Disk::Refuses), 1 => Just(Disk::Silent)];
    prop_oneof![
        6 => (0..4_u8, -100_i64..100, any::<bool>(), 0..3_u8)
            .prop_map(|(token, seconds, files, loops)| Step::Set { token, seconds, files, loops }),
        1 => (0..4_u8).prop_map(Step::Delete),
        1 => (0..3_u8).prop_map(Step::DeleteTwo),
        1 => Just(Step::StopHere),
        2 => Just(Step::Talk),
        8 => (0..40_000_u64).prop_map(Step::Pass),
        1 => (0..4_000_000_u64).prop_map(Step::Pass),
        2 => disk.prop_map(Step::Disk),
        2 => Just(Step::Say),
        2 => any::<bool>().prop_map(Step::Fetched),
        1 => Just(Step::Fail),
        1 => prop_oneof![-100_i64..100, -4000_i64..4000].prop_map(Step::Correct),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// What holds at every moment is in `Bench::check` and `Bench::heard_of`: one sounds at most, what started stops
    /// once, what was acknowledged is there until it is gone in so many words, also after a restart at any point.
    #[test]
    fn nothing_acknowledged_is_lost_and_what_starts_stops(
        ducking in any::<bool>(), steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut bench = Bench::new(ducking);
        for step in steps {
            match step {
                Step::Set { token, seconds, files: with_files, loops } => {
                    let mut more = if with_files { files() } else { json!({}) };
                    more["loopCount"] = json!(loops);
                    bench.set(&token.to_string(), seconds, more);
                }
                Step::Delete(token) => {
                    bench.deleted.insert(token.to_string());
                    bench.directive("DeleteAlert", json!({ "token": token.to_string() }));
                }
                Step::DeleteTwo(token) => {
                    let tokens = [token.to_string(), (token + 1).to_string()];
                    bench.deleted.extend(tokens.clone());
                    bench.directive("DeleteAlerts", json!({ "tokens": tokens }));
                }
                Step::StopHere => drop(bench.signal(Signal::Wish(Wish::StopAlert))),
                Step::Talk => drop(bench.talk()),
                Step::Pass(ms) => drop(bench.pass(ms)),
                Step::Disk(disk) => bench.disk = disk,
                Step::Say => {
                    for receipt in std::mem::take(&mut bench.unsaid) {
                        bench.input(DeviceInput::Signal(Signal::Stored(receipt, true)));
                    }
                }
                Step::Fetched(ok) => bench.fetched(ok),
                Step::Fail => bench.fail_a_sound(),
                Step::Correct(seconds) => {
                    bench.corrected += seconds;
                    bench.input(DeviceInput::Timeout);
                }
                Step::Restart => bench.restart(),
            }
        }
        // In the end all of them ring out, and nothing is left of them.
        bench.disk = Disk::Takes;
        for receipt in std::mem::take(&mut bench.unsaid) {
            bench.input(DeviceInput::Signal(Signal::Stored(receipt, true)));
        }
        bench.pass(20_000_000);
        prop_assert!(bench.set.is_empty() && bench.open.is_empty(), "{:?} {:?}", bench.set, bench.open);
        prop_assert!(bench.room.is_empty() && !bench.alert_channel);
        prop_assert_eq!(bench.stored.get("alerts.all").unwrap_or(&Value::Null), &Value::Null);
    }
}
