//! Both ends of a dialog: what somebody says into `POST /api/speakers/{id}/listen`, as a microphone would send it, and
//! what Alexa says, as a tone that can be told from the music.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use super::analysis::tone_level;
use super::hub::{Hub, PATIENCE, RATE};
use super::patience::wait_for;
use antiphon_simulator::{Hearing, Outgoing};
use serde_json::{Value, json};
use std::f64::consts::TAU;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes of 20 ms of speech, 16 kHz 16 bit mono.
pub const PIECE: usize = 640;
/// Raw samples, as a body.
pub const PCM: &str = "audio/l16;rate=16000;channels=1";
/// A WAV file, as a body.
pub const WAV: &str = "audio/wav";

/// A tone as 16 bit mono samples.
pub fn spoken(rate: u32, seconds: f64) -> Vec<u8> {
    let step = TAU * 440.0 / f64::from(rate);
    let frames = (seconds * f64::from(rate)) as u32;
    (0..frames).flat_map(|at| (((step * f64::from(at)).sin() * 8_000.0) as i16).to_le_bytes()).collect()
}

/// The head of a mono WAV file whose length nobody knows yet.
pub fn wav_head(rate: u32) -> Vec<u8> {
    let mut head = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    head.extend(rate.to_le_bytes());
    head.extend((rate * 2).to_le_bytes());
    head.extend(b"\x02\0\x10\0data\xff\xff\xff\xff");
    head
}

/// A request whose body is being said.
pub struct Upload {
    stream: TcpStream,
    /// When bytes of the body were sent, and how many had been by then.
    pub sent: Vec<(Instant, u64)>,
}

impl Hub {
    /// Begins to speak; `query` as in `?initiator=hold`.
    pub fn speak_to(&self, id: &str, query: &str, content_type: &str) -> Upload {
        let address = self.http().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&address).expect("the hub listens");
        stream.set_nodelay(true).expect("a socket");
        let head = format!(
            "POST /api/speakers/{id}/listen{query} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the hub reads");
        Upload { stream, sent: Vec::new() }
    }

    /// Waits until something was heard of the Recognize of that number.
    pub fn wait_hearing(&self, id: &str, index: usize, wanted: impl Fn(&Hearing) -> bool) -> Hearing {
        let found = self.wait(self.simulator().wait_hearing(id, index, wanted, PATIENCE));
        found.unwrap_or_else(|error| {
            panic!("{id}: {error}; heard: {:?}; {:#}", self.simulator().hearings(id).last(), self.speaker(id))
        })
    }

    /// Waits until the picture shows what Alexa does.
    pub fn wait_attention(&self, id: &str, attention: &str) {
        self.wait_picture(attention, |_| self.speaker(id)["device"]["attention"] == attention);
    }

    /// A track of the simulator, whole.
    pub fn fetch(&self, track: &str) -> Vec<u8> {
        let url = self.simulator().track(track);
        let bytes = self.wait(async {
            let client = reqwest::Client::builder().no_proxy().build().ok()?;
            Some(client.get(url).send().await.ok()?.bytes().await.ok()?.to_vec())
        });
        bytes.filter(|bytes| bytes.len() > 1000).expect("the simulator makes it")
    }

    /// A Speak of a tone of so many seconds, 3 kHz; its token is `token`.
    pub fn speech(&self, token: &str, seconds: u32) -> Outgoing {
        speech_of(token, self.fetch(&format!("tone-3000-{seconds}s.mp3")))
    }

    /// Sends what was made before.
    pub fn send_whole(&self, id: &str, outgoing: Outgoing) {
        self.wait(self.simulator().send(id, outgoing)).expect("sent");
    }

    /// Calls `what` while writing down everything the picture shows Alexa doing, each once in a row.
    pub fn attentions(&self, id: &str, what: impl FnOnce()) -> Vec<String> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut seen: Vec<String> = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let now = self.speaker(id)["device"]["attention"].as_str().unwrap_or("?").to_owned();
                    if seen.last() != Some(&now) {
                        seen.push(now);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                seen
            });
            what();
            over.store(true, Ordering::Relaxed);
            watch.join().expect("the hub shows itself")
        })
    }
}

/// A Speak of these bytes.
pub fn speech_of(token: &str, mp3: Vec<u8>) -> Outgoing {
    let id = format!("speech-{token}");
    let payload = json!({ "url": format!("cid:{id}"), "format": "AUDIO_MPEG", "token": token });
    Outgoing::new("SpeechSynthesizer", "Speak", payload).with_attachment(&id, mp3)
}

impl Upload {
    /// Sends a piece of the body; false when the hub does not want it any more.
    pub fn send(&mut self, piece: &[u8]) -> bool {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        let total = self.sent.last().map_or(0, |(_, bytes)| *bytes) + piece.len() as u64;
        self.sent.push((Instant::now(), total));
        self.stream.write_all(&chunk).is_ok()
    }

    /// Sends sound at the pace of a microphone of `rate`, 20 ms a time, until `enough` or the hub wants no more.
    pub fn say_until(&mut self, rate: u32, sound: &[u8], mut enough: impl FnMut() -> bool) {
        let begun = Instant::now();
        for (number, piece) in sound.chunks(rate as usize / 25).enumerate() {
            let due = begun + Duration::from_millis(20) * number as u32;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if enough() || self.is_answered() || !self.send(piece) {
                return;
            }
        }
    }

    /// Whether the hub has answered, or closed.
    pub fn is_answered(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a socket");
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Ends the body; status and JSON of the answer.
    pub fn end(mut self) -> (u16, Value) {
        // It may have been answered before.
        let _ = self.stream.write_all(b"0\r\n\r\n");
        self.answer()
    }

    /// Waits for the answer without ending the body.
    pub fn answer(mut self) -> (u16, Value) {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (mut text, mut piece) = (Vec::new(), [0; 4096]);
        // Who is still being spoken to may keep the connection.
        while !is_whole(&text)
            && let Ok(length @ 1..) = self.stream.read(&mut piece)
        {
            text.extend_from_slice(&piece[..length]);
        }
        let text = String::from_utf8_lossy(&text);
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (
            status.unwrap_or_else(|| panic!("no answer: {text:?}")),
            serde_json::from_str(body).unwrap_or(Value::Null),
        )
    }

    /// The longest time between sending a byte of speech and its being heard by the service: both count PCM bytes.
    pub fn longest_way(&self, hearing: &Hearing) -> Duration {
        let mut longest = Duration::ZERO;
        for (at, bytes) in &self.sent {
            if let Some((heard, _)) = hearing.chunks.iter().find(|(_, got)| got >= bytes) {
                longest = longest.max(heard.saturating_duration_since(*at));
            }
        }
        longest
    }
}

/// Whether a response is there to the end of its body.
fn is_whole(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// How a tone's level moves in time.
pub struct Envelope {
    /// Amplitude, 1 is full scale, every millisecond.
    pub levels: Vec<f64>,
}

impl Envelope {
    /// Of the tone of `hertz` in samples at the hub's rate: windows of 10 ms, one a millisecond.
    pub fn of(samples: &[f32], hertz: f64) -> Self {
        let (window, hop) = (RATE as usize / 100, RATE as usize / 1000);
        let count = samples.len().saturating_sub(window) / hop;
        let level =
            |at: usize| 10f64.powf(tone_level(&samples[at * hop..at * hop + window], RATE, hertz) / 20.0);
        Self { levels: (0..count).map(level).collect() }
    }

    /// When it first goes a share of the way between two levels for good, at or after a millisecond: the way is over
    /// `within`.
    fn passes(&self, from: f64, to: f64, share: f64, after: usize) -> Option<usize> {
        let limit = from + (to - from) * share;
        let passed = |level: &f64| if to < from { *level <= limit } else { *level >= limit };
        Some(after + self.levels.get(after..)?.iter().position(passed)?)
    }

    /// Where a straight walk from one level (dBFS) to another begins, at or after a millisecond, and how long it is:
    /// both in milliseconds, from the moments it has a tenth and nine tenths behind it.
    pub fn walk(&self, from: f64, to: f64, after: usize) -> Option<(f64, f64)> {
        let linear = |level: f64| 10f64.powf(level / 20.0);
        let (from, to) = (linear(from), linear(to));
        let early = self.passes(from, to, 0.1, after)? as f64;
        let late = self.passes(from, to, 0.9, early as usize)? as f64;
        let length = (late - early) / 0.8;
        Some((early - length * 0.1, length))
    }
}

/// Waits until a metric of this name and labels, summed, is what it must be.
pub fn wait_metric(hub: &Hub, name: &str, wanted: f64) {
    let sum = || {
        let page = hub.metrics();
        let lines = page.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let found = wait_for(PATIENCE, || (sum() == wanted).then_some(()));
    assert!(found.is_some(), "{name} is {}, not {wanted}", sum());
}
