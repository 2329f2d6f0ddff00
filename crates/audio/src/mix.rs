//! One speaker's mixer: content through an equalizer, voices beside it, each at its own gain; 16-bit out.
//!
//! Driven once a block by whoever renders. A mix that changes nothing hands the content's own samples on, so that
//! endpoints of one group see the same allocation and encode it once.

use std::sync::Arc;

use crate::block::{BLOCK_FRAMES, CHANNELS};
use crate::eq::Equalizer;
use crate::ramp::Ramp;

const SAMPLES: usize = BLOCK_FRAMES * CHANNELS;

/// One sound that goes into a mix: exactly a block of interleaved samples and the gains it is heard at.
pub struct Input<'a> {
    /// `BLOCK_FRAMES * CHANNELS` samples; what is missing counts as silence, what is over is ignored.
    pub samples: &'a Arc<[i16]>,
    /// How loud it is (volume, ducking).
    pub gain: Ramp,
    /// How it comes or goes (fades, swells), on top of that.
    pub fade: Ramp,
}

/// Joins inputs.
#[derive(Debug)]
pub struct Mixer {
    /// Colours the content.
    pub equalizer: Equalizer,
    sum: Box<[f32]>,
    silence: Arc<[i16]>,
}

impl Default for Mixer {
    fn default() -> Self {
        Self::new()
    }
}

impl Mixer {
    /// A mixer that colours nothing.
    pub fn new() -> Self {
        Self {
            equalizer: Equalizer::new(),
            sum: vec![0.0; SAMPLES].into_boxed_slice(),
            silence: vec![0; SAMPLES].into(),
        }
    }

    /// The next block: everything at its gains, added, rounded and clipped to 16 bits.
    pub fn mix(&mut self, content: Option<Input<'_>>, voices: &[Input<'_>]) -> Arc<[i16]> {
        let audible = |input: &&Input<'_>| !input.gain.is_silent() && !input.fade.is_silent();
        let quiet = !voices.iter().any(|voice| audible(&voice));
        match &content {
            Some(content)
                if quiet
                    && content.gain.is_unity()
                    && content.fade.is_unity()
                    && self.equalizer.is_bypassed()
                    && content.samples.len() == SAMPLES =>
            {
                return Arc::clone(content.samples);
            }
            // Its equalizer falls silent with it.
            Some(content) if !audible(&content) => self.equalizer.rest(),
            Some(_) => {}
            None => self.equalizer.rest(),
        }
        let content = content.filter(|content| audible(&content));
        if quiet && content.is_none() {
            return Arc::clone(&self.silence);
        }
        self.sum.fill(0.0);
        if let Some(content) = content {
            if self.equalizer.is_bypassed() {
                add(&mut self.sum, &content);
            } else {
                for (sum, &sample) in self.sum.iter_mut().zip(content.samples.iter()) {
                    *sum = f32::from(sample);
                }
                self.equalizer.process(&mut self.sum);
                scale(&mut self.sum, &content);
            }
        }
        for voice in voices.iter().filter(audible) {
            add(&mut self.sum, voice);
        }
        // Written straight into the shared allocation: an exact-size iterator needs no copy.
        self.sum.iter().map(|&sample| clip(sample)).collect()
    }
}

fn settled(input: &Input<'_>) -> Option<f32> {
    Some(input.gain.settled()? * input.fade.settled()?)
}

fn add(sum: &mut [f32], input: &Input<'_>) {
    if let Some(factor) = settled(input) {
        for (sum, &sample) in sum.iter_mut().zip(input.samples.iter()) {
            *sum += f32::from(sample) * factor;
        }
        return;
    }
    let (mut gain, mut fade) = (input.gain, input.fade);
    for (sum, frame) in sum.chunks_exact_mut(CHANNELS).zip(input.samples.chunks_exact(CHANNELS)) {
        let factor = gain.step() * fade.step();
        for (sum, &sample) in sum.iter_mut().zip(frame) {
            *sum += f32::from(sample) * factor;
        }
    }
}

fn scale(sum: &mut [f32], input: &Input<'_>) {
    if let Some(factor) = settled(input) {
        for sample in sum.iter_mut() {
            *sample *= factor;
        }
        return;
    }
    let (mut gain, mut fade) = (input.gain, input.fade);
    for frame in sum.chunks_exact_mut(CHANNELS) {
        let factor = gain.step() * fade.step();
        for sample in frame {
            *sample *= factor;
        }
    }
}

fn clip(sample: f32) -> i16 {
    // To the nearest, halves away from zero: `f32::round` would be a library call on plain x86-64. `as` saturates at
    // both ends and makes NaN 0.
    (sample + 0.5f32.copysign(sample)) as i16
}

#[cfg(test)]
mod tests {
    use antiphon_domain::{Frames, Gain, SampleRate};

    use super::*;
    use crate::curve::Curve;
    use crate::ramp::{DUCK_RAMP, RETURN_RAMP, VOLUME_RAMP};
    use crate::tone::{Tone, largest_step, strength};

    fn block(tone: &mut Tone) -> Arc<[i16]> {
        tone.stereo(BLOCK_FRAMES).into()
    }

    fn at(samples: &Arc<[i16]>, gain: Gain) -> Input<'_> {
        Input { samples, gain: Ramp::new(gain), fade: Ramp::new(Gain::UNITY) }
    }

    #[test]
    fn unity_passes_the_same_samples_on() {
        let mut mixer = Mixer::new();
        let samples = block(&mut Tone::new(441.0, 0.5));
        let out = mixer.mix(Some(at(&samples, Gain::UNITY)), &[]);
        assert!(Arc::ptr_eq(&samples, &out));
        // A voice that is not heard changes nothing; neither does one alone.
        let out = mixer.mix(Some(at(&samples, Gain::UNITY)), &[at(&samples, Gain::Silence)]);
        assert!(Arc::ptr_eq(&samples, &out));
        assert_eq!(mixer.mix(None, &[at(&samples, Gain::UNITY)]), samples);
    }

    #[test]
    fn silence_is_shared_and_exact() {
        let mut mixer = Mixer::new();
        let samples = block(&mut Tone::new(441.0, 0.5));
        let one = mixer.mix(Some(at(&samples, Gain::Silence)), &[]);
        let two = mixer.mix(None, &[]);
        assert!(Arc::ptr_eq(&one, &two) && one.iter().all(|&sample| sample == 0));
    }

    #[test]
    fn a_loud_mix_clips_and_does_not_wrap() {
        let mut mixer = Mixer::new();
        let samples: Arc<[i16]> = vec![i16::MAX; SAMPLES].into();
        let out = mixer.mix(Some(at(&samples, Gain::UNITY)), &[at(&samples, Gain::UNITY)]);
        assert!(out.iter().all(|&sample| sample == i16::MAX));
    }

    fn heard(curve: &Curve, blocks: u64) -> Vec<i16> {
        // A constant is the hardest sound to hide a step in: any step of the output is a step of the gain.
        let samples: Arc<[i16]> = vec![20_000; SAMPLES].into();
        let mut mixer = Mixer::new();
        let mut heard = Vec::new();
        for index in 0..blocks {
            let gain = curve.ramp(index * BLOCK_FRAMES as u64);
            let input = Input { samples: &samples, gain, fade: Ramp::new(Gain::UNITY) };
            heard.extend_from_slice(&mixer.mix(Some(input), &[]));
        }
        heard
    }

    fn frames(of: std::time::Duration) -> u64 {
        Frames::within(of, SampleRate::HUB).0
    }

    #[test]
    fn a_volume_change_does_not_click() {
        let mut curve = Curve::new(Gain::UNITY);
        curve.change(10 * BLOCK_FRAMES as u64, Gain::Db(-20.0), frames(VOLUME_RAMP));
        curve.change(20 * BLOCK_FRAMES as u64, Gain::UNITY, frames(VOLUME_RAMP));
        let heard = heard(&curve, 40);
        // 30 ms are 1,323 frames: 18,000 / 1,323 is 13.6 a frame, and rounding adds at most one.
        assert!(largest_step(&heard) <= 15, "largest step {}", largest_step(&heard));
        assert_eq!(heard[19 * SAMPLES], 2_000);
        assert_eq!(heard.last(), Some(&20_000));
    }

    #[test]
    fn ducking_goes_down_in_100_ms_and_up_in_300() {
        let mut curve = Curve::new(Gain::UNITY);
        curve.change(1_000, Gain::Db(-15.0), frames(DUCK_RAMP));
        curve.change(10_000, Gain::UNITY, frames(RETURN_RAMP));
        let heard = heard(&curve, 80);
        let left = |frame: usize| heard[frame * CHANNELS];
        let low = (20_000.0 * Gain::Db(-15.0).factor()).round() as i16;
        assert_eq!((left(999), left(1_000 + 4_410), left(9_999)), (20_000, low, low));
        let half = (20_000 + i32::from(low)) / 2;
        assert!((i32::from(left(1_000 + 2_205)) - half).abs() < 10);
        assert!((i32::from(left(10_000 + 6_615)) - half).abs() < 10);
        assert_eq!(left(10_000 + 13_230), 20_000);
        assert!(largest_step(&heard) <= 5);
    }

    #[test]
    fn inputs_are_heard_at_their_own_gains() {
        let mut mixer = Mixer::new();
        let (mut low, mut high) = (Tone::new(441.0, 0.4), Tone::new(2_205.0, 0.4));
        let mut heard = Vec::new();
        for _ in 0..125 {
            let (low, high) = (block(&mut low), block(&mut high));
            heard.extend_from_slice(&mixer.mix(Some(at(&low, Gain::UNITY)), &[at(&high, Gain::Db(-20.0))]));
        }
        assert!((strength(&heard, 441.0) - 0.4).abs() < 0.005);
        assert!((strength(&heard, 2_205.0) - 0.04).abs() < 0.002);
    }
}
