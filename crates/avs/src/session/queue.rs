//! Events that wait for their turn: in order, bounded, none older than it may be.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::HubTime;

use super::{EventOutcome, Output};
use crate::message::{Event, Retry};

/// An event with the history of its attempts.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) event: Event,
    /// Its place among all events ever posted.
    order: u64,
    since: HubTime,
    pub(super) attempts: u32,
    pub(super) not_before: HubTime,
}

impl Pending {
    /// An event that never waits in the queue.
    pub(super) fn opening(event: Event, now: HubTime) -> Self {
        Self { event, order: 0, since: now, attempts: 0, not_before: now }
    }

    pub(super) fn outcome(&self, outcome: EventOutcome) -> Output {
        let header = &self.event.header;
        Output::Outcome {
            message_id: header.message_id.clone(),
            namespace: header.namespace.clone(),
            name: header.name.clone(),
            outcome,
        }
    }

    fn stale_at(&self, age: Duration) -> Option<HubTime> {
        (self.event.retry != Retry::UntilAccepted).then(|| self.since + age)
    }
}

/// The waiting events.
#[derive(Debug, Default)]
pub(super) struct Queue {
    posted: u64,
    waiting: VecDeque<Pending>,
}

impl Queue {
    /// Puts a new event last; returns the one that had to go because more than `limit` would wait.
    pub(super) fn push(&mut self, mut event: Event, now: HubTime, limit: usize) -> Option<Pending> {
        if event.audio.is_some() {
            // Its audio is sent as it is captured and then gone.
            event.retry = Retry::Never;
        }
        self.posted += 1;
        let order = self.posted;
        self.waiting.push_back(Pending { event, order, since: now, attempts: 0, not_before: now });
        if self.waiting.len() <= limit {
            return None;
        }
        let expendable = self.waiting.iter().position(|p| p.event.retry != Retry::UntilAccepted);
        self.waiting.remove(expendable.unwrap_or(0))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts an event back where it came from: before all that were posted later.
    pub(super) fn push_back_in(&mut self, pending: Pending) {
        let at = self.waiting.iter().position(|p| p.order > pending.order).unwrap_or(self.waiting.len());
        self.waiting.insert(at, pending);
    }

    /// Takes the event with this messageId.
    pub(super) fn withdraw(&mut self, message_id: &str) -> Option<Pending> {
        let at = self.waiting.iter().position(|p| p.event.header.message_id == message_id)?;
        self.waiting.remove(at)
    }

    /// Takes the first event that may go now.
    pub(super) fn next(&mut self, now: HubTime) -> Option<Pending> {
        let at = self.waiting.iter().position(|p| p.not_before <= now)?;
        self.waiting.remove(at)
    }

    /// Takes the events that cannot wait while there is no connection or that waited too long.
    pub(super) fn stale(&mut self, now: HubTime, age: Duration, offline: bool, out: &mut VecDeque<Output>) {
        self.waiting.retain(|p| {
            let lost = offline && p.event.retry == Retry::Never;
            let old = p.stale_at(age).is_some_and(|at| at <= now);
            if lost || old {
                out.push_back(p.outcome(if lost { EventOutcome::Lost } else { EventOutcome::TooOld }));
            }
            !lost && !old
        });
    }

    /// When something here needs attention: the next event that becomes stale, or, if `sending`, that may go.
    pub(super) fn deadline(&self, age: Duration, sending: bool, now: HubTime) -> Option<HubTime> {
        let stale = self.waiting.iter().filter_map(|p| p.stale_at(age)).min();
        let due = self.waiting.iter().map(|p| p.not_before).filter(|at| sending && *at > now).min();
        [stale, due].into_iter().flatten().min()
    }

    pub(super) fn clear(&mut self, out: &mut VecDeque<Output>) {
        for pending in self.waiting.drain(..) {
            out.push_back(pending.outcome(EventOutcome::Lost));
        }
    }
}
