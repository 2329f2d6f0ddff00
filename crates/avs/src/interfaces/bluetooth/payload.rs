//! The shapes of Bluetooth's events and context, and what directives bring.

use antiphon_domain::bluetooth::{Device, DeviceId, Profile};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::devices::{Category, Devices};
use super::event;
use super::tasks::Requester;
use crate::message::Event;

/// A version must be told for each profile; the adapter does not tell one.
const PROFILE_VERSION: &str = "1.0";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceRef {
    #[serde(deserialize_with = "not_empty")]
    pub unique_device_id: DeviceId,
}

#[derive(Deserialize)]
pub(super) struct Listed {
    pub devices: Vec<DeviceRef>,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub device: DeviceRef,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Categorised {
    #[serde(deserialize_with = "not_empty")]
    pub unique_device_id: DeviceId,
    pub device_category: Category,
}

#[derive(Deserialize)]
pub(super) struct Categories {
    pub devices: Vec<Categorised>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Visible {
    pub duration_in_seconds: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct NamedProfile {
    #[serde(deserialize_with = "not_empty")]
    pub name: String,
}

#[derive(Deserialize)]
pub(super) struct ByProfile {
    pub profile: NamedProfile,
}

/// A name that names nothing is no name.
fn not_empty<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<T, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Err(D::Error::custom("an empty name"));
    }
    Ok(T::from(name))
}

/// A profile's name; both spellings occur (AVS Device SDK).
pub(super) fn profile(name: &str) -> Option<Profile> {
    serde_json::from_value(json!(name.replace('_', "-"))).ok()
}

pub(super) fn scan_report(devices: &Devices, more: bool) -> Event {
    let found: Vec<Value> = devices
        .iter()
        .filter(|device| !device.paired)
        .map(|device| {
            json!({
                "uniqueDeviceId": device.id,
                "friendlyName": device.name,
                "truncatedMacAddress": device.masked_address,
            })
        })
        .collect();
    event("ScanDevicesReport", json!({ "discoveredDevices": found, "hasMore": more }))
}

/// `devices` with one device's id alone.
pub(super) fn bare(name: &str, id: &DeviceId) -> Event {
    event(name, json!({ "devices": [{ "uniqueDeviceId": id }] }))
}

/// `device` with its id alone.
pub(super) fn single(name: &str, id: &DeviceId) -> Event {
    event(name, json!({ "device": { "uniqueDeviceId": id } }))
}

/// `devices` with id and name, and who wanted it.
pub(super) fn named(name: &str, devices: &Devices, id: &DeviceId, requester: Requester) -> Event {
    let device = json!({ "uniqueDeviceId": id, "friendlyName": devices.name(id) });
    event(name, json!({ "devices": [device], "requester": requester }))
}

pub(super) fn paired_now(devices: &Devices, id: &DeviceId) -> Event {
    let device = json!({
        "uniqueDeviceId": id,
        "friendlyName": devices.name(id),
        "deviceCategory": devices.category(id),
        "profiles": devices.get(id).map(profiles).unwrap_or_default(),
    });
    event("PairDevicesSucceeded", json!({ "devices": [device] }))
}

pub(super) fn streaming(name: &str, id: &DeviceId) -> Event {
    // A phone that plays to us is a source: the profile is the peer's.
    event(name, json!({ "device": { "uniqueDeviceId": id, "profileName": Profile::A2dpSource } }))
}

pub(super) fn paired(devices: &Devices) -> Vec<Value> {
    devices
        .iter()
        .filter(|device| device.paired)
        .map(|device| {
            let mut supported = Vec::new();
            for profile in &device.profiles {
                let mut one = json!({ "name": profile, "version": PROFILE_VERSION });
                if matches!(profile, Profile::A2dpSource | Profile::A2dpSink) {
                    let active = *profile == Profile::A2dpSource && devices.is_streaming(&device.id);
                    one["state"] = json!({ "streaming": if active { "ACTIVE" } else { "INACTIVE" } });
                }
                supported.push(one);
            }
            json!({
                "uniqueDeviceId": device.id,
                "deviceCategory": devices.category(&device.id),
                "friendlyName": device.name,
                "supportedProfiles": supported,
                "connectionState": if device.connected { "CONNECTED" } else { "DISCONNECTED" },
            })
        })
        .collect()
}

fn profiles(device: &Device) -> Vec<Value> {
    device.profiles.iter().map(|profile| json!({ "name": profile, "version": PROFILE_VERSION })).collect()
}
