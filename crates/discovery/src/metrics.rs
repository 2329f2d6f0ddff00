//! Discovery's figures.

use std::sync::Arc;

use antiphon_endpoint::Kind;
use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::DiscoveryEvent;
use crate::merge::{Merge, Refusal};

#[derive(Debug)]
pub(crate) struct Metrics {
    endpoints: IntGaugeVec,
    events: IntCounterVec,
    queries: IntCounterVec,
    probes: IntCounterVec,
    refused: IntCounterVec,
    missing_interfaces: IntGauge,
    kinds: Vec<&'static str>,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry, kinds: &[Arc<dyn Kind>]) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            endpoints: IntGaugeVec::new(
                Opts::new(
                    "antiphon_discovery_endpoints",
                    "Endpoints known, by kind and whether they are there.",
                ),
                &["kind", "state"],
            )?,
            events: counters("antiphon_discovery_events_total", "What happened to endpoints.", "event")?,
            queries: counters(
                "antiphon_discovery_queries_total",
                "mDNS queries sent for a service.",
                "service",
            )?,
            probes: counters("antiphon_discovery_probes_total", "Probes of last addresses.", "result")?,
            refused: counters("antiphon_discovery_refused_total", "Records not taken in.", "reason")?,
            missing_interfaces: IntGauge::new(
                "antiphon_discovery_missing_interfaces",
                "Configured interfaces that do not exist or have no address.",
            )?,
            kinds: kinds.iter().map(|k| k.name()).collect(),
        };
        for event in ["appeared", "changed", "unreachable", "returned"] {
            metrics.events.with_label_values(&[event]);
        }
        for kind in kinds {
            for service in kind.services() {
                metrics.queries.with_label_values(&[*service]);
            }
        }
        for result in ["answered", "failed"] {
            metrics.probes.with_label_values(&[result]);
        }
        for reason in [Refusal::TooMany, Refusal::NoAddress, Refusal::OtherKind] {
            metrics.refused.with_label_values(&[name_of(reason)]);
        }
        put(registry, &metrics.endpoints)?;
        put(registry, &metrics.events)?;
        put(registry, &metrics.queries)?;
        put(registry, &metrics.probes)?;
        put(registry, &metrics.refused)?;
        put(registry, &metrics.missing_interfaces)?;
        Ok(metrics)
    }

    pub(crate) fn event(&self, event: &DiscoveryEvent) {
        let name = match event {
            DiscoveryEvent::Appeared(_) => "appeared",
            DiscoveryEvent::Changed(_) => "changed",
            DiscoveryEvent::Unreachable { .. } => "unreachable",
            DiscoveryEvent::Returned(_) => "returned",
        };
        self.events.with_label_values(&[name]).inc();
    }

    pub(crate) fn queried(&self, service: &str) {
        self.queries.with_label_values(&[service]).inc();
    }

    pub(crate) fn probed(&self, answered: bool) {
        self.probes.with_label_values(&[if answered { "answered" } else { "failed" }]).inc();
    }

    pub(crate) fn refused(&self, reason: Refusal) {
        self.refused.with_label_values(&[name_of(reason)]).inc();
    }

    pub(crate) fn missing_interfaces(&self, count: usize) {
        self.missing_interfaces.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts the endpoints afresh.
    pub(crate) fn picture(&self, merge: &Merge) {
        for kind in &self.kinds {
            let (mut present, mut unreachable) = (0, 0);
            for (descriptor, there) in merge.endpoints() {
                if descriptor.kind == *kind {
                    if there { present += 1 } else { unreachable += 1 }
                }
            }
            self.endpoints.with_label_values(&[*kind, "present"]).set(present);
            self.endpoints.with_label_values(&[*kind, "unreachable"]).set(unreachable);
        }
    }
}

/// Registers it in the place of what an earlier discovery of this hub registered: that one died.
fn put<C: Collector + Clone + 'static>(registry: &Registry, collector: &C) -> Result<(), prometheus::Error> {
    match registry.register(Box::new(collector.clone())) {
        Err(prometheus::Error::AlreadyReg) => {
            registry.unregister(Box::new(collector.clone()))?;
            registry.register(Box::new(collector.clone()))
        }
        other => other,
    }
}

fn counters(name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), &[label])
}

fn name_of(reason: Refusal) -> &'static str {
    match reason {
        Refusal::TooMany => "too_many",
        Refusal::NoAddress => "no_address",
        Refusal::OtherKind => "other_kind",
    }
}
