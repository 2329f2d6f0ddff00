//! What the actors count, registered on the registry they are handed.

use antiphon_endpoint::SyncReport;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// The actors' figures.
#[derive(Clone)]
pub struct Metrics {
    /// From a directive's last byte to the gain set at a speaker.
    pub directive_to_gain: Histogram,
    /// 1 for each speaker, with what people call it.
    pub info: IntGaugeVec,
    /// Volume asked of each speaker.
    pub volume: IntGaugeVec,
    /// 1 while a speaker is muted.
    pub muted: IntGaugeVec,
    /// 1 for the state a speaker's endpoint is in.
    pub endpoint_state: IntGaugeVec,
    /// 1 while sound is heard at a speaker.
    pub playing: IntGaugeVec,
    /// Hundredths of dB below full scale of what a speaker plays.
    pub meter: GaugeVec,
    /// Actors made anew after they died or fell silent.
    pub restarts: IntCounterVec,
    /// Actors that failed too often and were left so.
    pub failed: IntGaugeVec,
    /// Messages a mailbox refused.
    pub refused: IntCounterVec,
    /// Sessions with endpoints, by how they went.
    pub sessions: IntCounterVec,
    /// How many speakers there are.
    pub speakers: IntGauge,
    /// How many groups of two and more there are.
    pub groups: IntGauge,
    /// Directives by what became of them.
    pub directives: IntCounterVec,
    /// From a Play to the moment its first sample is due.
    pub play_to_due: Histogram,
    /// How far from its moment an alert began.
    pub alert_start_error: Histogram,
    /// Sounds of one speaker alone that an output was given.
    pub voices: IntCounterVec,
    /// Alerts rung at another speaker.
    pub rung_elsewhere: IntCounterVec,
    /// Alerts that no speaker could ring for a while.
    pub unheard: IntCounterVec,
    /// Utterances captured.
    pub captures: IntCounterVec,
    /// Utterances handed to a link.
    pub uploads: IntCounterVec,
    /// How well speakers keep time.
    pub sync: SyncMetrics,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let single = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let meter = GaugeVec::new(
            Opts::new(
                "antiphon_speaker_level_dbfs",
                "Loudness of what the speaker just played, dB below full scale",
            ),
            &["speaker"],
        )?;
        registry.register(Box::new(meter.clone()))?;
        let restarts = counter(
            "antiphon_actors_restarts_total",
            "Actors made anew after they died or fell silent",
            &["actor"],
        )?;
        // Shown as 0 from the start: a figure that appears only with trouble cannot be watched.
        let failed =
            gauge("antiphon_actors_failed", "Actors that failed too often and were left so", &["actor"])?;
        for actor in ["archive", "coordinator", "discovery", "speaker"] {
            restarts.with_label_values(&[actor]);
            failed.with_label_values(&[actor]).set(0);
        }
        Ok(Self {
            directive_to_gain: histogram(
                "antiphon_actors_directive_to_gain_seconds",
                "From the last byte of a volume directive to the gain set at a speaker",
                vec![0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5],
            )?,
            info: gauge(
                "antiphon_speaker_info",
                "1 for each speaker, with its name and the zone it stands in",
                &["speaker", "name", "zone", "kind"],
            )?,
            volume: gauge("antiphon_speaker_volume", "Volume asked of the speaker, 0 to 100", &["speaker"])?,
            muted: gauge("antiphon_speaker_muted", "1 while the speaker is muted", &["speaker"])?,
            endpoint_state: gauge(
                "antiphon_speaker_endpoint_state",
                "1 for the state the speaker's endpoint is in",
                &["speaker", "kind", "state"],
            )?,
            playing: gauge(
                "antiphon_speaker_playing",
                "1 while content is heard at the speaker",
                &["speaker"],
            )?,
            meter,
            restarts,
            failed,
            refused: counter(
                "antiphon_actors_refused_messages_total",
                "Messages a mailbox refused",
                &["message", "why"],
            )?,
            sessions: counter(
                "antiphon_actors_sessions_total",
                "Sessions with endpoints by how they went",
                &["speaker", "kind", "outcome"],
            )?,
            speakers: single("antiphon_actors_speakers", "Speakers the hub knows")?,
            groups: single("antiphon_actors_groups", "Groups of two and more speakers")?,
            directives: counter(
                "antiphon_actors_directives_total",
                "Directives by what became of them",
                &["speaker", "outcome"],
            )?,
            play_to_due: histogram(
                "antiphon_actors_play_to_due_seconds",
                "From a Play to the moment its first sample is due",
                vec![0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0],
            )?,
            alert_start_error: histogram(
                "antiphon_actors_alert_start_error_seconds",
                "How far from its moment the first sample of an alert was due",
                vec![0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0],
            )?,
            voices: counter(
                "antiphon_actors_voices_started_total",
                "Sounds of one speaker alone (speech, alerts, notifications) that began",
                &["speaker", "voice"],
            )?,
            rung_elsewhere: counter(
                "antiphon_actors_alerts_rung_elsewhere_total",
                "Alerts rung at another speaker because their own could not",
                &["speaker", "by"],
            )?,
            unheard: counter(
                "antiphon_actors_alerts_unheard_total",
                "Alerts that no speaker could ring for a while",
                &["speaker"],
            )?,
            captures: counter(
                "antiphon_actors_captures_total",
                "Utterances captured from a microphone or a surface",
                &["speaker"],
            )?,
            uploads: counter("antiphon_actors_uploads_total", "Utterances handed to the link", &["speaker"])?,
            sync: SyncMetrics::new(registry)?,
        })
    }
}

/// How well speakers keep time. A series is there only as long as its speaker's protocol tells what it shows.
#[derive(Clone)]
pub struct SyncMetrics {
    /// How far from its due time sound is heard, late or early alike.
    pub error: HistogramVec,
    /// The same as last told, late above 0.
    pub offset: GaugeVec,
    /// How far the true error may be from that.
    pub uncertainty: GaugeVec,
    /// How well the receiver's clock is known.
    pub clock_uncertainty: GaugeVec,
    /// How much faster than the hub's it runs.
    pub drift: GaugeVec,
    /// Corrections by kind.
    pub corrections: IntCounterVec,
    /// Blocks that did not come in time.
    pub underruns: IntCounterVec,
    /// How early blocks are sent.
    pub lead: GaugeVec,
}

/// From 10 us, which no ear and few receivers can tell, to 100 ms, which is an echo.
const ERRORS: [f64; 13] =
    [10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3];

impl SyncMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let labels = ["speaker", "kind"];
        let gauge = |name: &str, help: &str| {
            let vec = GaugeVec::new(Opts::new(name, help), &labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let help = "How far from its due time sound is heard, late or early alike, where the protocol tells";
        let error = HistogramVec::new(
            HistogramOpts::new("antiphon_sync_error_seconds", help).buckets(ERRORS.to_vec()),
            &labels,
        )?;
        registry.register(Box::new(error.clone()))?;
        Ok(Self {
            error,
            offset: gauge(
                "antiphon_sync_offset_seconds",
                "How far from its due time sound is heard now: late above 0, early below",
            )?,
            uncertainty: gauge(
                "antiphon_sync_uncertainty_seconds",
                "The true offset lies within this of the one shown",
            )?,
            clock_uncertainty: gauge(
                "antiphon_sync_clock_uncertainty_seconds",
                "How well the receiver's clock is known",
            )?,
            drift: gauge(
                "antiphon_sync_drift_ppm",
                "How much faster than the hub's the receiver's clock runs",
            )?,
            corrections: counter(
                "antiphon_sync_corrections_total",
                "What was done to keep the receiver in time",
                &["speaker", "kind", "correction"],
            )?,
            underruns: counter(
                "antiphon_sync_underruns_total",
                "Blocks that did not reach the receiver in time",
                &labels,
            )?,
            lead: gauge("antiphon_sync_lead_seconds", "How early blocks are sent, offset included")?,
        })
    }

    /// Shows what a speaker's endpoint told. What it told before and tells no more is absent from then on.
    pub fn take(&self, speaker: &str, kind: &str, report: &SyncReport) {
        let labels = [speaker, kind];
        let show = |gauge: &GaugeVec, value: Option<f64>| match value {
            Some(value) => gauge.with_label_values(&labels).set(value),
            // It may never have been there.
            None => drop(gauge.remove_label_values(&labels)),
        };
        let offset = report.error.map(|error| error.nanos as f64 / 1e9);
        if let Some(seconds) = offset {
            self.error.with_label_values(&labels).observe(seconds.abs());
        }
        show(&self.offset, offset);
        show(&self.uncertainty, report.error.map(|error| error.uncertainty.as_secs_f64()));
        show(&self.clock_uncertainty, report.clock.map(|clock| clock.uncertainty.as_secs_f64()));
        show(&self.drift, report.clock.and_then(|clock| clock.drift_ppm));
        if let Some(done) = report.corrections {
            for (correction, count) in [("rate", done.rate), ("reanchored", done.reanchored)] {
                self.corrections.with_label_values(&[speaker, kind, correction]).inc_by(u64::from(count));
            }
        }
    }

    /// Nothing is told of a speaker any more; with `closed`, it has no session either.
    pub fn forget(&self, speaker: &str, kind: &str, closed: bool) {
        let labels = [speaker, kind];
        // What was never told is not there to be removed.
        let _ = self.error.remove_label_values(&labels);
        for gauge in [&self.offset, &self.uncertainty, &self.clock_uncertainty, &self.drift] {
            let _ = gauge.remove_label_values(&labels);
        }
        if closed {
            let _ = self.lead.remove_label_values(&labels);
        }
    }

    /// A speaker is no more.
    pub fn erase(&self, speaker: &str, kind: &str) {
        self.forget(speaker, kind, true);
        let _ = self.underruns.remove_label_values(&[speaker, kind]);
        for correction in ["rate", "reanchored"] {
            let _ = self.corrections.remove_label_values(&[speaker, kind, correction]);
        }
    }
}
