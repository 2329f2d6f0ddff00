//! Numbers with their units. Raw milliseconds and integers exist only in wire structs.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number that does not fit its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OutOfRange {
    /// A volume outside 0 to 100.
    #[error("a volume is 0 to 100, not {0}")]
    Volume(i64),
    /// A volume step outside -100 to 100.
    #[error("a volume step is -100 to 100, not {0}")]
    VolumeStep(i64),
    /// An offset outside -1000 to 1000 ms.
    #[error("an offset is -1000 to 1000 ms, not {0}")]
    Offset(i64),
}

/// A volume as people say it: 0 to 100 (AVS Speaker 1.0 uses the same scale).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Volume(u8);

impl Volume {
    /// Silence.
    pub const MIN: Volume = Volume(0);
    /// As loud as the speaker goes.
    pub const MAX: Volume = Volume(100);
    /// What a first sound never exceeds unless someone asked for more (product law 10).
    pub const SAFE: Volume = Volume(40);
    /// What content of 40 and more is heard at under something more important (AVS Device SDK).
    pub const DUCKED: Volume = Volume(20);
    /// What "unmute" makes of volume 0 (AVS Device SDK: minimum unmute volume).
    pub const UNMUTE: Volume = Volume(10);

    /// Checks that `value` lies in 0 to 100.
    pub fn new(value: i64) -> Result<Self, OutOfRange> {
        match u8::try_from(value) {
            Ok(v) if v <= 100 => Ok(Self(v)),
            _ => Err(OutOfRange::Volume(value)),
        }
    }

    /// The nearest volume to a real number on the same scale.
    pub fn nearest(value: f64) -> Self {
        // Snapped to a millionth first, so that one side of a rounding boundary stays one side however the
        // number was reached. The clamp makes the cast exact; NaN becomes 0.
        let snapped = (value * 1e6).round() / 1e6;
        Self(snapped.round().clamp(0.0, 100.0) as u8)
    }

    /// 0 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The volume after `step`, saturating at both ends.
    pub fn stepped(self, step: VolumeStep) -> Self {
        let sum = i16::from(self.0) + i16::from(step.get());
        Self(sum.clamp(0, 100) as u8)
    }

    /// The gain our own mixer applies for this volume: -0.5 dB a step near the top, falling faster towards
    /// silence, so that halves of the scale sound like halves. Volume 100 is 0 dB, 0 is silence.
    pub fn gain(self) -> Gain {
        // amplitude = (v/100)^2, i.e. 40·log10(v/100) dB: the usual square-law audio taper.
        if self.0 == 0 { Gain::Silence } else { Gain::Db(40.0 * (f32::from(self.0) / 100.0).log10()) }
    }
}

impl TryFrom<i64> for Volume {
    type Error = OutOfRange;
    fn try_from(value: i64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl From<Volume> for i64 {
    fn from(volume: Volume) -> i64 {
        i64::from(volume.0)
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A change of volume: -100 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct VolumeStep(i8);

impl VolumeStep {
    /// Checks that `value` lies in -100 to 100.
    pub fn new(value: i64) -> Result<Self, OutOfRange> {
        match i8::try_from(value) {
            Ok(v) if (-100..=100).contains(&v) => Ok(Self(v)),
            _ => Err(OutOfRange::VolumeStep(value)),
        }
    }

    /// -100 to 100.
    pub const fn get(self) -> i8 {
        self.0
    }
}

impl TryFrom<i64> for VolumeStep {
    type Error = OutOfRange;
    fn try_from(value: i64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl From<VolumeStep> for i64 {
    fn from(step: VolumeStep) -> i64 {
        i64::from(step.0)
    }
}

/// What a mixer multiplies samples by, in decibels; silence is said, not approximated.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub enum Gain {
    /// No sound at all.
    Silence,
    /// Decibels; 0 changes nothing.
    Db(f32),
}

impl Gain {
    /// Changes nothing.
    pub const UNITY: Gain = Gain::Db(0.0);

    /// This gain where `base` is applied already by somebody else; as it is when `base` is silence, which nothing undoes.
    pub fn over(self, base: Gain) -> Gain {
        match (self, base) {
            (Gain::Db(gain), Gain::Db(base)) => Gain::Db(gain - base),
            (gain, _) => gain,
        }
    }

    /// The factor for linear samples, 0.0 upwards.
    pub fn factor(self) -> f32 {
        match self {
            Gain::Silence => 0.0,
            Gain::Db(db) => 10f32.powf(db / 20.0),
        }
    }
}

/// Frames a second. Content in the hub is at [`SampleRate::HUB`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleRate(u32);

impl SampleRate {
    /// The hub's own rate: 44,100 Hz, which AirPlay 1 demands and every other kind accepts.
    pub const HUB: SampleRate = SampleRate(44_100);

    /// A rate in hertz; `None` for 0.
    pub const fn new(hertz: u32) -> Option<Self> {
        if hertz == 0 { None } else { Some(Self(hertz)) }
    }

    /// Hertz, never 0.
    pub const fn hertz(self) -> u32 {
        self.0
    }
}

/// A count of frames (one sample for each channel) at some rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frames(pub u64);

impl Frames {
    /// How long they last, to the nanosecond below.
    pub fn duration(self, rate: SampleRate) -> Duration {
        let nanos = u128::from(self.0) * 1_000_000_000 / u128::from(rate.hertz());
        Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
    }

    /// The whole frames in `duration`.
    pub fn within(duration: Duration, rate: SampleRate) -> Self {
        Self((duration.as_nanos() * u128::from(rate.hertz()) / 1_000_000_000) as u64)
    }
}

/// A moment on the hub's one monotonic clock: nanoseconds since the hub's epoch (its start).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HubTime(i64);

impl HubTime {
    /// The moment the hub's clock began.
    pub const EPOCH: HubTime = HubTime(0);

    /// Nanoseconds since the epoch; negative before it.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch; negative before it.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: HubTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl Add<Duration> for HubTime {
    type Output = HubTime;
    fn add(self, d: Duration) -> HubTime {
        HubTime(self.0.saturating_add(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for HubTime {
    type Output = HubTime;
    fn sub(self, d: Duration) -> HubTime {
        HubTime(self.0.saturating_sub(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// How early before its due time a block must be handed to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lead(pub Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_checked() {
        assert_eq!(Volume::new(100).map(Volume::get), Ok(100));
        assert_eq!(Volume::new(101), Err(OutOfRange::Volume(101)));
        assert_eq!(Volume::new(-1), Err(OutOfRange::Volume(-1)));
        assert_eq!(VolumeStep::new(-101), Err(OutOfRange::VolumeStep(-101)));
    }

    #[test]
    fn gain_has_true_ends() {
        assert_eq!(Volume::MIN.gain(), Gain::Silence);
        assert_eq!(Volume::MAX.gain().factor(), 1.0);
        assert!((Volume(50).gain().factor() - 0.25).abs() < 1e-6);
    }

    #[test]
    fn frames_and_durations_agree() {
        assert_eq!(Frames(44_100).duration(SampleRate::HUB), Duration::from_secs(1));
        assert_eq!(Frames::within(Duration::from_secs(2), SampleRate::HUB), Frames(88_200));
    }
}
