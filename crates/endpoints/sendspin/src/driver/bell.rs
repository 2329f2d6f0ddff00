//! One bell for all connections: the render thread rings it once for a whole group.
//!
//! A group's members complete their batches of blocks within a millisecond or two of each other. To wake the connection of each from
//! outside the runtime costs two switches of threads apiece, more than encrypting and sending what it is woken for
//! (measured: 9 players, perf); so the first who is ready rings, and a moment later all who are get up together.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::inbox::Inbox;

/// How long the first waits for the others: several walks of the render thread over a house, and little of any lead.
const MOMENT: Duration = Duration::from_millis(4);

/// The bell. Its task ends when it is dropped.
pub struct Bell {
    waiting: Mutex<Vec<Arc<Inbox>>>,
    rung: Arc<Notify>,
}

impl Bell {
    /// Hangs it up on a runtime.
    pub fn hang(runtime: &Handle) -> Arc<Self> {
        let bell = Arc::new(Self { waiting: Mutex::default(), rung: Arc::default() });
        runtime.spawn(listen(Arc::downgrade(&bell), Arc::clone(&bell.rung)));
        bell
    }

    /// Has an inbox looked into in a moment.
    pub fn ring(&self, inbox: &Arc<Inbox>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(Arc::clone(inbox));
        let first = waiting.len() == 1;
        drop(waiting);
        if first {
            self.rung.notify_one();
        }
    }

    fn take(&self) -> Vec<Arc<Inbox>> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.rung.notify_one();
    }
}

async fn listen(bell: Weak<Bell>, rung: Arc<Notify>) {
    loop {
        rung.notified().await;
        sleep(MOMENT).await;
        let Some(bell) = bell.upgrade() else { return };
        for inbox in bell.take() {
            inbox.wake();
        }
    }
}
