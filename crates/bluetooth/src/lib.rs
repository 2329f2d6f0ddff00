//! The machine's Bluetooth adapter, by BlueZ on D-Bus.
//!
//! One task holds the bus: it mirrors BlueZ's objects, tells what changed, and carries commands out. It outlives BlueZ:
//! while the bus, the daemon or the adapter is away it says so and looks again. What decides is the AVS interface of the
//! speaker the adapter was given to; nothing here knows of Alexa.

mod agent;
mod calls;
mod metrics;
mod objects;
mod task;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use antiphon_domain::bluetooth::{Adapter, Command, Device, DeviceId, News, Sink};
use prometheus::Registry;
use thiserror::Error;
use tokio::sync::mpsc;
use tracing::warn;
use uuid::Uuid;

use metrics::Metrics;
use objects::{Mirror, Seen};

/// Commands that may wait for the task.
const COMMANDS: usize = 64;

/// What a connected device plays, in GStreamer's words, where the machine's sound server offers it as PulseAudio does
/// (PipeWire offers the same name).
pub const PULSE_SOURCE: &str = "pulsesrc device=bluez_source.{address}.a2dp_source";

/// Which adapter, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BluetoothConfig {
    /// Its kernel name, e.g. `hci0`.
    pub adapter: String,
    /// A bus address; `None` is the system's bus.
    pub bus: Option<String>,
    /// What device ids are made with: the same on this machine over restarts, another on another.
    pub salt: Uuid,
    /// Where GStreamer hears a device that plays; `{address}` stands for its address with underscores.
    pub source: String,
}

/// Why Bluetooth could not begin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BluetoothError {
    /// Two of them count on one registry.
    #[error("bluetooth's figures are registered already: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The adapter. Dropping it ends its task.
pub struct Bluetooth {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    source: String,
}

/// What the task and the handle both see.
pub(crate) struct Shared {
    present: AtomicBool,
    seen: Mutex<Seen>,
    sink: Mutex<Option<Sink>>,
    pub(crate) metrics: Metrics,
}

impl Shared {
    /// Takes in what BlueZ shows now, and tells what that changes.
    pub(crate) fn show(&self, mirror: Option<&Mirror>) {
        let now = mirror.map(Mirror::seen).unwrap_or_default();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let news = objects::news(&seen, &now);
        self.present.store(now.adapter, Ordering::Release);
        self.metrics.adapter.set(i64::from(now.adapter));
        self.metrics.connected.set(now.devices.values().filter(|d| d.device.connected).count() as i64);
        *seen = now;
        // Told under the lock, so that two changes keep their order.
        for news in news {
            self.tell(news);
        }
    }

    pub(crate) fn tell(&self, news: News) {
        if let Some(sink) = self.sink.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            sink(news);
        }
    }
}

impl Bluetooth {
    /// Begins on a runtime; figures `antiphon_bluetooth_*` go to `registry`.
    pub fn start(
        config: BluetoothConfig,
        runtime: &tokio::runtime::Handle,
        registry: &Registry,
    ) -> Result<Self, BluetoothError> {
        let shared = Arc::new(Shared {
            present: AtomicBool::new(false),
            seen: Mutex::new(Seen::default()),
            sink: Mutex::new(None),
            metrics: Metrics::register(registry)?,
        });
        let (commands, asked) = mpsc::channel(COMMANDS);
        let source = config.source.clone();
        runtime.spawn(task::run(config, shared.clone(), asked));
        Ok(Self { shared, commands, source })
    }
}

impl Adapter for Bluetooth {
    fn is_present(&self) -> bool {
        self.shared.present.load(Ordering::Acquire)
    }

    fn watch(&self, sink: Sink) {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.adapter {
            sink(News::Adapter(seen.devices.values().map(|device| device.device.clone()).collect()));
            for device in seen.devices.values().filter(|device| device.streaming) {
                sink(News::Streaming(device.device.id.clone(), true));
            }
        } else {
            sink(News::NoAdapter);
        }
        *self.shared.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
    }

    fn command(&self, command: Command) {
        if let Err(refused) = self.commands.try_send(command) {
            let command = refused.into_inner();
            warn!(?command, "the adapter takes no more commands");
            self.shared.tell(News::Done { command, result: Err("too many commands wait".into()) });
        }
    }

    fn source(&self, id: &DeviceId) -> Option<String> {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let device = seen.devices.get(id).filter(|device| device.streaming)?;
        Some(self.source.replace("{address}", &device.address.replace(':', "_")))
    }
}

/// One device as the task sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenDevice {
    pub device: Device,
    /// Its address in full: it never leaves this crate but in a source's name.
    pub address: String,
    pub path: String,
    pub streaming: bool,
}
