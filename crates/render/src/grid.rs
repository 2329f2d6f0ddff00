//! The one grid that every block of every feed and output lies on: block k begins at frame k * 352 of the hub's clock.
//!
//! Pure arithmetic. Because content and voices share it, an output can hand out either or both without ever owing an
//! endpoint a part of a block. Due times are rounded to the nanosecond below, so a nanosecond more or less is forgiven.

use antiphon_domain::{Frames, HubTime, SampleRate};

use crate::timeline::BLOCK;

/// When a block must be heard.
pub(crate) fn due(block: u64) -> HubTime {
    frame_due(block.saturating_mul(BLOCK))
}

/// When a frame must be heard.
pub(crate) fn frame_due(frame: u64) -> HubTime {
    HubTime::EPOCH + Frames(frame).duration(SampleRate::HUB)
}

/// The first block due at or after a moment.
pub(crate) fn from(moment: HubTime) -> u64 {
    frames(moment.nanos() - 2, 999_999_999).div_ceil(BLOCK)
}

/// The block that a due time belongs to.
pub(crate) fn nearest(moment: HubTime) -> u64 {
    (frame(moment) + BLOCK / 2) / BLOCK
}

/// The frame that begins nearest to a moment.
pub(crate) fn frame(moment: HubTime) -> u64 {
    frames(moment.nanos(), 500_000_000)
}

fn frames(nanos: i64, round: u128) -> u64 {
    let nanos = u128::try_from(nanos).unwrap_or(0);
    ((nanos * u128::from(SampleRate::HUB.hertz()) + round) / 1_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_moments_agree() {
        for block in (0..5_000_000).step_by(997) {
            let due = due(block);
            assert_eq!(nearest(due), block);
            assert_eq!(frame(due), block * BLOCK);
            assert_eq!(from(due), block);
            assert_eq!(from(HubTime::from_nanos(due.nanos() - 1)), block);
            assert_eq!(from(HubTime::from_nanos(due.nanos() + 1)), block, "a nanosecond is forgiven");
            assert_eq!(from(HubTime::from_nanos(due.nanos() + 30_000)), block + 1);
        }
        assert_eq!(from(HubTime::from_nanos(-5)), 0);
    }
}
