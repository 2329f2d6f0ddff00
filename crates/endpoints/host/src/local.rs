//! The kind `local`: this machine's own sound, by its sound server where one runs, else by its sound card.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use antiphon_domain::{Lead, SpeakerId};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, LostReason, Pace,
    ServiceRecord,
};
use tokio::runtime::Handle;

use crate::card::{self, CardSession};
use crate::front::Front;
use crate::metrics::Metrics;
use crate::pulse::wire::message::DEFAULT_SINK;
use crate::pulse::{Depth, Place, Session, pair};

const NAME: &str = "local";
const DEVICE: &str = "device";

/// This machine's sound: `local:` is the default sink of its PulseAudio or PipeWire, or its first sound card where
/// neither runs; `local:DEVICE` an ALSA device such as `local:hw:1,0`. Without a card a session ends with
/// [`LostReason::Local`] that says what was tried.
#[derive(Debug)]
pub struct LocalKind {
    runtime: Handle,
    metrics: Metrics,
}

impl LocalKind {
    /// Nothing is opened yet; sessions with a sound server run on `runtime`.
    pub fn new(runtime: Handle, metrics: Metrics) -> Self {
        Self { runtime, metrics }
    }
}

impl Kind for LocalKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn services(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognise(&self, _record: &ServiceRecord) -> Option<Descriptor> {
        None
    }

    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let device = text.strip_prefix("local:")?;
        let mut properties = BTreeMap::new();
        if !device.is_empty() {
            properties.insert(DEVICE.to_owned(), device.to_owned());
        }
        let (id, name) = (id.clone(), name.to_owned());
        Some(Ok(Descriptor { id, name, kind: NAME, addresses: Vec::new(), properties }))
    }

    fn caps(&self, _descriptor: &Descriptor, pace: Pace) -> Caps {
        Caps { lead: Lead(Depth::here(pace).lead), own_volume: false }
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let (caps, depth) = (self.caps(descriptor, pace), Depth::here(pace));
        let device = descriptor.properties.get(DEVICE).cloned();
        if device.is_none()
            && let Some(place) = Place::here()
        {
            let (endpoint, orders) = pair(caps);
            let session = Session {
                speaker: descriptor.id.clone(),
                place: Some(place),
                sink: DEFAULT_SINK.to_owned(),
                depth,
                own_volume: false,
                cookie: None,
                orders,
                clock,
                events,
                metrics: self.metrics.session(descriptor.id.as_str(), NAME),
            };
            self.runtime.spawn(session.run());
            return Box::new(endpoint);
        }
        let (front, orders, missed) = Front::new(caps, Arc::clone(&clock));
        let session = CardSession { device, depth, orders, clock, events: Arc::clone(&events), missed };
        let started = thread::Builder::new().name("antiphon-card".into()).spawn(move || card::run(session));
        if started.is_err() {
            events(EndpointEvent::Lost(LostReason::Local("no thread for the sound card".into())));
        }
        Box::new(front)
    }
}
