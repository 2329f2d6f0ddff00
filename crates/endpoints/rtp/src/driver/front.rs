//! What the hub holds of a session. Every method puts an order into a bounded channel and returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use antiphon_audio::Block;
use antiphon_domain::HubTime;
use antiphon_endpoint::{Caps, Control, Endpoint};

use crate::metrics::SessionMetrics;

/// Orders that wait: 4 s of blocks.
pub const QUEUE: usize = 512;

/// In order for the lane.
#[derive(Debug)]
pub enum Order {
    /// To be sent.
    Play(Block),
    /// Everything due at or after this is void.
    Flush(HubTime),
}

/// An open session.
pub struct Front {
    caps: Caps,
    orders: SyncSender<Order>,
    /// A flush that found the queue full; it goes in front of whatever comes next.
    owed: Option<HubTime>,
    refused: Arc<AtomicU32>,
    metrics: SessionMetrics,
}

impl Front {
    /// A front of this lane.
    pub fn new(
        caps: Caps,
        orders: SyncSender<Order>,
        refused: Arc<AtomicU32>,
        metrics: SessionMetrics,
    ) -> Self {
        Self { caps, orders, owed: None, refused, metrics }
    }

    /// Hands over the flush that is owed; false while there is no room.
    fn settle(&mut self) -> bool {
        let Some(from) = self.owed else { return true };
        if let Err(TrySendError::Full(_)) = self.orders.try_send(Order::Flush(from)) {
            return false;
        }
        self.owed = None;
        true
    }
}

impl Endpoint for Front {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        if !self.settle() || self.orders.try_send(Order::Play(block.clone())).is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.metrics.refused.inc();
        }
    }

    fn flush(&mut self, from: HubTime) {
        self.owed = Some(self.owed.map_or(from, |owed| owed.min(from)));
        self.settle();
    }

    fn control(&mut self, _control: Control) {
        // The volume is the mixer's, and nothing shows what plays.
        self.settle();
    }
}
