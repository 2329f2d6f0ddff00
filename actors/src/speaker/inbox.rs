//! News of the link, kept until the actor has time: its mailbox may be full of other things, and a directive must not be
//! lost for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use antiphon_link::LinkEvent;

/// News that may wait: far more than a mailbox, and still a bound.
const MOST: usize = 8_192;

/// The queue between a link's task and its speaker.
#[derive(Clone, Default)]
pub(super) struct Inbox {
    waiting: Arc<Mutex<VecDeque<LinkEvent>>>,
}

impl Inbox {
    /// Puts news at the end; false, and it is lost, when too much waits already.
    pub(super) fn put(&self, event: LinkEvent) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST {
            return false;
        }
        waiting.push_back(event);
        true
    }

    /// The oldest news.
    pub(super) fn take(&self) -> Option<LinkEvent> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
