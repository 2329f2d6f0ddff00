//! Pure sound and time: blocks, gains over time, meters, mixing, tone control, chimes.
//!
//! Nothing here reads a clock or opens anything; whoever plays hands in samples and times.

pub mod block;
pub mod chime;
pub mod curve;
pub mod eq;
pub mod meter;
pub mod mix;
pub mod ramp;
pub mod tone;

pub use block::{BLOCK_FRAMES, Block, CHANNELS};
