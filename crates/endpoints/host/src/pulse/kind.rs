//! The kind `pulse`: which records and texts are sinks of PulseAudio, and sessions with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use antiphon_domain::{Lead, SpeakerId};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Descriptor, Endpoint, EventSink, Kind, Pace, ServiceRecord,
};
use tokio::runtime::Handle;

use super::wire::message::DEFAULT_SINK;
use super::wire::txt;
use super::{Depth, Place, Session, pair};
use crate::metrics::Metrics;

const NAME: &str = "pulse";
const SERVICES: &[&str] = &["_pulse-sink._tcp.local."];
const SCHEME: &str = "pulse:";
const EXPECTED: &str =
    "pulse://HOST:4713/SINK, pulse:SINK for a sink of this machine, or without SINK the default one";

/// The property that holds `HOST:PORT` to be resolved when a session is opened.
const HOST: &str = "host";

/// Settings of the kind.
#[derive(Clone, Debug, Default)]
pub struct PulseOptions {
    /// The file with the cookie that servers want to see; absent: the one PulseAudio's own programs use.
    pub cookie: Option<PathBuf>,
}

/// Sinks of PulseAudio and PipeWire servers.
#[derive(Debug)]
pub struct PulseKind {
    runtime: Handle,
    options: PulseOptions,
    metrics: Metrics,
}

impl PulseKind {
    /// A kind whose sessions run on `runtime` and are counted by `metrics`.
    pub fn new(runtime: Handle, options: PulseOptions, metrics: Metrics) -> Self {
        Self { runtime, options, metrics }
    }
}

impl Kind for PulseKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn services(&self) -> &'static [&'static str] {
        SERVICES
    }

    fn recognise(&self, record: &ServiceRecord) -> Option<Descriptor> {
        let service = record.service.trim_end_matches('.').trim_end_matches(".local");
        if !service.eq_ignore_ascii_case("_pulse-sink._tcp") {
            return None;
        }
        let id = SpeakerId::new(txt::id(&record.txt, &record.host)?);
        let name = txt::name(&record.txt, &record.instance).to_owned();
        let (addresses, mut properties) = (record.addresses.clone(), record.txt.clone());
        // A record tells addresses; a name to be resolved only a person does.
        properties.remove(HOST);
        Some(Descriptor { id, name, kind: NAME, addresses, properties })
    }

    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let rest = text.strip_prefix(SCHEME)?;
        let mut addresses = Vec::new();
        let mut properties = BTreeMap::new();
        let sink = match rest.strip_prefix("//") {
            Some(rest) => {
                let (host, sink) = rest.split_once('/').unwrap_or((rest, ""));
                match Place::from_text(host) {
                    Some(Place::Found(found)) => addresses = found,
                    Some(Place::Named(name)) => {
                        properties.insert(HOST.to_owned(), name);
                    }
                    _ => return Some(Err(BadEndpoint { text: text.to_owned(), expected: EXPECTED })),
                }
                sink
            }
            None => rest,
        };
        if !sink.is_empty() {
            properties.insert(txt::DEVICE.to_owned(), sink.to_owned());
        }
        let (id, name) = (id.clone(), name.to_owned());
        Some(Ok(Descriptor { id, name, kind: NAME, addresses, properties }))
    }

    fn caps(&self, _descriptor: &Descriptor, pace: Pace) -> Caps {
        Caps { lead: Lead(Depth::of(pace).lead), own_volume: true }
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let place = match descriptor.properties.get(HOST) {
            Some(name) => Some(Place::Named(name.clone())),
            None if !descriptor.addresses.is_empty() => Some(Place::Found(descriptor.addresses.clone())),
            None => Place::here(),
        };
        let (endpoint, orders) = pair(self.caps(descriptor, pace));
        let session = Session {
            speaker: descriptor.id.clone(),
            place,
            sink: descriptor.properties.get(txt::DEVICE).map_or(DEFAULT_SINK, String::as_str).to_owned(),
            depth: Depth::of(pace),
            own_volume: true,
            cookie: self.options.cookie.clone(),
            orders,
            clock,
            events,
            metrics: self.metrics.session(descriptor.id.as_str(), NAME),
        };
        self.runtime.spawn(session.run());
        Box::new(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(runtime: &tokio::runtime::Runtime) -> PulseKind {
        PulseKind::new(
            runtime.handle().clone(),
            PulseOptions::default(),
            Metrics::new(&prometheus::Registry::new()).unwrap(),
        )
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    /// As PulseAudio 16.1 announces a null sink.
    fn record() -> ServiceRecord {
        let txt = [
            ("description", "Kitchen"),
            ("device", "speaker"),
            ("cookie", "0xb9e3c34c"),
            ("machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4"),
            ("rate", "48000"),
        ];
        ServiceRecord {
            service: "_pulse-sink._tcp.local.".into(),
            instance: "root@r1: Kitchen".into(),
            host: "r1.local.".into(),
            addresses: vec!["198.18.77.11:4713".parse().unwrap()],
            txt: txt.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        }
    }

    #[test]
    fn a_sink_is_known_by_its_machine_and_its_name_there() {
        let runtime = runtime();
        let kind = kind(&runtime);
        let found = kind.recognise(&record()).unwrap();
        assert_eq!(found.id.as_str(), "3d1219c7c4c5404aaa1f6d2a48adfda4.speaker");
        assert_eq!((found.name.as_str(), found.addresses.len()), ("Kitchen", 1));
        let mut elsewhere = record();
        elsewhere.txt.insert("cookie".into(), "0x1".into());
        elsewhere.instance = "ann@other: Kitchen".into();
        elsewhere.txt.insert("host".into(), "elsewhere.invalid:7".into());
        let elsewhere = kind.recognise(&elsewhere).unwrap();
        assert_eq!(elsewhere.id, found.id, "a restart is not another speaker");
        assert!(!elsewhere.properties.contains_key("host"), "where it is told by addresses alone");
        let mut bare = record();
        bare.txt.remove("machine-id");
        bare.txt.remove("description");
        let bare = kind.recognise(&bare).unwrap();
        assert_eq!((bare.id.as_str(), bare.name.as_str()), ("0xb9e3c34c.speaker", "Kitchen"));
        // As PipeWire announces one (module-zeroconf-publish), which begins each start with another cookie.
        let mut piped = record();
        piped.txt.remove("machine-id");
        piped.txt.insert("user-name".into(), "ann".into());
        piped.txt.insert("host".into(), "192.0.2.9:22".into());
        let before = kind.recognise(&piped).unwrap();
        piped.txt.insert("cookie".into(), "0x2".into());
        let after = kind.recognise(&piped).unwrap();
        assert_eq!(before.id.as_str(), "ann@r1.local.speaker");
        assert_eq!(before.id, after.id, "a restart is not another speaker");
        assert_eq!(before.properties.get("host"), None, "a record leads to its own addresses");
        piped.host = "r2.local.".into();
        assert_ne!(kind.recognise(&piped).unwrap().id, before.id);
        let mut other = record();
        other.service = "_pulse-source._tcp.local.".into();
        assert_eq!(kind.recognise(&other), None);
        for key in ["device", "machine-id"] {
            let mut broken = record();
            broken.txt.remove("cookie");
            broken.txt.insert(key.into(), " ".into());
            assert_eq!(kind.recognise(&broken), None, "{key}");
        }
    }

    #[test]
    fn texts_are_recognised() {
        let runtime = runtime();
        let kind = kind(&runtime);
        let id = SpeakerId::new("k");
        let read = |text: &str| kind.configured(text, &id, "K");
        assert!(read("local:").is_none());
        assert!(read("pulse://").unwrap().is_err());
        let far = read("pulse://192.0.2.1/out1").unwrap().unwrap();
        assert_eq!(far.addresses, ["192.0.2.1:4713".parse().unwrap()]);
        assert_eq!(far.properties.get("device").map(String::as_str), Some("out1"));
        let named = read("pulse://study.local:99").unwrap().unwrap();
        assert_eq!(named.properties.get("host").map(String::as_str), Some("study.local:99"));
        assert_eq!(named.properties.get("device"), None);
        let here = read("pulse:out1").unwrap().unwrap();
        assert!(here.addresses.is_empty() && !here.properties.contains_key("host"));
        assert!(read("pulse:").unwrap().is_ok());
    }
}
