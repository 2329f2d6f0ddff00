//! A device on a virtual clock, and its effects as short lines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use antiphon_avs::device::{Device, DeviceConfig, DeviceInput};
use antiphon_avs::effect::{Effect, PlayerCommand, PlayerId, SoundCommand, SoundStart};
use antiphon_avs::interfaces::Estate;
use antiphon_avs::message::{CaptureId, Directive, Event, Header, StreamId};
use antiphon_avs::picture::Picture;
use antiphon_avs::session::EventOutcome;
use antiphon_avs::signal::{
    Initiator, PlayerNews, Profile, Signal, SoundNews, SpeechFormat, SpeechNews, Utterance,
};
use antiphon_domain::sound::{SoundId, Voice};
use antiphon_domain::{HubTime, Moment, WallTime};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::catalogue::check;

pub struct Bench {
    pub device: Device,
    pub now: HubTime,
    /// What it bequeathed last.
    pub estate: Estate,
    /// How far the calendar was corrected, seconds.
    pub corrected: i64,
    /// What is on disk.
    pub stored: BTreeMap<String, Value>,
    pub disk: Disk,
    /// Whether the cloud accepts every event at once; otherwise nothing is said of any.
    pub accepting: bool,
    /// What the device did as soon as it was there.
    pub first: Vec<String>,
    /// The events it ever sent, `Namespace.Name`.
    pub heard: BTreeSet<String>,
    messages: u32,
}

/// What becomes of a value that is to be stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// It is on disk at once.
    Takes,
    /// It is not, and that is said at once.
    Refuses,
    /// It is on disk, but nobody said so yet.
    IsSilent,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(DeviceConfig::default())
    }

    pub fn with(config: DeviceConfig) -> Self {
        let now = HubTime::EPOCH + Duration::from_secs(1000);
        Self::at(config, now)
    }

    fn at(config: DeviceConfig, now: HubTime) -> Self {
        let mut bench = Self {
            stored: config.stored.clone(),
            device: Device::new(config),
            now,
            corrected: 0,
            disk: Disk::Takes,
            accepting: false,
            first: Vec::new(),
            estate: Estate::default(),
            heard: BTreeSet::new(),
            messages: 0,
        };
        bench.first = lines(&bench.input(DeviceInput::Timeout));
        bench
    }

    /// After a power cut, with what was on disk, this much later.
    pub fn restarted(&self, later: Duration) -> Self {
        let config = DeviceConfig { stored: self.stored.clone(), ..Default::default() };
        Self::at(config, self.now + later)
    }

    /// One whose connection is up, with nothing left to tell.
    pub fn connected() -> Self {
        let mut bench = Self::new();
        bench.input(DeviceInput::Connected);
        bench
    }

    pub fn picture(&self) -> Picture {
        self.device.picture(self.moment())
    }

    /// Speech `id` begins to sound now.
    pub fn spoken(&mut self, id: u64) -> Vec<String> {
        let at = self.now;
        self.signal(Signal::Sound(voice(id), SoundNews::Started { at }))
    }

    /// Speech `id` has sounded to its end.
    pub fn silent(&mut self, id: u64) -> Vec<String> {
        self.signal(Signal::Sound(voice(id), SoundNews::Finished))
    }

    /// Somebody touched the button and speaks into capture `id`.
    pub fn begun(&mut self, id: u64) -> Vec<Effect> {
        self.input(DeviceInput::Signal(Signal::Speech(SpeechNews::Begun(utterance(id, Initiator::Tap)))))
    }

    /// Now on both clocks; hub time 0 is 2030-01-01T00:00:00Z.
    pub fn moment(&self) -> Moment {
        let wall = WallTime::from_seconds(1_893_456_000).after(self.now.since(HubTime::EPOCH));
        let wall = WallTime::from_nanos(wall.nanos() + self.corrected * 1_000_000_000);
        Moment { hub: self.now, wall }
    }

    pub fn input(&mut self, input: DeviceInput) -> Vec<Effect> {
        self.device.handle_input(input, self.moment());
        let mut effects = Vec::new();
        while let Some(effect) = self.device.poll_output() {
            let answer = match &effect {
                Effect::Send(event) => {
                    check(event);
                    self.heard.insert(format!("{}.{}", event.header.namespace, event.header.name));
                    let message_id = event.header.message_id.clone();
                    let outcome = EventOutcome::Accepted { status: 204 };
                    self.accepting.then_some(Signal::Outcome { message_id, outcome })
                }
                Effect::Store { key, value, receipt } => {
                    let takes = self.disk != Disk::Refuses;
                    if takes {
                        self.stored.insert(key.clone(), value.clone());
                    }
                    let receipt = receipt.filter(|_| self.disk != Disk::IsSilent);
                    receipt.map(|receipt| Signal::Stored(receipt, takes))
                }
                _ => None,
            };
            effects.push(effect);
            if let Some(answer) = answer {
                self.device.handle_input(DeviceInput::Signal(answer), self.moment());
            }
        }
        check(&self.device.synchronize_state(self.moment()));
        if let Some(estate) = bequeathed(&effects) {
            assert_ne!(estate, self.estate, "bequeathed twice");
            self.estate = estate;
        }
        effects
    }

    /// A directive without a dialog, with a fresh messageId.
    pub fn directive(&mut self, name: &str, payload: Value) -> Vec<String> {
        self.messages += 1;
        let directive = directive(name, &format!("m{}", self.messages), None, payload);
        lines(&self.input(DeviceInput::Directive(directive)))
    }

    /// The same in a dialog.
    pub fn in_dialog(&mut self, dialog: &str, name: &str, payload: Value) -> Vec<String> {
        self.messages += 1;
        let directive = directive(name, &format!("m{}", self.messages), Some(dialog), payload);
        lines(&self.input(DeviceInput::Directive(directive)))
    }

    pub fn signal(&mut self, signal: Signal) -> Vec<String> {
        lines(&self.input(DeviceInput::Signal(signal)))
    }

    pub fn news(&mut self, id: u64, news: PlayerNews) -> Vec<String> {
        self.signal(Signal::Player(PlayerId(id), news))
    }

    pub fn sound(&mut self, voice: Voice, number: u64, news: SoundNews) -> Vec<String> {
        self.signal(Signal::Sound(SoundId { voice, number }, news))
    }

    pub fn started(&mut self, id: u64) -> Vec<String> {
        let at = self.now;
        self.news(id, PlayerNews::Started { at })
    }

    /// Lets `ms` pass, waking the device exactly at its deadlines; collects what it does.
    pub fn pass(&mut self, ms: u64) -> Vec<String> {
        let end = self.now + Duration::from_millis(ms);
        let mut done = Vec::new();
        while let Some(due) = self.device.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let before = self.device.deadline();
            done.extend(lines(&self.input(DeviceInput::Timeout)));
            assert_ne!(self.device.deadline(), before, "a deadline that stays is a busy loop");
        }
        self.now = end;
        done
    }

    /// `token@offset ACTIVITY` of the context.
    pub fn state(&self) -> String {
        let context = self.device.context(self.moment());
        let entry = context.iter().find(|entry| entry.header.name == "PlaybackState").unwrap();
        let state = &entry.payload;
        format!(
            "{}@{} {}",
            state["token"].as_str().unwrap(),
            state["offsetInMilliseconds"],
            state["playerActivity"].as_str().unwrap()
        )
    }
}

pub fn utterance(id: u64, initiator: Initiator) -> Utterance {
    let (profile, format) = (Profile::FarField, SpeechFormat::Pcm);
    Utterance { id: CaptureId(id), initiator, profile, format, energies: None }
}

pub fn voice(number: u64) -> SoundId {
    SoundId { voice: Voice::Dialog, number }
}

/// The payload of a Speak that waits behind what is spoken already.
pub fn speak(token: &str) -> Value {
    json!({ "url": "cid:x", "format": "AUDIO_MPEG", "token": token, "playBehavior": "ENQUEUE" })
}

/// A directive; `name` is `Namespace.Name`.
pub fn directive(name: &str, message_id: &str, dialog: Option<&str>, payload: Value) -> Directive {
    raw_directive(name, message_id, dialog, to_raw_value(&payload).unwrap())
}

pub fn raw_directive(
    name: &str,
    message_id: &str,
    dialog: Option<&str>,
    payload: Box<RawValue>,
) -> Directive {
    let (namespace, name) = name.rsplit_once('.').unwrap();
    let mut header = Header::new(namespace, name);
    header.message_id = message_id.into();
    header.dialog_request_id = dialog.map(Into::into);
    let raw = json!({ "directive": { "header": header, "payload": &payload } }).to_string();
    Directive { header, payload, raw, stream: StreamId(7) }
}

/// Without what is bequeathed: that follows every change of the content, see [`bequeathed`].
pub fn lines(effects: &[Effect]) -> Vec<String> {
    let told = effects.iter().filter(|e| !matches!(e, Effect::Player(PlayerCommand::Bequeath(_))));
    told.map(line).collect()
}

/// The latest estate among the effects.
pub fn bequeathed(effects: &[Effect]) -> Option<Estate> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Player(PlayerCommand::Bequeath(estate)) => Some((**estate).clone()),
        _ => None,
    })
}

fn line(effect: &Effect) -> String {
    match effect {
        Effect::Send(event) => event_line(event),
        Effect::ChangeLevel(command) => format!("{command:?}"),
        Effect::Player(command) => match command {
            PlayerCommand::Prepare { id, .. } => format!("prepare {}", id.0),
            PlayerCommand::Play { id, after: None } => format!("play {}", id.0),
            PlayerCommand::Play { id, after: Some(after) } => format!("play {} after {}", id.0, after.0),
            PlayerCommand::Pause { id } => format!("pause {}", id.0),
            PlayerCommand::Resume { id } => format!("resume {}", id.0),
            PlayerCommand::Stop { id } => format!("stop {}", id.0),
            PlayerCommand::Silence => "silence".into(),
            PlayerCommand::Bequeath(estate) => format!("bequeath {}", estate.players().len()),
        },
        Effect::Focus(view) => {
            use antiphon_domain::focus::Channel;
            format!("content {:?}", view.of(Channel::Content))
        }
        Effect::Store { key, value, .. } => format!("store {key} {value}"),
        Effect::Sound(command) => match command {
            SoundCommand::Prepare { id, source } => format!("sound {} is {source:?}", sound(*id)),
            SoundCommand::Play { id, start: SoundStart::Now } => format!("sound {}", sound(*id)),
            SoundCommand::Play { id, start: SoundStart::At(at) } => {
                format!("sound {} at {} ms", sound(*id), at.nanos() / 1_000_000)
            }
            SoundCommand::Play { id, start: SoundStart::After { id: before, pause } } => {
                format!("sound {} after {} + {} ms", sound(*id), sound(*before), pause.as_millis())
            }
            SoundCommand::Stop { id } => format!("sound {} stops", sound(*id)),
            other => format!("{other:?}"),
        },
        Effect::Capture(command) => format!("{command:?}"),
        Effect::Equalize(equalizer) => format!("equalize {:?}", equalizer.gains()),
        Effect::Bluetooth(command) => format!("bluetooth {command:?}"),
        Effect::Fetch { asset, .. } => format!("fetch {}", asset.0),
        Effect::Discard(asset) => format!("discard {}", asset.0),
        Effect::Redeclare => "redeclare".into(),
        Effect::LogOut => "log out".into(),
    }
}

fn sound(id: SoundId) -> String {
    format!("{:?}{}", id.voice, id.number)
}

fn event_line(event: &Event) -> String {
    let payload = &event.payload;
    let name = &event.header.name;
    if name == "ExceptionEncountered" {
        return format!("! {}", payload["error"]["type"].as_str().unwrap());
    }
    match (payload.get("token"), payload.get("offsetInMilliseconds")) {
        (Some(token), Some(offset)) => format!("{name} {}@{offset}", token.as_str().unwrap()),
        _ => format!("{name} {payload}"),
    }
}
