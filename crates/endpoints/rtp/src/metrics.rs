//! The crate's numbers, on a registry handed in.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Everything counted for all sessions of the kind; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    sessions: IntGauge,
    packets: IntCounterVec,
    unsent: IntCounterVec,
    late: IntCounterVec,
    refused: IntCounterVec,
    skipped: IntCounterVec,
    announced: IntCounterVec,
    departure: Histogram,
}

/// The counters of one session, resolved once.
#[derive(Clone, Debug)]
pub struct SessionMetrics {
    /// Open sessions, of all speakers.
    pub sessions: IntGauge,
    /// Packets sent, on each interface.
    pub packets: IntCounter,
    /// Packets that the system refused to send.
    pub unsent: IntCounter,
    /// Blocks that came after their packets had left.
    pub late: IntCounter,
    /// Blocks dropped because the queue was full.
    pub refused: IntCounter,
    /// Packets left out because their time had long passed.
    pub skipped: IntCounter,
    /// Announcements sent.
    pub announced: IntCounter,
    /// How much after its moment a packet left, seconds.
    pub departure: Histogram,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_speaker = |name: &str, help: &str| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(format!("antiphon_rtp_{name}"), help), &["speaker"])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let buckets = vec![20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 20e-3, 0.1];
        let departure = HistogramOpts::new(
            "antiphon_rtp_departure_late_seconds",
            "How much after its moment a packet left.",
        )
        .buckets(buckets);
        let metrics = Self {
            sessions: IntGauge::new("antiphon_rtp_sessions", "Open RTP sessions.")?,
            packets: by_speaker("packets_total", "RTP packets sent, on each interface.")?,
            unsent: by_speaker("packets_unsent_total", "RTP packets that the system refused to send.")?,
            late: by_speaker("blocks_late_total", "Blocks that came after their packets had left.")?,
            refused: by_speaker("blocks_refused_total", "Blocks dropped because the queue was full.")?,
            skipped: by_speaker("packets_skipped_total", "Packets whose time had long passed.")?,
            announced: by_speaker("announcements_total", "SAP announcements sent.")?,
            departure: Histogram::with_opts(departure)?,
        };
        registry.register(Box::new(metrics.sessions.clone()))?;
        registry.register(Box::new(metrics.departure.clone()))?;
        Ok(metrics)
    }

    /// The counters of one speaker.
    pub fn session(&self, speaker: &str) -> SessionMetrics {
        let of = |counter: &IntCounterVec| counter.with_label_values(&[speaker]);
        SessionMetrics {
            sessions: self.sessions.clone(),
            packets: of(&self.packets),
            unsent: of(&self.unsent),
            late: of(&self.late),
            refused: of(&self.refused),
            skipped: of(&self.skipped),
            announced: of(&self.announced),
            departure: self.departure.clone(),
        }
    }

    /// Open sessions.
    pub fn sessions(&self) -> &IntGauge {
        &self.sessions
    }
}
