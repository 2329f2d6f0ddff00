//! What the hub holds of a session: blocks and flushes go into a bounded queue in their order, of levels the latest
//! counts; nothing waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Level};
use antiphon_endpoint::{Caps, Control, Endpoint};
use tokio::sync::{mpsc, watch};

/// Orders that may wait for the session's task: 4 s of blocks.
const QUEUE: usize = 512;

/// In order for the session's task.
#[derive(Debug)]
pub(crate) enum Order {
    Play(Block),
    /// Everything due at or after this is void.
    Flush(HubTime),
}

/// The session's side.
pub(crate) struct Orders {
    pub queue: mpsc::Receiver<Order>,
    /// Closed when the endpoint is dropped.
    pub level: watch::Receiver<Option<Level>>,
    /// Blocks that found the queue full.
    pub refused: Arc<AtomicU32>,
}

/// The hub's side.
pub(crate) struct PulseEndpoint {
    caps: Caps,
    queue: mpsc::Sender<Order>,
    level: watch::Sender<Option<Level>>,
    /// A flush that found the queue full; it goes in front of whatever comes next.
    owed: Option<HubTime>,
    refused: Arc<AtomicU32>,
}

/// Both sides of a session.
pub(crate) fn pair(caps: Caps) -> (PulseEndpoint, Orders) {
    let (to_queue, queue) = mpsc::channel(QUEUE);
    let (to_level, level) = watch::channel(None);
    let refused = Arc::new(AtomicU32::new(0));
    let orders = Orders { queue, level, refused: Arc::clone(&refused) };
    (PulseEndpoint { caps, queue: to_queue, level: to_level, owed: None, refused }, orders)
}

impl PulseEndpoint {
    /// Hands over the flush that is owed; false when there is still no room.
    fn settle(&mut self) -> bool {
        let Some(from) = self.owed else { return true };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(Order::Flush(from)) {
            return false;
        }
        self.owed = None;
        true
    }
}

impl Endpoint for PulseEndpoint {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        if !self.settle() || self.queue.try_send(Order::Play(block.clone())).is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&mut self, from: HubTime) {
        self.owed = Some(self.owed.map_or(from, |owed| owed.min(from)));
        self.settle();
    }

    fn control(&mut self, control: Control) {
        if let Control::Level(level) = control {
            self.level.send_replace(Some(level));
        }
        self.settle();
    }
}
