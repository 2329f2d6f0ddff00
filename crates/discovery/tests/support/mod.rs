//! A kind of endpoint that recognises RAOP receivers and plays to nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_domain::{HubTime, Lead, SpeakerId};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Control, Descriptor, Endpoint, EventSink, Kind, Pace, ServiceRecord,
};
use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};

/// How long anything may take that should take a moment; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

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

/// Whether this process can reach nobody else. `/proc` shows the network of the process that asks, `/sys` that of
/// whoever mounted it.
pub fn private() -> bool {
    let devices = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names: Vec<&str> =
        devices.lines().skip(2).filter_map(|l| l.split(':').next()).map(str::trim).collect();
    let alone = names == ["lo"];
    if !alone {
        let promised = std::env::var_os("ANTIPHON_PRIVATE_NETWORK").is_some();
        assert!(!promised, "told that this network is private, but here are {names:?}");
        eprintln!(
            "skipped: needs a network of its own (unshare -n, then: ip link set lo up); here are {names:?}"
        );
    }
    alone
}

/// A receiver that announces itself.
pub struct Device {
    pub daemon: ServiceDaemon,
    service: &'static str,
}

impl Device {
    /// One that announces this service on loopback.
    pub fn new(service: &'static str) -> Self {
        let daemon = ServiceDaemon::new().unwrap();
        daemon.disable_interface(IfKind::All).unwrap();
        daemon.enable_interface("lo").unwrap();
        Self { daemon, service }
    }

    pub fn announce(&self, instance: &str, host: &str, port: u16) -> String {
        let txt = [("ET", "0,1"), ("am", "Test")];
        let mut info = ServiceInfo::new(self.service, instance, host, "127.0.0.1", port, &txt[..]).unwrap();
        info.set_requires_probe(false);
        let fullname = info.get_fullname().to_owned();
        self.daemon.register(info).unwrap();
        fullname
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}
