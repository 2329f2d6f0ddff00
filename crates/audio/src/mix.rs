//! One speaker's mixer: inputs with gains of their own, one gain over all, 16-bit out.
//!
//! Driven once a block by whoever renders. A mix that changes nothing hands its input's own samples on, so that
//! endpoints of one group see the same allocation and encode it once.

use std::sync::Arc;

use antiphon_domain::Gain;

use crate::block::{BLOCK_FRAMES, CHANNELS};
use crate::ramp::Ramp;

const SAMPLES: usize = BLOCK_FRAMES * CHANNELS;

/// One sound that goes into a mix: exactly a block of interleaved samples and the gain it is heard at.
pub struct Input<'a> {
    /// `BLOCK_FRAMES * CHANNELS` samples; what is missing counts as silence, what is over is ignored.
    pub samples: &'a Arc<[i16]>,
    /// This input's own gain (ducking, fades).
    pub gain: &'a mut Ramp,
}

/// Joins inputs and applies the master gain.
#[derive(Debug)]
pub struct Mixer {
    /// The gain over all inputs: the speaker's volume where the endpoint has none of its own.
    pub master: Ramp,
    sum: Box<[f32]>,
    silence: Arc<[i16]>,
}

impl Default for Mixer {
    fn default() -> Self {
        Self::new()
    }
}

impl Mixer {
    /// A mixer at unity.
    pub fn new() -> Self {
        Self {
            master: Ramp::new(Gain::UNITY),
            sum: vec![0.0; SAMPLES].into_boxed_slice(),
            silence: vec![0; SAMPLES].into(),
        }
    }

    /// The next block: every input at its gain, added, at the master gain, rounded and clipped to 16 bits.
    pub fn mix(&mut self, inputs: &mut [Input<'_>]) -> Arc<[i16]> {
        if let [only] = inputs
            && only.gain.is_unity()
            && self.master.is_unity()
            && only.samples.len() == SAMPLES
        {
            return Arc::clone(only.samples);
        }
        if self.master.is_silent() {
            for input in inputs {
                skip(input.gain);
            }
            return Arc::clone(&self.silence);
        }
        self.sum.fill(0.0);
        for input in inputs.iter_mut() {
            add(&mut self.sum, input.samples, input.gain);
        }
        apply(&mut self.sum, &mut self.master);
        // Written straight into the shared allocation: an exact-size iterator needs no copy.
        self.sum.iter().map(|&sample| clip(sample)).collect()
    }
}

fn add(sum: &mut [f32], samples: &[i16], gain: &mut Ramp) {
    if let Some(factor) = gain.settled() {
        if factor == 0.0 {
            return;
        }
        for (sum, &sample) in sum.iter_mut().zip(samples) {
            *sum += f32::from(sample) * factor;
        }
        return;
    }
    for (sum, frame) in sum.chunks_exact_mut(CHANNELS).zip(samples.chunks_exact(CHANNELS)) {
        let factor = gain.step();
        for (sum, &sample) in sum.iter_mut().zip(frame) {
            *sum += f32::from(sample) * factor;
        }
    }
}

fn apply(sum: &mut [f32], gain: &mut Ramp) {
    match gain.settled() {
        Some(factor) => {
            for sample in sum.iter_mut() {
                *sample *= factor;
            }
        }
        None => {
            for frame in sum.chunks_exact_mut(CHANNELS) {
                let factor = gain.step();
                for sample in frame {
                    *sample *= factor;
                }
            }
        }
    }
}

fn skip(gain: &mut Ramp) {
    if gain.settled().is_none() {
        for _ in 0..BLOCK_FRAMES {
            gain.step();
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
    use super::*;
    use crate::ramp::VOLUME_RAMP;
    use crate::tone::{Tone, largest_step, strength};

    fn block(tone: &mut Tone) -> Arc<[i16]> {
        tone.stereo(BLOCK_FRAMES).into()
    }

    #[test]
    fn unity_passes_the_same_samples_on() {
        let mut mixer = Mixer::new();
        let samples = block(&mut Tone::new(441.0, 0.5));
        let mut unity = Ramp::new(Gain::UNITY);
        let out = mixer.mix(&mut [Input { samples: &samples, gain: &mut unity }]);
        assert!(Arc::ptr_eq(&samples, &out));
    }

    #[test]
    fn silence_is_shared_and_exact() {
        let mut mixer = Mixer::new();
        mixer.master = Ramp::new(Gain::Silence);
        let samples = block(&mut Tone::new(441.0, 0.5));
        let mut unity = Ramp::new(Gain::UNITY);
        let one = mixer.mix(&mut [Input { samples: &samples, gain: &mut unity }]);
        let two = mixer.mix(&mut [Input { samples: &samples, gain: &mut unity }]);
        assert!(Arc::ptr_eq(&one, &two) && one.iter().all(|&sample| sample == 0));
    }

    #[test]
    fn a_loud_mix_clips_and_does_not_wrap() {
        let mut mixer = Mixer::new();
        let samples: Arc<[i16]> = vec![i16::MAX; SAMPLES].into();
        let (mut one, mut two) = (Ramp::new(Gain::UNITY), Ramp::new(Gain::UNITY));
        let out = mixer.mix(&mut [
            Input { samples: &samples, gain: &mut one },
            Input { samples: &samples, gain: &mut two },
        ]);
        assert!(out.iter().all(|&sample| sample == i16::MAX));
    }

    #[test]
    fn a_volume_change_does_not_click() {
        // A constant is the hardest sound to hide a step in: any step of the output is a step of the gain.
        let samples: Arc<[i16]> = vec![20_000; SAMPLES].into();
        let mut mixer = Mixer::new();
        let mut unity = Ramp::new(Gain::UNITY);
        let mut heard = Vec::new();
        for index in 0..40 {
            if index == 10 {
                mixer.master.to(Gain::Db(-20.0), VOLUME_RAMP);
            }
            if index == 20 {
                mixer.master.to(Gain::UNITY, VOLUME_RAMP);
            }
            heard.extend_from_slice(&mixer.mix(&mut [Input { samples: &samples, gain: &mut unity }]));
        }
        // 30 ms are 1,323 frames: 18,000 / 1,323 is 13.6 a frame, and rounding adds at most one.
        assert!(largest_step(&heard) <= 15, "largest step {}", largest_step(&heard));
        assert_eq!(heard[19 * SAMPLES], 2_000);
        assert_eq!(heard.last(), Some(&20_000));
    }

    #[test]
    fn inputs_are_heard_at_their_own_gains() {
        let mut mixer = Mixer::new();
        let (mut low, mut high) = (Tone::new(441.0, 0.4), Tone::new(2_205.0, 0.4));
        let (mut unity, mut ducked) = (Ramp::new(Gain::UNITY), Ramp::new(Gain::Db(-20.0)));
        let mut heard = Vec::new();
        for _ in 0..125 {
            let (low, high) = (block(&mut low), block(&mut high));
            heard.extend_from_slice(&mixer.mix(&mut [
                Input { samples: &low, gain: &mut unity },
                Input { samples: &high, gain: &mut ducked },
            ]));
        }
        assert!((strength(&heard, 441.0) - 0.4).abs() < 0.005);
        assert!((strength(&heard, 2_205.0) - 0.04).abs() < 0.002);
    }
}
