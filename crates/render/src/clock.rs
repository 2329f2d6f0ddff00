//! The hub's one clock. The only place of this crate that reads the time.

use std::time::Instant;

use antiphon_domain::HubTime;
use antiphon_endpoint::Clock;

/// The hub's clock: the system's monotonic clock, counted from the moment this value was made.
///
/// Made once by whoever wires the hub and handed to all who need the time. On Linux it is CLOCK_MONOTONIC, the clock
/// that GStreamer's system clock shows too, so the two never drift apart.
#[derive(Debug)]
pub struct HubClock {
    epoch: Instant,
}

impl HubClock {
    /// Begins the hub's epoch.
    pub fn new() -> Self {
        Self { epoch: Instant::now() }
    }
}

impl Default for HubClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HubClock {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.epoch.elapsed()
    }
}
