//! News of receivers that dial the hub, on its way from the kinds to the task: the latest of each receiver, so that a
//! flood of them is bounded and nobody's last word is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Arrival, ArrivalSink};
use tokio::sync::Notify;

use crate::merge::MAX_ENDPOINTS;

#[derive(Clone, Default)]
pub(crate) struct Calls {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By receiver; that it is free is a word of its own, which does not take the place of its coming or going.
    waiting: Mutex<BTreeMap<(SpeakerId, bool), Arrival>>,
    news: Notify,
}

impl Calls {
    /// Where a kind tells who dials us. It never blocks for longer than a map takes.
    pub fn sink(&self) -> ArrivalSink {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |arrival| shared.put(arrival))
    }

    /// Waits for the next; what comes in is not lost when the waiting is given up.
    pub async fn next(&self) -> Arrival {
        loop {
            let arrival = self.shared.lock().pop_first();
            if let Some((_, arrival)) = arrival {
                return arrival;
            }
            self.shared.news.notified().await;
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(SpeakerId, bool), Arrival>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, arrival: Arrival) {
        let key = match &arrival {
            Arrival::Here(descriptor) => (descriptor.id.clone(), false),
            Arrival::Gone(id) => (id.clone(), false),
            Arrival::Free(id) => (id.clone(), true),
        };
        let mut waiting = self.lock();
        // As many as there can be endpoints: whoever comes beyond that would not be taken in either.
        if waiting.len() >= MAX_ENDPOINTS && !waiting.contains_key(&key) {
            tracing::warn!(id = %key.0, "too many receivers call at once; one is not heard");
            return;
        }
        waiting.insert(key, arrival);
        drop(waiting);
        self.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_each_counts() {
        let calls = Calls::default();
        let sink = calls.sink();
        for n in 0..3_000 {
            sink(Arrival::Gone(SpeakerId::new(format!("{:04}", n % 1_500))));
        }
        assert_eq!(calls.shared.lock().len(), MAX_ENDPOINTS, "a flood is bounded");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let first = runtime.block_on(calls.next());
        assert_eq!(first, Arrival::Gone(SpeakerId::new("0000")));
    }

    #[test]
    fn one_that_is_free_is_still_heard_to_have_gone() {
        let calls = Calls::default();
        let sink = calls.sink();
        let id = || SpeakerId::new("bath");
        sink(Arrival::Gone(id()));
        sink(Arrival::Free(id()));
        sink(Arrival::Free(id()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(runtime.block_on(calls.next()), Arrival::Gone(id()));
        assert_eq!(runtime.block_on(calls.next()), Arrival::Free(id()));
        assert!(calls.shared.lock().is_empty());
    }
}
