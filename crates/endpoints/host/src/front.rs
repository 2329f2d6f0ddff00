//! What the hub holds of a session on this machine: a bounded queue to the thread that plays. Both kinds share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{HubTime, SampleRate};
use antiphon_endpoint::{Caps, Clock, Control, Endpoint};

/// Orders that may wait for the playing thread: 4 s of blocks.
const QUEUE: usize = SampleRate::HUB.hertz() as usize * 4 / BLOCK_FRAMES;

/// What the hub asks of the playing thread, in order, so that a flush takes only what was before it.
#[derive(Debug)]
pub(crate) enum Order {
    Play(Block),
    Flush(HubTime),
}

/// The hub's side of a session.
pub(crate) struct Front {
    caps: Caps,
    orders: SyncSender<Order>,
    clock: Arc<dyn Clock>,
    missed: Arc<AtomicU32>,
}

impl Front {
    /// A session's front, the orders for its thread, and the count of blocks that could not be taken.
    pub(crate) fn new(caps: Caps, clock: Arc<dyn Clock>) -> (Self, Receiver<Order>, Arc<AtomicU32>) {
        let (orders, taken) = sync_channel(QUEUE);
        let missed = Arc::new(AtomicU32::new(0));
        (Self { caps, orders, clock, missed: Arc::clone(&missed) }, taken, missed)
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Endpoint for Front {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        // A real speaker cannot play the past either.
        if block.due < self.clock.now() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.order(Order::Play(block.clone()));
        }
    }

    fn flush(&mut self, from: HubTime) {
        // Refused only by a session that is over or 4 s behind.
        self.order(Order::Flush(from));
    }

    /// The mixer does the volume: neither kind has its own, and their caps say so. Nothing here has a display.
    fn control(&mut self, _control: Control) {}
}
