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

/// An endpoint whose slow calls held everybody else up for so long altogether is dropped: every other endpoint that is on
/// the network has more in hand than that (ours).
const PATIENCE: Duration = Duration::from_millis(200);
/// Of that a twentieth of the time that passes is forgiven. One that waits at each block holds the others up for more; one
/// in whose calls a busy machine took the processor away now and then, for less.
const PARDON: u32 = 20;

/// How long somebody's slow calls have held up everybody else, as far as it is not forgiven, and when the last one was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    long: Duration,
    last: HubTime,
}

impl Held {
    /// Nobody was, so far.
    pub(super) const NEVER: Self = Self { long: Duration::ZERO, last: HubTime::EPOCH };

    /// A call took so long, which ended `now`; whether others must be spared the next.
    fn took(&mut self, took: Duration, now: HubTime) -> bool {
        if took <= SLOW_CALL {
            return false;
        }
        self.long = self.long.saturating_sub(now.since(self.last) / PARDON) + took;
        self.last = now;
        self.long > PATIENCE
    }
}

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
            Ok(()) if self.held.took(took, after) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many calls that take `took` each, one every `every`, it is dropped.
    fn dropped_after(took: Duration, every: Duration) -> Option<u32> {
        let mut held = Held::NEVER;
        (1..10_000).find(|n| held.took(took, HubTime::EPOCH + every * *n))
    }

    #[test]
    fn one_that_waits_is_dropped_and_one_that_is_interrupted_is_not() {
        let ms = Duration::from_millis;
        assert_eq!(dropped_after(ms(60), ms(68)), Some(4));
        assert_eq!(dropped_after(ms(3), ms(11)), Some(82), "at each block");
        assert_eq!(dropped_after(ms(2), ms(8)), None, "no call is slow");
        assert_eq!(dropped_after(ms(20), ms(500)), None, "now and then");
        assert_eq!(dropped_after(ms(150), ms(3_100)), None);
    }
}
