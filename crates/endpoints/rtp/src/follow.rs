//! What each packet holds when the session runs with a clock that is not the hub's: frame n is sampled n / rate seconds
//! after that clock's epoch, and heard the receivers' delay later.
//!
//! Plain values, driven by the lane, which reads both clocks side by side. To the [`Playout`] that clock is an output of
//! its own pace like any other.

use std::time::Duration;

use antiphon_audio::clock::{ClockFilter, Exchange, Reading};
use antiphon_audio::drift::Corrections;
use antiphon_audio::playout::Playout;
use antiphon_audio::{Block, CHANNELS};
use antiphon_domain::{HubTime, SampleRate};

use crate::media::moment_of;

/// How far GStreamer's PTP clock may be from the master's from one reading to the next. Measured against a ptp4l with
/// software stamps: within 0.2 ms.
const WANDER: u64 = 200_000;

/// Frames that are left out by making them; after more the playout begins anew.
const STRETCH: i64 = 48_000;

/// Frames on another's clock.
#[derive(Debug)]
pub struct Follower {
    rate: SampleRate,
    delay: Duration,
    clock: ClockFilter,
    playout: Playout,
    /// The frame that is the playout's first.
    base: Option<i64>,
    /// Blocks that came too late, as far as a report has told them already.
    late: u32,
}

impl Follower {
    /// Knows nothing of the clock yet.
    pub fn new(rate: SampleRate, delay: Duration) -> Self {
        Self { rate, delay, clock: ClockFilter::new(), playout: Playout::new(rate), base: None, late: 0 }
    }

    /// The clock showed `shown` nanoseconds at the hub's moment `at`, give or take `by`.
    pub fn observe(&mut self, shown: i64, at: HubTime, by: u64) {
        let uncertainty = Duration::from_nanos(by + WANDER);
        self.clock.observe(Exchange::measured(shown, at, uncertainty));
        let frame = (i128::from(shown) * i128::from(self.rate.hertz())).div_euclid(1_000_000_000) as i64;
        let base = *self.base.get_or_insert(frame);
        let Ok(number) = u64::try_from(frame - base) else { return };
        // That frame's own moment, less than a frame before.
        let before = shown - moment_of(frame, self.rate).nanos();
        let heard = at - Duration::from_nanos(before.max(0) as u64) + self.delay;
        self.playout.heard(number, heard, uncertainty);
    }

    /// Takes a block; [`Follower::take`] tells of those that came too late or found no room.
    pub fn play(&mut self, block: &Block) {
        self.playout.play(block);
    }

    /// Forgets every block due at or after `from`.
    pub fn flush(&mut self, from: HubTime) {
        self.playout.flush(from);
    }

    /// When a frame is sampled.
    pub fn departs(&self, frame: i64) -> Option<HubTime> {
        self.clock.to_hub(moment_of(frame, self.rate).nanos())
    }

    /// The frame that is sampled at a moment.
    pub fn frame_at(&self, at: HubTime) -> Option<i64> {
        let shown = self.clock.to_receiver(at)?;
        Some(crate::media::frame_at(HubTime::from_nanos(shown), self.rate))
    }

    /// Writes the frames from `first` on. Whether anything sounds, and the blocks that came too late.
    pub fn take(&mut self, first: i64, out: &mut [i16]) -> (bool, u32) {
        let written = i64::try_from(self.playout.written()).unwrap_or(i64::MAX);
        let ahead = first - self.base.unwrap_or(first) - written;
        if (1..=STRETCH).contains(&ahead) {
            self.playout.fill(&mut vec![0; ahead as usize * CHANNELS]);
        } else if ahead != 0 {
            // The next reading places it.
            self.playout = Playout::new(self.rate);
            self.base = Some(first);
        }
        self.playout.fill(out);
        let late = std::mem::take(&mut self.late) + self.playout.take_late();
        (self.playout.due().is_some() || out.iter().any(|sample| *sample != 0), late)
    }

    /// Whether nothing waits and nothing sounds.
    pub fn is_empty(&self) -> bool {
        self.playout.is_empty()
    }

    /// The clock against the hub's.
    pub fn reading(&self, now: HubTime) -> Option<Reading> {
        self.clock.reading(now)
    }

    /// What was corrected since the last call.
    pub fn corrections(&mut self) -> Corrections {
        let report = self.playout.report();
        self.late += report.late_blocks;
        report.corrections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that is 50 ppm fast, with an epoch of its own.
    fn shown(hub: i64) -> i64 {
        1_700_000_000_000_000_000 + hub + hub / 20_000
    }

    #[test]
    fn frames_leave_by_the_other_clock_and_are_heard_when_they_are_due() {
        let rate = SampleRate::new(48_000).unwrap();
        let delay = Duration::from_millis(20);
        let mut follower = Follower::new(rate, delay);
        // A step at 3 s of the hub, in a constant sound.
        let step = 3_000_000_000i64;
        let (mut next, mut number, mut found) = (None, 10u64, None);
        for milli in 0..5_000i64 {
            let now = milli * 1_000_000;
            if milli % 100 == 0 {
                follower.observe(shown(now), HubTime::from_nanos(now), 1_000);
            }
            while (number as i64) * 352 * 1_000_000_000 / 44_100 < now + 200_000_000 {
                let due = number as i64 * 352 * 1_000_000_000 / 44_100;
                let sound = |i: i64| if due + i * 1_000_000_000 / 44_100 < step { 0i16 } else { 8_000 };
                let samples = (0..352).flat_map(|i| [sound(i); 2]).collect();
                follower.play(&Block { due: HubTime::from_nanos(due), samples });
                number += 1;
            }
            let mut out = [0i16; 96];
            let frame = *next.get_or_insert_with(|| follower.frame_at(HubTime::from_nanos(now)).unwrap() + 1);
            let departs = follower.departs(frame).unwrap();
            assert!(departs.nanos().abs_diff(now) < 3_000_000, "{milli}: {departs:?}");
            let (_, late) = follower.take(frame, &mut out);
            assert_eq!(late, 0);
            if let Some(index) = out.chunks(2).position(|f| f[0] > 4_000) {
                found.get_or_insert(frame + index as i64);
            }
            next = Some(frame + 48);
        }
        // The clock shows this when the step is due; packets hold what is heard the delay later.
        let wanted = i128::from(shown(step - 20_000_000)) * 48_000 / 1_000_000_000;
        assert!((i128::from(found.unwrap()) - wanted).abs() <= 5, "{found:?} for {wanted}");
        assert_eq!(follower.corrections().reanchored, 0);
        // One that is past is told of, whoever asks for a report in between.
        let past = Block { due: HubTime::from_nanos(step), samples: vec![1; 704].into() };
        follower.play(&past);
        follower.corrections();
        let next = next.unwrap();
        assert_eq!(follower.take(next, &mut [0; 96]).1, 1);
    }
}
