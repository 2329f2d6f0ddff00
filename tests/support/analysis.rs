//! What a recording says: which tone, how loud, with which gaps, and how far two channels are apart. Pure functions
//! of samples (-1 to 1) and their rate; levels are in dBFS, where a sine that just fits has 0.

use std::f64::consts::{PI, TAU};
use std::ops::Range;

pub use antiphon_audio::align::{Offset, offset};

/// What is called silence.
pub const SILENCE: f64 = -120.0;

/// How loud the tone of `hertz` is, dBFS; [`SILENCE`] at least. Over a second, tones 5 Hz apart do not disturb
/// each other.
pub fn tone_level(samples: &[f32], rate: u32, hertz: f64) -> f64 {
    to_db(tone(samples, rate, hertz).0)
}

/// How loud everything together is, dBFS, as a sine of the same power would be.
pub fn total_level(samples: &[f32]) -> f64 {
    if samples.is_empty() {
        return SILENCE;
    }
    let power: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>() / samples.len() as f64;
    to_db((2.0 * power).sqrt())
}

/// The level of a tone in window after window of `seconds`: (start of the window in seconds, dBFS).
pub fn tone_levels(samples: &[f32], rate: u32, hertz: f64, seconds: f64) -> Vec<(f64, f64)> {
    let length = ((seconds * f64::from(rate)) as usize).max(1);
    let mut levels = Vec::new();
    for (number, window) in samples.chunks_exact(length).enumerate() {
        levels.push((number as f64 * seconds, tone_level(window, rate, hertz)));
    }
    levels
}

/// Whether `samples` are the tone of `hertz` and hardly anything else (all the rest is 20 dB weaker).
pub fn is_tone(samples: &[f32], rate: u32, hertz: f64) -> bool {
    let level = tone_level(samples, rate, hertz);
    if level < -80.0 {
        return false;
    }
    let tone = from_db(level).powi(2);
    let total = from_db(total_level(samples)).powi(2);
    (total - tone).abs() < tone * 0.01
}

/// The part in which something sounds: from the first sample above `threshold` dBFS to the last.
pub fn sounding(samples: &[f32], threshold: f64) -> Option<Range<usize>> {
    let limit = from_db(threshold) as f32;
    let first = samples.iter().position(|s| s.abs() > limit)?;
    let last = samples.iter().rposition(|s| s.abs() > limit)?;
    Some(first..last + 1)
}

/// The longest stretch in which no sample is above `threshold` dBFS: (start, length) in samples. Choose a threshold
/// well under the sound's own: a sine is under half of its level for a third of the time, but for a moment only.
pub fn longest_gap(samples: &[f32], threshold: f64) -> (usize, usize) {
    let limit = from_db(threshold) as f32;
    let (mut longest, mut start) = ((0, 0), 0);
    for (i, sample) in samples.iter().enumerate() {
        if sample.abs() > limit {
            start = i + 1;
        } else if i + 1 - start > longest.1 {
            longest = (start, i + 1 - start);
        }
    }
    longest
}

/// Every stretch of at least `least` samples in which none is above `threshold` dBFS: (start, length) in samples.
pub fn gaps(samples: &[f32], threshold: f64, least: usize) -> Vec<(usize, usize)> {
    let limit = from_db(threshold) as f32;
    let (mut found, mut start) = (Vec::new(), 0);
    for (i, sample) in samples.iter().chain([&f32::INFINITY]).enumerate() {
        if sample.abs() > limit {
            if i - start >= least {
                found.push((start, i - start));
            }
            start = i + 1;
        }
    }
    found
}

/// Where a steady tone of `hertz` was cut or repeated: the largest change of its phase from one 20 ms window to the
/// next, as seconds of time (start of the later window in samples, seconds). A receiver that keeps time by
/// adding or dropping single samples moves it by some 23 us; a lost packet by milliseconds. Jumps by whole periods
/// are not seen, so choose a tone whose period does not divide a packet's.
pub fn largest_jump(samples: &[f32], rate: u32, hertz: f64) -> (usize, f64) {
    let all = jumps(samples, rate, hertz, 0.0);
    all.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

/// All such changes of more than `least` seconds, as [`largest_jump`] gives the largest.
pub fn jumps(samples: &[f32], rate: u32, hertz: f64, least: f64) -> Vec<(usize, f64)> {
    let length = rate as usize / 50;
    let mut found = Vec::new();
    let mut before: Option<f64> = None;
    for (number, window) in samples.chunks_exact(length).enumerate() {
        let start = number * length;
        let (amplitude, phase) = tone(window, rate, hertz);
        if amplitude < from_db(-80.0) {
            before = None;
            continue;
        }
        // The phase at the recording's beginning, if the tone had gone on for ever.
        let phase = phase - TAU * hertz * start as f64 / f64::from(rate);
        if let Some(before) = before {
            let turn = (phase - before).rem_euclid(TAU);
            let turn = turn.min(TAU - turn) / (TAU * hertz);
            if turn > least {
                found.push((start, turn));
            }
        }
        before = Some(phase);
    }
    found
}

/// The offsets of all chirps (see `stimulus::chirps`) in two channels, second by second: `b` against `a`, up to 20 ms to
/// both sides. A second without a chirp, or whose chirps lie further apart, gives nothing.
pub fn chirp_offsets(a: &[f32], b: &[f32], rate: u32) -> Vec<Offset> {
    chirp_offsets_within(a, b, rate, 0.02)
}

/// The same up to `most` seconds to both sides: less is quicker to find.
pub fn chirp_offsets_within(a: &[f32], b: &[f32], rate: u32, most: f64) -> Vec<Offset> {
    chirp_offsets_at(&chirp_starts(a, rate), a, b, rate, most).into_iter().map(|(_, offset)| offset).collect()
}

/// Where the chirps of a channel begin, about, in samples; each second has one at most.
pub fn chirp_starts(samples: &[f32], rate: u32) -> Vec<usize> {
    let peak = samples.iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
    let (mut starts, mut from) = (Vec::new(), 0);
    // Chirps stand out of their pilot by ten times.
    while let Some(found) =
        samples.get(from..).and_then(|rest| rest.iter().position(|s| s.abs() > peak * 0.4))
    {
        if peak < 1e-3 {
            break;
        }
        let start = (from + found).saturating_sub(rate as usize / 200);
        starts.push(start);
        from = start + rate as usize / 2;
    }
    starts
}

/// The offsets of `b` against `a` at the chirps of `a` which begin at `starts`: (start, offset).
pub fn chirp_offsets_at(
    starts: &[usize],
    a: &[f32],
    b: &[f32],
    rate: u32,
    most: f64,
) -> Vec<(usize, Offset)> {
    // The chirp itself must stay in sight however far the other is moved.
    let margin = (rate as usize / 20).max((1.5 * most * f64::from(rate)) as usize);
    let mut offsets = Vec::new();
    for chirp in starts {
        let window = chirp.saturating_sub(margin)..chirp + 2 * margin;
        if window.end > a.len().min(b.len()) {
            break;
        }
        offsets.extend(offset(&a[window.clone()], &b[window], rate, most).map(|offset| (*chirp, offset)));
    }
    offsets
}

/// The value below which the share `part` (0 to 1) of the sizes of `values` lies; NaN where there are none.
pub fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut sizes: Vec<f64> = values.into_iter().map(f64::abs).collect();
    sizes.sort_by(f64::total_cmp);
    let index = (part * sizes.len().saturating_sub(1) as f64).round() as usize;
    sizes.get(index).copied().unwrap_or(f64::NAN)
}

/// Amplitude and phase (as of a sine that begins with the samples) of a tone: Goertzel's sum with a Hann window.
fn tone(samples: &[f32], rate: u32, hertz: f64) -> (f64, f64) {
    let count = samples.len() as f64;
    let step = TAU * hertz / f64::from(rate);
    let (mut real, mut imaginary, mut weight) = (0.0, 0.0, 0.0);
    for (i, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * (i as f64 + 0.5) / count).cos();
        let (sin, cos) = (step * i as f64).sin_cos();
        real += window * f64::from(*sample) * cos;
        imaginary -= window * f64::from(*sample) * sin;
        weight += window;
    }
    if weight == 0.0 {
        return (0.0, 0.0);
    }
    (2.0 * real.hypot(imaginary) / weight, imaginary.atan2(real) + PI / 2.0)
}

fn to_db(amplitude: f64) -> f64 {
    (20.0 * amplitude.log10()).max(SILENCE)
}

fn from_db(level: f64) -> f64 {
    10.0_f64.powf(level / 20.0)
}
