//! System 2.0: inactivity, software, locales, time zone ("System 2.0"; connection notes 4.6 and 6.1).
//!
//! SynchronizeState and ExceptionEncountered belong to this interface on the wire but to the device machine here.

use std::time::Duration;

use antiphon_domain::HubTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Handling, Interface, Known, Turn, payload, unlisted};
use crate::context::entry;
use crate::device::DeviceConfig;
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive, Event, Retry};
use crate::sequencer::Policy;
use crate::signal::{Signal, Wish};

const NAMESPACE: &str = "System";
/// A report is due after each hour without user activity.
const INACTIVITY: Duration = Duration::from_secs(3600);
/// The longest IANA zone name is 32 characters; this leaves room.
const ZONE_LENGTH: usize = 64;

const LOCALES_KEY: &str = "system.locales";
const ZONE_KEY: &str = "system.time_zone";
const FIRMWARE_KEY: &str = "system.firmware";

#[derive(Debug)]
pub(super) struct System {
    firmware: u32,
    reported_firmware: Option<u64>,
    supported: Vec<String>,
    combinations: Vec<Vec<String>>,
    locales: Vec<String>,
    time_zone: Option<String>,
    connected: bool,
    activity: Option<HubTime>,
    reports: u32,
}

#[derive(Deserialize)]
struct SetLocales {
    locales: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetTimeZone {
    time_zone: String,
}

impl System {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        let stored = &config.stored;
        let locales = stored
            .get(LOCALES_KEY)
            .and_then(|value| Vec::<String>::deserialize(value).ok())
            .unwrap_or_else(|| config.locales.iter().take(1).cloned().collect());
        Self {
            firmware: config.firmware_version,
            reported_firmware: stored.get(FIRMWARE_KEY).and_then(Value::as_u64),
            supported: config.locales.clone(),
            combinations: config.locale_combinations.clone(),
            locales,
            time_zone: stored.get(ZONE_KEY).and_then(Value::as_str).map(Into::into),
            connected: false,
            activity: None,
            reports: 0,
        }
    }

    fn activity(&mut self, now: HubTime) {
        self.activity = Some(now);
        self.reports = 0;
    }

    fn takes_locales(&self, locales: &[String]) -> bool {
        match locales {
            [one] => self.supported.contains(one),
            several => self.combinations.iter().any(|combination| combination == several),
        }
    }

    fn set_locales(&mut self, locales: &[String], event: &str, turn: &mut Turn<'_>) {
        self.locales = locales.to_vec();
        turn.store(LOCALES_KEY, json!(locales));
        turn.send(setting(event, json!({ "locales": locales })));
    }

    fn set_time_zone(&mut self, zone: &str, event: &str, turn: &mut Turn<'_>) {
        self.time_zone = Some(zone.into());
        turn.store(ZONE_KEY, json!(zone));
        turn.send(setting(event, json!({ "timeZone": zone })));
    }

    fn send_software_info(&mut self, turn: &mut Turn<'_>) {
        let mut event =
            Event::new(NAMESPACE, "SoftwareInfo", json!({ "firmwareVersion": self.firmware.to_string() }));
        event.retry = Retry::UntilAccepted;
        turn.send(event);
        if self.reported_firmware != Some(u64::from(self.firmware)) {
            self.reported_firmware = Some(u64::from(self.firmware));
            turn.store(FIRMWARE_KEY, json!(self.firmware));
        }
    }
}

impl Interface for System {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "2.0"
    }

    fn configurations(&self) -> Option<Value> {
        let mut configurations = json!({ "locales": self.supported });
        if !self.combinations.is_empty() {
            configurations["localeCombinations"] = json!(self.combinations);
        }
        Some(configurations)
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::in_turn("ResetUserInactivity", Policy::FREE),
                Known::in_turn("ReportSoftwareInfo", Policy::FREE),
                Known::in_turn("SetLocales", Policy::FREE),
                Known::in_turn("SetTimeZone", Policy::FREE),
                Known::in_turn("ReportState", Policy::FREE),
            ]
        }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        match directive.header.name.as_str() {
            "ResetUserInactivity" => self.activity(turn.now()),
            "ReportSoftwareInfo" => self.send_software_info(turn),
            "SetLocales" => {
                let wanted: SetLocales = payload(directive)?;
                if !self.takes_locales(&wanted.locales) {
                    return Err(Refusal::unexpected("locales that were not declared"));
                }
                self.set_locales(&wanted.locales, "LocalesReport", turn);
            }
            "SetTimeZone" => {
                let wanted: SetTimeZone = payload(directive)?;
                if !is_zone_name(&wanted.time_zone) {
                    return Err(Refusal::unexpected("not the name of a time zone"));
                }
                self.set_time_zone(&wanted.time_zone, "TimeZoneReport", turn);
            }
            "ReportState" => turn.send_state_report(),
            _ => return Err(unlisted(directive)),
        }
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::UserActivity => self.activity(turn.now()),
            Signal::Wish(Wish::Locales(locales)) if self.takes_locales(locales) => {
                self.set_locales(locales, "LocalesChanged", turn);
            }
            Signal::Wish(Wish::TimeZone(zone)) if is_zone_name(zone) => {
                self.set_time_zone(zone, "TimeZoneChanged", turn)
            }
            _ => {}
        }
    }

    fn on_connection(&mut self, up: bool, turn: &mut Turn<'_>) {
        self.connected = up;
        if !up {
            return;
        }
        if self.activity.is_none() {
            self.activity(turn.now());
        }
        if self.reported_firmware != Some(u64::from(self.firmware)) {
            self.send_software_info(turn);
        }
    }

    fn deadline(&self) -> Option<HubTime> {
        self.activity.map(|since| since + INACTIVITY.saturating_mul(self.reports.saturating_add(1)))
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        let (Some(since), Some(due)) = (self.activity, self.deadline()) else { return };
        if turn.now() < due {
            return;
        }
        let inactive = turn.now().since(since).as_secs();
        // After a long sleep one report tells it all.
        self.reports = u32::try_from(inactive / INACTIVITY.as_secs()).unwrap_or(u32::MAX);
        if self.connected {
            let payload = json!({ "inactiveTimeInSeconds": inactive });
            let mut event = Event::new(NAMESPACE, "UserInactivityReport", payload);
            event.retry = Retry::Never;
            turn.send(event);
        }
    }

    fn settings(&self) -> Vec<ContextEntry> {
        let mut settings = Vec::new();
        if !self.locales.is_empty() {
            settings.push(entry(NAMESPACE, "LocalesReport", json!({ "locales": self.locales })));
        }
        if let Some(zone) = &self.time_zone {
            settings.push(entry(NAMESPACE, "TimeZoneReport", json!({ "timeZone": zone })));
        }
        settings
    }
}

fn setting(name: &str, payload: Value) -> Event {
    let mut event = Event::new(NAMESPACE, name, payload);
    event.retry = Retry::UntilAccepted;
    event
}

/// Whether the text has the shape of an IANA name; whether the zone exists is for who uses it to find out.
fn is_zone_name(zone: &str) -> bool {
    !zone.is_empty()
        && zone.len() <= ZONE_LENGTH
        && zone.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+'))
}
