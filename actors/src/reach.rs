//! How early a speaker's blocks must come: pure, by what its kind can do, what its make adds, and what a person set.

use std::time::Duration;

use antiphon_domain::{Lead, Offset};
use antiphon_endpoint::{Descriptor, Kind, Pace, Shift, calibration};

/// A lead that is quick enough as it is, though the kind knows no quicker one (ours: a quarter of a second, at which a
/// key still seems to sound by itself).
const SMALL: Duration = Duration::from_millis(250);

/// What one endpoint can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The receiver's own lead where the network may stall.
    pub steady: Lead,
    /// The receiver's own lead in a group that is to be quick.
    pub quick: Lead,
    /// How much later than told it is heard, microseconds ([`calibration`]).
    pub latency_micros: i64,
}

impl Reach {
    /// What `kind` can do for this endpoint.
    pub fn of(kind: &dyn Kind, descriptor: &Descriptor) -> Self {
        Self {
            steady: kind.caps(descriptor, Pace::Steady).lead,
            quick: kind.caps(descriptor, Pace::Quick).lead,
            latency_micros: calibration::of(descriptor).map_or(0, |row| row.latency_micros),
        }
    }

    /// How its due times are moved where a person set this offset.
    pub fn shift(&self, offset: Offset) -> Shift {
        Shift { latency_micros: self.latency_micros, offset_millis: offset.millis() }
    }

    /// How early its blocks must come, moved or not.
    pub fn lead(&self, pace: Pace, offset: Offset) -> Lead {
        let own = match pace {
            Pace::Steady => self.steady,
            Pace::Quick => self.quick,
        };
        self.shift(offset).lead(own)
    }

    /// Whether it can be quick.
    pub fn is_quick(&self) -> bool {
        self.quick.0 < self.steady.0 || self.quick.0 <= SMALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speaker_that_is_to_be_earlier_wants_more_lead() {
        let lead = |ms| Lead(Duration::from_millis(ms));
        let reach = Reach { steady: lead(1_000), quick: lead(300), latency_micros: 5_000 };
        let offset = |ms| Offset::new(ms).unwrap_or_default();
        assert_eq!(reach.lead(Pace::Steady, offset(0)), lead(1_005));
        assert_eq!(reach.lead(Pace::Quick, offset(-100)), lead(405));
        assert_eq!(reach.lead(Pace::Quick, offset(100)), lead(300));
        assert!(reach.is_quick() && !Reach { steady: lead(300), ..reach }.is_quick());
        assert!(Reach { steady: lead(80), quick: lead(80), latency_micros: 0 }.is_quick());
    }
}
