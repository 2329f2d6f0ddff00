//! What the renderer measures of itself.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The renderer's metrics, registered on the registry given to it.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub margin: Histogram,
    pub tick: Histogram,
    pub feeds: IntGauge,
    pub outputs: IntGauge,
    pub sounds: IntGauge,
    pub sounds_started: IntCounterVec,
    pub late_starts: IntCounter,
    pub stalls: IntCounter,
    pub source_failures: IntCounterVec,
    pub passed: IntCounter,
    pub mixed: IntCounter,
    late: IntCounterVec,
    skipped: IntCounterVec,
    slow: IntCounterVec,
    panics: IntCounterVec,
}

/// One output's counters.
#[derive(Clone, Debug)]
pub(crate) struct OutputMetrics {
    pub late: IntCounter,
    pub skipped: IntCounter,
    pub slow: IntCounter,
    pub panics: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| -> Result<Histogram, prometheus::Error> {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let by = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        Ok(Self {
            margin: histogram(
                "antiphon_render_block_margin_seconds",
                "how long before its last moment (due time less the endpoint's lead) a block was handed out",
                &[0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05],
            )?,
            tick: histogram(
                "antiphon_render_tick_seconds",
                "how long one round of the render thread took",
                &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.1],
            )?,
            feeds: gauge("antiphon_render_feeds_open", "feeds that are not over")?,
            outputs: gauge("antiphon_render_outputs_open", "outputs with an open endpoint")?,
            sounds: gauge(
                "antiphon_render_sounds_open",
                "sounds of one speaker that are prepared, wait or are heard",
            )?,
            sounds_started: by(
                "antiphon_render_sounds_started_total",
                "sounds whose start was settled",
                "voice",
            )?,
            late_starts: counter(
                "antiphon_render_sounds_late_total",
                "sounds that could not be heard from the moment asked for",
            )?,
            stalls: counter("antiphon_render_stalls_total", "times a source was too slow")?,
            source_failures: by(
                "antiphon_render_source_failures_total",
                "sources that failed, by the class told to AVS",
                "kind",
            )?,
            passed: counter("antiphon_render_passed_blocks_total", "blocks handed on unchanged")?,
            mixed: counter("antiphon_render_mixed_blocks_total", "blocks that a mixer made")?,
            late: by(
                "antiphon_render_late_blocks_total",
                "blocks handed out later than the endpoint's lead wants",
                "speaker",
            )?,
            skipped: by(
                "antiphon_render_skipped_blocks_total",
                "blocks that were past their due time before they could be handed out",
                "speaker",
            )?,
            slow: by(
                "antiphon_render_slow_calls_total",
                "calls of an endpoint that took more than 2 ms",
                "speaker",
            )?,
            panics: by("antiphon_render_endpoint_panics_total", "endpoints that panicked", "speaker")?,
        })
    }

    pub(crate) fn of_output(&self, speaker: &str) -> OutputMetrics {
        OutputMetrics {
            late: self.late.with_label_values(&[speaker]),
            skipped: self.skipped.with_label_values(&[speaker]),
            slow: self.slow.with_label_values(&[speaker]),
            panics: self.panics.with_label_values(&[speaker]),
        }
    }
}

/// A call of an endpoint that takes longer than this is counted: it "never waits".
pub(crate) const SLOW_CALL: Duration = Duration::from_millis(2);
