//! Alerts 1.5: alarms, timers and reminders ("Alerts", "About AVS Alerts"; the reference client where they are silent).
//!
//! An alert is on disk before the cloud hears that it is set. It rings by the hub's clock at a time of the calendar,
//! with or without network, and again after a restart; its first sample falls due at the second it was set for. Driven
//! by the device machine; [`schedule`] decides what rings when, [`ring`] what is heard of it; [`changes`] brings alerts in
//! and out, [`book`] keeps them.
//! Where this differs from the reference client: a snooze and a broken built-in tone are told by AlertStopped too.

mod alert;
mod book;
mod changes;
mod ring;
mod schedule;
#[cfg(test)]
mod tests;

use std::time::Duration;

use antiphon_domain::focus::{Channel, FocusChange};
use antiphon_domain::{HubTime, Volume};
use serde_json::{Value, json};

use self::alert::{Alert, number};
use self::book::{Book, Change};
use self::ring::{Kit, Ring};
use super::{Activity, Announcement, Handling, Interface, Known, Turn, View, payload, unlisted};
use crate::context::entry;
use crate::device::DeviceConfig;
use crate::effect::{Receipt, SoundCommand};
use crate::exception::Refusal;
use crate::iso8601;
use crate::message::{ContextEntry, Directive, Event, Retry};
use crate::picture::{AlertView, Picture};
use crate::sequencer::Policy;
use crate::signal::{Signal, Wish};

const NAMESPACE: &str = "Alerts";
const VOLUME_KEY: &str = "alerts.volume";
const RAMP_KEY: &str = "alerts.ramp";
/// What alerts are played at until somebody says otherwise (AVS Device SDK).
const VOLUME: Volume = Volume::SAFE;
/// An alert this late rings still, at once; a later one does not (AVS Device SDK).
const LATE: Duration = Duration::from_secs(30 * 60);

#[derive(Debug)]
pub(super) struct Alerts {
    lead: Duration,
    book: Book,
    ring: Option<Ring>,
    kit: Kit,
    volume: Volume,
    ramp: Ramp,
    /// The change that is being written.
    writing: Option<Receipt>,
    /// The latest write of any kind.
    written: Option<Receipt>,
    /// When to write again what the disk did not take.
    write_again: Option<HubTime>,
    /// When to fetch again what could not be fetched.
    fetch_again: Option<HubTime>,
    /// The calendar less the hub's clock, nanoseconds, as last seen.
    calendar: Option<i64>,
    /// Whether the last ring came up slowly.
    swollen: bool,
    wake: Option<HubTime>,
}

/// Whether alarms come up slowly.
#[derive(Clone, Copy, Debug, Default)]
struct Ramp {
    ascending: bool,
    /// Somebody has chosen.
    chosen: bool,
    /// Chosen here, while the cloud could not hear of it.
    untold: bool,
}

impl Ramp {
    fn recall(value: Option<&Value>) -> Self {
        let Some(value) = value.filter(|value| value.is_object()) else { return Self::default() };
        Self { ascending: value["ascending"] == true, chosen: true, untold: value["untold"] == true }
    }

    const fn word(self) -> &'static str {
        if self.ascending { "ASCENDING" } else { "NONE" }
    }

    fn to_value(self) -> Value {
        json!({ "ascending": self.ascending, "untold": self.untold })
    }
}

impl Alerts {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        let stored = &config.stored;
        let volume = stored.get(VOLUME_KEY).and_then(Value::as_i64).and_then(|v| Volume::new(v).ok());
        Self {
            lead: config.lead,
            book: Book::recall(stored),
            ring: None,
            kit: Kit::default(),
            volume: volume.unwrap_or(VOLUME),
            ramp: Ramp::recall(stored.get(RAMP_KEY)),
            writing: None,
            written: None,
            write_again: None,
            fetch_again: None,
            calendar: None,
            swollen: false,
            // To be woken at once: files are to be fetched, and what is long past is to be told.
            wake: Some(HubTime::EPOCH),
        }
    }

    fn sounding(&self) -> Option<&str> {
        self.ring.as_ref().filter(|ring| ring.started).map(|ring| ring.alert.token.as_str())
    }

    fn set_alert(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let said: Value = payload(directive)?;
        let alert = match Alert::read(&said) {
            Ok(alert) => alert,
            Err(refusal) => {
                turn.send_certified(token("SetAlertFailed", said["token"].as_str().unwrap_or_default()));
                return Err(refusal);
            }
        };
        self.change(Change::Set(Box::new(alert)), turn);
        Ok(())
    }

    fn delete_alert(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let said: Value = payload(directive)?;
        let Some(token) = said["token"].as_str().filter(|token| !token.is_empty()) else {
            return Err(Refusal::unexpected("token is missing or not a text"));
        };
        self.stop_if_sounding(&[token.to_owned()], turn);
        self.change(Change::Delete(token.into()), turn);
        Ok(())
    }

    fn delete_alerts(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let said: Value = payload(directive)?;
        let mut tokens = Vec::new();
        let listed = said["tokens"].as_array();
        for token in listed.ok_or_else(|| Refusal::unexpected("tokens is missing or not a list"))? {
            match token.as_str() {
                Some(token) => tokens.push(token.to_owned()),
                None => return Err(Refusal::unexpected("a token is not a text")),
            }
        }
        self.stop_if_sounding(&tokens, turn);
        self.change(Change::DeleteMany(tokens), turn);
        Ok(())
    }

    /// Who asks for an end to what sounds wants silence, whatever the disk will say.
    fn stop_if_sounding(&mut self, tokens: &[String], turn: &mut Turn<'_>) {
        if self.sounding().is_some_and(|sounding| tokens.iter().any(|token| token == sounding)) {
            self.end_ring(turn);
        }
    }

    fn set_volume(&mut self, volume: i64, turn: &mut Turn<'_>) {
        // Out of range is clamped here, other than at Speaker (AVS Device SDK).
        self.volume = Volume::new(volume.clamp(0, 100)).unwrap_or(self.volume);
        turn.sound(SoundCommand::AlertVolume(self.volume));
        turn.store(VOLUME_KEY, json!(self.volume.get()));
        let payload = json!({ "volume": self.volume.get() });
        turn.send_certified(Event::new(NAMESPACE, "VolumeChanged", payload));
    }

    fn set_ramp(&mut self, ascending: bool, here: bool, turn: &mut Turn<'_>) {
        self.ramp = Ramp { ascending, chosen: true, untold: here && !turn.view.connected };
        turn.store(RAMP_KEY, self.ramp.to_value());
        if !self.ramp.untold {
            turn.send(self.ramp_event(if here { "AlarmVolumeRampChanged" } else { "AlarmVolumeRampReport" }));
        }
    }

    fn ramp_event(&self, name: &str) -> Event {
        let mut event = Event::new(NAMESPACE, name, self.ramp_payload());
        event.retry = Retry::UntilAccepted;
        event
    }

    fn ramp_payload(&self) -> Value {
        json!({ "alarmVolumeRamp": self.ramp.word() })
    }
}

impl Interface for Alerts {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.5"
    }

    fn configurations(&self) -> Option<Value> {
        let maximum = json!({ "overall": book::OVERALL, "alarms": book::ALARMS, "timers": book::TIMERS });
        Some(json!({ "maximumAlerts": maximum }))
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::in_turn("SetAlert", Policy::FREE),
                Known::in_turn("DeleteAlert", Policy::FREE),
                Known::in_turn("DeleteAlerts", Policy::FREE),
                Known::in_turn("SetVolume", Policy::AUDIO),
                Known::in_turn("AdjustVolume", Policy::AUDIO),
                Known::in_turn("SetAlarmVolumeRamp", Policy::AUDIO),
            ]
        }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        match directive.header.name.as_str() {
            "SetAlert" => self.set_alert(directive, turn)?,
            "DeleteAlert" => self.delete_alert(directive, turn)?,
            "DeleteAlerts" => self.delete_alerts(directive, turn)?,
            "SetVolume" => self.set_volume(volume(directive)?, turn),
            "AdjustVolume" => {
                let step = volume(directive)?;
                self.set_volume(i64::from(self.volume.get()).saturating_add(step), turn);
            }
            "SetAlarmVolumeRamp" => {
                let said: Value = payload(directive)?;
                match said["alarmVolumeRamp"].as_str() {
                    Some("ASCENDING") => self.set_ramp(true, false, turn),
                    Some("NONE") => self.set_ramp(false, false, turn),
                    _ => return Err(Refusal::unexpected("alarmVolumeRamp is neither NONE nor ASCENDING")),
                }
            }
            _ => return Err(unlisted(directive)),
        }
        self.step(turn);
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::Sound(id, news) => self.sound_news(*id, news, turn),
            Signal::Stored(receipt, ok) => self.stored(*receipt, *ok, turn),
            Signal::Fetched(asset, outcome) => self.fetched(asset, outcome.is_ok(), turn),
            Signal::Lead(lead) => {
                self.lead = *lead;
                self.step(turn);
            }
            Signal::Wish(Wish::StopAlert) => self.stop_here(turn),
            Signal::Wish(Wish::AlertVolume(volume)) => self.set_volume(i64::from(*volume), turn),
            Signal::Wish(Wish::AlarmRamp(ascending)) => self.set_ramp(*ascending, true, turn),
            _ => {}
        }
    }

    fn on_connection(&mut self, up: bool, turn: &mut Turn<'_>) {
        if !up {
            return;
        }
        self.fetch_missing(turn);
        // The choice of a device on which nobody ever chose is the cloud's own default.
        if self.ramp.untold {
            self.ramp.untold = false;
            turn.store(RAMP_KEY, self.ramp.to_value());
            turn.send(self.ramp_event("AlarmVolumeRampChanged"));
        } else if self.ramp.chosen {
            turn.send(self.ramp_event("AlarmVolumeRampReport"));
        }
    }

    fn on_announcement(&mut self, announcement: &Announcement, turn: &mut Turn<'_>) {
        // The alarm is music, and the music has begun.
        if let Announcement::Playback { alert: Some(token), activity: Activity::Playing, .. } = announcement
            && self.ring.as_ref().is_some_and(|ring| ring.alert.token == *token)
        {
            self.end_ring(turn);
            self.step(turn);
        }
    }

    fn on_focus(&mut self, change: FocusChange, turn: &mut Turn<'_>) {
        if change.channel == Channel::Alerts {
            self.focus(change.focus, turn);
            self.step(turn);
        }
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.silence(turn);
        for alert in self.book.clear() {
            self.discard(&alert, turn);
        }
        self.writing = None;
        self.kit.ready.clear();
        self.save(turn);
        self.step(turn);
    }

    fn deadline(&self) -> Option<HubTime> {
        self.wake
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        self.step(turn);
    }

    fn context(&self, _view: &View<'_>) -> Option<ContextEntry> {
        Some(entry(NAMESPACE, "AlertsState", self.book.state(self.sounding())))
    }

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        for alert in self.book.alerts() {
            picture.alerts.push(AlertView {
                token: alert.token.clone(),
                kind: alert.kind.word(),
                scheduled: alert.scheduled,
                label: alert.label.clone(),
                ringing: self.sounding() == Some(&alert.token),
            });
        }
        picture.alert_volume = Some(self.volume);
        picture.alarm_ramp = self.ramp.ascending;
    }

    fn settings(&self) -> Vec<ContextEntry> {
        vec![entry(NAMESPACE, "AlarmVolumeRampReport", self.ramp_payload())]
    }
}

fn volume(directive: &Directive) -> Result<i64, Refusal> {
    let said: Value = payload(directive)?;
    number(&said["volume"]).ok_or_else(|| Refusal::unexpected("volume is missing or not a number"))
}

fn token(name: &str, token: &str) -> Event {
    Event::new(NAMESPACE, name, json!({ "token": token }))
}

/// AlertStarted and AlertStopped (1.5: with both times).
fn timed(name: &str, alert: &Alert, at: antiphon_domain::WallTime) -> Event {
    let payload =
        json!({ "token": alert.token, "scheduledTime": alert.time, "eventTime": iso8601::format(at) });
    Event::new(NAMESPACE, name, payload)
}
