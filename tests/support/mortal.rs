//! Virtual speakers of a test's own whose actors can be made to die, and whose receivers can be made to vanish.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, LostReason, Pace,
    ServiceRecord,
};
use antiphon_host::VirtualKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const NAME: &str = "mortal";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its next session takes the speaker's actor down, once.
    Dies,
    /// Nobody answers.
    Away,
}

/// The kind `mortal:FILE.wav`: as `virtual` until its fate.
pub struct Mortal {
    speakers: VirtualKind,
    fates: Mutex<BTreeMap<String, Fate>>,
    sinks: Mutex<BTreeMap<String, EventSink>>,
}

impl Mortal {
    /// All of them live.
    pub fn new() -> Arc<Self> {
        let speakers = VirtualKind::new();
        Arc::new(Self { speakers, fates: Mutex::default(), sinks: Mutex::default() })
    }

    fn meets(&self, id: &str, fate: Option<Fate>) {
        let mut fates = self.fates.lock().expect("no panic before");
        fates.remove(id);
        if let Some(fate) = fate {
            fates.insert(id.to_owned(), fate);
        }
        drop(fates);
        let sink = self.sinks.lock().expect("no panic before").remove(id);
        if let Some(sink) = sink {
            sink(EndpointEvent::Lost(LostReason::Disconnected("as this test wants".into())));
        }
    }

    /// The actor of a speaker that plays dies by a panic, a quarter of a second from now.
    pub fn kill(&self, id: &str) {
        self.meets(id, Some(Fate::Dies));
    }

    /// The receiver of a speaker is gone, until `back`.
    pub fn away(&self, id: &str) {
        self.meets(id, Some(Fate::Away));
    }

    /// It is there for the next attempt.
    pub fn back(&self, id: &str) {
        self.meets(id, None);
    }
}

impl Kind for Mortal {
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
        let file = text.strip_prefix(NAME)?;
        let found = self.speakers.configured(&format!("virtual{file}"), id, name)?;
        Some(found.map(|descriptor| Descriptor { kind: NAME, ..descriptor }))
    }

    fn caps(&self, descriptor: &Descriptor, pace: Pace) -> Caps {
        self.speakers.caps(descriptor, pace)
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let id = descriptor.id.as_str();
        let mut fates = self.fates.lock().expect("no panic before");
        let fate = fates.get(id).copied();
        if fate == Some(Fate::Dies) {
            fates.remove(id);
            drop(fates);
            panic!("the actor of {id} dies, as this test wants");
        }
        drop(fates);
        if fate == Some(Fate::Away) {
            let address = "nowhere".to_owned();
            events(EndpointEvent::Lost(LostReason::Unreachable { address, cause: "it is away".into() }));
            return self.speakers.open(descriptor, pace, clock, Arc::new(|_| {}));
        }
        self.sinks.lock().expect("no panic before").insert(id.to_owned(), Arc::clone(&events));
        self.speakers.open(descriptor, pace, clock, events)
    }
}
