//! A hub of the tests: the kind, its door on loopback, and what it tells.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::{Arrival, Clock, Descriptor, Endpoint, EndpointEvent, Kind, Pace};
use antiphon_snapcast::{SnapcastKind, SnapcastOptions};
use prometheus::Registry;
use tokio::runtime::Runtime;

use crate::fake::PATIENCE;

pub struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

pub struct Hub {
    pub kind: Arc<SnapcastKind>,
    pub clock: Arc<dyn Clock>,
    pub port: u16,
    pub registry: Registry,
    arrivals: Receiver<Arrival>,
    // The last to go.
    _runtime: Runtime,
}

pub fn options() -> SnapcastOptions {
    let mut options = SnapcastOptions::default();
    options.port = 0;
    options.interfaces = Some(vec!["lo".to_owned()]);
    options.codec = antiphon_audio::encode::Codec::Pcm;
    options
}

impl Hub {
    pub fn new(options: SnapcastOptions) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let registry = Registry::new();
        let kind = Arc::new(SnapcastKind::new(runtime.handle().clone(), options, &registry).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(TestClock(Instant::now()));
        let (adverts, arrivals) = listen(&kind, &clock);
        assert_eq!(adverts[0].service, "_snapcast._tcp.local.");
        Self { kind, clock, port: adverts[0].port, registry, arrivals, _runtime: runtime }
    }

    pub fn arrival(&self) -> Arrival {
        self.arrivals.recv_timeout(PATIENCE).expect("an arrival")
    }

    pub fn here(&self) -> Descriptor {
        match self.arrival() {
            Arrival::Here(descriptor) => descriptor,
            other => panic!("{other:?}"),
        }
    }

    pub fn open(&self, descriptor: &Descriptor) -> Session {
        self.open_at(descriptor, Pace::Steady)
    }

    pub fn open_at(&self, descriptor: &Descriptor, pace: Pace) -> Session {
        let (told, events) = channel();
        let told = Mutex::new(told);
        let sink = Arc::new(move |event| {
            let _ = told.lock().unwrap().send(event);
        });
        let endpoint = self.kind.open(descriptor, pace, Arc::clone(&self.clock), sink);
        Session { endpoint, events }
    }

    /// A moment for which blocks come early enough.
    pub fn in_time(&self, session: &Session) -> HubTime {
        self.clock.now() + session.endpoint.caps().lead.0 + Duration::from_millis(50)
    }

    /// A counter, by its name without `antiphon_snapcast_`, summed over labels.
    pub fn counted(&self, name: &str) -> u64 {
        let name = format!("antiphon_snapcast_{name}");
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|f| f.get_metric().to_vec()).unwrap_or_default();
        metrics.iter().map(|m| (m.get_counter().get_value() + m.get_gauge().get_value()) as u64).sum()
    }
}

pub fn listen(
    kind: &Arc<SnapcastKind>,
    clock: &Arc<dyn Clock>,
) -> (Vec<antiphon_endpoint::Advert>, Receiver<Arrival>) {
    let (told, arrivals): (Sender<Arrival>, _) = channel();
    let told = Mutex::new(told);
    let sink = Arc::new(move |arrival| {
        let _ = told.lock().unwrap().send(arrival);
    });
    (kind.listen(Arc::clone(clock), sink), arrivals)
}

pub struct Session {
    pub endpoint: Box<dyn Endpoint>,
    events: Receiver<EndpointEvent>,
}

impl Session {
    pub fn event(&self) -> EndpointEvent {
        self.events.recv_timeout(PATIENCE).expect("an event")
    }

    /// The next event that is no report of the clock.
    pub fn news(&self) -> EndpointEvent {
        loop {
            match self.event() {
                EndpointEvent::Sync(_) => {}
                event => return event,
            }
        }
    }

    pub fn ready(self) -> Self {
        assert_eq!(self.news(), EndpointEvent::Ready);
        self
    }
}

/// Blocks `from..to` of a sound that is different everywhere.
pub fn blocks(first: HubTime, from: u64, to: u64) -> Vec<Block> {
    (from..to)
        .map(|number| {
            let due = first + Frames(number * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
            let begin = number as usize * BLOCK_FRAMES * CHANNELS;
            let samples = (begin..begin + BLOCK_FRAMES * CHANNELS).map(|at| (at % 30_011) as i16 + 1);
            Block { due, samples: samples.collect() }
        })
        .collect()
}

pub fn samples(blocks: &[Block]) -> Vec<i16> {
    blocks.iter().flat_map(|block| block.samples.to_vec()).collect()
}
