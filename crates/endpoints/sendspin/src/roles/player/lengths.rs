//! How long chunks are, and how many are made at a time.

use std::time::Duration;

use antiphon_audio::BLOCK_FRAMES;
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::Pace;

/// Blocks in a chunk. Steady: 79.8 ms, few messages, and with one more block still a FLAC frame of the streamable
/// subset at 48 kHz (RFC 9639: 4,608 frames). Quick: 16 ms, just above the 15 ms that a chunk should have.
pub const fn run_blocks(pace: Pace) -> usize {
    match pace {
        Pace::Steady => 10,
        Pace::Quick => 2,
    }
}

/// Blocks that are sent together, some chunks in one write: to be woken and to write cost more than to encrypt. Steady:
/// three chunks, 239 ms, with which the lead is still a little less than AirPlay and Snapcast receivers take.
pub const fn batch(pace: Pace) -> usize {
    match pace {
        Pace::Steady => 3 * run_blocks(pace),
        Pace::Quick => run_blocks(pace),
    }
}

/// The length of so many blocks.
pub fn blocks_last(blocks: usize) -> Duration {
    Frames((blocks * BLOCK_FRAMES) as u64).duration(SampleRate::HUB)
}

/// The number of the block that is heard at this moment, or nearest to it, on the hub's grid of blocks: the same for
/// all who are given it, so that they cut and send alike.
pub fn number(due: HubTime) -> i128 {
    let nanos_a_block = BLOCK_FRAMES as i128 * 1_000_000_000;
    let hertz = i128::from(SampleRate::HUB.hertz());
    (i128::from(due.nanos()) * hertz + nanos_a_block / 2).div_euclid(nanos_a_block)
}
