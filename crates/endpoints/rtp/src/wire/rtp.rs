//! RTP packets of linear samples (RFC 3550; L16 and L24 as in RFC 3551 and RFC 3190).

use antiphon_audio::CHANNELS;

/// Bytes before the samples.
pub const HEADER: usize = 12;

/// How samples are written, most significant byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Two bytes a sample.
    L16,
    /// Three bytes a sample; the hub's are 16 bits, so the last is 0.
    L24,
}

impl Encoding {
    /// As the `rtpmap` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::L16 => "L16",
            Self::L24 => "L24",
        }
    }

    /// Bytes of a stereo frame.
    pub fn frame(self) -> usize {
        CHANNELS
            * match self {
                Self::L16 => 2,
                Self::L24 => 3,
            }
    }

    /// Writes interleaved samples behind what is there.
    pub fn write(self, samples: &[i16], into: &mut Vec<u8>) {
        for sample in samples {
            into.extend_from_slice(&sample.to_be_bytes());
            if self == Self::L24 {
                into.push(0);
            }
        }
    }
}

/// The fixed header of RFC 3550, 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The first packet after silence that was not sent.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// Counts packets; wraps.
    pub sequence: u16,
    /// The media clock at the first frame; wraps.
    pub timestamp: u32,
    /// Which sender.
    pub source: u32,
}

impl Header {
    /// Its bytes.
    pub fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = 0x80;
        bytes[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.source.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_header_is_that_of_the_rfc() {
        let header = Header {
            marker: true,
            payload_type: 96,
            sequence: 0x1234,
            timestamp: 0xdead_beef,
            source: 0x0a0b_0c0d,
        };
        let bytes = [0x80, 0xe0, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 0x0a, 0x0b, 0x0c, 0x0d];
        assert_eq!(header.bytes(), bytes);
    }

    proptest! {
        #[test]
        fn samples_survive(samples in proptest::collection::vec(any::<i16>(), 0..500)) {
            for encoding in [Encoding::L16, Encoding::L24] {
                let mut bytes = Vec::new();
                encoding.write(&samples, &mut bytes);
                let width = encoding.frame() / CHANNELS;
                prop_assert_eq!(bytes.len(), samples.len() * width);
                let back: Vec<i16> = bytes.chunks(width).map(|b| i16::from_be_bytes([b[0], b[1]])).collect();
                prop_assert_eq!(&back, &samples);
            }
        }
    }
}
