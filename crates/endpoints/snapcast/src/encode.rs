//! The codec all clients are sent, and what clients must be told of it.
//!
//! Owned by the pump alone, except for the header, which never changes.

use antiphon_audio::encode::{Chunk, Codec, Depth, EncodeError, Format, Grouping, Piece, Shared, Thread};
use antiphon_domain::SampleRate;
use bytes::Bytes;

use crate::metrics::Metrics;
use crate::wire::headers;

/// Blocks in a chunk: 23.9 ms.
const BLOCKS: usize = 3;

/// An encoder and its numbers.
pub struct Encoder {
    shared: Shared,
    metrics: Metrics,
    header: Bytes,
}

impl Encoder {
    /// An encoder of one codec.
    pub fn new(codec: Codec, metrics: Metrics) -> Result<Self, EncodeError> {
        let format = Format { codec, rate: SampleRate::HUB, depth: Depth::Sixteen };
        let shared = Shared::new(format)?;
        let header = match codec {
            Codec::Pcm => headers::pcm(format).into(),
            Codec::Flac => shared.header(),
            Codec::Opus => headers::opus(format).into(),
        };
        Ok(Self { shared, metrics, header })
    }

    /// The codec's name and what clients need before the first chunk.
    pub fn header(&self) -> (&'static str, &Bytes) {
        let name = match self.shared.format().codec {
            Codec::Pcm => "pcm",
            Codec::Flac => "flac",
            Codec::Opus => "opus",
        };
        (name, &self.header)
    }

    /// Cuts as this encoder needs it.
    pub fn grouping(&self) -> Grouping {
        Grouping::new(BLOCKS)
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
