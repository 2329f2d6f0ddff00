//! What a connection knows of its peer's presence and clock: pings for the first, `client/time` for the second.
//!
//! A client that asks for the time tells its own; how long that was on its way is bounded by the round trip of a ping.

use std::time::Duration;

use antiphon_audio::clock::{ClockFilter, Exchange};
use antiphon_domain::HubTime;
use antiphon_endpoint::{ClockReading, SyncReport};

/// Between two pings.
const EVERY: Duration = Duration::from_secs(2);
/// Silence after which a peer is gone: six pings.
const DEAD: Duration = Duration::from_secs(13);
/// Between two reports.
const REPORT: Duration = Duration::from_secs(1);
/// Round trips kept: the largest of them bounds the way of a message.
const KEPT: usize = 4;

/// The keeper of one connection.
pub struct Keeper {
    heard: HubTime,
    pinged: HubTime,
    reported: HubTime,
    trips: Vec<Duration>,
    filter: ClockFilter,
}

impl Keeper {
    /// Begins with a connection.
    pub fn new(now: HubTime) -> Self {
        // The first ping goes out at once.
        let pinged = now - EVERY;
        Self { heard: now, pinged, reported: now, trips: Vec::new(), filter: ClockFilter::new() }
    }

    /// Something came.
    pub fn heard(&mut self, now: HubTime) {
        self.heard = now;
    }

    /// Whether nothing came for too long.
    pub fn is_dead(&self, now: HubTime) -> bool {
        now.since(self.heard) > DEAD
    }

    /// What to send with a ping, when one is due.
    pub fn ping(&mut self, now: HubTime) -> Option<[u8; 8]> {
        if now.since(self.pinged) < EVERY {
            return None;
        }
        self.pinged = now;
        Some(now.nanos().to_be_bytes())
    }

    /// The answer came. One that was not asked for tells nothing.
    pub fn pong(&mut self, mark: &[u8], now: HubTime) {
        let Ok(mark) = <[u8; 8]>::try_from(mark) else { return };
        if i64::from_be_bytes(mark) != self.pinged.nanos() {
            return;
        }
        if self.trips.len() == KEPT {
            self.trips.remove(0);
        }
        self.trips.push(now.since(self.pinged));
    }

    /// The client's clock showed `micros` when it sent what came now.
    pub fn time(&mut self, micros: i64, now: HubTime) {
        let Some(longest) = self.trips.iter().max() else { return };
        let Some(sent) = micros.checked_mul(1_000) else { return };
        self.filter.observe(Exchange::one_way(sent, now, *longest));
    }

    /// A report, once a second.
    pub fn report(&mut self, now: HubTime) -> Option<SyncReport> {
        if now.since(self.reported) < REPORT {
            return None;
        }
        self.reported = now;
        let clock = self.filter.reading(now).map(|reading| ClockReading {
            offset_nanos: reading.offset_nanos,
            uncertainty: reading.uncertainty,
            drift_ppm: reading.drift_ppm,
        });
        // What its output really does, a Sendspin client does not tell.
        Some(SyncReport { clock, ..SyncReport::default() })
    }
}
