//! Bluetooth 2.0: devices that play to this speaker or are played to, by the machine's one adapter ("Bluetooth 2.0";
//! payloads as the AVS Device SDK has them).
//!
//! Owns what is going on with each device; the adapter itself is asked by commands and heard by news. Promises: each
//! device of each directive is answered exactly once, by success, failure, or failure after 45 s; StreamingEnded goes out
//! while the device still is in the context. A phone that plays takes the Content channel. Declared only while there is an
//! adapter; until there is word of it, there is one.

mod devices;
mod directives;
mod payload;
mod tasks;

use std::collections::BTreeMap;
use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_domain::bluetooth::{Command, DeviceId, Key, News};
use antiphon_domain::focus::{Channel, Focus, FocusChange, Mixability};
use serde_json::{Value, json};

use super::{Announcement, Handling, Interface, Known, Turn, View};
use crate::context::entry;
use crate::device::DeviceConfig;
use crate::effect::{Effect, PlayerCommand, PlayerId, PlayerSource};
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive, Event};
use crate::sequencer::Policy;
use crate::signal::{Button, PlayerNews, Signal, Wish};
use devices::{Category, Devices};
use tasks::{Purpose, Requester, Task};

const NAMESPACE: &str = "Bluetooth";
/// Every device operation is over by then (AVS Device SDK).
const LIMIT: Duration = Duration::from_secs(45);
/// A scan ends by itself; no source gives a figure.
const SCAN: Duration = Duration::from_secs(120);
/// How long we are visible when the directive does not say; no source gives a figure.
const VISIBLE: Duration = Duration::from_secs(180);
/// Music from a phone that is over by then was a visit: whoever played before goes on (AVS Device SDK).
const VISIT: Duration = Duration::from_secs(120);
/// Streams of this interface are counted from here, apart from those of the AudioPlayer.
const FIRST_PLAYER: u64 = 1 << 29;

const CATEGORIES_KEY: &str = "bluetooth.categories";
const RECENT_KEY: &str = "bluetooth.recent";

/// A device that plays to us.
#[derive(Debug)]
struct Streaming {
    device: DeviceId,
    player: PlayerId,
    /// We asked it to pause because something more important sounds.
    paused: bool,
}

/// The interface.
#[derive(Debug)]
pub(super) struct Bluetooth {
    name: String,
    declared: bool,
    adapter: bool,
    devices: Devices,
    scan_until: Option<HubTime>,
    visible_until: Option<HubTime>,
    tasks: Vec<Task>,
    streaming: Option<Streaming>,
    players: u64,
    /// A device that is gone but stays in the context until the end of its stream was told.
    gone: Option<DeviceId>,
    /// Whether the remote control's keys are for the phone: it began content last.
    keys: bool,
}

impl Bluetooth {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        Self {
            // What other devices see us as; the adapter has the machine's own name.
            name: "Antiphon".into(),
            declared: true,
            adapter: false,
            devices: Devices::recalled(&config.stored),
            scan_until: None,
            visible_until: None,
            tasks: Vec::new(),
            streaming: None,
            players: FIRST_PLAYER,
            gone: None,
            keys: false,
        }
    }

    fn ask(&mut self, command: Command, purpose: Purpose, turn: &mut Turn<'_>) {
        self.tasks.push(Task { command: command.clone(), purpose, until: turn.now() + LIMIT });
        turn.effect(Effect::Bluetooth(command));
    }

    fn declare(&mut self, declared: bool, turn: &mut Turn<'_>) {
        if self.declared != declared {
            self.declared = declared;
            turn.effect(Effect::Redeclare);
        }
    }

    fn stop_scan(&mut self, turn: &mut Turn<'_>) {
        if self.scan_until.take().is_some() {
            turn.effect(Effect::Bluetooth(Command::Scan(false)));
            turn.send(payload::scan_report(&self.devices, false));
        }
    }

    fn stop_being_visible(&mut self, turn: &mut Turn<'_>) {
        if self.visible_until.take().is_some() {
            turn.effect(Effect::Bluetooth(Command::Discoverable(false)));
        }
    }

    fn on_news(&mut self, news: &News, turn: &mut Turn<'_>) {
        match news {
            News::Adapter(devices) => {
                self.adapter = true;
                self.devices.replace(devices);
                self.declare(true, turn);
            }
            News::NoAdapter => {
                self.adapter = false;
                self.streaming_ended(turn);
                self.scan_until = None;
                self.visible_until = None;
                for task in std::mem::take(&mut self.tasks) {
                    self.conclude(task, false, turn);
                }
                // Until then the cloud may hear how things ended.
                turn.when_settled();
            }
            News::Device(device) => {
                let before = self.devices.put(device);
                if self.scan_until.is_some() && !device.paired && before.is_none() {
                    turn.send(payload::scan_report(&self.devices, true));
                }
                let was = before.is_some_and(|before| before.connected);
                if was != device.connected {
                    self.connection_changed(&device.id, device.connected, turn);
                }
            }
            News::Gone(id) => {
                if self.streaming.as_ref().is_some_and(|streaming| &streaming.device == id) {
                    self.streaming_ended(turn);
                    self.gone = Some(id.clone());
                    turn.when_settled();
                } else {
                    self.devices.remove(id);
                }
            }
            News::Done { command, result } => {
                if let Some(index) = self.tasks.iter().position(|task| &task.command == command) {
                    let task = self.tasks.remove(index);
                    self.conclude(task, result.is_ok(), turn);
                }
            }
            News::Streaming(id, true) => self.streaming_began(id, turn),
            News::Streaming(id, false) => {
                if self.streaming.as_ref().is_some_and(|streaming| &streaming.device == id) {
                    // While it is we who asked for silence, the channel is kept for the music to come back to.
                    if self.streaming.as_ref().is_some_and(|streaming| streaming.paused) {
                        return;
                    }
                    self.streaming_ended(turn);
                }
            }
        }
    }

    /// A device came or went by itself, or because of a task whose answer says so.
    fn connection_changed(&mut self, id: &DeviceId, connected: bool, turn: &mut Turn<'_>) {
        if connected {
            self.devices.connected_just_now(id);
            turn.store(RECENT_KEY, self.devices.recent());
        } else if self.streaming.as_ref().is_some_and(|streaming| &streaming.device == id) {
            self.streaming_ended(turn);
        }
        let expected = if connected { Command::Connect(id.clone()) } else { Command::Disconnect(id.clone()) };
        if self.tasks.iter().any(|task| task.command == expected) {
            return;
        }
        let name = if connected { "ConnectByDeviceIdsSucceeded" } else { "DisconnectDevicesSucceeded" };
        turn.send(payload::named(name, &self.devices, id, Requester::Device));
    }

    fn streaming_began(&mut self, id: &DeviceId, turn: &mut Turn<'_>) {
        if let Some(streaming) = self.streaming.as_mut().filter(|streaming| &streaming.device == id) {
            streaming.paused = false;
            return;
        }
        self.streaming_ended(turn);
        self.players += 1;
        let player = PlayerId(self.players);
        self.streaming = Some(Streaming { device: id.clone(), player, paused: false });
        self.devices.set_streaming(Some(id));
        turn.player(PlayerCommand::Prepare { id: player, source: PlayerSource::Bluetooth(id.clone()) });
        // A phone may play for a moment only: whoever had the channel comes back if it leaves within two minutes.
        turn.take_focus_patiently(Channel::Content, Mixability::Mixable, VISIT);
        turn.player(PlayerCommand::Play { id: player, after: None });
        turn.announce(Announcement::ContentSource(NAMESPACE));
        turn.send_with_context(payload::streaming("StreamingStarted", id));
    }

    /// Somebody else is heard: the phone must not go on in silence.
    fn fall_silent(&mut self, turn: &mut Turn<'_>) {
        if let Some(device) = self.streaming.as_ref().map(|streaming| streaming.device.clone()) {
            turn.effect(Effect::Bluetooth(Command::Control(device, Key::Pause)));
            self.streaming_ended(turn);
        }
    }

    fn streaming_ended(&mut self, turn: &mut Turn<'_>) {
        let Some(streaming) = self.streaming.take() else { return };
        turn.send_with_context(payload::streaming("StreamingEnded", &streaming.device));
        self.devices.set_streaming(None);
        turn.player(PlayerCommand::Stop { id: streaming.player });
        turn.give_up_focus(Channel::Content);
    }

    fn on_button(&mut self, button: Button, turn: &mut Turn<'_>) {
        let Some(streaming) = self.streaming.as_ref().filter(|_| self.keys) else { return };
        let key = match button {
            Button::Play => Key::Play,
            Button::Pause => Key::Pause,
            Button::Next | Button::SkipForward => Key::Next,
            Button::Previous | Button::SkipBackward => Key::Previous,
        };
        turn.effect(Effect::Bluetooth(Command::Control(streaming.device.clone(), key)));
    }
}

impl Interface for Bluetooth {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "2.0"
    }

    fn configurations(&self) -> Option<Value> {
        // With underscores here and hyphens everywhere else (AVS Device SDK).
        Some(json!({ "profiles": ["AVRCP", "A2DP_SINK", "A2DP_SOURCE"] }))
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::in_turn("ScanDevices", Policy::FREE),
                Known::in_turn("SetDeviceCategories", Policy::FREE),
                Known::in_turn("EnterDiscoverableMode", Policy::FREE),
                Known::in_turn("ExitDiscoverableMode", Policy::FREE),
                Known::in_turn("PairDevices", Policy::FREE),
                Known::in_turn("UnpairDevices", Policy::FREE),
                Known::in_turn("ConnectByDeviceIds", Policy::FREE),
                Known::in_turn("ConnectByProfile", Policy::FREE),
                Known::in_turn("DisconnectDevices", Policy::FREE),
                Known::in_turn("Play", Policy::FREE),
                Known::in_turn("Stop", Policy::FREE),
                Known::in_turn("Next", Policy::FREE),
                Known::in_turn("Previous", Policy::FREE),
            ]
        }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        self.obey(directive, turn)?;
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::Bluetooth(news) => self.on_news(news, turn),
            Signal::Wish(Wish::Button(button)) => self.on_button(*button, turn),
            Signal::ContentStopped | Signal::ContentTaken => self.fall_silent(turn),
            Signal::Player(id, PlayerNews::Taken)
                if self.streaming.as_ref().is_some_and(|s| s.player == *id) =>
            {
                self.fall_silent(turn);
            }
            _ => {}
        }
    }

    fn on_settled(&mut self, turn: &mut Turn<'_>) {
        if let Some(id) = self.gone.take() {
            self.devices.remove(&id);
        }
        if !self.adapter {
            self.devices.all_disconnected();
            self.declare(false, turn);
        }
    }

    fn on_announcement(&mut self, announcement: &Announcement, _turn: &mut Turn<'_>) {
        if let Announcement::ContentSource(interface) = announcement {
            self.keys = *interface == NAMESPACE;
        }
    }

    fn on_focus(&mut self, change: FocusChange, turn: &mut Turn<'_>) {
        let Some(streaming) = &mut self.streaming else { return };
        let device = streaming.device.clone();
        match change.focus {
            Focus::Foreground if streaming.paused => {
                turn.effect(Effect::Bluetooth(Command::Control(device, Key::Play)));
            }
            Focus::Paused if !streaming.paused => {
                streaming.paused = true;
                turn.effect(Effect::Bluetooth(Command::Control(device, Key::Pause)));
            }
            Focus::None => {
                self.streaming_ended(turn);
                self.ask(Command::Disconnect(device), Purpose::Disconnect(Requester::Device), turn);
            }
            _ => {}
        }
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.tasks.clear();
        if self.scan_until.take().is_some() {
            turn.effect(Effect::Bluetooth(Command::Scan(false)));
        }
        self.stop_being_visible(turn);
        self.devices.forget_categories();
    }

    fn deadline(&self) -> Option<HubTime> {
        let tasks = self.tasks.iter().map(|task| task.until);
        tasks.chain(self.scan_until).chain(self.visible_until).min()
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        if self.scan_until.is_some_and(|until| until <= now) {
            self.stop_scan(turn);
        }
        if self.visible_until.is_some_and(|until| until <= now) {
            self.stop_being_visible(turn);
        }
        while let Some(index) = self.tasks.iter().position(|task| task.until <= now) {
            let task = self.tasks.remove(index);
            self.conclude(task, false, turn);
        }
    }

    fn is_declared(&self) -> bool {
        self.declared
    }

    fn context(&self, _view: &View<'_>) -> Option<ContextEntry> {
        let state = json!({
            "alexaDevice": { "friendlyName": self.name },
            "pairedDevices": payload::paired(&self.devices),
        });
        Some(entry(NAMESPACE, "BluetoothState", state))
    }
}

/// An event of this interface.
fn event(name: &str, payload: Value) -> Event {
    Event::new(NAMESPACE, name, payload)
}

/// What is stored about devices: `null` where there is nothing.
fn stored(map: &BTreeMap<DeviceId, Category>) -> Value {
    if map.is_empty() { Value::Null } else { json!(map) }
}
