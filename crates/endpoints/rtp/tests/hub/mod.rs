//! The hub's side of the tests: a clock, descriptors, and blocks played in real time.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate, SpeakerId};
use antiphon_endpoint::{Clock, Descriptor, Endpoint, EndpointEvent, Kind, Pace};

/// The hub's clock.
pub struct HubClock(Instant);

/// The hub's time when the clock began.
const BEGIN: HubTime = HubTime::from_nanos(7_000_000_000);

impl HubClock {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// A moment of the system's clock, as the hub knows it.
    pub fn at(&self, instant: Instant) -> HubTime {
        BEGIN + instant.duration_since(self.0)
    }
}

impl Clock for HubClock {
    fn now(&self) -> HubTime {
        BEGIN + self.0.elapsed()
    }
}

/// What a configured text describes.
pub fn descriptor(kind: &dyn Kind, text: &str) -> Descriptor {
    kind.configured(text, &SpeakerId::new("kitchen"), "Kitchen").expect("ours").expect("understood")
}

/// Opens a session and waits until it is ready.
pub fn open(
    kind: &dyn Kind,
    descriptor: &Descriptor,
    pace: Pace,
    clock: Arc<dyn Clock>,
) -> (Box<dyn Endpoint>, Receiver<EndpointEvent>) {
    let (told, events) = channel();
    let told = Mutex::new(told);
    let sink = Arc::new(move |event| {
        let _ = told.lock().unwrap().send(event);
    });
    let endpoint = kind.open(descriptor, pace, clock, sink);
    assert_eq!(events.recv_timeout(Duration::from_secs(20)), Ok(EndpointEvent::Ready));
    (endpoint, events)
}

/// The block with this number on the hub's grid.
pub fn block(number: u64, sound: impl Fn(u64) -> [i16; 2]) -> Block {
    let first = number * BLOCK_FRAMES as u64;
    let due = HubTime::EPOCH + Frames(first).duration(SampleRate::HUB);
    let mut samples = Vec::with_capacity(BLOCK_FRAMES * CHANNELS);
    for frame in first..first + BLOCK_FRAMES as u64 {
        samples.extend(sound(frame));
    }
    Block { due, samples: samples.into() }
}

/// Plays `sound` (of frames counted from the hub's epoch) in real time for so long, as the render thread does: the frame
/// that came first.
pub fn play(
    endpoint: &mut dyn Endpoint,
    clock: &HubClock,
    length: Duration,
    sound: impl Fn(u64) -> [i16; 2],
) -> u64 {
    let ahead = endpoint.caps().lead.0 + Duration::from_millis(10);
    let start = Frames::within((clock.now() + ahead).since(HubTime::EPOCH), SampleRate::HUB).0;
    let first = start / BLOCK_FRAMES as u64 + 1;
    let blocks = Frames::within(length, SampleRate::HUB).0 / BLOCK_FRAMES as u64;
    for number in first..first + blocks {
        let block = block(number, &sound);
        std::thread::sleep((block.due - ahead).since(clock.now()));
        endpoint.play(&block);
    }
    first * BLOCK_FRAMES as u64
}
