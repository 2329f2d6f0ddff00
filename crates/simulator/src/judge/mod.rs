//! Owns what a device's messages mean to each other: which directive an event answers, what may come once, what must
//! come in order. One ledger a device; the connection tasks tell it of every directive before it is written and of
//! every accepted event. Pure: the time is an argument.

mod alerts;
mod answers;
mod dialog;
mod player;
mod speech;

use std::time::{Duration, Instant};

use serde_json::Value;

pub use answers::Owed;
pub(crate) use player::{Claim, HandOver};

/// What is known of one device's messages.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    answers: answers::Answers,
    pub(crate) alerts: alerts::Alerts,
    speech: speech::Speech,
    pub(crate) player: player::Streams,
    dialog: dialog::Dialog,
}

/// An accepted event.
pub(crate) struct Seen<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) message: &'a Value,
    pub(crate) connection: u64,
    /// When its request began.
    pub(crate) started: Instant,
}

impl Seen<'_> {
    pub(crate) fn header(&self, key: &str) -> &str {
        self.message["event"]["header"][key].as_str().unwrap_or_default()
    }

    pub(crate) fn payload(&self) -> &Value {
        &self.message["event"]["payload"]
    }

    pub(crate) fn token(&self) -> &str {
        self.payload()["token"].as_str().unwrap_or_default()
    }

    /// The payload of the context entry with that namespace and name.
    pub(crate) fn context(&self, namespace: &str, name: &str) -> Option<&Value> {
        let entries = self.message["context"].as_array()?;
        let fits =
            |entry: &&Value| entry["header"]["namespace"] == namespace && entry["header"]["name"] == name;
        entries.iter().find(fits).map(|entry| &entry["payload"])
    }
}

/// A directive about to be written.
pub(crate) struct Sent<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) header: &'a Value,
    pub(crate) payload: &'a Value,
    pub(crate) connection: u64,
    pub(crate) at: Instant,
}

impl Sent<'_> {
    pub(crate) fn token(&self) -> &str {
        self.payload["token"].as_str().unwrap_or_default()
    }
}

impl Ledger {
    /// The device may have been asked things by a simulator before this one, and says again what it could not know to
    /// have been heard.
    pub(crate) fn had_forerunner(&mut self) {
        self.answers.had_forerunner();
    }

    /// A directive is about to be written.
    pub(crate) fn sending(&mut self, message: &Value, connection: u64, at: Instant) {
        let directive = &message["directive"];
        let header = &directive["header"];
        let sent = Sent {
            namespace: header["namespace"].as_str().unwrap_or_default(),
            name: header["name"].as_str().unwrap_or_default(),
            header,
            payload: &directive["payload"],
            connection,
            at,
        };
        self.answers.sending(&sent);
        match sent.namespace {
            "Alerts" => self.alerts.sending(&sent),
            "SpeechSynthesizer" => self.speech.sending(&sent),
            "AudioPlayer" => self.player.sending(&sent),
            _ => {}
        }
        self.dialog.sending(&sent);
    }

    /// An event was accepted, and is no replay.
    pub(crate) fn event(&mut self, seen: &Seen<'_>, now: Instant, faults: &mut Vec<String>) {
        self.answers.event(seen, faults);
        if seen.name == "SynchronizeState" {
            self.alerts.synchronised(seen);
            self.player.synchronised(seen);
        }
        match seen.namespace {
            "Alerts" => self.alerts.event(seen, faults),
            "SpeechSynthesizer" => self.speech.event(seen, faults),
            _ => {}
        }
        let speaking = self.speech.outstanding();
        self.dialog.event(seen, now, speaking, faults);
        self.player.disturbed(seen, faults);
    }

    /// An event was refused or dropped by a fault of ours.
    pub(crate) fn lost(&mut self, seen: &Seen<'_>) {
        self.answers.lost(seen);
        self.player.lost();
        self.speech.lost();
    }

    /// Directives that wait for their answer.
    pub(crate) fn owed(&self) -> Vec<Owed> {
        self.answers.owed()
    }

    /// What should have been answered by now on connections that are still open, each told once.
    pub(crate) fn overdue(
        &mut self,
        now: Instant,
        within: Duration,
        open: impl Fn(u64) -> bool,
    ) -> Vec<(u64, String)> {
        self.answers.overdue(now, within, open)
    }
}
