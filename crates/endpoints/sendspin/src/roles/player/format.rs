//! Which of a client's formats we send it.
//!
//! Pure. The hub's own samples untouched are best; where a client takes no 44.1 kHz it gets 48. Always in stereo. Among
//! formats equally good for the sound the client's own order counts.

use antiphon_audio::CHANNELS;
use antiphon_audio::encode;
use antiphon_domain::SampleRate;
use serde_json::{Map, Value};

/// How samples are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Little-endian signed integers.
    Pcm,
    /// Whole FLAC frames.
    Flac,
}

impl Codec {
    /// As in the protocol's messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcm => "pcm",
            Self::Flac => "flac",
        }
    }
}

/// A format that we can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// How samples are packed.
    pub codec: Codec,
    /// 44,100 or 48,000 Hz.
    pub rate: u32,
    /// 16 or 24; 24 are the same samples, widened.
    pub bits: u8,
}

impl Format {
    /// The hub's own.
    pub const HUB: Self = Self { codec: Codec::Pcm, rate: 44_100, bits: 16 };

    /// The format that a client's message names; `None` when it is none that we can make.
    pub fn parse(value: &Value) -> Option<Self> {
        let codec = match value.get("codec")?.as_str()? {
            "pcm" => Codec::Pcm,
            "flac" => Codec::Flac,
            _ => return None,
        };
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        let rate = match number("sample_rate")? {
            rate @ (44_100 | 48_000) => rate as u32,
            _ => return None,
        };
        if number("channels")? != CHANNELS as u64 {
            return None;
        }
        let bits = match number("bit_depth")? {
            bits @ (16 | 24) => bits as u8,
            _ => return None,
        };
        Some(Self { codec, rate, bits })
    }

    /// As in `stream/start`, without a header.
    pub fn describe(self) -> Map<String, Value> {
        let mut player = Map::new();
        player.insert("codec".into(), self.codec.name().into());
        player.insert("sample_rate".into(), self.rate.into());
        player.insert("channels".into(), CHANNELS.into());
        player.insert("bit_depth".into(), self.bits.into());
        player
    }

    /// Bytes of so many frames at most: what PCM takes; FLAC frames may be some bytes larger when nothing compresses.
    pub fn bytes(self, frames: u64) -> u64 {
        frames * CHANNELS as u64 * u64::from(self.bits / 8)
    }

    /// As the encoders know it.
    pub fn encoding(self) -> encode::Format {
        let codec = match self.codec {
            Codec::Pcm => encode::Codec::Pcm,
            Codec::Flac => encode::Codec::Flac,
        };
        let depth = if self.bits > 16 { encode::Depth::TwentyFour } else { encode::Depth::Sixteen };
        encode::Format { codec, rate: self.sample_rate(), depth }
    }

    /// Frames a second.
    pub fn sample_rate(self) -> SampleRate {
        SampleRate::new(self.rate).unwrap_or(SampleRate::HUB)
    }

    /// How far from the hub's own samples: 0 are those.
    fn distance(self) -> u8 {
        let widened = u8::from(self.bits > 16);
        let resampled = u8::from(self.rate != 44_100);
        widened + 2 * resampled
    }
}

/// The format for a client that offers these, in its order; `None` when there are none.
pub fn best(offers: &[Format]) -> Option<Format> {
    // The first of those that are equal is kept.
    offers.iter().copied().min_by_key(|format| format.distance())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offer(codec: &str, rate: u32, channels: usize, bits: u8) -> Option<Format> {
        Format::parse(&json!({"codec": codec, "sample_rate": rate, "channels": channels, "bit_depth": bits}))
    }

    #[test]
    fn the_hubs_own_samples_are_best_and_the_clients_order_decides_among_equals() {
        let offers: Vec<Format> = [
            offer("opus", 48_000, 2, 16),
            offer("flac", 96_000, 2, 24),
            offer("flac", 48_000, 2, 24),
            offer("pcm", 44_100, 2, 24),
            offer("flac", 44_100, 2, 16),
            offer("pcm", 44_100, 2, 16),
            offer("pcm", 44_100, 1, 16),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(offers.len(), 4);
        assert_eq!(best(&offers), offer("flac", 44_100, 2, 16));
        assert_eq!(best(&offers[..1]), offer("flac", 48_000, 2, 24));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn nonsense_is_no_format() {
        for value in [
            json!(null),
            json!({"codec": "pcm", "sample_rate": -1, "channels": 2, "bit_depth": 16}),
            json!({"codec": "pcm", "sample_rate": 44_100, "channels": 2, "bit_depth": "16"}),
            json!({"codec": "pcm", "sample_rate": 44_100, "channels": 200, "bit_depth": 16}),
        ] {
            assert_eq!(Format::parse(&value), None, "{value}");
        }
    }
}
