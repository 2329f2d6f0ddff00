//! When each block of a timeline is due: pure arithmetic on block numbers and hub times.
//!
//! A timeline runs in stretches: each begins with an anchor (this block is due then) and lasts until the next one.
//! Blocks from `limit` on have no due time: playing has stopped there, or never begun.

use std::collections::VecDeque;

use antiphon_audio::BLOCK_FRAMES;
use antiphon_domain::{Frames, HubTime, SampleRate};

/// Frames of a block.
pub(crate) const BLOCK: u64 = BLOCK_FRAMES as u64;

#[derive(Clone, Copy, Debug)]
struct Anchor {
    index: u64,
    due: HubTime,
}

/// Due times of a timeline's blocks.
#[derive(Debug)]
pub(crate) struct Schedule {
    anchors: VecDeque<Anchor>,
    limit: Option<u64>,
}

impl Schedule {
    /// Nothing is due yet; the first block will be 0.
    pub(crate) fn new() -> Self {
        Self { anchors: VecDeque::new(), limit: Some(0) }
    }

    /// The first block that has no due time, when there is one.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// When the block must be heard.
    pub(crate) fn due(&self, index: u64) -> Option<HubTime> {
        if self.limit.is_some_and(|limit| index >= limit) {
            return None;
        }
        self.reckon(index)
    }

    /// When the frame must be heard.
    pub(crate) fn frame_due(&self, frame: u64) -> Option<HubTime> {
        let index = frame / BLOCK;
        if self.limit.is_some_and(|limit| index >= limit) {
            return None;
        }
        let anchor = self.anchors.iter().rev().find(|anchor| anchor.index <= index)?;
        Some(anchor.due + Frames(frame - anchor.index * BLOCK).duration(SampleRate::HUB))
    }

    /// Where playing stops, as if it went on one block more: the earliest moment at which it may go on.
    pub(crate) fn end(&self) -> Option<HubTime> {
        self.reckon(self.limit?)
    }

    fn reckon(&self, index: u64) -> Option<HubTime> {
        let anchor = self.anchors.iter().rev().find(|anchor| anchor.index <= index)?;
        // Always from the anchor, so that rounding never adds up.
        Some(anchor.due + Frames((index - anchor.index) * BLOCK).duration(SampleRate::HUB))
    }

    /// Goes on from `limit` (which falls due at `due`) without an end.
    pub(crate) fn run(&mut self, due: HubTime) {
        let Some(index) = self.limit.take() else { return };
        if self.reckon(index) != Some(due) {
            self.anchors.push_back(Anchor { index, due });
        }
    }

    /// Takes the due times of `index` and everything after it away.
    pub(crate) fn stop_at(&mut self, index: u64) {
        let index = self.limit.map_or(index, |limit| limit.min(index));
        while self.anchors.back().is_some_and(|anchor| anchor.index >= index) {
            self.anchors.pop_back();
        }
        self.limit = Some(index);
    }

    /// The first block that is due at or after `moment`; the limit when none is.
    pub(crate) fn first_from(&self, moment: HubTime) -> u64 {
        for (position, anchor) in self.anchors.iter().enumerate() {
            let index = if anchor.due >= moment {
                anchor.index
            } else {
                let frames = Frames::within(moment.since(anchor.due), SampleRate::HUB).0;
                // One up where rounding left a block that is due just before.
                let index = anchor.index + frames / BLOCK;
                let due = anchor.due + Frames((index - anchor.index) * BLOCK).duration(SampleRate::HUB);
                if due >= moment { index } else { index + 1 }
            };
            let until = self.anchors.get(position + 1).map(|next| next.index).or(self.limit);
            if until.is_none_or(|until| index < until) {
                return index;
            }
        }
        self.limit.unwrap_or(0)
    }

    /// How many frames have been heard by `now`, the one that just begins included.
    pub(crate) fn heard(&self, now: HubTime) -> u64 {
        let mut heard = match self.anchors.front() {
            Some(first) => first.index * BLOCK,
            None => self.limit.unwrap_or(0) * BLOCK,
        };
        for (position, anchor) in self.anchors.iter().enumerate() {
            if anchor.due > now {
                break;
            }
            let frames = anchor.index * BLOCK + Frames::within(now.since(anchor.due), SampleRate::HUB).0;
            let until = self.anchors.get(position + 1).map(|next| next.index).or(self.limit);
            heard = until.map_or(frames, |until| frames.min(until * BLOCK));
        }
        heard
    }

    /// Forgets stretches that are over.
    pub(crate) fn prune(&mut self, now: HubTime) {
        while self.anchors.get(1).is_some_and(|second| second.due <= now) {
            self.anchors.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: i64) -> HubTime {
        HubTime::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn due_times_never_drift() {
        let mut schedule = Schedule::new();
        assert_eq!(schedule.due(0), None);
        schedule.run(at(1_000));
        // 44,100 blocks are 352 s exactly.
        assert_eq!(schedule.due(44_100), Some(at(353_000)));
        assert_eq!(schedule.frame_due(44_100), Some(at(2_000)));
    }

    #[test]
    fn a_pause_takes_times_away_and_a_new_run_gives_others() {
        let mut schedule = Schedule::new();
        schedule.run(at(0));
        let cut = schedule.first_from(at(1_000));
        assert_eq!(cut, 126);
        schedule.stop_at(cut);
        assert_eq!(schedule.due(cut), None);
        assert_eq!(schedule.heard(at(50_000)), 126 * BLOCK);
        schedule.run(at(60_000));
        assert_eq!(schedule.due(cut), Some(at(60_000)));
        assert!(schedule.due(cut - 1).unwrap() < at(1_000));
        assert_eq!(schedule.heard(at(30_000)), 126 * BLOCK);
        assert_eq!(schedule.heard(at(61_000)), 126 * BLOCK + 44_100);
        assert_eq!(schedule.first_from(at(30_000)), 126);
        schedule.prune(at(60_000));
        assert_eq!(schedule.first_from(at(60_000)), 126);
    }

    #[test]
    fn a_run_that_continues_leaves_no_seam() {
        let mut schedule = Schedule::new();
        schedule.run(at(0));
        schedule.stop_at(100);
        let end = schedule.end().unwrap();
        schedule.run(end);
        let gap = schedule.due(101).unwrap().since(schedule.due(99).unwrap());
        assert!(gap.abs_diff(Frames(704).duration(SampleRate::HUB)) <= Duration::from_nanos(1));
    }

    #[test]
    fn first_from_is_never_early() {
        let mut schedule = Schedule::new();
        schedule.run(at(7));
        for millis in 0..2_000 {
            let index = schedule.first_from(at(millis));
            assert!(schedule.due(index).unwrap() >= at(millis));
            assert!(index == 0 || schedule.due(index - 1).unwrap() < at(millis));
        }
    }
}
