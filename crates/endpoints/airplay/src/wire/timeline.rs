//! Due times as RTP timestamps.
//!
//! Timestamps count the frames sent; an anchor, told to the receiver by sync packets, says which frame is heard at
//! which moment of the hub. Blocks that follow each other keep the anchor; a hole moves the timestamp on by whole
//! frames and lays the anchor anew, so what remains of a frame is never rounded away and receivers of one group meet
//! the same moment however each came to it. After a flush the timestamps go on where they were, under a new anchor.

use antiphon_domain::{Frames, HubTime, SampleRate};

/// How far a due time may lie from where the last block ended and still follow it: a quarter of a frame, well above
/// the nanosecond to which due times are rounded.
const TOLERANCE_NANOS: i64 = 5_000;

const RATE: i128 = 44_100;
const NANOS: i128 = 1_000_000_000;

/// Where a block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the start or after a flush: a new anchor.
    Begins(u32),
    /// Right after the one before.
    Follows(u32),
    /// After a hole: timestamps jump, a new anchor.
    Jumps(u32),
}

/// The timestamps of one session.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    next: u32,
    anchor: Option<Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    due: HubTime,
    timestamp: u32,
    /// Frames placed since.
    frames: u64,
}

impl Anchor {
    fn end(&self) -> HubTime {
        self.due + Frames(self.frames).duration(SampleRate::HUB)
    }
}

impl Timeline {
    /// Timestamps from `first` on.
    pub fn new(first: u32) -> Self {
        Self { next: first, anchor: None }
    }

    /// The timestamp that follows the last frame placed.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// The moment after the last frame placed since the last [`Self::restart`]; `None` when there was none.
    pub fn end(&self) -> Option<HubTime> {
        self.anchor.map(|anchor| anchor.end())
    }

    /// Forgets the anchor: the next block begins anew, at the next timestamp.
    pub fn restart(&mut self) {
        self.anchor = None;
    }

    /// Lays the anchor for a first block due at `due` before it is placed, so that the receiver can be told first.
    pub fn begin(&mut self, due: HubTime) {
        self.anchor = Some(Anchor { due, timestamp: self.next, frames: 0 });
    }

    /// Places `frames` frames that are due at `due`; `None` when they lie before the end of what was placed.
    pub fn place(&mut self, due: HubTime, frames: u32) -> Option<Place> {
        let (place, anchor) = match self.anchor {
            None => {
                (Place::Begins(self.next), Anchor { due, timestamp: self.next, frames: u64::from(frames) })
            }
            Some(mut anchor) => {
                let hole = due.nanos() - anchor.end().nanos();
                if hole < -TOLERANCE_NANOS {
                    return None;
                }
                if hole <= TOLERANCE_NANOS {
                    anchor.frames += u64::from(frames);
                    (Place::Follows(self.next), anchor)
                } else {
                    let skipped = (i128::from(hole) * RATE + NANOS / 2) / NANOS;
                    // Timestamps count modulo 2^32 by nature.
                    let timestamp = self.next.wrapping_add(skipped as u32);
                    (Place::Jumps(timestamp), Anchor { due, timestamp, frames: u64::from(frames) })
                }
            }
        };
        let (Place::Begins(timestamp) | Place::Follows(timestamp) | Place::Jumps(timestamp)) = place;
        self.next = timestamp.wrapping_add(frames);
        self.anchor = Some(anchor);
        Some(place)
    }

    /// A frame heard at about `now` and the exact moment it is heard, at most one frame before `now`; `None` before
    /// anything was placed. Frames before the anchor are told as if the stream had been playing already.
    pub fn heard(&self, now: HubTime) -> Option<(HubTime, u32)> {
        let anchor = self.anchor?;
        let elapsed = i128::from(now.nanos()) - i128::from(anchor.due.nanos());
        let frames = (elapsed * RATE).div_euclid(NANOS);
        let at = i128::from(anchor.due.nanos()) + (frames * NANOS).div_euclid(RATE);
        // Both fit: they lie within a frame of `now`, and timestamps count modulo 2^32.
        Some((HubTime::from_nanos(at as i64), anchor.timestamp.wrapping_add(frames as u32)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block_due(anchor: i64, block: u64) -> HubTime {
        HubTime::from_nanos(anchor) + Frames(block * 352).duration(SampleRate::HUB)
    }

    #[test]
    fn a_hole_moves_the_timestamps_and_a_step_back_is_refused() {
        let mut line = Timeline::new(u32::MAX - 100);
        assert_eq!(line.place(block_due(0, 0), 352), Some(Place::Begins(u32::MAX - 100)));
        assert_eq!(line.place(block_due(0, 1), 352), Some(Place::Follows(251)));
        assert_eq!(line.place(block_due(0, 1), 352), None);
        assert_eq!(line.place(block_due(0, 4), 352), Some(Place::Jumps(251 + 3 * 352)));
        line.restart();
        assert_eq!(line.place(block_due(0, 2), 352), Some(Place::Begins(251 + 4 * 352)));
    }

    proptest! {
        #[test]
        fn blocks_in_a_row_follow_and_stay_exact(anchor in -1_000_000_000i64..1_000_000_000_000, base: u32, n in 1u64..3000) {
            let mut line = Timeline::new(base);
            line.place(block_due(anchor, 0), 352);
            for block in 1..n {
                let expected = base.wrapping_add((block * 352) as u32);
                prop_assert_eq!(line.place(block_due(anchor, block), 352), Some(Place::Follows(expected)));
            }
            let due = block_due(anchor, n);
            let (at, frame) = line.heard(due + std::time::Duration::from_nanos(2)).unwrap();
            prop_assert_eq!(frame, base.wrapping_add((n * 352) as u32));
            prop_assert!((at.nanos() - due.nanos()).abs() <= 1);
        }

        #[test]
        fn two_sessions_meet_the_same_moment(anchor in 0i64..1_000_000_000, hole in 0i64..3_000_000_000, now in 0i64..10_000_000_000) {
            // One came through a hole, the other began after it.
            let after = HubTime::from_nanos(anchor + 8_000_000 + hole);
            let (mut old, mut young) = (Timeline::new(5), Timeline::new(77));
            old.place(HubTime::from_nanos(anchor), 352);
            if old.place(after, 352).is_none_or(|place| matches!(place, Place::Follows(_))) {
                return Ok(());
            }
            young.place(after, 352);
            let now = HubTime::from_nanos(now);
            let (a, b) = (old.heard(now).unwrap(), young.heard(now).unwrap());
            prop_assert_eq!(a.0, b.0);
            prop_assert_eq!(a.1.wrapping_sub(old.next()), b.1.wrapping_sub(young.next()));
            prop_assert!(a.0 <= now && now.since(a.0).as_nanos() <= 22_677);
        }
    }
}
