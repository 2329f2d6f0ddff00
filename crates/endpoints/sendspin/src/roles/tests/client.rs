//! A client under virtual time: it holds what it is sent to the protocol and puts down what would be heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{Frames, HubTime, Lead, SampleRate};
use antiphon_endpoint::{EndpointEvent, Pace};
use prometheus::Registry;
use serde_json::{Map, Value, json};

use super::super::{Client, Out, Roles, Shared, lead};

/// Room of most tests' clients.
pub const PLENTY: u64 = 32_000_000;

/// What was heard of one frame: its PCM bytes.
pub type Heard = BTreeMap<i64, Vec<u8>>;

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub timestamp: i64,
    pub frames: usize,
    pub rate: i64,
}

impl Chunk {
    /// When its last frame has been heard, nanoseconds.
    pub fn end_nanos(self) -> i64 {
        let rate = SampleRate::new(self.rate as u32).unwrap();
        self.timestamp * 1_000 + Frames(self.frames as u64).duration(rate).as_nanos() as i64
    }
}

/// The machine and the client that it serves.
pub struct Rig {
    pub roles: Roles,
    pub now: HubTime,
    pub delay: Duration,
    pub capacity: u64,
    /// Messages that were no sound, in order: type and payload.
    pub said: Vec<(String, Value)>,
    /// Binary messages but sound.
    pub binaries: Vec<(u8, Vec<u8>)>,
    pub events: Vec<EndpointEvent>,
    /// Chunks in the client's buffer and their PCM.
    pub held: Vec<(Chunk, Vec<u8>)>,
    /// Chunks as they came.
    pub chunks: Vec<Chunk>,
    /// Whether frames are put down by their place on the grid; not where there is more than one.
    pub by_frame: bool,
    pub heard: Heard,
    pub rate: i64,
    pub frame_bytes: usize,
    player: Option<Value>,
}

pub fn shared() -> Shared {
    Shared::new(&Registry::new()).unwrap()
}

pub fn offers(list: &[(&str, u32, u8)]) -> Value {
    let formats: Vec<Value> = list
        .iter()
        .map(|(codec, rate, bits)| {
            json!({"codec": codec, "sample_rate": rate, "channels": 2, "bit_depth": bits})
        })
        .collect();
    formats.into()
}

impl Rig {
    pub fn new(shared: &Shared, capacity: u64, formats: &[(&str, u32, u8)]) -> Self {
        let hello = json!({
            "player@v1_support": {"supported_formats": offers(formats), "buffer_capacity": capacity},
            "visualizer@v1_support": {"buffer_capacity": 1_000},
        });
        let roles = ["player@v1", "controller@v1", "metadata@v1", "artwork@v1", "visualizer@v1", "color@v1"];
        let roles = roles.map(String::from);
        let supports = hello.as_object().unwrap();
        let client = Client { id: "the-client", name: "Kitchen", roles: &roles, supports };
        let mut rig = Self {
            roles: Roles::new(client, shared).unwrap(),
            now: HubTime::from_nanos(1_000_000_000),
            delay: Duration::ZERO,
            capacity,
            said: Vec::new(),
            binaries: Vec::new(),
            events: Vec::new(),
            held: Vec::new(),
            chunks: Vec::new(),
            by_frame: true,
            heard: Heard::new(),
            rate: 44_100,
            frame_bytes: 4,
            player: None,
        };
        rig.roles.activated();
        rig.drain();
        rig
    }

    /// A client that is available and a session that has begun.
    pub fn begun(shared: &Shared, capacity: u64, formats: &[(&str, u32, u8)], pace: Pace) -> Self {
        let mut rig = Self::new(shared, capacity, formats);
        rig.state(json!({"available": true, "player": player(50, false)}));
        rig.begin(pace);
        rig
    }

    pub fn begin(&mut self, pace: Pace) {
        let lead = self.lead(pace);
        self.roles.begin(pace, lead);
        self.drain();
    }

    pub fn lead(&self, pace: Pace) -> Lead {
        lead(&self.roles.told(), pace)
    }

    pub fn state(&mut self, state: Value) {
        self.roles.state(state.as_object().unwrap(), self.now).unwrap();
        self.delay = self.roles.told().output_delay;
        self.drain();
    }

    /// Time passes; the machine is woken when it asked to be.
    pub fn to(&mut self, now: HubTime) {
        for _ in 0..10_000 {
            self.hear();
            self.drain();
            match self.roles.wake() {
                Some(wake) if wake <= now => self.now = self.now.max(wake),
                _ if self.now < now => self.now = now,
                _ => return,
            }
        }
        panic!("it wakes for ever");
    }

    pub fn pass(&mut self, duration: Duration) {
        self.to(self.now + duration);
    }

    /// Takes everything the machine has to say.
    pub fn drain(&mut self) {
        for _ in 0..10_000 {
            let Some(out) = self.roles.poll(self.now) else {
                self.events.extend(std::iter::from_fn(|| self.roles.event()));
                return;
            };
            self.take(out);
        }
        panic!("it never ends");
    }

    fn take(&mut self, out: Out) {
        match out {
            Out::Json { kind, payload } | Out::Stamped { kind, payload } => {
                self.obey(kind, &payload);
                self.said.push((kind.into(), payload.into()));
            }
            Out::Audio { timestamp_micros, payload } => {
                assert!(self.player.is_some(), "sound outside a stream");
                assert_eq!(payload.len() % self.frame_bytes, 0);
                let frames = payload.len() / self.frame_bytes;
                assert!(frames * 1_000 <= 150 * self.rate as usize, "{frames} frames are more than 150 ms");
                let chunk = Chunk { timestamp: timestamp_micros, frames, rate: self.rate };
                self.chunks.push(chunk);
                self.held.push((chunk, payload.to_vec()));
                let held: u64 = self.held.iter().map(|(_, pcm)| pcm.len() as u64 + 13).sum();
                assert!(held <= self.capacity, "{held} bytes of {}", self.capacity);
            }
            Out::Binary { id, body } => self.binaries.push((id, body.to_vec())),
        }
    }

    fn obey(&mut self, kind: &str, payload: &Map<String, Value>) {
        let roles = payload.get("roles").and_then(Value::as_array);
        let is_ours = roles.is_none_or(|roles| roles.contains(&json!("player")));
        match kind {
            "stream/start" => {
                if let Some(player) = payload.get("player") {
                    self.rate = player["sample_rate"].as_i64().unwrap();
                    self.frame_bytes = player["bit_depth"].as_u64().unwrap() as usize / 4;
                    self.player = Some(player.clone());
                }
            }
            "stream/clear" if is_ours => self.held.clear(),
            "stream/end" if is_ours => {
                self.held.clear();
                self.player = None;
            }
            _ => {}
        }
    }

    /// What has been heard by now leaves the buffer.
    fn hear(&mut self) {
        let until = (self.now + self.delay).nanos();
        let mut held = std::mem::take(&mut self.held);
        held.retain(|(chunk, pcm)| {
            // Timestamps are whole microseconds, so the client and we may differ by half of one.
            if chunk.end_nanos() > until + 500 {
                return true;
            }
            let first =
                if self.by_frame { frame_at(chunk.timestamp, chunk.rate) } else { self.heard.len() as i64 };
            for (nth, frame) in pcm.chunks_exact(pcm.len() / chunk.frames).enumerate() {
                let before = self.heard.insert(first + nth as i64, frame.to_vec());
                assert!(before.is_none(), "frame {} heard twice", first + nth as i64);
            }
            false
        });
        self.held = held;
    }

    /// The messages of a type.
    pub fn all(&self, kind: &str) -> Vec<&Value> {
        self.said.iter().filter(|(said, _)| said == kind).map(|(_, payload)| payload).collect()
    }
}

/// The frame of the grid that a timestamp means; it must be meant to within a microsecond.
pub fn frame_at(timestamp: i64, rate: i64) -> i64 {
    let frame = (i128::from(timestamp) * i128::from(rate) + 500_000).div_euclid(1_000_000) as i64;
    let exact = i128::from(frame) * 1_000_000;
    let off = i128::from(timestamp) * i128::from(rate) - exact;
    assert!(off.abs() <= i128::from(rate), "{timestamp} us lie {off}/{rate} us off the grid");
    frame
}

pub fn player(volume: u8, muted: bool) -> Value {
    json!({
        "volume": volume,
        "muted": muted,
        "output_delay_ms": 0,
        "required_lead_time_ms": 250,
        "min_buffer_ms": 250,
        "supported_commands": ["volume", "mute", "set_output_delay"],
    })
}

/// The hub's block of this number: every sample tells where it belongs.
pub fn block(number: u64) -> Block {
    let first = number * BLOCK_FRAMES as u64;
    let samples: Arc<[i16]> =
        (0..BLOCK_FRAMES as u64).flat_map(|n| [left(first + n), right(first + n)]).collect();
    Block { due: due(number), samples }
}

pub fn due(number: u64) -> HubTime {
    HubTime::EPOCH + Frames(number * BLOCK_FRAMES as u64).duration(SampleRate::HUB)
}

fn left(frame: u64) -> i16 {
    (frame % 30_011) as i16
}

fn right(frame: u64) -> i16 {
    (frame % 257) as i16 - 128
}

/// The frame as PCM of so many bytes a sample.
pub fn pcm(frame: i64, bytes: usize) -> Vec<u8> {
    let samples = [left(frame as u64), right(frame as u64)];
    let widen = |sample: i16| (i32::from(sample) << 16).to_le_bytes()[4 - bytes..].to_vec();
    samples.into_iter().flat_map(widen).collect()
}
