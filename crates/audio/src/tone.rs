//! Test sounds and how to recognise them again: a sine that goes on without a seam, and the strength of one frequency.

use std::f64::consts::TAU;

use antiphon_domain::SampleRate;

use crate::block::CHANNELS;

/// A sine at [`SampleRate::HUB`] that continues where it left off.
#[derive(Clone, Debug)]
pub struct Tone {
    hertz: f64,
    amplitude: f64,
    frame: u64,
}

impl Tone {
    /// `amplitude` is 0.0 to 1.0 of full scale.
    pub fn new(hertz: f64, amplitude: f64) -> Self {
        Self { hertz, amplitude: amplitude.clamp(0.0, 1.0), frame: 0 }
    }

    /// The next `frames` frames, the same on both channels, interleaved.
    pub fn stereo(&mut self, frames: usize) -> Vec<i16> {
        let mut samples = Vec::with_capacity(frames * CHANNELS);
        for _ in 0..frames {
            let turns = self.hertz * self.frame as f64 / f64::from(SampleRate::HUB.hertz());
            let sample = ((turns * TAU).sin() * self.amplitude * 32_767.0).round() as i16;
            samples.extend([sample; CHANNELS]);
            self.frame += 1;
        }
        samples
    }
}

/// The amplitude (0.0 to 1.0 of full scale) of `hertz` in the left channel of interleaved stereo, by correlation; best
/// over many whole periods.
pub fn strength(stereo: &[i16], hertz: f64) -> f64 {
    let frames = stereo.len() / CHANNELS;
    if frames == 0 {
        return 0.0;
    }
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (index, frame) in stereo.chunks_exact(CHANNELS).enumerate() {
        let phase = TAU * hertz * index as f64 / f64::from(SampleRate::HUB.hertz());
        let sample = f64::from(frame[0]) / 32_767.0;
        real += sample * phase.cos();
        imaginary += sample * phase.sin();
    }
    2.0 * real.hypot(imaginary) / frames as f64
}

/// The largest step between neighbouring samples of the left channel, in 1/32768 of full scale; a click shows as a
/// step far above a tone's own.
pub fn largest_step(stereo: &[i16]) -> u32 {
    let mut largest = 0;
    let mut before: Option<i16> = None;
    for frame in stereo.chunks_exact(CHANNELS) {
        if let Some(before) = before {
            largest = largest.max(i32::from(frame[0]).abs_diff(i32::from(before)));
        }
        before = Some(frame[0]);
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_again_and_no_other() {
        let sound = Tone::new(441.0, 0.5).stereo(44_100);
        assert!((strength(&sound, 441.0) - 0.5).abs() < 0.001);
        assert!(strength(&sound, 1_000.0) < 0.001);
    }

    #[test]
    fn a_tone_has_no_seam() {
        let mut tone = Tone::new(441.0, 0.5);
        let whole = Tone::new(441.0, 0.5).stereo(1_000);
        let mut parts = tone.stereo(333);
        parts.extend(tone.stereo(667));
        assert_eq!(whole, parts);
        assert!(largest_step(&whole) < 1_100);
    }
}
