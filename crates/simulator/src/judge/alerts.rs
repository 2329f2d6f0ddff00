//! Owns the life of a device's alerts as its events tell it: set, ringing, ended; one at a time, in order.

use std::collections::BTreeMap;

use super::{Seen, Sent};
use crate::clock;

/// Most alerts remembered of one device.
const MAX_KNOWN: usize = 1000;

/// Whether an alert sounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ringing {
    #[default]
    Never,
    /// Since an AlertStarted on this connection.
    Since(u64),
    /// Ended by an AlertStopped on this connection.
    Ended(u64),
}

/// One alert the cloud knows of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alert {
    pub(crate) kind: String,
    /// Seconds since 1970 for which it was set, the newest last.
    pub(crate) times: Vec<i64>,
    pub(crate) ringing: Ringing,
    /// It has been deleted, or has ended.
    pub(crate) gone: bool,
    /// The album which an alarm with music plays.
    pub(crate) music: Option<Vec<String>>,
}

/// All alerts, by token.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    known: BTreeMap<String, Alert>,
    /// eventTime of the last AlertStarted or AlertStopped.
    last: i64,
}

impl Alerts {
    pub(super) fn sending(&mut self, sent: &Sent<'_>) {
        let token = sent.token();
        match sent.name {
            "SetAlert" if !token.is_empty() => {
                if self.known.len() >= MAX_KNOWN {
                    self.known.retain(|_, alert| !alert.gone);
                }
                let alert = self.known.entry(token.to_owned()).or_default();
                alert.kind = sent.payload["type"].as_str().unwrap_or_default().to_owned();
                alert.times.extend(sent.payload["scheduledTime"].as_str().and_then(clock::parse));
                alert.gone = false;
            }
            "DeleteAlert" => self.forget(token),
            "DeleteAlerts" => {
                let tokens = sent.payload["tokens"].as_array().map_or(&[][..], Vec::as_slice);
                for token in tokens {
                    self.forget(token.as_str().unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, token: &str) {
        if let Some(alert) = self.known.get_mut(token) {
            alert.gone = true;
        }
    }

    /// Takes over what the device says it has: it may be older than this simulator.
    pub(super) fn synchronised(&mut self, seen: &Seen<'_>) {
        let Some(state) = seen.context("Alerts", "AlertsState") else { return };
        for told in state["allAlerts"].as_array().map_or(&[][..], Vec::as_slice) {
            let token = told["token"].as_str().unwrap_or_default();
            if !token.is_empty() && !self.known.contains_key(token) && self.known.len() < MAX_KNOWN {
                let time = told["scheduledTime"].as_str().and_then(clock::parse);
                let kind = told["type"].as_str().unwrap_or_default().to_owned();
                self.known.insert(
                    token.to_owned(),
                    Alert { kind, times: time.into_iter().collect(), ..Alert::default() },
                );
            }
        }
    }

    pub(super) fn event(&mut self, seen: &Seen<'_>, faults: &mut Vec<String>) {
        let token = seen.token();
        match seen.name {
            "AlertStarted" | "AlertStopped" => {
                let time = seen.payload()["eventTime"].as_str().and_then(clock::parse).unwrap_or_default();
                if time < self.last {
                    faults.push("eventTime before that of an earlier certified event".to_owned());
                }
                self.last = self.last.max(time);
                if seen.name == "AlertStarted" {
                    self.started(seen, time, faults);
                } else {
                    self.stopped(seen, faults);
                }
            }
            "AlertEnteredForeground" | "AlertEnteredBackground" => {
                let alert = self.known.get(token);
                if alert.is_some_and(|alert| alert.ringing == Ringing::Ended(seen.connection)) {
                    faults.push(format!("alert {token} does not ring"));
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, seen: &Seen<'_>, time: i64, faults: &mut Vec<String>) {
        let token = seen.token();
        let here = Ringing::Since(seen.connection);
        let other = self.known.iter().find(|(name, alert)| *name != token && alert.ringing == here);
        if let Some((other, _)) = other {
            faults.push(format!("alert {token} began while {other} rang"));
        }
        // An alert older than this simulator may be unknown to it.
        let Some(alert) = self.known.get_mut(token) else { return };
        if alert.ringing == here {
            faults.push(format!("alert {token} began twice"));
        }
        let scheduled = seen.payload()["scheduledTime"].as_str().and_then(clock::parse).unwrap_or_default();
        if !alert.times.contains(&scheduled) {
            faults.push(format!("alert {token} was never set for its scheduledTime"));
        } else if time < scheduled {
            faults.push(format!("alert {token} began {} s early", scheduled - time));
        }
        alert.ringing = here;
    }

    fn stopped(&mut self, seen: &Seen<'_>, faults: &mut Vec<String>) {
        let token = seen.token();
        let Some(alert) = self.known.get_mut(token) else { return };
        if alert.ringing == Ringing::Ended(seen.connection) {
            faults.push(format!("alert {token} ended twice"));
        }
        alert.ringing = Ringing::Ended(seen.connection);
        let time = seen.payload()["scheduledTime"].as_str().and_then(clock::parse);
        // Set anew meanwhile (snooze), it stays.
        alert.gone |= time.is_none() || alert.times.last().copied() == time;
    }

    /// The alerts that are still to ring or ring now, by token.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (&String, &Alert)> {
        self.known.iter().filter(|(_, alert)| !alert.gone)
    }

    /// The token of the alert that rings.
    pub(crate) fn ringing(&self) -> Option<&str> {
        let rings = |alert: &Alert| matches!(alert.ringing, Ringing::Since(_));
        self.alive().find(|(_, alert)| rings(alert)).map(|(token, _)| token.as_str())
    }

    pub(crate) fn get(&mut self, token: &str) -> Option<&mut Alert> {
        self.known.get_mut(token)
    }

    /// Remembers that an alarm plays music, before it is set.
    pub(crate) fn with_music(&mut self, token: &str, album: Vec<String>) {
        self.known.entry(token.to_owned()).or_default().music = Some(album);
    }
}
