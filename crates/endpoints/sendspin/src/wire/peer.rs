//! The other side of the wire: a client without sound, for tests and fuzzing only (feature `fake`).
//!
//! It answers what it must (handshakes, hello, pairing) and hands out the rest. Written after the text, as [`super::Link`]
//! is, so the two check each other less than a real client does: `tests/lab_real.rs` has one.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::cpace::{Agreed, Cpace};
use super::fault::Fault;
use super::frame::{Assembler, FRAGMENT, JSON, Whole, split};
use super::key::{Credential, Identity, PeerId, Psk, encode};
use super::link::Frame;
use super::noise::{Channel, Suite, builder, wrap};
use super::pairing::{Method, derived, sha256};

/// What a peer was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// A JSON message.
    Json(String, Map<String, Value>),
    /// Another one.
    Binary(u8, Vec<u8>),
    /// The code it shows now.
    Code(Vec<u8>),
    /// It was paired, by this key.
    Paired(Psk),
}

/// A pairing in the middle.
struct Pairing {
    method: Method,
    round: u32,
    nonce: [u8; 32],
    code: Vec<u8>,
    run: Option<(Vec<u8>, Agreed)>,
}

/// A client.
pub struct Peer {
    identity: Identity,
    suite: Suite,
    /// The keys it knows, and what they are good for.
    pub keys: Vec<Credential>,
    hello: Value,
    init: String,
    server: Option<PeerId>,
    prologue: Vec<u8>,
    channel: Option<Channel>,
    /// A change of keys that takes effect once our half has gone out.
    next: Option<Channel>,
    assembler: Assembler,
    out: VecDeque<Frame>,
    pairing: Option<Pairing>,
    attempts: u32,
    /// The code printed on it.
    pub printed: Vec<u8>,
    /// The key a pairing gives out.
    pub gives: Psk,
    /// Whether `server/activate` for pairing is answered.
    pub pairs: bool,
}

impl Peer {
    /// A client with this secret, which opens at once; `hello` is the payload of its introduction.
    pub fn new(secret: [u8; 32], suite: Suite, hello: Value) -> Self {
        let identity = Identity::new(secret);
        let payload = json!({"client_id": identity.id().to_string(), "version": 1, "suite": suite.name()});
        let init = json!({"type": "client/init", "payload": payload}).to_string();
        Self {
            identity,
            suite,
            keys: vec![Credential::sentinel()],
            hello,
            out: VecDeque::from([Frame::Text(init.clone())]),
            init,
            server: None,
            prologue: Vec::new(),
            channel: None,
            next: None,
            assembler: Assembler::default(),
            pairing: None,
            attempts: 0,
            printed: b"12345678".to_vec(),
            gives: Psk::new([77; 32]),
            pairs: true,
        }
    }

    /// A player's introduction that allows unpaired access and pairs in every way.
    pub fn player() -> Value {
        let format = json!({"codec": "pcm", "channels": 2, "sample_rate": 44_100, "bit_depth": 16});
        json!({
            "name": "Fake", "supported_roles": ["player@v1"],
            "player@v1_support": {"supported_formats": [format], "buffer_capacity": 2_000_000},
            "supported_pair_methods": {"pairing_psk": {},
                "dynamic_pairing_code": {"out_channels": ["display"], "formats": ["digits", "qr_code"]}},
            "unpaired_access": {"enabled": true},
        })
    }

    /// The payload of a player's `client/state`.
    pub fn state(available: bool, volume: u8, muted: bool) -> Value {
        json!({"available": available, "player": {
            "volume": volume, "muted": muted, "output_delay_ms": 0, "required_lead_time_ms": 100,
            "min_buffer_ms": 100, "supported_commands": ["volume", "mute"]}})
    }

    /// Who it is.
    pub fn id(&self) -> PeerId {
        self.identity.id()
    }

    /// Whether messages are encrypted by now.
    pub fn is_up(&self) -> bool {
        self.channel.is_some()
    }

    /// The next frame to send.
    pub fn frame(&mut self) -> Option<Frame> {
        self.out.pop_front()
    }

    /// Sends a JSON message.
    pub fn json(&mut self, kind: &str, payload: &Value) -> Result<(), Fault> {
        let body = json!({"type": kind, "payload": payload}).to_string();
        for plain in split(JSON, body.as_bytes()) {
            self.plain(&plain)?;
        }
        Ok(())
    }

    /// Sends whatever it is, encrypted.
    pub fn plain(&mut self, plain: &[u8]) -> Result<(), Fault> {
        let Some(channel) = &mut self.channel else { return Err(Fault::OutOfTurn("too early")) };
        let sealed = channel.seal(plain)?;
        self.out.push_back(Frame::Binary(Bytes::from(sealed)));
        Ok(())
    }

    /// Takes a frame of the server's.
    pub fn receive(&mut self, frame: &Frame) -> Result<Vec<Got>, Fault> {
        match frame {
            Frame::Text(text) => {
                let message: Value = serde_json::from_str(text).map_err(|_| Fault::Malformed("no JSON"))?;
                let payload = message["payload"].as_object().cloned().unwrap_or_default();
                match message["type"].as_str() {
                    Some("server/init") => {
                        let id = payload["server_id"].as_str().and_then(PeerId::parse);
                        self.server = id;
                        self.prologue = [self.init.as_bytes(), text.as_bytes()].concat();
                        Ok(Vec::new())
                    }
                    Some("noise/handshake") => {
                        let prologue = std::mem::take(&mut self.prologue);
                        let (channel, answer) = self.shake(&payload, &prologue)?;
                        self.out.push_back(Frame::Text(super::opening::handshake(&answer)));
                        self.channel = Some(channel);
                        Ok(Vec::new())
                    }
                    kind => Ok(vec![Got::Json(kind.unwrap_or_default().to_owned(), payload)]),
                }
            }
            Frame::Binary(bytes) => {
                let Some(channel) = &mut self.channel else { return Err(Fault::Cipher) };
                let plain = channel.open(bytes)?;
                match self.assembler.take(plain)? {
                    Some(whole) => self.whole(whole),
                    None => Ok(Vec::new()),
                }
            }
        }
    }

    /// Our half of a handshake.
    fn shake(&self, payload: &Map<String, Value>, prologue: &[u8]) -> Result<(Channel, Vec<u8>), Fault> {
        let failed = |_| Fault::Handshake("the peer's");
        let Some(server) = self.server else { return Err(Fault::OutOfTurn("handshake")) };
        let data = payload["data"].as_str().unwrap_or_default();
        let message = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, data)
            .map_err(|_| Fault::Malformed("no base64url"))?;
        let builder = builder(self.suite, self.identity.expose(), &server, prologue)?;
        let mut noise = builder.build_responder().map_err(failed)?;
        let mut inner = vec![0; 1024];
        let length = noise.read_message(&message, &mut inner).map_err(failed)?;
        let inner: Value =
            serde_json::from_slice(&inner[..length]).map_err(|_| Fault::Malformed("no JSON"))?;
        let wanted = |key: &&Credential| {
            inner["psk_id"] == key.psk.id() && inner["psk_category"] == key.category.code()
        };
        let key = self.keys.iter().find(wanted).cloned().unwrap_or_else(Credential::sentinel);
        noise.set_psk(2, key.psk.expose()).map_err(failed)?;
        let mut answer = vec![0; 1024];
        let length = noise.write_message(b"{}", &mut answer).map_err(failed)?;
        answer.truncate(length);
        Ok((Channel::of(noise)?, answer))
    }

    fn whole(&mut self, whole: Whole) -> Result<Vec<Got>, Fault> {
        debug_assert_ne!(whole.id, FRAGMENT);
        if whole.id != JSON {
            return Ok(vec![Got::Binary(whole.id, whole.body)]);
        }
        let message: Value = serde_json::from_slice(&whole.body).map_err(|_| Fault::Malformed("no JSON"))?;
        let kind = message["type"].as_str().unwrap_or_default().to_owned();
        let payload = message["payload"].as_object().cloned().unwrap_or_default();
        let mut got = match kind.as_str() {
            "server/hello" => {
                let hello = self.hello.clone();
                self.json("client/hello", &hello)?;
                Vec::new()
            }
            "noise/handshake" => {
                let hash = self.channel.as_ref().map(|c| *c.hash()).unwrap_or_default();
                let (channel, answer) = self.shake(&payload, &hash)?;
                self.json("noise/handshake", &json!({"data": encode(&answer)}))?;
                self.attempts = 0;
                self.next = Some(channel);
                Vec::new()
            }
            "server/activate" if payload.contains_key("pairing") && self.pairs => self.begin(&payload)?,
            "server/pair-init" | "server/pair-auth" | "server/pair-confirm" | "server/pair-finalize" => {
                self.paired(&kind, &payload)?
            }
            _ => Vec::new(),
        };
        if let Some(next) = self.next.take() {
            self.channel = Some(next);
        }
        got.push(Got::Json(kind, payload));
        Ok(got)
    }

    fn begin(&mut self, payload: &Map<String, Value>) -> Result<Vec<Got>, Fault> {
        self.attempts += 1;
        let method = match (payload["pairing"]["method"].as_str(), payload["pairing"]["format"].as_str()) {
            (Some("pairing_psk"), _) => Method::Token,
            (Some("static_pairing_code"), _) => Method::Fixed,
            (_, Some("qr_code")) => Method::Qr,
            _ => Method::Digits,
        };
        let nonce = [9; 32];
        let code = self.printed.clone();
        self.pairing = Some(Pairing { method, round: 0, nonce, code, run: None });
        let index = self.attempts;
        match method {
            Method::Token => {
                self.json("client/pair-init", &json!({"pairing_index": index}))?;
                let psk = encode(self.gives.expose());
                self.json("client/pair-finalize", &json!({"long_term_psk": psk}))?;
            }
            Method::Fixed => {
                self.json("client/pair-pending", &json!({"pairing_index": index, "message": "Press it"}))?;
                self.json("client/pair-init", &json!({"pairing_index": index}))?;
                if let Some(pairing) = &mut self.pairing {
                    pairing.round = 1;
                }
            }
            Method::Digits | Method::Qr => {
                let commitment = encode(&sha256(&[b"sendspin-pair-commit-v1", &nonce]));
                self.json("client/pair-init", &json!({"pairing_index": index, "commit_B": commitment}))?;
            }
        }
        Ok(Vec::new())
    }

    fn paired(&mut self, kind: &str, payload: &Map<String, Value>) -> Result<Vec<Got>, Fault> {
        let Some(mut pairing) = self.pairing.take() else { return Err(Fault::OutOfTurn("pairing")) };
        let hash = self.channel.as_ref().map(|c| *c.hash()).unwrap_or_default();
        let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut got = Vec::new();
        match kind {
            "server/pair-init" => {
                pairing.round += 1;
                if let Some(nonce) = super::key::decode::<32>(text("nonce_A")) {
                    let all = sha256(&[b"sendspin-pairing-code-derive-v1", &hash, &nonce, &pairing.nonce]);
                    pairing.code = derived(pairing.method, &all);
                }
                got.push(Got::Code(pairing.code.clone()));
            }
            "server/pair-auth" => {
                let mut session = b"sendspin-pair-pake-v1".to_vec();
                session.extend_from_slice(&hash);
                session.extend_from_slice(&self.attempts.to_be_bytes());
                session.extend_from_slice(&pairing.round.to_be_bytes());
                let run = Cpace::new(&pairing.code, session.clone(), [5; 32]);
                let share = encode(run.share());
                let theirs = super::key::decode(text("pake_msg_1")).unwrap_or_default();
                let agreed = run.client_ends(&theirs).ok_or(Fault::Pairing("low order"))?;
                pairing.run = Some((session, agreed));
                self.json("client/pair-auth", &json!({"pake_msg_2": share}))?;
            }
            "server/pair-confirm" => {
                let Some((session, agreed)) = pairing.run.take() else { return Err(Fault::Pairing("early")) };
                let tag = super::key::decode::<64>(text("server_kc")).unwrap_or([0; 64]);
                let dynamic = matches!(pairing.method, Method::Digits | Method::Qr);
                if !agreed.server_knows(&tag) {
                    if dynamic {
                        self.json("client/pair-retry", &json!({}))?;
                        self.pairing = Some(pairing);
                    } else {
                        self.json("pair/abort", &json!({"reason": "pairing_code_mismatch"}))?;
                    }
                    return Ok(got);
                }
                let key = |label: &[u8]| sha256(&[label, &session, &agreed.isk]);
                let mut confirm = json!({"client_kc": encode(&agreed.client_tag())});
                if dynamic {
                    let wrapped = wrap(self.suite, &key(b"sendspin-pair-nonce-wrap-v1"), &pairing.nonce);
                    confirm["wrapped_nonce_B"] = wrapped.into();
                }
                self.json("client/pair-confirm", &confirm)?;
                let wrapped = wrap(self.suite, &key(b"sendspin-pair-psk-wrap-v1"), self.gives.expose());
                self.json("client/pair-finalize", &json!({"wrapped_psk": wrapped}))?;
            }
            _ => {
                self.keys.push(Credential::long_term(self.gives.clone()));
                return Ok(vec![Got::Paired(self.gives.clone())]);
            }
        }
        self.pairing = Some(pairing);
        Ok(got)
    }
}
