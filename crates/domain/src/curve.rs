//! One member's balance: its volume as a function of the group level.
//!
//! The algebra behind the volume laws: remember the member's volume `v` at the level `l` where it was last wished;
//! below `l` it scales towards 0, above `l` towards 100, both in proportion. The curve is never decreasing, 0 at
//! level 0, and never changed by a group command, so every walk of group commands that comes back finds it again.

use serde::{Deserialize, Serialize};

/// A group level: a real number from 0 to 100. Kept real, because the level that puts one member exactly where it
/// was asked to be is rarely whole.
pub type GroupLevel = f64;

/// Where a member was last wished to be: `volume` when the group is at `level`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    level: GroupLevel,
    volume: f64,
}

impl Curve {
    /// The curve through `volume` (0 to 100) at `level`, which lies between 0 and 100: at the ends every curve is at
    /// its own end, so callers move the level off them first (see `Group::wish`).
    pub fn through(level: GroupLevel, volume: f64) -> Self {
        Self {
            level: level.clamp(f64::MIN_POSITIVE, 100.0 - f64::EPSILON * 64.0),
            volume: volume.clamp(0.0, 100.0),
        }
    }

    /// The curve of a speaker that simply follows the level.
    pub const fn identity() -> Self {
        Self { level: 50.0, volume: 50.0 }
    }

    /// The member's volume when the group is at `level`, 0 to 100.
    pub fn at(&self, level: GroupLevel) -> f64 {
        if level <= 0.0 {
            0.0
        } else if level <= self.level {
            self.volume * (level / self.level)
        } else {
            100.0 - (100.0 - self.volume) * ((100.0 - level) / (100.0 - self.level))
        }
    }

    /// The lowest level at which the member is at `volume`.
    ///
    /// Volume 0 gives level 0.
    pub fn lowest_level_for(&self, volume: f64) -> GroupLevel {
        if volume <= 0.0 {
            0.0
        } else if volume <= self.volume {
            self.level * (volume / self.volume)
        } else {
            100.0 - (100.0 - volume) * ((100.0 - self.level) / (100.0 - self.volume))
        }
    }

    /// The level nearest to `now` at which the member is at `volume`; differs from the lowest only where the curve
    /// is flat (a wish of 0 or of 100).
    pub fn nearest_level_for(&self, volume: f64, now: GroupLevel) -> GroupLevel {
        if volume <= 0.0 && self.volume <= 0.0 {
            return now.min(self.level);
        }
        if volume >= 100.0 && self.volume >= 100.0 {
            return now.max(self.level);
        }
        self.lowest_level_for(volume)
    }

    /// The highest level at which the member still rounds to silence.
    pub(crate) fn silent_up_to(&self) -> GroupLevel {
        // 0.4 rounds to 0 with room to spare.
        if self.volume <= 0.4 { self.level } else { self.level * (0.4 / self.volume) }
    }

    /// The lowest level at which the member already rounds to 100.
    pub(crate) fn full_from(&self) -> GroupLevel {
        if self.volume >= 99.6 {
            self.level
        } else {
            100.0 - (100.0 - self.level) * (0.4 / (100.0 - self.volume))
        }
    }

    /// The same wish, remembered between the levels 1 and 99. Only for a member that is at its end now, silent or
    /// full: what it does at once does not change.
    pub(crate) fn off_the_ends(self) -> Self {
        Self { level: self.level.clamp(1.0, 99.0), volume: self.volume }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_decreasing_and_silent_at_zero(l in 0.001f64..=100.0, v in 0.0f64..=100.0, a in 0.0f64..=100.0, b in 0.0f64..=100.0) {
            let curve = Curve::through(l, v);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(curve.at(low) <= curve.at(high) + 1e-9);
            prop_assert_eq!(curve.at(0.0), 0.0);
        }

        #[test]
        fn the_inverse_finds_the_volume(l in 0.5f64..99.5, v in 0.0f64..=100.0, want in 0.0f64..=100.0) {
            let curve = Curve::through(l, v);
            let level = curve.lowest_level_for(want);
            prop_assert!((curve.at(level) - want).abs() < 1e-6, "{curve:?} {want} {level}");
        }
    }
}
