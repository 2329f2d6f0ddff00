//! The words and rules of the hub: no I/O, no async, no clock.
//!
//! Everybody above speaks in these types. A function here is a function of values and, where time matters, of a
//! [`HubTime`] handed in.

pub mod bluetooth;
pub mod curve;
pub mod equalizer;
pub mod focus;
pub mod group;
pub mod house;
pub mod id;
pub mod level;
pub mod media;
pub mod mix;
pub mod moment;
pub mod playlist;
pub mod secret;
pub mod sound;
pub mod timing;
pub mod units;

pub use id::{GroupId, SpeakerId};
pub use level::{Level, LevelCommand, Report};
pub use moment::{Moment, WallTime};
pub use secret::Secret;
pub use timing::Offset;
pub use units::{Frames, Gain, HubTime, Lead, SampleRate, Volume, VolumeStep};
