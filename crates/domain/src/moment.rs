//! The hub's clock and the calendar's beside each other.
//!
//! The hub's clock never jumps; the calendar may (NTP, a person). Only alarms, reports to people and AVS's own times
//! look at the calendar, and they do it through a [`Moment`] that is fresh at each input.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::units::HubTime;

/// A moment of the calendar: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    /// Nanoseconds since 1970; negative before.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Whole seconds since 1970; negative before.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since 1970; negative before.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: WallTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// This much later.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl From<SystemTime> for WallTime {
    fn from(time: SystemTime) -> Self {
        let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(nanos(since)),
            Err(before) => Self(-nanos(before.duration())),
        }
    }
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// On the hub's clock.
    pub hub: HubTime,
    /// In the calendar.
    pub wall: WallTime,
}

impl Moment {
    /// When, on the hub's clock, the calendar will show `wall`, as far as is known now.
    pub fn hub_at(&self, wall: WallTime) -> HubTime {
        HubTime::from_nanos(self.hub.nanos().saturating_add(wall.nanos().saturating_sub(self.wall.nanos())))
    }

    /// What the calendar shows at a moment of the hub's clock, as far as is known now.
    pub fn wall_at(&self, hub: HubTime) -> WallTime {
        WallTime(self.wall.nanos().saturating_add(hub.nanos().saturating_sub(self.hub.nanos())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_clocks_convert_both_ways() {
        let now = Moment { hub: HubTime::from_nanos(5), wall: WallTime::from_seconds(1_000) };
        let later = WallTime::from_seconds(1_002);
        assert_eq!(now.hub_at(later), HubTime::from_nanos(2_000_000_005));
        assert_eq!(now.wall_at(now.hub_at(later)), later);
        assert_eq!(WallTime::from_nanos(-1).seconds(), -1);
    }
}
