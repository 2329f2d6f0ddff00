//! Opus by the system's libopus. An encoder builds upon what it made before, so each sound that goes on has its own.

use std::fmt;

use opusic_c::{Application, Bitrate, Channels, Encoder, SampleRate};

use super::Piece;

/// Frames a packet: 20 ms at 48 kHz, what the codec was made for.
pub(super) const FRAMES: usize = 960;

/// Bits a second, above which few hear a difference (recalled from public listening tests, not measured here).
const BITS: u32 = 160_000;

/// How hard it tries, of 10: 5 takes two thirds of the processor that 9 does, GStreamer's default (measured).
const COMPLEXITY: u8 = 5;

/// Sounds that go on at once: contents, and members with voices of their own.
const MOST: usize = 16;

/// A packet of one frame is at most this long (RFC 6716, section 3.4), and a byte for its kind.
const LONGEST: usize = 1_276;

/// Encoders, each with the number of the chunk it made last, the one used last at the end.
pub(super) struct Opus {
    encoders: Vec<(u64, Encoder)>,
    delay: usize,
    samples: Vec<u16>,
}

impl Opus {
    /// One encoder, which has made nothing; `None` when the library will not.
    pub(super) fn new() -> Option<Self> {
        let mut first = encoder()?;
        let delay = first.get_look_ahead().ok()? as usize;
        Some(Self { encoders: vec![(0, first)], delay, samples: Vec::new() })
    }

    /// How many frames later than put in a sound comes out of a decoder.
    pub(super) fn delay(&self) -> usize {
        self.delay
    }

    /// Appends the pieces as chunk number `number` of the sound that chunk `last` belongs to. What is short of a packet
    /// is filled with silence.
    pub(super) fn encode(&mut self, last: Option<u64>, number: u64, pieces: &[Piece], out: &mut Vec<u8>) {
        self.samples.clear();
        self.samples
            .extend(pieces.iter().flat_map(|piece| piece.meant()).map(|sample| sample.cast_unsigned()));
        self.samples.resize(2 * FRAMES, 0);
        let known = last.and_then(|last| self.encoders.iter().position(|(made, _)| *made == last));
        let mut encoder = match known {
            Some(at) => self.encoders.remove(at).1,
            None => match (self.encoders.len() < MOST).then(encoder).flatten() {
                Some(encoder) => encoder,
                None if self.encoders.is_empty() => return,
                None => {
                    let (_, mut oldest) = self.encoders.remove(0);
                    // One that cannot be begun anew goes on with another sound: a click.
                    let _ = oldest.reset();
                    oldest
                }
            },
        };
        out.reserve(LONGEST);
        // A packet that fails is one that is lost, which decoders conceal.
        let _ = encoder.encode_to_vec(&self.samples, out);
        self.encoders.push((number, encoder));
    }
}

fn encoder() -> Option<Encoder> {
    let mut encoder = Encoder::new(Channels::Stereo, SampleRate::Hz48000, Application::Audio).ok()?;
    encoder.set_bitrate(Bitrate::Value(BITS)).ok()?;
    encoder.set_complexity(COMPLEXITY).ok()?;
    Some(encoder)
}

impl fmt::Debug for Opus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opus").field("encoders", &self.encoders.len()).finish_non_exhaustive()
    }
}
