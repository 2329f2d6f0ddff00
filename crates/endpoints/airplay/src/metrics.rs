//! The crate's numbers, on a registry handed in.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Everything counted for all sessions of a kind; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    sessions: IntGauge,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    packets: IntCounterVec,
    bytes: IntCounterVec,
    unsent: IntCounterVec,
    resent: IntCounterVec,
    gone: IntCounterVec,
    late: IntCounterVec,
    refused: IntCounterVec,
    syncs: IntCounterVec,
    timings: IntCounterVec,
    flushes: IntCounterVec,
    garbage: IntCounterVec,
    lost: IntCounterVec,
    told: IntCounterVec,
    commands: IntCounterVec,
    commands_refused: IntCounter,
}

/// The counters of one session, resolved once.
#[derive(Clone, Debug)]
pub struct SessionMetrics {
    /// Audio packets sent.
    pub packets: IntCounter,
    /// Bytes of audio packets sent, headers of ours included.
    pub bytes: IntCounter,
    /// Audio packets that the system refused to send.
    pub unsent: IntCounter,
    /// Packets sent again because the receiver asked.
    pub resent: IntCounter,
    /// Packets asked for again that we no longer, or never, had.
    pub gone: IntCounter,
    /// Blocks dropped because their time had passed or lay before what was sent.
    pub late: IntCounter,
    /// Blocks dropped because the queue was full or their shape is not ours.
    pub refused: IntCounter,
    /// Sync packets sent.
    pub syncs: IntCounter,
    /// Timing requests answered.
    pub timings: IntCounter,
    /// FLUSH requests sent.
    pub flushes: IntCounter,
    /// Datagrams dropped because they were no timing or resend request.
    pub garbage: IntCounter,
    /// Sessions that ended otherwise than by us.
    pub lost: IntCounter,
    /// Words, pictures and progress that the receiver took.
    pub told: IntCounter,
    /// Commands of the receiver's remote control.
    pub commands: IntCounter,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_speaker = |name: &str, help: &str| -> Result<IntCounterVec, prometheus::Error> {
            let counter =
                IntCounterVec::new(Opts::new(format!("antiphon_airplay_{name}"), help), &["speaker"])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let metrics = Self {
            sessions: IntGauge::new(
                "antiphon_airplay_sessions",
                "Open AirPlay sessions, connecting ones included.",
            )?,
            cache_hits: IntCounter::new(
                "antiphon_airplay_encode_cache_hits_total",
                "Blocks that another receiver of the group had encoded already.",
            )?,
            cache_misses: IntCounter::new(
                "antiphon_airplay_encode_cache_misses_total",
                "Blocks that had to be encoded.",
            )?,
            packets: by_speaker("packets_total", "Audio packets sent.")?,
            bytes: by_speaker("bytes_total", "Bytes of audio packets sent.")?,
            unsent: by_speaker("packets_unsent_total", "Audio packets that the system refused to send.")?,
            resent: by_speaker("packets_resent_total", "Packets sent again because the receiver asked.")?,
            gone: by_speaker("packets_gone_total", "Packets asked for again that were not kept any more.")?,
            late: by_speaker("blocks_late_total", "Blocks dropped because their time had passed.")?,
            refused: by_speaker("blocks_refused_total", "Blocks dropped because the queue was full.")?,
            syncs: by_speaker("syncs_total", "Sync packets sent.")?,
            timings: by_speaker("timing_answers_total", "Timing requests answered.")?,
            flushes: by_speaker("flushes_total", "FLUSH requests sent.")?,
            garbage: by_speaker("garbage_total", "Datagrams from receivers that were not understood.")?,
            lost: by_speaker("sessions_lost_total", "Sessions that ended otherwise than by us.")?,
            told: by_speaker(
                "shown_total",
                "Words, pictures and progress told to receivers that show them.",
            )?,
            commands: by_speaker("remote_commands_total", "Commands that came from receivers.")?,
            commands_refused: IntCounter::new(
                "antiphon_airplay_remote_refused_total",
                "Requests at the remote control's port that were of no session of ours, or no requests.",
            )?,
        };
        registry.register(Box::new(metrics.commands_refused.clone()))?;
        registry.register(Box::new(metrics.sessions.clone()))?;
        registry.register(Box::new(metrics.cache_hits.clone()))?;
        registry.register(Box::new(metrics.cache_misses.clone()))?;
        Ok(metrics)
    }

    /// The counters of one speaker.
    pub fn session(&self, speaker: &str) -> SessionMetrics {
        let of = |counter: &IntCounterVec| counter.with_label_values(&[speaker]);
        SessionMetrics {
            packets: of(&self.packets),
            bytes: of(&self.bytes),
            unsent: of(&self.unsent),
            resent: of(&self.resent),
            gone: of(&self.gone),
            late: of(&self.late),
            refused: of(&self.refused),
            syncs: of(&self.syncs),
            timings: of(&self.timings),
            flushes: of(&self.flushes),
            garbage: of(&self.garbage),
            lost: of(&self.lost),
            told: of(&self.told),
            commands: of(&self.commands),
        }
    }

    /// What came to the remote control's port and was refused.
    pub fn commands_refused(&self) -> &IntCounter {
        &self.commands_refused
    }

    /// Open sessions.
    pub fn sessions(&self) -> &IntGauge {
        &self.sessions
    }

    /// Counts one use of the encoder's cache.
    pub fn encoded(&self, hit: bool) {
        if hit { self.cache_hits.inc() } else { self.cache_misses.inc() }
    }
}
