//! The crate's numbers, on a registry handed in.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Everything counted for all clients of the kind; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Clients that are connected and have said hello.
    pub clients: IntGauge,
    /// Connections that were not taken: too many at once, or no hello in time.
    pub refused: IntCounter,
    /// Doors that could not be opened.
    pub shut: IntCounter,
    made: IntCounter,
    shared: IntCounter,
    garbage: IntCounterVec,
    chunks: IntCounterVec,
    bytes: IntCounterVec,
    late: IntCounterVec,
    dropped: IntCounterVec,
    times: IntCounterVec,
    flushes: IntCounterVec,
    lost: IntCounterVec,
}

/// The counters of one speaker, resolved once.
#[derive(Clone, Debug)]
pub struct ClientMetrics {
    /// Chunks of sound handed to its connection.
    pub chunks: IntCounter,
    /// Bytes of them.
    pub bytes: IntCounter,
    /// Blocks dropped because their time had passed.
    pub late: IntCounter,
    /// Blocks dropped because the queue was full.
    pub dropped: IntCounter,
    /// Questions for the time that were answered.
    pub times: IntCounter,
    /// Times its buffer was emptied.
    pub flushes: IntCounter,
    /// Connections that ended otherwise than by the client's hanging up.
    pub lost: IntCounter,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(format!("antiphon_snapcast_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let labelled = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let opts = Opts::new(format!("antiphon_snapcast_{name}"), help);
            let counter = IntCounterVec::new(opts, &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let by_speaker = |name: &str, help: &str| labelled(name, help, "speaker");
        let clients = IntGauge::new("antiphon_snapcast_clients", "Snapcast clients that are connected.")?;
        registry.register(Box::new(clients.clone()))?;
        Ok(Self {
            clients,
            refused: counter("connections_refused_total", "Connections that were not taken.")?,
            shut: counter("doors_shut_total", "Attempts to open a door that failed.")?,
            made: counter("chunks_encoded_total", "Chunks that had to be encoded.")?,
            shared: counter("chunks_shared_total", "Chunks that were encoded for another client already.")?,
            garbage: labelled("garbage_total", "Messages against the protocol.", "what")?,
            chunks: by_speaker("chunks_total", "Chunks of sound sent.")?,
            bytes: by_speaker("bytes_total", "Bytes of sound sent.")?,
            late: by_speaker("blocks_late_total", "Blocks dropped because their time had passed.")?,
            dropped: by_speaker("blocks_refused_total", "Blocks dropped because the queue was full.")?,
            times: by_speaker("time_answers_total", "Questions for the time answered.")?,
            flushes: by_speaker("flushes_total", "Times a client was told to begin anew.")?,
            lost: by_speaker("connections_lost_total", "Connections ended otherwise than by the client.")?,
        })
    }

    /// The counters of one speaker.
    pub fn client(&self, speaker: &str) -> ClientMetrics {
        let of = |counter: &IntCounterVec| counter.with_label_values(&[speaker]);
        ClientMetrics {
            chunks: of(&self.chunks),
            bytes: of(&self.bytes),
            late: of(&self.late),
            dropped: of(&self.dropped),
            times: of(&self.times),
            flushes: of(&self.flushes),
            lost: of(&self.lost),
        }
    }

    /// Counts a chunk.
    pub fn encoded(&self, fresh: bool) {
        if fresh { self.made.inc() } else { self.shared.inc() }
    }

    /// Counts something sent against the protocol.
    pub fn garbage(&self, what: &'static str) {
        self.garbage.with_label_values(&[what]).inc();
    }
}
