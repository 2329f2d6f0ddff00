//! Bluetooth's figures.

use antiphon_domain::bluetooth::Command;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

#[derive(Debug)]
pub(crate) struct Metrics {
    pub adapter: IntGauge,
    pub connected: IntGauge,
    commands: IntCounterVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            adapter: IntGauge::new("antiphon_bluetooth_adapter", "Whether the adapter is there and on.")?,
            connected: IntGauge::new("antiphon_bluetooth_connected_devices", "Devices connected now.")?,
            commands: IntCounterVec::new(
                Opts::new("antiphon_bluetooth_commands_total", "What BlueZ was asked, and how that ended."),
                &["command", "result"],
            )?,
        };
        registry.register(Box::new(metrics.adapter.clone()))?;
        registry.register(Box::new(metrics.connected.clone()))?;
        registry.register(Box::new(metrics.commands.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn command(&self, command: &Command, done: bool) {
        let name = match command {
            Command::Scan(_) => "scan",
            Command::Discoverable(_) => "discoverable",
            Command::Pair(_) => "pair",
            Command::Unpair(_) => "unpair",
            Command::Connect(_) => "connect",
            Command::Disconnect(_) => "disconnect",
            Command::Control(..) => "control",
        };
        self.commands.with_label_values(&[name, if done { "done" } else { "failed" }]).inc();
    }
}
