//! The machine of one connection, whoever dialled it.
//!
//! Owns the opening, Noise, framing, activation, pairing and the change of keys. Driven by one task: frames of the
//! WebSocket go into [`Link::receive`] with the hub's time, then [`Link::news`] and [`Link::frame`] are drained. What is
//! sent is encrypted when it is handed in, so that stamps made then are as late as can be.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::fault::{Fault, Goodbye};
use super::frame::{AUDIO, Assembler, JSON, Whole, split};
use super::hello::ClientHello;
use super::key::{Credential, Identity, PeerId, Psk};
use super::noise::{self, Channel, Handshake, Shaken, Suite};
use super::opening;
use super::pairing::{Attempt, Method};

mod trust;

/// The longest text of the cleartext opening.
const LONGEST_OPENING: usize = 4096;

/// A message of the WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Cleartext, of the opening.
    Text(String),
    /// A Noise message.
    Binary(Bytes),
}

/// What we are connected for (messaging.md, `server/activate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Ready, for nothing in particular.
    Idle,
    /// To play.
    Playback,
}

/// What came of a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The client has said who it is and what it can do. The first activation is to follow.
    Hello(Box<ClientHello>),
    /// `client/state`.
    State(Map<String, Value>),
    /// `client/command`.
    Command(Map<String, Value>),
    /// `client/leave`.
    Leave,
    /// It asked for the time, which was told: its own at that, in microseconds of its clock.
    Time(i64),
    /// It leaves.
    Goodbye(Goodbye),
    /// Something that has no meaning for us and does no harm; the words are few, for a metric.
    Ignored(&'static str),
    /// The client shows its code, or waits for the one printed on it.
    CodeWanted,
    /// It waits for somebody to do something at it; its own words.
    PairPending(Option<String>),
    /// The code was not the client's.
    WrongCode,
    /// The pairing came to nothing; why.
    PairOver(&'static str),
    /// Paired: keep this key, then call [`Link::kept`].
    Paired(Psk),
    /// The keys were changed. An activation must be the next message.
    Rekeyed,
}

enum Stage {
    Init,
    Handshake(Box<Handshake>),
    Hello,
    Up,
}

/// Says which credential to open with for a client.
pub type Keys = Arc<dyn Fn(&PeerId) -> Credential + Send + Sync>;

/// One connection.
pub struct Link {
    identity: Identity,
    name: String,
    keys: Keys,
    expected: Option<PeerId>,
    stage: Stage,
    client: Option<(PeerId, Suite)>,
    channel: Option<Channel>,
    credential: Credential,
    mismatch: bool,
    /// A change of keys that waits for the client's half.
    rekeying: Option<Handshake>,
    assembler: Assembler,
    attempt: Option<Attempt>,
    /// Pairing activations since the last handshake.
    attempts: u32,
    frames: VecDeque<Frame>,
    news: VecDeque<News>,
    plain: Vec<u8>,
}

fn micros(now: antiphon_domain::HubTime) -> i64 {
    now.nanos().div_euclid(1_000)
}

impl Link {
    /// A connection just made. `expected` is who was dialled, where that is known.
    pub fn new(identity: Identity, name: impl Into<String>, keys: Keys, expected: Option<PeerId>) -> Self {
        Self {
            identity,
            name: name.into(),
            keys,
            expected,
            stage: Stage::Init,
            client: None,
            channel: None,
            credential: Credential::sentinel(),
            mismatch: false,
            rekeying: None,
            assembler: Assembler::default(),
            attempt: None,
            attempts: 0,
            frames: VecDeque::new(),
            news: VecDeque::new(),
            plain: Vec::new(),
        }
    }

    /// Who it is; proven once the hello is there.
    pub fn client(&self) -> Option<PeerId> {
        self.client.map(|(client, _)| client)
    }

    /// The key that holds now.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whether the client could not use the key we have of a pairing, so that it must be paired anew.
    pub fn mismatch(&self) -> bool {
        self.mismatch
    }

    /// Whether messages may be begun: not while keys change.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Up) && self.rekeying.is_none()
    }

    /// The pairing that runs.
    pub fn pairing(&self) -> Option<Method> {
        self.attempt.as_ref().map(Attempt::method)
    }

    /// The next frame to send.
    pub fn frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// How many frames wait to be sent.
    pub fn owed(&self) -> usize {
        self.frames.len()
    }

    /// The next thing that happened.
    pub fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Takes a message of the WebSocket, received `now`. After a [`Fault`], what [`Link::frame`] has is sent and the
    /// connection closed.
    pub fn receive(&mut self, frame: &Frame, now: antiphon_domain::HubTime) -> Result<(), Fault> {
        match (frame, &self.stage) {
            (Frame::Text(text), Stage::Init) => self.opened(text),
            (Frame::Binary(_), Stage::Init) => self.refuse(opening::Refusal::Malformed),
            (Frame::Text(text), Stage::Handshake(_)) => self.shaken(text),
            (Frame::Binary(_), Stage::Handshake(_)) => Err(Fault::Handshake("its half is missing")),
            (Frame::Text(_), _) => Err(Fault::Cipher),
            (Frame::Binary(bytes), _) => {
                let Some(channel) = &mut self.channel else { return Err(Fault::Cipher) };
                let plain = channel.open(bytes)?;
                match self.assembler.take(plain)? {
                    Some(whole) => self.whole(whole, now),
                    None => Ok(()),
                }
            }
        }
    }

    fn refuse(&mut self, refusal: opening::Refusal) -> Result<(), Fault> {
        self.frames.push_back(Frame::Text(refusal.message()));
        Err(Fault::Opening(refusal.reason()))
    }

    fn opened(&mut self, text: &str) -> Result<(), Fault> {
        if text.len() > LONGEST_OPENING {
            return self.refuse(opening::Refusal::Malformed);
        }
        let init = match opening::client_init(text) {
            Ok(init) => init,
            Err(refusal) => {
                let refused = self.refuse(refusal);
                // Until 2026 that was how clients began.
                let outdated = envelope(text.as_bytes()).is_ok_and(|(kind, _)| kind == "client/hello");
                return if outdated { Err(Fault::Outdated) } else { refused };
            }
        };
        if self.expected.is_some_and(|expected| expected != init.client) {
            return Err(Fault::Impostor);
        }
        let answer = opening::server_init(self.identity.id());
        let prologue = [text.as_bytes(), answer.as_bytes()].concat();
        let credential = (self.keys)(&init.client);
        let (handshake, message) =
            Handshake::begin(init.suite, &self.identity, &init.client, &prologue, credential, true)?;
        self.client = Some((init.client, init.suite));
        self.stage = Stage::Handshake(Box::new(handshake));
        self.frames.push_back(Frame::Text(answer));
        self.frames.push_back(Frame::Text(opening::handshake(&message)));
        Ok(())
    }

    fn shaken(&mut self, text: &str) -> Result<(), Fault> {
        if text.len() > LONGEST_OPENING {
            return Err(Fault::Handshake("its half is too long"));
        }
        let (kind, payload) = envelope(text.as_bytes())?;
        let Stage::Handshake(handshake) = std::mem::replace(&mut self.stage, Stage::Init) else {
            return Err(Fault::OutOfTurn("handshake"));
        };
        if kind != "noise/handshake" {
            return Err(Fault::Handshake("its half is missing"));
        }
        let Shaken { channel, credential, mismatch } = handshake.end(noise::data(&payload)?)?;
        (self.channel, self.credential, self.mismatch) = (Some(channel), credential, mismatch);
        self.stage = Stage::Hello;
        let name = self.name.clone();
        self.json("server/hello", &json!({"name": name}))
    }

    fn whole(&mut self, whole: Whole, now: antiphon_domain::HubTime) -> Result<(), Fault> {
        if whole.id != JSON {
            // Only a source sends others, and we activate none.
            self.news.push_back(News::Ignored("binary"));
            return Ok(());
        }
        let (kind, payload) = envelope(&whole.body)?;
        match (kind.as_str(), &self.stage) {
            ("client/goodbye", _) => {
                let reason = payload.get("reason").and_then(Value::as_str).unwrap_or_default();
                self.news.push_back(News::Goodbye(Goodbye::parse(reason)));
                Ok(())
            }
            ("client/hello", Stage::Hello) => {
                let hello = ClientHello::read(payload)?;
                self.stage = Stage::Up;
                self.news.push_back(News::Hello(Box::new(hello)));
                Ok(())
            }
            (_, Stage::Hello) => Err(Fault::OutOfTurn("before hello")),
            ("noise/handshake", _) => self.rekeyed(&payload),
            ("client/time", _) => self.time(&payload, now),
            ("client/state", _) => {
                self.news.push_back(News::State(payload));
                Ok(())
            }
            ("client/command", _) => {
                self.news.push_back(News::Command(payload));
                Ok(())
            }
            ("client/leave", _) => {
                self.news.push_back(News::Leave);
                Ok(())
            }
            ("client/hello" | "client/init", _) => Err(Fault::OutOfTurn("hello again")),
            (kind, _) if kind.starts_with("client/pair-") || kind == "pair/abort" => {
                self.pair_message(kind, &payload)
            }
            // A newer client's; the text asks to let them pass.
            _ => {
                self.news.push_back(News::Ignored("unknown"));
                Ok(())
            }
        }
    }

    fn time(&mut self, payload: &Map<String, Value>, now: antiphon_domain::HubTime) -> Result<(), Fault> {
        let sent = payload.get("client_transmitted").and_then(Value::as_i64);
        let sent = sent.ok_or(Fault::Malformed("a time without one"))?;
        self.news.push_back(News::Time(sent));
        if self.rekeying.is_some() {
            return Ok(());
        }
        let now = micros(now);
        let answer = json!({"client_transmitted": sent, "server_received": now, "server_transmitted": now});
        self.json("server/time", &answer)
    }

    /// Sends a JSON message.
    pub fn json(&mut self, kind: &str, payload: &Value) -> Result<(), Fault> {
        let body = json!({"type": kind, "payload": payload}).to_string();
        self.binary(JSON, body.as_bytes())
    }

    /// Sends a JSON message that carries when it was sent.
    pub fn stamped(
        &mut self,
        kind: &str,
        mut payload: Map<String, Value>,
        now: antiphon_domain::HubTime,
    ) -> Result<(), Fault> {
        payload.insert("server_transmitted".into(), micros(now).into());
        self.json(kind, &Value::Object(payload))
    }

    /// Sends a message of type `id`, in fragments where it is long.
    pub fn binary(&mut self, id: u8, body: &[u8]) -> Result<(), Fault> {
        let Some(channel) = &mut self.channel else { return Err(Fault::OutOfTurn("before the handshake")) };
        for plain in split(id, body) {
            self.frames.push_back(Frame::Binary(channel.seal(&plain)?.into()));
        }
        Ok(())
    }

    /// Sends an audio chunk whose first sample is due at `timestamp` microseconds of our clock.
    pub fn audio(
        &mut self,
        timestamp: i64,
        chunk: &[u8],
        now: antiphon_domain::HubTime,
    ) -> Result<(), Fault> {
        let Some(channel) = &mut self.channel else { return Err(Fault::OutOfTurn("before the handshake")) };
        // Saturates at both ends; either says that no lead was measured.
        let ahead = u32::try_from(timestamp.saturating_sub(micros(now)).max(0)).unwrap_or(u32::MAX);
        self.plain.clear();
        self.plain.push(AUDIO);
        self.plain.extend_from_slice(&timestamp.to_be_bytes());
        self.plain.extend_from_slice(&ahead.to_be_bytes());
        self.plain.extend_from_slice(chunk);
        self.frames.push_back(Frame::Binary(channel.seal(&self.plain)?.into()));
        Ok(())
    }

    /// Says what we are connected for, and with which roles. Ends a pairing that runs.
    pub fn activate(&mut self, activity: Activity, roles: &[String]) -> Result<(), Fault> {
        self.attempt = None;
        let activities: &[&str] = if activity == Activity::Playback { &["playback"] } else { &[] };
        self.json("server/activate", &json!({"activities": activities, "active_roles": roles}))
    }
}

/// The type and the payload of a JSON message.
fn envelope(body: &[u8]) -> Result<(String, Map<String, Value>), Fault> {
    let Ok(Value::Object(mut message)) = serde_json::from_slice(body) else {
        return Err(Fault::Malformed("it is no JSON object"));
    };
    let Some(Value::String(kind)) = message.remove("type") else {
        return Err(Fault::Malformed("it has no type"));
    };
    match message.remove("payload") {
        Some(Value::Object(payload)) => Ok((kind, payload)),
        // Messages without fields come without one too.
        None => Ok((kind, Map::new())),
        Some(_) => Err(Fault::Malformed("its payload is no object")),
    }
}
