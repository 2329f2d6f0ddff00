//! How long chunks are.

use std::time::Duration;

use antiphon_audio::BLOCK_FRAMES;
use antiphon_domain::{Frames, SampleRate};
use antiphon_endpoint::Pace;

/// Blocks in a chunk. Steady: 79.8 ms, few messages, and with one more block still a FLAC frame of the streamable
/// subset at 48 kHz (RFC 9639: 4,608 frames). Quick: 16 ms, just above the 15 ms that a chunk should have.
pub const fn run_blocks(pace: Pace) -> usize {
    match pace {
        Pace::Steady => 10,
        Pace::Quick => 2,
    }
}

/// The length of so many blocks.
pub fn blocks_last(blocks: usize) -> Duration {
    Frames((blocks * BLOCK_FRAMES) as u64).duration(SampleRate::HUB)
}
