//! How loud samples are, in decibels below full scale.

/// What stands for silence, dBFS.
pub const SILENCE_DBFS: f32 = -120.0;

const FULL_SCALE: f64 = 32_768.0;

/// Gathers samples until it is read.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    squares: f64,
    peak: u16,
    count: u64,
}

/// How loud the samples since the last reading were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Root mean square over all channels, dBFS (at most 0, [`SILENCE_DBFS`] for silence). A full-scale sine reads -3.01.
    pub rms_dbfs: f32,
    /// Largest sample, dBFS (at most 0, [`SILENCE_DBFS`] for silence).
    pub peak_dbfs: f32,
}

impl Meter {
    /// Begins empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes samples of any channel layout.
    pub fn add(&mut self, samples: &[i16]) {
        // Integers add up exactly and vectorise: 2^30 times some thousand samples fits a u64 easily.
        let mut squares = 0u64;
        let mut peak = 0u16;
        for &sample in samples {
            let magnitude = sample.unsigned_abs();
            squares += u64::from(magnitude) * u64::from(magnitude);
            peak = peak.max(magnitude);
        }
        self.squares += squares as f64;
        self.peak = self.peak.max(peak);
        self.count += samples.len() as u64;
    }

    /// Whether anything was taken since the last reading.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Reads and begins anew; `None` when nothing was taken.
    pub fn take(&mut self) -> Option<Reading> {
        if self.count == 0 {
            return None;
        }
        let rms = (self.squares / self.count as f64).sqrt();
        let reading = Reading { rms_dbfs: dbfs(rms), peak_dbfs: dbfs(f64::from(self.peak)) };
        *self = Self::default();
        Some(reading)
    }
}

fn dbfs(amplitude: f64) -> f32 {
    if amplitude <= 0.0 {
        return SILENCE_DBFS;
    }
    (20.0 * (amplitude / FULL_SCALE).log10()).clamp(f64::from(SILENCE_DBFS), 0.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::Tone;

    #[test]
    fn a_full_sine_reads_three_below() {
        let mut meter = Meter::new();
        meter.add(&Tone::new(1_000.0, 1.0).stereo(44_100));
        let reading = meter.take().unwrap();
        assert!((reading.rms_dbfs + 3.01).abs() < 0.02, "{reading:?}");
        assert!(reading.peak_dbfs > -0.01);
        assert_eq!(meter.take(), None);
    }

    #[test]
    fn silence_is_said() {
        let mut meter = Meter::new();
        meter.add(&[0; 100]);
        assert_eq!(meter.take(), Some(Reading { rms_dbfs: SILENCE_DBFS, peak_dbfs: SILENCE_DBFS }));
    }
}
