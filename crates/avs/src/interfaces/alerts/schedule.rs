//! What rings when: the hub's clock and the calendar, the channel, and the end of a ring.
//!
//! Each step looks at both clocks anew. While an alert waits the next step is at most [`TICK`] away, so that a
//! corrected calendar is noticed; what sounds already is not touched by it.

use std::time::Duration;

use antiphon_domain::focus::{Channel, Focus, Mixability};
use antiphon_domain::sound::{SoundId, Voice};
use antiphon_domain::{HubTime, WallTime};

use super::alert::{Alert, Kind};
use super::ring::{Form, Meaning, Ring, Stage};
use super::{Alerts, LATE, timed, token};
use crate::effect::{AssetId, Effect, SoundCommand};
use crate::interfaces::{Announcement, Turn};
use crate::signal::SoundNews;

/// How often the calendar is looked at while an alert waits.
pub(super) const TICK: Duration = Duration::from_secs(30);
/// How long ahead the first sound is prepared, and the endpoint woken (ours).
const AHEAD: Duration = Duration::from_secs(5);
/// How much earlier than the endpoint's lead the first sound is ordered (ours).
const SLACK: Duration = Duration::from_millis(250);
/// An alert rings no longer than this, from the moment it was set for (AVS Device SDK).
const LIMIT: Duration = Duration::from_secs(3600);
/// How far a slewed calendar may move an ordered beginning before it is ordered anew (ours; nobody hears it).
const DRIFT: Duration = Duration::from_millis(20);
/// From here on a change of the calendar is a correction (ours).
const STEP: i64 = 1_000_000_000;
/// An alarm that comes up slowly is at its volume after this time (AVS Device SDK).
const SWELL: Duration = Duration::from_secs(60);
/// What could not be fetched is asked for again after this time (ours).
const FETCH_AGAIN: Duration = Duration::from_secs(300);

impl Alerts {
    /// Does all that is due.
    pub(super) fn step(&mut self, turn: &mut Turn<'_>) {
        self.follow_calendar(turn);
        let now = turn.now();
        if self.write_again.is_some_and(|at| at <= now) {
            self.save(turn);
        }
        if self.fetch_again.is_some_and(|at| at <= now) {
            self.fetch_missing(turn);
        }
        self.check_plan(turn);
        // Each ring that ends takes an alert away, so this ends.
        while self.pick(turn) && self.advance(turn) {}
        self.plan(turn);
    }

    /// At the first look, and when the calendar was corrected: what is long past by now does not ring.
    fn follow_calendar(&mut self, turn: &mut Turn<'_>) {
        let moment = turn.view.moment;
        let calendar = moment.wall.nanos().saturating_sub(moment.hub.nanos());
        let before = self.calendar.replace(calendar);
        let Some(before) = before else {
            turn.sound(SoundCommand::AlertVolume(self.volume));
            self.fetch_missing(turn);
            return self.drop_overdue(None, turn);
        };
        if calendar.saturating_sub(before).saturating_abs() >= STEP {
            // What was due before waits for another alert to end, and has a right to ring.
            let then = WallTime::from_nanos(moment.hub.nanos().saturating_add(before));
            if self.ring.as_ref().is_some_and(|ring| !ring.started && ring.due > moment.hub) {
                self.silence(turn);
            }
            self.drop_overdue(Some(then), turn);
        }
    }

    fn drop_overdue(&mut self, due_before: Option<WallTime>, turn: &mut Turn<'_>) {
        let now = turn.view.moment.wall;
        let limit = WallTime::from_nanos(now.nanos().saturating_sub(LATE.as_nanos() as i64));
        let mut gone = Vec::new();
        for alert in self.book.alerts() {
            let rings = self.ring.as_ref().is_some_and(|ring| ring.alert.token == alert.token);
            if alert.scheduled < limit && due_before.is_none_or(|then| alert.scheduled > then) && !rings {
                gone.push(alert.clone());
            }
        }
        for alert in gone {
            turn.send_certified(timed("AlertStopped", &alert, now));
            self.remove(&alert.token, turn);
        }
    }

    /// Gives up a ring that has not begun when it is not the next one any more, or is due at another moment.
    fn check_plan(&mut self, turn: &mut Turn<'_>) {
        let Some(ring) = self.ring.as_ref().filter(|ring| !ring.started) else { return };
        let due = turn.view.moment.hub_at(ring.alert.scheduled);
        let moved = due.since(ring.due).max(ring.due.since(due)) > DRIFT;
        let ahead = ring.due > turn.now() || due > turn.now();
        let is_next = self.book.alerts().first().is_some_and(|first| first.token == ring.alert.token);
        if !is_next || (moved && ahead) {
            self.silence(turn);
        }
    }

    /// Whether there is a ring; begins one when it is time to.
    fn pick(&mut self, turn: &mut Turn<'_>) -> bool {
        let moment = turn.view.moment;
        while self.ring.is_none() {
            let Some(alert) = self.book.alerts().first().cloned() else { return false };
            let (due, limit) = (moment.hub_at(alert.scheduled), moment.hub_at(alert.scheduled.after(LIMIT)));
            if limit <= moment.hub {
                // Others rang all its hour long.
                turn.send_certified(timed("AlertStopped", &alert, moment.wall));
                self.remove(&alert.token, turn);
                continue;
            }
            if due - self.ahead() > moment.hub {
                return false;
            }
            self.ring = Some(Ring::new(alert, due, limit, expected_form(turn), &mut self.kit, turn));
        }
        true
    }

    /// Takes a ring as far as it is; whether it ended.
    fn advance(&mut self, turn: &mut Turn<'_>) -> bool {
        let now = turn.now();
        let lead = self.lead;
        let Some(ring) = &mut self.ring else { return false };
        if ring.limit <= now {
            self.end_ring(turn);
            return true;
        }
        if ring.stage == Stage::Prepared && ring.due - lead - SLACK <= now {
            let form = expected_form(turn);
            if ring.form != form {
                ring.form(form, &mut self.kit, turn);
            }
            let swell = self.ramp.ascending && ring.alert.kind == Kind::Alarm;
            if swell || self.swollen {
                let over = if swell { SWELL } else { Duration::ZERO };
                turn.sound(SoundCommand::Swell { voice: Voice::Alert, over });
            }
            self.swollen = swell;
            ring.order_first(turn);
        }
        if ring.stage == Stage::Ordered && ring.due - lead <= now {
            // What is heard under it is ducked from the moment on at which it is heard: that is a lead from now.
            ring.stage = Stage::Claimed;
            turn.take_focus(Channel::Alerts, Mixability::Mixable);
            turn.announce(Announcement::Ringing(true));
        }
        if ring.stage == Stage::Claimed && ring.form == Form::Silent && !ring.started && ring.due <= now {
            self.tell_started(now, turn);
        }
        false
    }

    /// What the channel says.
    pub(super) fn focus(&mut self, focus: Focus, turn: &mut Turn<'_>) {
        let Some(ring) = self.ring.as_mut().filter(|ring| ring.stage == Stage::Claimed) else { return };
        let form = match focus {
            Focus::Foreground => Form::Full,
            Focus::Ducked => Form::Short,
            Focus::Paused => Form::Silent,
            // Somebody took the channel away: as if a person had stopped it.
            Focus::None => return self.end_ring(turn),
        };
        let before = ring.form;
        if form != before {
            ring.form(form, &mut self.kit, turn);
            if ring.started && (form == Form::Full) != (before == Form::Full) {
                self.tell_form(turn);
            }
        }
    }

    pub(super) fn sound_news(&mut self, id: SoundId, news: &SoundNews, turn: &mut Turn<'_>) {
        if id.voice != Voice::Alert {
            return;
        }
        let Some(ring) = &mut self.ring else { return };
        match ring.news(id, news, &mut self.kit, turn) {
            Meaning::Nothing => {}
            Meaning::Heard(at) => {
                if !ring.started {
                    self.tell_started(at, turn);
                }
            }
            Meaning::Over | Meaning::Broken => self.end_ring(turn),
        }
        self.step(turn);
    }

    fn tell_started(&mut self, at: HubTime, turn: &mut Turn<'_>) {
        if let Some(ring) = &mut self.ring {
            ring.started = true;
            // The two clocks are read one after the other: a hair's breadth must not make it a second early.
            let begun = turn.view.moment.wall_at(at).max(ring.alert.scheduled);
            turn.send_certified(timed("AlertStarted", &ring.alert, begun));
            self.tell_form(turn);
        }
    }

    /// Who is not there to hear it has no use for it later.
    fn tell_form(&self, turn: &mut Turn<'_>) {
        if let Some(ring) = &self.ring {
            let front = ring.form == Form::Full;
            let name = if front { "AlertEnteredForeground" } else { "AlertEnteredBackground" };
            turn.send_in_order(token(name, &ring.alert.token));
        }
    }

    /// A person wants silence.
    pub(super) fn stop_here(&mut self, turn: &mut Turn<'_>) {
        if self.ring.as_ref().is_some_and(|ring| ring.started || ring.due <= turn.now()) {
            self.end_ring(turn);
        }
        self.step(turn);
    }

    /// The end of the alert that rings.
    pub(super) fn end_ring(&mut self, turn: &mut Turn<'_>) {
        if let Some(alert) = self.silence(turn) {
            turn.send_certified(timed("AlertStopped", &alert, turn.view.moment.wall));
            self.remove(&alert.token, turn);
        }
    }

    /// If this one rings, it falls silent, and is told to have stopped if it was heard; the alert itself remains.
    pub(super) fn snooze(&mut self, of: &str, turn: &mut Turn<'_>) {
        let Some(ring) = self.ring.as_ref().filter(|ring| ring.alert.token == of) else { return };
        let started = ring.started;
        if let Some(alert) = self.silence(turn).filter(|_| started) {
            turn.send_certified(timed("AlertStopped", &alert, turn.view.moment.wall));
        }
    }

    /// Nothing rings or is about to any more; which alert did.
    pub(super) fn silence(&mut self, turn: &mut Turn<'_>) -> Option<Alert> {
        let mut ring = self.ring.take()?;
        ring.hush(turn);
        if ring.stage == Stage::Claimed {
            turn.give_up_focus(Channel::Alerts);
            turn.announce(Announcement::Ringing(false));
        }
        Some(ring.alert)
    }

    fn remove(&mut self, of: &str, turn: &mut Turn<'_>) {
        if let Some(alert) = self.book.remove(of) {
            self.save(turn);
            self.discard(&alert, turn);
        }
    }

    pub(super) fn fetched(&mut self, asset: &AssetId, ok: bool, turn: &mut Turn<'_>) {
        let mut ours = self.book.alerts().iter().flat_map(|alert| &alert.assets);
        if !ours.any(|known| known.id() == *asset) {
            return;
        }
        if ok {
            self.kit.ready.insert(asset.clone());
            if let Some(ring) = &mut self.ring {
                ring.fetched(&mut self.kit, turn);
            }
        } else {
            self.kit.ready.remove(asset);
            self.fetch_again = self.fetch_again.or(Some(turn.now() + FETCH_AGAIN));
        }
        self.step(turn);
    }

    /// Asks for every file that is not here.
    pub(super) fn fetch_missing(&mut self, turn: &mut Turn<'_>) {
        self.fetch_again = None;
        for asset in self.book.alerts().iter().flat_map(|alert| &alert.assets) {
            if !self.kit.ready.contains(&asset.id()) {
                turn.effect(Effect::Fetch { asset: asset.id(), url: asset.url.clone() });
            }
        }
    }

    fn ahead(&self) -> Duration {
        AHEAD.max(self.lead + SLACK)
    }

    /// When to look again.
    fn plan(&mut self, turn: &Turn<'_>) {
        let moment = turn.view.moment;
        let mut times = vec![self.write_again, self.fetch_again];
        if let Some(first) = self.book.alerts().first() {
            times.push(Some(moment.hub + TICK));
            if self.ring.is_none() {
                times.push(Some(moment.hub_at(first.scheduled) - self.ahead()));
            }
        }
        if let Some(ring) = &self.ring {
            times.push(Some(ring.limit));
            times.push(match ring.stage {
                Stage::Prepared => Some(ring.due - self.lead - SLACK),
                Stage::Ordered => Some(ring.due - self.lead),
                Stage::Claimed => (ring.form == Form::Silent && !ring.started).then_some(ring.due),
            });
        }
        // Never the present moment again: that would be a busy loop.
        let soonest = moment.hub + Duration::from_millis(1);
        self.wake = times.into_iter().flatten().min().map(|time| time.max(soonest));
    }
}

/// In which form it would be heard now.
fn expected_form(turn: &Turn<'_>) -> Form {
    let focus = turn.view.focus.view();
    let busy = [Channel::Dialog, Channel::Communications].into_iter().any(|c| focus.of(c).is_some());
    if busy { Form::Short } else { Form::Full }
}
