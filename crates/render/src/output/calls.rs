//! Calling an endpoint: whatever it does there, nobody else is harmed. One that panics is dropped, and so is one that
//! waits: everybody waits with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_endpoint::{Clock, Endpoint};
use tracing::{error, warn};

use super::OutputState;
use crate::metrics::SLOW_CALL;
use crate::news::OutputEvent;

/// An endpoint whose slow calls held everybody else up for so long altogether, with no pause of [`PARDON`], is dropped:
/// every other endpoint that is on the network has more in hand than that (ours).
const PATIENCE: Duration = Duration::from_millis(200);
const PARDON: Duration = Duration::from_secs(2);

impl OutputState {
    /// Gives up the endpoint, to be dropped where nobody waits.
    pub(crate) fn into_endpoint(mut self) -> Option<Box<dyn Endpoint>> {
        self.voices.fail();
        self.endpoint
    }

    /// Whether the endpoint broke.
    pub(crate) fn is_dead(&self) -> bool {
        self.endpoint.is_none()
    }

    pub(super) fn call(&mut self, clock: &dyn Clock, act: impl FnOnce(&mut dyn Endpoint)) {
        let Some(endpoint) = self.endpoint.as_mut() else { return };
        let before = clock.now();
        let done = catch_unwind(AssertUnwindSafe(|| act(endpoint.as_mut())));
        let after = clock.now();
        let took = after.since(before);
        if took > SLOW_CALL {
            self.metrics.slow.inc();
        }
        let words = match done {
            Err(panic) => {
                self.metrics.panics.inc();
                let words = words_of(panic.as_ref());
                error!(speaker = %self.speaker, panic = %words, "an endpoint panicked and is dropped");
                words
            }
            Ok(()) if self.holds_up(took, after) => {
                error!(speaker = %self.speaker, "an endpoint waits where it never may and is dropped");
                "it held up every other speaker".to_owned()
            }
            Ok(()) => return,
        };
        let broken = self.endpoint.take();
        if catch_unwind(AssertUnwindSafe(|| drop(broken))).is_err() {
            warn!(speaker = %self.speaker, "it panicked again while it was dropped");
        }
        // First, so that whoever hears of its sounds knows that nothing is wrong with them.
        self.tell(OutputEvent::Failed(words));
        self.voices.fail();
    }

    /// Whether its calls wait so long that others must be spared it.
    fn holds_up(&mut self, took: Duration, now: HubTime) -> bool {
        if took <= SLOW_CALL {
            return false;
        }
        let (held, last) = self.held;
        let before = if now.since(last) > PARDON { Duration::ZERO } else { held };
        self.held = (before + took, now);
        before + took > PATIENCE
    }

    pub(super) fn tell(&self, event: OutputEvent) {
        let sink = &self.sink;
        if catch_unwind(AssertUnwindSafe(|| sink(event))).is_err() {
            error!(speaker = %self.speaker, "the listener of an output panicked");
        }
    }
}

/// What a panic said, when it said it in words.
pub(crate) fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(words) = panic.downcast_ref::<&str>() {
        return (*words).to_owned();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "no words".to_owned())
}
