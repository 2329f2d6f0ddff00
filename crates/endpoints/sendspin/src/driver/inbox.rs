//! What the hub holds of a session: blocks and wishes go into an inbox that the connection empties.
//!
//! Nothing waits and nothing wakes the connection for a single block: that would cost more than sending it. It is woken
//! once some chunks' worth is there, for a flush, a wish or the end; and whatever else it is woken for, blocks stay here
//! until then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead};
use antiphon_endpoint::{Caps, Control, Endpoint, EventSink, Pace};
use prometheus::IntCounter;
use tokio::sync::Notify;

use super::bell::Bell;
use crate::metrics::Counted;
use crate::roles::{blocks_last, number};

/// Blocks that wait, at most: 8 s, more than any lead.
const QUEUE: usize = 1024;

/// In order for the roles.
#[derive(Debug)]
pub enum Item {
    /// To be played.
    Block(Block),
    /// Everything due at or after this is void.
    Flush(HubTime),
}

#[derive(Default)]
struct Held {
    items: VecDeque<Item>,
    level: Option<Control>,
    now: Option<Control>,
    /// There is something worth taking.
    rung: bool,
    over: bool,
}

/// Between an endpoint and its connection.
pub struct Inbox {
    held: Mutex<Held>,
    woken: Notify,
    bell: Arc<Bell>,
    batch: i128,
    every: Duration,
    /// With so little time left a block is worth taking although its batch is not complete.
    latest: Duration,
}

/// What was in an inbox.
#[derive(Debug, Default)]
pub struct Taken {
    /// Blocks and flushes in order.
    pub items: VecDeque<Item>,
    /// The latest wishes.
    pub controls: Vec<Control>,
    /// Whether the hub is done with the session.
    pub over: bool,
}

impl Inbox {
    /// An empty one that rings where `batch` blocks of the hub's grid end: all of a group in the same moment, as they
    /// are given the same blocks.
    pub fn new(batch: usize, lead: Lead, bell: Arc<Bell>) -> Arc<Self> {
        let every = blocks_last(batch);
        let latest = lead.0.saturating_sub(every);
        let (held, woken) = (Mutex::default(), Notify::new());
        Arc::new(Self { held, woken, bell, batch: batch.max(1) as i128, every, latest })
    }

    /// Wakes the connection.
    pub fn wake(&self) {
        self.held().rung = true;
        self.woken.notify_one();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often a batch is complete while sound goes on.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// When there is something worth taking, as things are; `None` while there is nothing.
    pub fn worth_taking_at(&self) -> Option<HubTime> {
        let held = self.held();
        match held.items.front() {
            _ if held.rung || held.over => Some(HubTime::EPOCH),
            Some(Item::Block(block)) => Some(block.due - self.latest),
            Some(Item::Flush(_)) => Some(HubTime::EPOCH),
            None => None,
        }
    }

    /// Takes everything out.
    pub fn take(&self) -> Taken {
        let mut held = self.held();
        held.rung = false;
        let controls = [held.level.take(), held.now.take()].into_iter().flatten().collect();
        Taken { items: std::mem::take(&mut held.items), controls, over: held.over }
    }

    /// The connection is ready for what is here: all of it is worth taking, but the blocks whose time has passed.
    pub fn begin(&self, now: HubTime) {
        let is_past = |item: &Item| matches!(item, Item::Block(block) if block.due <= now);
        let mut held = self.held();
        held.items.retain(|item| !is_past(item));
        held.rung = true;
    }

    /// Returns when there is something worth taking.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Whether the hub is done with the session.
    pub fn is_over(&self) -> bool {
        self.held().over
    }
}

/// The session as the connection sees it.
pub struct Session {
    /// Where its blocks are.
    pub inbox: Arc<Inbox>,
    /// Where its news go.
    pub events: EventSink,
    /// The pace it was opened at.
    pub pace: Pace,
    /// What was promised for it.
    pub caps: Caps,
    /// Counts it as open.
    pub counted: Counted,
}

/// An open session, as the hub holds it.
pub struct SendspinEndpoint {
    inbox: Arc<Inbox>,
    caps: Caps,
    refused: IntCounter,
}

impl SendspinEndpoint {
    /// The hub's end of a session.
    pub fn new(session: &Session, refused: IntCounter) -> Self {
        Self { inbox: Arc::clone(&session.inbox), caps: session.caps, refused }
    }
}

impl Endpoint for SendspinEndpoint {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        let mut held = self.inbox.held();
        if held.items.len() >= QUEUE {
            // Whoever is to take them is not there yet, or stuck: what is oldest is worth least.
            self.refused.inc();
            held.items.pop_front();
        }
        held.items.push_back(Item::Block(block.clone()));
        drop(held);
        if (number(block.due) + 1).rem_euclid(self.inbox.batch) == 0 {
            self.inbox.bell.ring(&self.inbox);
        }
    }

    fn flush(&mut self, from: HubTime) {
        let mut held = self.inbox.held();
        held.items.retain(|item| match item {
            Item::Block(block) => block.due < from,
            // The newer one stands for an older one that reaches less far back.
            Item::Flush(older) => *older < from,
        });
        held.items.push_back(Item::Flush(from));
        held.rung = true;
        drop(held);
        self.inbox.woken.notify_one();
    }

    fn control(&mut self, control: Control) {
        let mut held = self.inbox.held();
        match &control {
            Control::Level(_) => held.level = Some(control),
            Control::Now(_) => held.now = Some(control),
            // What later versions of the contract may bring is not for us.
            _ => return,
        }
        let first = !std::mem::replace(&mut held.rung, true);
        drop(held);
        if first {
            self.inbox.woken.notify_one();
        }
    }
}

impl Drop for SendspinEndpoint {
    fn drop(&mut self) {
        self.inbox.held().over = true;
        self.inbox.woken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use antiphon_audio::BLOCK_FRAMES;
    use antiphon_domain::{Frames, SampleRate};

    use super::*;

    fn block(number: u64) -> Block {
        let due = HubTime::EPOCH + Frames(number * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        Block { due, samples: vec![0; 2].into() }
    }

    #[tokio::test]
    async fn all_of_a_group_are_worth_taking_with_the_same_block() {
        let bell = Bell::hang(&tokio::runtime::Handle::current());
        let lead = Lead(Duration::from_millis(960));
        let caps = Caps { lead, own_volume: true };
        let endpoint = || SendspinEndpoint {
            inbox: Inbox::new(30, lead, Arc::clone(&bell)),
            caps,
            refused: IntCounter::new("refused", "refused").unwrap(),
        };
        let (mut one, mut other) = (endpoint(), endpoint());
        // One has heard the whole group's sound, the other joins.
        for number in 3_000..3_029 {
            one.play(&block(number));
        }
        other.play(&block(3_028));
        let oldest = block(3_000).due - (lead.0 - blocks_last(30));
        assert_eq!(one.inbox.worth_taking_at(), Some(oldest));
        for endpoint in [&mut one, &mut other] {
            endpoint.play(&block(3_029));
            endpoint.inbox.woken().await;
            assert_eq!(endpoint.inbox.worth_taking_at(), Some(HubTime::EPOCH));
        }
        assert_eq!(one.inbox.take().items.len(), 30);
        assert_eq!(one.inbox.worth_taking_at(), None);
        one.control(Control::Level(antiphon_domain::Level {
            volume: antiphon_domain::Volume::SAFE,
            muted: false,
        }));
        assert_eq!(one.inbox.worth_taking_at(), Some(HubTime::EPOCH));
    }
}
