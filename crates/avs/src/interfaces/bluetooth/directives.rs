//! What each of Bluetooth's directives does.

use std::time::Duration;

use antiphon_domain::bluetooth::{Command, DeviceId, Key, Profile};
use antiphon_domain::focus::Channel;
use serde_json::{Value, json};

use super::payload::{ByProfile, Categories, Listed, One, Visible};
use super::tasks::{Purpose, Requester, answer, no_profile};
use super::{Bluetooth, CATEGORIES_KEY, SCAN, VISIBLE, event, payload, stored};
use crate::exception::Refusal;
use crate::interfaces::{Turn, payload as read, unlisted};
use crate::message::Directive;

/// Devices tried for one ConnectByProfile (AVS Device SDK).
const TRIES: usize = 2;
/// A directive names a handful of devices.
const LISTED: usize = 20;
/// Nobody is visible for longer than this.
const LONGEST_VISIBLE: u64 = 3600;

impl Bluetooth {
    pub(super) fn obey(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        match directive.header.name.as_str() {
            "ScanDevices" => self.scan(turn),
            "SetDeviceCategories" => self.categorise(&read::<Categories>(directive)?, turn)?,
            "EnterDiscoverableMode" => self.be_visible(&read::<Visible>(directive)?, turn),
            "ExitDiscoverableMode" => {
                self.stop_being_visible(turn);
                self.stop_scan(turn);
            }
            "PairDevices" => {
                let ids = listed(directive)?;
                self.stop_scan(turn);
                self.stop_being_visible(turn);
                for id in ids {
                    if self.devices.get(&id).is_some() {
                        self.ask(Command::Pair(id), Purpose::Pair, turn);
                    } else {
                        turn.send(payload::bare("PairDevicesFailed", &id));
                    }
                }
            }
            "UnpairDevices" => {
                for id in listed(directive)? {
                    match self.devices.get(&id) {
                        Some(device) if device.connected => {
                            self.ask(Command::Disconnect(id), Purpose::DisconnectToUnpair, turn);
                        }
                        Some(_) => self.ask(Command::Unpair(id), Purpose::Unpair, turn),
                        None => turn.send(payload::bare("UnpairDevicesFailed", &id)),
                    }
                }
            }
            "ConnectByDeviceIds" => {
                for id in listed(directive)? {
                    let known = self.devices.get(&id).map(|device| device.connected);
                    let told = |name| payload::named(name, &self.devices, &id, Requester::Cloud);
                    match known {
                        Some(true) => turn.send(told("ConnectByDeviceIdsSucceeded")),
                        Some(false) => self.connect(&id, Purpose::Connect(Requester::Cloud), turn),
                        None => turn.send(told("ConnectByDeviceIdsFailed")),
                    }
                }
            }
            "ConnectByProfile" => self.connect_by_profile(&read::<ByProfile>(directive)?.profile.name, turn),
            "DisconnectDevices" => {
                for id in listed(directive)? {
                    if self.devices.get(&id).is_some_and(|device| device.connected) {
                        self.ask(Command::Disconnect(id), Purpose::Disconnect(Requester::Cloud), turn);
                    } else {
                        let name = "DisconnectDevicesFailed";
                        turn.send(payload::named(name, &self.devices, &id, Requester::Cloud));
                    }
                }
            }
            "Play" => self.control(&read::<One>(directive)?.device.unique_device_id, Key::Play, turn),
            "Stop" => {
                let id = read::<One>(directive)?.device.unique_device_id;
                self.control(&id, Key::Pause, turn);
                // Released even when the phone does not listen.
                turn.give_up_focus(Channel::Content);
            }
            "Next" => self.control(&read::<One>(directive)?.device.unique_device_id, Key::Next, turn),
            "Previous" => self.control(&read::<One>(directive)?.device.unique_device_id, Key::Previous, turn),
            _ => return Err(unlisted(directive)),
        }
        Ok(())
    }

    /// Looks for devices; what is in sight already is told at once.
    pub(super) fn scan(&mut self, turn: &mut Turn<'_>) {
        if !self.adapter {
            turn.send(event("ScanDevicesFailed", json!({})));
            return;
        }
        self.scan_until = Some(turn.now() + SCAN);
        self.ask(Command::Scan(true), Purpose::Scan, turn);
        turn.send(payload::scan_report(&self.devices, true));
    }

    fn be_visible(&mut self, wanted: &Visible, turn: &mut Turn<'_>) {
        if !self.adapter {
            turn.send(event("EnterDiscoverableModeFailed", json!({})));
            return;
        }
        let seconds = wanted.duration_in_seconds.filter(|seconds| *seconds > 0);
        let time = seconds.map_or(VISIBLE, |s| Duration::from_secs(s.min(LONGEST_VISIBLE)));
        self.visible_until = Some(turn.now() + time);
        self.ask(Command::Discoverable(true), Purpose::Visible, turn);
    }

    fn categorise(&mut self, wanted: &Categories, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        if wanted.devices.is_empty() {
            return Err(Refusal::unexpected("no device is named"));
        }
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for one in wanted.devices.iter().take(LISTED) {
            let id = &one.unique_device_id;
            if self.devices.get(id).is_some() {
                self.devices.set_category(id, one.device_category);
                taken.push(json!({ "uniqueDeviceId": id, "deviceCategory": one.device_category }));
            } else {
                refused.push(json!({ "uniqueDeviceId": id }));
            }
        }
        turn.store(CATEGORIES_KEY, stored(self.devices.categories()));
        for (name, devices) in
            [("SetDeviceCategoriesSucceeded", taken), ("SetDeviceCategoriesFailed", refused)]
        {
            if !devices.is_empty() {
                turn.send_with_context(event(name, json!({ "devices": Value::from(devices) })));
            }
        }
        Ok(())
    }

    /// Connects a device; another one for sound makes room first.
    pub(super) fn connect(&mut self, id: &DeviceId, purpose: Purpose, turn: &mut Turn<'_>) {
        for other in self.devices.sounding() {
            if &other != id {
                self.ask(Command::Disconnect(other), Purpose::Disconnect(Requester::Device), turn);
            }
        }
        self.ask(Command::Connect(id.clone()), purpose, turn);
    }

    fn connect_by_profile(&mut self, name: &str, turn: &mut Turn<'_>) {
        let mut candidates = payload::profile(name).map(|p| self.devices.candidates(p)).unwrap_or_default();
        candidates.truncate(TRIES);
        // The next to be tried is taken from the end.
        candidates.reverse();
        match candidates.pop() {
            Some(first) => {
                self.connect(&first, Purpose::ConnectByProfile(name.into(), candidates), turn);
            }
            None => turn.send(no_profile(name)),
        }
    }

    fn control(&mut self, id: &DeviceId, key: Key, turn: &mut Turn<'_>) {
        let listens = self
            .devices
            .get(id)
            .is_some_and(|device| device.connected && device.profiles.contains(&Profile::Avrcp));
        if !listens {
            turn.send(payload::single(answer(key, false), id));
        } else if key == Key::Play && self.devices.is_streaming(id) {
            // Some phones take a second "play" for "pause".
            turn.send(payload::single(answer(key, true), id));
        } else {
            self.ask(Command::Control(id.clone(), key), Purpose::Control, turn);
        }
    }
}

/// The devices of a list, which must name some.
fn listed(directive: &Directive) -> Result<Vec<DeviceId>, Refusal> {
    let listed: Listed = read(directive)?;
    let ids: Vec<DeviceId> = listed.devices.into_iter().take(LISTED).map(|d| d.unique_device_id).collect();
    if ids.is_empty() || ids.iter().any(|id| id.0.is_empty()) {
        return Err(Refusal::unexpected("no device is named"));
    }
    Ok(ids)
}
