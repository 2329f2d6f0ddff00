//! A kind of endpoint that recognises RAOP receivers and plays to nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_domain::{HubTime, Lead, SpeakerId};
use antiphon_endpoint::{
    Advert, ArrivalSink, BadEndpoint, Caps, Clock, Control, Descriptor, Endpoint, EventSink, Kind, Pace,
    ServiceRecord,
};

/// A clock that began at a moment.
pub struct Since(pub Instant);

impl Clock for Since {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

/// Recognises `ID@Name`, as RAOP receivers are called.
pub struct Raop(pub &'static [&'static str]);

impl Kind for Raop {
    fn name(&self) -> &'static str {
        "airplay"
    }
    fn services(&self) -> &'static [&'static str] {
        self.0
    }
    fn recognise(&self, record: &ServiceRecord) -> Option<Descriptor> {
        let (id, name) = record.instance.split_once('@')?;
        Some(Descriptor {
            id: SpeakerId::new(id),
            name: name.into(),
            kind: "airplay",
            addresses: record.addresses.clone(),
            properties: record.txt.clone(),
        })
    }
    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let place = text.strip_prefix("airplay://")?;
        Some(match place.parse() {
            Ok(address) => Ok(Descriptor {
                id: id.clone(),
                name: name.into(),
                kind: "airplay",
                addresses: vec![address],
                properties: BTreeMap::new(),
            }),
            Err(_) => Err(BadEndpoint { text: text.into(), expected: "airplay://HOST:PORT" }),
        })
    }
    fn caps(&self, _: &Descriptor, _: Pace) -> Caps {
        Caps { lead: Lead(Duration::ZERO), own_volume: false }
    }
    fn open(&self, _: &Descriptor, _: Pace, _: Arc<dyn Clock>, _: EventSink) -> Box<dyn Endpoint> {
        struct Nothing;
        impl Endpoint for Nothing {
            fn caps(&self) -> Caps {
                Caps { lead: Lead(Duration::ZERO), own_volume: false }
            }
            fn play(&mut self, _: &antiphon_audio::Block) {}
            fn flush(&mut self, _: HubTime) {}
            fn control(&mut self, _: Control) {}
        }
        Box::new(Nothing)
    }
}

/// A kind whose receivers dial the hub; none does.
pub struct Listening {
    pub advert: Advert,
}

impl Kind for Listening {
    fn name(&self) -> &'static str {
        "listening"
    }
    fn services(&self) -> &'static [&'static str] {
        &[]
    }
    fn recognise(&self, _: &ServiceRecord) -> Option<Descriptor> {
        None
    }
    fn configured(&self, _: &str, _: &SpeakerId, _: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        None
    }
    fn caps(&self, _: &Descriptor, _: Pace) -> Caps {
        Caps { lead: Lead(Duration::ZERO), own_volume: false }
    }
    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        Raop(&[]).open(descriptor, pace, clock, events)
    }
    fn listen(&self, _: Arc<dyn Clock>, _: ArrivalSink) -> Vec<Advert> {
        vec![self.advert.clone()]
    }
}
