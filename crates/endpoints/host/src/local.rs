//! The kind `local`: the machine's own sound card, where there is one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use antiphon_domain::{Lead, SpeakerId};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, LostReason, Pace,
    ServiceRecord,
};

use crate::card::{self, CardSession};
use crate::front::Front;

const NAME: &str = "local";
const DEVICE: &str = "device";

/// The pipeline takes sound 250 ms early; the rest is for waking up.
const CAPS: Caps = Caps { lead: Lead(Duration::from_millis(300)), own_volume: false };

/// The sound card: `local:` is the machine's default output (PulseAudio or PipeWire, else ALSA), `local:DEVICE` an ALSA
/// device such as `local:hw:1,0`. Without a card a session ends with [`LostReason::Local`] that says what was tried.
#[derive(Debug, Default)]
pub struct LocalKind;

impl LocalKind {
    /// Nothing is opened yet.
    pub fn new() -> Self {
        Self
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

    fn caps(&self, _descriptor: &Descriptor, _pace: Pace) -> Caps {
        CAPS
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        _pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let (front, orders, missed) = Front::new(CAPS, Arc::clone(&clock));
        let device = descriptor.properties.get(DEVICE).cloned();
        let session = CardSession { device, orders, clock, events: Arc::clone(&events), missed };
        let started = thread::Builder::new().name("antiphon-local".into()).spawn(move || card::run(session));
        if let Err(error) = started {
            events(EndpointEvent::Lost(LostReason::Local(format!("no thread to play on: {error}"))));
        }
        Box::new(front)
    }
}
