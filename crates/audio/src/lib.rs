//! Pure sound and time: blocks, gains over time, meters, mixing, tone control, chimes; clocks, playout, other rates.
//!
//! Nothing here reads a clock or opens anything; whoever plays hands in samples and times.

pub mod align;
pub mod block;
pub mod chime;
pub mod clock;
pub mod curve;
pub mod drift;
pub mod encode;
pub mod eq;
pub mod meter;
pub mod mix;
pub mod playout;
pub mod ramp;
pub mod resample;
pub mod tone;

pub use block::{BLOCK_FRAMES, Block, CHANNELS};
