//! Virtual speakers of a test's own: they write WAV files as `virtual` does, tell the hub's clock against the calendar,
//! and can be made to take no sound.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use super::sound::RATE;
use antiphon_audio::Block;
use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Control, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, LostReason,
    Pace, ServiceRecord,
};
use antiphon_host::VirtualKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

const NAME: &str = "witness";

/// How a speaker behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ear {
    /// It plays.
    Well,
    /// It is there, and never gets ready for sound.
    Dumb,
    /// Nobody answers.
    Gone,
}

/// The kind `witness:FILE.wav`.
pub struct Witness {
    speakers: VirtualKind,
    clock: Mutex<Option<Arc<dyn Clock>>>,
    ears: Mutex<BTreeMap<String, Ear>>,
    /// The latest session of each.
    sessions: Mutex<BTreeMap<String, EventSink>>,
}

impl Witness {
    /// All of them play.
    pub fn new() -> Arc<Self> {
        let speakers = VirtualKind::new();
        let (clock, ears, sessions) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { speakers, clock, ears, sessions })
    }

    /// Has a speaker behave so from now on; a session that is open is lost.
    pub fn make(&self, id: &str, ear: Ear) {
        self.ears.lock().expect("no panic before").insert(id.to_owned(), ear);
        let session = self.sessions.lock().expect("no panic before").remove(id);
        if let Some(session) = session {
            session(EndpointEvent::Lost(LostReason::Disconnected("it is another now".into())));
        }
    }

    /// The hub's frame, counted from its epoch, at a second of the calendar. Some speaker must have been opened.
    pub fn frame_at(&self, second: u64) -> f64 {
        let clock = self.clock.lock().expect("no panic before").clone().expect("a speaker was opened");
        let now = clock.now().nanos() as f64 / 1e9;
        let calendar = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        (now + second as f64 - calendar) * f64::from(RATE)
    }
}

impl Kind for Witness {
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
        *self.clock.lock().expect("no panic before") = Some(Arc::clone(&clock));
        let id = descriptor.id.to_string();
        self.sessions.lock().expect("no panic before").insert(id, Arc::clone(&events));
        let ear = self.ears.lock().expect("no panic before").get(descriptor.id.as_str()).copied();
        match ear.unwrap_or(Ear::Well) {
            Ear::Well => return self.speakers.open(descriptor, pace, clock, events),
            Ear::Dumb => {}
            Ear::Gone => events(EndpointEvent::Lost(LostReason::Disconnected("nobody is there".into()))),
        }
        Box::new(Nobody(self.caps(descriptor, pace)))
    }
}

struct Nobody(Caps);

impl Endpoint for Nobody {
    fn caps(&self) -> Caps {
        self.0
    }

    fn play(&mut self, _block: &Block) {}

    fn flush(&mut self, _from: HubTime) {}

    fn control(&mut self, _control: Control) {}
}
