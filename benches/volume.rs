//! How fast a directive is obeyed: SetVolume at one speaker of a group until the last member's gain is set and until the
//! last member's VolumeChanged is back, and Play until its first sample is due. Groups of 1, 8 and 64 speakers, each
//! with a TLS link of its own to the simulator, all playing.
//!
//! - The clock starts when the simulator has given the directive's last byte to HTTP/2.
//! - A gain is set when the endpoint is told it. The endpoint here is a kind of our own with a volume of its own, which
//!   notes the moment of `Control::Level` on the render thread: the last step the hub itself takes. A gain of the
//!   hub's mixer goes the same road, as the command behind this one.
//! - A VolumeChanged is received when its whole metadata part has arrived at the simulator; 64 of them cross 64
//!   connections. The simulator, in this process, judges each strictly, on the same processors.
//! - Where it is permitted, all of it runs at the least real-time priority ([`support::undisturbed`]).
//! - Between rounds a pause of varying length passes, so that rounds meet the render thread's ticks everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use antiphon::config::Config;
use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead, SpeakerId, Volume};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Control, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, Pace,
    ServiceRecord,
};
use serde_json::json;
use support::{Alexa, PATIENCE, percentiles};

const VOLUME_ROUNDS: u32 = 400;
const PLAY_ROUNDS: u32 = 20;
/// Long enough for all rounds of a group on a slow machine.
const TRACK: &str = "tone-440-240s.flac";
/// As early as the virtual kind wants its blocks.
const CAPS: Caps = Caps { lead: Lead(Duration::from_millis(80)), own_volume: true };

fn main() {
    if support::only_tried() {
        return;
    }
    support::undisturbed();
    // `cargo bench --bench volume -- 64` is that group alone.
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for size in if asked.is_empty() { vec![1, 8, 64] } else { asked } {
        measure(size);
    }
}

fn measure(size: usize) {
    let alexa = Alexa::start();
    alexa.make(TRACK);
    let ids: Vec<String> = (0..size).map(|number| format!("SPEAKER{number}")).collect();
    let speakers: Vec<_> = ids.iter().map(|id| (id.clone(), "probe:".to_owned())).collect();
    let config = alexa.config("hub", &speakers, &[("all", &ids)]);
    let config = Config::parse(&config, Path::new("bench.toml")).unwrap();
    let kind = Probe::default();
    let notes = Arc::clone(&kind.notes);
    let hub = antiphon::start_with(&config, vec![Arc::new(kind)]).unwrap();
    alexa.connected(&ids);

    let labels = format!("group=\"{size}\"");
    let mut due = Vec::new();
    // The first opens the sessions and is not counted.
    for round in 0..=PLAY_ROUNDS {
        notes.begin();
        let mark = alexa.simulator.mark(&ids[0]);
        let sent = alexa.play(&ids[0], TRACK, &format!("track {round}"));
        alexa.event(&ids[0], mark, "AudioPlayer", "PlaybackStarted");
        let first = notes.noted().first.expect("a first block");
        if round > 0 {
            due.push(first.saturating_duration_since(sent));
        }
        if round < PLAY_ROUNDS {
            alexa.send(&ids[0], "AudioPlayer", "Stop", json!({}));
            alexa.event(&ids[0], mark, "AudioPlayer", "PlaybackStopped");
        }
    }
    percentiles("play_directive_to_first_sample_due", &format!("{labels},lead=\"80ms\""), due);

    let (mut gains, mut events) = (Vec::new(), Vec::new());
    for round in 0..VOLUME_ROUNDS {
        let volume = i64::from(10 + round * 37 % 80);
        notes.begin();
        let marks: Vec<u64> = ids.iter().map(|id| alexa.simulator.mark(id)).collect();
        let spoken_to = &ids[round as usize % size];
        let sent = alexa.send(spoken_to, "Speaker", "SetVolume", json!({ "volume": volume }));
        let event =
            ids.iter().zip(marks).map(|(id, mark)| alexa.event(id, mark, "Speaker", "VolumeChanged")).max();
        let gain = notes.all_at(&ids, volume);
        // The first rounds warm up.
        if round >= 10 {
            gains.push(gain.saturating_duration_since(sent));
            events.push(event.unwrap().saturating_duration_since(sent));
        }
        std::thread::sleep(Duration::from_micros(u64::from(2000 + round * 1237 % 10_000)));
    }
    percentiles("directive_to_last_gain", &labels, gains);
    percentiles("directive_to_last_volume_changed", &labels, events);
    hub.close();
    alexa.stop();
}

/// What the endpoints note. Nobody waits for it: a bench that is woken at every gain would be in the way of the next.
#[derive(Default)]
struct Notes {
    /// Set: the next block is the first.
    awaiting: AtomicBool,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// When the first block is due.
    first: Option<Instant>,
    levels: Vec<(SpeakerId, Volume, Instant)>,
}

impl Notes {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap()
    }

    /// Forgets all, and takes the next block for the first.
    fn begin(&self) {
        *self.noted() = Noted::default();
        self.awaiting.store(true, Ordering::Relaxed);
    }

    /// When the last of them was told this volume.
    fn all_at(&self, ids: &[String], volume: i64) -> Instant {
        let limit = Instant::now() + PATIENCE;
        loop {
            let mut told = BTreeMap::new();
            for (id, _, at) in self.noted().levels.iter().filter(|(_, to, _)| i64::from(to.get()) == volume) {
                told.entry(id.clone()).or_insert(*at);
            }
            if told.len() == ids.len() {
                return told.into_values().max().unwrap();
            }
            // The events are there already: so are the gains, or they are very late.
            assert!(Instant::now() < limit, "a gain was not set");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The kind `probe:`, whose endpoints only note.
#[derive(Default)]
struct Probe {
    notes: Arc<Notes>,
}

impl Kind for Probe {
    fn name(&self) -> &'static str {
        "probe"
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
            Descriptor { id, name, kind: "probe", addresses: Vec::new(), properties: BTreeMap::new() };
        (text == "probe:").then_some(Ok(descriptor))
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
        events(EndpointEvent::Ready);
        Box::new(Session { id: descriptor.id.clone(), clock, notes: Arc::clone(&self.notes) })
    }
}

struct Session {
    id: SpeakerId,
    clock: Arc<dyn Clock>,
    notes: Arc<Notes>,
}

impl Endpoint for Session {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn play(&mut self, block: &Block) {
        if self.notes.awaiting.load(Ordering::Relaxed) && self.notes.awaiting.swap(false, Ordering::Relaxed) {
            let ahead = block.due.since(self.clock.now());
            self.notes.noted().first = Some(Instant::now() + ahead);
        }
    }

    fn flush(&mut self, _from: HubTime) {}

    fn control(&mut self, control: Control) {
        let Control::Level(level) = control else { return };
        let at = Instant::now();
        self.notes.noted().levels.push((self.id.clone(), level.volume, at));
    }
}
