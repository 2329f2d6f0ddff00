//! Noise `KKpsk2`, with the server as initiator whoever dialled (connection.md, "Encryption"). The library is `snow`.

use serde_json::{Value, json};
use snow::{Builder, HandshakeState, TransportState};

use super::fault::Fault;
use super::key::{Credential, Identity, PeerId, decode};

/// Noise allows a message no more than this, its tag included.
pub const LONGEST: usize = 65_535;
/// What the cipher adds.
pub const TAG: usize = 16;
/// Handshake messages of this pattern are some 150 bytes.
const LONGEST_HANDSHAKE: usize = 1024;
/// Where KKpsk2 takes its key.
const PSK_AT: u8 = 2;

/// The two cipher suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// ChaCha20 and Poly1305.
    ChaChaPoly,
    /// AES-256 in Galois counter mode.
    AesGcm,
}

impl Suite {
    /// Reads its name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "25519_ChaChaPoly_SHA256" => Some(Self::ChaChaPoly),
            "25519_AESGCM_SHA256" => Some(Self::AesGcm),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChaChaPoly => "25519_ChaChaPoly_SHA256",
            Self::AesGcm => "25519_AESGCM_SHA256",
        }
    }

    fn pattern(self) -> &'static str {
        match self {
            Self::ChaChaPoly => "Noise_KKpsk2_25519_ChaChaPoly_SHA256",
            Self::AesGcm => "Noise_KKpsk2_25519_AESGCM_SHA256",
        }
    }
}

/// A handshake that waits for the client's half.
pub struct Handshake {
    noise: HandshakeState,
    credential: Credential,
    /// Whether a client that cannot use the credential may answer under the sentinel.
    falls_back: bool,
}

/// How a handshake ended.
pub struct Shaken {
    /// What encrypts from now on.
    pub channel: Channel,
    /// The key that holds, which is the sentinel where the client could not use ours.
    pub credential: Credential,
    /// Whether that is so: it has forgotten us, or we it.
    pub mismatch: bool,
}

fn failed(_: snow::Error) -> Fault {
    Fault::Handshake("Noise cannot begin")
}

/// A builder for either side.
pub(super) fn builder<'a>(
    suite: Suite,
    secret: &'a [u8; 32],
    peer: &'a PeerId,
    prologue: &'a [u8],
) -> Result<Builder<'a>, Fault> {
    let pattern = suite.pattern().parse().map_err(failed)?;
    let builder = Builder::new(pattern).local_private_key(secret).map_err(failed)?;
    builder.remote_public_key(peer.key()).map_err(failed)?.prologue(prologue).map_err(failed)
}

impl Handshake {
    /// Begins, and makes the first message. `falls_back` only in the first handshake of a connection.
    pub fn begin(
        suite: Suite,
        identity: &Identity,
        client: &PeerId,
        prologue: &[u8],
        credential: Credential,
        falls_back: bool,
    ) -> Result<(Self, Vec<u8>), Fault> {
        let builder = builder(suite, identity.expose(), client, prologue)?;
        let mut noise = builder
            .psk(PSK_AT, credential.psk.expose())
            .map_err(failed)?
            .build_initiator()
            .map_err(failed)?;
        let payload = json!({"psk_id": credential.psk.id(), "psk_category": credential.category.code()});
        let mut message = vec![0; LONGEST_HANDSHAKE];
        // Refused where the client's key is a point of low order.
        let length = noise.write_message(payload.to_string().as_bytes(), &mut message).map_err(failed)?;
        message.truncate(length);
        Ok((Self { noise, credential, falls_back }, message))
    }

    /// Ends with the `data` of the client's `noise/handshake`.
    pub fn end(mut self, data: &str) -> Result<Shaken, Fault> {
        if data.len() > LONGEST_HANDSHAKE {
            return Err(Fault::Handshake("its half is too long"));
        }
        let message = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, data)
            .map_err(|_| Fault::Handshake("its half is no base64url"))?;
        let mut payload = vec![0; LONGEST_HANDSHAKE];
        let mut read = self.noise.read_message(&message, &mut payload);
        let sentinel = Credential::sentinel();
        let mismatch = read.is_err() && self.falls_back && self.credential != sentinel;
        if mismatch {
            // `snow` has put the state back to where it was before the message.
            self.noise.set_psk(usize::from(PSK_AT), sentinel.psk.expose()).map_err(failed)?;
            self.credential = sentinel;
            read = self.noise.read_message(&message, &mut payload);
        }
        let length = read.map_err(|_| Fault::Handshake("its half does not fit"))?;
        // `{}` to the byte, says the text; any empty object is let pass, as it carries nothing.
        let inner = serde_json::from_slice::<Value>(payload.get(..length).unwrap_or_default());
        if !matches!(inner, Ok(Value::Object(_))) {
            return Err(Fault::Handshake("its half carries no object"));
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(self.noise.get_handshake_hash());
        let noise = self.noise.into_transport_mode().map_err(failed)?;
        Ok(Shaken { channel: Channel { noise, hash }, credential: self.credential, mismatch })
    }
}

/// What encrypts and decrypts.
pub struct Channel {
    noise: TransportState,
    hash: [u8; 32],
}

impl Channel {
    /// A channel of a handshake that is done, on the client's side (for peers of ours in tests).
    #[cfg(any(test, feature = "fake"))]
    pub fn of(noise: HandshakeState) -> Result<Self, Fault> {
        let mut hash = [0; 32];
        hash.copy_from_slice(noise.get_handshake_hash());
        Ok(Self { noise: noise.into_transport_mode().map_err(failed)?, hash })
    }

    /// The hash of the handshake that made it.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Encrypts; `plain` is at most [`LONGEST`] - [`TAG`] bytes.
    pub fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut message = vec![0; plain.len() + TAG];
        let length = self.noise.write_message(plain, &mut message).map_err(|_| Fault::TooLong)?;
        message.truncate(length);
        Ok(message)
    }

    /// Decrypts.
    pub fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        if message.len() > LONGEST || message.len() < TAG {
            return Err(Fault::Cipher);
        }
        let mut plain = vec![0; message.len()];
        let length = self.noise.read_message(message, &mut plain).map_err(|_| Fault::Cipher)?;
        plain.truncate(length);
        Ok(plain)
    }
}

/// The `data` of a `noise/handshake` message.
pub fn data(payload: &serde_json::Map<String, Value>) -> Result<&str, Fault> {
    payload.get("data").and_then(Value::as_str).ok_or(Fault::Handshake("its half is missing"))
}

/// Decrypts what a client wrapped under the output of CPace: 32 bytes and a tag, nonce 0, nothing beside it
/// (pairing.md, "Wrapping").
pub fn unwrap(suite: Suite, key: &[u8], text: &str) -> Option<[u8; 32]> {
    use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    let algorithm = match suite {
        Suite::ChaChaPoly => &CHACHA20_POLY1305,
        Suite::AesGcm => &AES_256_GCM,
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let mut wrapped = decode::<48>(text)?;
    let plain = key.open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut wrapped).ok()?;
    (&*plain).try_into().ok()
}

/// The other way of [`unwrap`].
#[cfg(any(test, feature = "fake"))]
pub(super) fn wrap(suite: Suite, key: &[u8], plain: &[u8; 32]) -> String {
    use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    let algorithm = match suite {
        Suite::ChaChaPoly => &CHACHA20_POLY1305,
        Suite::AesGcm => &AES_256_GCM,
    };
    let mut sealed = plain.to_vec();
    if let Ok(key) = UnboundKey::new(algorithm, key) {
        let key = LessSafeKey::new(key);
        // Of 32 bytes it cannot fail.
        let _ =
            key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut sealed);
    }
    super::key::encode(&sealed)
}
