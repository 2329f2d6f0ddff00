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
/// Between two reports, when there is something new.
const REPORT: Duration = Duration::from_secs(1);
/// Between two reports at most: what is not told again is soon taken for unknown.
const REPEAT: Duration = Duration::from_secs(3);
/// Round trips kept: the largest of them bounds the way of a message.
const KEPT: usize = 4;

/// The keeper of one connection.
pub struct Keeper {
    heard: HubTime,
    pinged: HubTime,
    reported: HubTime,
    trips: Vec<Duration>,
    filter: ClockFilter,
    /// Something was learnt of its clock since the last report.
    learnt: bool,
}

impl Keeper {
    /// Begins with a connection.
    pub fn new(now: HubTime) -> Self {
        // The first ping goes out at once.
        let pinged = now - EVERY;
        let (trips, filter) = (Vec::new(), ClockFilter::new());
        Self { heard: now, pinged, reported: now, trips, filter, learnt: false }
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
        self.learnt = true;
    }

    /// A report, where there is something new or the last is old. A client that is in time asks for it every few seconds.
    pub fn report(&mut self, now: HubTime) -> Option<SyncReport> {
        let age = now.since(self.reported);
        if age < REPORT || (age < REPEAT && !self.learnt) {
            return None;
        }
        (self.reported, self.learnt) = (now, false);
        let clock = self.filter.reading(now).map(|reading| ClockReading {
            offset_nanos: reading.offset_nanos,
            uncertainty: reading.uncertainty,
            drift_ppm: reading.drift_ppm,
        });
        // What its output really does, a Sendspin client does not tell.
        Some(SyncReport { clock, ..SyncReport::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> HubTime {
        HubTime::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn what_is_new_is_told_once_and_what_is_known_is_not_forgotten() {
        let mut keeper = Keeper::new(at(0));
        let mark = keeper.ping(at(0)).unwrap();
        keeper.pong(&mark, at(2));
        keeper.time(7_000_000, at(10));
        assert_eq!(keeper.report(at(900)), None);
        assert!(keeper.report(at(1_000)).is_some_and(|report| report.clock.is_some()));
        assert_eq!(keeper.report(at(3_900)), None);
        assert!(keeper.report(at(4_000)).is_some_and(|report| report.clock.is_some()));
    }
}
