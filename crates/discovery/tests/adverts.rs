//! What discovery announces for receivers that dial the hub, on a private network that has nothing but loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

mod support;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use antiphon_discovery::{Discovery, DiscoveryConfig, DiscoveryEvent};
use antiphon_domain::{Lead, SpeakerId};
use antiphon_endpoint::{
    Advert, ArrivalSink, BadEndpoint, Caps, Clock, Descriptor, Endpoint, EventSink, Kind, Pace, ServiceRecord,
};
use mdns_sd::ServiceEvent;
use prometheus::Registry;
use tokio::runtime::Runtime;

use support::{Device, PATIENCE, Raop, Since, private};

/// A kind whose receivers dial the hub; none does.
struct Listening {
    advert: Advert,
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

fn on_lo() -> DiscoveryConfig {
    DiscoveryConfig { interfaces: Some(vec!["lo".into()]), ..DiscoveryConfig::default() }
}

/// A kind whose receivers dial us is announced as long as the hub is there; begun anew, it is announced anew.
#[test]
fn what_listens_is_announced_until_the_hub_ends() {
    if !private() {
        return;
    }
    let advert = Advert {
        service: "_raop-6._tcp.local.",
        instance: "Antiphon".into(),
        port: 1704,
        txt: [("name".to_owned(), "House".to_owned())].into(),
    };
    let runtime = Runtime::new().unwrap();
    let registry = Registry::new();
    let begin = || {
        let kind = Arc::new(Listening { advert: advert.clone() });
        let clock = Arc::new(Since(Instant::now()));
        let started =
            Discovery::start(on_lo(), vec![kind], clock, runtime.handle(), Arc::new(|_| {}), &registry);
        started.unwrap()
    };
    let listener = Device::new(advert.service);
    let seen = listener.daemon.browse(advert.service).unwrap();
    let wait = |what: &str, wanted: &dyn Fn(&ServiceEvent) -> bool| {
        let begun = Instant::now();
        while let Some(left) = PATIENCE.checked_sub(begun.elapsed()) {
            let Ok(event) = seen.recv_timeout(left) else { break };
            if wanted(&event) {
                return begun.elapsed();
            }
        }
        panic!("{what} did not come");
    };
    let announced = |event: &ServiceEvent| match event {
        ServiceEvent::ServiceResolved(info) => {
            assert_eq!((info.get_port(), info.get_property_val_str("name")), (1704, Some("House")));
            info.get_fullname() == "Antiphon._raop-6._tcp.local."
        }
        _ => false,
    };
    for _ in 0..2 {
        let discovery = begin();
        wait("the announcement", &announced);
        drop(discovery);
        let took = wait("the goodbye", &|event| matches!(event, ServiceEvent::ServiceRemoved(..)));
        // Without a goodbye the record would live for two minutes.
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

/// A service that cannot be announced keeps nobody from being found.
#[test]
fn one_that_cannot_be_announced_hides_nobody() {
    if !private() {
        return;
    }
    // A TXT entry has at most 255 bytes (RFC 6763 section 6.1).
    let txt = [("name".to_owned(), "x".repeat(300))].into();
    let advert = Advert { service: "_raop-7._tcp.local.", instance: "Antiphon".into(), port: 1704, txt };
    let runtime = Runtime::new().unwrap();
    let (sender, events) = channel();
    let discovery = Discovery::start(
        on_lo(),
        vec![Arc::new(Listening { advert }), Arc::new(Raop(&["_raop-8._tcp.local."]))],
        Arc::new(Since(Instant::now())),
        runtime.handle(),
        Arc::new(move |event| drop(sender.send(event))),
        &Registry::new(),
    )
    .unwrap();
    let device = Device::new("_raop-8._tcp.local.");
    device.announce("DD@Kitchen", "den.local.", 7_000);
    let found = events.recv_timeout(PATIENCE);
    assert!(matches!(&found, Ok(DiscoveryEvent::Appeared(d)) if d.id.as_str() == "DD"), "{found:?}");
    drop(discovery);
}
