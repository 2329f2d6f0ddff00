//! The kind: which records and texts are AirPlay receivers, and sessions with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{
    Advert, ArrivalSink, BadEndpoint, Caps, Clock, Descriptor, Endpoint, EventSink, HostPort, Kind,
    LostReason, Pace, ServiceRecord,
};
use antiphon_net::Standing;
use antiphon_net::pump::Pump;
use prometheus::Registry;
use tokio::runtime::Handle;
use tracing::warn;

use crate::driver::{self, Lane, Leftovers, Remotes, Target};
use crate::encode::Encoder;
use crate::metrics::Metrics;
use crate::options::AirplayOptions;
use crate::quirks;
use crate::wire::dmap::Takes;
use crate::wire::txt;

const NAME: &str = "airplay";
const SERVICES: &[&str] = &["_raop._tcp.local."];
const REMOTE: &str = "_dacp._tcp.local.";
const SCHEME: &str = "airplay://";
const EXPECTED: &str = "airplay://HOST:PORT, e.g. airplay://192.168.1.20:5000";

/// The property that holds a host name to be resolved when a session is opened.
const HOST: &str = "host";

/// AirPlay 1 receivers.
pub struct AirplayKind {
    runtime: Handle,
    options: AirplayOptions,
    metrics: Metrics,
    pump: Pump<Lane>,
    leftovers: Leftovers,
    /// The hub's number, by which receivers find its remote control: another one each time the hub starts.
    hub: String,
    remotes: Remotes,
    /// The remote control's doors and what is announced, once they are open.
    open: Mutex<Option<(Standing, Vec<Advert>)>>,
}

impl AirplayKind {
    /// A kind whose sessions run on `runtime` and count on `registry`.
    pub fn new(
        runtime: Handle,
        options: AirplayOptions,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let pump = Pump::start(&runtime, Encoder::new(metrics.clone()));
        let hub = format!("{:016X}", rand::random::<u64>());
        Ok(Self {
            runtime,
            options,
            metrics,
            pump,
            leftovers: Leftovers::default(),
            hub,
            remotes: Remotes::default(),
            open: Mutex::default(),
        })
    }

    /// Opens the remote control's doors.
    fn open_doors(&self) -> std::io::Result<Option<(Standing, Vec<Advert>)>> {
        let doors = antiphon_net::listen(0, self.options.interfaces.as_deref())?;
        let Some(first) = doors.first() else { return Ok(None) };
        let port = first.local_addr()?.port();
        let doors = self.remotes.serve(&self.runtime, doors, self.metrics.commands_refused())?;
        // `Ver` and `DbId` as iTunes has them; receivers look at the instance and the port alone.
        let txt = [("txtvers", "1"), ("Ver", "131075"), ("DbId", self.hub.as_str())];
        let advert = Advert {
            service: REMOTE,
            instance: format!("iTunes_Ctrl_{}", self.hub),
            port,
            txt: txt.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        Ok(Some((doors, vec![advert])))
    }

    /// Waits until every session that was dropped has said farewell, at most `patience`; for an orderly end.
    pub async fn farewell(&self, patience: Duration) {
        let every = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while self.metrics.sessions().get() > 0 && waited < patience {
            tokio::time::sleep(every).await;
            waited += every;
        }
    }
}

impl Kind for AirplayKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn services(&self) -> &'static [&'static str] {
        SERVICES
    }

    fn recognise(&self, record: &ServiceRecord) -> Option<Descriptor> {
        let service = record.service.trim_end_matches('.').trim_end_matches(".local");
        if !service.eq_ignore_ascii_case("_raop._tcp") {
            return None;
        }
        let (id, name) = txt::instance(&record.instance)?;
        let mut properties = record.txt.clone();
        // A record tells addresses; a name to be resolved only a person does.
        properties.remove(HOST);
        Some(Descriptor {
            id: SpeakerId::new(id),
            name: name.to_owned(),
            kind: NAME,
            addresses: record.addresses.clone(),
            properties,
        })
    }

    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let place = text.strip_prefix(SCHEME)?;
        let Some(place) = HostPort::read(place.trim_end_matches('/'), None) else {
            return Some(Err(BadEndpoint { text: text.to_owned(), expected: EXPECTED }));
        };
        let mut descriptor = Descriptor {
            id: id.clone(),
            name: name.to_owned(),
            kind: NAME,
            addresses: Vec::new(),
            properties: BTreeMap::new(),
        };
        match place {
            HostPort::Address(address) => descriptor.addresses.push(address),
            HostPort::Name(name) => {
                descriptor.properties.insert(HOST.to_owned(), name);
            }
        }
        Some(Ok(descriptor))
    }

    fn caps(&self, descriptor: &Descriptor, pace: Pace) -> Caps {
        let quirks = quirks::of(&descriptor.properties);
        Caps { lead: self.options.lead_at(pace, quirks), own_volume: true }
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let txt = &descriptor.properties;
        let quirks = quirks::of(txt);
        let password = self.options.passwords.get(&descriptor.id).cloned();
        let wanted = quirks.encrypt || self.options.encrypt_always;
        let listens = self.open.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let target = Target {
            speaker: descriptor.id.clone(),
            addresses: descriptor.addresses.clone(),
            host: txt.get(HOST).cloned(),
            refusal: refusal(txt, password.is_some()),
            lead: self.options.lead_at(pace, quirks),
            quirks,
            encrypt: txt::wants_encryption(txt) || (wanted && txt::takes_encryption(txt)),
            stream: txt::wants_stream(txt),
            takes: Takes::of(txt),
            password,
            hub: self.hub.clone(),
            remotes: listens.then(|| self.remotes.clone()),
            leftovers: self.leftovers.clone(),
        };
        let metrics = (self.metrics.clone(), self.metrics.session(descriptor.id.as_str()));
        Box::new(driver::open(
            &self.runtime,
            self.options.clone(),
            target,
            clock,
            events,
            metrics,
            &self.pump,
        ))
    }

    fn listen(&self, _clock: Arc<dyn Clock>, _arrivals: ArrivalSink) -> Vec<Advert> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            match self.open_doors() {
                Ok(doors) => *open = doors,
                Err(error) => warn!(%error, "receivers cannot send commands: no port for them"),
            }
        }
        open.as_ref().map(|(_, adverts)| adverts.clone()).unwrap_or_default()
    }
}

/// Why the record alone says that a session is in vain.
fn refusal(txt: &BTreeMap<String, String>, has_password: bool) -> Option<LostReason> {
    if txt::asks_password(txt) && !has_password {
        return Some(LostReason::PasswordRequired);
    }
    txt::objection(txt).map(LostReason::Format)
}
