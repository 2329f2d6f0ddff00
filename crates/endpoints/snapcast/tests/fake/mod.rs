//! A Snapcast client of the tests' own: it shares no code with the server, so that two readings of the protocol check
//! each other.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// `refersTo` and the settings.
    pub settings: Vec<(u16, Value)>,
    /// In order of their coming: headers and chunks.
    pub stream: Vec<Part>,
    /// `refersTo`, microseconds of `latency`, of `sent`.
    pub times: Vec<(u16, i64, i64)>,
    pub errors: Vec<String>,
    pub closed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Header {
        codec: String,
        payload: Vec<u8>,
    },
    /// How long after its stamp a chunk is heard, milliseconds.
    Buffer(i64),
    Chunk {
        micros: i64,
        payload: Vec<u8>,
        at: Instant,
    },
}

pub struct Fake {
    stream: TcpStream,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    reader: Option<JoinHandle<()>>,
    asker: Option<JoinHandle<()>>,
}

pub fn hello(id: &str, host: &str, instance: u32) -> Value {
    json!({
        "Arch": "x86_64", "ClientName": "Snapclient", "HostName": host, "ID": id, "Instance": instance,
        "MAC": "00:11:22:33:44:55", "OS": "Debian", "SnapStreamProtocolVersion": 2, "Version": "0.26.0"
    })
}

/// A message: type, id, seconds and microseconds of sending, body.
pub fn message(kind: u16, id: u16, (sec, usec): (i32, i32), body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(kind.to_le_bytes());
    out.extend(id.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out.extend(sec.to_le_bytes());
    out.extend(usec.to_le_bytes());
    out.extend([0; 8]);
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out
}

pub fn with_length(json: &Value) -> Vec<u8> {
    let text = json.to_string();
    let mut out = (text.len() as u32).to_le_bytes().to_vec();
    out.extend(text.as_bytes());
    out
}

impl Fake {
    /// Calls, and says hello with message number 7.
    pub fn call(port: u16, hello: &Value) -> Self {
        let fake = Self::dial(port);
        fake.send(&message(5, 7, (3, 4), &with_length(hello)));
        fake
    }

    /// Calls and says nothing.
    pub fn dial(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let heard: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let (mut from, into) = (stream.try_clone().unwrap(), Arc::clone(&heard));
        let reader = thread::spawn(move || {
            while let Some((kind, refers_to, sent, body)) = next(&mut from) {
                let mut heard = into.0.lock().unwrap();
                take(&mut heard, kind, refers_to, sent, &body);
                into.1.notify_all();
            }
            into.0.lock().unwrap().closed = true;
            into.1.notify_all();
        });
        Self { stream, heard, reader: Some(reader), asker: None }
    }

    /// Calls, says hello, and never reads a byte.
    pub fn deaf(port: u16, hello: &Value) -> TcpStream {
        // With as little room as can be had, or the kernel would listen for it for half a minute.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(&message(5, 7, (3, 4), &with_length(hello))).unwrap();
        stream
    }

    /// Asks for the time now and then, as real ones do to stay.
    #[must_use]
    pub fn lively(mut self) -> Self {
        let mut stream = self.stream.try_clone().unwrap();
        self.asker = Some(thread::spawn(move || {
            let question = message(4, 1, (5, 6), &[0; 8]);
            while stream.write_all(&question).is_ok() {
                thread::sleep(Duration::from_millis(200));
            }
        }));
        self
    }

    pub fn send(&self, bytes: &[u8]) {
        // It may have been hung up on: that is seen by `closed`.
        let _ = (&self.stream).write_all(bytes);
    }

    pub fn ask(&self, id: u16, micros: i64) {
        let stamp = ((micros / 1_000_000) as i32, (micros % 1_000_000) as i32);
        self.send(&message(4, id, stamp, &[0; 8]));
    }

    pub fn inform(&self, volume: i64, muted: bool) {
        self.send(&message(7, 9, (5, 6), &with_length(&json!({ "volume": volume, "muted": muted }))));
    }

    pub fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    pub fn heard(&self) -> Heard {
        self.heard.0.lock().unwrap().clone()
    }

    /// Waits for a state.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Heard) -> bool) -> Heard {
        let heard = self.heard.0.lock().unwrap();
        let (heard, late) = self.heard.1.wait_timeout_while(heard, PATIENCE, |h| !wanted(h)).unwrap();
        assert!(!late.timed_out(), "{what} did not come: {} parts, {:?}", heard.stream.len(), heard.settings);
        heard.clone()
    }

    pub fn closed(&self) {
        self.wait("the end of the connection", |heard| heard.closed);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.hang_up();
        for thread in [self.reader.take(), self.asker.take()].into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

impl Heard {
    /// The chunks that it still has, or has played: when they are heard by the clock it was told, in microseconds, and
    /// what is in them. Where its buffer is lowered by more than half a second, it throws away what is too old then.
    pub fn chunks(&self) -> Vec<(i64, Vec<u8>)> {
        let (mut chunks, mut buffer) = (Vec::new(), 0);
        for part in &self.stream {
            match part {
                Part::Header { .. } => chunks.clear(),
                Part::Buffer(now) => {
                    if *now < buffer - 500 {
                        chunks.clear();
                    }
                    assert!(*now <= buffer || chunks.is_empty(), "it would play late what it has");
                    buffer = *now;
                }
                Part::Chunk { micros, payload, .. } => {
                    chunks.push((micros + buffer * 1_000, payload.clone()))
                }
            }
        }
        chunks
    }

    /// How often it was made to throw away what it had.
    pub fn drops(&self) -> usize {
        let buffers = self.stream.iter().filter_map(|part| match part {
            Part::Buffer(buffer) => Some(*buffer),
            _ => None,
        });
        let buffers: Vec<i64> = buffers.collect();
        buffers.windows(2).filter(|pair| pair[1] < pair[0] - 500).count()
    }

    pub fn headers(&self) -> usize {
        self.stream.iter().filter(|part| matches!(part, Part::Header { .. })).count()
    }

    /// Their samples.
    pub fn samples(&self) -> Vec<i16> {
        let bytes: Vec<u8> = self.chunks().into_iter().flat_map(|(_, payload)| payload).collect();
        bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn micros_at(bytes: &[u8], at: usize) -> i64 {
    let part = |at: usize| i64::from(i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    assert!((0..1_000_000).contains(&part(at + 4)), "a stamp with {} us", part(at + 4));
    part(at) * 1_000_000 + part(at + 4)
}

fn next(stream: &mut TcpStream) -> Option<(u16, u16, i64, Vec<u8>)> {
    let mut base = [0; 26];
    stream.read_exact(&mut base).ok()?;
    let mut body = vec![0; u32_at(&base, 22)];
    stream.read_exact(&mut body).ok()?;
    Some((u16_at(&base, 0), u16_at(&base, 4), micros_at(&base, 6), body))
}

fn take(heard: &mut Heard, kind: u16, refers_to: u16, sent: i64, body: &[u8]) {
    match kind {
        1 => {
            let name = u32_at(body, 0);
            let codec = String::from_utf8(body[4..4 + name].to_vec()).unwrap();
            let payload = body[8 + name..].to_vec();
            assert_eq!(payload.len(), u32_at(body, 4 + name));
            heard.stream.push(Part::Header { codec, payload });
        }
        2 => {
            let payload = body[12..].to_vec();
            assert_eq!(payload.len(), u32_at(body, 8));
            heard.stream.push(Part::Chunk { micros: micros_at(body, 0), payload, at: Instant::now() });
        }
        3 => {
            assert_eq!(body.len() - 4, u32_at(body, 0));
            let settings: Value = serde_json::from_slice(&body[4..]).unwrap();
            heard.stream.push(Part::Buffer(settings["bufferMs"].as_i64().unwrap()));
            heard.settings.push((refers_to, settings));
        }
        4 => heard.times.push((refers_to, micros_at(body, 0), sent)),
        8 => heard.errors.push(String::from_utf8(body[8..].to_vec()).unwrap()),
        other => panic!("a message of type {other}"),
    }
}
