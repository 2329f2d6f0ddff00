//! The codec all clients are sent, and what clients must be told of it.
//!
//! Owned by the pump alone, except for the header, which never changes.

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::encode::{Chunk, Codec, Depth, EncodeError, Format, Grouping, Piece, Shared, Thread};
use antiphon_audio::resample::fixed::{Stream, To48};
use antiphon_domain::{HubTime, SampleRate};
use bytes::Bytes;

use crate::driver::Announced;
use crate::metrics::Metrics;
use crate::wire::headers;

/// Blocks in a chunk: 23.9 ms.
const BLOCKS: usize = 3;

/// An encoder and its numbers.
pub struct Encoder {
    shared: Shared,
    /// Opus wants 48 kHz.
    resampler: Option<To48>,
    metrics: Metrics,
    header: Bytes,
}

impl Encoder {
    /// An encoder of one codec.
    pub fn new(codec: Codec, metrics: Metrics) -> Result<Self, EncodeError> {
        let resampler = (codec == Codec::Opus).then(To48::new);
        let rate = match (&resampler, SampleRate::new(48_000)) {
            (Some(_), Some(rate)) => rate,
            _ => SampleRate::HUB,
        };
        let format = Format { codec, rate, depth: Depth::Sixteen };
        let shared = Shared::new(format)?;
        let header = match codec {
            Codec::Pcm => headers::pcm(format).into(),
            Codec::Flac => shared.header(),
            Codec::Opus => headers::opus(format).into(),
        };
        Ok(Self { shared, resampler, metrics, header })
    }

    /// What clients are told of the codec.
    pub fn announced(&self) -> Announced {
        let name = match self.shared.format().codec {
            Codec::Pcm => "pcm",
            Codec::Flac => "flac",
            Codec::Opus => "opus",
        };
        Announced { name, header: self.header.clone() }
    }

    /// Cuts as this encoder needs it.
    pub fn grouping(&self) -> Grouping {
        self.shared.grouping(BLOCKS)
    }

    /// Frames a second of what is sent.
    pub fn rate(&self) -> SampleRate {
        self.shared.format().rate
    }

    /// A block at that rate, and when its first frame is heard.
    pub fn at_rate(&mut self, stream: &mut Stream, block: &Block) -> (HubTime, Arc<[i16]>) {
        match &mut self.resampler {
            Some(resampler) => {
                let run = resampler.run(stream, block);
                (run.due, run.samples)
            }
            None => (block.due, Arc::clone(&block.samples)),
        }
    }

    /// How much earlier than its sound is heard a chunk is to be stamped.
    pub fn delay(&self) -> Duration {
        self.shared.delay()
    }

    /// What it shares.
    pub fn shared(&mut self) -> &mut Shared {
        &mut self.shared
    }

    /// A chunk of these pieces.
    pub fn chunk(&mut self, thread: &mut Thread, pieces: &[Piece]) -> Chunk {
        let chunk = self.shared.chunk(thread, pieces);
        self.metrics.encoded(chunk.fresh);
        chunk
    }
}
