//! A speaker's tone control: a low shelf, a bell and a high shelf, one behind the other.
//!
//! The filters are the second-order ones of R. Bristow-Johnson's "Audio EQ Cookbook" (shelf slope 1). A change walks
//! there in decibels in steps too small to hear. At 0 dB in all bands the filters are exactly transparent, and once
//! they have rung out the equalizer steps aside.

use std::f64::consts::TAU;

use antiphon_domain::SampleRate;

use crate::block::CHANNELS;

/// The corner or middle of each band, Hz, low to high.
pub const BANDS: [f64; 3] = [100.0, 1_000.0, 8_000.0];

/// How wide the bell is (quality factor): about two octaves.
const BELL_QUALITY: f64 = 0.7;

/// The largest level of a band, dB.
const MOST: f64 = 24.0;

/// Frames between two steps of a change.
const STEP_FRAMES: usize = 16;

/// A step of a change, dB: 1 dB takes 6 ms, so 6 dB take 35.
const STEP_DB: f64 = 1.0 / 16.0;

/// A difference between what goes in and comes out that counts as none, in units of a 16-bit sample.
const NOTHING: f64 = 0.01;

/// Three bands of tone control on interleaved stereo at [`SampleRate::HUB`].
#[derive(Clone, Debug)]
pub struct Equalizer {
    bands: [Band; 3],
}

#[derive(Clone, Debug)]
struct Band {
    shape: Shape,
    hertz: f64,
    db: f64,
    target: f64,
    filter: Filter,
    /// Of each channel: the last two samples in, the last two out. This form of filter bears changing coefficients.
    memory: [[f64; 4]; CHANNELS],
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    LowShelf,
    Bell,
    HighShelf,
}

/// Coefficients, the first of the denominator brought to 1.
#[derive(Clone, Copy, Debug)]
struct Filter {
    b: [f64; 3],
    a: [f64; 2],
}

impl Default for Equalizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Equalizer {
    /// Changes nothing.
    pub fn new() -> Self {
        let band = |shape, hertz| Band {
            shape,
            hertz,
            db: 0.0,
            target: 0.0,
            filter: design(shape, hertz, 0.0),
            memory: [[0.0; 4]; CHANNELS],
        };
        let [low, middle, high] = BANDS;
        Self { bands: [band(Shape::LowShelf, low), band(Shape::Bell, middle), band(Shape::HighShelf, high)] }
    }

    /// Walks to these levels, dB, low to high; beyond 24 dB either way is cut.
    pub fn set(&mut self, db: [f64; 3]) {
        for (band, db) in self.bands.iter_mut().zip(db) {
            band.target = if db.is_finite() { db.clamp(-MOST, MOST) } else { 0.0 };
        }
    }

    /// Whether it changes nothing at all, so that sound need not go through it.
    pub fn is_bypassed(&self) -> bool {
        self.bands.iter().all(Band::is_idle)
    }

    /// The sound was interrupted: nobody hears changes, and nothing of before rings on.
    pub fn rest(&mut self) {
        for band in &mut self.bands {
            band.memory = [[0.0; 4]; CHANNELS];
            if band.db != band.target {
                band.db = band.target;
                band.filter = design(band.shape, band.hertz, band.db);
            }
        }
    }

    /// Colours what follows what it coloured last: interleaved samples in units of 16 bits.
    pub fn process(&mut self, samples: &mut [f32]) {
        for part in samples.chunks_mut(STEP_FRAMES * CHANNELS) {
            for band in &mut self.bands {
                band.walk();
                if !band.is_idle() {
                    band.process(part);
                }
            }
        }
    }
}

impl Band {
    fn is_idle(&self) -> bool {
        self.db == 0.0 && self.target == 0.0 && self.memory.iter().flatten().all(|value| *value == 0.0)
    }

    fn walk(&mut self) {
        if self.db == self.target {
            return;
        }
        let way = self.target - self.db;
        self.db = if way.abs() <= STEP_DB { self.target } else { self.db + STEP_DB.copysign(way) };
        self.filter = design(self.shape, self.hertz, self.db);
    }

    fn process(&mut self, samples: &mut [f32]) {
        let Filter { b, a } = self.filter;
        for (channel, [x1, x2, y1, y2]) in self.memory.iter_mut().enumerate() {
            for sample in samples.iter_mut().skip(channel).step_by(CHANNELS) {
                let x = f64::from(*sample);
                let y = b[0] * x + b[1] * *x1 + b[2] * *x2 - a[0] * *y1 - a[1] * *y2;
                (*x2, *x1, *y2, *y1) = (*x1, x, *y1, y);
                *sample = y as f32;
            }
            // Rung out: what comes out is what goes in, and will be.
            if self.db == 0.0 && (*x1 - *y1).abs() < NOTHING && (*x2 - *y2).abs() < NOTHING {
                (*x1, *x2, *y1, *y2) = (0.0, 0.0, 0.0, 0.0);
            }
        }
    }
}

fn design(shape: Shape, hertz: f64, db: f64) -> Filter {
    if db == 0.0 {
        // Numerator and denominator cancel: only the poles differ between shapes, for what still rings.
        let (_, a) = cookbook(shape, hertz, 0.0);
        let a = [a[1] / a[0], a[2] / a[0]];
        return Filter { b: [1.0, a[0], a[1]], a };
    }
    let (b, a) = cookbook(shape, hertz, db);
    Filter { b: b.map(|value| value / a[0]), a: [a[1] / a[0], a[2] / a[0]] }
}

fn cookbook(shape: Shape, hertz: f64, db: f64) -> ([f64; 3], [f64; 3]) {
    let level = 10f64.powf(db / 40.0);
    let (sin, cos) = (TAU * hertz / f64::from(SampleRate::HUB.hertz())).sin_cos();
    match shape {
        Shape::Bell => {
            let alpha = sin / (2.0 * BELL_QUALITY);
            (
                [1.0 + alpha * level, -2.0 * cos, 1.0 - alpha * level],
                [1.0 + alpha / level, -2.0 * cos, 1.0 - alpha / level],
            )
        }
        Shape::LowShelf | Shape::HighShelf => {
            // The high shelf is the low one with the frequency axis turned round.
            let turn = if matches!(shape, Shape::LowShelf) { 1.0 } else { -1.0 };
            let (up, down) = (level + 1.0, level - 1.0);
            let cos = turn * cos;
            let slope = sin * std::f64::consts::SQRT_2 * level.sqrt();
            (
                [
                    level * (up - down * cos + slope),
                    turn * 2.0 * level * (down - up * cos),
                    level * (up - down * cos - slope),
                ],
                [up + down * cos + slope, turn * -2.0 * (down + up * cos), up + down * cos - slope],
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Tone, largest_step, strength};

    fn heard(equalizer: &mut Equalizer, tone: &mut Tone, frames: usize) -> Vec<i16> {
        let mut samples: Vec<f32> = tone.stereo(frames).into_iter().map(f32::from).collect();
        equalizer.process(&mut samples);
        samples.into_iter().map(|sample| sample.round() as i16).collect()
    }

    /// The level of a tone behind the equalizer, dB.
    fn response(db: [f64; 3], hertz: f64) -> f64 {
        let mut equalizer = Equalizer::new();
        equalizer.set(db);
        let mut tone = Tone::new(hertz, 0.1);
        heard(&mut equalizer, &mut tone, 44_100);
        let out = heard(&mut equalizer, &mut tone, 44_100);
        20.0 * (strength(&out, hertz) / 0.1).log10()
    }

    #[test]
    fn each_band_does_what_it_says_and_little_elsewhere() {
        for db in [-6.0, 6.0, 12.0] {
            for (levels, hertz, expected, tolerance) in [
                ([db, 0.0, 0.0], 20.0, db, 0.4),
                ([db, 0.0, 0.0], 100.0, db / 2.0, 0.1),
                ([db, 0.0, 0.0], 8_000.0, 0.0, 0.1),
                ([0.0, db, 0.0], 1_000.0, db, 0.1),
                ([0.0, db, 0.0], 50.0, 0.0, 0.3),
                ([0.0, db, 0.0], 16_000.0, 0.0, 0.3),
                ([0.0, 0.0, db], 18_000.0, db, 0.4),
                ([0.0, 0.0, db], 8_000.0, db / 2.0, 0.1),
                ([0.0, 0.0, db], 100.0, 0.0, 0.1),
            ] {
                let measured = response(levels, hertz);
                assert!((measured - expected).abs() < tolerance, "{levels:?} at {hertz} Hz: {measured} dB");
            }
        }
    }

    #[test]
    fn flat_is_untouched_and_comes_back() {
        let mut equalizer = Equalizer::new();
        assert!(equalizer.is_bypassed());
        let mut tone = Tone::new(441.0, 0.5);
        equalizer.set([6.0, -3.0, 6.0]);
        assert!(!equalizer.is_bypassed());
        heard(&mut equalizer, &mut tone, 44_100);
        equalizer.set([0.0; 3]);
        heard(&mut equalizer, &mut tone, 44_100);
        // Transparent to the bit once it has rung out, also where sound still goes through it.
        assert!(equalizer.is_bypassed());
    }

    #[test]
    fn a_change_does_not_click() {
        let mut equalizer = Equalizer::new();
        let mut tone = Tone::new(110.25, 0.25);
        let mut out = Vec::new();
        for levels in [[0.0; 3], [12.0, 12.0, 12.0], [-12.0, -12.0, -12.0], [0.0; 3]] {
            equalizer.set(levels);
            out.extend(heard(&mut equalizer, &mut tone, 11_025));
        }
        // The tone at its loudest (9 dB more) steps by 363.
        assert!(largest_step(&out) < 500, "{}", largest_step(&out));
    }
}
