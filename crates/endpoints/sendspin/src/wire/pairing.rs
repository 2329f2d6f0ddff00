//! One pairing attempt, from the server's side (pairing.md).
//!
//! Driven by [`super::Link`]: `client/pair-*` messages and the person's code go in, `server/pair-*` messages and what
//! became of it come out. Nothing is kept here: the new key is handed out, and acknowledged once it is in the file.

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::cpace::{Agreed, Cpace};
use super::fault::Fault;
use super::key::{Psk, decode, encode};
use super::noise::{Suite, unwrap};

/// What the client says to a person is cut to this many characters, as the text asks.
const LONGEST_MESSAGE: usize = 200;

/// How the client is to be paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By its token: the handshake was made with its key already.
    Token,
    /// By six digits it shows or speaks.
    Digits,
    /// By a QR code it shows.
    Qr,
    /// By the eight digits printed on it.
    Fixed,
}

impl Method {
    /// The `pairing` object of `server/activate`.
    pub fn announced(self) -> Value {
        match self {
            Self::Token => json!({"method": "pairing_psk"}),
            Self::Digits => json!({"method": "dynamic_pairing_code", "format": "digits"}),
            Self::Qr => json!({"method": "dynamic_pairing_code", "format": "qr_code"}),
            Self::Fixed => json!({"method": "static_pairing_code"}),
        }
    }

    fn is_dynamic(self) -> bool {
        matches!(self, Self::Digits | Self::Qr)
    }
}

/// What an attempt wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send this message.
    Send(&'static str, Value),
    /// The client shows its code now, or waits for the one printed on it.
    CodeWanted,
    /// The client waits for somebody to do something at it; its own words.
    Pending(Option<String>),
    /// The code was not the client's; with a dynamic one, it may be entered again.
    Wrong,
    /// The client, or the mathematics, ended the attempt.
    Over(&'static str),
    /// Paired, by this key.
    Paired(Psk),
}

/// Where an attempt stands.
enum Stage {
    Begun,
    CodeWanted,
    Share(Cpace),
    Confirm(Agreed),
    Finalize(Option<Agreed>),
    Done,
}

/// Everything an attempt depends on.
pub struct Attempt {
    method: Method,
    suite: Suite,
    /// The hash of the handshake it runs in.
    hash: [u8; 32],
    /// Which pairing activation since that handshake it belongs to, from 1.
    index: u32,
    round: u32,
    stage: Stage,
    code: Option<Vec<u8>>,
    /// Of a dynamic attempt: our nonce and the client's commitment.
    nonce: [u8; 32],
    commitment: [u8; 32],
    /// The session id of the round that runs.
    session: Vec<u8>,
}

pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, &parts.concat()).as_ref());
    out
}

fn text<'a>(payload: &'a Map<String, Value>, key: &str) -> Result<&'a str, Fault> {
    payload.get(key).and_then(Value::as_str).ok_or(Fault::Pairing("a field is missing"))
}

fn bytes<const N: usize>(payload: &Map<String, Value>, key: &str) -> Result<[u8; N], Fault> {
    decode(text(payload, key)?).ok_or(Fault::Pairing("a field is malformed"))
}

impl Attempt {
    /// An attempt that was just admitted by the `index`th pairing activation since the handshake with `hash`.
    pub fn new(method: Method, suite: Suite, hash: [u8; 32], index: u32, nonce: [u8; 32]) -> Self {
        Self {
            method,
            suite,
            hash,
            index,
            round: 1,
            stage: Stage::Begun,
            code: None,
            nonce,
            commitment: [0; 32],
            session: Vec::new(),
        }
    }

    /// How it pairs.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The person's code; kept until the client is ready for it. `random` must be fresh.
    pub fn code(&mut self, code: &[u8], random: [u8; 32]) -> Vec<Step> {
        self.code = Some(code.to_vec());
        self.share(random)
    }

    /// Begins a round of CPace once both the client and the code are there.
    fn share(&mut self, random: [u8; 32]) -> Vec<Step> {
        if !matches!(self.stage, Stage::CodeWanted) {
            return Vec::new();
        }
        let Some(code) = &self.code else { return vec![Step::CodeWanted] };
        self.session = b"sendspin-pair-pake-v1".to_vec();
        self.session.extend_from_slice(&self.hash);
        self.session.extend_from_slice(&self.index.to_be_bytes());
        self.session.extend_from_slice(&self.round.to_be_bytes());
        let run = Cpace::new(code, self.session.clone(), random);
        let share = encode(run.share());
        self.stage = Stage::Share(run);
        vec![Step::Send("server/pair-auth", json!({"pake_msg_1": share}))]
    }

    /// Takes a message of the client. A [`Fault`] ends the connection.
    pub fn message(
        &mut self,
        kind: &str,
        payload: &Map<String, Value>,
        random: [u8; 32],
    ) -> Result<Vec<Step>, Fault> {
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        match (kind, stage) {
            ("pair/abort", _) => Ok(self.aborted(payload)),
            ("client/pair-pending" | "client/pair-init", stage) if self.is_stale(payload)? => {
                self.stage = stage;
                Ok(Vec::new())
            }
            ("client/pair-pending", Stage::Begun) if self.method != Method::Token => {
                self.stage = Stage::Begun;
                let words = payload.get("message").and_then(Value::as_str);
                Ok(vec![Step::Pending(
                    words.map(|w| w.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect()),
                )])
            }
            ("client/pair-init", Stage::Begun) => self.started(payload, random),
            ("client/pair-auth", Stage::Share(run)) => {
                let share = bytes(payload, "pake_msg_2")?;
                let agreed = run.server_ends(&share).ok_or(Fault::Pairing("a share of low order"))?;
                let tag = encode(&agreed.server_tag());
                self.stage = Stage::Confirm(agreed);
                Ok(vec![Step::Send("server/pair-confirm", json!({"server_kc": tag}))])
            }
            ("client/pair-retry", Stage::Confirm(_)) if self.method.is_dynamic() => {
                self.round += 1;
                self.code = None;
                self.stage = Stage::CodeWanted;
                Ok(vec![Step::Send("server/pair-init", json!({})), Step::Wrong, Step::CodeWanted])
            }
            ("client/pair-confirm", Stage::Confirm(agreed)) => self.confirmed(agreed, payload),
            ("client/pair-finalize", Stage::Finalize(agreed)) => {
                let psk = self.delivered(agreed.as_ref(), payload)?;
                Ok(vec![Step::Paired(Psk::new(psk))])
            }
            // What was on its way while we ended the attempt.
            (_, Stage::Done) => Ok(Vec::new()),
            _ => Err(Fault::Pairing("a message out of sequence")),
        }
    }

    fn aborted(&mut self, payload: &Map<String, Value>) -> Vec<Step> {
        match payload.get("reason").and_then(Value::as_str) {
            Some("pairing_code_mismatch") => vec![Step::Wrong, Step::Over("the code is not its own")],
            Some("attempt_timeout") => vec![Step::Over("it took too long")],
            Some("concurrent_attempt") => vec![Step::Over("it is busy with another server")],
            Some("method_not_supported") => vec![Step::Over("it does not pair this way now")],
            Some("user_cancelled") => vec![Step::Over("somebody stopped it at the device")],
            _ => vec![Step::Over("it gave up")],
        }
    }

    /// Whether a message belongs to an attempt before this one.
    fn is_stale(&self, payload: &Map<String, Value>) -> Result<bool, Fault> {
        let index = payload.get("pairing_index").and_then(Value::as_u64);
        let index = index.ok_or(Fault::Pairing("an index is missing"))?;
        if index > u64::from(self.index) {
            return Err(Fault::Pairing("an index from the future"));
        }
        Ok(index < u64::from(self.index))
    }

    fn started(&mut self, payload: &Map<String, Value>, random: [u8; 32]) -> Result<Vec<Step>, Fault> {
        match self.method {
            Method::Token => {
                self.stage = Stage::Finalize(None);
                Ok(Vec::new())
            }
            Method::Fixed => {
                self.stage = Stage::CodeWanted;
                Ok(self.share(random))
            }
            Method::Digits | Method::Qr => {
                self.commitment = bytes(payload, "commit_B")?;
                self.stage = Stage::CodeWanted;
                // A code that was typed before this could not be this attempt's.
                self.code = None;
                let nonce = encode(&self.nonce);
                Ok(vec![Step::Send("server/pair-init", json!({"nonce_A": nonce})), Step::CodeWanted])
            }
        }
    }

    fn confirmed(&mut self, agreed: Agreed, payload: &Map<String, Value>) -> Result<Vec<Step>, Fault> {
        let tag: [u8; 64] = bytes(payload, "client_kc")?;
        if !agreed.client_knows(&tag) {
            let reason = json!({"reason": "pairing_code_mismatch"});
            return Ok(vec![
                Step::Send("pair/abort", reason),
                Step::Wrong,
                Step::Over("the code is not its own"),
            ]);
        }
        if self.method.is_dynamic() {
            let key = self.wrapping(b"sendspin-pair-nonce-wrap-v1", &agreed);
            let nonce = unwrap(self.suite, &key, text(payload, "wrapped_nonce_B")?)
                .ok_or(Fault::Pairing("its nonce cannot be unwrapped"))?;
            if sha256(&[b"sendspin-pair-commit-v1", &nonce]) != self.commitment {
                return Err(Fault::Pairing("its nonce is not the one it promised"));
            }
            let all = sha256(&[b"sendspin-pairing-code-derive-v1", &self.hash, &self.nonce, &nonce]);
            if self.code != Some(derived(self.method, &all)) {
                return Err(Fault::Pairing("its code does not come of this connection"));
            }
        }
        self.stage = Stage::Finalize(Some(agreed));
        Ok(Vec::new())
    }

    fn wrapping(&self, label: &[u8], agreed: &Agreed) -> [u8; 32] {
        sha256(&[label, &self.session, &agreed.isk])
    }

    fn delivered(&self, agreed: Option<&Agreed>, payload: &Map<String, Value>) -> Result<[u8; 32], Fault> {
        match agreed {
            None => bytes(payload, "long_term_psk"),
            Some(agreed) => {
                let key = self.wrapping(b"sendspin-pair-psk-wrap-v1", agreed);
                unwrap(self.suite, &key, text(payload, "wrapped_psk")?)
                    .ok_or(Fault::Pairing("its key cannot be unwrapped"))
            }
        }
    }
}

/// The code of a dynamic attempt from the digest that binds it to the connection.
pub(super) fn derived(method: Method, digest: &[u8; 32]) -> Vec<u8> {
    if method == Method::Qr {
        return digest[..24].to_vec();
    }
    // The digest as a big number, modulo a million.
    let number = digest.iter().fold(0u64, |rest, byte| (rest << 8 | u64::from(*byte)) % 1_000_000);
    format!("{number:06}").into_bytes()
}
