//! The crate's numbers, on a registry handed in.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Everything counted for all sessions; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    bytes: IntCounterVec,
    late: IntCounterVec,
    lost: IntCounterVec,
}

/// The counters of one session, resolved once.
#[derive(Clone, Debug)]
pub struct SessionMetrics {
    /// Bytes sent to the server.
    pub bytes: IntCounter,
    /// Blocks that came too late to be heard in full, or found no room.
    pub late: IntCounter,
    /// Sessions that ended otherwise than by us.
    pub lost: IntCounter,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounterVec, prometheus::Error> {
            let name = format!("antiphon_host_{name}");
            let counter = IntCounterVec::new(Opts::new(name, help), &["speaker", "kind"])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        Ok(Self {
            bytes: counter("sent_bytes_total", "Bytes sent to sound servers.")?,
            late: counter("blocks_late_total", "Blocks that came too late to be heard in full.")?,
            lost: counter("sessions_lost_total", "Sessions that ended otherwise than by us.")?,
        })
    }

    /// The counters of one speaker.
    pub fn session(&self, speaker: &str, kind: &str) -> SessionMetrics {
        let of = |counter: &IntCounterVec| counter.with_label_values(&[speaker, kind]);
        SessionMetrics { bytes: of(&self.bytes), late: of(&self.late), lost: of(&self.lost) }
    }
}
