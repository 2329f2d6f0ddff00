//! The kind: clients that dialled us, and sessions with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use antiphon_audio::encode::EncodeError;
use antiphon_domain::SpeakerId;
use antiphon_endpoint::{
    Advert, ArrivalSink, BadEndpoint, Caps, Clock, Descriptor, Endpoint, EventSink, Kind, Pace, ServiceRecord,
};
use antiphon_net::Standing;
use antiphon_net::pump::Pump;
use prometheus::Registry;
use thiserror::Error;
use tokio::runtime::Handle;

use crate::driver::{self, Clients, House, Lane};
use crate::encode::Encoder;
use crate::metrics::Metrics;
use crate::options::SnapcastOptions;

/// The kind's name.
pub const NAME: &str = "snapcast";

/// What clients look for.
const SERVICE: &str = "_snapcast._tcp.local.";

/// Why the kind cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapcastError {
    /// Its metrics are there already.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Its codec cannot be had.
    #[error("codec: {0}")]
    Codec(#[from] EncodeError),
}

/// Snapcast clients.
pub struct SnapcastKind {
    house: House,
    clients: Clients,
    pump: Pump<Lane>,
    /// The port that is open, once the doors were.
    port: Mutex<Option<Option<u16>>>,
    /// Who stands at the doors.
    standing: Standing,
}

impl SnapcastKind {
    /// A kind whose connections run on `runtime` and count on `registry`. The doors open with [`Kind::listen`].
    pub fn new(
        runtime: Handle,
        options: SnapcastOptions,
        registry: &Registry,
    ) -> Result<Self, SnapcastError> {
        let metrics = Metrics::new(registry)?;
        let encoder = Encoder::new(options.codec, metrics.clone())?;
        let codec = encoder.announced();
        let pump = Pump::start(&runtime, encoder);
        let clients = Clients::new(metrics.clone());
        Ok(Self {
            house: House { runtime, options, metrics, codec },
            clients,
            pump,
            port: Mutex::default(),
            standing: Standing::default(),
        })
    }
}

impl Kind for SnapcastKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn services(&self) -> &'static [&'static str] {
        // Clients announce nothing: they dial us.
        &[]
    }

    fn remembers(&self) -> bool {
        true
    }

    fn recognise(&self, _record: &ServiceRecord) -> Option<Descriptor> {
        None
    }

    fn configured(
        &self,
        _text: &str,
        _id: &SpeakerId,
        _name: &str,
    ) -> Option<Result<Descriptor, BadEndpoint>> {
        None
    }

    fn caps(&self, _descriptor: &Descriptor, pace: Pace) -> Caps {
        Caps { lead: self.house.options.lead_at(pace), own_volume: true }
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let endpoint = driver::open(&self.house, &self.clients, descriptor, pace, clock, events, &self.pump);
        Box::new(endpoint)
    }

    fn listen(&self, clock: Arc<dyn Clock>, arrivals: ArrivalSink) -> Vec<Advert> {
        self.clients.tell(arrivals);
        if driver::is_shut(&self.house.options) {
            return Vec::new();
        }
        let mut port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
        let port = *port
            .get_or_insert_with(|| driver::open_doors(&self.house, &self.clients, &clock, &self.standing));
        port.map(advert).into_iter().collect()
    }
}

fn advert(port: u16) -> Advert {
    Advert { service: SERVICE, instance: instance(), port, txt: BTreeMap::new() }
}

/// What our service is called: two hubs on one network need two names.
fn instance() -> String {
    let host: String = antiphon_net::machine_name().chars().take(40).collect();
    if host.is_empty() { "Antiphon".to_owned() } else { format!("Antiphon on {host}") }
}
