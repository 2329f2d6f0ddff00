//! The crate's numbers, on a registry handed in. Those of the roles are beside them.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Everything counted for all connections; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Open connections, whoever dialled.
    pub connections: IntGauge,
    /// Sessions of the hub, connecting ones included.
    pub sessions: IntGauge,
    /// Connections ended for what their peer sent, by what was wrong.
    faults: IntCounterVec,
    /// Messages that mean nothing to us and did no harm.
    ignored: IntCounterVec,
    /// Calls that were not taken, as too many were there.
    pub turned_away: IntCounter,
    /// Times the door could not be opened, or failed.
    pub door_failures: IntCounter,
    /// Pairings, by how they ended.
    pairings: IntCounterVec,
    /// Blocks that found the queue of their session full.
    pub refused: IntCounterVec,
    /// Bytes sent, by speaker.
    pub bytes: IntCounterVec,
    /// Sessions that ended otherwise than by us, by speaker.
    pub lost: IntCounterVec,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by = |label: &str, name: &str, help: &str| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(format!("antiphon_sendspin_{name}"), help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let metrics = Self {
            connections: IntGauge::new(
                "antiphon_sendspin_connections",
                "Open connections, whoever dialled.",
            )?,
            sessions: IntGauge::new("antiphon_sendspin_sessions", "Sessions, connecting ones included.")?,
            faults: by("fault", "faults_total", "Connections ended for what their peer sent.")?,
            ignored: by("what", "ignored_total", "Messages without a meaning for us.")?,
            turned_away: IntCounter::new(
                "antiphon_sendspin_turned_away_total",
                "Calls that were not taken, as too many were there.",
            )?,
            door_failures: IntCounter::new(
                "antiphon_sendspin_door_failures_total",
                "Times the port for receivers could not be opened or failed.",
            )?,
            pairings: by("outcome", "pairings_total", "Pairings, by how they ended.")?,
            refused: by("speaker", "blocks_refused_total", "Blocks dropped because the queue was full.")?,
            bytes: by("speaker", "bytes_total", "Bytes sent, as WebSocket messages.")?,
            lost: by("speaker", "sessions_lost_total", "Sessions that ended otherwise than by us.")?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.sessions.clone()))?;
        registry.register(Box::new(metrics.turned_away.clone()))?;
        registry.register(Box::new(metrics.door_failures.clone()))?;
        Ok(metrics)
    }

    /// Counts a connection that ended for what its peer sent.
    pub fn fault(&self, label: &str) {
        self.faults.with_label_values(&[label]).inc();
    }

    /// Counts a message without a meaning.
    pub fn ignored(&self, what: &str) {
        self.ignored.with_label_values(&[what]).inc();
    }

    /// Nobody will be told of this speaker any more.
    pub fn forget(&self, speaker: &str) {
        for counter in [&self.refused, &self.bytes, &self.lost] {
            // One that was never counted is not there.
            let _ = counter.remove_label_values(&[speaker]);
        }
    }

    /// Counts the end of a pairing: `paired`, `wrong` or `over`.
    pub fn pairing(&self, outcome: &str) {
        self.pairings.with_label_values(&[outcome]).inc();
    }
}

/// Counts one more of something while it lives.
pub struct Counted(IntGauge);

impl Counted {
    /// Counted from now on.
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
