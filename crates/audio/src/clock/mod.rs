//! A receiver's clock against the hub's: how far apart they are, how they drift, and how well that is known.
//!
//! Every exchange of time bounds the offset from below and above ([`Exchange`]); what all of a window together allow is
//! what is known. The truth lies within the bounds that are told as long as the exchanges' own bounds hold and the drift
//! changes no faster than [`WANDER_PPM_PER_S`]. Within them the estimate is the middle of what the best exchanges say, so
//! that the jitter of a network, which only ever adds, is left behind. Whoever speaks with a receiver owns a
//! [`ClockFilter`] and feeds it; it never asks the time. Receiver time is in nanoseconds of an epoch of its own; wires
//! unroll counters that wrap.

mod exchange;
mod hull;
mod trend;

use std::time::Duration;

use antiphon_domain::HubTime;

pub use exchange::Exchange;
use hull::Hull;
pub use trend::Trend;

/// How far a receiver's clock may be from running as fast as the hub's, ppm: what `adjtimex` lets a clock be slewed
/// by (500 ppm, adjtimex(2)) and a bad crystal beside it.
pub const MOST_DRIFT_PPM: f64 = 700.0;

/// How fast its drift itself may change: crystals move by some 0.04 ppm/K^2 about their turning point, so 1 ppm in a
/// minute is a machine that warms up. Recalled from crystal data sheets, not measured.
pub const WANDER_PPM_PER_S: f64 = 0.01;

/// So many exchanges in a row must agree with each other, and not with all before, until a clock counts as set anew.
const STEP_EVIDENCE: u32 = 3;

/// Drift is told once it is known to so much, ppm ...
const TELL_PPM: f64 = 25.0;
/// ... or once the exchanges span so much: the estimate is far better than its bound.
const TELL_AFTER: Duration = Duration::from_secs(15);

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It agrees with those before.
    Taken,
    /// It contradicts them and was left out.
    Refused,
    /// It contradicts them as the last ones did: the receiver's clock was set, and the filter began anew.
    Stepped,
}

/// What is known at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Receiver minus hub, nanoseconds.
    pub offset_nanos: i64,
    /// The true offset lies within this of it.
    pub uncertainty: Duration,
    /// How much faster than the hub's the receiver's clock runs, ppm; absent until it can be told.
    pub drift_ppm: Option<f64>,
    /// The true drift lies within this of the best guess, ppm.
    pub drift_uncertainty_ppm: f64,
}

/// Follows one clock.
#[derive(Clone, Debug)]
pub struct ClockFilter {
    hull: Hull,
    /// The last exchanges, where they contradict the others.
    doubt: Option<(Hull, u32)>,
    refused: u64,
    steps: u64,
}

impl ClockFilter {
    /// Knows nothing.
    pub fn new() -> Self {
        Self { hull: Hull::new(), doubt: None, refused: 0, steps: 0 }
    }

    /// Takes an exchange; they come in order of time, as far as it matters.
    pub fn observe(&mut self, exchange: Exchange) -> Observed {
        if self.hull.agrees(&exchange) {
            self.hull.add(&exchange);
            // Whatever contradicted it in between were outliers.
            self.doubt = None;
            return Observed::Taken;
        }
        let (mut hull, mut evidence) = match self.doubt.take() {
            Some((hull, evidence)) if hull.agrees(&exchange) => (hull, evidence),
            // A first contradiction, or one that contradicts the last as well.
            _ => (Hull::new(), 0),
        };
        hull.add(&exchange);
        evidence += 1;
        if evidence < STEP_EVIDENCE {
            self.refused += 1;
            self.doubt = Some((hull, evidence));
            return Observed::Refused;
        }
        // A clock that was set still has its crystal.
        hull.expect_drift(&self.hull);
        self.hull = hull;
        self.steps += 1;
        Observed::Stepped
    }

    /// What is known of the offset at `now`; `None` before the first exchange.
    pub fn reading(&self, now: HubTime) -> Option<Reading> {
        let known = self.hull.at(now.nanos())?;
        let drift = self.hull.drift();
        let told = drift.half <= TELL_PPM || self.hull.span() >= TELL_AFTER;
        Some(Reading {
            offset_nanos: known.middle,
            uncertainty: Duration::from_nanos(known.bound),
            drift_ppm: told.then_some(drift.middle),
            drift_uncertainty_ppm: drift.half,
        })
    }

    /// What the receiver's clock shows at a moment.
    pub fn to_receiver(&self, at: HubTime) -> Option<i64> {
        let offset = self.hull.at(at.nanos())?.middle;
        Some(at.nanos().saturating_add(offset))
    }

    /// The moment at which the receiver's clock shows this.
    pub fn to_hub(&self, receiver: i64) -> Option<HubTime> {
        // The offset changes by less than a thousandth of the time, so that three rounds are exact to the nanosecond
        // for any sensible distance.
        let mut at = receiver.saturating_sub(self.hull.at(self.hull.newest()?)?.middle);
        for _ in 0..3 {
            at = receiver.saturating_sub(self.hull.at(at)?.middle);
        }
        Some(HubTime::from_nanos(at))
    }

    /// Forgets the offset, because the clock is known to have been set; what was learnt of its pace stays.
    pub fn begin_anew(&mut self) {
        let mut hull = Hull::new();
        hull.expect_drift(&self.hull);
        self.hull = hull;
        self.doubt = None;
    }

    /// Exchanges left out so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How often the receiver's clock was set so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

impl Default for ClockFilter {
    fn default() -> Self {
        Self::new()
    }
}
