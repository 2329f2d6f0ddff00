//! The way of blocks and flushes from who holds an endpoint to who sends for it: in order, bounded, never waiting.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use antiphon_audio::Block;
use antiphon_domain::HubTime;

/// Orders that wait: 4 s of blocks, more than a lead and a stalled driver need.
const QUEUE: usize = 512;

/// In order for the driver.
#[derive(Clone, Debug)]
pub enum Order {
    /// To be sent.
    Play(Block),
    /// Everything due at or after this is void.
    Flush(HubTime),
}

/// The end that the endpoint has; the other end is told by it when the endpoint is dropped.
#[derive(Debug)]
pub struct Orders {
    to: SyncSender<Order>,
    /// A flush that found the queue full; it goes in front of whatever comes next.
    owed: Option<HubTime>,
}

/// Both ends of a way.
pub fn orders() -> (Orders, Receiver<Order>) {
    let (to, taken) = sync_channel(QUEUE);
    (Orders { to, owed: None }, taken)
}

impl Orders {
    /// Hands over a block; false when it found no room.
    pub fn play(&mut self, block: &Block) -> bool {
        self.settle() && self.to.try_send(Order::Play(block.clone())).is_ok()
    }

    /// Hands over a flush, now or as soon as there is room.
    pub fn flush(&mut self, from: HubTime) {
        self.owed = Some(self.owed.map_or(from, |owed| owed.min(from)));
        self.settle();
    }

    /// Hands over the flush that is owed; false when there is still no room. To be tried at every occasion.
    pub fn settle(&mut self) -> bool {
        let Some(from) = self.owed else { return true };
        if let Err(TrySendError::Full(_)) = self.to.try_send(Order::Flush(from)) {
            return false;
        }
        self.owed = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::TryRecvError;

    use super::*;

    #[test]
    fn a_flush_that_finds_no_room_goes_before_what_comes_next() {
        let at = |nanos: i64| HubTime::from_nanos(nanos);
        let block = |nanos: i64| Block { due: at(nanos), samples: Vec::new().into() };
        let (mut orders, taken) = orders();
        let mut fitted = 0;
        while orders.play(&block(fitted)) {
            fitted += 1;
        }
        assert_eq!(fitted, QUEUE as i64);
        orders.flush(at(9));
        orders.flush(at(5));
        orders.flush(at(7));
        assert!(!orders.play(&block(1_000)), "it would come before the flush");
        for nth in 0..fitted {
            assert!(matches!(taken.try_recv(), Ok(Order::Play(block)) if block.due == at(nth)));
        }
        assert!(orders.play(&block(2_000)));
        drop(orders);
        assert!(matches!(taken.try_recv(), Ok(Order::Flush(from)) if from == at(5)));
        assert!(matches!(taken.try_recv(), Ok(Order::Play(block)) if block.due == at(2_000)));
        assert!(matches!(taken.try_recv(), Err(TryRecvError::Disconnected)));
    }
}
