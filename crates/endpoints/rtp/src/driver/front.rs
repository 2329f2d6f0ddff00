//! What the hub holds of a session. Every method puts an order into a bounded channel and returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use antiphon_audio::Block;
use antiphon_domain::HubTime;
use antiphon_endpoint::{Caps, Control, Endpoint, Orders};

use crate::metrics::SessionMetrics;

/// An open session.
pub struct Front {
    caps: Caps,
    orders: Orders,
    refused: Arc<AtomicU32>,
    metrics: SessionMetrics,
}

impl Front {
    /// A front of this lane.
    pub fn new(caps: Caps, orders: Orders, refused: Arc<AtomicU32>, metrics: SessionMetrics) -> Self {
        Self { caps, orders, refused, metrics }
    }
}

impl Endpoint for Front {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        if !self.orders.play(block) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.metrics.refused.inc();
        }
    }

    fn flush(&mut self, from: HubTime) {
        self.orders.flush(from);
    }

    fn control(&mut self, _control: Control) {
        // The volume is the mixer's, and nothing shows what plays.
        self.orders.settle();
    }
}
