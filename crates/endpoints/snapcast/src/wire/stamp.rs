//! Moments as the protocol writes them: seconds and microseconds, both signed 32 bits.

use antiphon_domain::HubTime;

use super::WireError;

/// Where the hub's epoch lies on the clock that clients are told, in seconds: far enough from 0 that no stamp of ours
/// is ever negative.
pub const SERVER_EPOCH: i32 = 1_000;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// A moment, or a difference of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Whole seconds, rounded down.
    pub sec: i32,
    /// The rest, 0 to 999,999 microseconds.
    pub usec: i32,
}

impl Stamp {
    /// A moment of the hub on the clock that clients are told, to the nearest microsecond.
    pub fn of(moment: HubTime) -> Self {
        let micros = (moment.nanos().saturating_add(500)).div_euclid(1_000);
        Self::from_micros(micros.saturating_add(i64::from(SERVER_EPOCH) * SECOND))
    }

    /// So many microseconds; beyond 68 years it stays there.
    pub fn from_micros(micros: i64) -> Self {
        let sec = micros.div_euclid(SECOND);
        let sec = i32::try_from(sec).unwrap_or(if sec < 0 { i32::MIN } else { i32::MAX });
        // Below a million.
        Self { sec, usec: micros.rem_euclid(SECOND) as i32 }
    }

    /// In microseconds.
    pub fn micros(self) -> i64 {
        i64::from(self.sec) * SECOND + i64::from(self.usec)
    }

    /// A stamp as read; an error where a clock cannot show it.
    pub fn checked(sec: i32, usec: i32) -> Result<Self, WireError> {
        if sec < 0 || !(0..1_000_000).contains(&usec) {
            return Err(WireError::Stamp { sec, usec });
        }
        Ok(Self { sec, usec })
    }

    /// As it is written.
    pub fn bytes(self) -> [u8; 8] {
        let mut out = [0; 8];
        out[..4].copy_from_slice(&self.sec.to_le_bytes());
        out[4..].copy_from_slice(&self.usec.to_le_bytes());
        out
    }
}
