//! How far two recordings of the same sound lie apart, to a fraction of a sample.
//!
//! Pure functions of samples (-1 to 1) and their rate. Tests and the sync report judge receivers by it.

use std::f64::consts::PI;

/// How two recordings lie to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// How much later `b` is than `a`, in seconds.
    pub seconds: f64,
    /// How alike they are when put together: 1 is the same but for loudness.
    pub likeness: f64,
}

/// How much later the sound in `b` is than in `a`, looked for up to `most` seconds to both sides: the peak of their
/// correlation, found between samples. `None` where one is silent, or nothing alike is in reach.
pub fn offset(a: &[f32], b: &[f32], rate: u32, most: f64) -> Option<Offset> {
    const MARGIN: usize = 16;
    let reach = (most * f64::from(rate)).ceil() as usize + MARGIN;
    let length = a.len().min(b.len());
    if length < 3 * reach {
        return None;
    }
    // The middle of `a` against `b` moved: every lag sees the same number of samples.
    let middle = &a[reach..length - reach];
    let power_a: f64 = middle.iter().map(|&s| f64::from(s).powi(2)).sum();
    let mut correlation = Vec::with_capacity(2 * reach + 1);
    for lag in 0..=2 * reach {
        let mut sum = 0.0;
        for (x, y) in middle.iter().zip(&b[lag..]) {
            sum += f64::from(*x) * f64::from(*y);
        }
        correlation.push(sum);
    }
    let inner = &correlation[MARGIN..correlation.len() - MARGIN];
    let best = inner.iter().enumerate().max_by(|x, y| x.1.total_cmp(y.1))?.0 + MARGIN;
    let at = summit(&correlation, best);
    let moved = &b[best..best + middle.len()];
    let power_b: f64 = moved.iter().map(|&s| f64::from(s).powi(2)).sum();
    let likeness = interpolate(&correlation, at) / (power_a * power_b).sqrt();
    if !likeness.is_finite() || likeness < 0.3 {
        return None;
    }
    Some(Offset { seconds: (at - reach as f64) / f64::from(rate), likeness })
}

/// The highest place of band-limited values near index `best`, by halving a bracket of one to both sides.
fn summit(values: &[f64], best: usize) -> f64 {
    let (mut low, mut high) = (best as f64 - 1.0, best as f64 + 1.0);
    for _ in 0..60 {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if interpolate(values, left) < interpolate(values, right) {
            low = left;
        } else {
            high = right;
        }
    }
    (low + high) / 2.0
}

/// A value between samples, by a sinc with a cosine window over 12 neighbours to each side.
fn interpolate(values: &[f64], at: f64) -> f64 {
    const WIDTH: f64 = 12.0;
    let first = (at - WIDTH).ceil().max(0.0) as usize;
    let last = ((at + WIDTH).floor() as usize).min(values.len() - 1);
    let mut sum = 0.0;
    for (i, value) in values.iter().enumerate().take(last + 1).skip(first) {
        let x = at - i as f64;
        let sinc = if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) };
        sum += value * sinc * (0.5 + 0.5 * (PI * x / (WIDTH + 1.0)).cos());
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chirp from 500 Hz to 5 kHz that begins `late` seconds into the recording.
    fn recording(late: f64) -> Vec<f32> {
        let sound = |index: usize| {
            let at = index as f64 / 48_000.0 - 0.05 - late;
            if !(0.0..0.04).contains(&at) {
                return 0.0;
            }
            let edge = (PI * at / 0.04).sin();
            ((2.0 * PI * (500.0 + 56_250.0 * at) * at).sin() * edge * 0.5) as f32
        };
        (0..9_600).map(sound).collect()
    }

    #[test]
    fn a_shift_is_found_between_the_samples() {
        for late in [0.0, 1e-6, 12.3e-6, -250e-6, 4.7311e-3, -19e-3] {
            let found = offset(&recording(0.0), &recording(late), 48_000, 0.02).unwrap();
            assert!((found.seconds - late).abs() < 0.2e-6, "{late}: {found:?}");
            assert!(found.likeness > 0.999);
        }
    }

    #[test]
    fn what_is_not_alike_is_not_laid_together() {
        let silence = vec![0.0; 9_600];
        assert_eq!(offset(&recording(0.0), &silence, 48_000, 0.02), None);
        assert_eq!(offset(&recording(0.0), &recording(0.0)[..1_000], 48_000, 0.02), None);
    }
}
