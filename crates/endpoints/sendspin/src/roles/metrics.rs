//! What the roles count, for all clients together.

use prometheus::{IntCounter, Registry};

/// The numbers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    made: IntCounter,
    shared: IntCounter,
    /// Audio chunks handed to connections.
    pub chunks: IntCounter,
    /// Their bytes, headers included.
    pub bytes: IntCounter,
    /// Blocks dropped because their time had passed, or because they came when what follows them was sent already.
    pub late: IntCounter,
    /// Times a client's buffer had to be cleared.
    pub clears: IntCounter,
    /// Times a stream began or changed its format.
    pub starts: IntCounter,
    /// Pictures begun to be sent.
    pub pictures: IntCounter,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(format!("antiphon_sendspin_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        Ok(Self {
            made: counter("encoded_chunks", "Audio chunks encoded.")?,
            shared: counter("shared_chunks", "Audio chunks that another client had had encoded already.")?,
            chunks: counter("chunks", "Audio chunks handed to connections.")?,
            bytes: counter("chunk_bytes", "Bytes of audio chunks handed to connections, headers included.")?,
            late: counter("late_blocks", "Blocks that came too late to be sent.")?,
            clears: counter("clears", "Times that a client's buffer had to be cleared.")?,
            starts: counter("stream_starts", "Streams begun, or continued in another format.")?,
            pictures: counter("pictures", "Pictures begun to be sent.")?,
        })
    }

    /// A chunk was had, made just now or for another before.
    pub fn encoded(&self, fresh: bool) {
        if fresh { self.made.inc() } else { self.shared.inc() }
    }

    /// Chunks that had to be encoded.
    #[cfg(test)]
    pub fn encoded_fresh(&self) -> u64 {
        self.made.get()
    }
}
