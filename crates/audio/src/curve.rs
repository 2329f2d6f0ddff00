//! A gain over time: what it is at each frame of the hub's clock, planned ahead.
//!
//! Whoever renders a block asks for the ramp of its frames. Nothing is counted: the same block asked for twice (because
//! what was handed out had to be taken back) gets the same gain, and a gain walks on while nothing sounds.

use std::collections::VecDeque;

use antiphon_domain::Gain;

use crate::block::BLOCK_FRAMES;
use crate::ramp::Ramp;

/// Changes planned at once; beyond that the earliest is forgotten.
const PLANNED: usize = 64;

/// A gain that changes in straight lines of amplitude at planned frames.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The factor before the first change.
    base: f32,
    changes: VecDeque<Change>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    at: u64,
    to: f32,
    over: u64,
}

impl Change {
    fn factor(&self, from: f32, frame: u64) -> f32 {
        let gone = frame.saturating_sub(self.at);
        if gone >= self.over { self.to } else { from + (self.to - from) * (gone as f32 / self.over as f32) }
    }
}

impl Curve {
    /// Always `gain`.
    pub fn new(gain: Gain) -> Self {
        Self { base: gain.factor(), changes: VecDeque::new() }
    }

    /// From frame `at` on it walks to `gain`, arriving `over` frames later. What was planned for then or later is
    /// forgotten. When it is on its way there already it goes on as it was.
    pub fn change(&mut self, at: u64, gain: Gain, over: u64) {
        self.changes.retain(|change| change.at < at);
        if self.changes.back().map_or(self.base, |last| last.to) == gain.factor() {
            return;
        }
        if self.changes.len() == PLANNED {
            self.drop_first();
        }
        self.changes.push_back(Change { at, to: gain.factor(), over });
    }

    /// Always `gain`: nobody hears how it gets there.
    pub fn set(&mut self, gain: Gain) {
        *self = Self::new(gain);
    }

    /// The factor at a frame.
    pub fn factor(&self, frame: u64) -> f32 {
        let mut from = self.base;
        for (index, change) in self.changes.iter().enumerate() {
            match self.changes.get(index + 1) {
                Some(next) if next.at <= frame => from = change.factor(from, next.at),
                _ => return if change.at <= frame { change.factor(from, frame) } else { from },
            }
        }
        from
    }

    /// The gain of the [`BLOCK_FRAMES`] from `frame` on. Of two changes within one block only the first counts there;
    /// the second is in time for the next.
    pub fn ramp(&self, frame: u64) -> Ramp {
        let now = self.factor(frame);
        let end = frame + BLOCK_FRAMES as u64;
        let next = self.changes.iter().find(|change| change.at >= frame && change.at < end);
        if let Some(next) = next.filter(|next| next.at > frame) {
            // A walk that is cut short within this block goes straight to where it is cut.
            let there = self.factor(next.at - 1);
            return if there == now {
                Ramp::between(now, next.to, next.at - frame, next.over)
            } else {
                Ramp::between(now, self.factor(end), 0, end - frame)
            };
        }
        match self.changes.iter().rev().find(|change| change.at <= frame) {
            Some(last) => Ramp::between(now, last.to, 0, (last.at + last.over).saturating_sub(frame)),
            None => Ramp::between(now, now, 0, 0),
        }
    }

    /// Forgets what is over before `frame`.
    pub fn prune(&mut self, frame: u64) {
        while self.changes.get(1).is_some_and(|second| second.at <= frame) {
            self.drop_first();
        }
        if self.changes.front().is_some_and(|first| first.at + first.over <= frame) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(first) = self.changes.pop_front() else { return };
        self.base = match self.changes.front() {
            Some(second) => first.factor(self.base, second.at),
            None => first.to,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(curve: &Curve, from: u64, blocks: u64) -> Vec<f32> {
        let mut factors = Vec::new();
        for block in 0..blocks {
            let mut ramp = curve.ramp(from + block * BLOCK_FRAMES as u64);
            factors.extend((0..BLOCK_FRAMES).map(|_| ramp.step()));
        }
        factors
    }

    #[test]
    fn a_change_begins_at_its_frame_and_arrives_in_time() {
        let mut curve = Curve::new(Gain::UNITY);
        curve.change(1_000, Gain::Silence, 4_410);
        let factors = walked(&curve, 0, 20);
        assert!(factors[..1_000].iter().all(|&factor| factor == 1.0));
        assert!(factors[1_000] < 1.0);
        for (frame, factor) in factors[1_000..5_410].iter().enumerate() {
            let ideal = 1.0 - (frame + 1) as f32 / 4_410.0;
            assert!((factor - ideal).abs() < 0.001, "{frame}: {factor} for {ideal}");
        }
        assert!(factors[5_410..].iter().all(|&factor| factor == 0.0));
    }

    #[test]
    fn the_latest_plan_counts() {
        let mut curve = Curve::new(Gain::UNITY);
        curve.change(1_000, Gain::Silence, 1_000);
        curve.change(1_500, Gain::UNITY, 1_000);
        assert!((curve.factor(1_500) - 0.5).abs() < 1e-6);
        assert!((curve.factor(2_000) - 0.75).abs() < 1e-6);
        assert_eq!(curve.factor(9_000), 1.0);
        curve.change(500, Gain::UNITY, 0);
        assert_eq!(curve.factor(1_500), 1.0);
    }

    #[test]
    fn forgetting_changes_nothing() {
        let mut curve = Curve::new(Gain::UNITY);
        for step in 0..200u64 {
            let gain = if step % 2 == 0 { Gain::Silence } else { Gain::UNITY };
            curve.change(step * 1_000, gain, 3_000);
        }
        let whole = curve.clone();
        for frame in (150_000..210_000).step_by(17) {
            curve.prune(frame);
            assert!((curve.factor(frame) - whole.factor(frame)).abs() < 1e-5);
        }
        assert!(curve.changes.is_empty());
    }
}
