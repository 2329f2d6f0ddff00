//! Follows a clock whose readings are honest but not exact, and whose pace may change from one second to the next: a
//! sound server that tells when its sink plays what.
//!
//! A line of offset over time is laid through the latest readings, of which each counts by how well it is known and how
//! old it is. Where [`super::ClockFilter`] takes every exchange's bounds for hard ones and a pace for nearly constant,
//! which keeps the jitter of a network out, here neither holds: a PulseAudio null sink was measured to change its pace by
//! 50 ppm in twenty seconds, and its word to err by 100 us either way, on a busy machine. On such readings this kept
//! two followers within 12 us (median) and 55 us (p99) of each other, and began within 40 us; the bounds, within 580 us.

use std::time::Duration;

use antiphon_domain::HubTime;

use super::{Exchange, MOST_DRIFT_PPM, Observed, Reading, STEP_EVIDENCE};

/// How long a reading counts, seconds: by then it has lost two thirds of its weight. The best of 0.7 to 8 s on the
/// readings above.
const MEMORY: f64 = 3.0;

/// How far off a reading is that claims to be exact, microseconds.
const FLOOR: f64 = 20.0;

/// A pace that nobody has told of yet is within this of the hub's, ppm (a standard deviation).
const PRIOR: f64 = 300.0;

/// The pace is told once it is known to so much, ppm (a standard deviation by the readings' own bounds, of which they
/// use half): by then it is a better guess than none.
const TELL: f64 = 60.0;

/// A reading that is off by more than it may be and this, microseconds, says that the clock was set.
const STEP: f64 = 1_000.0;

/// Follows one clock.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    line: Option<Line>,
    /// Readings that contradict the line, and agree with each other.
    doubt: Option<(Line, u32)>,
}

/// Sums over readings, each a time before the newest (seconds, at most 0) and an offset above the first (microseconds).
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The newest reading's moment, and the first one's offset, nanoseconds.
    newest: i64,
    base: i64,
    /// What the pace was when the line began, ppm.
    pace: f64,
    weight: f64,
    time: f64,
    time_squared: f64,
    offset: f64,
    product: f64,
}

/// Where a line is at its newest reading, and where it leads.
#[derive(Clone, Copy, Debug)]
struct Fit {
    /// Microseconds above the base, and the standard deviation of that.
    offset: (f64, f64),
    /// Microseconds a second, and the standard deviation.
    pace: (f64, f64),
}

impl Trend {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a reading; they come in order of time.
    pub fn observe(&mut self, exchange: Exchange) -> Observed {
        let Some(line) = &mut self.line else {
            self.line = Some(Line::begin(&exchange, 0.0));
            return Observed::Taken;
        };
        if line.agrees(&exchange) {
            line.add(&exchange);
            self.doubt = None;
            return Observed::Taken;
        }
        let pace = line.fit().pace.0;
        let (doubt, evidence) = match self.doubt.take() {
            Some((mut doubt, evidence)) if doubt.agrees(&exchange) => {
                doubt.add(&exchange);
                (doubt, evidence + 1)
            }
            // It still runs as fast as it did.
            _ => (Line::begin(&exchange, pace), 1),
        };
        if evidence < STEP_EVIDENCE {
            self.doubt = Some((doubt, evidence));
            return Observed::Refused;
        }
        self.line = Some(doubt);
        Observed::Stepped
    }

    /// What is known of the offset at `now`; `None` before the first reading.
    pub fn reading(&self, now: HubTime) -> Option<Reading> {
        let line = self.line.as_ref()?;
        let fit = line.fit();
        let ahead = line.seconds_to(now.nanos());
        // The line's end and its slope err nearly independently; two standard deviations.
        let doubt = 2.0 * fit.offset.1.hypot(fit.pace.1 * ahead);
        Some(Reading {
            offset_nanos: line.offset_at(&fit, now.nanos()),
            uncertainty: Duration::from_nanos((doubt * 1e3) as u64),
            drift_ppm: (fit.pace.1 <= TELL).then_some(fit.pace.0),
            drift_uncertainty_ppm: 2.0 * fit.pace.1,
        })
    }

    /// The moment at which the clock shows this.
    pub fn to_hub(&self, receiver: i64) -> Option<HubTime> {
        let line = self.line.as_ref()?;
        let fit = line.fit();
        // The offset changes by less than a thousandth of the time: three rounds are exact to the nanosecond.
        let mut at = receiver.saturating_sub(line.offset_at(&fit, line.newest));
        for _ in 0..3 {
            at = receiver.saturating_sub(line.offset_at(&fit, at));
        }
        Some(HubTime::from_nanos(at))
    }

    /// Forgets the offset, because the clock is known to have been set.
    pub fn begin_anew(&mut self) {
        *self = Self::new();
    }
}

impl Line {
    fn begin(exchange: &Exchange, pace: f64) -> Self {
        let (base, _) = middle(exchange);
        let mut line = Self {
            newest: exchange.at,
            base,
            pace,
            weight: 0.0,
            time: 0.0,
            time_squared: 0.0,
            offset: 0.0,
            product: 0.0,
        };
        line.add(exchange);
        line
    }

    /// How far a reading is from the line, and how far it may be, microseconds.
    fn miss(&self, exchange: &Exchange) -> (f64, f64) {
        let (offset, half) = middle(exchange);
        let expected = self.offset_at(&self.fit(), exchange.at);
        (offset.saturating_sub(expected) as f64 / 1e3, half)
    }

    fn agrees(&self, exchange: &Exchange) -> bool {
        let (miss, half) = self.miss(exchange);
        // After a silence the line may lead anywhere.
        let doubt = self.fit().pace.1 * self.seconds_to(exchange.at);
        miss.abs() <= half + STEP + 2.0 * doubt
    }

    fn add(&mut self, exchange: &Exchange) {
        let (miss, half) = if self.weight > 0.0 { self.miss(exchange) } else { (0.0, middle(exchange).1) };
        let passed = self.seconds_to(exchange.at);
        self.time_squared += passed * (passed * self.weight - 2.0 * self.time);
        self.time -= passed * self.weight;
        self.product -= passed * self.offset;
        let faded = (-passed / MEMORY).exp();
        for sum in
            [&mut self.weight, &mut self.time, &mut self.time_squared, &mut self.offset, &mut self.product]
        {
            *sum *= faded;
        }
        self.newest = exchange.at;
        // One that is off by more than it admits counts for less.
        let doubt = half + FLOOR + (miss.abs() - half).max(0.0) / 2.0;
        let weight = 1.0 / (doubt * doubt);
        self.weight += weight;
        self.offset += weight * middle(exchange).0.saturating_sub(self.base) as f64 / 1e3;
    }

    /// Least squares, with the pace expected to be what it was.
    fn fit(&self) -> Fit {
        let prior = 1.0 / (PRIOR * PRIOR);
        let time_squared = self.time_squared + prior;
        let product = self.product + prior * self.pace;
        // Never 0: the prior alone makes it positive where one reading counts.
        let determinant = self.weight * time_squared - self.time * self.time;
        let offset = (self.offset * time_squared - self.time * product) / determinant;
        let pace = (self.weight * product - self.time * self.offset) / determinant;
        Fit {
            offset: (offset, (time_squared / determinant).sqrt()),
            pace: (pace.clamp(-MOST_DRIFT_PPM, MOST_DRIFT_PPM), (self.weight / determinant).sqrt()),
        }
    }

    fn seconds_to(&self, moment: i64) -> f64 {
        moment.saturating_sub(self.newest) as f64 / 1e9
    }

    /// The offset at a moment, nanoseconds.
    fn offset_at(&self, fit: &Fit, moment: i64) -> i64 {
        let micros = fit.offset.0 + fit.pace.0 * self.seconds_to(moment);
        self.base.saturating_add((micros * 1e3) as i64)
    }
}

/// An exchange's offset, nanoseconds, and how far it may be off, microseconds.
fn middle(exchange: &Exchange) -> (i64, f64) {
    let width = exchange.high.saturating_sub(exchange.low).max(0);
    (exchange.low.saturating_add(width / 2), width as f64 / 2e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread, the same each time.
    fn noise(seed: &mut u64) -> f64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    }

    fn reading(at_millis: i64, offset_micros: f64, half_micros: u64) -> Exchange {
        let at = HubTime::from_nanos(at_millis * 1_000_000);
        let receiver = at.nanos() + (offset_micros * 1e3) as i64;
        Exchange::measured(receiver, at, Duration::from_micros(half_micros))
    }

    #[test]
    fn a_pace_that_changes_is_followed_through_noise() {
        let (mut trend, mut seed) = (Trend::new(), 7);
        let (mut offset, mut worst) = (40e6, 0.0_f64);
        for step in 0..1_200_i64 {
            let seconds = step as f64 / 10.0;
            // 110 ppm fast, give or take 40 within a minute.
            offset += (110.0 + 40.0 * (seconds / 10.0).sin()) / 10.0;
            let half = 60.0 + 200.0 * noise(&mut seed).abs().powi(4);
            let off = half * noise(&mut seed) * 0.9;
            trend.observe(reading(step * 100, offset + off, half as u64));
            if step > 50 {
                // What is heard next is 400 ms ahead.
                let now = HubTime::from_nanos((step * 100 + 400) * 1_000_000);
                let known = trend.reading(now).unwrap().offset_nanos as f64 / 1e3;
                let rate = 110.0 + 40.0 * (seconds / 10.0).sin();
                worst = worst.max((known - offset - rate * 0.4).abs());
            }
        }
        assert!(worst < 100.0, "{worst} us");
        let drift = trend.reading(HubTime::from_nanos(120_000_000_000)).unwrap().drift_ppm.unwrap();
        assert!((drift - 110.0).abs() < 60.0, "{drift}");
    }

    #[test]
    fn outliers_are_left_out_and_steps_are_taken() {
        let mut trend = Trend::new();
        for step in 0..50 {
            assert_eq!(trend.observe(reading(step * 100, 1_000.0, 50)), Observed::Taken);
        }
        assert_eq!(trend.observe(reading(5_000, 9_000.0, 50)), Observed::Refused);
        assert_eq!(trend.observe(reading(5_100, 1_000.0, 50)), Observed::Taken);
        let now = HubTime::from_nanos(5_100_000_000);
        assert!((trend.reading(now).unwrap().offset_nanos - 1_000_000).abs() < 5_000);
        for (step, wanted) in
            [Observed::Refused, Observed::Refused, Observed::Stepped].into_iter().enumerate()
        {
            assert_eq!(trend.observe(reading(5_200 + step as i64 * 100, -30_000.0, 50)), wanted);
        }
        let now = HubTime::from_nanos(5_400_000_000);
        assert!((trend.reading(now).unwrap().offset_nanos + 30_000_000).abs() < 20_000);
        let shown = now.nanos() - 30_000_000;
        assert!(
            trend.to_hub(shown).unwrap().since(now).max(now.since(trend.to_hub(shown).unwrap())).as_micros()
                < 20
        );
    }

    #[test]
    fn one_reading_is_enough_to_begin_with() {
        let mut trend = Trend::new();
        assert!(trend.reading(HubTime::EPOCH).is_none() && trend.to_hub(0).is_none());
        trend.observe(reading(10_000, 5.0, 100));
        let known = trend.reading(HubTime::from_nanos(10_000_000_000)).unwrap();
        assert_eq!(known.offset_nanos, 5_000);
        assert!(known.uncertainty >= Duration::from_micros(100) && known.drift_ppm.is_none());
    }
}
