//! Other rates than the hub's: 48 kHz on a grid of its own ([`fixed`]), and whatever a free-running output eats
//! (`variable`).
//!
//! Both read the same filter between the samples: a sinc of [`TAPS`] samples under a Kaiser window, flat to 19.5 kHz,
//! 90 dB down from 23.5 kHz. A polyphase of our own and not a library's: `rubato` makes chunks of a length of its own
//! choice from an accumulated fraction, where receivers of a group need frame n at n/48000 s, from the same allocation,
//! whoever joined when; here a run is a function of two blocks and their place. What it costs and what both reach is
//! printed by the bench `clock`.

pub mod fixed;
pub(crate) mod variable;

use std::f64::consts::PI;

/// Samples under the filter: 32 to each side.
pub const TAPS: usize = 64;

/// Samples that must be known on either side of a place.
pub(crate) const HALF: usize = TAPS / 2;

/// Where the filter is 6 dB down, as a part of the hub's rate: 21.5 kHz.
const CUTOFF: f64 = 21_500.0 / 44_100.0;

/// Kaiser's beta for 90 dB: 0.1102 (90 - 8.7), as in Oppenheim and Schafer, "Discrete-Time Signal Processing", 7.5.3.
const BETA: f64 = 8.96;

/// The weights of the [`TAPS`] samples around a place, which lies `fraction` (0 to 1) behind the sample at index
/// `HALF - 1`. Their sum is 1.
fn weights(fraction: f64) -> [f32; TAPS] {
    let mut exact = [0.0; TAPS];
    let mut sum = 0.0;
    for (index, weight) in exact.iter_mut().enumerate() {
        let x = index as f64 - (HALF - 1) as f64 - fraction;
        let angle = 2.0 * PI * CUTOFF * x;
        let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
        let edge = 1.0 - (x / HALF as f64).powi(2);
        *weight = if edge <= 0.0 { 0.0 } else { sinc * bessel(BETA * edge.sqrt()) };
        sum += *weight;
    }
    exact.map(|weight| (weight / sum) as f32)
}

/// The modified Bessel function of the first kind and order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

/// Stereo samples side by side, so that a filter can run over each channel; in units of 16-bit samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    pub(crate) left: Vec<f32>,
    pub(crate) right: Vec<f32>,
}

impl Window {
    /// As many frames of silence.
    pub(crate) fn clear(&mut self, frames: usize) {
        for side in [&mut self.left, &mut self.right] {
            side.clear();
            side.resize(frames, 0.0);
        }
    }

    /// Writes interleaved frames from index `at`; what does not fit is left out.
    pub(crate) fn put(&mut self, at: usize, interleaved: &[i16]) {
        let sides = self.left.iter_mut().zip(self.right.iter_mut()).skip(at);
        for ((left, right), frame) in sides.zip(interleaved.chunks_exact(2)) {
            *left = f32::from(frame[0]);
            *right = f32::from(frame[1]);
        }
    }

    /// Both channels' weighted sums of the [`TAPS`] samples from index `at`; silence beyond the end.
    #[inline]
    pub(crate) fn sums(&self, at: usize, weights: &[f32; TAPS]) -> [f32; 2] {
        match (self.left.get(at..at + TAPS), self.right.get(at..at + TAPS)) {
            (Some(left), Some(right)) => [dot(left, weights), dot(right, weights)],
            _ => [0.0; 2],
        }
    }
}

/// A sum in eight lanes, which the compiler makes vectors of.
#[inline]
fn dot(samples: &[f32], weights: &[f32; TAPS]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (samples, weights) in samples.chunks_exact(8).zip(weights.chunks_exact(8)) {
        for lane in 0..8 {
            lanes[lane] += samples[lane] * weights[lane];
        }
    }
    let quads = [lanes[0] + lanes[4], lanes[1] + lanes[5], lanes[2] + lanes[6], lanes[3] + lanes[7]];
    (quads[0] + quads[2]) + (quads[1] + quads[3])
}

/// The nearest 16-bit sample.
#[inline]
pub(crate) fn rounded(sample: f32) -> i16 {
    // Cutting off above zero is rounding, without a call where the processor has no instruction for it.
    ((sample.clamp(-32_768.0, 32_767.0) + 32_768.5) as i32 - 32_768) as i16
}
