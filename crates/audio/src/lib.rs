//! Pure sound and time: blocks, ramps, meters, mixing, clocks.
//!
//! Nothing here reads a clock or opens anything; whoever plays hands in samples and times.

pub mod block;
pub mod meter;
pub mod mix;
pub mod ramp;
pub mod tone;

pub use block::{BLOCK_FRAMES, Block, CHANNELS};
