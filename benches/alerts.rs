//! How exactly alerts begin: twenty speakers, five times, all twenty at the same second, beside twelve rooms that play
//! music and whose volumes are turned all the while; and what the alerts of those rooms' neighbours cost them: nothing.
//!
//! - An alert begins where its first sample that is not silence falls due. The endpoint here is a kind of our own that
//!   notes it from the blocks it is handed; its clock is the hub's, and the second the alert was set for is found on it
//!   by reading both clocks at that moment. The law is 50 ms.
//! - A block that is handed over after it was due is not heard by anybody: those are counted, and are to be none.
//! - Where it is permitted, all of it runs at the least real-time priority ([`support::undisturbed`]).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use antiphon::config::Config;
use antiphon_audio::Block;
use antiphon_avs::iso8601;
use antiphon_domain::{HubTime, Lead, SampleRate, SpeakerId, WallTime};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Control, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, Pace,
    ServiceRecord,
};
use serde_json::json;
use support::{Alexa, PATIENCE, figure, percentiles};

const SPEAKERS: usize = 20;
const ROUNDS: usize = 5;
const ROOMS: usize = 12;
const TRACK: &str = "tone-440-240s.flac";
/// As early as the virtual kind wants its blocks.
const CAPS: Caps = Caps { lead: Lead(Duration::from_millis(80)), own_volume: false };

fn main() {
    if support::only_tried() {
        return;
    }
    support::undisturbed();
    let alexa = Alexa::start();
    alexa.make(TRACK);
    let name = |what: &str, count: usize| -> Vec<String> {
        (0..count).map(|number| format!("{what}{number}")).collect()
    };
    let (ids, rooms) = (name("BEDSIDE", SPEAKERS), name("ROOM", ROOMS));
    let mut speakers: Vec<_> = ids.iter().map(|id| (id.clone(), "ear:".to_owned())).collect();
    speakers.extend(rooms.iter().map(|id| (id.clone(), "virtual:".to_owned())));
    let config = Config::parse(&alexa.config("hub", &speakers, &[]), Path::new("bench.toml")).unwrap();
    let kind = Arc::new(Ears::default());
    let hub = antiphon::start_with(&config, vec![kind.clone()]).unwrap();
    alexa.connected(ids.iter().chain(&rooms));
    for id in &rooms {
        let mark = alexa.simulator.mark(id);
        alexa.play(id, TRACK, id);
        alexa.event(id, mark, "AudioPlayer", "PlaybackStarted");
    }

    let mut off = Vec::new();
    let mut turned = 0_usize;
    for round in 0..ROUNDS {
        kind.notes.begin();
        let due = in_seconds(4);
        for id in &ids {
            let mark = alexa.simulator.mark(id);
            let token = format!("{id}-{round}");
            let time = iso8601::format(due);
            alexa.send(
                id,
                "Alerts",
                "SetAlert",
                json!({ "token": token, "type": "TIMER", "scheduledTime": time }),
            );
            alexa.event(id, mark, "Alerts", "SetAlertSucceeded");
        }
        // Somebody turns the music's volumes until all ring.
        let limit = Instant::now() + PATIENCE;
        while kind.notes.heard() < SPEAKERS {
            assert!(Instant::now() < limit, "{} of {SPEAKERS} ring", kind.notes.heard());
            let volume = json!({ "volume": 20 + turned % 30 });
            alexa.send(&rooms[turned % ROOMS], "Speaker", "SetVolume", volume);
            turned += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        off.extend(kind.notes.offsets(due));
        for id in &ids {
            let mark = alexa.simulator.mark(id);
            alexa.send(id, "Alerts", "DeleteAlert", json!({ "token": format!("{id}-{round}") }));
            alexa.event(id, mark, "Alerts", "DeleteAlertSucceeded");
        }
        kind.notes.wait_quiet();
    }
    let worst = off.iter().max().unwrap().as_secs_f64() * 1e3;
    let labels = format!("speakers=\"{SPEAKERS}\",rooms=\"{ROOMS}\"");
    percentiles("alert_start_jitter", &labels, off);
    figure("alert_start_jitter_worst", &labels, worst, "ms");
    figure("alert_blocks_too_late", &labels, kind.notes.late.load(Ordering::Relaxed) as f64, "blocks");
    hub.close();
    alexa.stop();
}

/// The whole second at least so many away.
fn in_seconds(seconds: u64) -> WallTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    WallTime::from_seconds((now + seconds + 1) as i64)
}

/// What the endpoints note.
#[derive(Default)]
struct Notes {
    clock: Mutex<Option<Arc<dyn Clock>>>,
    listening: AtomicBool,
    /// When each was heard first.
    first: Mutex<BTreeMap<SpeakerId, HubTime>>,
    /// Sounds handed over so far.
    sounds: AtomicU64,
    late: AtomicU64,
}

impl Notes {
    fn begin(&self) {
        self.first.lock().unwrap().clear();
        self.listening.store(true, Ordering::Relaxed);
    }

    fn heard(&self) -> usize {
        self.first.lock().unwrap().len()
    }

    /// How far from this second of the calendar each began.
    fn offsets(&self, due: WallTime) -> Vec<Duration> {
        let now = self.clock.lock().unwrap().as_ref().expect("they were opened").now();
        let wall: WallTime = SystemTime::now().into();
        let due = now.nanos() + due.nanos() - wall.nanos();
        self.listening.store(false, Ordering::Relaxed);
        let first = self.first.lock().unwrap();
        first.values().map(|at| Duration::from_nanos(at.nanos().abs_diff(due))).collect()
    }

    /// Waits until nothing has been heard for a while.
    fn wait_quiet(&self) {
        loop {
            let before = self.sounds.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(300));
            if self.sounds.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    fn note(&self, id: &SpeakerId, block: &Block, now: HubTime) {
        let Some(at) = block.samples.iter().position(|sample| *sample != 0) else { return };
        self.sounds.fetch_add(1, Ordering::Relaxed);
        if block.due < now {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
        if self.listening.load(Ordering::Relaxed) {
            let after = (at / 2) as f64 / f64::from(SampleRate::HUB.hertz());
            let first = block.due + Duration::from_secs_f64(after);
            self.first.lock().unwrap().entry(id.clone()).or_insert(first);
        }
    }
}

/// The kind `ear:`, whose endpoints only note.
#[derive(Default)]
struct Ears {
    notes: Arc<Notes>,
}

impl Kind for Ears {
    fn name(&self) -> &'static str {
        "ear"
    }

    fn services(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognise(&self, _record: &ServiceRecord) -> Option<Descriptor> {
        None
    }

    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let (id, name) = (id.clone(), name.to_owned());
        let descriptor =
            Descriptor { id, name, kind: "ear", addresses: Vec::new(), properties: BTreeMap::new() };
        (text == "ear:").then_some(Ok(descriptor))
    }

    fn caps(&self, _descriptor: &Descriptor, _pace: Pace) -> Caps {
        CAPS
    }

    fn open(
        &self,
        descriptor: &Descriptor,
        _pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint> {
        *self.notes.clock.lock().unwrap() = Some(Arc::clone(&clock));
        events(EndpointEvent::Ready);
        Box::new(Ear { id: descriptor.id.clone(), clock, notes: Arc::clone(&self.notes) })
    }
}

struct Ear {
    id: SpeakerId,
    clock: Arc<dyn Clock>,
    notes: Arc<Notes>,
}

impl Endpoint for Ear {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn play(&mut self, block: &Block) {
        self.notes.note(&self.id, block, self.clock.now());
    }

    fn flush(&mut self, _from: HubTime) {}

    fn control(&mut self, _control: Control) {}
}
