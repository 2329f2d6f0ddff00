//! When speakers are heard, as people set it: an offset of each, and groups that are to be quick.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{GroupId, SpeakerId};
use crate::units::OutOfRange;

/// How much later than everybody else a speaker is heard: -1000 to 1000 milliseconds, below 0 earlier. A metre nearer to
/// the ear is 3 ms later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Offset(i16);

impl Offset {
    /// Checks that `millis` lies in -1000 to 1000.
    pub fn new(millis: i64) -> Result<Self, OutOfRange> {
        match i16::try_from(millis) {
            Ok(m) if (-1_000..=1_000).contains(&m) => Ok(Self(m)),
            _ => Err(OutOfRange::Offset(millis)),
        }
    }

    /// Milliseconds, -1000 to 1000.
    pub const fn millis(self) -> i32 {
        self.0 as i32
    }
}

impl TryFrom<i64> for Offset {
    type Error = OutOfRange;
    fn try_from(value: i64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl From<Offset> for i64 {
    fn from(offset: Offset) -> i64 {
        i64::from(offset.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What people set; what they never set is as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    offsets: BTreeMap<SpeakerId, Offset>,
    low_latency: BTreeMap<GroupId, bool>,
}

impl Timing {
    /// What was set for a speaker.
    pub fn offset(&self, speaker: &SpeakerId) -> Option<Offset> {
        self.offsets.get(speaker).copied()
    }

    /// Whether a group was set to be quick, or not to be.
    pub fn low_latency(&self, group: &GroupId) -> Option<bool> {
        self.low_latency.get(group).copied()
    }

    pub(crate) fn set_offset(&mut self, speaker: &SpeakerId, offset: Offset) {
        self.offsets.insert(speaker.clone(), offset);
    }

    pub(crate) fn set_low_latency(&mut self, group: &GroupId, on: bool) {
        self.low_latency.insert(group.clone(), on);
    }

    pub(crate) fn forget_speaker(&mut self, speaker: &SpeakerId) {
        self.offsets.remove(speaker);
    }

    pub(crate) fn forget_group(&mut self, group: &GroupId) {
        self.low_latency.remove(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_second_at_most() {
        assert_eq!(Offset::new(-1_000).map(Offset::millis), Ok(-1_000));
        assert_eq!(Offset::new(1_001), Err(OutOfRange::Offset(1_001)));
        assert_eq!(serde_json::from_str::<Offset>("12").map(Offset::millis).ok(), Some(12));
        assert!(serde_json::from_str::<Offset>("70000").is_err());
    }
}
