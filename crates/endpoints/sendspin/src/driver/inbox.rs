//! What the hub holds of a session: blocks and wishes go into an inbox that the connection empties.
//!
//! Nothing waits and nothing wakes the connection for a single block: that would cost more than sending it. It is woken
//! once a run is complete, for a flush, a wish or the end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use antiphon_audio::Block;
use antiphon_domain::HubTime;
use antiphon_endpoint::{Caps, Control, Endpoint, EventSink, Pace};
use prometheus::IntCounter;
use tokio::sync::Notify;

use super::bell::Bell;
use crate::metrics::Counted;

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
    /// Blocks since the connection was woken last.
    fresh: usize,
    over: bool,
}

/// Between an endpoint and its connection.
pub struct Inbox {
    held: Mutex<Held>,
    woken: Notify,
    bell: Arc<Bell>,
    run: usize,
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
    /// An empty one that rings for `run` blocks.
    pub fn new(run: usize, bell: Arc<Bell>) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), woken: Notify::new(), bell, run: run.max(1) })
    }

    /// Wakes the connection.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything out.
    pub fn take(&self) -> Taken {
        let mut held = self.held();
        held.fresh = 0;
        let controls = [held.level.take(), held.now.take()].into_iter().flatten().collect();
        Taken { items: std::mem::take(&mut held.items), controls, over: held.over }
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
            self.refused.inc();
            return;
        }
        held.items.push_back(Item::Block(block.clone()));
        held.fresh += 1;
        let wake = held.fresh == self.inbox.run;
        drop(held);
        if wake {
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
        drop(held);
        self.inbox.woken.notify_one();
    }

    fn control(&mut self, control: Control) {
        let mut held = self.inbox.held();
        let first = held.level.is_none() && held.now.is_none();
        match &control {
            Control::Level(_) => held.level = Some(control),
            Control::Now(_) => held.now = Some(control),
            // What later versions of the contract may bring is not for us.
            _ => return,
        }
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
