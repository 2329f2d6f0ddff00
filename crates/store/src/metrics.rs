//! The store's figures.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

use crate::Class;

#[derive(Debug)]
pub(crate) struct Metrics {
    commit: Histogram,
    errors: IntCounterVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let commit = Histogram::with_opts(
            HistogramOpts::new("antiphon_store_commit_seconds", "Time from a change to its commit on disk.")
                .buckets(vec![0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]),
        )?;
        let errors = IntCounterVec::new(
            Opts::new(
                "antiphon_store_errors_total",
                "Failed reads and writes, by what can be done about them.",
            ),
            &["class"],
        )?;
        for class in [Class::Retry, Class::GiveUp] {
            errors.with_label_values(&[class.name()]);
        }
        registry.register(Box::new(commit.clone()))?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self { commit, errors })
    }

    pub(crate) fn committed(&self, took: Duration) {
        self.commit.observe(took.as_secs_f64());
    }

    pub(crate) fn failed(&self, class: Class) {
        self.errors.with_label_values(&[class.name()]).inc();
    }
}
