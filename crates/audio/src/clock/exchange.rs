//! One exchange of time, as the bounds it sets on the offset: nothing arrives before it was sent.

use std::time::Duration;

use antiphon_domain::HubTime;

use super::MOST_DRIFT_PPM;

/// At the moment `at` the offset (receiver minus hub, nanoseconds) lay within `low..=high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub(super) at: i64,
    pub(super) low: i64,
    pub(super) high: i64,
}

/// Longer round trips tell nothing.
const LONGEST: i64 = 10_000_000_000;

impl Exchange {
    /// We asked: sent by our clock, received and answered by the receiver's, arrived by ours (the four stamps of
    /// RFC 5905). `None` where they cannot be: an answer before its question, or ten seconds for a round trip.
    pub fn two_way(sent: HubTime, received: i64, answered: i64, arrived: HubTime) -> Option<Self> {
        let (sent, arrived) = (sent.nanos(), arrived.nanos());
        if answered < received {
            return None;
        }
        let (low, high) = (answered.checked_sub(arrived)?, received.checked_sub(sent)?);
        Self::between(low, high, arrived, arrived.checked_sub(sent)?)
    }

    /// The receiver asked, and tells all four stamps: sent by its clock, received and answered by ours, arrived by its.
    pub fn asked(sent: i64, received: HubTime, answered: HubTime, arrived: i64) -> Option<Self> {
        let (received, answered) = (received.nanos(), answered.nanos());
        if answered < received {
            return None;
        }
        let (low, high) = (sent.checked_sub(received)?, arrived.checked_sub(answered)?);
        Self::between(low, high, answered, arrived.checked_sub(sent)?)
    }

    /// Only the receiver's stamp of sending and our arrival are known. `longest` is what the way is believed to take at
    /// most: half of it is the best such an exchange can know, however many there are.
    pub fn one_way(sent: i64, arrived: HubTime, longest: Duration) -> Self {
        let low = sent.saturating_sub(arrived.nanos());
        Self { at: arrived.nanos(), low, high: low.saturating_add(nanos(longest)) }
    }

    /// The receiver's clock showed this at that moment, give or take.
    pub fn measured(receiver: i64, at: HubTime, uncertainty: Duration) -> Self {
        let offset = receiver.saturating_sub(at.nanos());
        let by = nanos(uncertainty);
        Self { at: at.nanos(), low: offset.saturating_sub(by), high: offset.saturating_add(by) }
    }

    fn between(low: i64, high: i64, at: i64, took: i64) -> Option<Self> {
        // A clock may be read in coarse steps: a microsecond less than no time is no time.
        if !(0..=LONGEST).contains(&took) || high.checked_sub(low)? < -1_000 {
            return None;
        }
        // One of the bounds held when the exchange began; the clocks may have drifted since.
        let drifted = took / 1_000_000 * MOST_DRIFT_PPM as i64 + 1_000;
        let (low, high) = (low.min(high).saturating_sub(drifted), high.max(low).saturating_add(drifted));
        Some(Self { at, low, high })
    }

    /// The moment it is about.
    pub fn at(&self) -> HubTime {
        HubTime::from_nanos(self.at)
    }

    /// How well it alone knows the offset: half the round trip.
    pub fn uncertainty(&self) -> Duration {
        Duration::from_nanos((self.high.saturating_sub(self.low) / 2).max(0) as u64)
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
