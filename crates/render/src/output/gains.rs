//! How loud each input of an output is, over time: volumes and ducking, swells, and the fade of a listener who joins.

use std::time::Duration;

use antiphon_audio::BLOCK_FRAMES;
use antiphon_audio::curve::Curve;
use antiphon_audio::ramp::{JOIN_RAMP, Ramp};
use antiphon_domain::mix::InputGains;
use antiphon_domain::sound::Voice;
use antiphon_domain::{Frames, Gain, SampleRate};

/// All gains of one output, by frames of the hub's clock.
#[derive(Debug)]
pub(super) struct Gains {
    content: Curve,
    voices: [Curve; 3],
    swells: [Swell; 3],
    join: Option<Rise>,
}

/// From silence to unity in a straight line.
#[derive(Clone, Copy, Debug)]
struct Rise {
    begin: u64,
    over: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Swell {
    /// Waits for the voice's next sound.
    armed: Option<Duration>,
    rise: Option<Rise>,
}

impl Rise {
    fn ramp(self, frame: u64) -> Ramp {
        let end = self.begin + self.over;
        if frame >= end {
            return Ramp::new(Gain::UNITY);
        }
        let gone = frame.saturating_sub(self.begin);
        let now = gone as f32 / self.over as f32;
        // Where it waits through all of a block the ramp rests in silence.
        let wait = self.begin.saturating_sub(frame);
        if wait >= BLOCK_FRAMES as u64 {
            return Ramp::new(Gain::Silence);
        }
        Ramp::between(now, 1.0, wait, self.over - gone)
    }
}

impl Gains {
    pub(super) fn new() -> Self {
        Self {
            content: Curve::new(Gain::UNITY),
            voices: std::array::from_fn(|_| Curve::new(Gain::UNITY)),
            swells: [Swell::default(); 3],
            join: None,
        }
    }

    /// Walks to these gains from frame `at` on; `None`: at once, nobody hears it.
    pub(super) fn set(&mut self, gains: InputGains, over: Duration, at: Option<u64>) {
        let InputGains { content, voices } = gains;
        let over = frames(over);
        let curves = std::iter::once(&mut self.content).chain(&mut self.voices);
        for (curve, gain) in curves.zip(std::iter::once(content).chain(voices)) {
            match at {
                Some(at) => curve.change(at, gain, over),
                None => curve.set(gain),
            }
        }
    }

    /// The voice's next sound comes up over this time.
    pub(super) fn swell(&mut self, voice: Voice, over: Duration) {
        self.swells[voice.index()].armed = Some(over);
    }

    /// A sound of the voice begins at `frame`.
    pub(super) fn sound_begins(&mut self, voice: Voice, frame: u64) {
        let swell = &mut self.swells[voice.index()];
        if let Some(over) = swell.armed.take() {
            swell.rise = Some(Rise { begin: frame, over: frames(over).max(1) });
        }
    }

    /// Content begins to be heard at `frame`; in its middle where it would else click.
    pub(super) fn content_begins(&mut self, frame: u64, inside: bool) {
        self.join = inside.then(|| Rise { begin: frame, over: frames(JOIN_RAMP) });
    }

    /// Gain and fade of the content in the block that begins at `frame`.
    pub(super) fn content(&self, frame: u64) -> (Ramp, Ramp) {
        (self.content.ramp(frame), fade(self.join, frame))
    }

    /// Gain and fade of a voice in the block that begins at `frame`.
    pub(super) fn voice(&self, voice: Voice, frame: u64) -> (Ramp, Ramp) {
        let index = voice.index();
        (self.voices[index].ramp(frame), fade(self.swells[index].rise, frame))
    }

    /// Forgets what is over before `frame`.
    pub(super) fn prune(&mut self, frame: u64) {
        self.content.prune(frame);
        self.voices.iter_mut().for_each(|curve| curve.prune(frame));
        let over = |rise: Option<Rise>| rise.filter(|rise| rise.begin + rise.over > frame);
        self.join = over(self.join);
        self.swells.iter_mut().for_each(|swell| swell.rise = over(swell.rise));
    }
}

fn fade(rise: Option<Rise>, frame: u64) -> Ramp {
    rise.map_or(Ramp::new(Gain::UNITY), |rise| rise.ramp(frame))
}

fn frames(over: Duration) -> u64 {
    Frames::within(over, SampleRate::HUB).0
}
