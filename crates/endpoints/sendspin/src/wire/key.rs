//! Identities and pre-shared keys: 32 bytes each, written as base64url without padding (connection.md, "Identities" and
//! "Pre-Shared Key").
//!
//! Secrets have a blank debug form and are shown only on purpose, to the file that keeps them and to Noise.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curve25519_dalek::montgomery::MontgomeryPoint;
use ring::digest::{SHA256, digest};

/// The published key that stands for "none" (connection.md, "Pre-Shared Key").
const SENTINEL: [u8; 32] = [
    0x1b, 0x5e, 0x24, 0xdb, 0xc1, 0xae, 0xd9, 0x5f, 0xc2, 0xa5, 0xa3, 0x38, 0xa9, 0x0c, 0x05, 0xdf, 0x44,
    0xbd, 0x10, 0xf5, 0xec, 0x1f, 0x4c, 0xd6, 0x6c, 0xbf, 0x86, 0x27, 0x27, 0x67, 0xb9, 0xd3,
];

/// Bytes as the protocol writes them in JSON.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Exactly `N` bytes from their canonical text; `None` for any other.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Longer text cannot be it, and is not worth decoding.
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Who a client or a server is: its static public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// Reads the 43 characters.
    pub fn parse(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }

    /// The public key itself.
    pub fn key(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Our own long-lived key pair.
#[derive(Clone)]
pub struct Identity {
    secret: [u8; 32],
    id: PeerId,
}

impl Identity {
    /// The identity whose secret half is these random bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, id: PeerId(MontgomeryPoint::mul_base_clamped(secret).to_bytes()) }
    }

    /// Its public half.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The secret half, for Noise and the file alone.
    pub fn expose(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id)
    }
}

/// A pre-shared key.
#[derive(Clone, PartialEq, Eq)]
pub struct Psk([u8; 32]);

impl Psk {
    /// Takes the bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for Noise and the file alone.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// How it is referred to in the first Noise message: `base64url(SHA-256("sendspin-psk-id-v1" || PSK))`.
    pub fn id(&self) -> String {
        let mut text = b"sendspin-psk-id-v1".to_vec();
        text.extend_from_slice(&self.0);
        encode(digest(&SHA256, &text).as_ref())
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(..)")
    }
}

/// What a pre-shared key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Made by a pairing: it proves both sides.
    LongTerm,
    /// Read from the client by a person: it admits to pairing.
    Pairing,
    /// The published one: it proves nothing.
    Sentinel,
}

impl Category {
    /// As the first Noise message says it.
    pub fn code(self) -> &'static str {
        match self {
            Self::LongTerm => "lt",
            Self::Pairing => "pr",
            Self::Sentinel => "sn",
        }
    }
}

/// A key and what it is used as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The key.
    pub psk: Psk,
    /// What it is good for.
    pub category: Category,
}

impl Credential {
    /// The one that proves nothing.
    pub fn sentinel() -> Self {
        Self { psk: Psk(SENTINEL), category: Category::Sentinel }
    }

    /// One made by a pairing.
    pub fn long_term(psk: Psk) -> Self {
        Self { psk, category: Category::LongTerm }
    }

    /// One from a token.
    pub fn pairing(psk: Psk) -> Self {
        Self { psk, category: Category::Pairing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentinel_is_the_published_one() {
        assert_eq!(digest(&SHA256, b"sendspin-sentinel-psk-v1").as_ref(), SENTINEL);
        assert_eq!(Credential::sentinel().psk.id(), "GFsV9tLaSQm9HcFWpKsgYQOr7wFTvNUtkmFwuVz3zoo");
    }

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        let id = Identity::new([7; 32]).id();
        assert_eq!(PeerId::parse(&id.to_string()), Some(id));
        let text = id.to_string();
        for bad in ["", "short", &format!("{text}="), &text[1..], &format!("{}!", &text[1..])] {
            assert_eq!(PeerId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?} {:?}", Identity::new([7; 32]), Credential::sentinel());
        assert!(!shown.contains(&encode(&SENTINEL)) && !shown.contains("27,"), "{shown}");
    }
}
