//! Sound as clients are sent it: resampled and encoded once for all that take the same format of the same samples.
//!
//! Shared by every client of the kind, behind a lock that nobody holds across a wait. Sound is recognised by the
//! allocation of its samples (`antiphon_audio::encode`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use antiphon_audio::Block;
use antiphon_audio::encode::{self, Piece, Thread};
use antiphon_audio::resample::fixed::{Run, Stream, To48};
use bytes::Bytes;
use prometheus::Registry;

use super::format::{Codec, Format};
use crate::roles::metrics::Metrics;

/// What all clients' roles share; cheap to clone.
#[derive(Clone)]
pub struct Shared {
    press: Arc<Mutex<Press>>,
    /// Counted here.
    pub metrics: Metrics,
}

struct Press {
    to48: To48,
    encoders: Vec<(Format, encode::Shared)>,
}

impl Shared {
    /// Nothing made yet; the roles' numbers go on `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let press = Press { to48: To48::new(), encoders: Vec::new() };
        Ok(Self { press: Arc::new(Mutex::new(press)), metrics: Metrics::new(registry)? })
    }

    /// The block at 48 kHz.
    pub fn at_48k(&self, stream: &mut Stream, block: &Block) -> Run {
        self.lock().to48.run(stream, block)
    }

    /// The pieces as one chunk; empty where the format cannot be made after all.
    pub fn chunk(&self, format: Format, thread: &mut Thread, pieces: &[Piece]) -> Bytes {
        let mut press = self.lock();
        let Some(encoder) = press.encoder(format) else { return Bytes::new() };
        let chunk = encoder.chunk(thread, pieces);
        self.metrics.encoded(chunk.fresh);
        chunk.bytes
    }

    /// What a client needs to know before the first chunk; empty where that is nothing.
    pub fn header(&self, format: Format) -> Bytes {
        self.lock().encoder(format).map(|encoder| encoder.header()).unwrap_or_default()
    }

    /// Whether the format can be made.
    pub fn makes(&self, format: Format) -> bool {
        self.lock().encoder(format).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Press> {
        // What a panic leaves behind is at worst a chunk that is not remembered.
        self.press.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Press {
    /// The encoder of a format, made when it is first asked for.
    fn encoder(&mut self, format: Format) -> Option<&mut encode::Shared> {
        if let Some(place) = self.encoders.iter().position(|(made, _)| *made == format) {
            return self.encoders.get_mut(place).map(|(_, encoder)| encoder);
        }
        let encoder = encode::Shared::new(format.encoding()).ok()?;
        if format.codec == Codec::Flac && encoder.header().is_empty() {
            // A FLAC stream has a header; an encoder without one is not made yet.
            return None;
        }
        self.encoders.push((format, encoder));
        self.encoders.last_mut().map(|(_, encoder)| encoder)
    }
}
