//! When progress reports are due, as positions in a stream ("AudioPlayer 1.5", with the AVS Device SDK's arithmetic).
//!
//! The clock is the position: a stream that stands still owes nothing, one that jumps owes one report of each kind.

use std::time::Duration;

/// Which report is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// `ProgressReportDelayElapsed`.
    Delay,
    /// `ProgressReportIntervalElapsed`.
    Interval,
}

/// The reports one stream owes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Milliseconds from the start of the stream; gone once reported.
    delay: Option<u64>,
    /// Milliseconds, never 0.
    interval: Option<u64>,
    /// The next multiple of the interval.
    next: u64,
    /// Whether the Play asked for any report.
    asked: bool,
}

impl Progress {
    /// For a stream that begins at `offset`; 0 asks for nothing.
    pub(super) fn new(delay: Option<u64>, interval: Option<u64>, offset: Duration) -> Self {
        let delay = delay.filter(|&ms| ms > 0);
        let interval = interval.filter(|&ms| ms > 0);
        let begin = millis(offset);
        let mut progress = Self {
            asked: delay.is_some() || interval.is_some(),
            delay: delay.filter(|&ms| ms >= begin),
            interval,
            next: 0,
        };
        progress.aim(begin);
        progress
    }

    /// The position at which the next report is due.
    pub(super) fn next(&self) -> Option<Duration> {
        let interval = self.interval.map(|_| self.next);
        let soonest = match (self.delay, interval) {
            (Some(delay), Some(next)) => Some(delay.min(next)),
            (delay, next) => delay.or(next),
        };
        soonest.map(Duration::from_millis)
    }

    /// Takes the next report due at `position`; to be called until there is none.
    pub(super) fn take(&mut self, position: Duration) -> Option<Due> {
        let here = millis(position);
        let interval_due = self.interval.is_some() && here >= self.next;
        if let Some(delay) = self.delay {
            // At the same position the delay goes first.
            if here >= delay && (!interval_due || delay <= self.next) {
                self.delay = None;
                return Some(Due::Delay);
            }
        }
        if interval_due {
            self.aim(here);
            return Some(Due::Interval);
        }
        None
    }

    /// Reports every `interval` milliseconds from here on; false when this stream has no reports or `interval` is 0.
    pub(super) fn set_interval(&mut self, interval: u64, position: Duration) -> bool {
        if !self.asked || interval == 0 {
            return false;
        }
        self.interval = Some(interval);
        self.aim(millis(position));
        true
    }

    fn aim(&mut self, here: u64) {
        if let Some(interval) = self.interval {
            match (here / interval).checked_add(1).and_then(|n| n.checked_mul(interval)) {
                Some(next) => self.next = next,
                // No stream is that long.
                None => self.interval = None,
            }
        }
    }
}

/// Whole milliseconds, as the wire has them.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn intervals_count_from_the_start_of_the_stream() {
        let mut p = Progress::new(None, Some(20_000), ms(10_000));
        assert_eq!(p.next(), Some(ms(20_000)));
        assert_eq!(p.take(ms(19_999)), None);
        assert_eq!(p.take(ms(20_000)), Some(Due::Interval));
        assert_eq!(p.take(ms(20_000)), None);
        assert_eq!(p.next(), Some(ms(40_000)));
        // A jump over several multiples yields one.
        assert_eq!(p.take(ms(95_000)), Some(Due::Interval));
        assert_eq!(p.next(), Some(ms(100_000)));
    }

    #[test]
    fn a_delay_is_reported_once_and_not_behind_the_start() {
        assert_eq!(Progress::new(Some(5_000), None, ms(5_001)).next(), None);
        let mut p = Progress::new(Some(5_000), None, ms(5_000));
        assert_eq!(p.take(ms(5_000)), Some(Due::Delay));
        assert_eq!(p.take(ms(9_000)), None);
    }

    #[test]
    fn at_the_same_position_the_delay_goes_first() {
        let mut p = Progress::new(Some(10_000), Some(10_000), ms(0));
        assert_eq!(p.take(ms(10_000)), Some(Due::Delay));
        assert_eq!(p.take(ms(10_000)), Some(Due::Interval));
        assert_eq!(p.take(ms(10_000)), None);
        let mut p = Progress::new(Some(15_000), Some(10_000), ms(0));
        assert_eq!(p.take(ms(16_000)), Some(Due::Interval));
        assert_eq!(p.take(ms(16_000)), Some(Due::Delay));
    }

    #[test]
    fn zero_asks_for_nothing() {
        let mut p = Progress::new(Some(0), Some(0), ms(0));
        assert_eq!(p.next(), None);
        assert!(!p.set_interval(1_000, ms(0)));
        let mut p = Progress::new(None, Some(10_000), ms(0));
        assert!(!p.set_interval(0, ms(0)));
        assert!(p.set_interval(3_000, ms(7_000)));
        assert_eq!(p.next(), Some(ms(9_000)));
    }

    #[test]
    fn the_largest_numbers_do_no_harm() {
        let mut p = Progress::new(Some(u64::MAX), Some(u64::MAX), ms(u64::MAX));
        assert!(p.next().is_some());
        assert_eq!(p.take(ms(u64::MAX)), Some(Due::Delay));
    }
}
