//! The links' metrics, on a registry passed in.

use antiphon_domain::SpeakerId;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Metrics of all links.
pub(crate) struct Metrics {
    connected: IntGaugeVec,
    connects: IntCounterVec,
    reconnects: IntCounterVec,
    directives: IntCounterVec,
    events: IntCounterVec,
    faults: IntCounterVec,
    refreshes: IntCounterVec,
    logins: IntCounterVec,
    uploads: IntGaugeVec,
    uploaded: IntCounterVec,
    ping_rtt: Histogram,
}

/// Metrics of one speaker's link.
pub(crate) struct LinkMetrics {
    pub(crate) connected: IntGauge,
    pub(crate) connects: IntCounter,
    pub(crate) reconnects: IntCounter,
    pub(crate) directives: IntCounter,
    pub(crate) faults: IntCounter,
    pub(crate) ping_rtt: Histogram,
    pub(crate) uploads: IntGauge,
    pub(crate) uploaded: IntCounter,
    events: IntCounterVec,
    refreshes: IntCounterVec,
    logins: IntCounterVec,
    speaker: SpeakerId,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let vec = IntGaugeVec::new(Opts::new(name, help), &["speaker"])?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let ping_rtt = Histogram::with_opts(
            HistogramOpts::new(
                "antiphon_link_ping_rtt_seconds",
                "Round trip of an HTTP/2 PING to the gateway",
            )
            .buckets(vec![0.000_5, 0.002, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]),
        )?;
        registry.register(Box::new(ping_rtt.clone()))?;
        Ok(Self {
            connected: gauge("antiphon_link_connected", "1 while events flow, else 0")?,
            connects: counter("antiphon_link_connects_total", "Connection attempts begun", &["speaker"])?,
            reconnects: counter(
                "antiphon_link_reconnects_total",
                "Times a link became connected again after the first",
                &["speaker"],
            )?,
            directives: counter("antiphon_link_directives_total", "Directives received", &["speaker"])?,
            events: counter("antiphon_link_events_total", "Events by outcome", &["speaker", "outcome"])?,
            faults: counter(
                "antiphon_link_parse_faults_total",
                "Parts of responses that could not be read",
                &["speaker"],
            )?,
            refreshes: counter(
                "antiphon_link_token_refreshes_total",
                "Token refreshes by outcome",
                &["speaker", "outcome"],
            )?,
            logins: counter(
                "antiphon_link_logins_total",
                "Logins by kind and outcome",
                &["speaker", "kind", "outcome"],
            )?,
            uploads: gauge("antiphon_link_uploads_open", "Events whose audio is being sent")?,
            uploaded: counter("antiphon_link_uploaded_bytes_total", "Bytes of audio sent", &["speaker"])?,
            ping_rtt,
        })
    }

    pub(crate) fn link(&self, speaker: &SpeakerId) -> LinkMetrics {
        let label = &[speaker.as_str()];
        LinkMetrics {
            connected: self.connected.with_label_values(label),
            connects: self.connects.with_label_values(label),
            reconnects: self.reconnects.with_label_values(label),
            directives: self.directives.with_label_values(label),
            faults: self.faults.with_label_values(label),
            ping_rtt: self.ping_rtt.clone(),
            events: self.events.clone(),
            refreshes: self.refreshes.clone(),
            logins: self.logins.clone(),
            uploads: self.uploads.with_label_values(label),
            uploaded: self.uploaded.with_label_values(label),
            speaker: speaker.clone(),
        }
    }
}

impl LinkMetrics {
    pub(crate) fn event(&self, outcome: &str) {
        self.events.with_label_values(&[self.speaker.as_str(), outcome]).inc();
    }

    pub(crate) fn login(&self, kind: &str, outcome: &str) {
        self.logins.with_label_values(&[self.speaker.as_str(), kind, outcome]).inc();
    }

    /// What counts this speaker's refreshes, wherever they end.
    pub(crate) fn refreshes(&self) -> Refreshes {
        Refreshes { counter: self.refreshes.clone(), speaker: self.speaker.clone() }
    }
}

/// Counts refreshes of one speaker.
pub(crate) struct Refreshes {
    counter: IntCounterVec,
    speaker: SpeakerId,
}

impl Refreshes {
    pub(crate) fn count(&self, outcome: &str) {
        self.counter.with_label_values(&[self.speaker.as_str(), outcome]).inc();
    }
}
