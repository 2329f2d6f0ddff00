//! What lies in a client's buffer, to the byte.
//!
//! Pure. `buffer_capacity` is a hard cap (spec, player v1): a chunk counts with its 13-byte header from the moment it
//! is sent until its last sample leaves the client, which is its timestamp plus its length minus the output delay.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::HubTime;

/// Bytes before a chunk's payload: type, timestamp, lead in hand (spec, player v1: "Audio Chunks").
pub const HEADER: u64 = 13;

/// The chunks a client holds.
#[derive(Debug)]
pub struct Ledger {
    capacity: u64,
    held: VecDeque<(HubTime, u64)>,
    bytes: u64,
}

impl Ledger {
    /// An empty buffer of so many bytes.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, held: VecDeque::new(), bytes: 0 }
    }

    /// Whether a chunk with this payload may be sent now.
    pub fn fits(&mut self, payload: u64, now: HubTime, output_delay: Duration) -> bool {
        while let Some(&(end, bytes)) = self.held.front() {
            if end - output_delay > now {
                break;
            }
            self.bytes -= bytes;
            self.held.pop_front();
        }
        self.bytes.saturating_add(payload + HEADER) <= self.capacity
    }

    /// A chunk was sent that ends at this moment.
    pub fn sent(&mut self, payload: u64, end: HubTime) {
        self.held.push_back((end, payload + HEADER));
        self.bytes += payload + HEADER;
    }

    /// When a chunk with this payload will fit, if nothing else is sent before; `None` when it never will.
    pub fn room_at(&self, payload: u64, output_delay: Duration) -> Option<HubTime> {
        let mut bytes = self.bytes;
        for &(end, held) in &self.held {
            bytes -= held;
            if bytes.saturating_add(payload + HEADER) <= self.capacity {
                return Some(end - output_delay);
            }
        }
        None
    }

    /// The client has emptied its buffer.
    pub fn clear(&mut self) {
        self.held.clear();
        self.bytes = 0;
    }

    /// Bytes held, headers included.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(millis: i64) -> HubTime {
        HubTime::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_chunk_counts_until_its_last_sample_has_left() {
        let mut ledger = Ledger::new(1_026);
        let none = Duration::ZERO;
        assert!(ledger.fits(500, at(0), none));
        ledger.sent(500, at(100));
        assert!(ledger.fits(500, at(0), none));
        assert!(!ledger.fits(501, at(99), none));
        ledger.sent(500, at(200));
        assert!(!ledger.fits(1, at(99), none));
        assert_eq!(ledger.room_at(1, none), Some(at(100)));
        assert_eq!(ledger.room_at(501, none), Some(at(200)));
        assert_eq!(ledger.room_at(1_014, none), None);
        assert!(ledger.fits(500, at(100), none));
        // Sound that is sent on with a delay leaves the buffer sooner.
        assert!(ledger.fits(1_013, at(170), Duration::from_millis(30)));
        assert_eq!(ledger.bytes(), 0);
    }

    proptest! {
        #[test]
        fn the_cap_is_never_passed(
            capacity in 100u64..5_000,
            steps in proptest::collection::vec((1u64..400, 0i64..60), 1..200),
        ) {
            let mut ledger = Ledger::new(capacity);
            let mut sent: Vec<(HubTime, u64)> = Vec::new();
            let (mut now, mut end) = (0, 50);
            for (payload, wait) in steps {
                now += wait;
                end += 20;
                if !ledger.fits(payload, at(now), Duration::ZERO) {
                    continue;
                }
                end = end.max(now + 20);
                ledger.sent(payload, at(end));
                sent.push((at(end), payload + HEADER));
                let held: u64 = sent.iter().filter(|(end, _)| *end > at(now)).map(|(_, bytes)| bytes).sum();
                prop_assert!(held <= capacity);
            }
        }
    }
}
