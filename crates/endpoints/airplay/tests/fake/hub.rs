//! The hub's side of the tests: a clock, a kind, and endpoints whose news is kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use antiphon_airplay::{AirplayKind, AirplayOptions};
use antiphon_audio::Block;
use antiphon_domain::{Frames, HubTime, SampleRate, SpeakerId};
use antiphon_endpoint::{
    Clock, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, LostReason, Pace, ServiceRecord,
};
use prometheus::Registry;

use super::PATIENCE;

pub struct HubClock(Instant);

/// The hub's time when the clock began.
const BEGIN: HubTime = HubTime::from_nanos(5_000_000_000);

impl HubClock {
    /// A moment of the hub, not before the clock began, as the system knows it.
    pub fn instant(&self, time: HubTime) -> Instant {
        self.0 + time.since(BEGIN)
    }

    /// Waits until that moment.
    pub fn until(&self, moment: HubTime) {
        while self.now() < moment {
            std::thread::sleep(moment.since(self.now()));
        }
    }
}

impl Clock for HubClock {
    fn now(&self) -> HubTime {
        BEGIN + self.0.elapsed()
    }
}

pub struct Hub {
    pub clock: Arc<HubClock>,
    pub kind: AirplayKind,
    pub registry: Registry,
    pub runtime: tokio::runtime::Runtime,
}

pub struct Opened {
    pub endpoint: Box<dyn Endpoint>,
    pub events: Receiver<EndpointEvent>,
}

impl Hub {
    pub fn new(change: impl FnOnce(&mut AirplayOptions)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut options = AirplayOptions::default();
        change(&mut options);
        let registry = Registry::new();
        let kind = AirplayKind::new(runtime.handle().clone(), options, &registry).unwrap();
        Self { clock: Arc::new(HubClock(Instant::now())), kind, registry, runtime }
    }

    pub fn descriptor(&self, address: impl std::fmt::Display) -> Descriptor {
        let text = format!("airplay://{address}");
        self.kind.configured(&text, &SpeakerId::new("kitchen"), "Kitchen").unwrap().unwrap()
    }

    /// The receiver at an address, with this TXT record.
    pub fn recorded(&self, address: SocketAddr, txt: &[(&str, &str)]) -> Descriptor {
        let record = ServiceRecord {
            service: "_raop._tcp.local.".to_owned(),
            instance: "33FA00A66F2E@Kitchen".to_owned(),
            host: "kitchen.local.".to_owned(),
            addresses: vec![address],
            txt: txt.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        self.kind.recognise(&record).unwrap()
    }

    pub fn open(&self, descriptor: &Descriptor) -> Opened {
        let (tell, events) = channel();
        let sink: EventSink = Arc::new(move |event| {
            let _ = tell.send(event);
        });
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Opened { endpoint: self.kind.open(descriptor, Pace::Steady, clock, sink), events }
    }

    /// The sum of a metric over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let each = family.get_metric().iter();
        each.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
    }
}

impl Hub {
    /// Waits until a metric has this value.
    pub fn reaches(&self, name: &str, value: f64) {
        let end = Instant::now() + PATIENCE;
        while self.metric(name) != value {
            assert!(Instant::now() < end, "{name} is {} and never {value}", self.metric(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Opened {
    pub fn ready(&self) {
        assert_eq!(self.next(), EndpointEvent::Ready);
    }

    /// What happens next, beside reports of the clock.
    pub fn next(&self) -> EndpointEvent {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("nothing happens");
            if !matches!(event, EndpointEvent::Sync(_)) {
                return event;
            }
        }
    }

    /// Why it was lost; whatever else happened before is passed over, and nothing may follow.
    pub fn lost(&self) -> LostReason {
        loop {
            if let EndpointEvent::Lost(reason) = self.events.recv_timeout(PATIENCE).expect("it is not lost") {
                // The sink is dropped with the session: an error here means that nothing can follow.
                let after = self.events.recv_timeout(PATIENCE);
                assert_eq!(after, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
                return reason;
            }
        }
    }
}

/// Block number `nth` after `anchor`, of samples that tell it from others.
pub fn block(anchor: HubTime, nth: u64) -> Block {
    let samples: Vec<i16> = (0..704).map(|i| ((nth * 31 + i / 2 * 7) % 2000) as i16 - 1000).collect();
    Block { due: anchor + Frames(nth * 352).duration(SampleRate::HUB), samples: samples.into() }
}

pub fn soon(clock: &HubClock) -> HubTime {
    clock.now() + Duration::from_millis(1200)
}
