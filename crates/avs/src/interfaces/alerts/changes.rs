//! How the alerts change: first on disk, then here, then the cloud is told.
//!
//! One change is written at a time. A stop by a person, or an alert's own end, counts at once and is written behind;
//! what the disk did not take is written again later.

use serde_json::json;

use super::alert::Alert;
use super::book::{self, Change};
use super::schedule::TICK;
use super::{Alerts, LATE, NAMESPACE, token};
use crate::effect::{Effect, Receipt};
use crate::interfaces::Turn;
use crate::message::Event;

impl Alerts {
    pub(super) fn change(&mut self, change: Change, turn: &mut Turn<'_>) {
        if let Err(change) = self.book.queue(change) {
            turn.send_certified(answer(&change, false));
            return;
        }
        self.write_change(turn);
    }

    /// Begins to write the first change that can be made at all.
    pub(super) fn write_change(&mut self, turn: &mut Turn<'_>) {
        while self.writing.is_none() {
            let Some(change) = self.book.first_change() else { return };
            if let Change::Set(alert) = change {
                let late = turn.view.moment.wall.since(alert.scheduled);
                if late > LATE || !self.book.has_room(alert) {
                    turn.send_certified(answer(change, false));
                    self.book.take_change();
                    continue;
                }
            }
            let receipt = turn.store_surely(book::KEY, self.book.to_value(true));
            self.writing = Some(receipt);
            self.written = Some(receipt);
        }
    }

    /// Writes the alerts as they are, with the change that is being written already.
    pub(super) fn save(&mut self, turn: &mut Turn<'_>) {
        let value = self.book.to_value(self.writing.is_some());
        self.written = Some(turn.store_surely(book::KEY, value));
        self.write_again = None;
    }

    pub(super) fn stored(&mut self, receipt: Receipt, ok: bool, turn: &mut Turn<'_>) {
        if self.written == Some(receipt) {
            self.write_again = (!ok).then(|| turn.now() + TICK);
        }
        if self.writing == Some(receipt) {
            self.writing = None;
            let Some(change) = self.book.take_change() else { return };
            if ok {
                self.commit(&change, turn);
            } else {
                // A later write may have taken it along.
                self.save(turn);
            }
            turn.send_certified(answer(&change, ok));
            self.write_change(turn);
        }
        self.step(turn);
    }

    /// A change is on disk: now it counts.
    pub(super) fn commit(&mut self, change: &Change, turn: &mut Turn<'_>) {
        match change {
            Change::Set(alert) => {
                self.snooze(&alert.token, turn);
                let old = self.book.put(alert.as_ref().clone());
                if let Some(old) = old {
                    self.discard(&old, turn);
                }
                for asset in &alert.assets {
                    turn.effect(Effect::Fetch { asset: asset.id(), url: asset.url.clone() });
                }
            }
            Change::Delete(token) => self.forget(token, turn),
            Change::DeleteMany(tokens) => {
                for token in tokens {
                    self.forget(token, turn);
                }
            }
        }
    }

    pub(super) fn forget(&mut self, token: &str, turn: &mut Turn<'_>) {
        self.snooze(token, turn);
        if let Some(alert) = self.book.remove(token) {
            self.discard(&alert, turn);
        }
    }

    /// Gives up the files of an alert that is gone, but for those the one in its place has too.
    pub(super) fn discard(&mut self, alert: &Alert, turn: &mut Turn<'_>) {
        let kept = self.book.get(&alert.token).map(|alert| alert.assets.as_slice()).unwrap_or_default();
        for asset in alert.assets.iter().filter(|asset| !kept.contains(asset)) {
            self.kit.ready.remove(&asset.id());
            turn.effect(Effect::Discard(asset.id()));
        }
    }
}

/// What the cloud hears of a change.
fn answer(change: &Change, ok: bool) -> Event {
    match (change, ok) {
        (Change::Set(alert), true) => token("SetAlertSucceeded", &alert.token),
        (Change::Set(alert), false) => token("SetAlertFailed", &alert.token),
        (Change::Delete(of), true) => token("DeleteAlertSucceeded", of),
        (Change::Delete(of), false) => token("DeleteAlertFailed", of),
        (Change::DeleteMany(tokens), ok) => {
            let name = if ok { "DeleteAlertsSucceeded" } else { "DeleteAlertsFailed" };
            Event::new(NAMESPACE, name, json!({ "tokens": tokens }))
        }
    }
}
