//! Gains that never jump: a factor that walks to its target frame by frame, in a straight line of amplitude.
//!
//! A mixer owns one ramp for each place where a gain is applied and asks it for a factor once a frame.

use std::time::Duration;

use antiphon_domain::{Frames, Gain, SampleRate};

/// How long a change of volume takes: short enough to feel immediate, long enough not to click.
pub const VOLUME_RAMP: Duration = Duration::from_millis(30);

/// How long content takes to duck beneath something more important (AVS: "100 ms down", proposed).
pub const DUCK_RAMP: Duration = Duration::from_millis(100);

/// How long it takes to come back (AVS: "300 ms up", proposed).
pub const RETURN_RAMP: Duration = Duration::from_millis(300);

/// How long a stream that is entered in its middle takes to come up: only to avoid the click of a cut waveform.
pub const JOIN_RAMP: Duration = Duration::from_millis(10);

/// A gain on its way to a target.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    current: f32,
    target: f32,
    step: f32,
    /// Frames at rest before the walk.
    wait: u64,
    /// Frames of the walk that are left.
    left: u64,
}

impl Ramp {
    /// Rests at `gain`.
    pub fn new(gain: Gain) -> Self {
        let factor = gain.factor();
        Self { current: factor, target: factor, step: 0.0, wait: 0, left: 0 }
    }

    /// Rests at `from` for `wait` frames, then walks to `to`, where it is after `left` frames more. Factors, 0.0 upwards.
    pub fn between(from: f32, to: f32, wait: u64, left: u64) -> Self {
        // A jump is a walk of one frame.
        let left = if from == to { 0 } else { left.max(1) };
        let step = if left == 0 { 0.0 } else { (to - from) / left as f32 };
        Self { current: from, target: to, step, wait, left }
    }

    /// Walks to `gain`, arriving after `over` of frames at [`SampleRate::HUB`]; at once when `over` is under a frame.
    /// Starts from where it is, also in the middle of an earlier walk.
    pub fn to(&mut self, gain: Gain, over: Duration) {
        let frames = Frames::within(over, SampleRate::HUB).0;
        self.target = gain.factor();
        self.wait = 0;
        self.left = frames;
        if frames == 0 {
            self.current = self.target;
            self.step = 0.0;
        } else {
            self.step = (self.target - self.current) / frames as f32;
        }
    }

    /// The factor for the next frame.
    #[inline]
    pub fn step(&mut self) -> f32 {
        if self.left == 0 {
            return self.current;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return self.current;
        }
        self.left -= 1;
        // The last step lands exactly, whatever the additions before it rounded to.
        self.current = if self.left == 0 { self.target } else { self.current + self.step };
        self.current
    }

    /// The factor of the last frame.
    pub fn current(&self) -> f32 {
        self.current
    }

    /// The factor it rests at, when it is not walking.
    pub fn settled(&self) -> Option<f32> {
        (self.left == 0).then_some(self.current)
    }

    /// Whether it rests where it changes nothing.
    pub fn is_unity(&self) -> bool {
        self.settled() == Some(1.0)
    }

    /// Whether it rests in silence.
    pub fn is_silent(&self) -> bool {
        self.settled() == Some(0.0)
    }

    /// Arrives at once: for walks that nobody hears.
    pub fn finish(&mut self) {
        self.current = self.target;
        self.left = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrives_exactly_and_in_time() {
        let mut ramp = Ramp::new(Gain::UNITY);
        ramp.to(Gain::Db(-12.0), VOLUME_RAMP);
        assert_eq!(ramp.settled(), None);
        let frames = Frames::within(VOLUME_RAMP, SampleRate::HUB).0;
        let mut last = 1.0;
        for _ in 0..frames {
            let now = ramp.step();
            assert!(now <= last && last - now < 0.001, "{last} -> {now}");
            last = now;
        }
        assert_eq!(ramp.settled(), Some(Gain::Db(-12.0).factor()));
        assert_eq!(ramp.step(), Gain::Db(-12.0).factor());
    }

    #[test]
    fn turns_around_without_a_jump() {
        let mut ramp = Ramp::new(Gain::Silence);
        ramp.to(Gain::UNITY, VOLUME_RAMP);
        for _ in 0..600 {
            ramp.step();
        }
        let before = ramp.current();
        ramp.to(Gain::Silence, VOLUME_RAMP);
        assert!((ramp.step() - before).abs() < 0.001);
    }

    #[test]
    fn no_time_means_at_once() {
        let mut ramp = Ramp::new(Gain::UNITY);
        ramp.to(Gain::Silence, Duration::ZERO);
        assert!(ramp.is_silent());
    }
}
