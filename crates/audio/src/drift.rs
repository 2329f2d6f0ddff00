//! How a playout that runs early or late is brought back without anybody hearing it.
//!
//! An error goes in, a rate comes out. Small errors are left alone; larger ones are walked off at a rate that is bounded
//! and changes slowly; an error that no sensible rate would mend, and that lasts, asks for a jump. The playout owns one,
//! tells it the error each time it makes sound, and plays at the rate it is told.

use std::time::Duration;

/// Corrections of a playout, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Corrections {
    /// Times a deviation was walked off by a rate too little off to be heard.
    pub rate: u32,
    /// Jumps to the right place, which may be heard.
    pub reanchored: u32,
}

/// What may be done. The defaults are for a resampled output in a house.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftSettings {
    /// An error below this is left alone ...
    pub begin: Duration,
    /// ... and one that is walked off is so until it is below this.
    pub end: Duration,
    /// The largest deviation from the hub's rate, ppm. 500 ppm are 0.9 cents, a sixth of the smallest change of pitch
    /// that trained listeners tell (about 5 cents; recalled from psychoacoustics, not measured here).
    pub most_ppm: f64,
    /// How fast the rate may change, ppm a second: from nothing to 500 ppm in two seconds.
    pub slew_ppm_per_s: f64,
    /// The time within which an error would be gone at the rate that it asks for.
    pub horizon: Duration,
    /// An error above this, and above what may be the measurement's, is no matter of rates.
    pub reanchor: Duration,
    /// So long it must last.
    pub patience: Duration,
}

impl Default for DriftSettings {
    fn default() -> Self {
        Self {
            begin: Duration::from_micros(40),
            end: Duration::from_micros(10),
            most_ppm: 500.0,
            slew_ppm_per_s: 250.0,
            horizon: Duration::from_secs(2),
            reanchor: Duration::from_millis(4),
            patience: Duration::from_millis(100),
        }
    }
}

/// How well the error is known, and what is known of its cause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// How much later than due it is heard, nanoseconds; below 0 early.
    pub late_nanos: f64,
    /// How far from that the truth may be.
    pub uncertainty: Duration,
    /// How much faster than the hub's the output's clock runs, ppm, where that is known: sound must be given out of it so
    /// much slower.
    pub output_ppm: Option<f64>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Go through the sound so much faster than the output's own count of time, ppm.
    Rate(f64),
    /// Go on at the right place at once, at this rate.
    Reanchor(f64),
}

/// Brings one playout back.
#[derive(Clone, Debug)]
pub struct Drift {
    settings: DriftSettings,
    rate: f64,
    /// What the output's own clock asks for; found by ourselves where nobody tells.
    base: f64,
    mending: bool,
    /// How long the error has been too large.
    far: Duration,
    corrections: Corrections,
}

impl Drift {
    /// At the hub's own rate.
    pub fn new(settings: DriftSettings) -> Self {
        Self {
            settings,
            rate: 0.0,
            base: 0.0,
            mending: false,
            far: Duration::ZERO,
            corrections: Corrections::default(),
        }
    }

    /// What to do about a deviation, `elapsed` after the last.
    pub fn correct(&mut self, deviation: Deviation, elapsed: Duration) -> Act {
        let settings = self.settings;
        let seconds = elapsed.as_secs_f64();
        let error = deviation.late_nanos;
        if self.is_far(deviation, elapsed) {
            self.far = Duration::ZERO;
            self.mending = false;
            self.corrections.reanchored += 1;
            return Act::Reanchor(self.rate);
        }
        let begin = settings.begin.as_nanos() as f64;
        let end = settings.end.as_nanos() as f64;
        if !self.mending && error.abs() > begin {
            self.mending = true;
            self.corrections.rate += 1;
        } else if self.mending && error.abs() < end {
            self.mending = false;
        }
        let horizon = settings.horizon.as_secs_f64();
        let asked = if self.mending { error * 1e-9 / horizon * 1e6 } else { 0.0 };
        match deviation.output_ppm {
            // A clock that runs fast eats sound too fast.
            Some(ppm) => self.base = -ppm,
            // The integral of what had to be asked for, over a time in which it does not swing.
            None => self.base += asked * (seconds / (4.0 * horizon)).min(1.0),
        }
        let most = settings.most_ppm;
        self.base = self.base.clamp(-most, most);
        let target = (self.base + asked).clamp(-most, most);
        let step = settings.slew_ppm_per_s * seconds;
        self.rate += (target - self.rate).clamp(-step, step);
        Act::Rate(self.rate)
    }

    /// Forgets the error, not the rate: the next sound begins at its right place of its own accord.
    pub fn rest(&mut self) {
        self.mending = false;
        self.far = Duration::ZERO;
        self.rate = self.base;
    }

    /// Counts a jump that somebody else made.
    pub fn jumped(&mut self) {
        self.corrections.reanchored += 1;
        self.mending = false;
        self.far = Duration::ZERO;
    }

    /// The rate in force, ppm.
    pub fn rate_ppm(&self) -> f64 {
        self.rate
    }

    /// What was done since the last call.
    pub fn take(&mut self) -> Corrections {
        std::mem::take(&mut self.corrections)
    }

    /// Whether an error has been beyond all rates for long enough.
    fn is_far(&mut self, deviation: Deviation, elapsed: Duration) -> bool {
        let limit = self.settings.reanchor.max(2 * deviation.uncertainty);
        if deviation.late_nanos.abs() <= limit.as_nanos() as f64 {
            self.far = Duration::ZERO;
            return false;
        }
        self.far += elapsed;
        self.far >= self.settings.patience
    }
}

impl Default for Drift {
    fn default() -> Self {
        Self::new(DriftSettings::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: Duration = Duration::from_millis(10);

    fn late(micros: f64) -> Deviation {
        Deviation { late_nanos: micros * 1e3, uncertainty: Duration::from_micros(50), output_ppm: None }
    }

    /// Walks an error of an output with this skew for so many seconds; the error at the end, microseconds.
    fn walk(drift: &mut Drift, mut micros: f64, skew_ppm: f64, told: bool, seconds: u32) -> f64 {
        let mut before = drift.rate_ppm();
        for _ in 0..100 * seconds {
            let deviation = Deviation { output_ppm: told.then_some(skew_ppm), ..late(micros) };
            let Act::Rate(rate) = drift.correct(deviation, PIECE) else { panic!("a jump at {micros} us") };
            assert!(rate.abs() <= 500.0 && (rate - before).abs() <= 2.6, "{before} -> {rate}");
            before = rate;
            micros -= (rate + skew_ppm) * 0.01;
        }
        micros
    }

    #[test]
    fn a_small_error_is_left_alone() {
        let mut drift = Drift::default();
        assert_eq!(walk(&mut drift, 35.0, 0.0, true, 10), 35.0);
        assert_eq!(drift.take(), Corrections::default());
    }

    #[test]
    fn a_larger_one_is_walked_off_once() {
        for error in [60.0, -3_500.0, 3_500.0] {
            let mut drift = Drift::default();
            let end = walk(&mut drift, error, 0.0, true, 20);
            assert!(end.abs() < 10.0, "{error} -> {end}");
            assert_eq!(drift.take(), Corrections { rate: 1, reanchored: 0 });
        }
    }

    #[test]
    fn a_skew_is_met_whether_it_is_told_or_not() {
        for skew in [-100.0, 40.0, 100.0] {
            assert!(walk(&mut Drift::default(), 0.0, skew, true, 30).abs() < 45.0);
            let end = walk(&mut Drift::default(), 0.0, skew, false, 120);
            assert!(end.abs() < 60.0, "{skew}: {end}");
        }
    }

    #[test]
    fn a_jump_needs_a_large_error_that_lasts_and_is_known() {
        let mut drift = Drift::default();
        for _ in 0..9 {
            assert!(matches!(drift.correct(late(20_000.0), PIECE), Act::Rate(_)));
        }
        assert!(matches!(drift.correct(late(20_000.0), PIECE), Act::Reanchor(_)));
        assert_eq!(drift.take().reanchored, 1);
        let vague = Deviation { uncertainty: Duration::from_millis(15), ..late(20_000.0) };
        for _ in 0..100 {
            assert!(matches!(drift.correct(vague, PIECE), Act::Rate(_)));
        }
    }
}
