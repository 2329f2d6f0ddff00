//! What the adapter was asked and has not answered yet, and what follows from each answer.

use antiphon_domain::HubTime;
use antiphon_domain::bluetooth::{Command, DeviceId, Key};
use serde::Serialize;
use serde_json::json;

use super::{Bluetooth, event, payload};
use crate::interfaces::Turn;

/// Who wanted a connection to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Requester {
    /// A directive.
    Cloud,
    /// We, or the peer.
    Device,
}

/// Why something was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Visible,
    Scan,
    Pair,
    Unpair,
    /// Disconnect, then unpair.
    DisconnectToUnpair,
    Connect(Requester),
    /// By profile, with who else may be tried.
    ConnectByProfile(String, Vec<DeviceId>),
    Disconnect(Requester),
    Control,
}

/// One question.
#[derive(Debug)]
pub(super) struct Task {
    pub command: Command,
    pub purpose: Purpose,
    pub until: HubTime,
}

impl Bluetooth {
    /// An answer has come, or will not come any more.
    pub(super) fn conclude(&mut self, task: Task, done: bool, turn: &mut Turn<'_>) {
        match (task.purpose, task.command) {
            (Purpose::Visible, _) if done => turn.send(event("EnterDiscoverableModeSucceeded", json!({}))),
            (Purpose::Visible, _) => {
                self.visible_until = None;
                turn.send(event("EnterDiscoverableModeFailed", json!({})));
            }
            (Purpose::Scan, _) if !done => {
                self.scan_until = None;
                turn.send(event("ScanDevicesFailed", json!({})));
            }
            (Purpose::Pair, Command::Pair(id)) if done => {
                turn.send(payload::paired_now(&self.devices, &id));
                if self.devices.category(&id).connects_after_pairing() {
                    self.connect(&id, Purpose::Connect(Requester::Device), turn);
                }
            }
            (Purpose::Pair, Command::Pair(id)) => {
                turn.send(payload::bare("PairDevicesFailed", &id));
                self.scan(turn);
            }
            (Purpose::Unpair, Command::Unpair(id)) => {
                let name = if done { "UnpairDevicesSucceeded" } else { "UnpairDevicesFailed" };
                turn.send(payload::bare(name, &id));
            }
            (Purpose::DisconnectToUnpair, Command::Disconnect(id)) => {
                self.ask(Command::Unpair(id), Purpose::Unpair, turn);
            }
            (Purpose::Connect(requester), Command::Connect(id)) => {
                let name = if done { "ConnectByDeviceIdsSucceeded" } else { "ConnectByDeviceIdsFailed" };
                turn.send(payload::named(name, &self.devices, &id, requester));
            }
            (Purpose::ConnectByProfile(profile, _), Command::Connect(id)) if done => {
                let device = json!({ "uniqueDeviceId": id });
                let payload = json!({
                    "device": device,
                    "profileName": profile,
                    "requester": Requester::Cloud,
                });
                turn.send(event("ConnectByProfileSucceeded", payload));
            }
            (Purpose::ConnectByProfile(profile, mut others), _) => match others.pop() {
                Some(next) => self.connect(&next, Purpose::ConnectByProfile(profile, others), turn),
                None => turn.send(no_profile(&profile)),
            },
            (Purpose::Disconnect(requester), Command::Disconnect(id)) => {
                let name = if done { "DisconnectDevicesSucceeded" } else { "DisconnectDevicesFailed" };
                turn.send(payload::named(name, &self.devices, &id, requester));
            }
            (Purpose::Control, Command::Control(id, key)) => {
                turn.send(payload::single(answer(key, done), &id));
            }
            _ => {}
        }
    }
}

/// The answer to a MediaControl directive.
pub(super) const fn answer(key: Key, done: bool) -> &'static str {
    match (key, done) {
        (Key::Play, true) => "MediaControlPlaySucceeded",
        (Key::Play, false) => "MediaControlPlayFailed",
        (Key::Pause, true) => "MediaControlStopSucceeded",
        (Key::Pause, false) => "MediaControlStopFailed",
        (Key::Next, true) => "MediaControlNextSucceeded",
        (Key::Next, false) => "MediaControlNextFailed",
        (Key::Previous, true) => "MediaControlPreviousSucceeded",
        (Key::Previous, false) => "MediaControlPreviousFailed",
    }
}

pub(super) fn no_profile(profile: &str) -> crate::message::Event {
    event("ConnectByProfileFailed", json!({ "profileName": profile, "requester": Requester::Cloud }))
}
