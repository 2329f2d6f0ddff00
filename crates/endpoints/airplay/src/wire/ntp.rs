//! Hub time as NTP timestamps.
//!
//! The mapping is one fixed shift, the same for every receiver and session, so that receivers which follow it play
//! in time with each other. It is not wall time: receivers only ever compare it with itself.

use antiphon_domain::HubTime;

/// Seconds added to hub time: 1970 on NTP's scale (RFC 5905: 2,208,988,800 s after 1900). Far from zero, because
/// receivers take a clock difference of zero for "not known yet", and hub times shortly before the epoch fit too.
const EPOCH_SECONDS: i64 = 2_208_988_800;

const NANOS: i64 = 1_000_000_000;

/// A 64-bit NTP timestamp: seconds in the upper, 2^-32 seconds in the lower half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The timestamp of a moment of the hub, rounded to the nearest 2^-32 s.
    pub fn of(time: HubTime) -> Self {
        let seconds = time.nanos().div_euclid(NANOS).wrapping_add(EPOCH_SECONDS) as u64;
        let nanos = time.nanos().rem_euclid(NANOS) as u64;
        // nanos < 2^30, so the shift fits; rounding can carry into the seconds, which addition does by itself.
        let fraction = ((nanos << 32) + (NANOS as u64) / 2) / NANOS as u64;
        Self((seconds << 32).wrapping_add(fraction))
    }

    /// The eight bytes as they travel.
    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_epoch_is_1970() {
        assert_eq!(NtpTime::of(HubTime::EPOCH).0, 2_208_988_800 << 32);
        assert_eq!(NtpTime::of(HubTime::from_nanos(500_000_000)).0, (2_208_988_800 << 32) | 0x8000_0000);
    }

    proptest! {
        #[test]
        fn differences_survive(a in -1_000_000_000_000i64..1_000_000_000_000, d in 0i64..10_000_000_000) {
            let from = NtpTime::of(HubTime::from_nanos(a)).0;
            let to = NtpTime::of(HubTime::from_nanos(a + d)).0;
            let nanos = (u128::from(to - from) * 1_000_000_000) >> 32;
            prop_assert!((nanos as i64 - d).abs() <= 1);
        }
    }
}
