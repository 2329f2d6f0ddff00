//! Reads back what a virtual speaker wrote, with the moments at which it was due: for tests, benches and the curious.

use std::io;
use std::path::Path;

use antiphon_audio::CHANNELS;
use antiphon_domain::{Frames, HubTime, SampleRate};

use crate::wav::TIME_REFERENCE;

/// Sound and its place on the hub's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The hub frame (at 44,100 Hz, counted from the hub's epoch) of the first sample.
    pub origin: u64,
    /// Interleaved stereo; silence where nothing was played.
    pub samples: Vec<i16>,
}

impl Recording {
    /// Reads a WAV file of 16-bit stereo at 44,100 Hz. The origin is 0 where the file has no `bext` chunk.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::parse(&std::fs::read(path)?)
    }

    /// Reads the bytes of such a file.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
            return Err(bad("not a WAV file"));
        }
        let mut origin = 0;
        let mut rest = &bytes[12..];
        while let Some((head, body)) = rest.split_at_checked(8) {
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let chunk = &body[..length.min(body.len())];
            match &head[..4] {
                b"fmt " if chunk.get(2..8) != Some(&[2, 0, 0x44, 0xac, 0, 0]) => {
                    return Err(bad("not stereo at 44,100 Hz"));
                }
                b"bext" => {
                    if let Some(&[a, b, c, d, e, f, g, h]) = chunk.get(TIME_REFERENCE..TIME_REFERENCE + 8) {
                        origin = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                    }
                }
                b"data" => {
                    let samples = chunk.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]])).collect();
                    return Ok(Self { origin, samples });
                }
                _ => {}
            }
            // Chunks begin at even places.
            let next = length.saturating_add(length % 2).min(body.len());
            rest = &body[next..];
        }
        Err(bad("no sound in it"))
    }

    /// How many frames it holds.
    pub fn frames(&self) -> usize {
        self.samples.len() / CHANNELS
    }

    /// When a frame of it was due, to within half a frame.
    pub fn due_of(&self, frame: usize) -> HubTime {
        HubTime::EPOCH + Frames(self.origin + frame as u64).duration(SampleRate::HUB)
    }

    /// The first frame that is not silent.
    pub fn first_sound(&self) -> Option<usize> {
        self.samples.iter().position(|&sample| sample != 0).map(|sample| sample / CHANNELS)
    }

    /// The frame after the last that is not silent.
    pub fn sound_end(&self) -> Option<usize> {
        self.samples.iter().rposition(|&sample| sample != 0).map(|sample| sample / CHANNELS + 1)
    }

    /// The samples due from one hub frame to another, silence where there are none.
    pub fn between(&self, from: u64, to: u64) -> Vec<i16> {
        let mut samples = Vec::new();
        for frame in from..to {
            let place = frame.checked_sub(self.origin).map(|frame| frame as usize * CHANNELS);
            match place.and_then(|place| self.samples.get(place..place + CHANNELS)) {
                Some(frame) => samples.extend_from_slice(frame),
                None => samples.extend([0; CHANNELS]),
            }
        }
        samples
    }
}
