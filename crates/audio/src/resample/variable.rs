//! Sound at any place between its samples, for outputs whose rate is nobody's choice.
//!
//! The filter is kept at 256 places between two samples; what lies between them is a straight line's, whose error
//! is -94 dB at most (pi^2 / (8 256^2), for the highest frequency). Plain values; the playout owns and drives it, and
//! takes the filter's delay into account by asking for the place that it wants.

use super::{HALF, TAPS, Window, weights};

/// Places between two samples at which the filter is known.
const PHASES: usize = 256;

/// Reads between samples.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    /// One more than [`PHASES`], so that every place has a neighbour.
    phases: Vec<[f32; TAPS]>,
}

impl Variable {
    pub(crate) fn new() -> Self {
        Self { phases: (0..=PHASES).map(|phase| weights(phase as f64 / PHASES as f64)).collect() }
    }

    /// The frame at the place `at` of the window, which needs [`HALF`] samples to both sides.
    #[inline]
    pub(crate) fn read(&self, window: &Window, at: f64) -> [f32; 2] {
        let whole = at.floor();
        let phase = (at - whole) * PHASES as f64;
        let index = (phase as usize).min(PHASES - 1);
        let part = (phase - index as f64) as f32;
        let (early, late) = (&self.phases[index], &self.phases[index + 1]);
        let mut between = [0.0; TAPS];
        for tap in 0..TAPS {
            between[tap] = early[tap] + part * (late[tap] - early[tap]);
        }
        let Some(start) = (whole as usize).checked_sub(HALF - 1) else { return [0.0; 2] };
        window.sums(start, &between)
    }
}
