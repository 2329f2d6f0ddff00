//! System 2.0 (1.4 on the legacy stack): inactivity, software, locales, time zone ("System 2.0"; connection notes 4.6 and 6.1).
//!
//! SynchronizeState and ExceptionEncountered belong to this interface on the wire but to the device machine here.

use std::time::Duration;

use antiphon_domain::HubTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Announcement, Handling, Interface, Known, Turn, View, payload, unlisted};
use crate::context::entry;
use crate::device::DeviceConfig;
use crate::effect::Effect;
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive, Event, Retry};
use crate::picture::Picture;
use crate::sequencer::Policy;
use crate::session::EventOutcome;
use crate::signal::{Signal, Wish};

const NAMESPACE: &str = "System";
/// A report is due after each hour without user activity.
const INACTIVITY: Duration = Duration::from_secs(3600);
/// The longest IANA zone name is 32 characters; this leaves room.
const ZONE_LENGTH: usize = 64;

const LOCALES_KEY: &str = "system.locales";
const ZONE_KEY: &str = "system.time_zone";
const FIRMWARE_KEY: &str = "system.firmware";
const REPORT_KEY: &str = "system.report_wanted";

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
    legacy: bool,
    /// A ReportState whose answer has not been accepted yet.
    report_wanted: bool,
    /// The messageId of the StateReport that is on its way.
    report_sent: Option<String>,
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
            .unwrap_or_else(|| first(&config.locales));
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
            legacy: config.legacy,
            report_wanted: stored.get(REPORT_KEY).and_then(Value::as_bool).unwrap_or(false),
            report_sent: None,
        }
    }

    /// Answers ReportState, now or on the next connection, until an answer has been accepted.
    fn want_report(&mut self, turn: &mut Turn<'_>) {
        if !self.report_wanted {
            self.report_wanted = true;
            turn.store(REPORT_KEY, json!(true));
        }
        self.report_sent = Some(turn.send_state_report());
    }

    fn on_outcome(&mut self, message_id: &str, outcome: &EventOutcome, turn: &mut Turn<'_>) {
        if self.report_sent.as_deref() != Some(message_id) {
            return;
        }
        self.report_sent = None;
        // A refused report would be refused again; a lost one is owed on the next connection.
        if let EventOutcome::Accepted { .. } | EventOutcome::Refused { .. } = outcome {
            self.report_wanted = false;
            turn.store(REPORT_KEY, Value::Null);
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
        // 1.4 is 2.0 with SetEndpoint.
        if self.legacy { "1.4" } else { "2.0" }
    }

    fn configurations(&self) -> Option<Value> {
        let mut configurations = json!({ "locales": self.supported });
        if !self.combinations.is_empty() {
            configurations["localeCombinations"] = json!(self.combinations);
        }
        Some(configurations)
    }

    fn directives(&self) -> &'static [Known] {
        const ALL: &[Known] = &[
            Known::in_turn("ResetUserInactivity", Policy::FREE),
            Known::in_turn("ReportSoftwareInfo", Policy::FREE),
            Known::in_turn("SetLocales", Policy::FREE),
            Known::in_turn("SetTimeZone", Policy::FREE),
            Known::in_turn("ReportState", Policy::FREE),
            Known::in_turn("RevokeAuthorization", Policy::FREE),
            // Last, as only the legacy stack has it.
            Known::on_arrival("SetEndpoint"),
        ];
        match ALL.split_last() {
            Some((_, modern)) if !self.legacy => modern,
            _ => ALL,
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
            "ReportState" => self.want_report(turn),
            "RevokeAuthorization" => turn.effect(Effect::LogOut),
            // The session moves.
            "SetEndpoint" => {}
            _ => return Err(unlisted(directive)),
        }
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::UserActivity => self.activity(turn.now()),
            Signal::Wish(wish) => {
                self.activity(turn.now());
                match wish {
                    Wish::Locales(locales) if self.takes_locales(locales) => {
                        self.set_locales(locales, "LocalesChanged", turn);
                        turn.announce(Announcement::LocalesChanged(locales.clone()));
                    }
                    Wish::TimeZone(zone) if is_zone_name(zone) => {
                        self.set_time_zone(zone, "TimeZoneChanged", turn);
                    }
                    _ => {}
                }
            }
            Signal::Outcome { message_id, outcome } => self.on_outcome(message_id, outcome, turn),
            _ => {}
        }
    }

    fn on_announcement(&mut self, announcement: &Announcement, turn: &mut Turn<'_>) {
        // To listen, and to have listened, is to be used.
        if let Announcement::Listening(_) = announcement {
            self.activity(turn.now());
        }
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.locales = first(&self.supported);
        self.time_zone = None;
        self.reported_firmware = None;
        self.activity = None;
        self.reports = 0;
        self.report_wanted = false;
        self.report_sent = None;
        for key in [LOCALES_KEY, ZONE_KEY, FIRMWARE_KEY, REPORT_KEY] {
            turn.store(key, Value::Null);
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
        if self.report_wanted && self.report_sent.is_none() {
            self.report_sent = Some(turn.send_state_report());
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

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        picture.locales.clone_from(&self.locales);
        picture.time_zone.clone_from(&self.time_zone);
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

/// What is in force until another is chosen.
fn first(locales: &[String]) -> Vec<String> {
    locales.iter().take(1).cloned().collect()
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
