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
//! - Between rounds a pause of varying length passes, so that rounds meet the render thread's ticks everywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon::config::Config;
use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead, SpeakerId, Volume};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Control, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, ServiceRecord,
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
    for size in [1, 8, 64] {
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
    let (kind, seen) = Probe::new();
    let hub = antiphon::start_with(&config, vec![Arc::clone(&kind) as Arc<dyn Kind>]).unwrap();
    alexa.connected(&ids);

    let labels = format!("group=\"{size}\"");
    let mut due = Vec::new();
    // The first opens the sessions and is not counted.
    for round in 0..=PLAY_ROUNDS {
        kind.first.store(true, Ordering::Relaxed);
        let mark = alexa.simulator.mark(&ids[0]);
        let sent = alexa.play(&ids[0], TRACK, &format!("track {round}"));
        let first = seen.first();
        alexa.event(&ids[0], mark, "AudioPlayer", "PlaybackStarted");
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
        let marks: Vec<u64> = ids.iter().map(|id| alexa.simulator.mark(id)).collect();
        let spoken_to = &ids[round as usize % size];
        let sent = alexa.send(spoken_to, "Speaker", "SetVolume", json!({ "volume": volume }));
        let gain = seen.all_at(&ids, volume);
        let event =
            ids.iter().zip(marks).map(|(id, mark)| alexa.event(id, mark, "Speaker", "VolumeChanged")).max();
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

/// What an endpoint noted.
enum Noted {
    Level(SpeakerId, Volume, Instant),
    /// The first block since asked: when it is due.
    First(Instant),
}

struct Seen(Receiver<Noted>);

impl Seen {
    fn first(&self) -> Instant {
        loop {
            if let Noted::First(due) = self.0.recv_timeout(PATIENCE).expect("no sound comes") {
                return due;
            }
        }
    }

    /// When the last of them was told this volume.
    fn all_at(&self, ids: &[String], volume: i64) -> Instant {
        let mut told = BTreeMap::new();
        while told.len() < ids.len() {
            if let Noted::Level(id, to, at) = self.0.recv_timeout(PATIENCE).expect("a gain is not set")
                && i64::from(to.get()) == volume
            {
                told.entry(id).or_insert(at);
            }
        }
        told.into_values().max().unwrap()
    }
}

/// The kind `probe:`, whose endpoints only note.
struct Probe {
    tell: Mutex<Sender<Noted>>,
    /// Set: the next block is the first.
    first: Arc<AtomicBool>,
}

impl Probe {
    fn new() -> (Arc<Self>, Seen) {
        let (tell, seen) = channel();
        (Arc::new(Self { tell: Mutex::new(tell), first: Arc::default() }), Seen(seen))
    }
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

    fn caps(&self, _descriptor: &Descriptor) -> Caps {
        CAPS
    }

    fn open(&self, descriptor: &Descriptor, clock: Arc<dyn Clock>, events: EventSink) -> Box<dyn Endpoint> {
        events(EndpointEvent::Ready);
        let tell = self.tell.lock().unwrap().clone();
        Box::new(Session { id: descriptor.id.clone(), clock, tell, first: Arc::clone(&self.first) })
    }
}

struct Session {
    id: SpeakerId,
    clock: Arc<dyn Clock>,
    tell: Sender<Noted>,
    first: Arc<AtomicBool>,
}

impl Endpoint for Session {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn play(&mut self, block: &Block) {
        if self.first.load(Ordering::Relaxed) && self.first.swap(false, Ordering::Relaxed) {
            let ahead = block.due.since(self.clock.now());
            let _ = self.tell.send(Noted::First(Instant::now() + ahead));
        }
    }

    fn flush(&mut self, _from: HubTime) {}

    fn control(&mut self, control: Control) {
        let Control::Level(level) = control;
        let at = Instant::now();
        let _ = self.tell.send(Noted::Level(self.id.clone(), level.volume, at));
    }
}
