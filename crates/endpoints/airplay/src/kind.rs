//! The kind: which records and texts are AirPlay receivers, and sessions with them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Descriptor, Endpoint, EventSink, Kind, LostReason, Pace, ServiceRecord,
};
use prometheus::Registry;
use tokio::runtime::Handle;

use crate::driver::{self, Leftovers, Pump, Target};
use crate::metrics::Metrics;
use crate::options::AirplayOptions;
use crate::wire::txt;

const NAME: &str = "airplay";
const SERVICES: &[&str] = &["_raop._tcp.local."];
const SCHEME: &str = "airplay://";
const EXPECTED: &str = "airplay://HOST:PORT, e.g. airplay://192.168.1.20:5000";

/// The property that holds a host name to be resolved when a session is opened.
const HOST: &str = "host";

/// AirPlay 1 receivers.
pub struct AirplayKind {
    runtime: Handle,
    options: AirplayOptions,
    metrics: Metrics,
    pump: Pump,
    leftovers: Leftovers,
}

impl AirplayKind {
    /// A kind whose sessions run on `runtime` and count on `registry`.
    pub fn new(
        runtime: Handle,
        options: AirplayOptions,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let pump = Pump::start(&runtime, metrics.clone());
        Ok(Self { runtime, options, metrics, pump, leftovers: Leftovers::default() })
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
        Some(Descriptor {
            id: SpeakerId::new(id),
            name: name.to_owned(),
            kind: NAME,
            addresses: record.addresses.clone(),
            properties: record.txt.clone(),
        })
    }

    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let place = text.strip_prefix(SCHEME)?;
        let Some((host, port)) = host_and_port(place) else {
            return Some(Err(BadEndpoint { text: text.to_owned(), expected: EXPECTED }));
        };
        let mut descriptor = Descriptor {
            id: id.clone(),
            name: name.to_owned(),
            kind: NAME,
            addresses: Vec::new(),
            properties: BTreeMap::new(),
        };
        match host.parse::<IpAddr>() {
            Ok(address) => descriptor.addresses.push(SocketAddr::new(address, port)),
            Err(_) => {
                descriptor.properties.insert(HOST.to_owned(), format!("{host}:{port}"));
            }
        }
        Some(Ok(descriptor))
    }

    fn caps(&self, _descriptor: &Descriptor, _pace: Pace) -> Caps {
        Caps { lead: self.options.bounded_lead(), own_volume: true }
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        _pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let target = Target {
            speaker: descriptor.id.clone(),
            addresses: descriptor.addresses.clone(),
            host: descriptor.properties.get(HOST).cloned(),
            refusal: refusal(&descriptor.properties),
            leftovers: self.leftovers.clone(),
        };
        let metrics = (self.metrics.clone(), self.metrics.session(descriptor.id.as_str()));
        Box::new(driver::open(&self.runtime, self.options, target, clock, events, metrics, &self.pump))
    }
}

/// Why the record alone says that a session is in vain.
fn refusal(txt: &BTreeMap<String, String>) -> Option<LostReason> {
    if txt::asks_password(txt) {
        return Some(LostReason::PasswordRequired);
    }
    txt::objection(txt).map(LostReason::Format)
}

/// `HOST:PORT` with HOST a name, an IPv4 address or an IPv6 address in brackets.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.trim_end_matches('/').rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inner| inner.parse::<IpAddr>().is_ok())?,
        None => host,
    };
    let is_name = |c: char| c.is_alphanumeric() || c == '.' || c == '-' || c == '_';
    let usable = !bare.is_empty() && (bare.chars().all(is_name) || bare.parse::<IpAddr>().is_ok());
    // An IPv6 address without brackets is ambiguous.
    if usable && (host.starts_with('[') || !bare.contains(':')) { Some((bare, port)) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_and_ports() {
        assert_eq!(host_and_port("192.0.2.1:5000"), Some(("192.0.2.1", 5000)));
        assert_eq!(host_and_port("kitchen.local:5000/"), Some(("kitchen.local", 5000)));
        assert_eq!(host_and_port("[::1]:5000"), Some(("::1", 5000)));
        for bad in ["kitchen", "kitchen:", ":5000", "a:0", "::1:5000", "[kitchen]:5000", "a b:1", "a:70000"] {
            assert_eq!(host_and_port(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".*") {
            let _ = host_and_port(&text);
        }
    }
}
