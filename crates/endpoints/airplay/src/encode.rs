//! Blocks as Apple Lossless packets, encoded once for all receivers that were given the same samples.
//!
//! Owned and driven by the pump alone. A block is recognised by the allocation of its samples, which is kept alive as
//! long as its packet is in the cache, so that the address cannot come to mean other samples.

use std::collections::VecDeque;
use std::sync::Arc;

use alac_encoder::{AlacEncoder, FormatDescription};
use antiphon_audio::Block;
use antiphon_audio::block::{BLOCK_FRAMES, CHANNELS};
use bytes::Bytes;

use crate::metrics::Metrics;

/// Packets kept. Members of a group come to the same block within a tick or two of the pump; 64 blocks are 0.5 s,
/// enough for the one whose session has just begun and catches up.
const CACHE: usize = 64;

/// An encoder and the packets it made last.
pub struct Encoder {
    alac: AlacEncoder,
    input: FormatDescription,
    scratch: Vec<u8>,
    cache: VecDeque<(Arc<[i16]>, Bytes)>,
    silence: Arc<[i16]>,
    metrics: Metrics,
}

impl Encoder {
    /// An encoder with nothing cached.
    pub fn new(metrics: Metrics) -> Self {
        let output = FormatDescription::alac(44_100.0, BLOCK_FRAMES as u32, CHANNELS as u32);
        Self {
            alac: AlacEncoder::new(&output),
            input: FormatDescription::pcm::<i16>(44_100.0, CHANNELS as u32),
            // The encoder overruns the size of a verbatim frame while it finds out that compression does not pay.
            scratch: vec![0; 4 * output.max_packet_size()],
            cache: VecDeque::with_capacity(CACHE),
            silence: vec![0; BLOCK_FRAMES * CHANNELS].into(),
            metrics,
        }
    }

    /// The samples of a silent block, always the same.
    pub fn silence(&self) -> Arc<[i16]> {
        Arc::clone(&self.silence)
    }

    /// The packet of a block; `None` when the block is not [`BLOCK_FRAMES`] long.
    pub fn packet(&mut self, block: &Block) -> Option<Bytes> {
        if block.samples.len() != BLOCK_FRAMES * CHANNELS {
            return None;
        }
        // Newest first: that is where a group's other members find theirs.
        for (samples, packet) in self.cache.iter().rev() {
            if Arc::ptr_eq(samples, &block.samples) {
                self.metrics.encoded(true);
                return Some(packet.clone());
            }
        }
        self.metrics.encoded(false);
        // Taken from `i16`s, the bytes have the alignment that the encoder takes for granted.
        let length = self.alac.encode(&self.input, bytemuck::cast_slice(&block.samples), &mut self.scratch);
        let packet = Bytes::copy_from_slice(&self.scratch[..length]);
        if self.cache.len() == CACHE {
            self.cache.pop_front();
        }
        self.cache.push_back((Arc::clone(&block.samples), packet.clone()));
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use antiphon_domain::HubTime;
    use prometheus::Registry;
    use proptest::prelude::*;

    use super::*;

    fn encoder() -> Encoder {
        Encoder::new(Metrics::new(&Registry::new()).unwrap())
    }

    fn block(samples: Vec<i16>) -> Block {
        Block { due: HubTime::EPOCH, samples: samples.into() }
    }

    /// What a receiver makes of a packet, by an independent decoder set up as our `fmtp` line says.
    fn decoded(packet: &[u8]) -> Vec<i16> {
        let info = alac::StreamInfo::from_sdp_format_parameters("352 0 16 40 10 14 2 255 0 0 44100").unwrap();
        let mut decoder = alac::Decoder::new(info);
        let mut out = vec![0i16; BLOCK_FRAMES * CHANNELS];
        decoder.decode_packet(packet, &mut out).unwrap().to_vec()
    }

    #[test]
    fn the_same_samples_are_encoded_once() {
        let mut encoder = encoder();
        let one = block(vec![100; 704]);
        let same = Block { due: HubTime::from_nanos(5), ..one.clone() };
        let a = encoder.packet(&one).unwrap();
        let b = encoder.packet(&same).unwrap();
        assert_eq!(a.as_ptr(), b.as_ptr());
        assert_ne!(encoder.packet(&block(vec![100; 704])).unwrap().as_ptr(), a.as_ptr());
        assert!(encoder.packet(&block(vec![0; 702])).is_none());
    }

    #[test]
    fn extremes_survive() {
        let mut encoder = encoder();
        for (low, high) in [(0, 0), (i16::MIN, i16::MAX), (i16::MAX, i16::MAX), (i16::MIN, i16::MIN)] {
            let samples: Vec<i16> = (0..704).map(|i| if i % 3 == 0 { low } else { high }).collect();
            let packet = encoder.packet(&block(samples.clone())).unwrap();
            assert_eq!(decoded(&packet), samples);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn sound_survives(
            noise in proptest::collection::vec(any::<i16>(), 704),
            scale in 0u32..16,
            step in 0.001f64..3.0,
            loudness in 0.0f64..32_767.0,
        ) {
            let mut encoder = encoder();
            for frame in 0..4 {
                let samples: Vec<i16> = noise
                    .iter()
                    .enumerate()
                    .map(|(i, n)| {
                        let tone = ((frame * 352 + i / 2) as f64 * step).sin() * loudness;
                        (tone as i16).saturating_add(n >> scale)
                    })
                    .collect();
                let packet = encoder.packet(&block(samples.clone())).unwrap();
                prop_assert_eq!(decoded(&packet), samples);
            }
        }
    }
}
