//! Owns what is said about the device itself: its equalizer, its Bluetooth adapter, its settings.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::one;
use crate::answers::Outgoing;
use crate::say::{Bluetooth, Setting, Utterance};
use crate::state::Shared;

/// Bands of EqualizerController 1.0.
const BANDS: [&str; 3] = ["BASS", "MIDRANGE", "TREBLE"];

pub(super) fn equalizer(utterance: Utterance) -> Vec<Outgoing> {
    let (name, payload) = match utterance {
        Utterance::Band(band, level) => ("SetBands", json!({ "bands": [{ "name": band, "level": level }] })),
        Utterance::BandStep(band, steps) => {
            let direction = if steps < 0 { "DOWN" } else { "UP" };
            let band = json!({ "name": band, "levelDelta": steps.abs(), "levelDirection": direction });
            ("AdjustBands", json!({ "bands": [band] }))
        }
        Utterance::ResetBands(Some(band)) => ("ResetBands", json!({ "bands": [{ "name": band }] })),
        Utterance::ResetBands(None) => {
            let bands: Vec<Value> = BANDS.iter().map(|band| json!({ "name": band })).collect();
            ("ResetBands", json!({ "bands": bands }))
        }
        Utterance::EqualizerMode(mode) => ("SetMode", json!({ "mode": mode })),
        _ => return Vec::new(),
    };
    one("EqualizerController", name, payload)
}

pub(super) fn setting(setting: Setting) -> Vec<Outgoing> {
    let tone = |on: bool| if on { "TONE" } else { "NONE" };
    let (namespace, name, payload) = match setting {
        Setting::Locales(locales) => ("System", "SetLocales", json!({ "locales": locales })),
        Setting::TimeZone(zone) => ("System", "SetTimeZone", json!({ "timeZone": zone })),
        Setting::Report => ("System", "ReportState", json!({})),
        Setting::Software => ("System", "ReportSoftwareInfo", json!({})),
        Setting::ResetInactivity => ("System", "ResetUserInactivity", json!({})),
        Setting::Revoke => ("System", "RevokeAuthorization", json!({})),
        Setting::WakeWord(word) => ("SpeechRecognizer", "SetWakeWords", json!({ "wakeWords": [word] })),
        Setting::WakeWordTone(on) => {
            let payload = json!({ "wakeWordConfirmation": tone(on) });
            ("SpeechRecognizer", "SetWakeWordConfirmation", payload)
        }
        Setting::SpeechTone(on) => {
            ("SpeechRecognizer", "SetSpeechConfirmation", json!({ "speechConfirmation": tone(on) }))
        }
    };
    one(namespace, name, payload)
}

pub(super) fn bluetooth(shared: &Shared, dsn: &str, wish: Bluetooth) -> Vec<Outgoing> {
    let id = |name: &str| {
        let mut state = shared.lock();
        let known = &state.device(dsn).bluetooth;
        // Not a name that was seen: then it is meant as an id.
        known.get(&name.to_ascii_lowercase()).cloned().unwrap_or_else(|| name.to_owned())
    };
    let (name, payload) = match wish {
        Bluetooth::Scan => ("ScanDevices", json!({})),
        Bluetooth::Discoverable(None) => ("EnterDiscoverableMode", json!({})),
        Bluetooth::Discoverable(Some(seconds)) => {
            ("EnterDiscoverableMode", json!({ "durationInSeconds": seconds }))
        }
        Bluetooth::Hide => ("ExitDiscoverableMode", json!({})),
        Bluetooth::ConnectAny => {
            ("ConnectByProfile", json!({ "profile": { "name": "A2DP-SOURCE", "version": "1.0" } }))
        }
        Bluetooth::Link(verb, name) => (verb, json!({ "devices": [{ "uniqueDeviceId": id(&name) }] })),
        Bluetooth::Control(verb, name) => (verb, json!({ "device": { "uniqueDeviceId": id(&name) } })),
        Bluetooth::Category(name, category) => {
            let device = json!({ "uniqueDeviceId": id(&name), "deviceCategory": category });
            ("SetDeviceCategories", json!({ "devices": [device] }))
        }
    };
    one("Bluetooth", name, payload)
}

/// Learns the names of Bluetooth devices, in lower case, from anything a device says of them.
pub(crate) fn learn(known: &mut BTreeMap<String, String>, told: &Value) {
    match told {
        Value::Object(object) => {
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            if let (Some(id), Some(name)) = (text("uniqueDeviceId"), text("friendlyName"))
                && known.len() < 1000
            {
                known.insert(name.to_ascii_lowercase(), id.to_owned());
            }
            object.values().for_each(|inner| learn(known, inner));
        }
        Value::Array(items) => items.iter().for_each(|inner| learn(known, inner)),
        _ => {}
    }
}
