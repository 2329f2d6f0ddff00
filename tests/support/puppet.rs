//! Virtual speakers of a test's own that do and tell what the test says: they dial the hub, ask to be let in, keep time
//! well or badly, have buttons pressed, are slow, and note what they are told.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead, SpeakerId};
use antiphon_endpoint::{
    Advert, Answer, AnswerError, Arrival, ArrivalSink, Ask, BadEndpoint, Caps, Clock, Control, Descriptor,
    Endpoint, EndpointEvent, EventSink, Kind, LostReason, NowPlaying, Pace, ServiceRecord,
};
use antiphon_host::VirtualKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const NAME: &str = "puppet";
const FILE: &str = "file";

/// What all of them know and did.
#[derive(Default)]
pub struct State {
    sinks: BTreeMap<String, EventSink>,
    /// Sessions in the order in which they were opened.
    pub opened: Vec<(String, Pace)>,
    /// What each was told beside blocks.
    pub told: BTreeMap<String, Vec<Control>>,
    /// Who cannot be quick.
    pub slow: BTreeSet<String>,
    /// Who has a volume of its own.
    pub own_volume: BTreeSet<String>,
    /// Whose `play` takes so long, which no endpoint may do.
    pub stalls: BTreeMap<String, Duration>,
    /// Who wants something of a person.
    pub asks: Vec<Ask>,
    /// What people answered.
    pub answers: Vec<(String, Answer)>,
    /// What the hub is to announce.
    pub adverts: Vec<Advert>,
    /// Where arrivals go, each time the hub listened anew.
    pub arrivals: Vec<ArrivalSink>,
    /// How many times listening breaks, which takes the discovery's actor down.
    pub breaks: u32,
    /// Who is connected.
    pub here: BTreeMap<String, Descriptor>,
}

/// The kind `puppet:FILE.wav`.
pub struct Puppet {
    speakers: VirtualKind,
    state: Arc<Mutex<State>>,
}

impl Puppet {
    /// All of them play.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { speakers: VirtualKind::new(), state: Arc::default() })
    }

    /// What they know and did.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic before")
    }

    /// The endpoint of a speaker tells something, if it has a session.
    pub fn tell(&self, id: &str, event: EndpointEvent) -> bool {
        let sink = self.state().sinks.get(id).cloned();
        if let Some(sink) = &sink {
            sink(event);
        }
        sink.is_some()
    }

    /// What a speaker was last told of what plays.
    pub fn now(&self, id: &str) -> Option<Arc<NowPlaying>> {
        let state = self.state();
        let now = |control: &Control| match control {
            Control::Now(now) => Some(Arc::clone(now)),
            _ => None,
        };
        state.told.get(id)?.iter().rev().find_map(now)
    }

    /// At which paces the sessions of a speaker were opened.
    pub fn paces(&self, id: &str) -> Vec<Pace> {
        self.state().opened.iter().filter(|(of, _)| of == id).map(|(_, pace)| *pace).collect()
    }

    /// One that dials the hub, and writes what it plays into `file`.
    pub fn caller(id: &str, file: &str) -> Descriptor {
        Descriptor {
            id: SpeakerId::new(id),
            name: format!("Caller {id}"),
            kind: NAME,
            addresses: Vec::new(),
            properties: [(FILE.to_owned(), file.to_owned())].into(),
        }
    }

    /// It calls, as often as the hub listens.
    pub fn calls(&self, descriptor: &Descriptor) {
        let sink = {
            let mut state = self.state();
            state.here.insert(descriptor.id.to_string(), descriptor.clone());
            state.arrivals.last().cloned()
        };
        if let Some(sink) = sink {
            sink(Arrival::Here(descriptor.clone()));
        }
    }

    /// It hangs up, in the midst of whatever it plays.
    pub fn hangs_up(&self, id: &str) {
        let (sink, session) = {
            let mut state = self.state();
            state.here.remove(id);
            (state.arrivals.last().cloned(), state.sinks.remove(id))
        };
        if let Some(session) = session {
            session(EndpointEvent::Lost(LostReason::Disconnected("it hung up".into())));
        }
        if let Some(sink) = sink {
            sink(Arrival::Gone(SpeakerId::new(id)));
        }
    }
}

impl Kind for Puppet {
    fn name(&self) -> &'static str {
        NAME
    }

    fn services(&self) -> &'static [&'static str] {
        &[]
    }

    fn remembers(&self) -> bool {
        true
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
        let state = self.state();
        let id = descriptor.id.as_str();
        let quick = pace == Pace::Quick && !state.slow.contains(id);
        let lead = Lead(Duration::from_millis(if quick { 120 } else { 600 }));
        Caps { lead, own_volume: state.own_volume.contains(id) }
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        let caps = self.caps(descriptor, pace);
        let id = descriptor.id.to_string();
        let mut state = self.state();
        state.opened.push((id.clone(), pace));
        let calls = state.here.contains_key(&id);
        if descriptor.name.starts_with("Caller") && !calls {
            drop(state);
            let address = "nowhere".to_owned();
            events(EndpointEvent::Lost(LostReason::Unreachable {
                address,
                cause: "it has not called".into(),
            }));
            let nobody = self.speakers.open(descriptor, pace, clock, Arc::new(|_| {}));
            return Box::new(Limb::new(id, nobody, caps, &self.state));
        }
        state.sinks.insert(id.clone(), Arc::clone(&events));
        drop(state);
        // What it tells of its time is the test's to say.
        let sink: EventSink = Arc::new(move |event| {
            if !matches!(event, EndpointEvent::Sync(_)) {
                events(event);
            }
        });
        let inner = self.speakers.open(descriptor, pace, clock, sink);
        Box::new(Limb::new(id, inner, caps, &self.state))
    }

    fn listen(&self, _clock: Arc<dyn Clock>, arrivals: ArrivalSink) -> Vec<Advert> {
        let mut state = self.state();
        if state.breaks > 0 {
            state.breaks -= 1;
            drop(state);
            panic!("discovery breaks, as this test wants");
        }
        state.arrivals.push(Arc::clone(&arrivals));
        for descriptor in state.here.values() {
            arrivals(Arrival::Here(descriptor.clone()));
        }
        state.adverts.clone()
    }

    fn asks(&self) -> Vec<Ask> {
        self.state().asks.clone()
    }

    fn answer(&self, speaker: &SpeakerId, answer: &Answer) -> Result<(), AnswerError> {
        let mut state = self.state();
        if !state.asks.iter().any(|ask| &ask.speaker == speaker) {
            return Err(AnswerError::Unknown(speaker.clone()));
        }
        state.answers.push((speaker.to_string(), answer.clone()));
        match answer {
            Answer::Code(code) if code.expose() != "1234" => Err(AnswerError::Wrong("another code".into())),
            _ => {
                state.asks.retain(|ask| &ask.speaker != speaker);
                Ok(())
            }
        }
    }
}

/// A session.
struct Limb {
    id: String,
    inner: Box<dyn Endpoint>,
    caps: Caps,
    state: Arc<Mutex<State>>,
}

impl Limb {
    fn new(id: String, inner: Box<dyn Endpoint>, caps: Caps, state: &Arc<Mutex<State>>) -> Self {
        Self { id, inner, caps, state: Arc::clone(state) }
    }
}

impl Endpoint for Limb {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn play(&mut self, block: &Block) {
        let stall = self.state.lock().expect("no panic before").stalls.get(&self.id).copied();
        if let Some(stall) = stall {
            std::thread::sleep(stall);
        }
        self.inner.play(block);
    }

    fn flush(&mut self, from: HubTime) {
        self.inner.flush(from);
    }

    fn control(&mut self, control: Control) {
        let mut state = self.state.lock().expect("no panic before");
        let told = state.told.entry(self.id.clone()).or_default();
        told.push(control.clone());
        drop(state);
        self.inner.control(control);
    }
}
