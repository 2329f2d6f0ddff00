//! What a window of exchanges allows together: every line of offset over time that keeps between their bounds.
//!
//! Plain values; the filter above owns it and decides what goes in.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Exchange, MOST_DRIFT_PPM, WANDER_PPM_PER_S};

/// How long an exchange counts. Longer would know drift better, and follow its changes later.
const WINDOW: f64 = 128e9;

/// Groups of neighbouring exchanges that are kept apart; of a group only its best bounds are.
const GROUPS: usize = 40;

const PPM: f64 = 1e-6;
/// Drift per nanosecond and nanosecond.
const WANDER: f64 = WANDER_PPM_PER_S * PPM / 1e9;

/// A bound at a moment: nanoseconds since the first exchange, nanoseconds above its offset.
#[derive(Clone, Copy, Debug)]
struct Bound {
    at: f64,
    value: f64,
}

/// Neighbouring exchanges, from the moment `first` to `last`.
#[derive(Clone, Copy, Debug)]
struct Group {
    first: f64,
    last: f64,
    low: Bound,
    high: Bound,
}

/// Lowest and highest drift that is possible, without unit, as of the newest exchange.
#[derive(Clone, Copy, Debug)]
struct Slopes {
    least: f64,
    most: f64,
}

/// An offset in nanoseconds and how far the truth may be from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub middle: i64,
    pub bound: u64,
}

/// A drift in ppm and how far the truth may be from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drift {
    pub middle: f64,
    pub half: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Hull {
    /// Moment and offset that all else is relative to, so that fractions of a nanosecond survive large epochs.
    base: Option<(i64, i64)>,
    groups: VecDeque<Group>,
    /// What was known of the drift beforehand.
    prior: Slopes,
    slopes: Slopes,
}

const ANY: Slopes = Slopes { least: -MOST_DRIFT_PPM * PPM, most: MOST_DRIFT_PPM * PPM };

impl Hull {
    pub(super) fn new() -> Self {
        Self { base: None, groups: VecDeque::with_capacity(GROUPS + 1), prior: ANY, slopes: ANY }
    }

    /// Begins with the drift that another has found, and some doubt in it.
    pub(super) fn expect_drift(&mut self, other: &Hull) {
        let doubt = WANDER * WINDOW;
        self.prior = Slopes {
            least: (other.slopes.least - doubt).max(ANY.least),
            most: (other.slopes.most + doubt).min(ANY.most),
        };
        self.learn();
    }

    /// Whether the truth may lie in both; everything agrees with nothing.
    pub(super) fn agrees(&self, exchange: &Exchange) -> bool {
        let Some((_, offset)) = self.base else { return true };
        let (low, high) = self.bounds(self.since(exchange.at));
        relative(exchange.low, offset) <= high && relative(exchange.high, offset) >= low
    }

    pub(super) fn add(&mut self, exchange: &Exchange) {
        let (_, offset) = *self.base.get_or_insert((exchange.at, exchange.low));
        let at = self.since(exchange.at);
        let low = Bound { at, value: relative(exchange.low, offset) };
        let high = Bound { at, value: relative(exchange.high, offset) };
        self.groups.push_back(Group { first: at, last: at, low, high });
        while self.groups.len() > 2 && self.groups[0].last < at - WINDOW {
            self.groups.pop_front();
        }
        if self.groups.len() > GROUPS {
            self.join_closest();
        }
        self.learn();
    }

    /// The best guess and the bound of its error at a moment of the hub's clock.
    pub(super) fn at(&self, moment: i64) -> Option<Known> {
        let (_, offset) = self.base?;
        let now = self.since(moment);
        let (low, high) = self.bounds(now);
        let Slopes { least, most } = self.slopes;
        let drift = f64::midpoint(least, most);
        // The drift is known better than its bounds; still an old exchange counts for less than a new one.
        let doubt = (most - least) / 8.0;
        let (mut best_low, mut best_high) = (f64::NEG_INFINITY, f64::INFINITY);
        for group in &self.groups {
            let age = now - group.low.at;
            best_low = best_low.max(group.low.value + drift * age - (doubt + WANDER * age.abs()) * age.abs());
            let age = now - group.high.at;
            best_high =
                best_high.min(group.high.value + drift * age + (doubt + WANDER * age.abs()) * age.abs());
        }
        let guess = f64::midpoint(best_low, best_high);
        // Bounds that crossed (somebody's stamps lied) clamp to nothing sensible: then the guess is all there is.
        let middle = if low <= high { guess.clamp(low, high) } else { guess };
        let bound = (middle - low).max(high - middle).max(0.0);
        // Whole nanoseconds: one is lost here, another where the stamps were rounded.
        Some(Known { middle: offset.saturating_add(middle as i64), bound: (bound as u64).saturating_add(2) })
    }

    pub(super) fn drift(&self) -> Drift {
        let Slopes { least, most } = self.slopes;
        Drift { middle: f64::midpoint(least, most) / PPM, half: (most - least) / 2.0 / PPM }
    }

    /// The time that the exchanges which count span.
    pub(super) fn span(&self) -> Duration {
        match (self.groups.front(), self.groups.back()) {
            (Some(first), Some(last)) => Duration::from_nanos((last.last - first.first).max(0.0) as u64),
            _ => Duration::ZERO,
        }
    }

    /// The moment of the newest exchange.
    pub(super) fn newest(&self) -> Option<i64> {
        let (at, _) = self.base?;
        self.groups.back().map(|group| at.saturating_add(group.last as i64))
    }

    fn since(&self, moment: i64) -> f64 {
        relative(moment, self.base.map_or(moment, |(at, _)| at))
    }

    /// Between which values the offset must be.
    fn bounds(&self, now: f64) -> (f64, f64) {
        let Slopes { least, most } = self.slopes;
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        for group in &self.groups {
            low = low.max(lowest_after(group.low, now, least, most));
            high = high.min(highest_after(group.high, now, least, most));
        }
        (low, high)
    }

    /// Finds the drifts that the groups allow.
    fn learn(&mut self) {
        loop {
            self.slopes = self.allowed();
            if self.slopes.least <= self.slopes.most {
                return;
            }
            // Nothing honest contradicts itself: what was believed first goes first.
            if self.prior.least > ANY.least || self.prior.most < ANY.most {
                self.prior = ANY;
            } else {
                self.groups.pop_front();
            }
        }
    }

    fn allowed(&self) -> Slopes {
        let mut slopes = self.prior;
        let Some(newest) = self.groups.back().map(|group| group.last) else { return slopes };
        for (index, late) in self.groups.iter().enumerate() {
            for early in self.groups.range(..index) {
                let rise = (late.high.at - early.low.at, late.high.value - early.low.value);
                if rise.0 > 0.0 {
                    slopes.most = slopes.most.min(rise.1 / rise.0 + WANDER * (newest - early.low.at));
                }
                let rise = (late.low.at - early.high.at, late.low.value - early.high.value);
                if rise.0 > 0.0 {
                    slopes.least = slopes.least.max(rise.1 / rise.0 - WANDER * (newest - early.high.at));
                }
            }
        }
        slopes
    }

    /// Makes one of the two neighbours that lie closest together.
    fn join_closest(&mut self) {
        let (mut at, mut closest) = (0, f64::INFINITY);
        for index in 0..self.groups.len() - 1 {
            let span = self.groups[index + 1].last - self.groups[index].first;
            if span < closest {
                (at, closest) = (index, span);
            }
        }
        let Some(late) = self.groups.remove(at + 1) else { return };
        let drift = f64::midpoint(self.slopes.least, self.slopes.most);
        let early = &mut self.groups[at];
        let above = |bound: Bound| bound.value - drift * bound.at;
        if above(late.low) > above(early.low) {
            early.low = late.low;
        }
        if above(late.high) < above(early.high) {
            early.high = late.high;
        }
        early.last = late.last;
    }
}

fn lowest_after(bound: Bound, now: f64, least: f64, most: f64) -> f64 {
    let age = now - bound.at;
    let drift = if age >= 0.0 { least } else { most };
    bound.value + drift * age - WANDER * age * age
}

fn highest_after(bound: Bound, now: f64, least: f64, most: f64) -> f64 {
    let age = now - bound.at;
    let drift = if age >= 0.0 { most } else { least };
    bound.value + drift * age + WANDER * age * age
}

fn relative(value: i64, base: i64) -> f64 {
    value.saturating_sub(base) as f64
}
