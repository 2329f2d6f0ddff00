//! What is played and what was heard: Play payloads, the level of a tone at a volume, and a virtual speaker's WAV
//! file as one channel on the hub's clock.

use super::analysis::tone_level;
use super::hub::{Hub, PATIENCE};
use super::patience::wait_for;
use antiphon_host::recording::Recording;
use serde_json::{Value, json};
use std::path::Path;

/// Samples a second in every recording.
pub const RATE: u32 = 44_100;
/// Peak of the simulator's tones before any volume, dBFS.
pub const TONE: f64 = -12.04;

/// One channel of what a speaker played, on the hub's clock.
pub struct Sound {
    /// The hub's frame of the first sample.
    pub origin: u64,
    /// The left channel, -1 to 1.
    pub samples: Vec<f32>,
}

impl Sound {
    /// Reads a virtual speaker's file; empty where it has played nothing.
    pub fn read(path: &Path) -> Self {
        let nothing = Self { origin: 0, samples: Vec::new() };
        let Ok(mut bytes) = std::fs::read(path) else { return nothing };
        // The header is told the length every quarter of a second only; all that is there was played.
        if let Some(at) = bytes.windows(4).position(|word| word == b"data")
            && let Some(length) = bytes.get_mut(at + 4..at + 8)
        {
            length.fill(0xff);
        }
        let Ok(recording) = Recording::parse(&bytes) else { return nothing };
        let samples = recording.samples.chunks_exact(2).map(|frame| f32::from(frame[0]) / 32_768.0).collect();
        Self { origin: recording.origin, samples }
    }

    /// The samples due from one hub frame to another, as far as there are any.
    pub fn between(&self, from: u64, to: u64) -> &[f32] {
        let place = |frame: u64| (frame.saturating_sub(self.origin) as usize).min(self.samples.len());
        &self.samples[place(from)..place(to)]
    }

    /// The hub frame after the last.
    pub fn end(&self) -> u64 {
        self.origin + self.samples.len() as u64
    }
}

impl Hub {
    /// What a speaker has played so far.
    pub fn recording(&self, id: &str) -> Sound {
        Sound::read(&self.folder().join(format!("{id}.wav")))
    }

    /// Waits until a speaker has played `frames` more than it has now, and gives those.
    pub fn listen(&self, id: &str, frames: usize) -> Vec<f32> {
        let from = self.recording(id).samples.len();
        let heard = wait_for(PATIENCE, || {
            let sound = self.recording(id);
            sound.samples.get(from..from + frames).map(<[f32]>::to_vec)
        });
        heard.unwrap_or_else(|| panic!("{id} stopped playing"))
    }

    /// Waits until a speaker plays a tone at a level, to 0.3 dB, for a whole quarter of a second.
    pub fn wait_level(&self, id: &str, hertz: f64, dbfs: f64) {
        let mut last = f64::NAN;
        let found = wait_for(PATIENCE, || {
            let sound = self.recording(id).samples;
            let from = sound.len().checked_sub(RATE as usize / 4)?;
            last = tone_level(&sound[from..], RATE, hertz);
            ((last - dbfs).abs() < 0.3).then_some(())
        });
        assert!(found.is_some(), "{id}: {hertz} Hz at {last:.2} dBFS, not {dbfs:.2}");
    }
}

/// What a tone of the simulator has at a volume, dBFS: the square-law taper, 40 dB a decade.
pub fn level_at(volume: u64) -> f64 {
    TONE + 40.0 * (volume as f64 / 100.0).log10()
}

/// The payload of a Play.
pub fn play(behavior: &str, url: &str, token: &str, previous: Option<&str>) -> Value {
    let mut stream = json!({ "url": url, "token": token, "offsetInMilliseconds": 0 });
    if let Some(previous) = previous {
        stream["expectedPreviousToken"] = json!(previous);
    }
    json!({ "playBehavior": behavior, "audioItem": { "audioItemId": token, "stream": stream } })
}
