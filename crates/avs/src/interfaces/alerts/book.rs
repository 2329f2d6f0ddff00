//! All the alerts of a device, and the changes to them that wait for the disk.
//!
//! Pure bookkeeping for the interface. A change the cloud asked for is written first and counts only when the disk has
//! taken it; changes are written one after the other, so that one that fails takes nothing else with it.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::alert::{Alert, Kind};

/// Where the alerts are kept.
pub(super) const KEY: &str = "alerts.all";
/// As many alerts in all (`maximumAlerts`; the maker's choice, these are the samples' of "Alerts").
pub(super) const OVERALL: usize = 25;
/// As many alarms.
pub(super) const ALARMS: usize = 20;
/// As many timers.
pub(super) const TIMERS: usize = 20;
/// As many changes wait for the disk; what comes beyond fails.
const WAITING: usize = 64;

/// A change the cloud asked for.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A new alert, or an old one anew.
    Set(Box<Alert>),
    /// One alert away.
    Delete(String),
    /// Several away, all or none.
    DeleteMany(Vec<String>),
}

/// All the alerts of a device.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// By time, then by token: the order in which they ring.
    alerts: Vec<Alert>,
    changes: VecDeque<Change>,
}

impl Book {
    /// With what was kept.
    pub(super) fn recall(stored: &BTreeMap<String, Value>) -> Self {
        let mut book = Book::default();
        for value in stored.get(KEY).and_then(Value::as_array).into_iter().flatten().take(OVERALL) {
            if let Some(alert) = Alert::recall(value) {
                book.put(alert);
            }
        }
        book
    }

    /// Every alert, in the order in which they ring.
    pub(super) fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// One of them.
    pub(super) fn get(&self, token: &str) -> Option<&Alert> {
        self.alerts.iter().find(|alert| alert.token == token)
    }

    /// Puts one in, in the place of the one with its token, which is handed back.
    pub(super) fn put(&mut self, alert: Alert) -> Option<Alert> {
        let old = self.remove(&alert.token);
        put(&mut self.alerts, alert);
        old
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, token: &str) -> Option<Alert> {
        let index = self.alerts.iter().position(|alert| alert.token == token)?;
        Some(self.alerts.remove(index))
    }

    /// Takes them all out, and forgets what waited.
    pub(super) fn clear(&mut self) -> Vec<Alert> {
        self.changes.clear();
        std::mem::take(&mut self.alerts)
    }

    /// Whether there is room for an alert beside those with other tokens.
    pub(super) fn has_room(&self, alert: &Alert) -> bool {
        let others = || self.alerts.iter().filter(|other| other.token != alert.token);
        let alike = others().filter(|other| other.kind == alert.kind).count();
        let room = match alert.kind {
            Kind::Alarm => alike < ALARMS,
            Kind::Timer => alike < TIMERS,
            Kind::Reminder => true,
        };
        room && others().count() < OVERALL
    }

    /// Has a change wait for the disk; handed back when too many wait.
    pub(super) fn queue(&mut self, change: Change) -> Result<(), Change> {
        if self.changes.len() >= WAITING {
            return Err(change);
        }
        self.changes.push_back(change);
        Ok(())
    }

    /// The change that is written, or will be next.
    pub(super) fn first_change(&self) -> Option<&Change> {
        self.changes.front()
    }

    /// The same, which waits no longer.
    pub(super) fn take_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// What belongs on disk: the alerts, and where `changed`, as the first change makes them.
    pub(super) fn to_value(&self, changed: bool) -> Value {
        let mut alerts = self.alerts.clone();
        match self.changes.front().filter(|_| changed) {
            None => {}
            Some(Change::Set(alert)) => {
                alerts.retain(|old| old.token != alert.token);
                put(&mut alerts, alert.as_ref().clone());
            }
            Some(Change::Delete(token)) => alerts.retain(|alert| alert.token != *token),
            Some(Change::DeleteMany(tokens)) => alerts.retain(|alert| !tokens.contains(&alert.token)),
        }
        if alerts.is_empty() { Value::Null } else { json!(alerts) }
    }

    /// What `AlertsState` says; `active` is the token of the one that sounds.
    pub(super) fn state(&self, active: Option<&str>) -> Value {
        let mut all = Vec::new();
        let mut sounding = Vec::new();
        for alert in &self.alerts {
            let said =
                json!({ "token": alert.token, "type": alert.kind.word(), "scheduledTime": alert.time });
            if active == Some(&alert.token) {
                sounding.push(said.clone());
            }
            all.push(said);
        }
        json!({ "allAlerts": all, "activeAlerts": sounding })
    }
}

fn put(alerts: &mut Vec<Alert>, alert: Alert) {
    let place = alerts.partition_point(|other| other.key() < alert.key());
    alerts.insert(place, alert);
}
